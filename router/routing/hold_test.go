package routing

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// A plugin that loops must not make the reader wait for event after event: after
// a few it is held, and its events wait in the lane of routing.
func TestLoopingPluginIsHeld(t *testing.T) {
	calls := 0
	loops := true
	tb := table(t, `
route "loops" {
  through = [plugin.p]
  to      = [destination.one]
}
route "fine" {
  to = [destination.two]
}
`, map[string]fake{"p": func(m *event.Message) (*plugins.Result, error) {
		calls++
		if loops {
			return nil, &plugins.Error{Class: plugins.ClassDeadline, Text: "too slow"}
		}
		return keep(m)
	}})
	e := sample("events", "x", `"d"`)
	for i := range 20 {
		r := decide(t, tb, e)
		if len(r.Deliveries) != 2 || r.Deliveries[0].Lane != store.RoutingLane || r.Deliveries[0].Due.IsZero() || r.Deliveries[1].Lane != "two" {
			t.Fatalf("event %d led to %+v", i, r.Deliveries)
		}
		if class := r.Matches[0].Plugins[0].Class; i >= holdAfter && class != "held" {
			t.Errorf("event %d: class %q", i, class)
		}
	}
	if calls != holdAfter {
		t.Errorf("it was called %d times by the reader, want %d", calls, holdAfter)
	}
	// The lane of routing may try it all the while, and success ends the count.
	if _, err := tb.RouteAgain(context.Background(), e, "loops", time.Now(), false); !HostFault(err) || calls != holdAfter+1 {
		t.Errorf("tried again: %v after %d calls", err, calls)
	}
	loops = false
	if _, err := tb.RouteAgain(context.Background(), e, "loops", time.Now(), false); err != nil {
		t.Error(err)
	}
}

func TestHold(t *testing.T) {
	late := &plugins.Error{Class: plugins.ClassDeadline}
	now := time.Unix(1000, 0)
	var h hold
	for range holdAfter - 1 {
		h.observe(late, now)
	}
	h.observe(nil, now) // a success in between: not in a row
	for range holdAfter - 1 {
		h.observe(late, now)
	}
	h.observe(&plugins.Error{Class: plugins.ClassTrap}, now) // neither is another fault
	if err := h.check("p", now); err != nil {
		t.Errorf("held too early: %v", err)
	}
	for range holdAfter {
		h.observe(late, now)
	}
	if err := h.check("p", now.Add(holdFor-1)); !errors.Is(err, errHeld) || !HostFault(err) {
		t.Errorf("not held: %v", err)
	}
	now = now.Add(holdFor)
	if err := h.check("p", now); err != nil {
		t.Errorf("held for ever: %v", err)
	}
	h.observe(late, now) // the first miss after a hold holds it anew
	if err := h.check("p", now); err == nil {
		t.Error("not held anew")
	}
}

// on_error decides on a fault of the host, too, once no further try follows.
func TestOnErrorAfterTheLastTry(t *testing.T) {
	for name, want := range map[string]int{"x_skip": 1, "x_drop": 0} {
		tb := table(t, `
route "r" {
  through = [plugin.`+name+`]
  to      = [destination.one]
}
`, map[string]fake{name: failing(plugins.ClassDeadline)})
		e := sample("events", "x", `"d"`)
		if _, err := tb.RouteAgain(context.Background(), e, "r", time.Now(), false); !HostFault(err) {
			t.Errorf("%s: before the last try: %v", name, err)
		}
		r, err := tb.RouteAgain(context.Background(), e, "r", time.Now(), true)
		if err != nil || len(r.Deliveries) != want {
			t.Errorf("%s: the last try gave %+v, %v", name, r, err)
		}
	}
}
