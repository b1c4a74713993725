// Package routing decides where events go. A [Table] is a compiled
// configuration's routes: it says for an event which routes take it and what
// their plugins make of it. A [Reader] reads the log in order and commits what
// the table decided.
//
// # Invariants
//
//   - A Table is immutable. An event is routed whole by one table.
//   - What a route does depends on the event, the plugins' builds and their
//     configuration alone, so that routing again gives the same deliveries.
//   - A failing route or plugin ends its own route for that event, and no other.
//   - Progress and the deliveries that come of an event are one record: it is
//     routed once, or after a crash again from the start.
//   - What is decided is told to the lanes before it is committed, in the log's
//     order, so that they may send it: at most MaxAhead events ahead of the
//     commits. After a crash these events are routed again, by the table that was
//     routing them, so that they come to the same.
//
// # Goroutines
//
// Run is the one goroutine that reads the log and decides. It owns others, for
// which it waits when it ends: helpers for batches of events with plugins, and the
// one that commits what was decided.
package routing

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/store"
)

// Table is the routes of one configuration, compiled. It is safe for concurrent
// use.
type Table struct {
	hash      string
	routes    []*route
	ordinary  index
	fallbacks index
	plugins   bool // some route has one
	webhooks  registered
}

type route struct {
	*config.Route
	links []link
}

// link is one plugin of a route's chain.
type link struct {
	*config.Plugin
	run    Plugin
	shadow Shadow // nil where there is none
	hold   *Hold  // one a plugin, whatever routes it is on
}

// NewTable compiles the routes of c; loaded holds the plugins by name. A route
// whose plugin is not loaded cannot run; only Explain works then.
func NewTable(c *config.Config, loaded map[string]Loaded) *Table {
	t := &Table{hash: c.Hash, webhooks: registeredOf(c, loaded), plugins: len(c.Webhooks.Plugins) > 0}
	for i, r := range c.Routes {
		compiled := &route{Route: r}
		for _, p := range r.Through {
			l := loaded[p.Name]
			compiled.links = append(compiled.links, link{p, l.Plugin, l.Shadow, l.Hold})
			t.plugins = true
		}
		t.routes = append(t.routes, compiled)
		if r.Fallback {
			t.fallbacks.add(i, r.Events)
		} else {
			t.ordinary.add(i, r.Events)
		}
	}
	return t
}

// Hash is that of the configuration.
func (t *Table) Hash() string { return t.hash }

// Decision is what a table decided for one event.
type Decision struct {
	Routing *store.Routing
	// Failed holds, by route, why a condition could not be evaluated. Such a
	// route does not match.
	Failed map[string]error
}

// Route decides where e goes. It runs the plugins of the routes that match. The
// error is that of ctx, and nothing is decided then.
func (t *Table) Route(ctx context.Context, e *event.Event) (*Decision, error) {
	d := &Decision{Routing: &store.Routing{Position: e.Position, Config: t.hash}}
	m := event.NewMessage(e)
	in := expr.NewInput(m)
	now := time.Now()
	taken := t.match(&t.ordinary, e, in, d)
	if len(taken) == 0 {
		taken = t.match(&t.fallbacks, e, in, d)
	}
	for _, i := range taken {
		// A failure is part of the routing: other routes go on.
		if err := t.routes[i].apply(ctx, m, d.Routing, mode{now: now}); err != nil && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if t.webhooks.sees(e) {
		if err := t.routeToWebhooks(ctx, e, m, in, d, now); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// fail notes why a condition could not be evaluated.
func (d *Decision) fail(route string, err error) {
	if d.Failed == nil {
		d.Failed = map[string]error{}
	}
	d.Failed[route] = err
}

// match returns the routes that take e, in the configuration's order.
func (t *Table) match(x *index, e *event.Event, in *expr.Input, d *Decision) []int {
	found := x.find(nil, e.Type)
	slices.SortFunc(found, cmp.Compare[int])
	found = slices.Compact(found)
	taken := found[:0]
	for _, i := range found {
		r := t.routes[i]
		if !r.from(e.Source) {
			continue
		}
		if r.When != nil {
			ok, err := r.When.Bool(in)
			if err != nil {
				d.fail(r.Name, err)
			}
			if err != nil || !ok {
				continue
			}
		}
		taken = append(taken, i)
	}
	return taken
}

func (r *route) from(source string) bool {
	if r.From == nil {
		return source != event.SourceWeir && source != event.SourceReply
	}
	return slices.Contains(r.From, source)
}

// find returns a route by name, nil when the configuration has none.
func (t *Table) find(name string) *route {
	for _, r := range t.routes {
		if r.Name == name {
			return r
		}
	}
	return nil
}
