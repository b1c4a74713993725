package routing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Newest is a position that only the newest rules of registered webhooks are for:
// that of an event which was not sent.
const Newest = newest

// Step is one call of a plugin in a rehearsal.
type Step struct {
	store.Verdict
	// Before is what the plugin was given, After what it gave.
	Before *event.Message
	After  []*event.Message
	// Impure: the plugin may see earlier events (isolation "reuse"), so that
	// another run can give something else.
	Impure bool
}

// Rehearsal is what a route makes of an event, found out without a trace: nothing
// is counted, logged or held, and no shadow runs.
type Rehearsal struct {
	Steps []Step
	// Messages are what the route sends, as the deliveries of Routing have them.
	Messages []*event.Message
	// Routing has one match. It is what would be stored.
	Routing *store.Routing
	// Err is why the route delivers nothing.
	Err error
}

// step notes a call of a rehearsal.
func (c *chain) step(l *link, m *event.Message, v *store.Verdict, r *plugins.Result) {
	if c.steps == nil {
		return
	}
	s := Step{Verdict: *v, Before: m, Impure: l.Isolation == string(plugins.Reuse)}
	if r != nil {
		s.After = r.Messages
	}
	*c.steps = append(*c.steps, s)
}

// Rehearse runs a route's plugins on e, whatever its conditions say, as they ran or
// would run. name may be that of a registered webhook, with the rule that counts; nil
// is for that of the event's position. The error is [ErrNoRoute], or that of ctx.
func (t *Table) Rehearse(ctx context.Context, e *event.Event, name string, rule *Rule) (*Rehearsal, error) {
	out := &Rehearsal{Routing: &store.Routing{Position: e.Position, Config: t.hash}}
	how := mode{now: time.Now(), last: true, steps: &out.Steps}
	m := event.NewMessage(e)
	if r := t.find(name); r != nil {
		out.Err = r.apply(ctx, m, out.Routing, how)
	} else if rule = t.ruleFor(e, name, rule); rule != nil {
		out.Err = t.applyWebhook(ctx, name, rule, m, out.Routing, how)
	} else {
		return nil, fmt.Errorf("route %s: %w", name, ErrNoRoute)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if errors.Is(out.Err, plugins.ErrClosed) {
		return nil, out.Err
	}
	for i := range out.Routing.Deliveries {
		d := &out.Routing.Deliveries[i]
		if d.Lane != store.RoutingLane && d.N == len(out.Messages) {
			out.Messages = append(out.Messages, out.Routing.Message(e, d))
		}
	}
	return out, nil
}

// ruleFor is the rule of a webhook that routed e, or would now.
func (t *Table) ruleFor(e *event.Event, id string, rule *Rule) *Rule {
	if rule == nil {
		rule = t.webhooks.rule(id, e.Position)
	}
	if rule == nil {
		rule = t.webhooks.current(id)
	}
	if rule == nil || rule.Off {
		return nil
	}
	return rule
}

// Differs says in what the call was other than a stored verdict of it, empty where
// it was the same. Faults of the host need not come again and are not compared.
func (s *Step) Differs(stored *store.Verdict) string {
	was, is := verdictText(stored), verdictText(&s.Verdict)
	switch {
	case s.Plugin != stored.Plugin || s.Message != stored.Message:
		return fmt.Sprintf("it was plugin %s on message %d, and now it is plugin %s on message %d", stored.Plugin, stored.Message, s.Plugin, s.Message)
	case s.Build != stored.Build:
		return fmt.Sprintf("it was build %.12s, and now it is %.12s", stored.Build, s.Build)
	case was != is:
		return fmt.Sprintf("it was %s, and now it is %s", was, is)
	case s.Fuel != stored.Fuel:
		return fmt.Sprintf("it took %d units of fuel, and now it takes %d", stored.Fuel, s.Fuel)
	}
	return ""
}

func verdictText(v *store.Verdict) string {
	if v.Class != "" {
		return "a failure (" + v.Class + ")"
	}
	return strings.TrimSpace(v.Filter + " " + v.Transform)
}

// Differs says in what the messages are other than those that routing stored for
// one of its matches, and so other than what was delivered; empty: in nothing.
func (r *Rehearsal) Differs(stored *store.Routing, e *event.Event, match int) string {
	most := -1
	for i := range stored.Deliveries {
		d := &stored.Deliveries[i]
		if d.Match != match || d.Lane == store.RoutingLane {
			continue
		}
		most = max(most, d.N)
		if d.N >= len(r.Messages) {
			return fmt.Sprintf("message %d was delivered, and now the plugins give %d messages", d.N, len(r.Messages))
		}
		was, is := stored.Message(e, d), r.Messages[d.N]
		if what := different(was, is); what != "" {
			return fmt.Sprintf("%s of message %d is not what was delivered", what, d.N)
		}
	}
	if most+1 < len(r.Messages) {
		return fmt.Sprintf("now the plugins give %d messages, and %d were delivered", len(r.Messages), most+1)
	}
	return ""
}

func different(a, b *event.Message) string {
	switch {
	case a.Type != b.Type:
		return "the type"
	case a.Subject != b.Subject:
		return "the subject"
	case a.ContentType != b.ContentType:
		return "the content type"
	case !bytes.Equal(a.Data, b.Data):
		return "the data"
	case !slices.Equal(a.Header, b.Header) || !slices.Equal(a.SetHeader, b.SetHeader):
		return "a header"
	}
	return ""
}
