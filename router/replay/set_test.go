package replay

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

func open(t *testing.T) store.Store {
	t.Helper()
	st, err := badger.Open(t.Context(), badger.Options{Path: filepath.Join(t.TempDir(), "data")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// fill stores n events that were each routed to one destination.
func fill(t *testing.T, st store.Store, n int) {
	t.Helper()
	r := &store.Record{}
	for i := range n {
		now := time.Now()
		typ := "order.paid"
		if i%10 == 9 {
			typ = "user.new"
		}
		r.Events = append(r.Events, store.NewEvent{Event: &event.Event{
			ID: event.NewID(now), Type: typ, Source: "events", Time: now, Received: now, ContentType: "application/json", Data: []byte(`{}`),
		}})
		r.Routings = append(r.Routings, &store.Routing{
			Position: uint64(i + 1), Config: "c", Matches: []store.Match{{Route: "all"}},
			Deliveries: []store.Delivery{{Content: -1, Lane: "crm", Format: "envelope"}},
		})
	}
	if _, err := st.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func options(st store.Store) Options {
	return Options{
		Store: st, Log: hclog.NewNullLogger(), Committed: func(*event.Event, *store.Routing) {}, Refresh: func() {},
		Decide: func(ctx context.Context, e *event.Event, ask *Ask, id string) (Redelivery, error) {
			r, err := st.Routing(ctx, e.Position)
			if err != nil {
				return Redelivery{}, err
			}
			return Again(e, r, ask.To, id, time.Now(), func(string) bool { return true }), nil
		},
	}
}

// replays counts, by position, the deliveries of a replay.
func replays(t *testing.T, st store.Store, id string, n int) map[int]int {
	t.Helper()
	by := map[int]int{}
	for p := 1; p <= n; p++ {
		r, err := st.Routing(t.Context(), uint64(p))
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Deliveries {
			if r.Deliveries[i].Replay == id {
				by[p]++
			}
		}
	}
	return by
}

// finish runs the replays until one has ended.
func finish(t *testing.T, s *Set, id string) State {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	defer func() { cancel(); <-ended }()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
		st, err := s.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if st.Status != Running {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("the replay does not end: %+v", st)
		}
	}
}

// failing fails the commit of some routings, with them stored or not.
type failing struct {
	store.Store
	at     int // the commit with routings that fails, from 1; 0: none
	stored bool
	err    error
	n      int
	after  func()
}

func (f *failing) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	if len(r.Routings) > 0 {
		if f.n++; f.n == f.at {
			if f.after != nil {
				defer f.after()
			}
			if f.stored {
				if _, err := f.Store.Commit(ctx, r); err != nil {
					return store.Result{}, err
				}
			}
			return store.Result{}, f.err
		}
	}
	return f.Store.Commit(ctx, r)
}

// Whatever commit of a replay a crash cuts off, before or after it was stored, the
// next run replays each event once. So does one that goes on after such an error.
func TestNeitherSkippedNorDoubled(t *testing.T) {
	const n = 400
	for _, crash := range []bool{true, false} {
		for _, stored := range []bool{true, false} {
			for at := 1; at <= 3; at++ {
				t.Run(fmt.Sprintf("crash %v, stored %v, commit %d", crash, stored, at), func(t *testing.T) {
					inner := open(t)
					fill(t, inner, n)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					f := &failing{Store: inner, at: at, stored: stored, err: errors.New("the disk has gone")}
					if crash {
						f.after = cancel // the process is no more
					}
					o := options(inner)
					o.Store = f
					s, err := Open(ctx, o)
					if err != nil {
						t.Fatal(err)
					}
					started, err := s.Start(ctx, Ask{Type: "order.*", Routes: Original}, 0)
					if err != nil {
						t.Fatal(err)
					}
					if crash {
						s.Run(ctx)
						if s, err = Open(t.Context(), options(inner)); err != nil {
							t.Fatal(err)
						}
					}
					st := finish(t, s, started.ID)
					if f.n < at {
						t.Fatalf("only %d commits had routings", f.n)
					}
					if st.Status != Done || st.Events != n*9/10 || st.Deliveries != st.Events || st.Failed+st.Skipped != 0 {
						t.Errorf("it ended as %+v", st)
					}
					by := replays(t, inner, started.ID, n)
					for p := 1; p <= n; p++ {
						want := 1
						if p%10 == 0 {
							want = 0
						}
						if by[p] != want {
							t.Fatalf("the event at %d was replayed %d times, want %d", p, by[p], want)
						}
					}
				})
			}
		}
	}
}

// An event that the store does not take is counted and does not stop the others.
func TestOneThatDoesNotFit(t *testing.T) {
	inner := open(t)
	fill(t, inner, 5)
	o := options(inner)
	o.Store = refusing{inner, 3}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	started, err := s.Start(t.Context(), Ask{Routes: Original}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if st := finish(t, s, started.ID); st.Status != Done || st.Events != 4 || st.Failed != 1 {
		t.Errorf("it ended as %+v", st)
	}
	if by := replays(t, inner, started.ID, 5); len(by) != 4 || by[3] != 0 {
		t.Errorf("replayed were %v", by)
	}
}

// refusing takes no routing of a position.
type refusing struct {
	store.Store
	position uint64
}

func (r refusing) Commit(ctx context.Context, rec *store.Record) (store.Result, error) {
	for _, x := range rec.Routings {
		if x.Position == r.position {
			return store.Result{}, store.ErrTooLarge
		}
	}
	return r.Store.Commit(ctx, rec)
}

// Cancelled at a slow rate it ends at once, and what it has made stays as it is.
func TestCancel(t *testing.T) {
	st := open(t)
	fill(t, st, 50)
	made := make(chan struct{}, 50)
	o := options(st)
	o.Committed = func(*event.Event, *store.Routing) { made <- struct{}{} }
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	started, err := s.Start(t.Context(), Ask{Routes: Original}, 1)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() { s.Run(ctx); close(ended) }()
	<-made
	got, err := s.Cancel(started.ID)
	if err != nil || got.Status != Cancelled {
		t.Fatal(got, err)
	}
	// The next one does not wait for it.
	next, err := s.Start(t.Context(), Ask{Routes: Original, Type: "user.new"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		<-made
	}
	stop()
	<-ended
	if by := replays(t, st, started.ID, 50); len(by) >= 50 || len(by) != got.Events {
		t.Errorf("%d were replayed, it says %d", len(by), got.Events)
	}
	if by := replays(t, st, next.ID, 50); len(by) != 5 {
		t.Errorf("%d were replayed by the next", len(by))
	}
	if _, err := s.Cancel("rpl_none"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

func TestCount(t *testing.T) {
	st := open(t)
	fill(t, st, 300)
	s, err := Open(t.Context(), options(st))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ask  Ask
		want int
	}{
		{Ask{}, 300},
		{Ask{Type: "user.*"}, 30},
		{Ask{Source: "other"}, 0},
		{Ask{To: "archive"}, 0},
		{Ask{Since: time.Now().Add(time.Hour)}, 0},
		{Ask{Until: time.Now().Add(-time.Hour)}, 0},
		{Ask{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}, 300},
	} {
		got, whole, err := s.Count(t.Context(), c.ask)
		if err != nil || !whole || got.Events != c.want || got.Deliveries != c.want {
			t.Errorf("%+v: %+v, %v, %v, want %d", c.ask, got, whole, err, c.want)
		}
	}
}
