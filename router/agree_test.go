package router

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// Of one moment the list of destinations, the statistics, the metrics and the overview
// say the same.
func TestAllSayTheSame(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Header.Get("X-Webhook-Event") == "order.bad":
			w.WriteHeader(500)
		case req.Header.Get("X-Webhook-Event") == "order.flaky" && req.Header.Get("X-Webhook-Attempt") == "1":
			w.WriteHeader(503)
		}
	}))
	defer receiver.Close()
	r := start(t, t.TempDir(), onLoopback+fmt.Sprintf(`
metrics {
  per_webhook = true
}
plugin "p" {
  wasm = %[2]q
}
destination "crm" {
  url = %[1]q
  retry {
    schedule = ["0s", "1ms"]
  }
}
destination "late" {
  url = %[1]q
  retry {
    schedule = ["0s", "1h"]
  }
}
destination "stopped" {
  url = "stdout:"
}
destination "idle" {
  url = "stdout:"
}
route "orders" {
  events = ["order.*"]
  to     = [destination.crm, destination.late, destination.stopped]
}
route "through" {
  events  = ["through"]
  through = [plugin.p]
  to      = [destination.idle]
}
`, receiver.URL, module(t, "exit")), Options{Stdout: &safeBuffer{}})
	if status, answer, _ := call(t, r, "POST", "/api/destinations/stopped/pause", ""); status != 200 {
		t.Fatal(status, answer)
	}
	hook := register(t, r, fmt.Sprintf(`{"url":%q,"events":["order.*"]}`, receiver.URL))
	for i, typ := range []string{"order.paid", "order.bad", "order.flaky", "order.paid", "order.bad", "none", "through", "through"} {
		data := `{"exit":null}`
		if i == 7 {
			data = `{"exit":3}`
		}
		if status, answer, _ := call(t, r, "POST", "/events", fmt.Sprintf(`{"event":%q,"data":%s}`, typ, data)); status != 202 {
			t.Fatal(status, answer)
		}
	}
	depths := map[string]uint64{"crm": 0, "late": 3, "stopped": 5, "idle": 0, hook: 3}
	destinations := func() (list api.DestinationList, byName map[string]api.Destination) {
		byName = map[string]api.Destination{}
		if status := lookUp(t, r, "/api/destinations", &list); status != 200 {
			t.Fatal(status)
		}
		for _, d := range list.Destinations {
			byName[d.Name] = d
		}
		return list, byName
	}
	await(t, "a quiet point", func() bool {
		_, all := destinations()
		for name, depth := range depths {
			if all[name].Depth != depth {
				return false
			}
		}
		return r.store.Progress() == r.store.Last() && all["late"].Retrying == 3 && all[hook].Retrying == 3 && all["crm"].Dead == 2 && all["crm"].Delivered == 3 && all["idle"].Delivered == 1 && all["late"].Delivered == 2 && all[hook].Delivered == 2
	})
	await(t, "the statistics", func() bool { // they count a moment after it is on disk
		var s api.Stats
		lookUp(t, r, "/api/stats", &s)
		taken, _ := scrape(t, r)
		return len(s.Rows) == 1 && s.Rows[0].Delivered == 8 && s.Rows[0].Dead == 2 && s.Rows[0].Attempts == 19 &&
			s.Rows[0].Events == uint64(taken[`weir_events_ingested_total{source="events"}`])+uint64(len(eventsOf(t, r, "weir")))
	})
	list, all := destinations()
	var byDestination, total api.Stats
	lookUp(t, r, "/api/stats?by=destination", &byDestination)
	lookUp(t, r, "/api/stats", &total)
	series, _ := scrape(t, r)
	res, err := r.Handler().Test(httptest.NewRequest("GET", "http://localhost/", nil), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}

	var sum api.StatsRow
	told := map[string]bool{}
	for _, row := range byDestination.Rows {
		d, ok := all[row.Destination]
		if !ok {
			t.Errorf("the statistics have %s, which is no destination", row.Destination)
		}
		told[row.Destination] = true
		of := func(metric, more string) uint64 {
			return uint64(series[fmt.Sprintf("%s{destination=%q%s}", metric, row.Destination, more)])
		}
		for what, numbers := range map[string][]uint64{
			"depth":     {d.Depth, *row.Depth, of("weir_queue_depth", ""), depths[d.Name]},
			"delivered": {d.Delivered, row.Delivered, of("weir_deliveries_total", `,outcome="delivered"`)},
			"dead":      {d.Dead, row.Dead, of("weir_deliveries_total", `,outcome="dead"`)},
			"attempts":  {row.Attempts, of("weir_attempt_duration_seconds_count", "")},
			"failures":  {row.Failures["status"], of("weir_attempts_total", `,outcome="failed",reason="status"`)},
		} {
			for _, n := range numbers {
				if n != numbers[0] {
					t.Errorf("%s of %s: %d", what, row.Destination, numbers)
					break
				}
			}
		}
		if (d.Oldest == nil) != (row.Oldest == nil) || d.Oldest != nil && !d.Oldest.Equal(*row.Oldest) {
			t.Errorf("the oldest of %s came %v and %v", d.Name, d.Oldest, row.Oldest)
		}
		sum.Delivered, sum.Dead, sum.Attempts, sum.Retries = sum.Delivered+row.Delivered, sum.Dead+row.Dead, sum.Attempts+row.Attempts, sum.Retries+row.Retries
	}
	for name := range all {
		if !told[name] && all[name].Depth > 0 {
			t.Errorf("the statistics do not have %s", name)
		}
	}
	if len(total.Rows) != 1 || list.Total == nil {
		t.Fatalf("%+v, %+v", total.Rows, list.Total)
	}
	row := total.Rows[0]
	if row.Delivered != sum.Delivered || row.Dead != sum.Dead || row.Attempts != sum.Attempts || row.Retries != sum.Retries {
		t.Errorf("in all %+v, and the rows give %+v", row, sum)
	}
	if *row.Depth != list.Total.Depth || *row.Depth != 11 || !row.Oldest.Equal(*list.Total.Oldest) || list.Total.Dead != row.Dead {
		t.Errorf("%d wait and %d, since %v and %v; %d are dead and %d", *row.Depth, list.Total.Depth, row.Oldest, list.Total.Oldest, row.Dead, list.Total.Dead)
	}
	if n := row.Events; n != uint64(series[`weir_events_ingested_total{source="events"}`])+uint64(len(eventsOf(t, r, "weir"))) {
		t.Errorf("%d events were routed, and %v taken", n, series[`weir_events_ingested_total{source="events"}`])
	}
	if depth, _, err := r.waits(t.Context()); err != nil || depth != *row.Depth {
		t.Errorf("%d wait by the charts, %v", depth, err)
	}
	if !strings.Contains(string(page), fmt.Sprintf(`Waiting now<div class="figure">%d</div>`, *row.Depth)) {
		t.Errorf("the overview does not say that %d wait", *row.Depth)
	}
}
