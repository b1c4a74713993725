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
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// flows count what goes through each route, by where it comes from, which plugins
// it meets and where it goes to. Registered webhooks are one route, so that the number
// of counts follows from the configuration. The statistics take them over.
type flows struct {
	mu     sync.RWMutex
	counts map[stats.Flow]*atomic.Uint64
	// took is what sources had taken in when the statistics asked last.
	took map[string]uint64
}

func (f *flows) add(key stats.Flow, n uint64) {
	f.mu.RLock()
	c := f.counts[key]
	f.mu.RUnlock()
	if c == nil {
		f.mu.Lock()
		if f.counts == nil {
			f.counts = map[stats.Flow]*atomic.Uint64{}
		}
		if c = f.counts[key]; c == nil {
			c = new(atomic.Uint64)
			f.counts[key] = c
		}
		f.mu.Unlock()
	}
	c.Add(n)
}

// take gives what went since it was called last. It belongs to the statistics, which
// ask one at a time.
func (f *flows) take(tally *source.Tally) map[stats.Flow]uint64 {
	out := map[stats.Flow]uint64{}
	f.mu.RLock()
	for key, c := range f.counts {
		if n := c.Swap(0); n > 0 {
			out[key] = n
		}
	}
	f.mu.RUnlock()
	if f.took == nil {
		f.took = map[string]uint64{}
	}
	for _, n := range tally.Counts() {
		if n.Reason != "" {
			continue // it was refused
		}
		if more := n.N - f.took[n.Source]; more > 0 {
			f.took[n.Source] = n.N
			out[stats.Flow{Kind: stats.FromSource, Name: n.Source}] = more
		}
	}
	return out
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
		f.add(stats.Flow{Route: m.Route, Kind: stats.FromSource, Name: e.Source}, 1)
		for j := range m.Plugins {
			f.add(stats.Flow{Route: m.Route, Kind: stats.ThroughPlugin, Name: m.Plugins[j].Plugin}, 1)
		}
	}
	if webhooks > 0 {
		f.add(stats.Flow{Route: metrics.SharedWebhooks, Kind: stats.FromSource, Name: e.Source}, webhooks)
	}
	for i := range d.Routing.Deliveries {
		x := &d.Routing.Deliveries[i]
		if route := d.Routing.Matches[x.Match].Route; x.Lane != store.RoutingLane && !webhook.IsID(route) {
			f.add(stats.Flow{Route: route, Kind: stats.ToDestination, Name: x.Lane}, 1)
		}
	}
}

// Routes are those of the configuration with what went through them of late.
func (e engine) Routes(context.Context) (*api.RouteList, error) {
	c := e.setup.Load().config
	counts, since := e.book.Flows()
	out := &api.RouteList{Since: since, Sources: []api.Source{}, Routes: []api.Route{}}
	var open []string
	for _, s := range c.Sources {
		out.Sources = append(out.Sources, api.Source{Name: s.Name, Path: "/in/" + s.Name, Events: counts[stats.Flow{Kind: stats.FromSource, Name: s.Name}]})
		if s.Path != "" {
			out.Sources[len(out.Sources)-1].Path = s.Path
		}
		open = append(open, s.Name)
	}
	for _, r := range c.Routes {
		out.Routes = append(out.Routes, flowingRoute(r, open, counts))
		for _, name := range r.From {
			if !slices.Contains(open, name) && !slices.ContainsFunc(out.Sources, func(s api.Source) bool { return s.Name == name }) {
				out.Sources = append(out.Sources, api.Source{Name: name}) // the router's own
			}
		}
	}
	if n := e.webhooks.registry.Len(); n > 0 {
		out.Webhooks = &api.WebhookFlow{Registered: n, From: []api.Flow{}}
		for _, name := range c.Webhooks.From {
			out.Webhooks.From = append(out.Webhooks.From, api.Flow{Name: name, Count: counts[stats.Flow{Route: metrics.SharedWebhooks, Kind: stats.FromSource, Name: name}]})
		}
	}
	return out, nil
}

func flowingRoute(r *config.Route, open []string, counts map[stats.Flow]uint64) api.Route {
	out := api.Route{Name: r.Name, Events: r.Events, Fallback: r.Fallback, From: []api.Flow{}, Through: []api.Flow{}, To: []api.Flow{}}
	if r.When != nil {
		out.When = r.When.Source()
	}
	from := r.From
	if from == nil {
		from = open
	}
	for _, name := range from {
		n := counts[stats.Flow{Route: r.Name, Kind: stats.FromSource, Name: name}]
		out.From = append(out.From, api.Flow{Name: name, Count: n})
		out.Matched += n
	}
	for _, p := range r.Through {
		out.Through = append(out.Through, api.Flow{Name: p.Name, Count: counts[stats.Flow{Route: r.Name, Kind: stats.ThroughPlugin, Name: p.Name}]})
	}
	for _, d := range r.To {
		out.To = append(out.To, api.Flow{Name: d.Name, Count: counts[stats.Flow{Route: r.Name, Kind: stats.ToDestination, Name: d.Name}]})
	}
	return out
}
