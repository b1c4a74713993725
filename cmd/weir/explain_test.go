package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
)

const explainedRoutes = `
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
}
source "shop" {
  format = "native"
}
plugin "replace" {
  wasm   = %[2]q
  shadow = %[3]q
}
plugin "again" {
  wasm      = %[2]q
  isolation = "reuse"
}
plugin "fails" {
  wasm = %[3]q
}
destination "crm" {
  url    = %[1]q
  secret = "the crm's first secret"

  reply_type = "answered"
}
route "near" {
  from   = [source.events]
  events = ["order.*"]
  when = event.data.total > 100 && (
    event.data.currency == "USD" || !event.data.paid
  )
  through = [plugin.replace]
  to      = [destination.crm]
}
route "texts" {
  when = startswith(event.data.name, "Ä") && can(regex("^[A-Z]+$", event.data.code)) && contains(event.data.tags, "x")
  to   = [destination.crm]
}
route "places" {
  when = try(event.data.a.b[2], null) == null && event.data["2fa"] == 1 && event.header["x-a"] != "<b>"
  to   = [destination.crm]
}
route "reuse" {
  events  = ["order.*"]
  when    = event.tenant == "acme" ? true : length(event.data.tags) >= 2
  through = [plugin.again]
  to      = [destination.crm]
}
route "broken" {
  events  = ["broken"]
  through = [plugin.fails]
  to      = [destination.crm]
}
route "rest" {
  fallback = true
  to       = [destination.crm]
}
`

// The command, the API and the page say the same of an event: each route with its
// terms, their values and why, each plugin, each delivery.
func TestExplainAlike(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "thank <you>") }))
	defer receiver.Close()
	module := func(name string) string {
		path, err := filepath.Abs(filepath.Join("..", "..", "plugins", "abi", "testdata", name+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := fmt.Sprintf(explainedRoutes, receiver.URL, module("set-all"), module("read-fields"))
	r, config := configured(t, text)
	dir := filepath.Dir(config)
	hook := webhookOf(t, r, receiver.URL, "event.data.total < 100")
	for id, body := range map[string]string{
		"near":    `{"event":"order.new","event_id":"near","data":{"total":80,"currency":"USD"}}`,
		"taken":   `{"event":"order.new","event_id":"taken","tenant":"acme","data":{"total":12345678901234567890123,"currency":null,"paid":false,"name":"A\u0308pfel","code":"AB","tags":["x","y"],"2fa":1,"a":{"b":[1]}}}`,
		"types":   `{"event":"order.new","event_id":"types","data":{"total":"120","currency":1,"name":null,"code":"<b>\u00e9","tags":"x","2fa":1e400,"a":[1,2,3]}}`,
		"list":    `{"event":"other","event_id":"list","data":[1,{"total":5}]}`,
		"nothing": `{"event":"order.new","event_id":"nothing","data":null}`,
		"broken":  `{"event":"broken","event_id":"broken","data":{"tags":[],"tab":"a\tb"}}`,
	} {
		if status, answer := postJSON(t, r.base+"/events", body); status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", id, status, answer)
		}
	}
	ids := []string{"near", "taken", "types", "list", "nothing", "broken"}
	all := map[string]*api.Explanation{}
	for _, id := range ids {
		all[id] = alike(t, r, dir, id, hook)
	}
	// Twins of sources, another configuration, another secret, a webhook that is gone.
	if status, answer := postJSON(t, r.base+"/in/shop", `{"event":"order.new","event_id":"near","data":{"total":80}}`); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, answer)
	}
	if _, errOut, code := weir(t, dir, "explain", "near"); code != 1 || !strings.Contains(errOut, "events, shop") || !strings.Contains(errOut, "--source") {
		t.Errorf("an id of two events: %s", errOut)
	}
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("crm's first", "crm's second", "total > 100", "total > 50", "route \"texts\"", "route \"words\"").Replace(string(b))
	writeFile(t, dir, "router.hcl", changed)
	mustRun(t, dir, "reload")
	if status := deleteOf(t, r.base+"/api/webhooks/"+hook); status != http.StatusNoContent {
		t.Fatal(status)
	}
	mustRun(t, dir, "replay", "near", "--source", "events", "--routes", "current")
	for _, id := range ids {
		e := alike(t, r, dir, id, hook)
		if len(e.SecretsChanged) != 1 || e.ReasonsBy == e.Current {
			t.Errorf("%s after a reload: secrets %v, reasons by %s", id, e.SecretsChanged, e.ReasonsBy)
		}
		for i := range all[id].Routes {
			was, is := &all[id].Routes[i], routeNamed(e, all[id].Routes[i].Route)
			switch {
			case is == nil:
				t.Errorf("%s after a reload: route %s is not explained", id, was.Route)
			case id == "near" && was.Route == "near":
				if !is.Matched || !strings.HasPrefix(is.Reason, "it took the event when it was routed again, by the configuration") || len(is.Terms) != 2 || !is.Terms[0].OK {
					t.Errorf("a route that took the event by a replay is explained as %+v", is)
				}
			case is.Reason != was.Reason || is.Matched != was.Matched || len(is.Terms) != len(was.Terms):
				t.Errorf("%s after a reload: route %s is explained as %+v, and was as %+v", id, was.Route, is, was)
			}
		}
	}
}

