package routing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// The index must find exactly what trying each pattern finds.
func TestIndexAgreesWithMatch(t *testing.T) {
	patterns := []string{"*", "a", "a.b", "a.*", "a.b*", "*b", "*.b", "a*b", "b.*", "a.b.c", "**", "c*a"}
	types := []string{"a", "b", "a.b", "a.c", "a.b.c", "b.a", "ab", "cba", ""}
	var x index
	for i, p := range patterns {
		x.add(i, []string{p})
	}
	for _, eventType := range types {
		found := map[int]bool{}
		for _, i := range x.find(nil, eventType) {
			found[i] = true
		}
		for i, p := range patterns {
			if found[i] != event.MatchType(p, eventType) {
				t.Errorf("type %q, pattern %q: the index says %v", eventType, p, found[i])
			}
		}
	}
}

// fake is a plugin that a test writes.
type fake func(m *event.Message) (*plugins.Result, error)

func (fake) Build() string { return strings.Repeat("0f", 32) }
func (f fake) Run(_ context.Context, m *event.Message, _ string) (*plugins.Result, error) {
	return f(m)
}
func (f fake) Rehearse(_ context.Context, m *event.Message, _ string) (*plugins.Result, error) {
	return f(m)
}

func keep(m *event.Message) (*plugins.Result, error) {
	return &plugins.Result{Filter: plugins.Keep, Messages: []*event.Message{m}}, nil
}

func drop(*event.Message) (*plugins.Result, error) {
	return &plugins.Result{Filter: plugins.Drop}, nil
}

// appending adds a mark to data's text, so that the order of calls shows.
func appending(mark string) fake {
	return func(m *event.Message) (*plugins.Result, error) {
		c := new(event.Message)
		*c = *m
		c.Data = append(bytes.Clone(m.Data[:len(m.Data)-1]), (mark + `"`)...)
		return &plugins.Result{Transform: plugins.Changed, Messages: []*event.Message{c}}, nil
	}
}

// splitting gives n messages, numbered.
func splitting(n int) fake {
	return func(m *event.Message) (*plugins.Result, error) {
		r := &plugins.Result{Transform: plugins.Emitted}
		for i := range n {
			c := new(event.Message)
			*c = *m
			c.Data = append(bytes.Clone(m.Data[:len(m.Data)-1]), fmt.Sprintf(`%d"`, i)...)
			r.Messages = append(r.Messages, c)
		}
		return r, nil
	}
}

func failing(class plugins.Class) fake {
	return func(*event.Message) (*plugins.Result, error) {
		return nil, &plugins.Error{Class: class, Text: "it broke"}
	}
}

// table compiles a configuration whose plugins are fakes.
func table(t *testing.T, hcl string, fakes map[string]fake) *Table {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	loaded := map[string]Loaded{}
	for name, f := range fakes {
		loaded[name] = Loaded{Plugin: f, Hold: &Hold{}}
		onError := "dead"
		for _, choice := range []string{"skip", "drop"} {
			if strings.HasSuffix(name, choice) {
				onError = choice
			}
		}
		fmt.Fprintf(&b, "plugin %q {\n  wasm = \"m.wasm\"\n  on_error = %q\n}\n", name, onError)
	}
	writeModule(t, dir)
	for _, d := range []string{"one", "two", "three"} {
		fmt.Fprintf(&b, "destination %q {\n  url = \"http://127.0.0.1:1/\"\n}\n", d)
	}
	b.WriteString("source \"github\" {\n  verify \"none\" {}\n}\n")
	c, report := config.Parse("router.hcl", []byte(b.String()+hcl), config.Options{Dir: dir})
	if report.HasErrors() {
		t.Fatal(report.Err())
	}
	return NewTable(c, loaded)
}

func sample(source, eventType, data string) *event.Event {
	now := time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)
	return &event.Event{Position: 7, ID: "e7", Source: source, Type: eventType, ContentType: "application/json", Data: []byte(data), Time: now, Received: now}
}

