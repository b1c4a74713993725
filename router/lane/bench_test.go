package lane

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// forgetful is a store that takes everything, keeps nothing and is quick.
type forgetful struct {
	store.Store
	progress *atomic.Uint64
}

func (forgetful) Last() uint64       { return 0 }
func (f forgetful) Progress() uint64 { return f.progress.Load() }
func (forgetful) Commit(context.Context, *store.Record) (store.Result, error) {
	return store.Result{}, nil
}
func (forgetful) Event(context.Context, uint64) (*event.Event, error) {
	return nil, store.ErrNotFound
}
func (forgetful) Lane(_ context.Context, name string) (store.Lane, error) {
	return store.Lane{Name: name}, nil
}
func (forgetful) Postings(context.Context, string, store.Ref, int) ([]store.Posting, error) {
	return nil, nil
}
func (forgetful) Retries(context.Context, string, int) ([]store.Retry, error) { return nil, nil }
func (forgetful) Documents(context.Context, string) ([]store.Document, error) { return nil, nil }
func (forgetful) Document(context.Context, string, string) ([]byte, error) {
	return nil, store.ErrNotFound
}

// BenchmarkDeliver is what a lane itself takes for a delivery that succeeds at once,
// of an event that ten lanes get.
func BenchmarkDeliver(b *testing.B) {
	const lanes = 10
	st := forgetful{progress: &atomic.Uint64{}}
	s := NewSet(st, Options{})
	var sent atomic.Int64
	r := store.Routing{Matches: []store.Match{{Route: "all"}}}
	for i := range lanes {
		name := fmt.Sprintf("lane-%d", i)
		r.Deliveries = append(r.Deliveries, store.Delivery{Lane: name, Content: -1})
		try := func(context.Context, *Work) Result {
			sent.Add(1)
			return Result{OK: true}
		}
		if err := s.Add(b.Context(), name, Policy{Schedule: []time.Duration{0}, Concurrency: 16}, try); err != nil {
			b.Fatal(err)
		}
	}
	s.Start()
	for _, l := range s.all() {
		for {
			l.mu.Lock()
			ready := !l.more && !l.reading
			l.mu.Unlock()
			if ready {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	data := make([]byte, 1<<10)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range (b.N + lanes - 1) / lanes {
		position := uint64(n + 1)
		routing := r
		routing.Position = position
		s.Offer(&event.Event{Position: position, Data: data, Received: time.Now()}, &routing, true)
		st.progress.Store(position)
		s.Posted(&routing)
		for int64(n*lanes)-sent.Load() > 1000 {
			time.Sleep(10 * time.Microsecond)
		}
	}
	if err := s.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
