package router

import (
	"fmt"
	"net/http"
	"testing"
)

// A replay of one event sends the same bytes under the same webhook-id in a new
// delivery that says what it is; new_ids changes the id, current the routes.
func TestReplayEvent(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	hcl := func(routes string) string {
		return fmt.Sprintf(`
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
}
destination "crm" {
  url = "%[1]s/crm"
}
destination "archive" {
  url = "%[1]s/archive"
}
destination "unused" {
  url = "%[1]s/unused"
}
%[2]s`, in.URL, routes)
	}
	r := start(t, dir, hcl(`
route "all" {
  to = [destination.crm, destination.archive]
}
`), Options{})
	publish(t, r, "order.paid", "o-1")
	await(t, "the deliveries", func() bool { return len(in.at("/crm")) == 1 && len(in.at("/archive")) == 1 })
	first := in.at("/crm")[0]

	// A dry run says the same, and sends nothing: what arrives is counted below.
	id := first.header.Get("webhook-id")
	for body, want := range map[string]string{
		`{"dry_run":true,"to":"crm"}`:                    "[map[destination:crm route:all webhook_id:" + id + "]]",
		`{"dry_run":true,"to":"crm","routes":"current"}`: "[map[destination:crm route:all webhook_id:" + id + "]]",
		`{"dry_run":true,"to":"crm","new_ids":true}`:     "[map[destination:crm route:all]]",
	} {
		status, answer, _ := call(t, r, "POST", "/api/events/o-1/replay", body)
		if got := fmt.Sprint(answer["would_send"]); status != http.StatusOK || got != want || answer["deliveries"] != 1.0 || answer["dry_run"] != true || answer["id"] != nil {
			t.Errorf("%s: %d %v, want %s", body, status, answer, want)
		}
	}

	status, answer, _ := call(t, r, "POST", "/api/events/o-1/replay", `{"to":"crm"}`)
	if status != http.StatusAccepted || answer["deliveries"] != 1.0 || answer["routes"] != "original" {
		t.Fatalf("answered %d %v", status, answer)
	}
	await(t, "the replay", func() bool { return len(in.at("/crm")) == 2 })
	again := in.at("/crm")[1]
	if again.body != first.body || again.header.Get("webhook-id") != first.header.Get("webhook-id") {
		t.Errorf("the replay is another: %v %s, the first was %v %s", again.header, again.body, first.header, first.body)
	}
	if got := again.header.Get("X-Webhook-Replay"); got != answer["id"] || got == "" || first.header.Get("X-Webhook-Replay") != "" {
		t.Errorf("X-Webhook-Replay is %q, want %v", got, answer["id"])
	}
	delivery := answer["delivery_ids"].([]any)[0].(string)
	await(t, "its outcome", func() bool {
		_, d, _ := call(t, r, "GET", "/api/deliveries/"+delivery, "")
		return d["status"] == "delivered" && d["replay"] == answer["id"] && d["webhook_id"] == first.header.Get("webhook-id")
	})

	// Replays of it are none of its originals.
	status, answer, _ = call(t, r, "POST", "/api/events/o-1/replay", `{"new_ids":true}`)
	if status != http.StatusAccepted || answer["deliveries"] != 2.0 {
		t.Fatalf("answered %d %v", status, answer)
	}
	await(t, "the replay with new ids", func() bool { return len(in.at("/crm")) == 3 && len(in.at("/archive")) == 2 })
	if id := in.at("/crm")[2].header.Get("webhook-id"); id == first.header.Get("webhook-id") || len(id) != 30 {
		t.Errorf("the new webhook-id is %q", id)
	}

	// A webhook that is newer than the event gets it by the current routes only.
	hook := register(t, r, in.registration("/hook", ""))
	if status, answer, _ = call(t, r, "POST", "/api/events/o-1/replay", fmt.Sprintf(`{"to":%q}`, hook)); status != http.StatusConflict || answer["code"] != "nothing_to_replay" {
		t.Errorf("answered %d %v", status, answer)
	}
	if status, answer, _ = call(t, r, "POST", "/api/events/o-1/replay", fmt.Sprintf(`{"to":%q,"routes":"current"}`, hook)); status != http.StatusAccepted {
		t.Errorf("answered %d %v", status, answer)
	}
	await(t, "the webhook's", func() bool { return len(in.at("/hook")) == 1 })

	for body, code := range map[string]string{
		`{"routes":"old"}`:                   "bad_parameter",
		`{"to":"nowhere"}`:                   "destination_not_found",
		`{"to":"nowhere","dry_run":true}`:    "destination_not_found",
		`{"to":"unused","dry_run":true}`:     "nothing_to_replay",
		`{"to":"unused"}`:                    "nothing_to_replay",
		`{"to":"unused","routes":"current"}`: "nothing_to_replay",
		`{"too":"crm"}`:                      "malformed_json",
	} {
		if _, answer, _ := call(t, r, "POST", "/api/events/o-1/replay", body); answer["code"] != code {
			t.Errorf("%s was answered %v, want %s", body, answer, code)
		}
	}
	if status, answer, _ = call(t, r, "POST", "/api/events/o-2/replay", `{}`); answer["code"] != "event_not_found" {
		t.Errorf("answered %d %v", status, answer)
	}
	if got := len(in.at("/crm")) + len(in.at("/archive")); got != 5 {
		t.Errorf("%d arrived in all", got)
	}

	// What went to a destination that is gone is left out.
	shut(t, r)
	r = start(t, dir, hcl(`
route "all" {
  to = [destination.unused]
}
`), Options{})
	if status, answer, _ = call(t, r, "POST", "/api/events/o-1/replay", `{"routes":"current","to":"unused"}`); status != http.StatusAccepted {
		t.Errorf("answered %d %v", status, answer)
	}
	await(t, "the current route's", func() bool { return len(in.at("/unused")) == 1 })
}

