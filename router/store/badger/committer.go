package badger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
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
			h := sha256.New()
			fmt.Fprintf(h, "%d %s", len(e.Type), e.Type)
			h.Write(e.Data)
			copy(req.sums[i][:], h.Sum(nil))
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
}

// commitGroup puts a group into as few transactions as it fits in.
func (s *Store) commitGroup(group []*request) {
	b := s.newBatch()
	space := sync.OnceValue(s.room.checkEvents) // once a group
	for _, req := range group {
		if !req.taken.CompareAndSwap(false, true) {
			continue
		}
		if err := s.refused(req, space); err != nil {
			req.answer(err)
			continue
		}
		if req.internal != nil && len(b.requests) > 0 {
			s.flush(b) // a step of retention reads rows, so all must be there
			b = s.newBatch()
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
			if err = s.refused(req, space); err == nil {
				err = b.addAlone(req)
			}
		}
		if err != nil {
			req.answer(err)
		}
	}
	s.flush(b)
}

func (s *Store) refused(req *request, space func() error) error {
	s.mu.RLock()
	failed := s.failed
	s.mu.RUnlock()
	if failed != nil {
		return failed
	}
	if len(req.events) > 0 {
		return space()
	}
	return nil
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
	err := b.finish()
	if err == nil {
		if defect == defectEarly {
			b.answerEarly()
		}
		err = s.write(b.rows)
	}
	if err == nil {
		s.publish(b)
	}
	for _, req := range b.requests {
		req.answer(err)
	}
}

// write commits rows in one transaction. After an error nothing is known of
// what is on disk, so the store fails.
func (s *Store) write(rows map[string]*row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.room.admit(rows); err != nil {
		return err
	}
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

func (s *Store) publish(b *batch) {
	for _, d := range b.due {
		d.head.add(d.at)
	}
	if b.oldest != s.oldest { // the committer alone changes it
		s.tail.reset()
	}
	s.tail.append(b.last-uint64(len(b.events))+1, b.events)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range b.lanes {
		l.write = false
		s.lanes[name] = l
	}
	if b.last > s.last {
		close(s.news)
		s.news = make(chan struct{})
	}
	s.last, s.progress, s.received = b.last, b.progress, b.received
	s.oldest, s.buckets = b.oldest, b.buckets
}
