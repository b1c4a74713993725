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

// Routed counts events and the ways that they go.
func (l ledger) Routed(events []*event.Event, routings []*store.Routing) (store.Document, func()) {
	t := l.book.Tally()
	now := time.Now()
	add := t.Flows(now)
	for i, e := range events {
		t.Add(&stats.Observation{At: now, Key: stats.Key{Type: e.Type, Tenant: e.Tenant}, Event: true})
		took(add, e.Source, routings[i])
	}
	d, _ := t.Document() // there is something to count
	return d, func() { t.Committed(d) }
}

// Aged counts what retention ends in a lane.
func (l ledger) Aged(lane string, ended []store.Outcome, of func(position uint64) (*event.Event, error)) (store.Document, func()) {
	t := l.book.Tally()
	for i := range ended {
		k := stats.Key{Destination: lane}
		if e, err := of(ended[i].Ref.Position); err == nil {
			k.Type, k.Tenant = e.Type, e.Tenant
		}
		t.Add(observation(&ended[i], k))
	}
	d, _ := t.Document() // there is something to count
	return d, func() { t.Committed(d) }
}

// counted is the store as the lanes have it: each record with outcomes carries what
// counts them.
type counted struct {
	store.Store
	book *stats.Book
	// ended counts the end of a delivery that no attempt has brought: it was
	// acknowledged, or moved by hand.
	ended func(lane string, to store.State)
}

// Commit implements [store.Store].
func (c counted) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	t := c.book.Tally()
	type hand struct {
		lane string
		to   store.State
	}
	var hands []hand
	for i := range r.Outcomes {
		// The lane of routing is no destination.
		if lane := &r.Outcomes[i]; lane.Lane != store.RoutingLane {
			for k := range lane.Outcomes {
				o := &lane.Outcomes[k]
				if o.Attempt == nil && !o.To.Final() {
					continue // it is only to be sent again
				}
				if byHand(o) {
					hands = append(hands, hand{lane.Lane, o.To})
					t.Add(observation(o, c.keyOf(ctx, lane.Lane, o.Ref.Position)))
				} else {
					t.Add(observation(o, stats.Key{Type: o.Type, Destination: lane.Lane, Tenant: o.Tenant}))
				}
			}
		}
	}
	for _, again := range r.Routings { // by routes that were run again
		went(t.Flows(time.Now()), again)
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
		for _, h := range hands {
			c.ended(h.lane, h.to)
		}
	}
	return result, err
}

// byHand reports whether an outcome ends a delivery without an attempt. A lane that
// ends one by itself says its type.
func byHand(o *store.Outcome) bool { return o.Type == "" && o.Attempt == nil && o.To.Final() }

// keyOf is that of an event in a lane, without a type where it can't be read.
func (c counted) keyOf(ctx context.Context, lane string, position uint64) stats.Key {
	e, err := c.Event(ctx, position)
	if err != nil {
		return stats.Key{Destination: lane}
	}
	return stats.Key{Type: e.Type, Destination: lane, Tenant: e.Tenant}
}

// observation is what an outcome counts as.
func observation(o *store.Outcome, k stats.Key) *stats.Observation {
	out := &stats.Observation{At: time.Now(), Key: k}
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
