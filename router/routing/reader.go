package routing

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Bounds of one record.
const (
	batchEvents = 128
	batchBytes  = 2 << 20
)

// Observer is told of each event that was routed, after the commit.
type Observer func(e *event.Event, d *Decision)

// Reader reads the log once and posts to the lanes that matched.
type Reader struct {
	store store.Store
	log   hclog.Logger
	// mu is held for reading while a table is in use, so that Swap knows when the
	// old one is not any more.
	mu    sync.RWMutex
	table *Table
	// routed is called for each routing that is committed.
	routed Observer
}

// NewReader returns a reader that has not started.
func NewReader(st store.Store, t *Table, log hclog.Logger, routed Observer) *Reader {
	r := &Reader{store: st, log: log, table: t, routed: routed}
	return r
}

// Table is the one that the next event is routed by.
func (r *Reader) Table() *Table {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.table
}

// Swap makes t the table that the next event is routed by. When it returns no
// event is being routed by the old one.
func (r *Reader) Swap(t *Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.table = t
}

// RouteAgain runs one route again by the current table, see [Table.RouteAgain].
func (r *Reader) RouteAgain(ctx context.Context, e *event.Event, name string, now time.Time, last bool) (*store.Routing, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.table.RouteAgain(ctx, e, name, now, last)
}

// Run routes what is in the log and what comes, until ctx ends. A store that
// fails is tried again: an event is never passed over.
func (r *Reader) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.step(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, store.ErrClosed) {
			return
		}
		r.log.Error("routing stands still, trying again", "after", r.store.Progress(), "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// step routes one batch.
func (r *Reader) step(ctx context.Context) error {
	from := r.store.Progress()
	if err := r.store.Wait(ctx, from); err != nil {
		return err
	}
	events, err := r.store.Events(ctx, from+1, batchEvents)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	if len(events) == 0 {
		return fmt.Errorf("read the log: nothing at %d", from+1)
	}
	for len(events) > 0 {
		n := 1
		for size := len(events[0].Data); n < len(events) && size < batchBytes; n++ {
			size += len(events[n].Data)
		}
		if err := r.route(ctx, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// decide asks the table, for events side by side.
func (r *Reader) decide(ctx context.Context, events []*event.Event) ([]*Decision, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	decisions := make([]*Decision, len(events))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range events {
		group.Go(func() error {
			d, err := r.table.Route(groupCtx, e)
			decisions[i] = d
			return err
		})
	}
	return decisions, group.Wait()
}

// route decides for events and commits in their order.
func (r *Reader) route(ctx context.Context, events []*event.Event) error {
	decisions, err := r.decide(ctx, events)
	if err != nil {
		return err
	}
	// What plugins made may be larger than the events were.
	for start := 0; start < len(decisions); {
		record, end := &store.Record{}, start
		for size := 0; end < len(decisions) && size < batchBytes; end++ {
			routing := decisions[end].Routing
			record.Routings = append(record.Routings, routing)
			size += routingBytes(routing)
		}
		if err := r.commit(ctx, record); err != nil {
			return fmt.Errorf("commit routing: %w", err)
		}
		for i := start; i < end; i++ {
			r.routed(events[i], decisions[i])
		}
		start = end
	}
	return nil
}

// routingBytes is about what a routing takes in the store.
func routingBytes(r *store.Routing) int {
	n := 64 * len(r.Deliveries)
	for i := range r.Contents {
		c := &r.Contents[i]
		n += len(c.Type) + len(c.Subject) + len(c.ContentType) + len(c.Data)
		for _, list := range [2][]event.Field{c.Header, c.SetHeader} {
			for _, f := range list {
				n += len(f.Name) + len(f.Value)
			}
		}
	}
	return n
}

// commit commits routings together, or one by one where they are too large
// together. One that is too large by itself becomes a dead letter for each of
// its routes: an event must not stop all that come after it.
func (r *Reader) commit(ctx context.Context, record *store.Record) error {
	_, err := r.store.Commit(ctx, record)
	if !errors.Is(err, store.ErrTooLarge) {
		return err
	}
	for _, routing := range record.Routings {
		_, err := r.store.Commit(ctx, &store.Record{Routings: []*store.Routing{routing}})
		if errors.Is(err, store.ErrTooLarge) {
			tooLarge(routing, err)
			_, err = r.store.Commit(ctx, &store.Record{Routings: []*store.Routing{routing}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tooLarge turns a routing into dead letters, one a route.
func tooLarge(r *store.Routing, why error) {
	r.Contents, r.Deliveries = nil, nil
	for i := range r.Matches {
		r.Matches[i].Plugins = nil
		r.Deliveries = append(r.Deliveries, store.Delivery{
			Match: i, Content: -1, Lane: store.RoutingLane, Dead: store.ReasonRouting,
			Error: fmt.Sprintf("route %q: what it and the other routes made of this event is too large to be stored: %v", r.Matches[i].Route, why),
		})
	}
}
