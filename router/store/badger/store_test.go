package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

func open(tb testing.TB) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), Options{Path: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func record(size int) *store.Record {
	now := time.Now()
	return &store.Record{Events: []store.NewEvent{{Event: &event.Event{
		ID: event.NewID(now), Type: "test.event", Source: "test", Time: now, Received: now,
		ContentType: "application/json", Data: bytes.Repeat([]byte("x"), size),
	}}}}
}

func routed(position uint64, lanes ...string) *store.Record {
	r := &store.Routing{Position: position, Matches: []store.Match{{Route: "r"}}}
	for _, l := range lanes {
		r.Deliveries = append(r.Deliveries, store.Delivery{Lane: l, Content: -1})
	}
	return &store.Record{Routings: []*store.Routing{r}}
}

func commit(tb testing.TB, s *Store, r *store.Record) {
	tb.Helper()
	if _, err := s.Commit(tb.Context(), r); err != nil {
		tb.Fatal(err)
	}
}

func TestInUse(t *testing.T) {
	s := open(t)
	_, err := Open(t.Context(), Options{Path: s.opts.Path})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), s.opts.Path) {
		t.Errorf("got error %v", err)
	}
}

func TestLayoutVersion(t *testing.T) {
	path := t.TempDir()
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	key := []byte{kindVersion}
	if err := s.write(map[string]*row{"v": {key: key, value: seal(key, 0, codec.AppendNumbers(nil, layoutVersion+1))}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), "layout version 4") {
		t.Errorf("got %v and error %v", s, err)
	}
	// And the folder is not left locked.
	if _, err := Open(t.Context(), Options{Path: path}); errors.Is(err, ErrInUse) {
		t.Error(err)
	}
}

// gate holds back flushes of events and transactions, and counts them.
type gate struct {
	mu   sync.Mutex
	n    int
	hold chan struct{}
	in   chan struct{}
	err  error
}

func (g *gate) put(s *Store) {
	pass := func() error {
		g.mu.Lock()
		g.n++
		err := g.err
		g.mu.Unlock()
		if g.hold != nil {
			g.in <- struct{}{}
			<-g.hold
		}
		return err
	}
	s.commitTxn = func(txn *badgerdb.Txn) error {
		if err := pass(); err != nil {
			return err
		}
		return txn.Commit()
	}
	s.syncEvents = func() error {
		if err := pass(); err != nil {
			return err
		}
		return s.events.Sync()
	}
}

func ungate(s *Store) { s.commitTxn, s.syncEvents = (*badgerdb.Txn).Commit, s.events.Sync }

func TestOneFlushForAllThatWait(t *testing.T) {
	s := open(t)
	g := &gate{hold: make(chan struct{}), in: make(chan struct{})}
	g.put(s)
	const n = 100
	errs := make(chan error, n+1)
	add := func() {
		_, err := s.Commit(t.Context(), record(10))
		errs <- err
	}
	go add()
	<-g.in // the first is being flushed
	for range n {
		go add()
	}
	for len(s.queue) < n {
		time.Sleep(time.Millisecond)
	}
	if s.Last() != 0 {
		t.Errorf("position %d is given out before its flush", s.Last())
	}
	g.hold <- struct{}{}
	<-g.in
	g.hold <- struct{}{}
	for range n + 1 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if g.n != 2 || s.Last() != n+1 {
		t.Errorf("%d flushes for %d events, want 2", g.n, s.Last())
	}
	ungate(s)
}

func TestBusy(t *testing.T) {
	s := open(t)
	g := &gate{hold: make(chan struct{}), in: make(chan struct{})}
	g.put(s)
	var wg sync.WaitGroup
	wg.Go(func() { s.Commit(t.Context(), record(10)) })
	<-g.in
	big := record(queueBytes/2 + 1<<20)
	for range 2 {
		wg.Go(func() { s.Commit(t.Context(), big) })
	}
	// Only one of the two fits into what may wait.
	for s.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := s.Commit(t.Context(), big); !errors.Is(err, store.ErrBusy) {
		t.Errorf("got error %v, want ErrBusy", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if _, err := s.Commit(ctx, record(10)); !errors.Is(err, context.Canceled) {
			t.Errorf("a commit given up before it began: error %v", err)
		}
		g.hold <- struct{}{}
	})
	for len(s.queue) < 2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for {
		select {
		case <-g.in:
			g.hold <- struct{}{}
			continue
		case <-done:
		}
		break
	}
	for s.waiting.Load() != 0 { // the committer passes over what was given up
		time.Sleep(time.Millisecond)
	}
	ungate(s)
}

func TestFailedFlushEndsTheStore(t *testing.T) {
	s := open(t)
	commit(t, s, record(10))
	broken := errors.New("disk on fire")
	g := &gate{err: broken}
	g.put(s)
	for range 2 {
		if _, err := s.Commit(t.Context(), record(10)); !errors.Is(err, broken) {
			t.Errorf("got error %v", err)
		}
	}
	if g.n != 1 {
		t.Errorf("%d flushes were tried after one failed", g.n-1)
	}
	if err := s.Err(); !errors.Is(err, broken) {
		t.Errorf("its health is %v", err)
	}
	if _, err := s.Event(t.Context(), 1); err != nil || s.Last() != 1 {
		t.Errorf("what was there before: last %d, error %v", s.Last(), err)
	}
}

