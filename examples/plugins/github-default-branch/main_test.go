package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/plugintest"
	"github.com/weirhq/weir/router/event"
)

func TestKeepsPushesToTheDefaultBranch(t *testing.T) {
	p := plugintest.Load(t, plugins.Spec{Name: "github-default-branch", Wasm: plugintest.BuildGo(t, ".")})
	cases := []struct {
		file, githubEvent, typ string
		want                   plugins.Verdict
	}{
		{"push-main.json", "push", "github.push", plugins.Keep},
		{"push-main.json", "", "github.push", plugins.Keep},
		{"push-branch.json", "push", "github.push", plugins.Drop},
		{"push-branch.json", "", "github.push", plugins.Drop},
		{"push-branch.json", "push", "other", plugins.Drop},
		{"push-tag.json", "push", "github.push", plugins.Drop},
		{"push-branch.json", "create", "github.create", plugins.Keep},
	}
	for _, c := range cases {
		data, err := os.ReadFile(filepath.Join("testdata", c.file))
		if err != nil {
			t.Fatal(err)
		}
		m := &event.Message{ID: "evt_1", Type: c.typ, Source: "github", Time: time.Unix(1, 0), Received: time.Unix(1, 0), ContentType: "application/json", Data: data}
		if c.githubEvent != "" {
			m.Header = []event.Field{{Name: "x-github-event", Value: c.githubEvent}}
		}
		r, err := p.Run(context.Background(), m, "r")
		if err != nil {
			t.Fatal(err)
		}
		if r.Filter != c.want || len(r.Messages) != map[plugins.Verdict]int{plugins.Keep: 1}[c.want] {
			t.Errorf("%s as %q, type %s: got %s with %d messages, want %s", c.file, c.githubEvent, c.typ, r.Filter, len(r.Messages), c.want)
		}
	}
}
