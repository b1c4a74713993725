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
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// HostFaults is the schedule on which a route is run again after a fault that
// was not the plugin's own. The first run counts as the first attempt.
var HostFaults = []time.Duration{0, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}

// errTooMuch is the plugins' fault together, and comes again with each try.
var errTooMuch = fmt.Errorf("its plugins made more than %d messages or %d bytes of one event", plugins.MaxResults, plugins.MaxResultBytes)

// mode is how a chain is run.
type mode struct {
	now time.Time
	// last: no further try follows, so that on_error decides on faults of the
	// host, too.
	last bool
	// steps, where it is set, makes the run a rehearsal: it gets all calls, and
	// nobody else hears of them.
	steps *[]Step
}

// chain runs one message through the plugins of a route.
type chain struct {
	mode
	route    *route
	verdicts []store.Verdict
	results  []*event.Message
	bytes    int
	given    []int // messages that each plugin was given
}

// run sends m through the links from the i-th on. Each result goes through the
// rest of the chain before the next one.
func (c *chain) run(ctx context.Context, m *event.Message, i int) error {
	if i == len(c.route.links) {
		c.results = append(c.results, m)
		c.bytes += size(m)
		if len(c.results) > plugins.MaxResults || c.bytes > plugins.MaxResultBytes && len(c.route.links) > 0 {
			return fmt.Errorf("route %q: %w", c.route.Name, errTooMuch)
		}
		return nil
	}
	link := &c.route.links[i]
	verdict := store.Verdict{Plugin: link.Name, Build: link.run.Build(), Message: c.given[i]}
	c.given[i]++
	result, err := c.call(ctx, link, m)
	if result != nil {
		verdict.Filter, verdict.Transform = string(result.Filter), string(result.Transform)
		verdict.Duration, verdict.Fuel = result.Duration, result.Fuel
		verdict.Logs = keptLogs(result.Logs)
	}
	if err != nil {
		verdict.Class, verdict.Error = classify(err)
		var e *plugins.Error
		if errors.As(err, &e) {
			verdict.Duration, verdict.Fuel = e.Duration, e.Fuel
			verdict.Logs = keptLogs(e.Logs)
		}
		c.step(link, m, &verdict, nil)
		c.verdicts = append(c.verdicts, verdict)
		if HostFault(err) && !c.last || ctx.Err() != nil {
			return err
		}
		switch link.OnError {
		case config.OnErrorSkip:
			return c.run(ctx, m, i+1)
		case config.OnErrorDrop:
			return nil
		}
		return fmt.Errorf("%w (build %.12s)", err, link.run.Build())
	}
	c.step(link, m, &verdict, result)
	c.verdicts = append(c.verdicts, verdict)
	for _, next := range result.Messages {
		if err := c.run(ctx, next, i+1); err != nil {
			return err
		}
	}
	return nil
}

// Bounds of what a verdict keeps of the lines that a plugin logged: the first ones.
const (
	maxLogLines = 20
	maxLogBytes = 2 << 10
)

func keptLogs(list []plugins.Log) []store.Log {
	if len(list) == 0 {
		return nil
	}
	kept, left := make([]store.Log, 0, min(len(list), maxLogLines)), maxLogBytes
	for _, l := range list[:cap(kept)] {
		text := l.Text
		if len(text) > left {
			text = strings.ToValidUTF8(text[:left], "")
		}
		if left -= len(text); text != "" || l.Text == "" {
			kept = append(kept, store.Log{Level: l.Level, Text: text})
		}
	}
	return kept
}

// size is all that a message takes in the store.
func size(m *event.Message) int {
	n := len(m.Type) + len(m.Subject) + len(m.ContentType) + len(m.Data)
	for _, list := range [2][]event.Field{m.Header, m.SetHeader} {
		for _, f := range list {
			n += len(f.Name) + len(f.Value)
		}
	}
	return n
}

