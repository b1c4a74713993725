package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// Explains is what an engine knows of how events were routed.
type Explains interface {
	// TableOf is the table that routed the event at a position, by a configuration
	// of a hash, and done lets go of it. Another error than ctx's says, for people,
	// why it can't be had.
	TableOf(ctx context.Context, position uint64, config string) (t *routing.Table, done func(), err error)
	// ChangedSecrets names the destinations whose secrets are others now than they
	// were in that configuration.
	ChangedSecrets(ctx context.Context, position uint64, config string) ([]string, error)
	// Imagine makes the event that a source would make of a request in the native
	// format. Nothing is stored. Errors are problems.
	Imagine(r *source.Request, name string) (*event.Event, error)
}

// explainEvent joins what routing stored with why the other routes did not
// match, and what plugins made of it, which follow from the event and the
// configuration.
func (s *server) explainEvent(c *fiber.Ctx) error {
	e, err := s.findEvent(c, "destination")
	if err != nil {
		return err
	}
	destination := strings.Clone(c.Query("destination"))
	if err := s.namesDestination(c.Context(), destination); err != nil {
		return err
	}
	out, err := s.explain(c, e, destination)
	if err != nil {
		return err
	}
	if out.Replies, err = s.replies(c.Context(), out.Routes); err != nil {
		return err
	}
	return give(c, out)
}

// explainUnsent says where an event would go that the body has as for POST
// /events. Nothing is stored, sent, counted or held.
func (s *server) explainUnsent(c *fiber.Ctx) error {
	q := newQuery(c, "source", "destination")
	if q.err != nil {
		return q.err
	}
	destination := q.text("destination")
	if err := s.namesDestination(c.Context(), destination); err != nil {
		return err
	}
	e, err := s.engine.Imagine(s.request(c.Context()), q.text("source"))
	if err != nil {
		return err
	}
	e.Position = routing.Newest
	table, done, err := s.engine.TableOf(c.Context(), e.Position, s.engine.Table().Hash())
	if err != nil {
		return problem.New(http.StatusConflict, "not_explained", "the plugins can't be run to explain it: %v", err)
	}
	defer done()
	out := &Explanation{Event: detail(e), Current: table.Hash(), ReasonsBy: table.Hash(), Routes: []RouteVerdict{}}
	for _, now := range table.Explain(e) {
		out.Routes = append(out.Routes, RouteVerdict{Route: now.Route, Matched: now.Matched, Recomputed: true, Reason: now.Reason, Terms: terms(now)})
	}
	few := s.engine.Webhooks().Len() <= allWebhooks
	if webhook.IsID(destination) && s.engine.Webhooks().IsGone(destination) {
		return webhookNotFound(destination)
	}
	shown := 0
	for _, w := range s.engine.Webhooks().All() {
		now, ok := table.ExplainWebhook(e, w.ID)
		switch {
		case !ok, !now.Matched && !few && w.ID != destination:
			continue
		case now.Matched && w.ID != destination && shown == shownWebhooks:
			out.MoreWebhooks++
			continue
		case now.Matched:
			shown++
		}
		out.Routes = append(out.Routes, RouteVerdict{Route: w.ID, Matched: now.Matched, Recomputed: true, Reason: now.Reason, Terms: terms(now)})
	}
	again, end, err := s.recompute(c.Context())
	if err != nil {
		return err
	}
	defer end()
	for i := range out.Routes {
		if v := &out.Routes[i]; v.Matched {
			again.imagine(table, e, v)
		}
	}
	s.sayWhose(out.Routes)
	return give(c, out)
}

// namesDestination is a problem for a name that is no destination's, empty excepted.
// Registered webhooks are looked for by the event: one may have been deleted since.
func (s *server) namesDestination(ctx context.Context, destination string) error {
	if destination == "" || webhook.IsID(destination) {
		return nil
	}
	_, err := s.engine.Destination(ctx, destination)
	return err
}

