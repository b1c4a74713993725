package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
	"github.com/weirhq/weir/router/store/segment"
)

// Delivery returns all that is known of a delivery.
func (s *Store) Delivery(ctx context.Context, r store.Ref) (*store.DeliveryStatus, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	c := statuses{v: v}
	defer c.close()
	return c.of(r, true)
}

// statuses builds statuses of deliveries. It keeps the last event and some routings,
// which the next delivery often shares. It must be closed.
type statuses struct {
	v       *view
	cursor  *segment.Cursor
	at      uint64 // the position of what follows, 0 for none
	encoded []byte // lent by the cursor
	head    codec.Head
	event   *event.Event
	origin  origin // of the last status

	routings []*codec.Routing // the last one is the newest
	// groupedIn is where no routing has a row of its own.
	groupedIn struct {
		bucket   uint32
		from, to uint64
		owned    bool
	}
	// many says that it is for a list: what most deliveries don't have is then looked
	// for with iterators.
	many bool
	rows *sparse
}

func (c *statuses) close() {
	if c.cursor != nil {
		c.cursor.Close()
	}
}

// headAt gives what the event at a position is chosen by, until another is asked for.
// It costs a fraction of what its deliveries do, and less than the event: what it can
// rule out is ruled out by it.
func (c *statuses) headAt(position uint64) (*codec.Head, error) {
	if c.at == position && position > 0 {
		return &c.head, nil
	}
	c.at, c.event = 0, nil
	if c.cursor == nil {
		c.cursor = c.v.s.events.Cursor()
	}
	b, err := c.v.eventBytes(c.cursor, position)
	if err != nil {
		return nil, err
	}
	if err := codec.EventHead(b, &c.head); err != nil {
		return nil, fmt.Errorf("the event of position %d is damaged: %w", position, err)
	}
	c.at, c.encoded = position, b
	return &c.head, nil
}

// eventAt gives the event at a position.
func (c *statuses) eventAt(position uint64) (*event.Event, error) {
	if _, err := c.headAt(position); err != nil {
		return nil, err
	}
	if c.event == nil {
		e, err := decodeEvent(position, bytes.Clone(c.encoded))
		if err != nil {
			return nil, err
		}
		c.event = e
	}
	return c.event, nil
}

func (c *statuses) routingAt(position uint64) (*codec.Routing, error) {
	for i := len(c.routings) - 1; i >= 0; i-- {
		if c.routings[i].Position == position {
			return c.routings[i], nil
		}
	}
	bucket := c.v.bucketOf(position)
	read := c.v.s.routingRow
	if c.many && c.grouped(bucket, position) {
		read = c.v.s.groupedRow
	}
	b, err := read(c.v.txn, bucket, position)
	if err != nil {
		return nil, err
	}
	r, err := decodeRouting(bucket, position, b)
	if err != nil {
		return nil, err
	}
	if len(c.routings) == routingsMost {
		c.routings = append(c.routings[:0], c.routings[routingsMost/2:]...)
	}
	c.routings = append(c.routings, r)
	return r, nil
}

// routingsMost is how many routings are remembered: who goes along the log finds an
// event's deliveries some events before they are looked at.
const routingsMost = 32

// stretchAtOnce is how many positions downward are looked at for rows of their own.
const stretchAtOnce = 1024

// grouped says that the routing of a position has no row of its own, which is looked up
// for many positions at a time.
func (c *statuses) grouped(bucket uint32, position uint64) bool {
	g := &c.groupedIn
	if g.bucket == bucket && g.from <= position && position < g.to {
		return true
	}
	if g.owned { // here are some that have, and more may follow
		return false
	}
	from := position - min(position, stretchAtOnce)
	it := c.v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: bucketed(bucket, rowRouting, 0)})
	defer it.Close()
	g.bucket, g.from, g.to = bucket, from, math.MaxUint64
	if it.Seek(routingKey(bucket, from)); it.Valid() {
		g.to = readPosition(it.Item().Key()[bucketedLen:])
	}
	g.owned = position >= g.to
	return !g.owned
}

// of gives one status, with all attempts or only the last.
func (c *statuses) of(ref store.Ref, all bool) (*store.DeliveryStatus, error) {
	r, err := c.routingAt(ref.Position)
	if err != nil {
		return nil, err
	}
	h, err := c.headAt(ref.Position)
	if err != nil {
		return nil, err
	}
	if uint64(ref.Index) >= uint64(len(r.Deliveries)) || r.Gone[ref.Index] {
		return nil, store.ErrNotFound
	}
	row, err := c.state(ref, r.Deliveries[ref.Index].Lane)
	if err != nil {
		return nil, err
	}
	st := statusOf(c.originOf(h), r, ref.Index, row)
	if n := len(st.Attempts); !all && n > 1 {
		st.Attempts = st.Attempts[n-1:]
	}
	return st, nil
}

