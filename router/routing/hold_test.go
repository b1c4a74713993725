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
		if class := r.Matches[0].Plugins[0].Class; i >= holdAfterMissed && class != "held" {
			t.Errorf("event %d: class %q", i, class)
		}
	}
	if calls != holdAfterMissed {
		t.Errorf("it was called %d times by the reader, want %d", calls, holdAfterMissed)
	}
	// Later one try goes through; the last try of an event always does; success
	// ends the hold.
	again := func(after time.Duration, last bool) error {
		_, err := tb.RouteAgain(context.Background(), e, "loops", time.Now().Add(after), last)
		return err
	}
	if err := again(0, false); !HostFault(err) || calls != holdAfterMissed {
		t.Errorf("tried at once: %v after %d calls", err, calls)
	}
	if err := again(2*holdFor, false); !HostFault(err) || calls != holdAfterMissed+1 {
		t.Errorf("tried later: %v after %d calls", err, calls)
	}
	loops = false
	if err := again(2*holdFor, true); err != nil {
		t.Errorf("the last try: %v", err)
	}
	if err := again(0, false); err != nil {
		t.Errorf("after a success: %v", err)
	}
}

func TestHold(t *testing.T) {
	late := &plugins.Error{Class: plugins.ClassDeadline, Text: "late"}
	trap := &plugins.Error{Class: plugins.ClassTrap, Text: "trap"}
	refusal := &plugins.Error{Class: plugins.ClassPlugin}
	now := time.Unix(1000, 0)
	var told []error
	h := Hold{Changed: func(fault error) { told = append(told, fault) }}
	times := func(n int, err error) {
		for range n {
			h.observe(err, now)
		}
	}
	times(holdAfterMissed-1, late)
	times(1, nil) // a success in between: not in a row
	times(holdAfterMissed-1, late)
	times(holdAfterFaults, refusal) // it does its work
	times(holdAfterFaults-1, trap)
	times(5, context.Canceled) // says nothing of the plugin
	if err := h.check("p", now); err != nil || len(told) > 0 {
		t.Errorf("held too early: %v, %v", err, told)
	}
	times(1, trap)
	if err := h.check("p", now.Add(holdFor-1)); !errors.Is(err, errHeld) || !HostFault(err) {
		t.Errorf("not held: %v", err)
	}
	if got, ok := h.Held(); !ok || got != (Holding{Fault: "trap", Since: now, Until: now.Add(holdFor), TurnedAway: 1}) {
		t.Errorf("it says %+v, %v", got, ok)
	}
	now = now.Add(holdFor)
	if err := h.check("p", now); err != nil {
		t.Errorf("held for ever: %v", err)
	}
	if err := h.check("p", now); err == nil {
		t.Error("a second call was let through beside the first")
	}
	times(1, late) // the first fault after a hold holds it anew
	if err := h.check("p", now); err == nil {
		t.Error("not held anew")
	}
	if got, ok := h.Held(); !ok || !got.Since.Equal(time.Unix(1000, 0)) || got.Fault != "late" || got.TurnedAway != 3 {
		t.Errorf("held anew it says %+v, %v", got, ok)
	}
	times(1, nil)
	if err := h.check("p", now); err != nil {
		t.Errorf("held after a success: %v", err)
	}
	if got, ok := h.Held(); ok {
		t.Errorf("after a success it says %+v", got)
	}
	if len(told) != 2 || told[0] != error(trap) || told[1] != nil {
		t.Errorf("told %v", told)
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
