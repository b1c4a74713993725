package lane

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// decided stores n events and decides for each, without a commit.
func decided(t *testing.T, st store.Store, n int, lanes ...string) ([]*event.Event, []*store.Routing) {
	t.Helper()
	record := &store.Record{}
	for range n {
		now := time.Now()
		record.Events = append(record.Events, store.NewEvent{Event: &event.Event{
			ID: event.NewID(now), Type: "test", Source: "events", Time: now, Received: now, ContentType: "application/json", Data: []byte(`{}`),
		}})
	}
	from := st.Last() + 1
	if _, err := st.Commit(context.Background(), record); err != nil {
		t.Fatal(err)
	}
	events, err := st.Events(context.Background(), from, n)
	if err != nil || len(events) != n {
		t.Fatalf("%d events, %v", len(events), err)
	}
	var routings []*store.Routing
	for _, e := range events {
		r := &store.Routing{Position: e.Position, Config: "c", Matches: []store.Match{{Route: "r"}}}
		for _, l := range lanes {
			r.Deliveries = append(r.Deliveries, store.Delivery{Lane: l, Content: -1})
		}
		routings = append(routings, r)
	}
	return events, routings
}

func commitRoutings(t *testing.T, st store.Store, routings ...*store.Routing) {
	t.Helper()
	if _, err := st.Commit(context.Background(), &store.Record{Routings: routings}); err != nil {
		t.Fatal(err)
	}
}

// awaitRead waits until a lane has read all that the store has for it, so that it
// takes offers.
func awaitRead(t *testing.T, s *Set, name string) {
	t.Helper()
	l := s.get(name)
	await(t, "the lane to have read the store", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !l.more && !l.reading
	})
}

// What is offered is sent before its routing is committed, and recorded after it.
func TestOfferedIsSentAtOnceAndRecordedLater(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	sent := make(chan store.Ref, 10)
	add(t, s, "crm", policy(4, 0, 0), func(_ context.Context, w *Work) Result {
		sent <- w.Ref
		return Result{OK: true}
	})
	s.Start()
	awaitRead(t, s, "crm")
	events, routings := decided(t, st, 3, "crm")
	for i := range events {
		s.Offer(events[i], routings[i], true)
	}
	for range events {
		<-sent
	}
	// The recorder has tried by then, and must have waited.
	time.Sleep(3 * flushEvery)
	commitRoutings(t, st, routings...)
	for i := range events {
		s.Posted(routings[i])
	}
	await(t, "the outcomes", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts == store.Counts{Delivered: 3}
	})
	closeSet(t, s)
	if len(sent) > 0 {
		t.Errorf("%d were sent again", len(sent))
	}
}

// What may still change is not sent before it is committed.
func TestNotEarlyWaitsForTheCommit(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	sent := make(chan store.Ref, 10)
	add(t, s, "crm", policy(1, 0), func(_ context.Context, w *Work) Result {
		sent <- w.Ref
		return Result{OK: true}
	})
	s.Start()
	awaitRead(t, s, "crm")
	events, routings := decided(t, st, 2, "crm")
	s.Offer(events[0], routings[0], false)
	s.Offer(events[1], routings[1], true) // must not overtake
	time.Sleep(flushEvery)
	if len(sent) > 0 {
		t.Error("it was sent before the commit")
	}
	commitRoutings(t, st, routings...)
	s.Posted(routings[0])
	s.Posted(routings[1])
	for i := range events {
		if ref := <-sent; ref.Position != events[i].Position {
			t.Errorf("%s is sent as number %d", ref, i)
		}
	}
	closeSet(t, s)
}

// A set that ends while routing can't be committed says so instead of waiting,
// and records nothing.
func TestEndsWithoutRouting(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	s := NewSet(st, Options{})
	sent := make(chan store.Ref, 10)
	add(t, s, "crm", policy(1, 0), func(_ context.Context, w *Work) Result {
		sent <- w.Ref
		return Result{OK: true}
	})
	s.Start()
	awaitRead(t, s, "crm")
	events, routings := decided(t, st, 1, "crm")
	s.Offer(events[0], routings[0], true)
	<-sent
	closeSet(t, s)
	commitRoutings(t, st, routings[0])
	if d := status(t, st, store.Ref{Position: events[0].Position}); d.State != store.Waiting {
		t.Errorf("it is %s", d.State)
	}
}

