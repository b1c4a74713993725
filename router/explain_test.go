package router

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/store"
)

// explained asks for the explanation of an event that was routed.
func explained(t *testing.T, r *Router, id string) *api.Explanation {
	t.Helper()
	var e api.Explanation
	await(t, "the routing of "+id, func() bool {
		e = api.Explanation{}
		return lookUp(t, r, "/api/events/"+id+"/explain", &e) == http.StatusOK && e.Routed
	})
	return &e
}

func routeOf(t *testing.T, e *api.Explanation, name string) *api.RouteVerdict {
	t.Helper()
	for i := range e.Routes {
		if e.Routes[i].Route == name {
			return &e.Routes[i]
		}
	}
	t.Fatalf("there is no route %s in %+v", name, e.Routes)
	return nil
}

// imagine asks for the explanation of an event that was not sent.
func imagine(t *testing.T, r *Router, query, body string, into any) int {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "http://localhost/api/explain"+query, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	res, err := r.Handler().Test(req, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// replacing has a plugin that makes [null] of all data, and a route that passes
// small orders.
func replacing(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf(`
source "shop" {
}
plugin "p" {
  wasm = %q
}
destination "out" {
  url    = "stdout:"
  format = "raw"
}
route "big" {
  from    = [source.events, source.shop]
  when    = event.data.total > 100 && event.data.currency == "USD"
  through = [plugin.p]
  to      = [destination.out]
}
route "all" {
  to = [destination.out]
}
`, module(t, "set-all"))
}

// What a plugin did is worked out again and held against what was delivered.
func TestExplainRecomputes(t *testing.T) {
	r := start(t, t.TempDir(), replacing(t), Options{Stdout: &safeBuffer{}})
	publishData(t, r, "big", `{"total":120,"currency":"USD"}`)
	publishData(t, r, "small", `{"total":80,"currency":"USD"}`)
	e := explained(t, r, "big")
	if e.ReasonsBy != e.Current || e.Lost != "" {
		t.Errorf("reasons are by %q, %q", e.ReasonsBy, e.Lost)
	}
	v := routeOf(t, e, "big")
	if len(v.Plugins) != 1 || len(v.Terms) != 2 {
		t.Fatalf("route big is explained as %+v", v)
	}
	p := &v.Plugins[0]
	if !p.Recomputed || p.NotRecomputed != "" || p.Differs != "" || p.Before == nil || p.Before.Data != `{"total":120,"currency":"USD"}` ||
		len(p.After) != 1 || p.After[0].Data != "[null]" || p.After[0].Size != 6 {
		t.Errorf("its plugin is explained as %+v", p)
	}
	for _, line := range []string{"-  \"total\": 120,\n", "+[\n", "+  null\n"} {
		if !strings.Contains(p.After[0].Diff, line) {
			t.Errorf("the diff has no line %q:\n%s", line, p.After[0].Diff)
		}
	}
	if calls := pluginCalls(t, r); calls != 1 {
		t.Errorf("the plugin counts %d calls after one event was explained", calls)
	}
	v = routeOf(t, explained(t, r, "small"), "big")
	if v.Matched || !v.Recomputed || v.Reason != "event.data.total is 80, not > 100" || len(v.Terms) != 2 || !v.Terms[1].OK || v.Terms[0].Values[0].JSON != "80" {
		t.Errorf("the near miss is explained as %+v", v)
	}
}

func pluginCalls(t *testing.T, r *Router) uint64 {
	t.Helper()
	var p api.Plugin
	lookUp(t, r, "/api/plugins/p", &p)
	return p.Calls
}

func publishData(t *testing.T, r *Router, id, data string) {
	t.Helper()
	if _, err := r.Publish(t.Context(), Event{Type: "order", ID: id, Data: []byte(data)}); err != nil {
		t.Fatal(err)
	}
}

// An event that is not sent leaves no trace.
func TestExplainUnsent(t *testing.T) {
	out := &safeBuffer{}
	r := start(t, t.TempDir(), replacing(t), Options{Stdout: out})
	var e api.Explanation
	if code := imagine(t, r, "", `{"event":"order","data":{"total":120,"currency":"USD"},"event_id":"o-1"}`, &e); code != http.StatusOK {
		t.Fatalf("%d: %+v", code, e)
	}
	v := routeOf(t, &e, "big")
	if e.Routed || e.Event.ID != "o-1" || !v.Matched || !v.Recomputed || len(v.Plugins) != 1 || !v.Plugins[0].Recomputed || v.Plugins[0].Transform != "changed" ||
		len(v.Would) != 1 || v.Would[0].Destination != "out" || v.Would[0].Body != "[null]" || v.Would[0].ContentType != "application/json" {
		t.Errorf("explained as %+v", e)
	}
	if v := routeOf(t, &e, "all"); len(v.Would) != 1 || v.Would[0].Body != `{"total":120,"currency":"USD"}` {
		t.Errorf("route all: %+v", v)
	}
	e = api.Explanation{}
	imagine(t, r, "?source=shop", `{"event":"order","data":{"total":80,"currency":"EUR"}}`, &e)
	if v := routeOf(t, &e, "big"); v.Matched || v.Reason != "event.data.total is 80, not > 100" || e.Event.Source != "shop" {
		t.Errorf("from another source: %+v", e)
	}
	for body, want := range map[string]string{
		`[]`: "one_event", `{"event":"weir.x","data":1}`: "reserved_type", `{"data":1}`: "missing_member", `{"event":"x","dta":1}`: "unknown_member",
	} {
		var p struct{ Code string }
		if code := imagine(t, r, "", body, &p); code != http.StatusBadRequest || p.Code != want {
			t.Errorf("%s: %d %s, want %s", body, code, p.Code, want)
		}
	}
	var p struct{ Code string }
	if code := imagine(t, r, "?source=nowhere", `{"event":"x","data":1}`, &p); code != http.StatusNotFound || p.Code != "source_not_found" {
		t.Errorf("%d %s", code, p.Code)
	}
	if r.store.Last() != 0 || pluginCalls(t, r) != 0 || out.String() != "" {
		t.Error("explaining has left a trace")
	}
}

// What an earlier configuration routed is explained by that one: after a reload,
// after a restart, and from the store alone.
func TestExplainEarlierConfiguration(t *testing.T) {
	dir := t.TempDir()
	first := replacing(t)
	r := start(t, dir, first, Options{Stdout: &safeBuffer{}})
	publishData(t, r, "big", `{"total":120,"currency":"USD"}`)
	publishData(t, r, "small", `{"total":80,"currency":"USD"}`)
	explained(t, r, "small")
	const second = `
destination "out" {
  url = "stdout:"
}
route "big" {
  when = event.data.total > 10
  to   = [destination.out]
}
route "new" {
  when = event.data.total > 100
  to   = [destination.out]
}
`
	if _, err := r.Reload(t.Context(), parse(t, dir, second), false); err != nil {
		t.Fatal(err)
	}
	var said [3]string
	check := func(i int, r *Router) {
		t.Helper()
		big, small := explained(t, r, "big"), explained(t, r, "small")
		if big.Lost != "" || big.RoutedBy == big.Current || big.ReasonsBy != big.RoutedBy {
			t.Errorf("by %s, reasons by %s, current %s: %s", big.RoutedBy, big.ReasonsBy, big.Current, big.Lost)
		}
		v := routeOf(t, big, "big")
		if len(v.Terms) != 2 || len(v.Plugins) != 1 || !v.Plugins[0].Recomputed || v.Plugins[0].Differs != "" || v.Plugins[0].After[0].Data != "[null]" {
			t.Errorf("route big: %+v", v)
		}
		if v := routeOf(t, small, "big"); v.Reason != "event.data.total is 80, not > 100" {
			t.Errorf("the near miss: %+v", v)
		}
		if v := routeOf(t, big, "new"); v.Matched || v.Reason != "the configuration that routed the event has no such route; by the current one it matches" {
			t.Errorf("route new: %+v", v)
		}
		for _, e := range []*api.Explanation{big, small} {
			for k := range e.Routes {
				e.Routes[k].Deliveries = nil // they may be under way
			}
		}
		b, err := json.Marshal([]*api.Explanation{big, small})
		if err != nil {
			t.Fatal(err)
		}
		said[i] = string(b)
	}
	check(0, r)
	shut(t, r)
	r = start(t, dir, second, Options{Stdout: &safeBuffer{}})
	check(1, r)
	shut(t, r)
	c := parse(t, dir, second)
	inspect, err := New(t.Context(), c, Options{Inspect: true})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, inspect)
	check(2, inspect)
	if said[1] != said[0] || said[2] != said[0] {
		t.Errorf("not the same after a restart, or from the store:\n%s\n%s\n%s", said[0], said[1], said[2])
	}
}

// A dead letter that is routed again is explained by both configurations.
func TestExplainRoutedAgain(t *testing.T) {
	dir := t.TempDir()
	routes := func(module string) string {
		return fmt.Sprintf("plugin \"p\" {\n  wasm = %q\n}\ndestination \"out\" {\n  url = \"stdout:\"\n}\nroute \"all\" {\n  through = [plugin.p]\n  to = [destination.out]\n}\n", module)
	}
	r := start(t, dir, routes(module(t, "exit")), Options{Stdout: &safeBuffer{}})
	publishData(t, r, "o-1", `{"exit":3}`)
	e := explained(t, r, "o-1")
	if p := routeOf(t, e, "all").Plugins[0]; p.Class != "exit" || !p.Recomputed || p.Differs != "" || p.Before == nil || p.After != nil {
		t.Fatalf("the failure: %+v", p)
	}
	if _, err := r.Reload(t.Context(), parse(t, dir, routes(module(t, "set-all"))), false); err != nil {
		t.Fatal(err)
	}
	var list api.DeliveryList
	lookUp(t, r, "/api/events/o-1/deliveries", &list)
	if len(list.Deliveries) != 1 {
		t.Fatalf("deliveries %+v", list)
	}
	ref, err := store.ParseRef(list.Deliveries[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (engine{r}).RetryDelivery(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	var v *api.RouteVerdict
	await(t, "the second run", func() bool {
		v = routeOf(t, explained(t, r, "o-1"), "all")
		return len(v.Plugins) == 2
	})
	for i, p := range v.Plugins {
		if !p.Recomputed || p.Differs != "" || p.NotRecomputed != "" {
			t.Errorf("run %d: %+v", i, p)
		}
	}
	if v.Plugins[0].Class != "exit" || len(v.Plugins[1].After) != 1 || v.Plugins[1].After[0].Data != "[null]" {
		t.Errorf("the runs: %+v", v.Plugins)
	}
}
