package api

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// explainEvent joins what routing stored with why the other routes did not
// match, which follows from the event and the configuration.
func (s *server) explainEvent(c *fiber.Ctx) error {
	e, err := s.findEvent(c, "destination")
	if err != nil {
		return err
	}
	out, err := s.explain(c, e, strings.Clone(c.Query("destination")))
	if err != nil {
		return err
	}
	return c.JSON(out)
}

// Bounds of the registered webhooks that an explanation shows: of those that took
// the event, and of all where it shows why each did not.
const (
	shownWebhooks = 100
	allWebhooks   = 20
)

// explain says of each route what it did. Of registered webhooks it shows those
// that took the event, up to a number, and the one that is asked for; where there
// are few, all.
func (s *server) explain(c *fiber.Ctx, e *event.Event, destination string) (*Explanation, error) {
	table := s.engine.Table()
	out := &Explanation{Event: detail(e), Current: table.Hash(), Routes: []RouteVerdict{}}
	routing, err := s.engine.Store().Routing(c.Context(), e.Position)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	deliveries, err := s.deliveriesOf(c, e)
	if err != nil {
		return nil, err
	}
	stored := map[string]*RouteVerdict{}
	var order []string
	loaded := s.engine.Plugins()
	if routing != nil {
		out.Routed, out.RoutedBy = true, routing.Config
		for _, m := range routing.Matches {
			v := stored[m.Route]
			if v == nil {
				v = &RouteVerdict{Route: m.Route, Matched: true}
				stored[m.Route] = v
				order = append(order, m.Route)
			}
			for _, p := range pluginVerdicts(m.Plugins) {
				if p.Message == 0 { // differences are told of the event, not of each message
					p.Shadow = shadowed(loaded, p.Plugin, m.Route, &out.Event)
				}
				v.Plugins = append(v.Plugins, p)
			}
		}
		// Some may be gone: retention takes what is done of an event that it keeps.
		for _, d := range deliveries {
			if v := stored[d.Route]; v != nil {
				v.Deliveries = append(v.Deliveries, d)
			}
		}
	}
	for _, now := range table.Explain(e) {
		if v := stored[now.Route]; v != nil {
			// What routing decided is a fact. The terms explain it only where the
			// same configuration runs.
			if out.RoutedBy == out.Current {
				v.Terms = terms(now)
			}
			out.Routes = append(out.Routes, *v)
			delete(stored, now.Route)
			continue
		}
		v := RouteVerdict{Route: now.Route, Matched: now.Matched, Recomputed: true, Reason: now.Reason, Terms: terms(now)}
		if out.Routed && now.Matched {
			v.Matched = false
			v.Reason = "it matches by the current configuration, but not by the one that routed the event"
		}
		out.Routes = append(out.Routes, v)
	}
	shown := 0
	for _, name := range order { // registered webhooks, and routes that the configuration has no more
		v := stored[name]
		if v == nil {
			continue
		}
		if webhook.IsID(name) && name != destination {
			if shown == shownWebhooks {
				out.MoreWebhooks++
				continue
			}
			shown++
		}
		if now, ok := table.ExplainWebhook(e, name); ok && now.Matched {
			v.Terms = terms(now)
		}
		out.Routes = append(out.Routes, *v)
	}
	return out, s.explainOthers(out, e, destination, stored)
}

// explainOthers adds the webhooks that did not take the event.
func (s *server) explainOthers(out *Explanation, e *event.Event, destination string, stored map[string]*RouteVerdict) error {
	var ids []string
	all := s.engine.Webhooks()
	switch {
	case webhook.IsID(destination):
		if all.IsGone(destination) && stored[destination] == nil {
			return problem.New(http.StatusNotFound, "webhook_not_found", "there is no webhook %q", destination)
		}
		ids = append(ids, destination)
	case all.Len() <= allWebhooks:
		for _, w := range all.All() {
			ids = append(ids, w.ID)
		}
	}
	for _, id := range ids {
		if stored[id] != nil {
			continue
		}
		now, ok := s.engine.Table().ExplainWebhook(e, id)
		if !ok {
			continue
		}
		v := RouteVerdict{Route: id, Matched: now.Matched, Recomputed: true, Reason: now.Reason, Terms: terms(now)}
		if out.Routed && now.Matched {
			v.Matched, v.Reason = false, "it matches by the current configuration, but not by the one that routed the event"
		}
		out.Routes = append(out.Routes, v)
	}
	return nil
}

func terms(v routing.Verdict) []Term {
	var out []Term
	for _, t := range v.Terms {
		term := Term{Text: t.Text, OK: t.OK, Reason: t.Reason, Error: t.Err}
		for _, value := range t.Values {
			term.Values = append(term.Values, PathValue{Path: value.Path, JSON: value.JSON})
		}
		out = append(out, term)
	}
	return out
}

func pluginVerdicts(list []store.Verdict) []PluginVerdict {
	var out []PluginVerdict
	for _, v := range list {
		out = append(out, PluginVerdict{
			Plugin: v.Plugin, Build: v.Build, Message: v.Message, Filter: v.Filter, Transform: v.Transform,
			Error: v.Error, Class: v.Class, TimeMS: milliseconds(v.Duration), Fuel: v.Fuel,
		})
	}
	return out
}
