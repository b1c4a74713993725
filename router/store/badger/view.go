package badger

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

// view is a consistent look at the store. What memory said is older than the
// rows, or the same age.
type view struct {
	s              *Store
	txn            *badgerdb.Txn
	last, progress uint64
	oldest         uint64
	buckets        []bucket
	pending        pending
	// chunks are those of histories that were read last, by their key.
	chunks map[string]*codec.History
	// iterators are those that last as long as the view.
	iterators []*badgerdb.Iterator
}

// view must be closed. While it is open the store is not closed.
func (s *Store) view(ctx context.Context) (*view, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.open.RLock()
	if s.closed {
		s.open.RUnlock()
		return nil, store.ErrClosed
	}
	v := &view{s: s}
	if err := v.begin(); err != nil {
		s.open.RUnlock()
		return nil, err
	}
	return v, nil
}

// refresh gives a newer view, which must be discarded and not closed.
func (v *view) refresh() (*view, error) {
	n := &view{s: v.s}
	return n, n.begin()
}

func (v *view) begin() error {
	s := v.s
	s.mu.RLock()
	v.last, v.progress, v.oldest, v.buckets, v.pending = s.last, s.progress, s.oldest, s.buckets, *s.pending
	s.mu.RUnlock()
	v.txn = s.db.NewTransaction(false)
	// Retention may have moved rows since: where they are is in the rows.
	key := []byte{kindOldest}
	row, err := get(v.txn, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		var received uint64
		if err = codec.DecodeNumbers(row, &v.oldest, &received); err != nil {
			err = malformed(key, err)
		}
	}
	if err != nil {
		v.txn.Discard()
	}
	return err
}

func (v *view) close() {
	v.discard()
	v.s.open.RUnlock()
}

func (v *view) discard() {
	for _, it := range v.iterators {
		it.Close()
	}
	v.txn.Discard()
}

// downward gives an iterator from greater keys to smaller ones that lasts as long as
// the view. To make one costs more than to move it.
func (v *view) downward() *badgerdb.Iterator {
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Reverse: true})
	v.iterators = append(v.iterators, it)
	return it
}

func (v *view) bucketOf(position uint64) uint32 { return bucketOf(v.buckets, v.oldest, position) }

// lane gives what memory knows of a lane, nil where nothing was posted to it.
func (v *view) lane(name string) *lane {
	v.s.mu.RLock()
	defer v.s.mu.RUnlock()
	return v.s.lanes[name]
}

// routing gives a routing without the data that has rows of its own.
func (v *view) routing(position uint64) (*codec.Routing, error) {
	bucket := v.bucketOf(position)
	b, err := v.s.routingRow(v.txn, bucket, position)
	if err != nil {
		return nil, err
	}
	return decodeRouting(bucket, position, b)
}

func decodeRouting(bucket uint32, position uint64, b []byte) (*codec.Routing, error) {
	r, err := codec.DecodeRouting(position, b)
	if err != nil {
		return nil, malformed(routingKey(bucket, position), err)
	}
	return r, nil
}

// Event returns the event at a position.
func (s *Store) Event(ctx context.Context, position uint64) (*event.Event, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	return v.event(position)
}

// Events returns up to max events from a position on.
func (s *Store) Events(ctx context.Context, from uint64, max int) ([]*event.Event, error) {
	if events, err := s.tail.events(from, max); err != nil || len(events) > 0 {
		return events, err
	}
	for {
		v, err := s.view(ctx)
		if err != nil {
			return nil, err
		}
		events, moved, err := v.events(ctx, from, max)
		v.close()
		if err != nil || !moved {
			return events, err
		}
	}
}

// events is as that of the store. moved says that retention has taken some of what the
// view has.
func (v *view) events(ctx context.Context, from uint64, max int) (events []*event.Event, moved bool, err error) {
	if from < v.oldest {
		if events, err = v.eventsOf(ctx, aside, from, max, events); err != nil {
			return nil, false, err
		}
		from = v.oldest
	}
	for i, k := range v.buckets {
		if i+1 < len(v.buckets) && v.buckets[i+1].first <= from {
			continue
		}
		if len(events) >= max || from >= v.s.begin || k.first >= v.s.begin {
			break
		}
		if events, err = v.eventsOf(ctx, k.number, from, max, events); err != nil {
			return nil, false, err
		}
	}
	if from < v.s.begin {
		from = v.s.begin
	}
	return v.segmentEvents(ctx, from, max, events)
}

