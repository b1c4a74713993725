package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// The commands do what a person does with a webhook, by its uid, and show its
// secret once.
func TestWebhooksCommands(t *testing.T) {
	r, config := configured(t, "webhooks {\n  allow_http     = true\n  allow_networks = [\"127.0.0.0/8\"]\n}\n")
	dir := filepath.Dir(config)
	run := func(want int, args ...string) string {
		t.Helper()
		out, errOut, code := weir(t, dir, append([]string{"webhooks"}, args...)...)
		if code != want {
			t.Fatalf("weir webhooks %v: code %d, want %d\n%s%s", args, code, want, out, errOut)
		}
		return out + errOut
	}
	writeFile(t, dir, "secret", "a secret of a file\n")
	url := "http://" + freeAddress(t) + "/hook"
	created := run(0, "create", url, "--event", "order.*", "-e", "invoice.paid", "--uid", "main", "--metadata", "a=b,c=d")
	if !strings.Contains(created, "whsec_") || !strings.Contains(created, `{"a":"b,c=d"}`) {
		t.Errorf("created: %s", created)
	}
	if out := run(0, "create", url, "--event", "*", "--tenant", "acme", "--secret", "@secret"); strings.Contains(out, "a secret of a file") {
		t.Errorf("a given secret is shown: %s", out)
	}
	if out := run(1, "create", url, "--event", "*", "--uid", "main"); !strings.Contains(out, "uid_taken") {
		t.Error(out)
	}
	if out := run(1, "create", "http://10.0.0.1/", "--event", "*"); !strings.Contains(out, "(blocked)") {
		t.Error(out)
	}
	run(0, "update", "main", "--filter", "event.data.a == 1", "--description", "for tests")
	if out := run(0, "show", "main"); !strings.Contains(out, "event.data.a == 1") || strings.Contains(out, "whsec_") {
		t.Error(out)
	}
	if out := run(0, "update", "main", "--filter", ""); strings.Contains(out, "event.data") {
		t.Error(out)
	}
	run(2, "update", "main")
	run(2, "update", "main", "--metadata", "x")
	if out := run(1, "test", "main"); !strings.Contains(out, "refused") {
		t.Error(out)
	}
	if out := run(0, "rotate", "main", "--activate-after", "1h"); !strings.Contains(out, "whsec_") || !strings.Contains(out, "X-Webhook-Signature from") {
		t.Error(out)
	}
	if out := run(0, "rotate", "main", "--overlap", "0s"); !strings.Contains(out, "whsec_") || strings.Count(out, "a secret ") != 1 {
		t.Error(out)
	}
	if out := run(1, "rotate", "main", "--overlap", "2d"); !strings.Contains(out, "bad_overlap") {
		t.Error(out)
	}
	if out := run(0, "pause", "main"); !strings.Contains(out, "paused") {
		t.Error(out)
	}
	if out := run(0, "resume", "main"); !strings.Contains(out, "active") {
		t.Error(out)
	}
	var list api.WebhookList
	if err := json.Unmarshal([]byte(run(0, "ls", "-o", "json")), &list); err != nil || len(list.Webhooks) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	if out := run(0, "ls", "--type", "shop.opened", "--limit", "1"); !strings.Contains(out, list.Webhooks[1].ID) || strings.Contains(out, list.Webhooks[0].ID) {
		t.Error(out)
	}

	if _, errOut, code := weir(t, dir, "send", "--type", "order.paid", "--id", "e1", "--data", "{}"); code != 0 {
		t.Fatal(errOut)
	}
	out, _, _ := weir(t, dir, "explain", "e1", "--destination", list.Webhooks[1].ID)
	if !strings.Contains(out, `tenant is "", not "acme"`) {
		t.Errorf("explained: %s", out)
	}
	if _, errOut, code := weir(t, dir, "explain", "e1", "--destination", "wh_01M8GQR36RDKR3R1X8F1K3A14W"); code != 1 || !strings.Contains(errOut, "webhook_not_found") {
		t.Errorf("explained without one: %s", errOut)
	}

	// Everywhere it is said which webhook that is, and its uid finds it.
	if !strings.Contains(out, "✗ webhook "+list.Webhooks[1].ID+" (acme, "+url+"): ") {
		t.Errorf("explained without its tenant: %s", out)
	}
	other := func(want int, args ...string) string {
		t.Helper()
		out, errOut, code := weir(t, dir, args...)
		if code != want {
			t.Fatalf("weir %v: code %d, want %d\n%s%s", args, code, want, out, errOut)
		}
		return out + errOut
	}
	main := list.Webhooks[0].ID
	if out := other(0, "explain", "e1", "--destination", "main"); !strings.Contains(out, "✓ webhook "+main+" (main, "+url+")") {
		t.Error(out)
	}
	if out := other(0, "destinations", "ls"); !strings.Contains(out, "TENANT/UID") || !strings.Contains(out, main+"  main ") || !strings.Contains(out, list.Webhooks[1].ID+"  acme ") {
		t.Error(out)
	}
	for _, args := range [][]string{{"destinations", "show", "main"}, {"destinations", "pause", "main"}, {"destinations", "resume", "main"}, {"deliveries", "ls", "--destination", "main"}, {"replay", "e1", "--to", "main", "--dry-run"}} {
		if out := other(0, args...); !strings.Contains(out, main) {
			t.Errorf("%v: %s", args, out)
		}
	}
	if out := other(0, "events", "ls", "--destination", "main"); !strings.Contains(out, "e1") {
		t.Error(out)
	}
	if out := other(0, "replay", "--destination", "main", "--dry-run"); !strings.Contains(out, "of 1 event") {
		t.Error(out)
	}
	if out := other(0, "dead-letters", "retry", "--destination", "main"); !strings.Contains(out, "0 ") {
		t.Error(out)
	}
	if out := other(1, "destinations", "show", "nobody"); !strings.Contains(out, "destination_not_found") {
		t.Error(out)
	}
	run(0, "create", url, "--event", "*", "--tenant", "beta", "--uid", "main")
	for _, args := range [][]string{
		{"destinations", "pause", "main"}, {"explain", "e1", "--destination", "main"}, {"deliveries", "ls", "--destination", "main"},
		{"dead-letters", "ls", "--destination", "main"}, {"dead-letters", "retry", "--destination", "main"},
		{"replay", "e1", "--to", "main", "--dry-run"}, {"replay", "--destination", "main", "--dry-run"},
	} {
		if out := other(1, args...); !strings.Contains(out, `several tenants have the uid "main"`) || !strings.Contains(out, main+" of no tenant and ") || !strings.Contains(out, " of beta: ") {
			t.Errorf("%v: %s", args, out)
		}
	}
	var beta api.WebhookList
	if err := json.Unmarshal([]byte(run(0, "ls", "--tenant", "beta", "-o", "json")), &beta); err != nil || len(beta.Webhooks) != 1 {
		t.Fatalf("%v %v", beta, err)
	}
	if out := other(0, "destinations", "show", beta.Webhooks[0].ID); !strings.Contains(out, "beta") || !strings.Contains(out, "uid") {
		t.Error(out)
	}
	run(0, "delete", beta.Webhooks[0].ID)

	run(0, "delete", "main", list.Webhooks[1].ID)
	if out := run(1, "show", "main"); !strings.Contains(out, "no webhook with the uid") {
		t.Error(out)
	}
	// Without a router the store still answers, and lanes can be paused, but no registration changes.
	run(0, "create", "--url", url, "--events", "*", "--uid", "last")
	r.stop(t)
	if out := run(0, "pause", "last"); !strings.Contains(out, "paused") {
		t.Error(out)
	}
	if out := run(0, "ls", "--status", "paused"); !strings.Contains(out, "last") {
		t.Error(out)
	}
	for _, args := range [][]string{{"test", "last"}, {"delete", "last"}, {"rotate", "last"}, {"create", url, "-e", "x"}} {
		if out := run(1, args...); !strings.Contains(out, "not_running") {
			t.Errorf("%v: %s", args, out)
		}
	}
}
