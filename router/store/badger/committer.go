package badger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
	"github.com/weirhq/weir/router/store/segment"
)

// request is a record on its way through the committer. What can be encoded
// without knowing the state is, by the goroutine that asks.
type request struct {
	rec *store.Record
	// events are the encoded ones, sums what tells ids that differ.
	events   [][]byte
	sums     [][16]byte
	routings []encodedRouting
	size     int64
	// internal is a change by the store itself, such as a step of retention.
	internal func(b *batch) error

	// taken is set by whoever comes first: the committer that begins, or the
	// caller that gives up.
	taken  atomic.Bool
	result store.Result
	err    error
	done   chan struct{}
}

// encodedRouting has data outside where all contents are too much for one row.
type encodedRouting struct {
	row     []byte
	outside []int // as in codec.Routing
}

// outsideFrom is how much data of contents a routing's row holds, and
// outsideLeast the size from which a content goes outside when there is more.
const (
	outsideFrom  = 512 << 10
	outsideLeast = 4 << 10
)

// Commit stores a record, see [store.Store].
func (s *Store) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	if err := r.Validate(); err != nil {
		return store.Result{}, err
	}
	if defect != "" {
		if result, answered := spoil(r); answered {
			return result, nil
		}
	}
	req, err := s.encode(r)
	if err != nil {
		return store.Result{}, err
	}
	return s.submit(ctx, req)
}

func (s *Store) encode(r *store.Record) (*request, error) {
	req := &request{rec: r, done: make(chan struct{})}
	if n := len(r.Events); n > 0 {
		req.events = make([][]byte, n)
		req.sums = make([][16]byte, n)
	}
	for i := range r.Events {
		e := r.Events[i].Event
		req.events[i] = codec.AppendEvent(make([]byte, 0, 128+len(e.Data)+64*len(e.Header)), e)
		req.size += int64(len(req.events[i]))
		if e.Given || r.Events[i].Alias != "" {
			req.sums[i] = sumOf(e)
		}
	}
	if n := len(r.Routings); n > 0 {
		req.routings = make([]encodedRouting, n)
	}
	for i, routing := range r.Routings {
		req.routings[i] = encodeRouting(routing)
		req.size += int64(len(req.routings[i].row))
	}
	for _, lo := range r.Outcomes {
		for i := range lo.Outcomes {
			req.size += 64
			if a := lo.Outcomes[i].Attempt; a != nil {
				req.size += int64(64 + len(a.Body) + len(a.Error))
			}
		}
	}
	for i := range r.Documents {
		req.size += int64(len(r.Documents[i].Value))
	}
	return req, nil
}

// encodeRouting gives the row of a first routing; that of another one depends
// on what is there.
func encodeRouting(r *store.Routing) encodedRouting {
	var e encodedRouting
	e.outside = outside(r.Contents)
	if !r.Again {
		e.row = codec.AppendRouting(nil, &codec.Routing{Routing: *r, Outside: e.outside})
	}
	return e
}

func outside(contents []store.Content) []int {
	total := 0
	for i := range contents {
		total += len(contents[i].Data)
	}
	if total <= outsideFrom {
		return nil
	}
	list := make([]int, len(contents))
	for i := range contents {
		list[i] = -1
		if n := len(contents[i].Data); n >= outsideLeast {
			list[i] = n
		}
	}
	return list
}

// submit hands a request to the committer and waits for its answer.
func (s *Store) submit(ctx context.Context, req *request) (store.Result, error) {
	if err := s.enqueue(ctx, req); err != nil {
		return store.Result{}, err
	}
	select {
	case <-req.done:
	case <-ctx.Done():
		if req.taken.CompareAndSwap(false, true) {
			return store.Result{}, ctx.Err() // the committer will pass over it
		}
		<-req.done // it is being committed: at most one flush
	}
	return req.result, req.err
}

func (s *Store) enqueue(ctx context.Context, req *request) error {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	waiting := s.waiting.Add(req.size)
	if len(req.events) == 0 {
		select {
		case s.queue <- req:
			return nil
		case <-ctx.Done():
			s.waiting.Add(-req.size)
			return ctx.Err()
		}
	}
	// A record larger than the bound goes in when nothing else waits.
	if waiting > queueBytes && waiting != req.size {
		s.waiting.Add(-req.size)
		return store.ErrBusy
	}
	select {
	case s.queue <- req:
		return nil
	default:
		s.waiting.Add(-req.size)
		return store.ErrBusy
	}
}

