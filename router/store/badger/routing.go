package badger

import (
	"errors"
	"fmt"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

func outOfOrder(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, store.ErrOutOfOrder)...)
}

func needsContentRows(req *request) bool {
	for i := range req.routings {
		if req.routings[i].outside != nil {
			return true
		}
	}
	return false
}

// checkRoutings refuses routings that do not follow, before rows of contents
// are written for them.
func (b *batch) checkRoutings(req *request) error {
	next := b.progress + 1
	for _, r := range req.rec.Routings {
		if r.Again {
			continue
		}
		if r.Position != next {
			return outOfOrder("a routing of position %d, the next is %d", r.Position, next)
		}
		if r.Position > b.last {
			return outOfOrder("a routing of position %d, the last event is %d", r.Position, b.last)
		}
		next++
	}
	return nil
}

// writeContents writes data of contents that is too much for one row in
// transactions of its own. Nothing refers to it until the routing is committed,
// and routing the event again writes the same rows again.
func (b *batch) writeContents(req *request) error {
	rows := map[string]*row{}
	var size int64
	flush := func() error {
		if err := b.s.write(rows); err != nil {
			return err
		}
		clear(rows)
		size = 0
		return nil
	}
	for i, r := range req.rec.Routings {
		base := 0
		if r.Again {
			old, err := b.routing(r.Position)
			if err != nil {
				return err
			}
			base = len(old.Contents)
		}
		for n, length := range req.routings[i].outside {
			if length < 0 {
				continue
			}
			var err error
			key := contentKey(b.bucketOf(r.Position), r.Position, base+n)
			split(key, r.Contents[n].Data, func(k, v []byte) {
				if size += int64(len(k)+len(v)) + rowOverhead; size > b.s.maxSize && len(rows) > 0 && err == nil {
					err = flush()
					size = int64(len(k)+len(v)) + rowOverhead
				}
				rows[string(k)] = &row{key: k, value: v}
			})
			if err != nil {
				return err
			}
		}
	}
	return flush()
}

func (b *batch) routing(position uint64) (*codec.Routing, error) {
	bucket := b.bucketOf(position)
	v, err := b.routingRow(bucket, position)
	if errors.Is(err, store.ErrNotFound) {
		return nil, outOfOrder("position %d has no routing", position)
	}
	if err != nil {
		return nil, err
	}
	return decodeRouting(bucket, position, v)
}

// routingRow is as that of the store, as the batch has it by now.
func (b *batch) routingRow(bucket uint32, position uint64) ([]byte, error) {
	key := routingKey(bucket, position)
	if _, ok := b.rows[string(key)]; ok {
		return b.get(key)
	}
	if i := position - b.routedFrom; position >= b.routedFrom && i < uint64(len(b.routed)) {
		return b.routed[i], nil
	}
	return b.s.routingRow(b.txn(), bucket, position)
}

func (b *batch) addRouting(r *store.Routing, encoded *encodedRouting) error {
	if r.Again {
		return b.addFurtherRouting(r, encoded)
	}
	if r.Position != b.progress+1 {
		return outOfOrder("a routing of position %d, the next is %d", r.Position, b.progress+1)
	}
	if r.Position > b.last {
		return outOfOrder("a routing of position %d, the last event is %d", r.Position, b.last)
	}
	b.progress = r.Position
	if encoded.outside == nil && len(encoded.row) <= groupLargest {
		b.addToGroup(encoded.row)
	} else {
		b.routed = append(b.routed, nil)
		b.put(routingKey(b.bucketOf(r.Position), r.Position), encoded.row)
	}
	return b.addDeliveries(r, 0)
}

// addFurtherRouting appends what r has to what the event led to before.
func (b *batch) addFurtherRouting(r *store.Routing, encoded *encodedRouting) error {
	old, err := b.routing(r.Position)
	if err != nil {
		return err
	}
	matches, contents, first := len(old.Matches), len(old.Contents), len(old.Deliveries)
	if first+len(r.Deliveries) > store.MaxDeliveries {
		return fmt.Errorf("position %d would have %d deliveries: %w", r.Position, first+len(r.Deliveries), store.ErrTooLarge)
	}
	old.Matches = append(old.Matches, r.Further(old.Config)...)
	old.Contents = append(old.Contents, r.Contents...)
	for i := range r.Contents {
		outside := -1
		if encoded.outside != nil {
			outside = encoded.outside[i]
		}
		old.Outside = append(old.Outside, outside)
	}
	for i := range r.Deliveries {
		d := r.Deliveries[i]
		d.Match += matches
		if d.Content >= 0 {
			d.Content += contents
		}
		old.Deliveries = append(old.Deliveries, d)
	}
	b.put(routingKey(b.bucketOf(r.Position), r.Position), codec.AppendRouting(nil, old))
	return b.addDeliveries(r, uint32(first))
}

// addDeliveries puts each delivery where it begins: in its lane's order, among
// its retries, or among its dead letters.
func (b *batch) addDeliveries(r *store.Routing, first uint32) error {
	now := b.s.opts.Now()
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		ref := store.Ref{Position: r.Position, Index: first + uint32(i)}
		l := b.change(d.Lane)
		row := codec.Delivery{Changed: now, Note: d.Error}
		switch {
		case d.Dead != "":
			row.State, row.Reason = store.Dead, d.Dead
			b.enter(d.Lane, l, ref, &row)
			b.putDelivery(ref, &row)
		case !d.Due.IsZero():
			row.State, row.Due = store.Retrying, d.Due
			b.enter(d.Lane, l, ref, &row)
			b.putDelivery(ref, &row)
		default:
			refs, seen := b.postings[d.Lane]
			if !seen {
				b.reserve(len(d.Lane) + 40)
			}
			b.postings[d.Lane] = append(refs, ref)
			b.size += 6
			l.Posted++
			l.newest = ref
		}
	}
	return nil
}

func (b *batch) putDelivery(ref store.Ref, d *codec.Delivery) {
	b.put(deliveryKey(b.bucketOf(ref.Position), ref), codec.AppendDelivery(nil, d))
}