// slowPostings gives what it has read of the postings only after a while.
type slowPostings struct {
	store.Store
	by time.Duration
}

func (s *slowPostings) Postings(ctx context.Context, lane string, from store.Ref, most int) ([]store.Posting, error) {
	list, err := s.Store.Postings(ctx, lane, from, most)
	time.Sleep(s.by)
	return list, err
}

// Whatever of the postings is offered, left to the store, forgotten or committed
// early: each is sent once.
func TestEachPostingIsSentOnce(t *testing.T) {
	for name, c := range map[string]struct {
		disturb bool
		slow    time.Duration
	}{
		"quiet": {}, "disturbed": {disturb: true}, "slow": {slow: 3 * time.Millisecond}, "slow and disturbed": {true, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) { eachPostingIsSentOnce(t, c.disturb, c.slow) })
	}
}

func eachPostingIsSentOnce(t *testing.T, disturb bool, slow time.Duration) {
	const batches, batch = 60, 50
	st := openStore(t, t.TempDir())
	s := NewSet(&slowPostings{st, slow}, Options{})
	s.offeredMany = 20
	var mu sync.Mutex
	count := map[store.Ref]int{}
	try := func(context.Context, *Work) Result { return Result{OK: true} }
	counted := func(ctx context.Context, w *Work) Result {
		mu.Lock()
		count[w.Ref]++
		mu.Unlock()
		if rand.IntN(20) == 0 {
			time.Sleep(time.Millisecond)
		}
		return try(ctx, w)
	}
	for _, name := range []string{"a", "b"} {
		add(t, s, name, policy(8, 0), counted)
	}
	s.Start()
	ctx := context.Background()
	var pending []*store.Routing
	post := func() {
		if len(pending) == 0 {
			return
		}
		commitRoutings(t, st, pending...)
		for i := range pending {
			s.Posted(pending[i])
		}
		pending = nil
	}
	for range batches {
		events, routings := decided(t, st, batch, "a", "b")
		for i := range events {
			s.Offer(events[i], routings[i], rand.IntN(30) > 0)
			pending = append(pending, routings[i])
			what := rand.IntN(60)
			if what == 0 {
				post()
			}
			if !disturb {
				continue
			}
			switch what {
			case 1:
				s.Refresh()
			case 2:
				s.Idle("b", nil)
			case 3:
				if err := s.Put("b", policy(8, 0), counted, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if rand.IntN(2) == 0 {
			post()
		}
	}
	post()
	if disturb { // it may be idle
		if err := s.Put("b", policy(8, 0), counted, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b"} {
		await(t, "the lane "+name, func() bool {
			l, err := st.Lane(ctx, name)
			return err == nil && l.Counts.Delivered == batches*batch
		})
	}
	closeSet(t, s)
	if len(count) != 2*batches*batch {
		t.Errorf("%d postings were sent, want %d", len(count), 2*batches*batch)
	}
	for ref, n := range count {
		if n != 1 {
			t.Errorf("%s was sent %d times", ref, n)
		}
	}
	if n := s.offered.Load(); n != 0 {
		t.Errorf("%d bytes are still counted as offered", n)
	}
}

// A lane that does not move keeps no more in memory than the bound, whatever the
// routes beside it made of its events.
func TestOfferedMemoryIsBounded(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	release := make(chan struct{})
	add(t, s, "stuck", policy(1, 0), func(context.Context, *Work) Result {
		<-release
		return Result{OK: true}
	})
	s.Start()
	l := s.get("stuck")
	awaitRead(t, s, "stuck")
	const content = 100 << 10
	events, routings := decided(t, st, 1000, "stuck")
	for i, r := range routings {
		r.Contents = []store.Content{{ContentType: "application/json", Data: make([]byte, content)}}
		r.Deliveries = append(r.Deliveries, store.Delivery{Lane: "elsewhere", Content: 0})
		s.Offer(events[i], r, true)
		r.Contents[0].Data = nil // what is not kept must not count here
		r.Contents = nil
	}
	l.mu.Lock()
	held := len(l.ahead)
	l.mu.Unlock()
	if most := offeredBytes/content + 1; held > most || held == 0 {
		t.Errorf("it holds %d postings, at most %d fit", held, most)
	}
	close(release)
	closeSet(t, s)
}
