package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
)

// eventsOf lists the events of a source, oldest first.
func eventsOf(t *testing.T, r *Router, source string) []*event.Event {
	t.Helper()
	list, _, err := r.store.ListEvents(context.Background(), store.EventQuery{Source: source, Page: store.Page{Limit: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

func typesOf(list []*event.Event) string {
	var types []string
	for _, e := range list {
		types = append(types, strings.TrimPrefix(e.Type, "weir."))
	}
	return strings.Join(types, " ")
}

// What happens to a destination and its deliveries is told as events, which only
// routes that name source.weir take; what those meet is told to nobody.
func TestTold(t *testing.T) {
	var answer atomic.Int64
	answer.Store(500)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(answer.Load())) }))
	defer receiver.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }))
	defer refusing.Close()
	var out safeBuffer
	dir := t.TempDir()
	config := fmt.Sprintf(`
destination "crm" {
  url = %q
  retry {
    schedule = ["0s"]
  }
}
destination "pager" {
  url = %q
  retry {
    schedule = ["0s"]
  }
}
destination "out" {
  url = "stdout:"
}
route "orders" {
  to = [destination.crm]
}
route "told" {
  from   = [source.weir]
  events = ["weir.*"]
  to     = [destination.pager, destination.out]
}
`, receiver.URL, refusing.URL)
	r := start(t, dir, config, Options{Stdout: &out})
	publish(t, r, "order.paid", "o-1")
	await(t, "failing and dead", func() bool { return typesOf(eventsOf(t, r, "weir")) == "destination.failing delivery.dead" })
	answer.Store(200)
	publish(t, r, "order.paid", "o-2")
	await(t, "recovered", func() bool {
		return typesOf(eventsOf(t, r, "weir")) == "destination.failing delivery.dead destination.recovered"
	})
	// It fails again within a minute: that is not told again.
	answer.Store(500)
	publish(t, r, "order.paid", "o-3")
	await(t, "the second that is dead", func() bool { return strings.Count(typesOf(eventsOf(t, r, "weir")), "delivery.dead") == 2 })
	answer.Store(410)
	publish(t, r, "order.paid", "o-4")
	const all = "destination.failing delivery.dead destination.recovered delivery.dead destination.disabled delivery.dead"
	await(t, "all of it", func() bool { return typesOf(eventsOf(t, r, "weir")) == all })
	await(t, "all of it at a destination", func() bool { return strings.Count(out.String(), `"event":"weir.`) == 6 })
	// The pager refuses each of them, and is never spoken of.
	await(t, "the pager's dead letters", func() bool {
		l, err := r.store.Lane(context.Background(), "pager")
		return err == nil && l.Counts.Dead == 6
	})
	list := eventsOf(t, r, "weir")
	if typesOf(list) != all || strings.Contains(out.String(), "pager") {
		t.Errorf("a loop: %s\n%s", typesOf(list), out.String())
	}
	var dead toldDelivery
	if err := json.Unmarshal(list[1].Data, &dead); err != nil || dead.EventID != "o-1" || dead.Destination != "crm" || dead.Reason != "attempts" ||
		dead.Attempts != 1 || dead.LastFailure == nil || dead.LastFailure.Status != 500 {
		t.Errorf("%s, %v", list[1].Data, err)
	}
	var disabled toldDestination
	if err := json.Unmarshal(list[4].Data, &disabled); err != nil || disabled.Destination != "crm" || disabled.Status != "disabled" || !strings.Contains(disabled.Reason, "410") {
		t.Errorf("%s, %v", list[4].Data, err)
	}
}

// Where no route names source.weir nothing is told.
func TestToldToNobody(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }))
	defer receiver.Close()
	r := start(t, t.TempDir(), fmt.Sprintf("destination \"crm\" {\n  url = %q\n}\nroute \"all\" {\n  to = [destination.crm]\n}\n", receiver.URL), Options{})
	publish(t, r, "x", "x-1")
	await(t, "its end", func() bool { return engine{r}.laneState(context.Background(), "crm") == lane.Disabled })
	if list := eventsOf(t, r, "weir"); len(list) != 0 {
		t.Errorf("told %s", typesOf(list))
	}
}

