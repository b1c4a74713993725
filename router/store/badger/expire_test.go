package badger

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/router/store"
)

// TestExpireBesideCommits shows that producers and lanes go on while retention
// takes thousands of events, and that none of its steps fails them.
func TestExpireBesideCommits(t *testing.T) {
	ctx := t.Context()
	var mu sync.Mutex
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	s, err := Open(ctx, Options{Path: t.TempDir(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	add := func(n int) {
		r := &store.Record{}
		first := s.Last()
		for i := range n {
			e := record(200).Events[0]
			e.Event.Received = clock()
			r.Events = append(r.Events, e)
			r.Routings = append(r.Routings, routed(first+uint64(i)+1, "a", fmt.Sprint("b", i%3)).Routings...)
		}
		commit(t, s, r)
	}
	deliver := func(lane string) {
		for {
			l, err := s.Lane(ctx, lane)
			if err != nil {
				t.Error(err)
				return
			}
			ps, err := s.Postings(ctx, lane, l.Cursor.Low, 200)
			if err != nil {
				t.Error(err)
			}
			if len(ps) == 0 {
				return
			}
			lo := store.LaneOutcomes{Lane: lane, Cursor: &store.Cursor{Low: ps[len(ps)-1].Ref.Next()}}
			for _, p := range ps {
				lo.Outcomes = append(lo.Outcomes, store.Outcome{Ref: p.Ref, From: store.Waiting, To: store.Delivered})
			}
			if _, err := s.Commit(ctx, &store.Record{Outcomes: []store.LaneOutcomes{lo}}); err != nil {
				t.Error(err)
				return
			}
		}
	}
	for range 10 {
		add(200)
		mu.Lock()
		now = now.Add(time.Hour)
		mu.Unlock()
	}
	deliver("a")
	deliver("b0") // b1 and b2 wait
	mu.Lock()
	now = now.Add(8 * 24 * time.Hour)
	mu.Unlock()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			add(5)
			deliver("a")
			if _, _, err := s.ListDeliveries(ctx, store.DeliveryQuery{State: store.Waiting, Page: store.Page{Limit: 20}}); err != nil {
				t.Error(err)
			}
			// What waits is found at every moment of its move.
			for _, p := range []uint64{2, 101, 1000, 2000} {
				if _, err := s.Event(ctx, p); err != nil {
					t.Errorf("event %d, which a lane waits for: %v", p, err)
				}
			}
		}
	})
	x, err := s.Expire(ctx, clock())
	close(done)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if want := 10 * 67; x.Events != want { // each third is delivered
		t.Errorf("%d events were taken, want %d", x.Events, want)
	}
	for _, lane := range []string{"b1", "b2"} {
		l, err := s.Lane(ctx, lane)
		if err != nil {
			t.Fatal(err)
		}
		ps, err := s.Postings(ctx, lane, store.Ref{}, 1<<20)
		if err != nil || uint64(len(ps)) != l.Counts.Waiting || len(ps) < 660 {
			t.Errorf("%s: %d postings, counts %+v, error %v", lane, len(ps), l.Counts, err)
		}
		for _, p := range ps {
			if _, err := s.Delivery(ctx, p.Ref); err != nil {
				t.Fatalf("%s waits for %s: %v", lane, p.Ref, err)
			}
		}
	}
	// The rows of the old buckets are gone.
	if n := len(s.buckets); n > 2 {
		t.Errorf("%d buckets are left", n)
	}
}

// TestEarlyCopiesAreNotFound shows that rows which a crash left aside, before
// retention said that they count, are not found twice.
func TestEarlyCopiesAreNotFound(t *testing.T) {
	ctx := t.Context()
	s := open(t)
	for range 3 {
		commit(t, s, record(10))
		commit(t, s, routed(s.Last(), "a"))
	}
	rows := map[string]*row{}
	txn := s.db.NewTransaction(false)
	bucket := s.buckets[0].number
	event, err := s.newBatch().eventBytes(bucket, 2)
	if err != nil {
		t.Fatal(err)
	}
	routing, err := s.routingRow(txn, bucket, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []row{{key: eventKey(aside, 2), value: event}, {key: routingKey(aside, 2), value: routing}} {
		rows[string(r.key)] = &row{key: r.key, value: seal(r.key, 0, r.value)}
	}
	txn.Discard()
	if err := s.write(rows); err != nil {
		t.Fatal(err)
	}
	listed, _, err := s.ListEvents(ctx, store.EventQuery{Page: store.Page{Limit: 10}})
	if err != nil || len(listed) != 3 {
		t.Errorf("%d events are listed, error %v", len(listed), err)
	}
	inOrder, err := s.Events(ctx, 0, 10)
	if err != nil || len(inOrder) != 3 {
		t.Errorf("%d events are in the log, error %v", len(inOrder), err)
	}
	if x, err := s.Expire(ctx, time.Now()); err != nil || x.Events != 0 {
		t.Errorf("retention took %d, error %v", x.Events, err)
	}
	if _, err := s.Event(ctx, 2); err != nil {
		t.Error(err)
	}
}
