package router

import (
	"context"
	"slices"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
)

// ledger counts what routing and the lanes commit, in the same records.
type ledger struct{ book *stats.Book }

// Routed counts events.
func (l ledger) Routed(events []*event.Event) (store.Document, func()) {
	t := l.book.Tally()
	now := time.Now()
	for _, e := range events {
		t.Add(&stats.Observation{At: now, Key: stats.Key{Type: e.Type}, Event: true})
	}
	d, _ := t.Document() // there is something to count
	return d, func() { t.Committed(d) }
}

// counted is the store as the lanes have it: each record with outcomes carries what
// counts them.
type counted struct {
	store.Store
	book *stats.Book
}

// Commit implements [store.Store].
func (c counted) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	t := c.book.Tally()
	for i := range r.Outcomes {
		// The lane of routing is no destination.
		if lane := &r.Outcomes[i]; lane.Lane != store.RoutingLane {
			for k := range lane.Outcomes {
				t.Add(observation(lane.Lane, &lane.Outcomes[k]))
			}
		}
	}
	d, ok := t.Document()
	if !ok {
		return c.Store.Commit(ctx, r)
	}
	with := *r
	with.Documents = append(slices.Clip(r.Documents), d)
	result, err := c.Store.Commit(ctx, &with)
	if err == nil {
		t.Committed(d)
	}
	return result, err
}

// observation is what an outcome counts as. What is moved by hand has no type.
func observation(lane string, o *store.Outcome) *stats.Observation {
	out := &stats.Observation{At: time.Now(), Key: stats.Key{Type: o.Type, Destination: lane}}
	if out.Type == "" {
		out.Type = stats.Other
	}
	if a := o.Attempt; a != nil {
		out.Tried, out.Retry, out.Reason, out.Latency = true, a.Number > 1, a.Reason, a.Latency
	}
	switch o.To {
	case store.Delivered:
		// What a receiver acknowledged says nothing of when its event came.
		out.End, out.Unmeasured = stats.Delivered, o.Received.IsZero()
		if !out.Unmeasured {
			out.SinceReceived = out.At.Sub(o.Received)
		}
	case store.Dead:
		out.End = stats.Dead
	case store.Cancelled:
		out.End = stats.Cancelled
	}
	return out
}
