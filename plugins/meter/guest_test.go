package meter_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/weirhq/weir/plugins/meter"
	"github.com/weirhq/weir/plugins/plugintest"
)

// fuel is more than any test uses up.
const fuel = 1 << 40

const slackDir = "../../examples/plugins/github-slack"

// slack is an instance of a plugin in Go under a host that answers what this
// one asks.
type slack struct {
	mod  api.Module
	call api.Function
	out  []byte // what it wrote last
	*tank
}

func newSlack(t testing.TB, wasm []byte) *slack {
	t.Helper()
	ctx := context.Background()
	event, err := os.ReadFile(filepath.Join(slackDir, "testdata", "payloads", "push.json"))
	if err != nil {
		t.Fatal(err)
	}
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig())
	t.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	g := &slack{}
	answer := func(mod api.Module, stack []uint64, text []byte, ptr int) {
		if len(text) <= int(uint32(stack[ptr+1])) {
			mod.Memory().Write(uint32(stack[ptr]), text)
		}
		stack[0] = uint64(len(text))
	}
	absent := uint64(uint32(0xffffffff))
	functions := map[string]struct {
		params, results int
		f               func(api.Module, []uint64)
	}{
		"read": {3, 1, func(mod api.Module, stack []uint64) {
			switch uint32(stack[0]) {
			case 0:
				answer(mod, stack, event, 1)
			case 1:
				answer(mod, stack, []byte("github.push"), 1)
			default:
				stack[0] = absent
			}
		}},
		"write": {3, 1, func(mod api.Module, stack []uint64) {
			if uint32(stack[0]) == 0 {
				b, _ := mod.Memory().Read(uint32(stack[1]), uint32(stack[2]))
				g.out = append(g.out[:0], b...)
			}
			stack[0] = 0
		}},
		"get": {4, 1, func(mod api.Module, stack []uint64) {
			if uint32(stack[1]) == 0 {
				answer(mod, stack, event, 2)
				return
			}
			stack[0] = absent
		}},
		"header":        {4, 1, func(mod api.Module, stack []uint64) { answer(mod, stack, []byte("push"), 2) }},
		"set":           {4, 1, func(_ api.Module, stack []uint64) { stack[0] = absent }},
		"remove":        {2, 1, func(_ api.Module, stack []uint64) { stack[0] = absent }},
		"set_header":    {4, 1, func(_ api.Module, stack []uint64) { stack[0] = absent }},
		"remove_header": {2, 1, func(_ api.Module, stack []uint64) { stack[0] = absent }},
		"emit":          {0, 1, func(_ api.Module, stack []uint64) { stack[0] = absent }},
		"log":           {3, 0, func(api.Module, []uint64) {}},
		"fail": {2, 0, func(mod api.Module, stack []uint64) {
			b, _ := mod.Memory().Read(uint32(stack[0]), uint32(stack[1]))
			t.Errorf("the guest says %q", b)
		}},
	}
	host := r.NewHostModuleBuilder("weir")
	for name, f := range functions {
		types := func(n int) []api.ValueType {
			return []api.ValueType{api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32, api.ValueTypeI32}[:n]
		}
		host.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, mod api.Module, stack []uint64) { f.f(mod, stack) }),
			types(f.params), types(f.results)).Export(name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	g.mod, err = r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").WithStderr(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	g.call = g.mod.ExportedFunction("weir_transform")
	g.tank = tankOf(g.mod)
	return g
}

// run calls it once and returns what that took, 0 where it is not metered.
func (g *slack) run(t testing.TB) int64 {
	t.Helper()
	if g.tank != nil {
		g.fill(fuel)
	}
	r, err := g.call.Call(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r[0] != 0 {
		t.Fatalf("it answers %d", int32(r[0]))
	}
	if g.tank == nil {
		return 0
	}
	return fuel - g.left()
}

// TestGoGuest runs a plugin in Go with its meter and without.
func TestGoGuest(t *testing.T) {
	wasm := plugintest.BuildGo(t, slackDir)
	m, err := meter.Rewrite(wasm, meter.Options{MaxPages: 512, Fuel: fuel})
	if err != nil {
		t.Fatal(err)
	}
	if m.Volatile != "" {
		t.Errorf("it can't be put back: %s", m.Volatile)
	}
	plain, metered, again := newSlack(t, wasm), newSlack(t, m.Wasm), newSlack(t, m.Wasm)
	for n := range 20 {
		plain.run(t)
		used, other := metered.run(t), again.run(t)
		if len(metered.out) == 0 || string(plain.out) != string(metered.out) {
			t.Fatalf("call %d: it wrote %q, without a meter %q", n, metered.out, plain.out)
		}
		if used != other || used <= 0 {
			t.Fatalf("call %d took %d units, and %d in another instance", n, used, other)
		}
	}
}

func BenchmarkRewrite(b *testing.B) {
	wasm := plugintest.BuildGo(b, slackDir)
	b.SetBytes(int64(len(wasm)))
	b.ReportAllocs()
	var out int
	for b.Loop() {
		m, err := meter.Rewrite(wasm, meter.Options{MaxPages: 512, Fuel: fuel})
		if err != nil {
			b.Fatal(err)
		}
		out = len(m.Wasm)
	}
	b.ReportMetric(float64(out)/float64(len(wasm)), "size-ratio")
}

// BenchmarkGuest is a call of a plugin in Go, without its meter and with it.
func BenchmarkGuest(b *testing.B) {
	wasm := plugintest.BuildGo(b, slackDir)
	m, err := meter.Rewrite(wasm, meter.Options{MaxPages: 512, Fuel: fuel})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		wasm []byte
	}{{"plain", wasm}, {"metered", m.Wasm}} {
		b.Run(c.name, func(b *testing.B) {
			g := newSlack(b, c.wasm)
			var used int64
			for b.Loop() {
				used = g.run(b)
			}
			if used > 0 {
				b.ReportMetric(float64(used), "units/op")
			}
		})
	}
}