// What ends by max_age while its destination is paused, be it the destination's own
// or the store's, is told as an overflow.
func TestToldOverflow(t *testing.T) {
	for name, c := range map[string]struct{ store, destination string }{
		"destination's":      {"", `max_age = "1s"`},
		"store's":            {`max_age = "1s"`, ""},
		"store's is shorter": {`max_age = "1s"`, `max_age = "1h"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out safeBuffer
			r := start(t, t.TempDir(), fmt.Sprintf(`
store "badger" {
  %s
}
destination "crm" {
  url = "stdout:"
  %s
}
destination "out" {
  url = "stdout:"
}
route "orders" {
  to = [destination.crm]
}
route "told" {
  from = [source.weir]
  to   = [destination.out]
}
`, c.store, c.destination), Options{Stdout: &out})
			if err := r.lanes.Pause(context.Background(), "crm"); err != nil {
				t.Fatal(err)
			}
			publish(t, r, "order.paid", "o-1")
			publish(t, r, "order.paid", "o-2")
			await(t, "both to be dead", func() bool {
				l, err := r.store.Lane(context.Background(), "crm")
				return err == nil && l.Counts.Dead == 2
			})
			await(t, "the overflow", func() bool {
				return strings.Contains(typesOf(eventsOf(t, r, "weir")), "destination.overflow")
			})
			if strings.Contains(out.String(), `{"event_id":"o-1"`) {
				t.Errorf("it was sent:\n%s", out.String())
			}
			await(t, "the statistics and the metrics to count them", func() bool { // a moment after it is on disk
				a, err := r.book.Ask(stats.Query{ByType: true, ByDestination: true, Destination: "crm", Until: time.Now(), Window: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				if len(a.Rows) != 1 || a.Rows[0].Dead != 2 || a.Rows[0].Type != "order.paid" {
					return false
				}
				text, _, err := r.metrics.Text("")
				return err == nil && strings.Contains(string(text), `weir_deliveries_total{destination="crm",outcome="dead"} 2`)
			})
		})
	}
}

// A plugin that is held is told once, as an event with its build and its fault,
// which a route that goes through the plugin does not get.
func TestToldHeld(t *testing.T) {
	var out safeBuffer
	r := start(t, t.TempDir(), fmt.Sprintf(`
plugin "p" {
  wasm = %q # exits with data.exit
}
destination "crm" {
  url = "stdout:"
}
destination "pager" {
  url = "stdout:"
}
route "orders" {
  through = [plugin.p]
  to      = [destination.crm]
}
route "told" {
  from   = [source.weir]
  events = ["weir.plugin.held"]
  to     = [destination.pager]
}
`, module(t, "exit")), Options{Stdout: &out})
	for i := range 25 { // more than it is held after
		if _, err := r.Publish(context.Background(), Event{Type: "x", ID: fmt.Sprintf("bad-%d", i), Data: []byte(`{"exit": 3}`)}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the event at a destination", func() bool { return strings.Contains(out.String(), `"event":"weir.plugin.held"`) })
	await(t, "all to be routed", func() bool {
		l, err := r.store.Lane(context.Background(), store.RoutingLane)
		return err == nil && l.Counts.Dead+l.Counts.Retrying == 25
	})
	list := slices.DeleteFunc(eventsOf(t, r, "weir"), func(e *event.Event) bool { return e.Type == toldDead })
	if typesOf(list) != "plugin.held" || strings.Count(out.String(), "weir.plugin.held") != 1 {
		t.Fatalf("told %q\n%s", typesOf(list), out.String())
	}
	var held toldPlugin
	if err := json.Unmarshal(list[0].Data, &held); err != nil || held.Plugin != "p" || !strings.Contains(held.Error, "exit with code 3") ||
		held.Build != r.setup.Load().plugins["p"].plugin.Build() || list[0].Subject != "p" {
		t.Errorf("%s for %q, %v", list[0].Data, list[0].Subject, err)
	}
}

// Each 2xx body becomes an event of source reply, which only routes that name it
// take, at most eight in a row; sent again it is the same event.
func TestReply(t *testing.T) {
	var calls atomic.Int64
	pricer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		calls.Add(1)
		if req.Header.Get("X-Webhook-Event") == "order.quiet" {
			w.WriteHeader(204)
			return
		}
		fmt.Fprintf(w, `{"price": 5, "for": %q}`, req.Header.Get("webhook-id"))
	}))
	defer pricer.Close()
	var out safeBuffer
	r := start(t, t.TempDir(), fmt.Sprintf(`
destination "pricer" {
  url        = %q
  reply_type = "order.priced"
}
destination "out" {
  url = "stdout:"
}
route "ask" {
  events = ["order.paid", "order.quiet"]
  to     = [destination.pricer]
}
route "again" {
  from   = [source.reply]
  events = ["order.priced"]
  to     = [destination.pricer, destination.out]
}
route "all" {
  events = ["nothing"]
  to     = [destination.out]
}
`, pricer.URL), Options{Stdout: &out})
	publish(t, r, "order.paid", "o-1")
	publish(t, r, "order.quiet", "o-2")
	await(t, "the last hop", func() bool { return len(eventsOf(t, r, "reply")) == maxHops })
	await(t, "its delivery", func() bool { return calls.Load() == maxHops+2 })
	replies := eventsOf(t, r, "reply")
	cause := "o-1"
	for i, e := range replies {
		if e.Cause != cause || e.Hops != i+1 || e.Type != "order.priced" || !strings.HasPrefix(e.ID, "rep_msg_") || e.ContentType != "application/json" {
			t.Errorf("reply %d is %+v, want one to %s", i, e, cause)
		}
		if !strings.Contains(string(e.Data), strings.TrimPrefix(e.ID, "rep_")) {
			t.Errorf("%s has %s", e.ID, e.Data)
		}
		cause = e.ID
	}
	await(t, "all at the other destination", func() bool { return strings.Count(out.String(), "order.priced") == maxHops })
	await(t, "the outcome that would have a ninth with it", func() bool {
		l, err := r.store.Lane(context.Background(), "pricer")
		return err == nil && l.Counts.Delivered == maxHops+2
	})
	if n := len(eventsOf(t, r, "reply")); n != maxHops {
		t.Errorf("%d replies, want %d", n, maxHops)
	}
}
