package routing

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/store"
)

// newest is a position that only the newest rule of a webhook is for.
const newest = math.MaxUint64 - 1

// Replay decides anew where an event goes that was routed before: by this table,
// and by what registered webhooks take now. to, where it is not empty, is the only
// destination. The routing is marked Again, with deliveries that are due at once.
// A route whose plugin fails delivers nothing and leaves no dead letter, since a
// retry would run it for all of its destinations: failed counts them. The error is
// that of ctx.
func (t *Table) Replay(ctx context.Context, e *event.Event, to string, now time.Time) (r *store.Routing, failed int, err error) {
	d := &Decision{Routing: &store.Routing{Position: e.Position, Config: t.hash, Again: true}}
	m := event.NewMessage(e)
	in := expr.NewInput(m)
	how := mode{now: now, last: true}
	taken := t.match(&t.ordinary, e, in, d)
	if len(taken) == 0 {
		taken = t.match(&t.fallbacks, e, in, d)
	}
	for _, i := range taken {
		r := t.routes[i]
		if to != "" && !slices.ContainsFunc(r.To, func(d *config.Destination) bool { return d.Name == to }) {
			continue
		}
		if err := r.apply(ctx, m, d.Routing, how); err != nil && ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
	}
	if t.webhooks.sees(e) {
		hooks := t.webhooks.match(e, newest)
		if to != "" {
			hooks = slices.DeleteFunc(hooks, func(x entry) bool { return x.id != to })
		}
		if len(hooks) > 0 {
			t.webhooks.again.Add(1)
		}
		if err := t.applyWebhooks(ctx, hooks, m, in, d, how); err != nil {
			return nil, 0, err
		}
		for i := range d.Routing.Matches {
			m := &d.Routing.Matches[i]
			if k := slices.IndexFunc(hooks, func(x entry) bool { return x.id == m.Route }); k >= 0 {
				m.Version = hooks[k].rule.Version
			}
		}
	}
	r = d.Routing
	for i := range r.Deliveries {
		r.Deliveries[i].Due = now
	}
	r.Deliveries = slices.DeleteFunc(r.Deliveries, func(d store.Delivery) bool {
		if d.Lane == store.RoutingLane {
			failed++
		}
		return d.Lane == store.RoutingLane || to != "" && d.Lane != to
	})
	return r, failed, nil
}

// Replay decides anew by the current table, see [Table.Replay].
func (r *Reader) Replay(ctx context.Context, e *event.Event, to string, now time.Time) (routing *store.Routing, failed int, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.table.Replay(ctx, e, to, now)
}
