package badger

import (
	"context"
	"errors"
	"slices"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

// Delivery returns all that is known of a delivery.
func (s *Store) Delivery(ctx context.Context, r store.Ref) (*store.DeliveryStatus, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	return (&statuses{v: v}).of(r, true)
}

// statuses builds statuses of deliveries. It keeps the last event and routing,
// which the next delivery often shares.
type statuses struct {
	v       *view
	event   *event.Event
	routing *codec.Routing
}

// at gives the event at a position, which costs a fraction of what its deliveries
// do: what an event alone can rule out is ruled out by it.
func (c *statuses) at(position uint64) (*event.Event, error) {
	if c.event != nil && c.event.Position == position {
		return c.event, nil
	}
	e, err := c.v.event(position)
	if err != nil {
		return nil, err
	}
	c.event = e
	return e, nil
}

func (c *statuses) load(position uint64) error {
	if c.routing == nil || c.routing.Position != position {
		r, err := c.v.routing(position)
		if err != nil {
			return err
		}
		c.routing = r
	}
	_, err := c.at(position)
	return err
}

// of gives one status, with all attempts or only the last.
func (c *statuses) of(ref store.Ref, all bool) (*store.DeliveryStatus, error) {
	if err := c.load(ref.Position); err != nil {
		return nil, err
	}
	r, e := c.routing, c.event
	if uint64(ref.Index) >= uint64(len(r.Deliveries)) || r.Gone[ref.Index] {
		return nil, store.ErrNotFound
	}
	row, err := c.v.state(ref, r.Deliveries[ref.Index].Lane)
	if err != nil {
		return nil, err
	}
	st := statusOf(e, r, ref.Index, row)
	if n := len(st.Attempts); !all && n > 1 {
		st.Attempts = st.Attempts[n-1:]
	}
	return st, nil
}

func statusOf(e *event.Event, r *codec.Routing, index uint32, row *codec.Delivery) *store.DeliveryStatus {
	d := r.Deliveries[index]
	st := &store.DeliveryStatus{
		Ref:      store.Ref{Position: r.Position, Index: index},
		Delivery: d, Route: r.Matches[d.Match].Route,
		EventID: e.ID, Type: e.Type, MessageType: e.Type, Source: e.Source, Tenant: e.Tenant,
		Received: e.Received,
		State:    row.State, Due: row.Due, Tries: row.Tries, Key: row.Key,
		Reason: row.Reason, Note: row.Note, Attempts: row.Attempts,
	}
	if d.Content >= 0 {
		st.MessageType = r.Contents[d.Content].Type
	}
	return st
}

// state gives a delivery's row, or what is known of one that has none.
func (v *view) state(ref store.Ref, name string) (*codec.Delivery, error) {
	d, err := v.delivery(ref)
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
	defer now.txn.Discard()
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

func (v *view) delivery(ref store.Ref) (*codec.Delivery, error) {
	key := deliveryKey(v.bucketOf(ref.Position), ref)
	b, err := get(v.txn, key)
	if err != nil {
		return nil, err
	}
	d, err := codec.DecodeDelivery(b)
	if err != nil {
		return nil, malformed(key, err)
	}
	return d, nil
}

// history finds the line of a delivery, nil where there is none.
func (v *view) history(ref store.Ref, name string) (*codec.Settled, error) {
	prefix := historyPrefix(v.bucketOf(ref.Position), name)
	byRef := func(l codec.Settled, r store.Ref) int { return compareRefs(l.Ref, r) }
	for key, lines := range v.chunks {
		if len(key) != len(prefix)+refLen || key[:len(prefix)] != string(prefix) {
			continue
		}
		if i, found := slices.BinarySearchFunc(lines, ref, byRef); found {
			return &lines[i], nil
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
		lines, err := v.historyChunk(it)
		if err != nil {
			return nil, err
		}
		i, found := slices.BinarySearchFunc(lines, ref, byRef)
		if found {
			return &lines[i], nil
		}
	}
	return nil, nil
}

// memoChunks is how many chunks a view remembers: neighbours in a list are in the
// same ones, a chunk for each lane.
const memoChunks = 16

// historyChunk reads the chunk that an iterator is at. Nobody changes its lines.
func (v *view) historyChunk(it *badgerdb.Iterator) ([]codec.Settled, error) {
	if lines, ok := v.chunks[string(it.Item().Key())]; ok {
		return lines, nil
	}
	key, b, err := itemValue(v.txn, it)
	if err != nil {
		return nil, err
	}
	lines, err := codec.DecodeHistory(b)
	if err != nil {
		return nil, malformed(key, err)
	}
	if v.chunks == nil || len(v.chunks) == memoChunks {
		v.chunks = map[string][]codec.Settled{}
	}
	v.chunks[string(key)] = lines
	return lines, nil
}