func TestTooLargeForOneTransaction(t *testing.T) {
	s := open(t)
	if _, err := s.Commit(t.Context(), record(20<<20)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("got error %v, want ErrTooLarge", err)
	}
	// What is too much together is stored in turns.
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if _, err := s.Commit(t.Context(), record(900<<10)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s.Last() != 40 {
		t.Errorf("last is %d", s.Last())
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

func TestDamagedRows(t *testing.T) {
	ctx := t.Context()
	s := open(t)
	for range 2 {
		commit(t, s, record(10))
		commit(t, s, routed(s.Last(), "a"))
	}
	a := store.Ref{Position: 1}
	commit(t, s, &store.Record{Outcomes: []store.LaneOutcomes{{
		Lane: "a", Cursor: &store.Cursor{Low: a.Next()},
		Outcomes: []store.Outcome{{Ref: a, From: store.Waiting, To: store.Retrying, Due: time.Now()}},
	}}})
	commit(t, s, &store.Record{Documents: []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}}})
	bucket := s.buckets[0].number
	retries, err := s.Retries(ctx, "a", 1)
	if err != nil {
		t.Fatal(err)
	}
	b := store.Ref{Position: 2}
	for _, c := range []struct {
		name string
		key  []byte
		read func() error
	}{
		{"the row of routings up to position 2", groupKey(bucket, 2), func() error {
			s.groups.forget()
			_, err := s.Routing(ctx, 2)
			return err
		}},
		{"the delivery row of position 1", deliveryKey(bucket, a), func() error { _, err := s.Delivery(ctx, a); return err }},
		{"the postings row", postingsKey("a", b), func() error { _, err := s.Postings(ctx, "a", a, 5); return err }},
		{"the retry row", retryKey("a", retries[0].Due.UnixNano(), a), func() error { _, err := s.Retries(ctx, "a", 5); return err }},
		{"the document row", documentKey("k", "n"), func() error { _, err := s.Document(ctx, "k", "n"); return err }},
	} {
		txn := s.db.NewTransaction(false)
		item, err := txn.Get(c.key)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		value, err := item.ValueCopy(nil)
		txn.Discard()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.read(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		put := func(v []byte) {
			if err := s.write(map[string]*row{"": {key: c.key, value: v}}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range value {
			bad := bytes.Clone(value)
			bad[i] ^= 0x10
			put(bad)
			if err := c.read(); !errors.Is(err, codec.ErrMalformed) || !strings.Contains(err.Error(), c.name) {
				t.Errorf("%s with byte %d flipped: got error %v", c.name, i, err)
			}
		}
		put(value)
		if err := c.read(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestRowOfAnotherKey shows that a row at another's place is noticed.
func TestRowOfAnotherKey(t *testing.T) {
	v := seal([]byte("one"), 0, []byte("value"))
	if _, _, err := unseal([]byte("one"), v); err != nil {
		t.Error(err)
	}
	if _, _, err := unseal([]byte("two"), v); !errors.Is(err, codec.ErrMalformed) {
		t.Errorf("got error %v", err)
	}
}

func FuzzUnseal(f *testing.F) {
	f.Add([]byte("key"), seal([]byte("key"), 3, []byte("value")))
	f.Add([]byte(""), []byte("\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		payload, parts, err := unseal(key, value)
		if err != nil {
			if !errors.Is(err, codec.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		if again := seal(key, parts, payload); len(again) > len(value) {
			t.Errorf("%x became %x", value, again)
		}
	})
}

// TestWideRecordIsSmall shows that one event to 10,000 lanes takes one routing row
// and one small row a lane.
func TestWideRecordIsSmall(t *testing.T) {
	s := open(t)
	commit(t, s, record(10))
	lanes := make([]string, 10000)
	for i := range lanes {
		lanes[i] = fmt.Sprintf("wh_%016d", i)
	}
	g := &gate{}
	g.put(s)
	commit(t, s, routed(1, lanes...))
	if g.n != 1 {
		t.Errorf("it took %d transactions", g.n)
	}
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	v, err := get(txn, routingKey(s.buckets[0].number, 1))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(v) / len(lanes); n > 26 { // the name takes 20
		t.Errorf("%d bytes a delivery", n)
	}
}

// TestListingIsBounded shows that a page which finds nothing ends, and that the
// next one goes on behind it.
func TestListingIsBounded(t *testing.T) {
	s := filled(t, lookMost+700)
	q := store.DeliveryQuery{State: store.Cancelled, Page: store.Page{Limit: 5}}
	list, next, err := s.ListDeliveries(t.Context(), q)
	if err != nil || len(list) != 0 || next == "" {
		t.Fatalf("got %d, next %q, error %v; want none and a next", len(list), next, err)
	}
	q.Cursor = next
	list, next, err = s.ListDeliveries(t.Context(), q)
	if err != nil || len(list) != 0 || next != "" {
		t.Errorf("got %d, next %q, error %v; want the end", len(list), next, err)
	}
	events, next, err := s.ListEvents(t.Context(), store.EventQuery{Tenant: "none", Page: store.Page{Limit: 5}})
	if err != nil || len(events) != 0 || next == "" {
		t.Fatalf("got %d, next %q, error %v; want none and a next", len(events), next, err)
	}
	events, next, err = s.ListEvents(t.Context(), store.EventQuery{Tenant: "none", Page: store.Page{Limit: 5, Cursor: next}})
	if err != nil || len(events) != 0 || next != "" {
		t.Errorf("got %d, next %q, error %v; want the end", len(events), next, err)
	}
}