// eventsOf appends the events of one bucket that are in rows, in order.
func (v *view) eventsOf(ctx context.Context, bucket uint32, from uint64, max int, events []*event.Event) ([]*event.Event, error) {
	prefix := bucketed(bucket, rowEvent, 0)
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(eventKey(bucket, from)); it.Valid() && len(events) < max; it.Next() {
		if len(it.Item().Key()) != eventKeyLen {
			continue // a part
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		position := readPosition(it.Item().Key()[bucketedLen:])
		if bucket == aside && position >= v.oldest {
			break // copied early, and still found in its bucket
		}
		key, b, err := itemValue(v.txn, it)
		if err != nil {
			return nil, err
		}
		e, err := codec.Event(position, b)
		if err != nil {
			return nil, malformed(key, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// Routing returns what the event at a position led to.
func (s *Store) Routing(ctx context.Context, position uint64) (*store.Routing, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	r, err := v.routing(position)
	if err != nil {
		return nil, err
	}
	for i, length := range r.Outside {
		if length < 0 {
			continue
		}
		key := contentKey(v.bucketOf(position), position, i)
		data, err := get(v.txn, key)
		if errors.Is(err, store.ErrNotFound) || err == nil && len(data) != length {
			return nil, damaged(key, "it is not what the routing says")
		}
		if err != nil {
			return nil, err
		}
		r.Contents[i].Data = data
	}
	return &r.Routing, nil
}

// Lanes returns every lane that something was ever posted to, in no order.
func (s *Store) Lanes(ctx context.Context) ([]store.Lane, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	lanes := make([]store.Lane, 0, len(s.lanes))
	for name, l := range s.lanes {
		lanes = append(lanes, l.public(name))
	}
	return lanes, nil
}

// Lane returns one lane.
func (s *Store) Lane(ctx context.Context, name string) (store.Lane, error) {
	if err := ctx.Err(); err != nil {
		return store.Lane{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if l := s.lanes[name]; l != nil {
		return l.public(name), nil
	}
	return store.Lane{Name: name}, nil
}

func (l *lane) public(name string) store.Lane {
	return store.Lane{Name: name, Cursor: codec.CloneCursor(l.Cursor), Counts: l.Counts()}
}

// Postings returns up to max unsettled postings of a lane.
func (s *Store) Postings(ctx context.Context, name string, from store.Ref, max int) ([]store.Posting, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	l := v.lane(name)
	if l == nil || max <= 0 {
		return nil, nil
	}
	if from.Less(l.Cursor.Low) {
		from = l.Cursor.Low
	}
	if l.newest.Less(from) {
		return nil, nil // the lane has caught up
	}
	prefix := lanePrefix(kindPostings, name)
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var postings []store.Posting
	for it.Seek(postingsKey(name, from)); it.Valid(); it.Next() {
		if len(it.Item().Key()) != len(prefix)+refLen {
			continue
		}
		chunk, err := readChunk(v.txn, it)
		if err != nil {
			return nil, err
		}
		for _, r := range chunk.Refs {
			if r.Less(from) || settled(&l.Cursor, r) {
				continue
			}
			if len(postings) == max {
				return postings, nil
			}
			postings = append(postings, store.Posting{Ref: r})
		}
		if len(postings) == max {
			break
		}
	}
	return postings, nil
}

// Retries returns up to max retries of a lane by due time.
func (s *Store) Retries(ctx context.Context, name string, max int) ([]store.Retry, error) {
	if max <= 0 {
		return nil, nil
	}
	s.mu.RLock()
	l := s.lanes[name]
	s.mu.RUnlock()
	if l == nil {
		return nil, ctx.Err()
	}
	// Before the snapshot, so that a retry which the snapshot lacks is counted.
	low, added := l.head.from()
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	retries, err := v.retries(name, low, store.Ref{}, max)
	if len(retries) > 0 {
		l.head.found(retries[0].Due.UnixNano(), added)
	}
	return retries, err
}

// RetriesFrom returns retries from a place on.
func (s *Store) RetriesFrom(ctx context.Context, name string, due time.Time, ref store.Ref, max int) ([]store.Retry, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	at := int64(math.MinInt64) // UnixNano is not defined for the zero time
	if !due.IsZero() {
		at = due.UnixNano()
	}
	return v.retries(name, at, ref, max)
}

func (v *view) retries(name string, due int64, ref store.Ref, max int) ([]store.Retry, error) {
	prefix := lanePrefix(kindRetry, name)
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var retries []store.Retry
	for it.Seek(retryKey(name, due, ref)); it.Valid() && len(retries) < max; it.Next() {
		key, b, err := itemValue(v.txn, it)
		if err != nil {
			return nil, err
		}
		if len(key) != len(prefix)+8+refLen {
			return nil, damaged(key, "its key has another length")
		}
		y, err := codec.DecodeRetry(b)
		if err != nil {
			return nil, malformed(key, err)
		}
		due := int64(binary.BigEndian.Uint64(key[len(prefix):]))
		retries = append(retries, store.Retry{
			Ref: readRef(key[len(prefix)+8:]), Due: timeOf(due), Tries: y.Tries, Attempts: y.Attempts, Key: y.Key,
		})
	}
	return retries, nil
}

// Oldest returns the first unfinished delivery of a lane.
func (s *Store) Oldest(ctx context.Context, name string) (store.Ref, error) {
	postings, err := s.Postings(ctx, name, store.Ref{}, 1)
	if err != nil {
		return store.Ref{}, err
	}
	v, err := s.view(ctx)
	if err != nil {
		return store.Ref{}, err
	}
	defer v.close()
	prefix := append(lanePrefix(kindState, name), stateRetrying)
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	it.Rewind()
	if !it.Valid() {
		if len(postings) == 0 {
			return store.Ref{}, store.ErrNotFound
		}
		return postings[0].Ref, nil
	}
	key := it.Item().KeyCopy(nil)
	if len(key) != len(prefix)+refLen {
		return store.Ref{}, damaged(key, "its key has another length")
	}
	oldest := readRef(key[len(prefix):])
	if len(postings) > 0 && postings[0].Ref.Less(oldest) {
		oldest = postings[0].Ref
	}
	return oldest, nil
}
