package router

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
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
