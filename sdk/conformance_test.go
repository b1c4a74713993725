package sdk_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/golden"
	"github.com/weirhq/weir/plugins/plugintest"
	"github.com/weirhq/weir/sdk"
)

const conformance = "testdata/conformance"

// places is how each language tells the line that a panic came from.
var places = map[string]*regexp.Regexp{
	"go":   regexp.MustCompile(`^panic: .* \(main\.go:\d+\)$`),
	"js":   regexp.MustCompile(`plugin\.js:\d+`),
	"as":   regexp.MustCompile(`^panic: .* \((~lib/)?(assembly/plugin|weir/index|weir)\.ts:\d+\)$`),
	"rust": regexp.MustCompile(`^panic: .* \(src/lib\.rs:\d+\)$`),
	"c":    regexp.MustCompile(`^(\./)?guest\.c:\d+: `),
}

// TestConformance runs the same events through the same guest in each language:
// what an SDK can do, and what comes of it, is the same in all.
func TestConformance(t *testing.T) {
	cases, err := golden.Load(filepath.Join(conformance, "events"))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 30 {
		t.Fatalf("only %d events", len(cases))
	}
	guests, err := os.ReadDir(filepath.Join(conformance, "guests"))
	if err != nil || len(guests) != len(sdk.Languages()) {
		t.Fatalf("%d guests, %v, for %d languages", len(guests), err, len(sdk.Languages()))
	}
	ctx := context.Background()
	h, err := plugins.NewHost(ctx, plugins.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	for _, l := range sdk.Languages() {
		t.Run(l.Name, func(t *testing.T) {
			wasm := plugintest.Build(t, filepath.Join(conformance, "guests", l.Name))
			runner := golden.NewRunner(h, plugins.Spec{Name: l.Name, Wasm: wasm, Deadline: time.Minute})
			outcomes := make([]golden.Outcome, len(cases))
			for i, c := range cases {
				if outcomes[i], err = runner.Run(ctx, c); err != nil {
					t.Fatalf("%s: %v", c.Name, err)
				}
				o := outcomes[i]
				if want, got := c.Compare(o); want != got {
					t.Errorf("%s:\n%s%s\n%s", c.Name, udiff.Unified("want", "got", want, got), o.Text, o.Stderr)
				}
				if c.Name == "panic" && !places[l.Name].MatchString(o.Text) {
					t.Errorf("a panic doesn't tell its place: %q", o.Text)
				}
			}
			if err := runner.Repeat(ctx, cases, outcomes, 20, func() {}); err != nil {
				t.Error(err)
			}
		})
	}
}
