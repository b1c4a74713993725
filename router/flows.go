package router

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/metrics"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// flows count what goes through each route, by where it comes from, which plugins
// it meets and where it goes to, since the router started. Registered webhooks are
// one route, so that the number of counts follows from the configuration.
type flows struct {
	mu     sync.RWMutex
	counts map[flow]*atomic.Uint64
}

// flow is one way into a route, or out of it.
type flow struct {
	route string
	kind  flowKind
	name  string
}

type flowKind uint8

const (
	fromSource flowKind = iota
	throughPlugin
	toDestination
)

func (f *flows) add(key flow, n uint64) {
	f.mu.RLock()
	c := f.counts[key]
	f.mu.RUnlock()
	if c == nil {
		f.mu.Lock()
		if f.counts == nil {
			f.counts = map[flow]*atomic.Uint64{}
		}
		if c = f.counts[key]; c == nil {
			c = new(atomic.Uint64)
			f.counts[key] = c
		}
		f.mu.Unlock()
	}
	c.Add(n)
}

func (f *flows) of(key flow) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if c := f.counts[key]; c != nil {
		return c.Load()
	}
	return 0
}

// routed counts an event's way.
func (f *flows) routed(e *event.Event, d *routing.Decision) {
	webhooks := uint64(0)
	for i := range d.Routing.Matches {
		m := &d.Routing.Matches[i]
		if webhook.IsID(m.Route) {
			webhooks++
			continue
		}
		f.add(flow{m.Route, fromSource, e.Source}, 1)
		for j := range m.Plugins {
			f.add(flow{m.Route, throughPlugin, m.Plugins[j].Plugin}, 1)
		}
	}
	if webhooks > 0 {
		f.add(flow{metrics.SharedWebhooks, fromSource, e.Source}, webhooks)
	}
	for i := range d.Routing.Deliveries {
		x := &d.Routing.Deliveries[i]
		if route := d.Routing.Matches[x.Match].Route; x.Lane != store.RoutingLane && !webhook.IsID(route) {
			f.add(flow{route, toDestination, x.Lane}, 1)
		}
	}
}

// Routes are those of the configuration with what went through them.
func (e engine) Routes(context.Context) (*api.RouteList, error) {
	c := e.setup.Load().config
	out := &api.RouteList{Since: e.started.UTC(), Sources: []api.Source{}, Routes: []api.Route{}}
	taken := map[string]uint64{}
	for _, n := range e.tally.Counts() {
		if n.Reason == "" {
			taken[n.Source] += n.N
		}
	}
	var open []string
	for _, s := range c.Sources {
		out.Sources = append(out.Sources, api.Source{Name: s.Name, Path: "/in/" + s.Name, Events: taken[s.Name]})
		if s.Path != "" {
			out.Sources[len(out.Sources)-1].Path = s.Path
		}
		open = append(open, s.Name)
	}
	for _, r := range c.Routes {
		out.Routes = append(out.Routes, e.route(r, open))
		for _, name := range r.From {
			if !slices.Contains(open, name) && !slices.ContainsFunc(out.Sources, func(s api.Source) bool { return s.Name == name }) {
				out.Sources = append(out.Sources, api.Source{Name: name}) // the router's own
			}
		}
	}
	if n := e.webhooks.registry.Len(); n > 0 {
		out.Webhooks = &api.WebhookFlow{Registered: n, From: []api.Flow{}}
		for _, name := range c.Webhooks.From {
			out.Webhooks.From = append(out.Webhooks.From, api.Flow{Name: name, Count: e.flows.of(flow{metrics.SharedWebhooks, fromSource, name})})
		}
	}
	return out, nil
}

func (e engine) route(r *config.Route, open []string) api.Route {
	out := api.Route{Name: r.Name, Events: r.Events, Fallback: r.Fallback, From: []api.Flow{}, Through: []api.Flow{}, To: []api.Flow{}}
	if r.When != nil {
		out.When = r.When.Source()
	}
	from := r.From
	if from == nil {
		from = open
	}
	for _, name := range from {
		n := e.flows.of(flow{r.Name, fromSource, name})
		out.From = append(out.From, api.Flow{Name: name, Count: n})
		out.Matched += n
	}
	for _, p := range r.Through {
		out.Through = append(out.Through, api.Flow{Name: p.Name, Count: e.flows.of(flow{r.Name, throughPlugin, p.Name})})
	}
	for _, d := range r.To {
		out.To = append(out.To, api.Flow{Name: d.Name, Count: e.flows.of(flow{r.Name, toDestination, d.Name})})
	}
	return out
}
