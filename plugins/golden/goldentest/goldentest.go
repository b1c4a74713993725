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

// repeats is how often each case is run again: a plugin must be pure.
const repeats = 20

// Run runs the cases of a folder on a module, each as a subtest, and then all of
// them again in another order.
func Run(t *testing.T, wasm []byte, dir string) {
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
	r := golden.NewRunner(h, plugins.Spec{Name: "golden", Wasm: wasm, Deadline: time.Minute})
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
	if err := r.Repeat(ctx, cases, outcomes, repeats, func() {}); err != nil {
		t.Error(err)
	}
}
