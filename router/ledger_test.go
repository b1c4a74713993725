package router

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/storetest"
)

// What was counted is there after a restart, by type, by destination and by both,
// and equals what the lanes did.
func TestStatsCountWhatLanesDo(t *testing.T) {
	dir := t.TempDir()
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	defer busy.Close()
	hcl := fmt.Sprintf(`
store "badger" {
  path = %q
}
destination "good" {
  url = "stdout:"
}
destination "bad" {
  url = %q
  retry {
    schedule = ["0s", "1ms"]
  }
}
route "all" {
  to = [destination.good]
}
route "orders" {
  events = ["order.*"]
  to     = [destination.bad]
}`, filepath.Join(dir, "data"), busy.URL)
	r := start(t, dir, hcl, Options{Stdout: &safeBuffer{}})
	for i := range 6 {
		publish(t, r, "order.paid", fmt.Sprintf("o%d", i))
	}
	for i := range 4 {
		publish(t, r, "user.seen", fmt.Sprintf("u%d", i))
	}
	for _, typ := range []string{"order.paid", "user.seen"} {
		if _, err := r.Publish(context.Background(), Event{Type: typ, Tenant: "acme", Data: []byte(`{"n":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(r *Router) {
		t.Helper()
		rows := func(query string) map[string]api.StatsRow {
			var s api.Stats
			if code := lookUp(t, r, "/api/stats"+query, &s); code != 200 {
				t.Fatalf("%s: %d", query, code)
			}
			all := map[string]api.StatsRow{}
			for _, row := range s.Rows {
				all[row.Event+">"+row.Destination] = row
			}
			return all
		}
		await(t, "all to end", func() bool {
			row := rows("")[">"]
			return row.Deliveries == 19
		})
		total := rows("?window=1h&points=10")[">"]
		if total.Events != 12 || total.Delivered != 12 || total.Dead != 7 || total.Attempts != 12+14 || total.Retries != 7 ||
			total.Failures["status"] != 14 || len(total.Failures) != 1 || *total.SuccessRate != 12.0/19 || total.Latency.P99MS <= 0 || total.DeliveryLatency.AverageMS <= 0 {
			t.Errorf("in all: %+v", total)
		}
		if n := len(total.Points); n == 0 || n > 10 {
			t.Errorf("%d points", n)
		}
		byDestination := rows("?by=destination")
		if good, bad := byDestination[">good"], byDestination[">bad"]; len(byDestination) != 2 || good.Delivered != 12 || good.Attempts != 12 || *good.SuccessRate != 1 || bad.Dead != 7 || bad.Attempts != 14 || *bad.SuccessRate != 0 {
			t.Errorf("by destination: %+v", byDestination)
		}
		byType := rows("?by=event")
		if orders, users := byType["order.paid>"], byType["user.seen>"]; len(byType) != 2 || orders.Events != 7 || orders.Delivered != 7 || orders.Dead != 7 || users.Events != 5 || users.Delivered != 5 || users.Dead != 0 {
			t.Errorf("by type: %+v", byType)
		}
		both := rows("?by=event,destination&type=order.paid")
		if len(both) != 2 || both["order.paid>good"].Delivered != 7 || both["order.paid>bad"].Dead != 7 {
			t.Errorf("by both: %+v", both)
		}
		acme := rows("?tenant=acme&by=event,destination")
		if len(acme) != 3 || acme["order.paid>good"].Delivered != 1 || acme["order.paid>bad"].Dead != 1 || acme["user.seen>good"].Delivered != 1 || acme["user.seen>good"].Depth != nil {
			t.Errorf("of a tenant: %+v", acme)
		}
		if row := rows("?tenant=acme")[">"]; row.Events != 2 || row.Deliveries != 3 {
			t.Errorf("of a tenant, in all: %+v", row)
		}
		if none := rows("?tenant=nobody"); len(none) != 0 {
			t.Errorf("of no tenant: %+v", none)
		}
		for query, row := range map[string]api.StatsRow{"": rows("")[">"], "?by=destination": byDestination[">bad"], "by both": both["order.paid>bad"]} {
			if row.Depth == nil || *row.Depth != 0 || row.Oldest != nil {
				t.Errorf("nothing waits, and %s says %+v", query, row)
			}
		}
		if depth := byType["order.paid>"].Depth; depth != nil {
			t.Errorf("by type %d wait", *depth)
		}
		await(t, "what went along the routes", func() bool {
			var list api.RouteList
			if code := lookUp(t, r, "/api/routes", &list); code != 200 || len(list.Routes) != 2 || list.Since.After(time.Now().Add(-stats.FlowWindow)) {
				t.Fatalf("%d %+v", code, list)
			}
			all, orders := list.Routes[0], list.Routes[1]
			return list.Sources[0].Events == 12 && all.Matched == 12 && all.From[0].Count == 12 && all.To[0].Count == 12 && orders.Matched == 7 && orders.To[0].Count == 7
		})
		for _, bad := range []string{"?by=source", "?window=8d", "?window=0s", "?window=x", "?points=0", "?points=many"} {
			var p map[string]any
			if code := lookUp(t, r, "/api/stats"+bad, &p); code != 400 || p["code"] != "bad_parameter" {
				t.Errorf("%s: %d %v", bad, code, p)
			}
		}
	}
	check(r)
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r = start(t, dir, hcl, Options{Stdout: &safeBuffer{}})
	check(r)
	shut(t, r)
	check(start(t, dir, hcl, Options{Inspect: true})) // and while no router runs
}

// What a receiver acknowledges says nothing of its event, and so has no latency:
// one since the year 1 would be the end of all sums.
func TestAcknowledgedHasNoLatency(t *testing.T) {
	o := observation(&store.Outcome{From: store.Waiting, To: store.Delivered}, stats.Key{Type: "a", Destination: "poll"})
	if o.End != stats.Delivered || !o.Unmeasured || o.SinceReceived != 0 {
		t.Errorf("%+v", o)
	}
	o = observation(&store.Outcome{From: store.Waiting, To: store.Delivered, Type: "a", Received: time.Now().Add(-time.Second)}, stats.Key{Type: "a", Destination: "poll"})
	if o.Unmeasured || o.SinceReceived < time.Second {
		t.Errorf("%+v", o)
	}
}

// What is acknowledged or cancelled by hand counts for its event's type, and among
// the metrics.
func TestWhatIsMovedByHandCounts(t *testing.T) {
	r := start(t, t.TempDir(), `
destination "polled" {
  url = "pull:"
}
destination "stopped" {
  url = "stdout:"
}
route "all" {
  to = [destination.polled, destination.stopped]
}`, Options{Stdout: &safeBuffer{}})
	if status, answer, _ := call(t, r, "POST", "/api/destinations/stopped/pause", ""); status != 200 {
		t.Fatal(status, answer)
	}
	for _, typ := range []string{"order.paid", "user.seen"} {
		publish(t, r, typ, typ)
	}
	var page api.PullPage
	await(t, "both to be pulled", func() bool {
		lookUp(t, r, "/api/pull/polled", &page)
		return len(page.Messages) == 2
	})
	// What waits is told of the lanes, though nothing has happened to it.
	for query, want := range map[string]uint64{"": 4, "?by=destination": 4, "?destination=stopped": 2, "?by=destination&destination=stopped": 2} {
		await(t, "what waits "+query, func() bool {
			var s api.Stats
			lookUp(t, r, "/api/stats"+query, &s)
			var depth uint64
			for _, row := range s.Rows {
				if row.Depth == nil || *row.Depth > 0 && (row.Oldest == nil || row.Oldest.After(time.Now())) {
					t.Fatalf("%s: %+v", query, row)
				}
				depth += *row.Depth
			}
			return depth == want
		})
	}
	if status, answer, _ := call(t, r, "POST", "/api/pull/polled/ack", fmt.Sprintf(`{"cursor":%q}`, page.Next)); status != 200 {
		t.Fatal(status, answer)
	}
	var list api.DeliveryList
	lookUp(t, r, "/api/deliveries?destination=stopped&type=order.paid", &list)
	if status, answer, _ := call(t, r, "POST", "/api/deliveries/"+list.Deliveries[0].ID+"/cancel", ""); status != 200 {
		t.Fatal(status, answer)
	}
	if status, answer, _ := call(t, r, "POST", "/api/destinations/stopped/cancel", ""); status != 200 {
		t.Fatal(status, answer)
	}
	var s api.Stats
	lookUp(t, r, "/api/stats?by=event", &s)
	if len(s.Rows) != 2 {
		t.Errorf("%+v", s.Rows)
	}
	for _, row := range s.Rows {
		if (row.Event != "order.paid" && row.Event != "user.seen") || row.Delivered != 1 || row.Cancelled != 1 || row.Attempts != 0 {
			t.Errorf("%+v", row)
		}
	}
	text, _, err := r.metrics.Text("")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`weir_deliveries_total{destination="polled",outcome="delivered"} 2`, `weir_deliveries_total{destination="stopped",outcome="cancelled"} 2`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %s in the metrics", want)
		}
	}
}

// late is a store that does not say yet how far routing is.
type late struct{ store.Store }

func (late) Progress() uint64 { return 0 }

// What is routed can be read a moment before progress says so, and then acknowledged.
func TestAcknowledgeAtOnce(t *testing.T) {
	r := start(t, t.TempDir(), `
destination "polled" {
  url = "pull:"
}
route "all" {
  to = [destination.polled]
}`, Options{})
	publish(t, r, "order.paid", "e1")
	var page api.PullPage
	lookUp(t, r, "/api/pull/polled?wait=10s", &page)
	behind := &Router{store: late{r.store}, lanes: r.lanes}
	behind.setup.Store(r.setup.Load())
	never := pullCursor{posting: store.Ref{Position: 7}}.String()
	if _, err := (engine{behind}).Acknowledge(t.Context(), "polled", never); !errors.Is(err, store.ErrCursor) {
		t.Errorf("a cursor that nobody was given: %v", err)
	}
	if out, err := (engine{behind}).Acknowledge(t.Context(), "polled", page.Next); err != nil || out.Acknowledged != 1 {
		t.Errorf("%+v, %v", out, err)
	}
}

// What counting costs an event that two routes take, in records of 40.
func BenchmarkRouted(b *testing.B) {
	ctx := context.Background()
	system, err := storetest.NewMemory()()
	if err != nil {
		b.Fatal(err)
	}
	st, err := system.Open(ctx, storetest.Options{Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	book, err := stats.Open(ctx, st, stats.Options{})
	if err != nil {
		b.Fatal(err)
	}
	const n = 40
	events, routings := make([]*event.Event, n), make([]*store.Routing, n)
	for i := range n {
		events[i] = &event.Event{ID: "e", Type: "order.paid", Source: "events"}
		routings[i] = &store.Routing{
			Matches:    []store.Match{{Route: "orders"}, {Route: "all"}},
			Deliveries: []store.Delivery{{Match: 0, Lane: "crm"}, {Match: 1, Lane: "archive"}},
		}
	}
	b.ReportAllocs()
	for i := 0; i < b.N; i += n {
		_, committed := ledger{book}.Routed(events, routings)
		committed()
	}
}
