package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/api"
)

// eventually asks until the answer is as it should be.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// destination asks by the command, which works with a router and without.
func destination(t *testing.T, dir, name string) api.Destination {
	t.Helper()
	out, errOut, code := weir(t, dir, "destinations", "show", name, "-o", "json")
	if code != 0 {
		t.Fatal(out, errOut)
	}
	var d api.Destination
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func mustRun(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, errOut, code := weir(t, dir, args...)
	if code != 0 {
		t.Fatalf("weir %s: code %d\n%s%s", strings.Join(args, " "), code, out, errOut)
	}
	return out
}

// What an operator does with a destination, with a router and without one.
func TestDestinations(t *testing.T) {
	var answer atomic.Int64
	answer.Store(200)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(answer.Load()))
	}))
	defer receiver.Close()
	r, config := configured(t, fmt.Sprintf(`
destination "crm" {
  url = %q
  retry {
    schedule = ["0s"]
  }
}
destination "idle" {
  url  = "stdout:"
  rate = "50/s"
}
route "all" {
  events = ["order.*"]
  to     = [destination.crm]
}
`, receiver.URL))
	dir := filepath.Dir(config)
	send := func(n int) {
		t.Helper()
		for range n {
			mustRun(t, dir, "send", "--type", "order.paid", "--data", "{}")
		}
	}
	mustRun(t, dir, "destinations", "pause", "crm")
	send(3)
	eventually(t, "what is paused to wait", func() bool { return destination(t, dir, "crm").Waiting == 3 })
	if d := destination(t, dir, "crm"); d.Status != "paused" || d.Depth != 3 || d.Oldest == nil || d.Kind != "http" || d.Since == nil {
		t.Errorf("%+v", d)
	}
	var waiting api.DeliveryList
	if err := json.Unmarshal([]byte(mustRun(t, dir, "deliveries", "ls", "-o", "json")), &waiting); err != nil || len(waiting.Deliveries) != 3 {
		t.Fatal(waiting, err)
	}
	out := mustRun(t, dir, "deliveries", "cancel", waiting.Deliveries[1].ID)
	if !strings.Contains(out, "cancelled") || destination(t, dir, "crm").Cancelled != 1 {
		t.Errorf("%s, then %+v", out, destination(t, dir, "crm"))
	}
	mustRun(t, dir, "destinations", "resume", "crm")
	eventually(t, "the others", func() bool { return destination(t, dir, "crm").Delivered == 2 })

	// Dead letters are found, and sent again.
	answer.Store(500)
	send(4)
	eventually(t, "dead letters", func() bool { return destination(t, dir, "crm").Dead == 4 })
	if d := destination(t, dir, "crm"); d.Status != "failing" || d.LastFailure == nil || d.LastFailure.Status != 500 {
		t.Errorf("%+v", d)
	}
	if out := mustRun(t, dir, "dead-letters", "ls", "--status", "dead"); strings.Count(out, "order.paid") != 4 {
		t.Error(out)
	}
	answer.Store(200)
	if out := mustRun(t, dir, "dead-letters", "retry", "--destination", "crm", "--limit", "1"); !strings.HasPrefix(out, "1 to be sent again") {
		t.Error(out)
	}
	if out := mustRun(t, dir, "dead-letters", "retry", "--source", "nobody"); !strings.HasPrefix(out, "0 ") {
		t.Error(out)
	}
	eventually(t, "one more", func() bool { return destination(t, dir, "crm").Delivered == 3 })
	var dead api.DeadLetterList
	if err := json.Unmarshal([]byte(mustRun(t, dir, "dead-letters", "ls", "-o", "json")), &dead); err != nil || len(dead.DeadLetters) != 3 {
		t.Fatal(dead, err)
	}
	mustRun(t, dir, "dead-letters", "show", dead.DeadLetters[0].ID)
	if out := mustRun(t, dir, "dead-letters", "cancel", dead.DeadLetters[0].ID); !strings.HasPrefix(out, "1 cancelled") {
		t.Error(out)
	}
	if out := mustRun(t, dir, "destinations", "recover", "crm", "--since", "1h"); !strings.HasPrefix(out, "2 to be sent again") {
		t.Error(out)
	}
	eventually(t, "what was recovered", func() bool { return destination(t, dir, "crm").Delivered == 5 })
	if d := destination(t, dir, "crm"); d.Status != "active" || d.Dead != 0 || d.LastFailure != nil {
		t.Errorf("%+v", d)
	}

	// 410 disables, and that outlives the router; without one it can be enabled.
	answer.Store(410)
	send(1)
	eventually(t, "it to be disabled", func() bool { return destination(t, dir, "crm").Status == "disabled" })
	send(2)
	r.stop(t)
	d := destination(t, dir, "crm")
	if d.Status != "disabled" || !strings.Contains(d.Reason, "410") || d.Depth != 2 {
		t.Errorf("without a router: %+v", d)
	}
	mustRun(t, dir, "destinations", "resume", "crm")
	if d := destination(t, dir, "crm"); d.Status != "active" {
		t.Errorf("after resume: %+v", d)
	}
	if out := mustRun(t, dir, "destinations", "cancel", "crm"); !strings.HasPrefix(out, "2 cancelled") {
		t.Error(out)
	}
	for _, args := range [][]string{
		{"destinations", "show", "nobody"}, {"destinations", "pause", "nobody"}, {"destinations", "cancel", "nobody"},
		{"destinations", "recover", "nobody"}, {"deliveries", "cancel", waiting.Deliveries[0].ID},
	} {
		if out, errOut, code := weir(t, dir, args...); code != 1 || !strings.Contains(errOut, "destination_not_found") && !strings.Contains(errOut, "already_delivered") {
			t.Errorf("weir %v: code %d\n%s%s", args, code, out, errOut)
		}
	}
	for _, args := range [][]string{{"dead-letters", "retry"}, {"deliveries", "cancel"}, {"dead-letters", "cancel", "--all", "dlv_x"}, {"destinations", "pause"}} {
		if _, errOut, code := weir(t, dir, args...); code != 2 {
			t.Errorf("weir %v: code %d\n%s", args, code, errOut)
		}
	}
	if out := mustRun(t, dir, "destinations", "ls"); !strings.Contains(out, "idle") || !strings.Contains(out, "crm") {
		t.Error(out)
	}
}

