package routing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/store"
)

// Rule is what of a registered webhook decides, from a position of the log on. A
// Rule does not change once it was given to [Webhooks].
type Rule struct {
	// From is the position of the first event that it is for.
	From uint64
	// Version names it among the rules of its webhook, and is never 0.
	Version uint64
	// Off: the webhook takes nothing. The other fields mean nothing then.
	Off bool
	// Tenant, where it is set, must be the event's.
	Tenant string
	// Events are patterns of types, never none.
	Events []string
	// Filter is nil where the webhook has none.
	Filter *expr.Program
	// Plugin is the name of one that the webhooks block allows, or empty.
	Plugin string
	// Format of the body.
	Format string
}

// Webhooks are the registered webhooks, by tenant and type. Each has its rules by
// position of the log, so that one set serves the events of all positions: those
// that were being routed when the router was cut off are routed by the rules of
// that time. Its methods may be called from any goroutine. The zero value is
// empty.
type Webhooks struct {
	mu      sync.RWMutex
	entries []entry // a removed one is the zero entry
	unused  []int   // removed entries
	tenants map[string]*index
	byID    map[string][]int // entries, by position
	again   atomic.Uint64
}

// entry is a webhook during a stretch of the log.
type entry struct {
	id    string
	rule  *Rule
	until uint64 // the position after the stretch
}

// Set gives a webhook its rules, by position, in place of those that it has. No
// rules remove it.
func (w *Webhooks) Set(id string, rules []*Rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tenants == nil {
		w.tenants, w.byID = map[string]*index{}, map[string][]int{}
	}
	for _, i := range w.byID[id] {
		e := &w.entries[i]
		if !e.rule.Off {
			w.tenants[e.rule.Tenant].remove(i, e.rule.Events)
		}
		*e = entry{}
		w.unused = append(w.unused, i)
	}
	delete(w.byID, id)
	for n, rule := range rules {
		e := entry{id: id, rule: rule, until: math.MaxUint64}
		if n+1 < len(rules) {
			e.until = rules[n+1].From
		}
		i := len(w.entries)
		if k := len(w.unused); k > 0 {
			i, w.unused = w.unused[k-1], w.unused[:k-1]
			w.entries[i] = e
		} else {
			w.entries = append(w.entries, e)
		}
		w.byID[id] = append(w.byID[id], i)
		if rule.Off {
			continue
		}
		if w.tenants[rule.Tenant] == nil {
			w.tenants[rule.Tenant] = &index{}
		}
		w.tenants[rule.Tenant].add(i, rule.Events)
	}
}