// commit is the committer. It ends when the queue is closed and empty.
func (s *Store) commit() {
	defer close(s.done)
	group := make([]*request, 0, 256)
	for req := range s.queue {
		group = append(group[:0], req)
		size := req.size
		for size < s.maxSize && len(group) < cap(group) {
			select {
			case more, ok := <-s.queue:
				if ok {
					group = append(group, more)
					size += more.size
					continue
				}
			default:
			}
			break
		}
		s.waiting.Add(-size)
		s.commitGroup(group)
		clear(group)
	}
	if err := s.flushPending(); err != nil {
		s.log.Debug("the next start makes the rows of the newest events", "error", err)
	}
}

// commitGroup puts a group into as few transactions as it fits in.
func (s *Store) commitGroup(group []*request) {
	b := s.newBatch()
	space := sync.OnceValue(s.room.checkEvents) // once a group
	for _, req := range group {
		if !req.taken.CompareAndSwap(false, true) {
			continue
		}
		if err := s.refused(req, b, space); err != nil {
			req.answer(err)
			continue
		}
		if req.internal != nil { // a step of retention reads rows, so all must be there
			s.flush(b)
			err := s.flushPending()
			b = s.newBatch()
			if err != nil {
				req.answer(err)
				continue
			}
		}
		err := b.add(req)
		if err == nil && req.internal != nil {
			s.flush(b)
			b = s.newBatch()
			continue
		}
		if errors.Is(err, errBatchFull) {
			if len(b.requests) > 0 {
				s.flush(b)
				b = s.newBatch()
			}
			if err = s.refused(req, b, space); err == nil {
				err = b.addAlone(req)
			}
		}
		if err != nil {
			req.answer(err)
		}
	}
	s.flush(b)
}

// refused says why a request can't become part of a batch.
func (s *Store) refused(req *request, b *batch, space func() error) error {
	s.mu.RLock()
	failed := s.failed
	s.mu.RUnlock()
	if failed != nil {
		return failed
	}
	if len(req.events) == 0 {
		return nil
	}
	if s.pending.many() { // there was no room for it
		if err := s.flushPending(); err != nil {
			return err
		}
		b.discard() // what the batch read is without these rows
	}
	return space()
}

// eventsOnly says whether there is nothing but events in a record.
func (req *request) eventsOnly() bool {
	r := req.rec
	return len(req.events) > 0 && len(r.Routings) == 0 && len(r.Outcomes) == 0 && len(r.Documents) == 0
}

func (req *request) answer(err error) {
	if err != nil {
		req.result = store.Result{}
	}
	req.err = err
	close(req.done)
}

// flush makes a batch durable, publishes what follows from it, and answers.
func (s *Store) flush(b *batch) {
	defer b.discard()
	if len(b.requests) == 0 {
		return
	}
	b.finish()
	if defect == defectEarly {
		b.answerEarly()
	}
	if len(b.events) > 0 && (b.mixed || b.progress > s.last) {
		// What a record has beside events is there with them, or neither.
		err := s.flushRows(b, true)
		if err == nil {
			s.publish(b, true, true)
		}
		b.answer(err, func(*request) bool { return true })
		return
	}
	var err error
	if len(b.events) > 0 {
		if err = s.appendEvents(b, false); err == nil {
			s.publish(b, true, false)
		}
	}
	b.answer(err, (*request).eventsOnly)
	if err != nil && !errors.Is(err, store.ErrFull) {
		b.answer(err, func(*request) bool { return true }) // the store has failed
		return
	}
	if len(b.requests) == 0 && !s.pending.many() {
		return
	}
	if err = s.flushRows(b, false); err == nil {
		s.publish(b, false, true)
		if b.dropped {
			s.dropSegments()
		}
	}
	b.answer(err, func(*request) bool { return true })
}

// answer answers some of the requests, which are then no longer the batch's.
func (b *batch) answer(err error, which func(*request) bool) {
	left := b.requests[:0]
	for _, req := range b.requests {
		if which(req) {
			req.answer(err)
		} else {
			left = append(left, req)
		}
	}
	b.requests = left
}

