// Package goldentest runs golden events as Go tests.
package goldentest

import (
	"context"
	"testing"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/golden"
)

// repeats is how often the cases of a folder are run again, all together: a plugin
// must be pure.
const repeats = 1000

// Run runs the cases of a folder on a module, each as a subtest, and then a thousand
// times more in random order: the bytes and the fuel must be those of the first
// time.
func Run(t *testing.T, s plugins.Spec, dir string) {
	t.Helper()
	cases, err := golden.Load(dir)
	if err != nil {
		t.Fatal(err)
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
	// A minute, since the machine may be busy: endless loops are ended by fuel.
	s.Name, s.Deadline = "golden", time.Minute
	r := golden.NewRunner(h, s)
	outcomes := make([]golden.Outcome, len(cases))
	for i, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if outcomes[i], err = r.Run(ctx, c); err != nil {
				t.Fatal(err)
			}
			if c.Want == nil {
				t.Fatalf("%s has no want: write it, or run weir plugin test --update", c.Path)
			}
			if want, got := c.Compare(outcomes[i]); want != got {
				t.Errorf("%s%s", udiff.Unified("want", "got", want, got), outcomes[i].Stderr)
			}
		})
	}
	if t.Failed() {
		return
	}
	if err := r.Repeat(ctx, cases, outcomes, (repeats+len(cases)-1)/len(cases), func() {}); err != nil {
		t.Error(err)
	}
}