func routeNamed(e *api.Explanation, name string) *api.RouteVerdict {
	for i := range e.Routes {
		if e.Routes[i].Route == name {
			return &e.Routes[i]
		}
	}
	return nil
}

// alike asks for an explanation in three ways, and gives the API's.
func alike(t *testing.T, r *running, dir, id, hook string) *api.Explanation {
	t.Helper()
	var e api.Explanation
	query := "?source=events&destination=" + hook
	await(t, "the deliveries of "+id, func() bool {
		e = api.Explanation{}
		_, b := exchangeBody(t, r.base+"/api/events/"+id+"/explain"+query)
		if err := json.Unmarshal([]byte(b), &e); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		settled := e.Routed
		for i := range e.Routes {
			for k := range e.Routes[i].Deliveries {
				s := e.Routes[i].Deliveries[k].Status
				settled = settled && (s == "delivered" || s == "dead" || s == "cancelled")
			}
		}
		return settled
	})
	var printed string
	await(t, "the command to say the same as the API of "+id, func() bool { // replies come a moment later
		_, b := exchangeBody(t, r.base+"/api/events/"+id+"/explain"+query)
		e = api.Explanation{}
		var asked api.Explanation
		for text, into := range map[string]*api.Explanation{b: &e, mustRun(t, dir, "explain", id, "--source", "events", "--destination", hook, "-o", "json"): &asked} {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
		return asJSON(t, &e) == asJSON(t, &asked)
	})
	printed = bare(mustRun(t, dir, "explain", id, "--source", "events", "--destination", hook))
	_, page := exchangeBody(t, r.base+"/ui/events/"+id+query)
	page = bare(html.UnescapeString(tags.ReplaceAllString(page, ""))) + page // links have the ids
	for _, fact := range factsOf(&e) {
		if !strings.Contains(printed, bare(fact)) {
			t.Errorf("%s: weir explain does not say %q:\n%s", id, fact, printed)
		}
		if !strings.Contains(page, bare(fact)) {
			t.Errorf("%s: the page does not say %q", id, fact)
		}
	}
	return &e
}

var tags = regexp.MustCompile(`<[^>]*>`)

func bare(s string) string { return strings.Join(strings.Fields(s), "") }

// factsOf are the texts that each way of asking must show.
func factsOf(e *api.Explanation) []string {
	facts := append([]string{e.Event.Cause}, e.SecretsChanged...)
	for i := range e.Replies {
		facts = append(facts, e.Replies[i].ID)
	}
	for i := range e.Routes {
		v := &e.Routes[i]
		facts = append(facts, v.Route, v.Reason)
		for _, term := range v.Terms {
			facts = append(facts, term.Text, term.Reason)
			for _, value := range term.Values {
				if term.Reason == "" {
					facts = append(facts, value.Path+" is "+cmp.Or(value.JSON, "missing"))
				}
			}
		}
		for _, p := range v.Plugins {
			facts = append(facts, p.Plugin, p.Error, p.Class, p.NotRecomputed, p.Differs, p.Filter, p.Transform)
			for _, l := range p.Logs {
				facts = append(facts, l.Text)
			}
			for _, s := range p.Shadow {
				facts = append(facts, s.Kind, s.Plugin, s.Shadow)
			}
			for _, m := range p.After {
				for line := range strings.Lines(strings.TrimPrefix(m.Diff, "--- before\n+++ after\n")) {
					if strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-") {
						facts = append(facts, line[1:])
					}
				}
			}
		}
		for k := range v.Deliveries {
			facts = append(facts, v.Deliveries[k].ID, v.Deliveries[k].Note, v.Deliveries[k].Replay)
		}
	}
	return facts
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exchangeBody(t *testing.T, url string) (int, string) {
	t.Helper()
	return answerOf(t)(http.Get(url))
}

func postJSON(t *testing.T, url, body string) (int, string) {
	t.Helper()
	return answerOf(t)(http.Post(url, "application/json", strings.NewReader(body)))
}

// answerOf reads a response whole.
func answerOf(t *testing.T) func(*http.Response, error) (int, string) {
	return func(res *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
}

func deleteOf(t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodDelete, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// webhookOf registers a webhook with a filter.
func webhookOf(t *testing.T, r *running, url, filter string) string {
	t.Helper()
	status, answer := postJSON(t, r.base+"/api/webhooks", fmt.Sprintf(`{"url":%q,"events":["*"],"filter":%q}`, url, filter))
	var w struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &w); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	return w.ID
}