// A destination that is gone is listed as orphaned and can be emptied, by a
// router that runs.
func TestOrphanIsEmptied(t *testing.T) {
	old := `
destination "gone" {
  url = "http://127.0.0.1:1/"
}
route "all" {
  to = [destination.gone]
}
`
	r, config := configured(t, old)
	dir := filepath.Dir(config)
	for range 3 {
		mustRun(t, dir, "send", "--type", "x", "--data", "1")
	}
	eventually(t, "the retries", func() bool { return destination(t, dir, "gone").Retrying == 3 })
	address := strings.TrimPrefix(r.base, "http://")
	writeFile(t, dir, "router.hcl", fmt.Sprintf("server {\n  listen = %q\n}\n", address))
	mustRun(t, dir, "reload", "--orphan")
	if d := destination(t, dir, "gone"); d.Status != "orphaned" || d.Depth != 3 || d.URL != "" {
		t.Errorf("%+v", d)
	}
	r.stop(t)
	r = serveFile(t, config, address)
	if d := destination(t, dir, "gone"); d.Status != "orphaned" || d.Depth != 3 {
		t.Errorf("after a restart: %+v", d)
	}
	if out := mustRun(t, dir, "destinations", "cancel", "gone"); !strings.HasPrefix(out, "3 cancelled") {
		t.Error(out)
	}
	if out := mustRun(t, dir, "destinations", "ls"); strings.Contains(out, "gone") {
		t.Errorf("still listed:\n%s", out)
	}
	r.stop(t)
}

// The calls of the API refuse what makes no sense, by their codes.
func TestDestinationCallsRefuse(t *testing.T) {
	r, _ := configured(t, "destination \"out\" {\n  url = \"stdout:\"\n}\nroute \"all\" {\n  to = [destination.out]\n}\n")
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{"/api/destinations/nobody/pause", "", 404, "destination_not_found"},
		{"/api/destinations/@routing/pause", "", 404, "destination_not_found"},
		{"/api/destinations/out/pause", `{"for": "1h"}`, 400, "malformed_json"},
		{"/api/destinations/out/recover", `{"since": "yesterday"}`, 400, "malformed_json"},
		{"/api/destinations/out/recover", `{} {}`, 400, "malformed_json"},
		{"/api/dead-letters/retry", "", 400, "filter_required"},
		{"/api/dead-letters/retry", `{"destinaton": "out"}`, 400, "malformed_json"},
		{"/api/dead-letters/cancel", `{"ids": ["x"]}`, 400, "bad_delivery_id"},
		{"/api/dead-letters/cancel", `{"limit": -1}`, 400, "bad_parameter"},
		{"/api/dead-letters/cancel", `{"cursor": "x"}`, 400, "bad_cursor"},
		{"/api/deliveries/dlv_00000000000000000000/cancel", "", 404, "delivery_not_found"},
		{"/api/destinations/out/pause", "", 200, `"paused"`},
		{"/api/destinations/out/pause", "{}", 200, `"paused"`},
		{"/api/destinations/out/resume", "", 200, `"active"`},
		{"/api/destinations/out/recover", "", 202, `"moved":0`},
		{"/api/destinations/out/cancel", "", 200, `"moved":0`},
	} {
		status, answer := post(t, r.base+c.path, c.body)
		body, err := json.Marshal(answer)
		if err != nil || status != c.status || !strings.Contains(string(body), c.code) {
			t.Errorf("%s %s was answered %d %s, want %d %s", c.path, c.body, status, body, c.status, c.code)
		}
	}
}