func decide(t *testing.T, tb *Table, e *event.Event) *store.Routing {
	t.Helper()
	d, err := tb.Route(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	return d.Routing
}

// sent is what a routing leads to, as lane=data.
func sent(r *store.Routing, e *event.Event) string {
	var out []string
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		out = append(out, d.Lane+"="+string(r.Message(e, d).Data))
	}
	return strings.Join(out, " ")
}

func TestWhichRoutesTakeAnEvent(t *testing.T) {
	tb := table(t, `
route "typed" {
  events = ["order.*"]
  to     = [destination.one]
}
route "conditional" {
  from   = [source.events]
  when   = event.data.total > 100
  to     = [destination.two]
}
route "rest" {
  fallback = true
  to       = [destination.three]
}
route "rest-of-github" {
  fallback = true
  from     = [source.github]
  to       = [destination.one, destination.two]
}
`, nil)
	for _, c := range []struct{ source, eventType, data, want string }{
		{"events", "order.paid", `{"total":120}`, "one two"},
		{"events", "order.paid", `{"total":80}`, "one"},
		{"events", "order.paid", `{}`, "one"},
		{"events", "user.new", `{"total":101}`, "two"},
		{"events", "user.new", `{"total":null}`, "three"},
		{"github", "user.new", `{"total":120}`, "three one two"},
		{"github", "order.new", `{}`, "one"},
		{"weir", "order.paid", `{"total":120}`, ""},
		{"reply", "user.new", `{}`, ""},
	} {
		r := decide(t, tb, sample(c.source, c.eventType, c.data))
		var lanes []string
		for _, d := range r.Deliveries {
			lanes = append(lanes, d.Lane)
		}
		if got := strings.Join(lanes, " "); got != c.want {
			t.Errorf("%s %s %s went to %q, want %q", c.source, c.eventType, c.data, got, c.want)
		}
	}
}

// What a route's plugins do does not matter for whether it took the event.
func TestDroppedIsTaken(t *testing.T) {
	tb := table(t, `
route "a" {
  through = [plugin.p]
  to      = [destination.one]
}
route "rest" {
  fallback = true
  to       = [destination.two]
}
`, map[string]fake{"p": drop})
	r := decide(t, tb, sample("events", "x", `"d"`))
	if len(r.Deliveries) != 0 || len(r.Matches) != 1 || r.Matches[0].Plugins[0].Filter != "drop" {
		t.Errorf("got %+v", r)
	}
}