// call runs one plugin, unless it is held.
func (c *chain) call(ctx context.Context, link *link, m *event.Message) (*plugins.Result, error) {
	if c.steps != nil {
		return link.run.Rehearse(ctx, m, c.route.Name)
	}
	if !c.last {
		if err := link.hold.check(link.Name, c.now); err != nil {
			return nil, err
		}
	}
	result, err := link.run.Run(ctx, m, c.route.Name)
	link.hold.observe(err, c.now)
	if link.shadow != nil {
		link.shadow.Observe(m, c.route.Name, result, err)
	}
	return result, err
}

func classify(err error) (class, text string) {
	var e *plugins.Error
	if errors.As(err, &e) {
		return string(e.Class), e.Error()
	}
	if errors.Is(err, errHeld) {
		return "held", err.Error()
	}
	return "host", err.Error()
}

// HostFault says that running again may help: the fault is not the plugin's.
func HostFault(err error) bool {
	if errors.Is(err, errTooMuch) || errors.Is(err, ErrNoRoute) || errors.Is(err, errNotAllowed) {
		return false
	}
	var e *plugins.Error
	return !errors.As(err, &e) || e.Host()
}

// apply runs the route's chain on m and adds what comes of it to a routing: the
// deliveries, or the route's failure, which is returned as well.
func (r *route) apply(ctx context.Context, m *event.Message, to *store.Routing, how mode) error {
	c := chain{mode: how, route: r, given: make([]int, len(r.links))}
	err := c.run(ctx, m, 0)
	match := len(to.Matches)
	to.Matches = append(to.Matches, store.Match{Route: r.Name, Plugins: c.verdicts})
	if err != nil {
		d := store.Delivery{Match: match, Content: -1, Lane: store.RoutingLane, Error: err.Error()}
		if HostFault(err) {
			d.Due = how.now.Add(HostFaults[1])
		} else {
			d.Dead = store.ReasonRouting
		}
		to.Deliveries = append(to.Deliveries, d)
		return err
	}
	for n, result := range c.results {
		content := -1
		if changed(m, result) {
			content = len(to.Contents)
			to.Contents = append(to.Contents, contentOf(m, result))
		}
		for _, dest := range r.To {
			to.Deliveries = append(to.Deliveries, store.Delivery{
				Match: match, N: n, Several: len(c.results) > 1, Content: content, Lane: dest.Name, Format: string(dest.Format),
			})
		}
	}
	return nil
}

func changed(m, result *event.Message) bool {
	return m != result && (m.Type != result.Type || m.Subject != result.Subject || m.ContentType != result.ContentType ||
		!bytes.Equal(m.Data, result.Data) || !slices.Equal(m.Header, result.Header) || len(result.SetHeader) > 0)
}

func contentOf(m, result *event.Message) store.Content {
	c := store.Content{
		Type: result.Type, Subject: result.Subject, ContentType: result.ContentType,
		SetHeader: result.SetHeader,
	}
	c.Cut(result.Data, m.Data)
	if !slices.Equal(m.Header, result.Header) {
		c.HeaderChanged, c.Header = true, result.Header
	}
	return c
}

// ErrNoRoute says that the configuration has no route of a name any more.
var ErrNoRoute = errors.New("the configuration has no such route any more")

// RouteAgain runs one route on an event that was routed before, whatever its
// conditions say: they matched then. The routing it gives is marked Again, with
// deliveries that are due at once. An error of a plugin is returned. last says
// that no further try follows, so that on_error decides on faults of the host,
// too.
func (t *Table) RouteAgain(ctx context.Context, e *event.Event, name string, now time.Time, last bool) (*store.Routing, error) {
	to := &store.Routing{Position: e.Position, Config: t.hash, Again: true}
	how := mode{now: now, last: last}
	var err error
	if r := t.find(name); r != nil {
		err = r.apply(ctx, event.NewMessage(e), to, how)
	} else if rule := t.webhooks.current(name); rule != nil && !rule.Off {
		t.webhooks.again.Add(1)
		err = t.applyWebhook(ctx, name, rule, event.NewMessage(e), to, how)
		for i := range to.Matches {
			to.Matches[i].Version = rule.Version
		}
	} else {
		err = fmt.Errorf("route %s: %w", name, ErrNoRoute)
	}
	if err != nil {
		return nil, err
	}
	for i := range to.Deliveries {
		to.Deliveries[i].Due = now
	}
	return to, nil
}
