package badger

import (
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
)

// How much one step of retention does, between which commits go on.
const (
	expireEvents     = 64
	expireDeliveries = 256
	expireRows       = 2000
)

// Expire applies retention as of now: it ends deliveries that are too old,
// takes dead letters that are, keeps aside what is unfinished of events older
// than retention, and takes the rest. Each step is a transaction of its own, so
// a run that was cut short is continued by the next.
func (s *Store) Expire(ctx context.Context, now time.Time) (store.Expired, error) {
	var done store.Expired
	for _, part := range []func(context.Context, time.Time, *store.Expired) error{
		s.expireAged, s.expireDead, s.expireEvents, s.expireAside,
	} {
		if err := part(ctx, now, &done); err != nil {
			return done, fmt.Errorf("retention: %w", err)
		}
	}
	return done, s.reclaim(ctx)
}

// step runs one step in the committer, alone in its transaction.
func (s *Store) step(ctx context.Context, do func(b *batch) error) error {
	_, err := s.submit(ctx, &request{internal: do, done: make(chan struct{})})
	return err
}

// laneNames gives the lanes of which a condition holds.
func (s *Store) laneNames(where func(*lane) bool) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []string
	for name, l := range s.lanes {
		if where(l) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// expireAged makes dead what has not been delivered within MaxAge.
func (s *Store) expireAged(ctx context.Context, now time.Time, done *store.Expired) error {
	position, err := s.positionAt(ctx, now.Add(-s.opts.MaxAge))
	if err != nil {
		return err
	}
	cut := store.Ref{Position: position}
	for _, name := range s.laneNames(func(l *lane) bool { return l.Posted > l.Left || l.Retrying > 0 }) {
		for more := true; more; {
			n, committed := 0, func() {}
			err := s.step(ctx, func(b *batch) (err error) {
				n, more, committed, err = b.ageLane(name, cut)
				return err
			})
			if err != nil {
				return err
			}
			committed()
			done.Aged += n
			if n > 0 {
				if done.AgedBy == nil {
					done.AgedBy = map[string]int{}
				}
				done.AgedBy[name] += n
			}
		}
	}
	return nil
}

// positionAt gives the position of the first event received at or after t.
func (s *Store) positionAt(ctx context.Context, t time.Time) (uint64, error) {
	v, err := s.view(ctx)
	if err != nil {
		return 0, err
	}
	defer v.close()
	low, high := uint64(1), v.last+1 // what is asked for is in between
	for low < high {
		mid := low + (high-low)/2
		e, err := v.firstFrom(mid)
		if err != nil {
			return 0, err
		}
		if e == nil || !e.Received.Before(t) {
			high = mid
		} else {
			low = e.Position + 1
		}
	}
	return low, nil
}

// firstFrom gives the first event at or after a position, nil where none is.
func (v *view) firstFrom(position uint64) (*event.Event, error) {
	var events []*event.Event
	var err error
	if position < v.oldest {
		if events, err = v.eventsOf(context.Background(), aside, position, 1, nil); err != nil || len(events) > 0 {
			return first(events), err
		}
		position = v.oldest
	}
	e, err := v.event(position)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return e, err
}

func first(events []*event.Event) *event.Event {
	if len(events) == 0 {
		return nil
	}
	return events[0]
}

// ageLane ends some deliveries of a lane that are before cut. committed is to be called
// when that is true.
func (b *batch) ageLane(name string, cut store.Ref) (n int, more bool, committed func(), err error) {
	committed = func() {}
	l := b.change(name)
	outcome := func(r store.Ref, from store.State, tries int) store.Outcome {
		return store.Outcome{
			Ref: r, From: from, To: store.Dead, Tries: tries, Reason: store.ReasonExpired,
			Note: "it could not be delivered within max_age",
		}
	}
	lo := store.LaneOutcomes{Lane: name}
	refs, err := b.head(name, l, cut, expireDeliveries)
	if err != nil {
		return 0, false, committed, err
	}
	if len(refs) > 0 {
		c := store.Cursor{Low: refs[len(refs)-1].Next()}
		for _, r := range l.Cursor.Above {
			if !r.Less(c.Low) {
				c.Above = append(c.Above, r)
			}
		}
		lo.Cursor = &c
		for _, r := range refs {
			lo.Outcomes = append(lo.Outcomes, outcome(r, store.Waiting, 0))
		}
	}
	retrying, err := b.indexed(name, stateRetrying, store.Ref{}, expireDeliveries)
	if err != nil {
		return 0, false, committed, err
	}
	for _, r := range retrying {
		if !r.Less(cut) {
			break
		}
		d, err := b.delivery(r)
		if err != nil {
			return 0, false, committed, err
		}
		lo.Outcomes = append(lo.Outcomes, outcome(r, store.Retrying, d.Tries))
	}
	n = len(lo.Outcomes)
	if n > 0 && name != store.RoutingLane && b.s.opts.Aged != nil {
		var d store.Document
		d, committed = b.s.opts.Aged(name, lo.Outcomes, b.event)
		if err := b.addDocument(&d); err != nil {
			return 0, false, committed, err
		}
	}
	return n, n >= expireDeliveries, committed, b.addOutcomes(&lo)
}

// event reads an event, which is part of no view: the committer must not wait for Close.
func (b *batch) event(position uint64) (*event.Event, error) {
	encoded, err := b.eventBytes(b.bucketOf(position), position)
	if err != nil {
		return nil, err
	}
	return decodeEvent(position, encoded)
}

// head gives up to n unsettled postings of a lane before cut.
func (b *batch) head(name string, l *lane, cut store.Ref, n int) ([]store.Ref, error) {
	if l.newest.Less(l.Cursor.Low) {
		return nil, nil
	}
	prefix := lanePrefix(kindPostings, name)
	it := b.txn().NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var refs []store.Ref
	for it.Seek(postingsKey(name, l.Cursor.Low)); it.Valid(); it.Next() {
		if len(it.Item().Key()) != len(prefix)+refLen {
			continue
		}
		chunk, err := readChunk(b.txn(), it)
		if err != nil {
			return nil, err
		}
		for _, r := range chunk.Refs {
			if len(refs) == n || !r.Less(cut) {
				return refs, nil
			}
			if !settled(&l.Cursor, r) {
				refs = append(refs, r)
			}
		}
	}
	return refs, nil
}

// indexed gives up to n deliveries of a lane in a state, in order.
func (b *batch) indexed(name string, state byte, from store.Ref, n int) ([]store.Ref, error) {
	prefix := append(lanePrefix(kindState, name), state)
	it := b.txn().NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var refs []store.Ref
	for it.Seek(appendRef(slices.Clone(prefix), from)); it.Valid() && len(refs) < n; it.Next() {
		key := it.Item().KeyCopy(nil)
		if len(key) != len(prefix)+refLen {
			return nil, damaged(key, "its key has another length")
		}
		refs = append(refs, readRef(key[len(prefix):]))
	}
	return refs, nil
}

// expireDead takes dead letters that have been dead for DeadAge.
func (s *Store) expireDead(ctx context.Context, now time.Time, done *store.Expired) error {
	until := now.Add(-s.opts.DeadAge)
	for _, name := range s.laneNames(func(l *lane) bool { return l.Dead > 0 }) {
		for from, more := (store.Ref{}), true; more; {
			n := 0
			err := s.step(ctx, func(b *batch) error {
				refs, err := b.indexed(name, stateDead, from, expireDeliveries)
				if err != nil {
					return err
				}
				more = len(refs) == expireDeliveries
				if len(refs) > 0 {
					from = refs[len(refs)-1].Next()
				}
				n, err = b.takeDead(name, refs, until)
				return err
			})
			if err != nil {
				return err
			}
			done.DeadLetters += n
		}
	}
	return nil
}

func (b *batch) takeDead(name string, refs []store.Ref, until time.Time) (int, error) {
	n := 0
	for _, r := range refs {
		key := stateKey(name, stateDead, r)
		v, err := b.get(key)
		if err != nil {
			return 0, err
		}
		since, err := codec.DecodeTime(v)
		if err != nil {
			return 0, malformed(key, err)
		}
		if !since.Before(until) {
			continue
		}
		routing, err := b.routing(r.Position)
		if err != nil {
			return 0, err
		}
		if routing.Gone == nil {
			routing.Gone = map[uint32]bool{}
		}
		routing.Gone[r.Index] = true
		b.put(routingKey(b.bucketOf(r.Position), r.Position), codec.AppendRouting(nil, routing))
		b.remove(key)
		if err := b.removeWhole(deliveryKey(b.bucketOf(r.Position), r)); err != nil {
			return 0, err
		}
		l := b.change(name)
		l.Dead--
		l.write = true
		n++
	}
	return n, nil
}

// removeWhole deletes a value with the rows that it goes on in.
func (b *batch) removeWhole(key []byte) error {
	_, parts, err := b.getRow(key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for n := 1; n <= parts; n++ {
		b.remove(partKey(key, n))
	}
	b.remove(key)
	return nil
}

// expireEvents takes buckets whose newest event is older than retention.
func (s *Store) expireEvents(ctx context.Context, now time.Time, done *store.Expired) error {
	cut, err := s.positionAt(ctx, now.Add(-s.opts.Retention))
	if err != nil {
		return err
	}
	for more := true; more; {
		n := 0
		err := s.step(ctx, func(b *batch) (err error) {
			n, more, err = b.expireBucket(cut, now)
			return err
		})
		if err != nil {
			return err
		}
		done.Events += n
	}
	return nil
}

// expireBucket does a step with the oldest bucket: first its events go or are
// kept aside, and the oldest position moves on; then, when nothing in it can be
// found any more, all of its rows go.
func (b *batch) expireBucket(cut uint64, now time.Time) (events int, more bool, err error) {
	if len(b.buckets) == 0 {
		return 0, false, nil
	}
	k := b.buckets[0]
	end := b.last + 1
	if len(b.buckets) > 1 {
		end = b.buckets[1].first
	}
	if end > cut || end > b.progress+1 {
		return 0, false, nil
	}
	if b.oldest >= end {
		more, err := b.dropBucket(k.number)
		return 0, more || len(b.buckets) > 0, err
	}
	p := max(b.oldest, k.first)
	for n := 0; n < expireEvents && p < end && b.size < b.s.maxSize/4 && b.count < b.s.maxRows/4; n++ {
		kept, err := b.expireEvent(k.number, p, now)
		if err != nil {
			return 0, false, err
		}
		if !kept {
			events++
		}
		p++
	}
	b.oldest = p
	b.put([]byte{kindOldest}, codec.AppendNumbers(nil, b.oldest, uint64(b.received)))
	return events, true, nil
}

// dropBucket deletes rows of a bucket, and the bucket when none are left.
func (b *batch) dropBucket(number uint32) (more bool, err error) {
	prefix := appendBucket(number)
	it := b.txn().NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	n := 0
	for it.Rewind(); it.Valid(); it.Next() {
		if n == expireRows {
			return true, nil
		}
		b.remove(it.Item().KeyCopy(nil))
		b.s.gone.Add(it.Item().EstimatedSize())
		n++
	}
	b.remove(bucketRowKey(number))
	b.buckets, b.dropped = b.buckets[1:], true
	return false, nil
}

// expireEvent keeps an event aside or takes it. Its rows in the bucket stay
// until the whole bucket goes.
func (b *batch) expireEvent(number uint32, position uint64, now time.Time) (kept bool, err error) {
	routing, err := b.routing(position)
	if err != nil {
		return false, err
	}
	rows, err := b.deliveryRows(number, position)
	if err != nil {
		return false, err
	}
	var gone []uint32
	unfinished := false
	for i := range routing.Deliveries {
		index := uint32(i)
		if routing.Gone[index] {
			continue
		}
		if b.stateOf(routing, index, rows).Final() && !isDead(rows[index]) {
			gone = append(gone, index)
			continue
		}
		unfinished = true
	}
	for _, index := range gone {
		b.uncount(routing, index, rows)
	}
	if !unfinished {
		return false, b.forgetID(number, position, now)
	}
	if routing.Gone == nil {
		routing.Gone = map[uint32]bool{}
	}
	for _, index := range gone {
		routing.Gone[index] = true
	}
	return true, b.keepAside(number, routing, rows)
}

func isDead(d *codec.Delivery) bool { return d != nil && d.State == store.Dead }

// stateOf gives a delivery's state from its row or its lane's cursor.
func (b *batch) stateOf(r *codec.Routing, index uint32, rows map[uint32]*codec.Delivery) store.State {
	if d := rows[index]; d != nil {
		return d.State
	}
	l := b.peek(r.Deliveries[index].Lane)
	if l != nil && settled(&l.Cursor, store.Ref{Position: r.Position, Index: index}) {
		return store.Delivered
	}
	return store.Waiting
}

// peek gives a lane that is not changed.
func (b *batch) peek(name string) *lane {
	if l := b.lanes[name]; l != nil {
		return l
	}
	b.s.mu.RLock()
	defer b.s.mu.RUnlock()
	return b.s.lanes[name]
}

// uncount takes a finished delivery out of its lane's counts.
func (b *batch) uncount(r *codec.Routing, index uint32, rows map[uint32]*codec.Delivery) {
	l := b.change(r.Deliveries[index].Lane)
	l.write = true
	switch b.stateOf(r, index, rows) {
	case store.Delivered:
		l.Delivered--
	case store.Cancelled:
		l.Cancelled--
	}
}

// deliveryRows reads the rows of an event's deliveries, by index.
func (b *batch) deliveryRows(bucket uint32, position uint64) (map[uint32]*codec.Delivery, error) {
	prefix := appendPosition(bucketed(bucket, rowDelivery, refLen), position)
	it := b.txn().NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var rows map[uint32]*codec.Delivery
	for it.Rewind(); it.Valid(); it.Next() {
		if len(it.Item().Key()) != bucketedLen+refLen {
			continue // a part
		}
		key, v, err := itemValue(b.txn(), it)
		if err != nil {
			return nil, err
		}
		d, err := codec.DecodeDelivery(v)
		if err != nil {
			return nil, malformed(key, err)
		}
		if rows == nil {
			rows = map[uint32]*codec.Delivery{}
		}
		rows[readRef(key[bucketedLen:]).Index] = d
	}
	return rows, nil
}

// forgetID ends the memory of an event's id, at once or when its window ends.
func (b *batch) forgetID(bucket uint32, position uint64, now time.Time) error {
	v, err := b.eventBytes(bucket, position)
	if err != nil {
		return err
	}
	e, err := codec.Event(position, v)
	if err != nil {
		return malformed(eventKey(bucket, position), err)
	}
	if !e.Given {
		return nil
	}
	key := idKey(e.ID, e.Source, e.Scope)
	id, err := b.id(key)
	if errors.Is(err, store.ErrNotFound) || err == nil && id.Position != position {
		return nil // a newer event has it
	}
	if err != nil {
		return err
	}
	left := id.Until.Sub(now)
	if left <= 0 {
		b.remove(key)
		return nil
	}
	// Badger's clock, which is the real one, and a minute for what it rounds.
	expires := time.Now().Add(left + time.Minute).Unix()
	b.setRow(&row{key: key, value: seal(key, 0, codec.AppendID(nil, id)), expires: uint64(expires)})
	return nil
}

// keepAside copies what is left of an event. What is too much for the batch is
// written at once: it cannot be found before the batch says so.
func (b *batch) keepAside(bucket uint32, r *codec.Routing, rows map[uint32]*codec.Delivery) error {
	e, err := b.eventBytes(bucket, r.Position)
	if err != nil {
		return err
	}
	early := &earlyRows{b: b, rows: map[string]*row{}}
	early.put(eventKey(aside, r.Position), e)
	early.put(routingKey(aside, r.Position), codec.AppendRouting(nil, r))
	for i, length := range r.Outside {
		if length < 0 {
			continue
		}
		data, err := b.get(contentKey(bucket, r.Position, i))
		if err != nil {
			return err
		}
		early.put(contentKey(aside, r.Position, i), data)
	}
	for index, d := range rows {
		if !r.Gone[index] {
			early.put(deliveryKey(aside, store.Ref{Position: r.Position, Index: index}), codec.AppendDelivery(nil, d))
		}
	}
	return early.end()
}

// earlyRows are rows that nothing refers to yet.
type earlyRows struct {
	b    *batch
	rows map[string]*row
	size int64
	err  error
}

func (w *earlyRows) put(key, payload []byte) {
	split(key, payload, func(k, v []byte) {
		w.rows[string(k)] = &row{key: k, value: v}
		w.size += int64(len(k)+len(v)) + rowOverhead
		if w.size >= w.b.s.maxSize/4 && w.err == nil {
			w.err = w.b.s.write(w.rows)
			clear(w.rows)
			w.size = 0
		}
	})
}

func (w *earlyRows) end() error {
	for _, r := range w.rows {
		w.b.setRow(r)
	}
	return w.err
}

// expireAside takes what was kept aside and is finished.
func (s *Store) expireAside(ctx context.Context, now time.Time, done *store.Expired) error {
	until := now.Add(-s.opts.Retention)
	for from, more := uint64(0), true; more; {
		n := 0
		err := s.step(ctx, func(b *batch) (err error) {
			n, from, err = b.expireAsideFrom(from, until, now)
			more = from != math.MaxUint64
			return err
		})
		if err != nil {
			return err
		}
		done.Events += n
	}
	for from, more := []byte(nil), true; more; {
		err := s.step(ctx, func(b *batch) (err error) {
			from, err = b.sweepHistory(from)
			more = from != nil
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) expireAsideFrom(from uint64, until, now time.Time) (n int, next uint64, err error) {
	prefix := bucketed(aside, rowRouting, 0)
	it := b.txn().NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	seen := 0
	for it.Seek(routingKey(aside, from)); it.Valid(); it.Next() {
		key := it.Item().Key()
		if len(key) != eventKeyLen {
			continue
		}
		position := readPosition(key[bucketedLen:])
		if position >= b.oldest {
			break // written early, and not in force yet
		}
		if seen == expireEvents || b.size > b.s.maxSize/4 || b.count > b.s.maxRows/4 {
			return n, position, nil
		}
		seen++
		taken, err := b.expireAsideEvent(position, until, now)
		if err != nil {
			return n, 0, err
		}
		if taken {
			n++
		}
	}
	return n, math.MaxUint64, nil
}

func (b *batch) expireAsideEvent(position uint64, until, now time.Time) (bool, error) {
	routing, err := b.routing(position)
	if err != nil {
		return false, err
	}
	rows, err := b.deliveryRows(aside, position)
	if err != nil {
		return false, err
	}
	for i := range routing.Deliveries {
		index := uint32(i)
		if routing.Gone[index] {
			continue
		}
		d := rows[index]
		if d == nil || isDead(d) || !d.State.Final() || !d.Changed.Before(until) {
			return false, nil
		}
	}
	for i := range routing.Deliveries {
		if index := uint32(i); !routing.Gone[index] {
			b.uncount(routing, index, rows)
			if err := b.removeWhole(deliveryKey(aside, store.Ref{Position: position, Index: index})); err != nil {
				return false, err
			}
		}
	}
	for i, length := range routing.Outside {
		if length >= 0 {
			if err := b.removeWhole(contentKey(aside, position, i)); err != nil {
				return false, err
			}
		}
	}
	if err := b.forgetID(aside, position, now); err != nil {
		return false, err
	}
	if err := b.removeWhole(routingKey(aside, position)); err != nil {
		return false, err
	}
	return true, b.removeWhole(eventKey(aside, position))
}

// sweepHistory deletes history of events that are no longer kept aside. It gives
// where to go on, nil at the end.
func (b *batch) sweepHistory(from []byte) ([]byte, error) {
	prefix := bucketed(aside, rowHistory, 0)
	it := b.txn().NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	if from == nil {
		from = prefix
	}
	seen := 0
	for it.Seek(from); it.Valid(); it.Next() {
		key, v, err := itemValue(b.txn(), it)
		if err != nil {
			return nil, err
		}
		if seen == expireEvents {
			return key, nil
		}
		seen++
		lines, err := codec.DecodeHistory(v)
		if err != nil {
			return nil, malformed(key, err)
		}
		used := false
		for i := 0; i < len(lines) && !used; i++ {
			_, _, err := b.getRow(eventKey(aside, lines[i].Ref.Position))
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			used = err == nil
		}
		if !used {
			b.remove(key)
		}
	}
	return nil, nil
}
