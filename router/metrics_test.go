package router

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirhq/weir/router/store"
)

// scrape is what /metrics says: the value of each series, by its line.
func scrape(t *testing.T, r *Router) (series map[string]float64, text string) {
	t.Helper()
	b, _, err := r.metrics.Text("")
	if err != nil {
		t.Fatal(err)
	}
	series = map[string]float64{}
	for line := range strings.SplitSeq(string(b), "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			v, err := strconv.ParseFloat(line[i+1:], 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			series[line[:i]] = v
		}
	}
	return series, string(b)
}

// Each metric is there from the beginning, at nought, and moves when its thing
// happens; the whole of it is what promtool likes.
func TestEachMetricMoves(t *testing.T) {
	var status atomic.Int64
	status.Store(200)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer receiver.Close()
	hcl := fmt.Sprintf(`
source "github" {
  verify "github" {
    secrets = ["a-secret-of-the-test"]
  }
}
plugin "p" {
  wasm = %q
}
destination "crm" {
  url = %q
  retry {
    schedule = ["0s", "1ms"]
  }
}
destination "polled" {
  url = "pull:"
}
route "orders" {
  events = ["order.*"]
  to     = [destination.crm]
}
route "big" {
  events = ["big"]
  when   = event.data.total > 100
  to     = [destination.crm]
}
route "polled" {
  events = ["poll"]
  to     = [destination.polled]
}
route "through" {
  events  = ["through"]
  through = [plugin.p]
  to      = [destination.polled]
}
`, module(t, "exit"), receiver.URL)
	r := start(t, t.TempDir(), hcl, Options{})
	n, orders := 0, 0
	send := func(typ, data string) {
		t.Helper()
		n++
		if typ == "order.paid" {
			orders++
		}
		if status, answer, _ := call(t, r, "POST", "/events", fmt.Sprintf(`{"event":%q,"event_id":"e%d","data":%s}`, typ, n, data)); status != 202 {
			t.Fatal(status, answer)
		}
	}
	post := func(path, body string) func() {
		return func() {
			if status, answer, _ := call(t, r, "POST", path, body); status >= 300 {
				t.Fatal(path, status, answer)
			}
		}
	}
	fails := func() { status.Store(503); send("order.paid", "{}") }
	for _, c := range []struct {
		series string
		once   func()
		// begins is what it is before, later says that it is not there before.
		begins float64
		later  bool
	}{
		{series: `weir_events_ingested_total{source="events"}`, once: func() { send("none", "{}") }},
		{series: `weir_events_ingested_total{source="github"}`, once: nil},
		{series: `weir_events_duplicates_total{source="events"}`, once: func() { n--; send("none", "{}") }},
		{series: `weir_events_rejected_total{reason="disk_full",source="github"}`, once: nil},
		{series: `weir_events_rejected_total{reason="busy",source="events"}`, once: nil},
		{series: `weir_events_rejected_total{reason="store_failed",source="events"}`, once: nil},
		{series: `weir_events_rejected_total{reason="signature_missing",source="github"}`, later: true, once: func() { call(t, r, "POST", "/in/github", "{}") }},
		{series: `weir_attempts_total{destination="crm",outcome="delivered",reason=""}`, once: func() { send("order.paid", "{}") }},
		{series: `weir_deliveries_total{destination="crm",outcome="delivered"}`, begins: 1, once: func() { send("order.paid", "{}") }},
		{series: `weir_attempt_duration_seconds_count{destination="crm"}`, begins: 2, once: func() { send("order.paid", "{}") }},
		{series: `weir_delivery_latency_seconds_count{destination="crm"}`, begins: 3, once: func() { send("order.paid", "{}") }},
		{series: `weir_route_matches_total{route="orders"}`, begins: 4, once: func() { send("order.paid", "{}") }},
		{series: `weir_route_errors_total{route="big"}`, once: func() { send("big", "{}") }},
		{series: `weir_attempts_total{destination="crm",outcome="failed",reason="status"}`, later: true, once: fails},
		{series: `weir_deliveries_total{destination="crm",outcome="dead"}`, begins: -1, once: fails},
		{series: `weir_queue_depth{destination="polled"}`, once: func() { send("poll", "{}") }},
		{series: `weir_queue_oldest_seconds{destination="polled"}`, begins: -1, once: nil},
		{series: `weir_deliveries_total{destination="polled",outcome="cancelled"}`, once: post("/api/destinations/polled/cancel", "{}")},
		{series: `weir_plugin_duration_seconds_count{plugin="p"}`, once: func() { send("through", `{"exit":null}`) }},
		{series: `weir_plugin_fuel_used_total{plugin="p"}`, begins: -1, once: func() { send("through", `{"exit":null}`) }},
		{series: `weir_plugin_calls_total{plugin="p",verdict="error_exit"}`, later: true, once: func() { send("through", `{"exit":3}`) }},
		{series: `weir_deliveries_total{destination="@routing",outcome="dead"}`, begins: -1, once: func() { send("through", `{"exit":3}`) }},
		{series: `weir_plugin_held{plugin="p"}`, once: func() {
			for range 25 { // more than it is held after
				send("through", `{"exit":3}`)
			}
		}},
		{series: `weir_store_sync_duration_seconds_count`, begins: -1, once: func() { send("none", "{}") }},
		{series: `weir_replays_running`, once: nil},
		{series: `weir_store_free_bytes`, begins: -1},
		{series: `weir_store_min_free_bytes`, begins: -1},
		{series: `weir_time_seconds`, begins: -1},
		{series: fmt.Sprintf(`weir_config_info{sha256=%q}`, r.setup.Load().config.Hash), begins: 1},
		{series: `weir_config_last_reload_success`, begins: 1},
	} {
		if strings.Contains(c.series, "@routing") { // the plugin's failure above makes it, a moment after its call
			await(t, c.series, func() bool { now, _ := scrape(t, r); return now[c.series] > 0 })
		}
		before, _ := scrape(t, r)
		was, ok := before[c.series]
		if ok == c.later || c.begins >= 0 && was != c.begins && !c.later {
			t.Errorf("%s is %v (%v) at first, want %v", c.series, was, ok, c.begins)
		}
		if c.once != nil {
			c.once()
			await(t, c.series+" to move", func() bool { now, _ := scrape(t, r); return now[c.series] > was })
		}
		await(t, "what is under way", func() bool {
			l, err := r.store.Lane(t.Context(), "crm")
			now, _ := scrape(t, r) // matches are counted a moment after they are on disk
			return err == nil && l.Counts.Waiting+l.Counts.Retrying == 0 && r.store.Progress() == r.store.Last() && now[`weir_route_matches_total{route="orders"}`] == float64(orders)
		})
		status.Store(200)
	}
	if s, _ := scrape(t, r); s["weir_store_free_bytes"] <= 0 || s["weir_store_min_free_bytes"] < 1<<30 || s["weir_time_seconds"] < 1e9 {
		t.Errorf("free %v of %v at %v", s["weir_store_free_bytes"], s["weir_store_min_free_bytes"], s["weir_time_seconds"])
	}
	l, err := r.store.Lane(t.Context(), store.RoutingLane)
	if err != nil {
		t.Fatal(err)
	}
	s, text := scrape(t, r)
	if got := s[`weir_queue_depth{destination="@routing"}`]; got != float64(l.Counts.Waiting+l.Counts.Retrying) {
		t.Errorf("%v wait for routing, want %d", got, l.Counts.Waiting+l.Counts.Retrying)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed (Debian: apt install --no-install-recommends prometheus)")
	}
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