// match gives the webhooks whose tenant and types fit an event, by their rules of a
// position, by id.
func (w *Webhooks) match(e *event.Event, position uint64) []entry {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var found []int
	if x := w.tenants[""]; x != nil {
		found = x.find(found, e.Type)
	}
	if x := w.tenants[e.Tenant]; x != nil && e.Tenant != "" {
		found = x.find(found, e.Type)
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	found = slices.Compact(found)
	list := make([]entry, 0, len(found))
	for _, i := range found {
		if x := w.entries[i]; x.rule.From <= position && position < x.until {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
	return list
}

// rule is the one of a webhook at a position, nil where it has none.
func (w *Webhooks) rule(id string, position uint64) *Rule {
	if w == nil {
		return nil
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, i := range w.byID[id] {
		if x := w.entries[i]; x.rule.From <= position && position < x.until {
			return x.rule
		}
	}
	return nil
}

// Find is the rule of a webhook of a version or, where that is 0, at a position. It
// is nil where routing has no such rule: there may have been one, see
// [github.com/weirhq/weir/router/webhook.Registry.Took].
func (w *Webhooks) Find(id string, position, version uint64) *Rule {
	if version == 0 {
		return w.rule(id, position)
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, i := range w.byID[id] {
		if x := w.entries[i]; x.rule.Version == version {
			return x.rule
		}
	}
	return nil
}

// Again counts the events that were routed again by what webhooks take now, and may
// count one that was not.
func (w *Webhooks) Again() uint64 { return w.again.Load() }

// current is the newest rule of a webhook, nil where there is no such webhook.
func (w *Webhooks) current(id string) *Rule {
	if w == nil {
		return nil
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	list := w.byID[id]
	if len(list) == 0 {
		return nil
	}
	return w.entries[list[len(list)-1]].rule
}

// registered is what a table has of registered webhooks.
type registered struct {
	*Webhooks
	from  []string
	types []string        // patterns, nil for all
	links map[string]link // of the plugins that they may name
}

// WithWebhooks makes t route events to registered webhooks too, and returns it. It
// is called before the table is used.
func (t *Table) WithWebhooks(w *Webhooks) *Table {
	t.webhooks.Webhooks = w
	return t
}

// registeredOf compiles the webhooks block.
func registeredOf(c *config.Config, loaded map[string]Loaded) registered {
	r := registered{from: c.Webhooks.From, types: c.Webhooks.Events, links: map[string]link{}}
	for _, p := range c.Webhooks.Plugins {
		l := loaded[p.Name]
		r.links[p.Name] = link{p, l.Plugin, l.Shadow, l.Hold}
	}
	return r
}

// sees reports whether registered webhooks see an event.
func (r *registered) sees(e *event.Event) bool {
	return r.Webhooks != nil && slices.Contains(r.from, e.Source) && (r.types == nil || matchAny(r.types, e.Type))
}

// routeToWebhooks adds to a decision what the registered webhooks take of e.
func (t *Table) routeToWebhooks(ctx context.Context, e *event.Event, m *event.Message, in *expr.Input, d *Decision, now time.Time) error {
	return t.applyWebhooks(ctx, t.webhooks.match(e, e.Position), m, in, d, mode{now: now})
}

// applyWebhooks is as applyWebhook of those among taken whose filter takes m.
func (t *Table) applyWebhooks(ctx context.Context, taken []entry, m *event.Message, in *expr.Input, d *Decision, how mode) error {
	d.Routing.Matches = slices.Grow(d.Routing.Matches, len(taken))
	d.Routing.Deliveries = slices.Grow(d.Routing.Deliveries, len(taken))
	for _, x := range taken {
		if x.rule.Filter != nil {
			ok, err := x.rule.Filter.Bool(in)
			if err != nil {
				d.fail(x.id, err)
			}
			if err != nil || !ok {
				continue
			}
		}
		if x.rule.Plugin == "" {
			d.Routing.Matches = append(d.Routing.Matches, store.Match{Route: x.id})
			d.Routing.Deliveries = append(d.Routing.Deliveries, store.Delivery{
				Match: len(d.Routing.Matches) - 1, Content: -1, Lane: x.id, Format: x.rule.Format,
			})
			continue
		}
		if err := t.applyWebhook(ctx, x.id, x.rule, m, d.Routing, how); err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// applyWebhook is as apply of a route.
func (t *Table) applyWebhook(ctx context.Context, id string, rule *Rule, m *event.Message, to *store.Routing, how mode) error {
	r := &route{Route: &config.Route{Name: id, To: []*config.Destination{{Name: id, Format: config.Format(rule.Format)}}}}
	if rule.Plugin != "" {
		l, ok := t.webhooks.links[rule.Plugin]
		if !ok {
			// Sent without it, the webhook would get what it must not see.
			err := fmt.Errorf("plugin %q: %w", rule.Plugin, errNotAllowed)
			to.Matches = append(to.Matches, store.Match{Route: id})
			to.Deliveries = append(to.Deliveries, store.Delivery{
				Match: len(to.Matches) - 1, Content: -1, Lane: store.RoutingLane, Dead: store.ReasonRouting, Error: err.Error(),
			})
			return err
		}
		r.links = []link{l}
	}
	return r.apply(ctx, m, to, how)
}

// errNotAllowed says that a webhook names a plugin that it may not.
var errNotAllowed = errors.New("the webhooks block does not allow the plugin any more: allow it again, or give the webhook another")

// AllowsPlugin reports whether registered webhooks may name a plugin.
func (t *Table) AllowsPlugin(name string) bool {
	_, ok := t.webhooks.links[name]
	return ok
}

// Try gives the messages that a webhook would be sent of e, whatever its types and
// its filter say. Nothing is recorded.
func (t *Table) Try(ctx context.Context, e *event.Event, id string) (*store.Routing, error) {
	rule := t.webhooks.current(id)
	if rule == nil || rule.Off {
		return nil, fmt.Errorf("webhook %s: %w", id, ErrNoRoute)
	}
	to := &store.Routing{Position: e.Position, Config: t.hash}
	return to, t.applyWebhook(ctx, id, rule, event.NewMessage(e), to, mode{now: time.Now(), last: true})
}

// ExplainWebhook says whether a registered webhook takes e, by the rules of the
// event's position, and why not. It gives false where there is no such webhook.
func (t *Table) ExplainWebhook(e *event.Event, id string) (Verdict, bool) {
	if t.webhooks.current(id) == nil {
		return Verdict{}, false
	}
	return t.ExplainRule(e, id, t.webhooks.rule(id, e.Position), ""), true
}

// ExplainRule says whether a registered webhook takes e by a rule, and why not. Where
// the rule is nil, because there was none for e, none may say why.
func (t *Table) ExplainRule(e *event.Event, id string, rule *Rule, none string) Verdict {
	v := Verdict{Route: id}
	switch {
	case slices.Contains(t.webhooks.from, e.Source) && !t.webhooks.sees(e):
		v.Reason = "type is " + e.Type + ", and registered webhooks see " + strings.Join(t.webhooks.types, ", ") + " (webhooks.events)"
	case !t.webhooks.sees(e):
		v.Reason = "source is " + e.Source + ", and registered webhooks see " + strings.Join(t.webhooks.from, ", ") + " (webhooks.from)"
	case rule == nil:
		v.Reason = cmp.Or(none, "the webhook, or what it takes by now, is newer than the event")
	case rule.Off:
		v.Reason = "the webhook was deleted"
	case rule.Tenant != "" && rule.Tenant != e.Tenant:
		v.Reason = fmt.Sprintf("tenant is %q, not %q", e.Tenant, rule.Tenant)
	case !matchAny(rule.Events, e.Type):
		v.Reason = "type is " + e.Type + ", not " + strings.Join(rule.Events, " or ")
	default:
		v.Matched = true
		if rule.Filter != nil {
			v.Terms = rule.Filter.Explain(expr.NewInput(event.NewMessage(e)))
			for _, term := range v.Terms {
				if !term.OK {
					v.Matched, v.Reason = false, term.Reason
					break
				}
			}
		}
	}
	return v
}
