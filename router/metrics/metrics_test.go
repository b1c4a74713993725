package metrics

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func filled(perWebhook bool) *Metrics {
	m := New(Options{
		PerWebhook: perWebhook, IsWebhook: func(name string) bool { return strings.HasPrefix(name, "wh_") },
		Read: func(context.Context) (Reading, error) {
			return Reading{
				Sources: []Source{{Name: "github", Taken: 3, Refused: map[string]uint64{"signature_mismatch": 2}}, {Name: "events"}},
				Queues:  []Queue{{Destination: "crm", Depth: 7, Oldest: 90 * time.Second}},
				Plugins: []Plugin{{Name: "redact", Calls: map[string]uint64{"changed": 4, "error_fuel": 1}, Seconds: 0.5, Fuel: 1000}},
			}, errors.New("the store does not answer")
		},
	})
	m.Lane("crm").Attempt("", 20*time.Millisecond, time.Now().Add(-time.Second))
	m.Lane("crm").Attempt("timeout", 5*time.Second, time.Now())
	m.Lane("crm").Delivered()
	m.Lane("crm").Dead()
	m.Lane("crm").Cancelled()
	for _, id := range []string{"wh_1", "wh_2"} {
		m.Lane(id).Attempt("", time.Millisecond, time.Now())
		m.Lane(id).Delivered()
		m.Route(id).Matched()
	}
	m.Route("orders").Matched()
	m.Route("orders").Failed()
	m.Synced(time.Millisecond)
	m.Running("aa")
	m.Running("bb")
	m.Reloaded(true)
	return m
}

// The names and labels are what dashboards and alerts are made of.
func TestNames(t *testing.T) {
	m := filled(false)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "weir_") {
			var labels []string
			for _, l := range f.Metric[0].Label {
				labels = append(labels, l.GetName())
			}
			slices.Sort(labels)
			got[name] = strings.Join(labels, " ")
		}
	}
	want := map[string]string{
		"weir_events_ingested_total": "source", "weir_events_rejected_total": "reason source",
		"weir_deliveries_total": "destination outcome", "weir_attempts_total": "destination outcome reason",
		"weir_attempt_duration_seconds": "destination", "weir_delivery_latency_seconds": "destination",
		"weir_queue_depth": "destination", "weir_queue_oldest_seconds": "destination",
		"weir_plugin_calls_total": "plugin verdict", "weir_plugin_duration_seconds": "plugin", "weir_plugin_fuel_used_total": "plugin",
		"weir_plugin_held": "plugin", "weir_events_duplicates_total": "source", "weir_ready": "", "weir_replays_running": "",
		"weir_store_free_bytes": "", "weir_store_min_free_bytes": "", "weir_time_seconds": "",
		"weir_route_matches_total": "route", "weir_route_errors_total": "route",
		"weir_store_sync_duration_seconds": "", "weir_config_last_reload_success": "", "weir_config_info": "sha256",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestText(t *testing.T) {
	text, contentType, err := filled(false).Text("")
	if err != nil || !strings.HasPrefix(contentType, "text/plain") {
		t.Fatal(contentType, err)
	}
	for _, line := range []string{
		`weir_events_ingested_total{source="events"} 0`,
		`weir_events_rejected_total{reason="signature_mismatch",source="github"} 2`,
		`weir_attempts_total{destination="crm",outcome="delivered",reason=""} 1`,
		`weir_attempts_total{destination="crm",outcome="failed",reason="timeout"} 1`,
		`weir_deliveries_total{destination="crm",outcome="dead"} 1`,
		`weir_deliveries_total{destination="webhooks",outcome="delivered"} 2`,
		`weir_route_matches_total{route="webhooks"} 2`,
		`weir_queue_depth{destination="crm"} 7`,
		`weir_queue_oldest_seconds{destination="crm"} 90`,
		`weir_plugin_calls_total{plugin="redact",verdict="error_fuel"} 1`,
		`weir_plugin_duration_seconds_sum{plugin="redact"} 0.5`,
		`weir_plugin_duration_seconds_count{plugin="redact"} 5`,
		`weir_config_info{sha256="bb"} 1`,
		`weir_config_last_reload_success 1`,
		`weir_attempt_duration_seconds_count{destination="crm"} 2`,
	} {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(string(text), "wh_") || strings.Contains(string(text), `sha256="aa"`) {
		t.Error("it has series that it should not have")
	}
	if text, _, _ := filled(true).Text(""); !strings.Contains(string(text), `weir_deliveries_total{destination="wh_1",outcome="delivered"} 1`) {
		t.Error("per_webhook does not count by id")
	}
	m := filled(true)
	m.Forget("wh_1")
	if text, _, _ := m.Text(""); strings.Contains(string(text), "wh_1") || !strings.Contains(string(text), `weir_deliveries_total{destination="wh_2",outcome="delivered"} 1`) {
		t.Error("one that is gone is still counted, or another is not")
	}
	m = filled(false)
	m.Forget("wh_1")
	if text, _, _ := m.Text(""); !strings.Contains(string(text), `weir_deliveries_total{destination="webhooks",outcome="delivered"} 2`) {
		t.Error("what webhooks share is forgotten with one")
	}
	if text, contentType, err := filled(false).Text("application/openmetrics-text; version=1.0.0"); err != nil ||
		!strings.HasPrefix(contentType, "application/openmetrics-text") || !strings.HasSuffix(string(text), "# EOF\n") {
		t.Error(contentType, err)
	}
}

func BenchmarkAttempt(b *testing.B) {
	m := New(Options{IsWebhook: func(name string) bool { return strings.HasPrefix(name, "wh_") }})
	b.ReportAllocs()
	received := time.Now()
	for b.Loop() {
		l := m.Lane("crm")
		l.Attempt("", time.Millisecond, received)
		l.Delivered()
	}
}
