package plugins_test

import (
	"context"
	"testing"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/plugintest"
)

// A call allocates what it returns and no more: the result, and of a changed
// message itself and its data.
func TestAllocations(t *testing.T) {
	changes := plugintest.BuildGo(t, "testdata/path")
	for _, c := range []struct {
		name string
		wasm []byte
		want float64
	}{
		{"a filter that keeps", guest{filter: constant(1)}.build(), 1},
		{"a filter that drops", guest{filter: constant(0)}.build(), 1},
		{"a transform that changes nothing", guest{transform: constant(0)}.build(), 1},
		{"a transform that sets a path", changes, 3},
	} {
		for _, isolation := range []plugins.Isolation{plugins.Pure, plugins.Reuse} {
			p := plugintest.Load(t, plugins.Spec{Name: "p", Wasm: c.wasm, Isolation: isolation})
			m := message("t", kibibyte())
			run := func() {
				if _, err := p.Run(context.Background(), m, "r"); err != nil {
					t.Fatal(err)
				}
			}
			for range 10 {
				run() // buffers are made once
			}
			if got := testing.AllocsPerRun(200, run); got > c.want {
				t.Errorf("%s, %s: %v allocations a call, want %v", c.name, isolation, got, c.want)
			}
		}
	}
}
