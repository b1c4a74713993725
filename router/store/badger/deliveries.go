package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

// Deliveries returns all that the event at a position led to. It reads the rows
// of the event's deliveries in one pass, and each lane's history once, so that
// 10,000 deliveries cost 10,000 times one.
func (s *Store) Deliveries(ctx context.Context, position uint64) ([]*store.DeliveryStatus, error) {
	return s.DeliveriesFrom(ctx, position, 0, math.MaxInt)
}

// DeliveriesFrom returns some of what the event at a position led to.
func (s *Store) DeliveriesFrom(ctx context.Context, position uint64, from uint32, max int) ([]*store.DeliveryStatus, error) {
	f, err := s.family(ctx, position)
	if err != nil {
		return nil, err
	}
	defer f.v.close()
	e, err := f.v.event(position)
	if err != nil {
		return nil, err
	}
	rows, err := f.rows(ctx, from, max)
	if err != nil {
		return nil, err
	}
	if err := f.delivered(ctx, rows); err != nil {
		return nil, err
	}
	list := make([]*store.DeliveryStatus, 0, len(rows))
	of := origin{e.ID, e.Type, e.Source, e.Tenant, e.Received}
	bodies := 0
	for i, row := range rows {
		if row == nil {
			continue // taken by retention
		}
		bodies = trimBodies(row, bodies)
		list = append(list, statusOf(of, f.routing, uint32(i), row))
	}
	return list, nil
}

// family is a routing with what memory said of its lanes, and a view that is
// newer than that and in which the routing is the same.
type family struct {
	v       *view
	routing *codec.Routing
	lanes   map[string]*lane
}

// family must have its view closed.
func (s *Store) family(ctx context.Context, position uint64) (*family, error) {
	f := &family{}
	var seen []byte
	for {
		v, err := s.view(ctx)
		if err != nil {
			return nil, err
		}
		bucket := v.bucketOf(position)
		b, err := s.routingRow(v.txn, bucket, position)
		if err == nil && f.routing != nil && bytes.Equal(b, seen) {
			f.v = v
			return f, nil
		}
		if err == nil {
			// Lanes are known only now, and must be older than the view.
			if f.routing, err = decodeRouting(bucket, position, b); err == nil {
				f.lanes, seen = s.lanesOf(f.routing), b
			}
		}
		v.close()
		if err != nil {
			return nil, err
		}
	}
}

func (s *Store) lanesOf(r *codec.Routing) map[string]*lane {
	lanes := map[string]*lane{}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range r.Deliveries {
		name := r.Deliveries[i].Lane
		lanes[name] = s.lanes[name]
	}
	return lanes
}

// rows gives the rows of up to max deliveries by index, from one on: nil for those
// that are gone and those that are not asked for, and one that is waiting for those
// that have none.
func (f *family) rows(ctx context.Context, from uint32, max int) ([]*codec.Delivery, error) {
	rows := make([]*codec.Delivery, len(f.routing.Deliveries))
	for i := int(from); i < len(rows) && max > 0; i++ {
		if !f.routing.Gone[uint32(i)] {
			rows[i] = &codec.Delivery{State: store.Waiting}
			max--
		}
		if max == 0 {
			rows = rows[:i+1]
		}
	}
	position := f.routing.Position
	prefix := appendPosition(bucketed(f.v.bucketOf(position), rowDelivery, refLen), position)
	it := f.v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(binary.BigEndian.AppendUint32(slices.Clone(prefix), from)); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		key := it.Item().Key()
		if len(key) != bucketedLen+refLen {
			continue // a part
		}
		index := readRef(key[bucketedLen:]).Index
		if uint64(index) >= uint64(len(rows)) {
			break
		}
		if rows[index] == nil {
			continue
		}
		key, b, err := itemValue(f.v.txn, it)
		if err != nil {
			return nil, err
		}
		if rows[index], err = codec.DecodeDelivery(b); err != nil {
			return nil, malformed(key, err)
		}
	}
	return rows, nil
}

// delivered puts what history says in the place of waiting rows whose posting
// is settled.
func (f *family) delivered(ctx context.Context, rows []*codec.Delivery) error {
	wanted := map[string][]store.Ref{} // ascending
	for i, row := range rows {
		if row == nil || row.State != store.Waiting {
			continue
		}
		ref := store.Ref{Position: f.routing.Position, Index: uint32(i)}
		name := f.routing.Deliveries[i].Lane
		if l := f.lanes[name]; l != nil && settled(&l.Cursor, ref) {
			rows[i] = deliveredBy(nil)
			wanted[name] = append(wanted[name], ref)
		}
	}
	names := make([]string, 0, len(wanted))
	for name := range wanted {
		names = append(names, name)
	}
	slices.Sort(names)
	prefix := bucketed(f.v.bucketOf(f.routing.Position), rowHistory, 0)
	it := f.v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for _, name := range names {
		err := f.v.historyOf(ctx, it, name, wanted[name], func(line *codec.Settled) {
			rows[line.Ref.Index] = deliveredBy(line)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// historyOf finds the lines of some deliveries of one event, which ascend. It
// reads each chunk once, and none behind the one that has the last of them.
func (v *view) historyOf(ctx context.Context, it *badgerdb.Iterator, name string, refs []store.Ref, each func(*codec.Settled)) error {
	prefix := historyPrefix(v.bucketOf(refs[0].Position), name)
	block := refs[0].Position >> historyBlock
	found := make([]bool, len(refs))
	left := len(refs)
	for it.Seek(appendRef(slices.Clone(prefix), refs[0])); left > 0 && it.ValidForPrefix(prefix); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := it.Item().Key()
		if len(key) != len(prefix)+refLen {
			continue
		}
		if readRef(key[len(prefix):]).Position>>historyBlock != block {
			break
		}
		chunk, err := v.historyChunk(it)
		if err != nil {
			return err
		}
		first, _ := chunk.Find(refs[0])
		for i := first; i < chunk.Len() && chunk.Ref(i).Position == refs[0].Position; i++ {
			at, wanted := slices.BinarySearchFunc(refs, chunk.Ref(i), compareRefs)
			if !wanted || found[at] {
				continue
			}
			line, err := historyLine(it.Item().Key(), chunk, i)
			if err != nil {
				return err
			}
			found[at] = true
			left--
			each(line)
		}
	}
	return nil
}

// trimBodies leaves out the responses from the first on that does not fit into
// store.MaxBodies, used being what those before took, and gives what is used.
func trimBodies(d *codec.Delivery, used int) int {
	left := false
	for i := range d.Attempts {
		a := &d.Attempts[i]
		if used+len(a.Body) > store.MaxBodies {
			used = math.MaxInt32
		}
		if used > store.MaxBodies {
			left = left || a.Body != nil
			a.Body = nil
			continue
		}
		used += len(a.Body)
	}
	if left {
		// Strings of a row share its bytes, bodies included.
		d.Note, d.Reason = strings.Clone(d.Note), store.Reason(strings.Clone(string(d.Reason)))
		for i := range d.Attempts {
			a := &d.Attempts[i]
			a.Reason, a.Error = strings.Clone(a.Reason), strings.Clone(a.Error)
		}
	}
	return used
}
