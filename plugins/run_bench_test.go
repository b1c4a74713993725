package plugins_test

import (
	"context"
	"testing"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/plugintest"
)

// BenchmarkRun is one message through a Go guest that reads a path and sets
// another one.
func BenchmarkRun(b *testing.B) {
	wasm := plugintest.BuildGo(b, "testdata/path")
	for _, isolation := range []plugins.Isolation{plugins.Reuse, plugins.Pure} {
		b.Run(string(isolation), func(b *testing.B) {
			p := plugintest.Load(b, plugins.Spec{Name: "path", Wasm: wasm, Isolation: isolation})
			m := message("t", kibibyte())
			b.ReportAllocs()
			fuel := int64(0)
			for b.Loop() {
				r, err := p.Run(context.Background(), m, "r")
				if err != nil {
					b.Fatal(err)
				}
				fuel = r.Fuel
			}
			b.ReportMetric(float64(fuel), "fuel/op")
		})
	}
}

// kibibyte is an event's data of one KiB.
func kibibyte() string {
	s := `{"customer":{"id":"c_1","email":"ada@example.com"},"total":120,"note":"`
	for len(s) < 1022 {
		s += "x"
	}
	return s + `"}`
}
