package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// The whole job on real input: what make run does, on free ports. It needs what
// make test builds first.
func TestTour(t *testing.T) {
	t.Chdir("../..")
	for _, path := range []string{"bin/weir", "examples/plugins/github-slack/github-slack.wasm"} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: run make build plugins deps first", err)
		}
	}
	var out bytes.Buffer
	tour := &tour{
		weir: absolute("bin/weir"), config: "router.hcl", dir: t.TempDir(), once: true, free: true, out: &out,
		payloads: "examples/tour/node_modules/@octokit/webhooks-examples/api.github.com/index.json",
	}
	if err := tour.run(t.Context()); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), tail(filepath.Join(tour.dir, "router.log")))
	}
	for _, want := range []string{"answered 202, each after it was on disk: 3", "202 duplicate", "401 signature_mismatch"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
}

// The comparison must notice when API and log differ.
func TestCompareNotices(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "chat.jsonl")
	line := func(id string, status string) string {
		return `{"webhook_id":"` + id + `","verified":true,"status":` + status + "}\n"
	}
	for name, c := range map[string]struct {
		log  string
		same bool
	}{
		"same":           {line("a", "503") + line("a", "200"), true},
		"never came":     {"", false},
		"came too often": {line("a", "503") + line("a", "200") + line("a", "200"), false},
		"another came":   {line("a", "503") + line("a", "200") + line("b", "200"), false},
		"not verified":   {strings.ReplaceAll(line("a", "503")+line("a", "200"), "true", "false"), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(log, []byte(c.log), 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			tour := &tour{out: &out, receivers: []*receiver{{name: "chat", log: log, fail: 1}}, accepted: map[string]payload{"e": {}}}
			same, err := tour.compare(sample())
			if err != nil || same != c.same {
				t.Errorf("same %v, %v\n%s", same, err, out.String())
			}
		})
	}
}

// sample is one event that was changed, delivered to chat at the second try, and
// dropped on another route.
func sample() *seen {
	return &seen{events: map[string]*api.Explanation{"e": {Routed: true, Routes: []api.RouteVerdict{
		{
			Route: "chat", Matched: true,
			Plugins:    []api.PluginVerdict{{Plugin: "slack", Transform: "changed"}, {Plugin: "branch", Filter: "drop"}},
			Deliveries: []api.Delivery{{WebhookID: "a", Destination: "chat", Status: "delivered", Attempts: make([]api.Attempt, 2)}},
		},
	}}}}
}
