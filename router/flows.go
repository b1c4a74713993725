package router

import (
	"context"
	"slices"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/metrics"
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// took counts where an event comes from that is routed for the first time, and which
// routes take it. Registered webhooks are one route, so that the number of counts
// follows from the configuration.
func took(add func(stats.Flow, uint64), source string, r *store.Routing) {
	add(stats.Flow{Kind: stats.FromSource, Name: source}, 1)
	webhooks := uint64(0)
	for i := range r.Matches {
		if webhook.IsID(r.Matches[i].Route) {
			webhooks++
			continue
		}
		add(stats.Flow{Route: r.Matches[i].Route, Kind: stats.FromSource, Name: source}, 1)
	}
	if webhooks > 0 {
		add(stats.Flow{Route: metrics.SharedWebhooks, Kind: stats.FromSource, Name: source}, webhooks)
	}
	went(add, r)
}

// went counts which plugins an event meets on its routes and where it goes to.
func went(add func(stats.Flow, uint64), r *store.Routing) {
	for i := range r.Matches {
		m := &r.Matches[i]
		for j := range m.Plugins {
			if !webhook.IsID(m.Route) {
				add(stats.Flow{Route: m.Route, Kind: stats.ThroughPlugin, Name: m.Plugins[j].Plugin}, 1)
			}
		}
	}
	for i := range r.Deliveries {
		x := &r.Deliveries[i]
		if route := r.Matches[x.Match].Route; x.Lane != store.RoutingLane && !webhook.IsID(route) {
			add(stats.Flow{Route: route, Kind: stats.ToDestination, Name: x.Lane}, 1)
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
				out.Sources = append(out.Sources, api.Source{Name: name, Events: counts[stats.Flow{Kind: stats.FromSource, Name: name}]}) // the router's own
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