// flushRows commits the rows of a batch, and of events those that are pending. With
// joint the batch's events are put into the segments before, and a start takes them
// away where the rows are not there.
func (s *Store) flushRows(b *batch, joint bool) error {
	rows := b.rows
	if !joint && len(b.events) > 0 { // whose rows are pending now
		rows = make(map[string]*row, len(b.rows)+len(s.pending.rows)+8)
		for k, r := range b.rows {
			if !r.index {
				rows[k] = r
			}
		}
	}
	indexed := s.last
	if joint {
		indexed = b.last
	}
	if indexed > s.pending.from {
		if b.size+s.pending.size > s.maxSize || b.count+int64(len(s.pending.rows)) > s.maxRows {
			if err := s.flushPending(); err != nil {
				return err
			}
		}
		s.addPending(rows, b.bucketOf)
		if joint {
			typeRows(b.typesOf, s.last+1, b.bucketOf, rows)
		}
		spare := s.spare
		if joint {
			spare = nextSpare(spare, s.last+1, b.notes, b.events)
		}
		rows[string(kindSegments)], rows[string(kindSpare)] = segmentsRow(s.begin, indexed), spareRow(spare)
	}
	if b.dropped && s.spare.Last() != 0 && s.spare.Last() < keepFrom(b.buckets, b.oldest, s.begin) {
		// What retention takes is nowhere any more.
		rows[string(kindSpare)] = spareRow(segment.Spare{})
	}
	if len(rows) == 0 {
		return nil
	}
	if err := s.room.admit(rows); err != nil {
		return err
	}
	if !joint {
		return s.commitRows(rows, nil)
	}
	return s.commitRows(rows, func() error { return s.appendEvents(b, true) })
}

// write commits rows in one transaction.
func (s *Store) write(rows map[string]*row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.room.admit(rows); err != nil {
		return err
	}
	return s.commitRows(rows, nil)
}

// commitRows commits rows that there is room for, and has before called when the database
// has taken each of them: what it refuses leaves nothing behind. After a commit that
// failed nothing is known of what is on disk, so the store fails.
func (s *Store) commitRows(rows map[string]*row, before func() error) error {
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	for _, r := range rows {
		var err error
		switch {
		case r.value == nil:
			err = txn.Delete(r.key)
		case r.expires != 0:
			e := badgerdb.NewEntry(r.key, r.value)
			e.ExpiresAt = r.expires
			err = txn.SetEntry(e)
		default:
			err = txn.Set(r.key, r.value)
		}
		if errors.Is(err, badgerdb.ErrTxnTooBig) {
			return fmt.Errorf("%d rows: %w", len(rows), store.ErrTooLarge)
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", describe(r.key), err)
		}
	}
	if before != nil {
		if err := before(); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := s.commitTxn(txn); err != nil {
		err = fmt.Errorf("committing to the store: %w", err)
		s.fail(err)
		return err
	}
	if s.opts.Synced != nil {
		s.opts.Synced(time.Since(began))
	}
	s.room.committed()
	if s.advice != nil { // nil while the store is being opened
		s.advice.check()
	}
	return nil
}

// publish has readers see what a batch did: its events, its rows, or both.
func (s *Store) publish(b *batch, events, rows bool) {
	if rows {
		for _, d := range b.due {
			d.head.add(d.at)
		}
		if b.oldest != s.oldest { // the committer alone changes it
			s.tail.reset()
		}
	}
	if events {
		s.tail.append(s.last+1, b.events)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if rows {
		for name, l := range b.lanes {
			l.write = false
			s.lanes[name] = l
		}
		s.progress, s.oldest = b.progress, b.oldest
		if b.dropped {
			s.buckets = b.buckets
		}
	} else {
		s.pend(b)
	}
	if events {
		s.last, s.received, s.buckets = b.last, b.received, b.buckets
		close(s.news)
		s.news = make(chan struct{})
	}
	if rows && s.pending.from != s.last {
		s.pending = newPending(s.last)
	}
}

// pend adds what finds the events of a batch to what is pending.
func (s *Store) pend(b *batch) {
	for _, typ := range b.typesOf {
		s.pending.addType(typ)
	}
	for k, r := range b.rows {
		if r.index {
			s.pending.addRow(k, r)
		}
	}
}

// dropSegments removes the files of dropped buckets, and what memory has of them. What is
// left after a crash is removed by the next start.
func (s *Store) dropSegments() {
	keep := keepFrom(s.buckets, s.oldest, s.begin)
	if s.spare.Last() < keep {
		s.spare = segment.Spare{}
	}
	if err := s.events.RemoveBefore(keep); err != nil {
		s.log.Warn("events that retention has taken are left on disk until the next start", "error", err)
	}
}
