// Package storetest is the conformance suite of package store: what an
// implementation must do to be one. Each case shows one of the invariants that
// package store states, and is named for it. [Memory] is a model that passes,
// and that can be broken to show that the suite refuses what it should.
package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Options that a store is opened with.
type Options struct {
	Retention, MaxAge, DeadAge time.Duration
	MinFree                    int64
	// Free is the free space that the store must believe in.
	Free func() int64
	// Now is the clock.
	Now func() time.Time
}

// System is a place where one store is kept, such as a folder.
type System interface {
	// Open opens the store that is kept there, making it where there is none.
	Open(ctx context.Context, o Options) (store.Store, error)
	// Crash ends the open store as kill -9 would: what it has not made durable
	// is gone. The store is not used after that.
	Crash(ctx context.Context) error
	// Remove ends all use.
	Remove() error
}

// Factory makes an empty system.
type Factory func() (System, error)

// Case shows one thing that a store must do.
type Case struct {
	// Name begins with the number of the invariant in package store.
	Name string
	Run  func(ctx context.Context, e *Env) error
}

// Run runs every case as a subtest.
func Run(t *testing.T, f Factory) {
	t.Helper()
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			if err := RunCase(t.Context(), f, c); err != nil {
				t.Error(err)
			}
		})
	}
}

// RunCase runs one case on a system of its own.
func RunCase(ctx context.Context, f Factory, c Case) (err error) {
	sys, err := f()
	if err != nil {
		return fmt.Errorf("making a system: %w", err)
	}
	e := &Env{sys: sys, now: Start, free: 1 << 40}
	defer func() {
		if e.Store != nil {
			if e := e.Store.Close(); e != nil && err == nil {
				err = fmt.Errorf("closing: %w", e)
			}
		}
		if e := sys.Remove(); e != nil && err == nil {
			err = fmt.Errorf("removing: %w", e)
		}
	}()
	if err := e.Open(ctx); err != nil {
		return err
	}
	return c.Run(ctx, e)
}

// Start is the time at which a case begins.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The ages that cases use.
const (
	Retention = 7 * 24 * time.Hour
	MaxAge    = 30 * 24 * time.Hour
	DeadAge   = 30 * 24 * time.Hour
	MinFree   = 1 << 20
)

// Env is what a case works with.
type Env struct {
	Store store.Store
	sys   System

	mu   sync.Mutex
	now  time.Time
	free int64
	made int
}

// Now is the store's clock.
func (e *Env) Now() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

// Pass moves the clock.
func (e *Env) Pass(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = e.now.Add(d)
}

// SetFree sets the free space, and passes time so that the store sees it.
func (e *Env) SetFree(n int64) {
	e.mu.Lock()
	e.free = n
	e.mu.Unlock()
	e.Pass(time.Minute)
}

// Open opens the store.
func (e *Env) Open(ctx context.Context) error {
	s, err := e.sys.Open(ctx, Options{
		Retention: Retention, MaxAge: MaxAge, DeadAge: DeadAge, MinFree: MinFree, Now: e.Now,
		Free: func() int64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.free
		},
	})
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	e.Store = s
	return nil
}

// Reopen closes the store and opens it again.
func (e *Env) Reopen(ctx context.Context) error {
	if err := e.Store.Close(); err != nil {
		return fmt.Errorf("closing: %w", err)
	}
	return e.Open(ctx)
}

// Crash kills the store and opens what is left.
func (e *Env) Crash(ctx context.Context) error {
	e.Store = nil
	if err := e.sys.Crash(ctx); err != nil {
		return fmt.Errorf("crashing: %w", err)
	}
	return e.Open(ctx)
}

// Event makes an event of a type, received now, with an id of the router's.
func (e *Env) Event(typ string) *event.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made++
	return &event.Event{
		ID: event.NewID(e.now), Type: typ, Source: "src", Time: e.now, Received: e.now,
		ContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, e.made),
		Header: []event.Field{{Name: "x-n", Value: fmt.Sprint(e.made)}},
	}
}

// Given makes an event whose producer gave the id.
func (e *Env) Given(id, source string) *event.Event {
	ev := e.Event("given")
	ev.ID, ev.Given, ev.Source = id, true, source
	return ev
}

// commit stores a record.
func (e *Env) commit(ctx context.Context, r *store.Record) (store.Result, error) {
	res, err := e.Store.Commit(ctx, r)
	if err == nil && len(res.Events) != len(r.Events) {
		err = fmt.Errorf("%d answers for %d events", len(res.Events), len(r.Events))
	}
	return res, err
}

// append stores n events of a type, in one record.
func (e *Env) append(ctx context.Context, n int, typ string) error {
	r := &store.Record{}
	for range n {
		r.Events = append(r.Events, store.NewEvent{Event: e.Event(typ)})
	}
	_, err := e.commit(ctx, r)
	return err
}

// routing sends an event to lanes, as it is.
func routing(position uint64, lanes ...string) *store.Routing {
	r := &store.Routing{Position: position, Config: "c0ffee", Matches: []store.Match{{Route: "all"}}}
	for i, l := range lanes {
		r.Deliveries = append(r.Deliveries, store.Delivery{Lane: l, N: i, Content: -1})
	}
	return r
}

// post stores n events and routes each to the lanes.
func (e *Env) post(ctx context.Context, n int, lanes ...string) error {
	if err := e.append(ctx, n, "posted"); err != nil {
		return err
	}
	for range n {
		r := &store.Record{Routings: []*store.Routing{routing(e.Store.Progress()+1, lanes...)}}
		if _, err := e.commit(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// outcomes commits what happened in a lane.
func (e *Env) outcomes(ctx context.Context, lane string, c *store.Cursor, o ...store.Outcome) error {
	_, err := e.commit(ctx, &store.Record{Outcomes: []store.LaneOutcomes{{Lane: lane, Outcomes: o, Cursor: c}}})
	return err
}

func at(position uint64) store.Ref { return store.Ref{Position: position} }

func (e *Env) attempt(n, status int) *store.Attempt {
	return &store.Attempt{Number: n, Started: e.Now(), Latency: time.Millisecond, Status: status, Body: []byte("body")}
}

func (e *Env) delivered(r store.Ref) store.Outcome {
	return store.Outcome{Ref: r, From: store.Waiting, To: store.Delivered, Attempt: e.attempt(1, 200)}
}

func (e *Env) retrying(r store.Ref, in time.Duration) store.Outcome {
	a := e.attempt(1, 503)
	a.Reason = "status"
	return store.Outcome{Ref: r, From: store.Waiting, To: store.Retrying, Attempt: a, Due: e.Now().Add(in), Tries: 1}
}

func (e *Env) dead(r store.Ref, from store.State) store.Outcome {
	return store.Outcome{Ref: r, From: from, To: store.Dead, Attempt: e.attempt(1, 500), Reason: store.ReasonAttempts, Tries: 1, Note: "gave up"}
}
