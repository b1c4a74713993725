package router

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/api"
)

// What the dashboard gets into its hand is what everybody else gets as JSON, and
// nobody gets it who may not have it.
func TestAnswersInHandAreTheSame(t *testing.T) {
	in := newInbox(t)
	in.answer(500)
	r := start(t, t.TempDir(), onLoopback+`
destination "aaa" {
  url = "stdout:"
}
route "all" {
  to = [destination.aaa]
}
`, Options{Stdout: &safeBuffer{}})
	id := register(t, r, in.registration("/", ""))
	if status, answer, _ := call(t, r, "POST", "/events", `{"event":"order.paid","event_id":"e1","data":{"a": "<&>"}}`); status != 202 {
		t.Fatal(status, answer)
	}
	var deliveries api.DeliveryList
	await(t, "outcomes", func() bool {
		deliveries = api.DeliveryList{}
		lookUp(t, r, "/api/deliveries", &deliveries)
		return len(deliveries.Deliveries) == 2 && deliveries.Deliveries[0].Status == "retrying" && deliveries.Deliveries[1].Status == "delivered" ||
			len(deliveries.Deliveries) == 2 && deliveries.Deliveries[0].Status == "delivered" && deliveries.Deliveries[1].Status == "retrying"
	})
	r.Handler() // the server that is asked below
	ask := func(path string, into any) (status int, body []byte, given bool) {
		var ctx fasthttp.RequestCtx
		var req fasthttp.Request
		req.SetRequestURI(path)
		req.Header.SetHost("localhost")
		ctx.Init(&req, nil, nil)
		was := func() bool { return false }
		if into != nil {
			was = api.IntoHand(&ctx, into)
		}
		r.front.answer(&ctx)
		return ctx.Response.StatusCode(), ctx.Response.Body(), was()
	}
	for path, into := range map[string]any{
		"/api/events": &api.EventList{}, "/api/events/e1/explain": &api.Explanation{},
		"/api/deliveries": &api.DeliveryList{}, "/api/deliveries/" + deliveries.Deliveries[0].ID: &api.Delivery{},
		"/api/dead-letters": &api.DeadLetterList{}, "/api/destinations/aaa": &api.Destination{},
		"/api/webhooks": &api.WebhookList{}, "/api/webhooks/" + id: &api.Webhook{}, "/api/routes": &api.RouteList{},
		"/api/plugins": &api.PluginList{}, "/api/replays": &api.ReplayList{}, "/api/config": &api.Config{},
	} {
		status, want, _ := ask(path, nil)
		if status != 200 {
			t.Fatalf("%s: %d %s", path, status, want)
		}
		_, written, given := ask(path, into)
		var got strings.Builder
		e := json.NewEncoder(&got)
		e.SetEscapeHTML(false)
		if err := e.Encode(into); err != nil {
			t.Fatal(err)
		}
		if !given || len(written) > 0 || strings.TrimSpace(got.String()) != string(want) {
			t.Errorf("%s gave (%v)\n%s\nand wrote %q, want\n%s", path, given, got.String(), written, want)
		}
	}
	for path, into := range map[string]any{"/api/events/nothing/explain": &api.Explanation{}, "/api/events": &api.Delivery{}} {
		if _, body, given := ask(path, into); given || len(body) == 0 {
			t.Errorf("%s gave %s (%v)", path, fmt.Sprint(into), given)
		}
	}
}
