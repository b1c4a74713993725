package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// With many webhooks, lists that have a line for each come in pages, and following
// them gives each once.
func TestListsOfManyWebhooksHavePages(t *testing.T) {
	const webhooks = 7
	in := newInbox(t)
	in.answer(500)
	r := start(t, t.TempDir(), onLoopback+`
destination "aaa" {
  url = "stdout:"
}
destination "zzz" {
  url = "stdout:"
}
`, Options{Stdout: &safeBuffer{}})
	want := []string{"aaa"}
	for i := range webhooks {
		want = append(want, register(t, r, in.registration(fmt.Sprint("/", i), "")))
	}
	want = append(want, "zzz")
	slices.Sort(want)
	if status, answer, _ := call(t, r, "POST", "/events", `{"event":"order.paid","event_id":"e1","data":{}}`); status != 202 {
		t.Fatal(status, answer)
	}
	await(t, "all webhooks to fail", func() bool {
		var list api.DestinationList
		lookUp(t, r, "/api/destinations?status=failing", &list)
		return len(list.Destinations) == webhooks
	})

	var names []string
	for cursor, first := "", true; cursor != "" || first; first = false {
		var page api.DestinationList
		lookUp(t, r, "/api/destinations?limit=4&cursor="+cursor, &page)
		if (page.Total != nil) != first {
			t.Errorf("after %v the total is %v", names, page.Total)
		}
		if x := page.Total; x != nil && (x.Statuses["failing"] != webhooks || x.Statuses["active"] != 2 || x.Depth != webhooks || x.Dead != 0 || x.Oldest == nil) {
			t.Errorf("the total is %+v", x)
		}
		for i := range page.Destinations {
			names = append(names, page.Destinations[i].Name)
		}
		cursor = page.Next
	}
	if !slices.Equal(names, want) {
		t.Errorf("pages have %v, want %v", names, want)
	}
	var active api.DestinationList
	lookUp(t, r, "/api/destinations?status=active,open&limit=1&cursor=aaa", &active)
	if len(active.Destinations) != 1 || active.Destinations[0].Name != "zzz" || active.Next != "" {
		t.Errorf("active ones after aaa: %+v", active)
	}

	var counts api.Stats
	lookUp(t, r, "/api/stats?by=destination&top=3", &counts)
	if len(counts.Rows) != 3 || counts.More != webhooks-3 {
		t.Errorf("the busiest 3 of %d are %d rows, and %d more", webhooks, len(counts.Rows), counts.More)
	}
	counts = api.Stats{}
	lookUp(t, r, "/api/stats?by=destination&destination="+names[1]+"&destination="+names[2]+"&destination=nobody", &counts)
	if len(counts.Rows) != 2 || counts.Rows[0].Destination != names[1] || counts.Rows[1].Destination != names[2] {
		t.Errorf("two destinations have the rows %+v", counts.Rows)
	}

	seen := map[string]bool{}
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		var page api.DeliveryList
		lookUp(t, r, "/api/events/e1/deliveries?limit=3&cursor="+cursor, &page)
		if n := min(3, webhooks-len(seen)); len(page.Deliveries) != n {
			t.Fatalf("page %d has %d deliveries, want %d", pages, len(page.Deliveries), n)
		}
		for _, d := range page.Deliveries {
			seen[d.ID] = true
		}
		cursor = page.Next
	}
	if len(seen) != webhooks {
		t.Errorf("pages have %d deliveries", len(seen))
	}
	for path, code := range map[string]string{
		"/api/destinations?status=lost": "bad_parameter", "/api/destinations?limit=0": "bad_parameter",
		"/api/stats?by=destination&top=0": "bad_parameter", "/api/stats?destination=aaa&destination=zzz": "bad_parameter",
		"/api/events/e1/deliveries?limit=1001": "bad_parameter", "/api/events/e1/deliveries?cursor=-1": "bad_cursor",
		"/api/events/e1/deliveries?cursor=4294967296": "bad_cursor", "/api/events/e1/deliveries?page=2": "bad_parameter",
	} {
		if status, answer, _ := call(t, r, "GET", path, ""); status != 400 || answer["code"] != code {
			t.Errorf("%s was answered %d %v", path, status, answer)
		}
	}
	if status, answer, _ := call(t, r, "GET", "/api/events/e1/deliveries?cursor=4294967295", ""); status != 200 || strings.Contains(fmt.Sprint(answer), "dlv_") {
		t.Errorf("after the last one there are %v", answer)
	}
}
