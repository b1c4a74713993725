package router

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/weirhq/weir/router/api"
)

// Each event is explained by what a webhook took when it was routed, however often
// it was changed since, after it was deleted, and after a restart.
func TestExplainEveryVersionOfAWebhook(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	r := start(t, dir, onLoopback, Options{})
	id := register(t, r, in.registration("/a", `,"filter":"event.data.n != 0"`))
	path := "/api/webhooks/" + id
	const versions = 9
	for i := range versions {
		publishOrder(t, r, i)
		call(t, r, "PATCH", path, fmt.Sprintf(`{"filter":"event.data.n == %d"}`, i+100))
	}
	// Taken by none of them but, replayed, by the last one and another at the same
	// position.
	call(t, r, "PATCH", path, `{"filter":"event.data.n == 0"}`)
	if status, a, _ := call(t, r, "POST", "/api/events/o-0/replay", `{"routes":"current"}`); status != http.StatusAccepted {
		t.Fatalf("%d: %v", status, a)
	}
	call(t, r, "PATCH", path, `{"filter":"event.data.n == 99"}`)

	check := func(when string, r *Router) {
		t.Helper()
		for i := range versions {
			e := explainedFor(t, r, fmt.Sprint("o-", i), id)
			v := routeOf(t, e, id)
			want := fmt.Sprintf("event.data.n is %d, not %d", i, i+99)
			switch {
			case len(v.Terms) != 1:
				t.Errorf("%s: event %d is explained by %+v", when, i, v)
			case i == 0:
				if !v.Matched || v.Terms[0].Text != "event.data.n == 0" || !v.Terms[0].OK || v.Reason != "it took the event when it was routed again" {
					t.Errorf("%s: the replayed event is explained by %+v", when, v)
				}
			case v.Matched || v.Reason != want || v.Terms[0].OK:
				t.Errorf("%s: event %d: %q, want %q", when, i, v.Reason, want)
			}
		}
	}
	check("changed", r)
	if status, _, _ := call(t, r, "DELETE", path, ""); status != http.StatusNoContent {
		t.Fatal(status)
	}
	check("deleted", r)
	await(t, "the burial", func() bool { return len(r.webhooks.registry.Gone()) == 0 })
	check("buried", r)
	publishOrder(t, r, 77)
	if v := routeOf(t, explainedFor(t, r, "o-77", id), id); v.Reason != "the webhook was deleted" {
		t.Errorf("an event after it: %+v", v)
	}
	if status := lookUp(t, r, "/api/events/o-1/explain?destination=wh_00000000000000000000000000", &struct{}{}); status != http.StatusNotFound {
		t.Errorf("a webhook that there never was: %d", status)
	}
	var p struct{ Code string }
	if status := lookUp(t, r, "/api/events/o-1/explain?destination=wh_typo", &p); status != http.StatusNotFound || p.Code != "destination_not_found" {
		t.Errorf("no destination at all: %d %s", status, p.Code)
	}
	shut(t, r)
	r = start(t, dir, onLoopback, Options{})
	check("started again", r)
	shut(t, r)
	r = start(t, dir, onLoopback, Options{Inspect: true})
	check("without a router", r)
	shut(t, r)

	// What no event needs any more goes.
	r = start(t, dir, onLoopback, Options{})
	if _, err := r.store.Expire(t.Context(), time.Now().Add(40*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.webhooks.registry.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"webhook.past", "webhook.again"} {
		if docs, err := r.store.Documents(t.Context(), kind); err != nil || len(docs) > 0 {
			t.Errorf("%d documents %s are left, %v", len(docs), kind, err)
		}
	}
}

func publishOrder(t *testing.T, r *Router, n int) {
	t.Helper()
	id := fmt.Sprint("o-", n)
	if status, a, _ := call(t, r, "POST", "/events", fmt.Sprintf(`{"event":"order.new","event_id":%q,"data":{"n":%d}}`, id, n)); status != http.StatusAccepted {
		t.Fatalf("%d: %v", status, a)
	}
}

// explainedFor is as explained, with why a webhook did or did not take it.
func explainedFor(t *testing.T, r *Router, id, destination string) *api.Explanation {
	t.Helper()
	var e api.Explanation
	await(t, "the routing of "+id, func() bool {
		e = api.Explanation{}
		return lookUp(t, r, "/api/events/"+id+"/explain?destination="+destination, &e) == http.StatusOK && e.Routed
	})
	return &e
}
