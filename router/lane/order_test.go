package lane

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// postKeyed stores and routes one event for the lane crm, with a subject that the
// tests use as key; "" is none.
func postKeyed(t *testing.T, st store.Store, key string) *store.Routing {
	t.Helper()
	now := time.Now()
	result, err := st.Commit(context.Background(), &store.Record{Events: []store.NewEvent{{Event: &event.Event{
		ID: event.NewID(now), Type: "test", Source: "events", Subject: key, Time: now, Received: now, ContentType: "application/json", Data: []byte(`{}`),
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &store.Routing{
		Position: result.Events[0].Position, Config: "c", Matches: []store.Match{{Route: "r"}},
		Deliveries: []store.Delivery{{Lane: "crm", Content: -1}},
	}
	if _, err := st.Commit(context.Background(), &store.Record{Routings: []*store.Routing{r}}); err != nil {
		t.Fatal(err)
	}
	return r
}

func bySubject(m *event.Message) (string, bool) { return m.Subject, m.Subject != "" }

// dying is a store whose commits stop at some moment, as those of a process that
// is killed: what was not committed is gone.
type dying struct {
	store.Store
	dead atomic.Bool
}

func (d *dying) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	if d.dead.Load() {
		return store.Result{}, store.ErrClosed
	}
	return d.Store.Commit(ctx, r)
}

// ordered checks, as a receiver, that of each key one delivery is sent at a time,
// and none before all earlier ones have arrived.
type ordered struct {
	t  *testing.T
	mu sync.Mutex
	// byKey has all that was posted, in order.
	byKey    map[string][]store.Ref
	arrived  map[store.Ref]bool
	inFlight map[string]store.Ref
	fail     func() bool
	attempts int
}

func (o *ordered) try(ctx context.Context, w *Work) Result {
	key := w.Event.Subject
	o.mu.Lock()
	o.attempts++
	if other, ok := o.inFlight[key]; ok {
		o.t.Errorf("%s and %s of the key %q are sent at once", w.Ref, other, key)
	}
	o.inFlight[key] = w.Ref
	for _, r := range o.byKey[key] {
		if r.Less(w.Ref) && !o.arrived[r] {
			o.t.Errorf("%s of the key %q is sent before %s", w.Ref, key, r)
		}
	}
	failing := o.fail()
	o.mu.Unlock()
	time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.inFlight, key)
	if failing {
		return failed("status")
	}
	o.arrived[w.Ref] = true
	return Result{OK: true}
}

// Whatever fails, and whenever the router is stopped or killed, deliveries of a key
// arrive one after another, and all arrive.
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		keys  int
		order Order
	}{
		{"many keys", 40, Order{Key: bySubject}},
		{"few keys", 3, Order{Key: bySubject}},
		{"no key", 0, Order{Key: bySubject}},
		{"whole", 0, Order{Whole: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := rand.Uint64()
			rnd := rand.New(rand.NewPCG(seed, 7))
			disk := openStore(t, t.TempDir())
			var mu sync.Mutex
			o := &ordered{t: t, byKey: map[string][]store.Ref{}, arrived: map[store.Ref]bool{}, inFlight: map[string]store.Ref{}}
			o.fail = func() bool {
				mu.Lock()
				defer mu.Unlock()
				return rnd.IntN(100) < 30
			}
			schedule := make([]time.Duration, 100)
			for i := range schedule[1:] {
				schedule[i+1] = 3 * time.Millisecond
			}
			p := policy(8, schedule...)
			p.Order = &c.order
			posted := 0
			for round := range 4 {
				st := &dying{Store: disk}
				s := NewSet(st, Options{})
				add(t, s, "crm", p, o.try)
				s.Start()
				for range 60 {
					key := ""
					mu.Lock()
					if c.keys > 0 {
						key = fmt.Sprint(rnd.IntN(c.keys))
					}
					pause := rnd.IntN(4) == 0
					mu.Unlock()
					r := postKeyed(t, disk, key)
					posted++
					o.mu.Lock()
					o.byKey[key] = append(o.byKey[key], store.Ref{Position: r.Position})
					o.mu.Unlock()
					s.Posted(r)
					if pause {
						time.Sleep(time.Millisecond)
					}
				}
				switch {
				case round == 3:
					await(t, "all to arrive", func() bool { return counts(t, disk, "crm").Delivered == uint64(posted) })
					closeSet(t, s)
				case round%2 == 0: // killed
					time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
					st.dead.Store(true)
					cut, cancel := context.WithCancel(context.Background())
					cancel()
					if err := s.Close(cut); err != nil && !errors.Is(err, context.Canceled) {
						t.Fatal(err)
					}
				default:
					closeSet(t, s)
				}
				if t.Failed() {
					t.Fatalf("seed %d, round %d", seed, round)
				}
			}
			for _, refs := range o.byKey {
				for _, r := range refs {
					if !o.arrived[r] {
						t.Errorf("seed %d: %s has not arrived", seed, r)
					}
				}
			}
			if n := len(retriesLeft(t, disk)); n != 0 {
				t.Errorf("%d retries are left", n)
			}
		})
	}
}

func retriesLeft(t *testing.T, st store.Store) []store.Retry {
	t.Helper()
	retries, err := st.Retries(context.Background(), "crm", 100)
	if err != nil {
		t.Fatal(err)
	}
	return retries
}

// A key that fails holds up nothing else, however much waits behind it, and the
// lane remembers the key, not what waits.
func TestFailingKeySlowsNothing(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	var bad, good atomic.Int64
	p := policy(4, 0, time.Hour)
	p.Order = &Order{Key: bySubject}
	add(t, s, "crm", p, func(_ context.Context, w *Work) Result {
		if w.Event.Subject == "bad" {
			bad.Add(1)
			return failed("status")
		}
		good.Add(1)
		return Result{OK: true}
	})
	n := 3 * window / 2
	record := &store.Record{}
	for i := range n {
		now := time.Now()
		key := "bad"
		if i%2 == 1 {
			key = fmt.Sprint("good", i)
		}
		record.Events = append(record.Events, store.NewEvent{Event: &event.Event{
			ID: event.NewID(now), Type: "test", Source: "events", Subject: key, Time: now, Received: now, ContentType: "application/json", Data: []byte(`{}`),
		}})
	}
	if _, err := st.Commit(context.Background(), record); err != nil {
		t.Fatal(err)
	}
	routings := &store.Record{}
	for i := range n {
		routings.Routings = append(routings.Routings, &store.Routing{
			Position: uint64(i + 1), Config: "c", Matches: []store.Match{{Route: "r"}}, Deliveries: []store.Delivery{{Lane: "crm", Content: -1}},
		})
	}
	if _, err := st.Commit(context.Background(), routings); err != nil {
		t.Fatal(err)
	}
	s.Start()
	await(t, "all of the other keys", func() bool { return good.Load() == int64(n/2) })
	if bad.Load() != 1 {
		t.Errorf("%d attempts of the failing key, want its first", bad.Load())
	}
	await(t, "the outcomes", func() bool { return counts(t, st, "crm").Waiting == 0 })
	l := s.get("crm")
	l.mu.Lock()
	if len(l.order.keys) != 1 || len(l.order.keys[(&Order{Key: bySubject}).key(&event.Event{Subject: "bad"}, &store.Routing{}, &store.Delivery{Content: -1})].chain) > chainFetch {
		t.Errorf("%d keys are remembered, want the one that fails", len(l.order.keys))
	}
	if len(l.busy) > unflushed || len(l.taken) > window {
		t.Errorf("%d busy, %d taken", len(l.busy), len(l.taken))
	}
	l.mu.Unlock()
	closeSet(t, s)
}

// By hand: a head that is cancelled lets the next follow, and so does one that was
// retried; what waits behind is cancelled without a trace, or jumps the queue.
func TestOrderByHand(t *testing.T) {
	st := openStore(t, t.TempDir())
	ctx := context.Background()
	s := NewSet(st, Options{})
	var accept atomic.Bool
	var mu sync.Mutex
	var got []uint64
	p := policy(2, 0, time.Hour)
	p.Order = &Order{Key: bySubject}
	add(t, s, "crm", p, func(_ context.Context, w *Work) Result {
		if !accept.Load() {
			return failed("status")
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, w.Ref.Position)
		return Result{OK: true}
	})
	for range 6 {
		s.Posted(postKeyed(t, st, "k"))
	}
	at := func(n uint64) *store.DeliveryStatus { return status(t, st, store.Ref{Position: n}) }
	await(t, "all to wait", func() bool { return counts(t, st, "crm").Retrying == 6 && !s.Sending("crm", store.Ref{Position: 6}) })
	if key, parked := store.Parked(at(3).Due); !parked || key != at(1).Key || key == 0 {
		t.Fatalf("the third is %+v behind %+v", at(3), at(1))
	}
	if err := s.CancelDelivery(ctx, at(2)); err != nil {
		t.Fatal(err)
	}
	accept.Store(true)
	if err := s.Retry(ctx, at(4)); err != nil { // out of order
		t.Fatal(err)
	}
	await(t, "the fourth", func() bool { return at(4).State == store.Delivered })
	if err := s.CancelDelivery(ctx, at(1)); err != nil {
		t.Fatal(err)
	}
	await(t, "the others", func() bool { return counts(t, st, "crm").Delivered == 4 })
	closeSet(t, s)
	if fmt.Sprint(got) != "[4 3 5 6]" {
		t.Errorf("delivered %v", got)
	}
	if l := s.get("crm"); len(l.order.keys) != 0 || l.order.heads != 0 {
		t.Errorf("left: %+v", l.order)
	}
}