// origin is what a status has of its event.
type origin struct {
	id, typ, source, tenant string
	received                time.Time
}

// originOf gives that of an event. What it has in common with the last one needs no more
// memory.
func (c *statuses) originOf(h *codec.Head) origin {
	same := func(last string, b []byte) string {
		if string(b) == last {
			return last
		}
		return string(b)
	}
	o := &c.origin
	*o = origin{same(o.id, h.ID), same(o.typ, h.Type), same(o.source, h.Source), same(o.tenant, h.Tenant), h.Received}
	return *o
}

func statusOf(e origin, r *codec.Routing, index uint32, row *codec.Delivery) *store.DeliveryStatus {
	d := r.Deliveries[index]
	st := &store.DeliveryStatus{
		Ref:      store.Ref{Position: r.Position, Index: index},
		Delivery: d, Route: r.Matches[d.Match].Route,
		EventID: e.id, Type: e.typ, MessageType: e.typ, Source: e.source, Tenant: e.tenant,
		Received: e.received,
		State:    row.State, Due: row.Due, Tries: row.Tries, Key: row.Key,
		Reason: row.Reason, Note: row.Note, Attempts: row.Attempts,
	}
	if d.Content >= 0 {
		st.MessageType = r.Contents[d.Content].Type
	}
	return st
}

// state gives a delivery's row, or what is known of one that has none.
func (c *statuses) state(ref store.Ref, name string) (*codec.Delivery, error) {
	v := c.v
	d, err := c.row(ref)
	if !errors.Is(err, store.ErrNotFound) {
		return d, err
	}
	l := v.lane(name)
	if l == nil || !settled(&l.Cursor, ref) {
		return &codec.Delivery{State: store.Waiting}, nil
	}
	// What was settled before this view began is explained by it.
	line, err := v.history(ref, name)
	if err != nil {
		return nil, err
	}
	if line != nil {
		return deliveredBy(line), nil
	}
	// The lane is newer than this view: so must be what explains its cursor.
	now, err := v.refresh()
	if err != nil {
		return nil, err
	}
	defer now.discard()
	d, err = now.delivery(ref)
	if !errors.Is(err, store.ErrNotFound) {
		return d, err
	}
	if line, err = now.history(ref, name); err != nil {
		return nil, err
	}
	return deliveredBy(line), nil
}

// deliveredBy is what is known of a delivery without a row that is settled,
// line being its line of history, if it has one.
func deliveredBy(line *codec.Settled) *codec.Delivery {
	d := &codec.Delivery{State: store.Delivered}
	if line != nil {
		d.Tries = line.Tries
		if line.Attempt != nil {
			d.Attempts = []store.Attempt{*line.Attempt}
		}
	}
	return d
}

func (c *statuses) row(ref store.Ref) (*codec.Delivery, error) {
	if !c.many {
		return c.v.delivery(ref)
	}
	if c.rows == nil {
		c.rows = &sparse{v: c.v}
	}
	b, err := c.rows.get(c.v.bucketOf(ref.Position), ref)
	if err == nil && b == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return c.v.decodeDelivery(ref, b)
}

func (v *view) delivery(ref store.Ref) (*codec.Delivery, error) {
	b, err := get(v.txn, deliveryKey(v.bucketOf(ref.Position), ref))
	if err != nil {
		return nil, err
	}
	return v.decodeDelivery(ref, b)
}

func (v *view) decodeDelivery(ref store.Ref, b []byte) (*codec.Delivery, error) {
	d, err := codec.DecodeDelivery(b)
	if err != nil {
		return nil, malformed(deliveryKey(v.bucketOf(ref.Position), ref), err)
	}
	return d, nil
}

// history finds the line of a delivery, nil where there is none.
func (v *view) history(ref store.Ref, name string) (*codec.Settled, error) {
	prefix := historyPrefix(v.bucketOf(ref.Position), name)
	for key, chunk := range v.chunks {
		if len(key) != len(prefix)+refLen || key[:len(prefix)] != string(prefix) {
			continue
		}
		if i, found := chunk.Find(ref); found {
			return historyLine([]byte(key), chunk, i)
		}
	}
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(appendRef(slices.Clone(prefix), ref)); it.Valid(); it.Next() {
		key := it.Item().Key()
		if len(key) != len(prefix)+refLen {
			continue
		}
		if readRef(key[len(prefix):]).Position>>historyBlock != ref.Position>>historyBlock {
			return nil, nil
		}
		chunk, err := v.historyChunk(it)
		if err != nil {
			return nil, err
		}
		if i, found := chunk.Find(ref); found {
			return historyLine(it.Item().Key(), chunk, i)
		}
	}
	return nil, nil
}

func historyLine(key []byte, chunk *codec.History, i int) (*codec.Settled, error) {
	line, err := chunk.Line(i)
	if err != nil {
		return nil, malformed(slices.Clone(key), err)
	}
	return line, nil
}