// A replay in bulk is counted, sent at its own rate, goes on after a restart where it
// was, and is cancelled.
func TestReplays(t *testing.T) {
	const n = 30
	in := newInbox(t)
	dir := t.TempDir()
	hcl := fmt.Sprintf(`
destination "crm" {
  url = "%[1]s/crm"
}
destination "archive" {
  url = "%[1]s/archive"
}
route "all" {
  to = [destination.crm, destination.archive]
}
`, in.URL)
	r := start(t, dir, hcl, Options{})
	for i := range n {
		publish(t, r, "order.paid", fmt.Sprintf("o-%d", i))
	}
	publish(t, r, "user.new", "u-1")
	await(t, "the deliveries", func() bool { return len(in.at("/crm")) == n+1 && len(in.at("/archive")) == n+1 })

	var status int
	var answer map[string]any
	// What lanes have sent already is in the store a moment later.
	await(t, "a dry run that finds all", func() bool {
		status, answer, _ = call(t, r, "POST", "/api/replays", `{"type":"order.*","destination":"crm","dry_run":true}`)
		return status != http.StatusOK || answer["events"] == float64(n)
	})
	if status != http.StatusOK || answer["events"] != float64(n) || answer["deliveries"] != float64(n) || answer["id"] != nil {
		t.Errorf("a dry run was answered %d %v", status, answer)
	}
	status, answer, _ = call(t, r, "POST", "/api/replays", `{"type":"order.*","to":"crm","rate":20}`)
	if status != http.StatusAccepted || answer["status"] != "running" {
		t.Fatalf("answered %d %v", status, answer)
	}
	id := answer["id"].(string)
	await(t, "the first of them", func() bool { return len(in.at("/crm")) > n+1 })
	shut(t, r)
	r = start(t, dir, hcl, Options{})
	await(t, "its end", func() bool {
		_, answer, _ = call(t, r, "GET", "/api/replays/"+id, "")
		return answer["status"] == "done"
	})
	if answer["events"] != float64(n) || answer["looked"] != answer["total"] {
		t.Errorf("it ended as %v", answer)
	}
	ids := map[string]int{}
	await(t, "all of them", func() bool {
		clear(ids)
		for _, a := range in.at("/crm") {
			if a.header.Get("X-Webhook-Replay") == id {
				ids[a.header.Get("webhook-id")]++
			}
		}
		return len(ids) == n
	})
	if len(in.at("/archive")) != n+1 {
		t.Error("the archive got some")
	}

	_, answer, _ = call(t, r, "POST", "/api/replays", `{"rate":1,"routes":"current"}`)
	id = answer["id"].(string)
	if status, answer, _ = call(t, r, "DELETE", "/api/replays/"+id, ""); status != http.StatusOK || answer["status"] != "cancelled" {
		t.Errorf("answered %d %v", status, answer)
	}
	if _, answer, _ = call(t, r, "GET", "/api/replays", ""); len(answer["replays"].([]any)) != 2 {
		t.Errorf("the list is %v", answer)
	}
	for body, code := range map[string]string{
		``:                       "filter_required",
		`{"rate":-1}`:            "bad_parameter",
		`{"routes":"none"}`:      "bad_parameter",
		`{"to":"nowhere"}`:       "destination_not_found",
		`{"destination":"gone"}`: "destination_not_found",
		`{"since":"2024-01-02T00:00:00Z","until":"2024-01-01T00:00:00Z"}`: "bad_parameter",
	} {
		if _, answer, _ := call(t, r, "POST", "/api/replays", body); answer["code"] != code {
			t.Errorf("%s was answered %v, want %s", body, answer, code)
		}
	}
	if _, answer, _ = call(t, r, "DELETE", "/api/replays/rpl_none", ""); answer["code"] != "replay_not_found" {
		t.Errorf("answered %v", answer)
	}
}