func webhookNotFound(id string) *problem.Problem {
	return problem.New(http.StatusNotFound, "webhook_not_found", "there is no webhook %q", id)
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
	out := &Explanation{Event: detail(e), Current: s.engine.Table().Hash(), Routes: []RouteVerdict{}}
	decided, err := s.engine.Store().Routing(c.Context(), e.Position)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	deliveries, err := s.deliveriesOf(c, e)
	if err != nil {
		return nil, err
	}
	tables := &tables{engine: s.engine, position: e.Position, known: map[string]*routing.Table{}, lost: map[string]string{}}
	defer tables.close()
	table := s.engine.Table()
	stored := map[string]*storedVerdict{}
	var order []string
	if decided != nil {
		out.Routed, out.RoutedBy = true, decided.Config
		switch t, lost, err := tables.of(c.Context(), decided.Config); {
		case err != nil:
			return nil, err
		case t != nil:
			table = t
			if out.SecretsChanged, err = s.engine.ChangedSecrets(c.Context(), e.Position, decided.Config); err != nil {
				return nil, err
			}
		default:
			out.Lost = lost
		}
		if stored, order, err = s.stored(c, e, decided, tables, destination, &out.Event); err != nil {
			return nil, err
		}
		// Some may be gone: retention takes what is done of an event that it keeps.
		for _, d := range deliveries {
			if v := stored[d.Route]; v != nil {
				v.Deliveries = append(v.Deliveries, d)
			}
		}
	}
	out.ReasonsBy = table.Hash()
	same := !out.Routed || out.RoutedBy == out.ReasonsBy
	for _, now := range table.Explain(e) {
		if v := stored[now.Route]; v != nil {
			// What routing decided is a fact. The terms explain it only where they
			// are of the same configuration.
			if same && v.match.Config == "" {
				v.Terms = terms(now)
			}
			out.Routes = append(out.Routes, v.RouteVerdict)
			delete(stored, now.Route)
			continue
		}
		v := RouteVerdict{Route: now.Route, Matched: now.Matched, Recomputed: true, Reason: now.Reason, Terms: terms(now)}
		if out.Routed && now.Matched {
			v.Matched, v.Reason = false, "it matches by the current configuration, but not by the one that routed the event"
			if same {
				v.Reason = "NOT THE SAME AS STORED: its conditions match now, and it did not take the event"
			}
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
		if webhook.IsID(name) {
			rule, _, err := s.engine.Webhooks().Took(c.Context(), e, name, v.match.Version)
			if err != nil {
				return nil, err
			}
			if rule != nil {
				v.Terms = terms(table.ExplainRule(e, name, rule, ""))
			}
		}
		out.Routes = append(out.Routes, v.RouteVerdict)
	}
	if err := s.explainOthers(c.Context(), out, table, e, destination, stored); err != nil {
		return nil, err
	}
	if out.Routed && same && out.Current != out.RoutedBy {
		s.explainNewer(out, e)
	}
	s.sayWhose(out.Routes)
	return out, nil
}

// sayWhose adds to registered webhooks what people know them by.
func (s *server) sayWhose(routes []RouteVerdict) {
	for i := range routes {
		v := &routes[i]
		if w := s.webhookName(v.Route); w != nil {
			v.Tenant, v.UID, v.URL = w.Tenant, w.UID, w.URL
		}
	}
}

// webhookName is nil for a name that is of no registered webhook, or of a deleted one.
func (s *server) webhookName(name string) *WebhookName {
	if !webhook.IsID(name) {
		return nil
	}
	w, err := s.engine.Webhooks().Get(name)
	if err != nil {
		return nil
	}
	return &WebhookName{Tenant: w.Tenant, UID: w.UID, URL: w.URL}
}

// explainNewer adds the routes that only the current configuration has.
func (s *server) explainNewer(out *Explanation, e *event.Event) {
	has := map[string]bool{}
	for i := range out.Routes {
		has[out.Routes[i].Route] = true
	}
	for _, now := range s.engine.Table().Explain(e) {
		if has[now.Route] {
			continue
		}
		v := RouteVerdict{Route: now.Route, Recomputed: true, Reason: "the configuration that routed the event has no such route; by the current one it matches", Terms: terms(now)}
		if !now.Matched {
			v.Reason = "the configuration that routed the event has no such route; by the current one it does not match: " + now.Reason
		}
		out.Routes = append(out.Routes, v)
	}
}

// storedVerdict is what routing stored of a route.
type storedVerdict struct {
	RouteVerdict
	match *store.Match // the first one
}

// again says of a route that it took the event only when it was routed again, and adds
// the terms of that time.
func (v *storedVerdict) again(ctx context.Context, tables *tables, e *event.Event) error {
	if v.match.Config == "" && v.match.Version == 0 {
		return nil
	}
	v.Reason = "it took the event when it was routed again"
	if v.match.Config == "" {
		return nil
	}
	v.Reason += fmt.Sprintf(", by the configuration %.12s", v.match.Config)
	t, _, err := tables.of(ctx, v.match.Config)
	if t == nil || err != nil {
		return err
	}
	for _, then := range t.Explain(e) {
		if then.Route == v.Route {
			v.Terms = terms(then)
		}
	}
	return nil
}

// stored gives what routing stored of each route, and their names in its order,
// with what its plugins did worked out again.
func (s *server) stored(c *fiber.Ctx, e *event.Event, decided *store.Routing, tables *tables, destination string, shown *Event) (map[string]*storedVerdict, []string, error) {
	byName := map[string]*storedVerdict{}
	var order []string
	loaded := s.engine.Plugins()
	hooks := 0
	var again *recomputing
	for i := range decided.Matches {
		m := &decided.Matches[i]
		v := byName[m.Route]
		if v == nil {
			v = &storedVerdict{RouteVerdict: RouteVerdict{Route: m.Route, Matched: true}, match: m}
			byName[m.Route] = v
			order = append(order, m.Route)
			if err := v.again(c.Context(), tables, e); err != nil {
				return nil, nil, err
			}
			if webhook.IsID(m.Route) {
				hooks++
			}
		}
		verdicts := pluginVerdicts(m.Plugins)
		for k := range verdicts {
			if p := &verdicts[k]; p.Message == 0 { // differences are told of the event, not of each message
				p.Shadow = shadowed(loaded, p.Plugin, m.Route, shown)
			}
		}
		hidden := webhook.IsID(m.Route) && hooks > shownWebhooks && m.Route != destination
		if len(verdicts) > 0 && !hidden {
			if again == nil {
				r, end, err := s.recompute(c.Context())
				if err != nil {
					return nil, nil, err
				}
				defer end()
				again = r
			}
			t, lost, err := tables.of(again.ctx, cmp.Or(m.Config, decided.Config))
			switch {
			case err != nil && c.Context().Err() != nil:
				return nil, nil, err
			case t != nil:
				rule, why, err := s.ruleOf(again.ctx, e, m)
				if err != nil {
					return nil, nil, err
				}
				if why != "" {
					for k := range verdicts {
						verdicts[k].NotRecomputed = why
					}
					break
				}
				again.match(t, rule, e, decided, i, verdicts)
			default:
				for k := range verdicts {
					verdicts[k].NotRecomputed = lost
				}
			}
		}
		v.Plugins = append(v.Plugins, verdicts...)
	}
	return byName, order, nil
}

// ruleOf is the rule that a registered webhook took e by, nil for other routes. why says
// that it is not known.
func (s *server) ruleOf(ctx context.Context, e *event.Event, m *store.Match) (rule *routing.Rule, why string, err error) {
	if !webhook.IsID(m.Route) {
		return nil, "", nil
	}
	rule, why, err = s.engine.Webhooks().Took(ctx, e, m.Route, m.Version)
	if rule == nil && why == "" {
		why = "what the webhook took then is not known any more"
	}
	return rule, why, err
}

// tables are those that an explanation has asked for, by the configuration's hash.
type tables struct {
	engine   Engine
	position uint64
	known    map[string]*routing.Table
	lost     map[string]string // why there is none
	dones    []func()
}

// of gives the table, or why it can't be had. The error is ctx's.
func (t *tables) of(ctx context.Context, config string) (*routing.Table, string, error) {
	if found, ok := t.known[config]; ok {
		return found, t.lost[config], nil
	}
	table, done, err := t.engine.TableOf(ctx, t.position, config)
	if ctx.Err() != nil && err != nil {
		return nil, whyNot(ctx.Err()), ctx.Err()
	}
	t.known[config] = table
	if err != nil {
		t.known[config], t.lost[config] = nil, err.Error()
		return nil, err.Error(), nil
	}
	t.dones = append(t.dones, done)
	return table, "", nil
}

func (t *tables) close() {
	for _, done := range t.dones {
		done()
	}
}

// explainOthers adds the webhooks that did not take the event.
func (s *server) explainOthers(ctx context.Context, out *Explanation, table *routing.Table, e *event.Event, destination string, stored map[string]*storedVerdict) error {
	var ids []string
	all := s.engine.Webhooks()
	switch {
	case webhook.IsID(destination):
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
		rule, why, err := all.Took(ctx, e, id, 0)
		switch {
		case err != nil:
			return err
		case rule == nil && why == "" && all.IsGone(id):
			return webhookNotFound(id)
		}
		now := table.ExplainRule(e, id, rule, why)
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
		p := &out[len(out)-1]
		for _, l := range v.Logs {
			p.Logs = append(p.Logs, PluginLog{Level: l.Level, Text: l.Text})
		}
	}
	return out
}
