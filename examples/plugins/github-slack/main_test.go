package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/plugintest"
	"github.com/weirhq/weir/router/event"
)

const repo = "<https://github.com/weirhq/weir|weirhq/weir>"

func TestSlackMessages(t *testing.T) {
	wasm := plugintest.BuildGo(t, ".")
	p := plugintest.Load(t, plugins.Spec{Name: "github-slack", Wasm: wasm})
	cases := []struct{ event, file, want string }{
		{"push", "push.json", "*ada* pushed 1 commit to `main` of " + repo + "\n• <https://github.com/weirhq/weir/commit/59b20b8d5c6ff8d09518216e87bdd1fb2a1a2b3c|59b20b8> Keep &lt;order&gt; in lanes &amp; say why"},
		{"push", "push-empty.json", ""},
		{"pull_request", "pull_request.json", "*ada* merged pull request <https://github.com/weirhq/weir/pull/7|#7 Retry with jitter> in " + repo},
		{"issues", "issues.json", "*linus* opened issue <https://github.com/weirhq/weir/issues/12|#12 Lanes stall when a &lt; b> in " + repo},
		{"issue_comment", "issue_comment.json", "*grace* commented on <https://github.com/weirhq/weir/issues/12|#12 Lanes stall> in " + repo + "\n> Same here 👋"},
		{"release", "release.json", "*ada* published release <https://github.com/weirhq/weir/releases/tag/v1.0.0|v1.0.0> of " + repo},
		{"create", "create.json", "*ada* created tag `v1.0.0` in " + repo},
		{"check_run", "check_run.json", "GitHub check run (completed) by *github-actions[bot]* in " + repo},
		{"ping", "ping.json", "GitHub ping"},
	}
	for _, c := range cases {
		r := run(t, p, c.event, c.file)
		if c.want == "" {
			if r.Transform != plugins.Dropped {
				t.Errorf("%s: got %s, want it dropped", c.file, r.Transform)
			}
			continue
		}
		if got := text(t, r); got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", c.file, got, c.want)
		}
		if ct := r.Messages[0].ContentType; ct != "application/json" {
			t.Errorf("%s: content type %q", c.file, ct)
		}
	}
	prefixed := plugintest.Load(t, plugins.Spec{Name: "github-slack", Wasm: wasm, Config: []byte(`{"prefix":":ship:"}`)})
	if got := text(t, run(t, prefixed, "ping", "ping.json")); got != ":ship: GitHub ping" {
		t.Errorf("with a prefix: %q", got)
	}
}

func TestEventNameWithoutHeader(t *testing.T) {
	for typ, want := range map[string]string{"github.pull_request": "pull_request", "push": "push", "a.b.issues": "issues"} {
		if got := eventName("", typ); got != want {
			t.Errorf("%s: got %q, want %q", typ, got, want)
		}
	}
}

func run(t *testing.T, p *plugins.Plugin, githubEvent, file string) *plugins.Result {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Run(context.Background(), &event.Message{
		ID: "evt_1", Type: "github." + githubEvent, Source: "github", Time: time.Unix(1, 0), Received: time.Unix(1, 0),
		ContentType: "application/json", Data: data,
		Header: []event.Field{{Name: "x-github-event", Value: githubEvent}},
	}, "r")
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return r
}

func text(t *testing.T, r *plugins.Result) string {
	t.Helper()
	if len(r.Messages) != 1 {
		t.Fatalf("got %d messages", len(r.Messages))
	}
	var body struct{ Text string }
	if err := json.Unmarshal(r.Messages[0].Data, &body); err != nil {
		t.Fatalf("%s: %v", r.Messages[0].Data, err)
	}
	return body.Text
}