func TestChain(t *testing.T) {
	const hcl = `
route "r" {
  through = [%s]
  to      = [destination.one]
}
route "other" {
  to = [destination.two]
}
`
	for _, c := range []struct {
		name, through string
		fakes         map[string]fake
		want          string
		dead          store.Reason
	}{
		{"order", "plugin.a, plugin.b", map[string]fake{"a": appending("a"), "b": appending("b")}, `one="dab" two="d"`, ""},
		{"depth first", "plugin.s, plugin.a", map[string]fake{"s": splitting(2), "a": appending("a")}, `one="d0a" one="d1a" two="d"`, ""},
		{"drop ends that message only", "plugin.s, plugin.f", map[string]fake{"s": splitting(3), "f": func(m *event.Message) (*plugins.Result, error) {
			if string(m.Data) == `"d1"` {
				return drop(m)
			}
			return keep(m)
		}}, `one="d0" one="d2" two="d"`, ""},
		{"error is dead", "plugin.a, plugin.x", map[string]fake{"a": appending("a"), "x": failing(plugins.ClassTrap)}, `@routing="d" two="d"`, store.ReasonRouting},
		{"error ends all results", "plugin.s, plugin.x", map[string]fake{"s": splitting(2), "x": func(m *event.Message) (*plugins.Result, error) {
			if string(m.Data) == `"d1"` {
				return nil, &plugins.Error{Class: plugins.ClassPlugin, Text: "no"}
			}
			return keep(m)
		}}, `@routing="d" two="d"`, store.ReasonRouting},
		{"skip goes on as before", "plugin.a, plugin.x_skip, plugin.b", map[string]fake{"a": appending("a"), "x_skip": failing(plugins.ClassTrap), "b": appending("b")}, `one="dab" two="d"`, ""},
		{"drop on error", "plugin.x_drop", map[string]fake{"x_drop": failing(plugins.ClassTrap)}, `two="d"`, ""},
		{"too many results", "plugin.s", map[string]fake{"s": splitting(65)}, `@routing="d" two="d"`, store.ReasonRouting},
		{"as many as allowed", "plugin.s, plugin.f", map[string]fake{"s": splitting(64), "f": func(m *event.Message) (*plugins.Result, error) {
			if string(m.Data) == `"d63"` {
				return keep(m)
			}
			return drop(m)
		}}, `one="d63" two="d"`, ""},
		{"fault of the host", "plugin.x_skip", map[string]fake{"x_skip": failing(plugins.ClassDeadline)}, `@routing="d" two="d"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tb := table(t, fmt.Sprintf(hcl, c.through), c.fakes)
			e := sample("events", "x", `"d"`)
			r := decide(t, tb, e)
			if got := sent(r, e); got != c.want {
				t.Errorf("sent %s\nwant %s", got, c.want)
			}
			if len(r.Deliveries) == 0 {
				t.Fatal("nothing at all")
			}
			d := r.Deliveries[0]
			if d.Dead != c.dead {
				t.Errorf("dead %q, want %q", d.Dead, c.dead)
			}
			if d.Lane == store.RoutingLane {
				if !strings.Contains(d.Error, "build 0f0f") && d.Dead != "" && !strings.Contains(d.Error, "more than 64 messages") {
					t.Errorf("the error %q does not name the build", d.Error)
				}
				if (d.Dead == "") == d.Due.IsZero() {
					t.Errorf("neither dead nor due: %+v", d)
				}
			}
		})
	}
}

func TestSeveralMessagesAreNumbered(t *testing.T) {
	tb := table(t, `
route "r" {
  through = [plugin.s]
  to      = [destination.one, destination.two]
}
`, map[string]fake{"s": splitting(2)})
	r := decide(t, tb, sample("events", "x", `"d"`))
	if len(r.Deliveries) != 4 || len(r.Contents) != 2 {
		t.Fatalf("%d deliveries of %d contents", len(r.Deliveries), len(r.Contents))
	}
	for i, d := range r.Deliveries {
		if d.N != i/2 || !d.Several || d.Content != i/2 {
			t.Errorf("delivery %d is %+v", i, d)
		}
	}
}

func TestRoutingAgainGivesTheSame(t *testing.T) {
	tb := table(t, `
route "r" {
  through = [plugin.s]
  to      = [destination.one]
}
`, map[string]fake{"s": splitting(3)})
	e := sample("events", "x", `"d"`)
	first := fmt.Sprintf("%+v", decide(t, tb, e))
	for range 20 {
		if again := fmt.Sprintf("%+v", decide(t, tb, e)); again != first {
			t.Fatalf("routed again:\n%s\nat first:\n%s", again, first)
		}
	}
}

func TestRouteAgain(t *testing.T) {
	broken := true
	tb := table(t, `
route "r" {
  when    = event.data.never
  through = [plugin.p]
  to      = [destination.one]
}
`, map[string]fake{"p": func(m *event.Message) (*plugins.Result, error) {
		if broken {
			return failing(plugins.ClassTrap)(m)
		}
		return keep(m)
	}})
	e := sample("events", "x", `"d"`)
	now := time.Now()
	var pe *plugins.Error
	if _, err := tb.RouteAgain(context.Background(), e, "r", now, false); !errors.As(err, &pe) || HostFault(err) {
		t.Errorf("a plugin that still fails gives %v", err)
	}
	if _, err := tb.RouteAgain(context.Background(), e, "gone", now, false); !errors.Is(err, ErrNoRoute) {
		t.Errorf("a route that is gone gives %v", err)
	}
	broken = false
	r, err := tb.RouteAgain(context.Background(), e, "r", now, false)
	if err != nil || !r.Again || len(r.Deliveries) != 1 || !r.Deliveries[0].Due.Equal(now) {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestExplain(t *testing.T) {
	tb := table(t, `
route "big" {
  from   = [source.events]
  events = ["order.*"]
  when   = event.type != "order.test" && event.data.total > 100
  to     = [destination.one]
}
route "rest" {
  fallback = true
  to       = [destination.two]
}
`, nil)
	for _, c := range []struct{ source, eventType, data, big, rest string }{
		{"events", "order.paid", `{"total":120}`, "", "it is a fallback, and another route took the event"},
		{"events", "order.paid", `{"total":80}`, "event.data.total is 80, not > 100", ""},
		{"events", "user.new", `{"total":120}`, "type is user.new, not order.*", ""},
		{"github", "order.paid", `{"total":120}`, "source is github, not events", ""},
	} {
		e := sample(c.source, c.eventType, c.data)
		v := tb.Explain(e)
		if v[0].Reason != c.big || v[1].Reason != c.rest {
			t.Errorf("%s %s %s: %q and %q, want %q and %q", c.source, c.eventType, c.data, v[0].Reason, v[1].Reason, c.big, c.rest)
		}
		// What it says must be what routing does.
		taken := map[string]bool{}
		for _, m := range decide(t, tb, e).Matches {
			taken[m.Route] = true
		}
		for _, verdict := range v {
			if taken[verdict.Route] != verdict.Matched {
				t.Errorf("%s: explained as matched %v, routed %v", verdict.Route, verdict.Matched, taken[verdict.Route])
			}
		}
	}
}

// What explain says must be what routing does, for any event.
func TestExplainAgreesWithRoute(t *testing.T) {
	tb := table(t, `
route "a" {
  events = ["order.*", "user.new"]
  when   = event.data.n > 2
  to     = [destination.one]
}
route "b" {
  from = [source.github]
  when = event.data.text == "x" || event.subject == "s"
  to   = [destination.one]
}
route "c" {
  fallback = true
  events   = ["*.new"]
  to       = [destination.two]
}
route "d" {
  fallback = true
  from     = [source.github]
  when     = event.data.n < 3
  to       = [destination.two]
}
`, nil)
	n := 0
	for _, source := range []string{"events", "github", "weir"} {
		for _, eventType := range []string{"order.new", "user.new", "user.old", ""} {
			for _, data := range []string{`{}`, `{"n":1}`, `{"n":3}`, `{"n":"x","text":"x"}`, `{"n":null,"text":"y"}`, `[]`, `1`} {
				for _, subject := range []string{"", "s"} {
					e := sample(source, eventType, data)
					e.Subject = subject
					taken := map[string]bool{}
					for _, m := range decide(t, tb, e).Matches {
						taken[m.Route] = true
						n++
					}
					for _, v := range tb.Explain(e) {
						if taken[v.Route] != v.Matched || v.Matched == (v.Reason != "") {
							t.Errorf("%s %q %s %q: route %s: taken %v, explained as %v %q", source, eventType, data, subject, v.Route, taken[v.Route], v.Matched, v.Reason)
						}
					}
				}
			}
		}
	}
	if n == 0 {
		t.Error("no route took anything: this proves nothing")
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, n := range []int{10, 10000} {
		b.Run(fmt.Sprintf("%d routes", n), func(b *testing.B) {
			var hcl strings.Builder
			hcl.WriteString("destination \"one\" {\n  url = \"http://127.0.0.1:1/\"\n}\n")
			for i := range n {
				fmt.Fprintf(&hcl, "route \"r%d\" {\n  events = [\"type.%d\"]\n  when = event.data.total > 100\n  to = [destination.one]\n}\n", i, i)
			}
			c, report := config.Parse("router.hcl", []byte(hcl.String()), config.Options{Dir: b.TempDir()})
			if report.HasErrors() {
				b.Fatal(report.Err())
			}
			tb := NewTable(c, nil)
			e := sample("events", "type.7", `{"pad":"`+strings.Repeat("x", 900)+`","total":120}`)
			b.ReportAllocs()
			for b.Loop() {
				d, err := tb.Route(context.Background(), e)
				if err != nil || len(d.Routing.Deliveries) != 1 {
					b.Fatal(d, err)
				}
			}
		})
	}
}
