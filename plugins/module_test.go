package plugins_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
)

func fine() guest { return guest{filter: constant(1), transform: constant(0)} }

func TestInspect(t *testing.T) {
	wasm := guest{filter: constant(1), transform: constant(0), init: constant(0), pages: 2, maxPages: 5}.build()
	info, err := plugins.Inspect(wasm)
	if err != nil {
		t.Fatal(err)
	}
	if info.ABI != 1 || info.Kind != plugins.KindBoth || !info.Filter || !info.Transform || !info.Init || info.MemoryMin != 2<<16 || info.MemoryMax != 5<<16 ||
		info.Size != len(wasm) || info.SHA256 != fmt.Sprintf("%x", sha256.Sum256(wasm)) {
		t.Errorf("got %+v", info)
	}
	if got := strings.Join(info.Exports, " "); got != "weir_abi_v1 weir_init weir_filter weir_transform memory" {
		t.Errorf("got exports %s", got)
	}
	if got := strings.Join(info.Imports, " "); !strings.HasPrefix(got, "weir.read weir.write ") || !strings.HasSuffix(got, " weir.fail") {
		t.Errorf("got imports %s", got)
	}
	for kind, g := range map[plugins.Kind]guest{plugins.KindFilter: {filter: constant(1)}, plugins.KindTransform: {transform: constant(0)}} {
		if info, err := plugins.Inspect(g.build()); err != nil || info.Kind != kind || info.Init {
			t.Errorf("%s: got %+v, %v", kind, info, err)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	with := func(change func(*guest)) []byte {
		g := fine()
		change(&g)
		return g.build()
	}
	extra := func(entry []byte) []byte {
		return with(func(g *guest) { g.extra, g.extraCount = entry, 1 })
	}
	memoryImport := append(append(vec([]byte("weir")), vec([]byte("memory"))...), 2, 0, 1)
	whole := fine().build()
	cases := []struct {
		name string
		wasm []byte
		err  error
		text string
	}{
		{"empty", nil, plugins.ErrNotWasm, "does not begin"},
		{"ELF", []byte("\x7fELF\x01\x00\x00\x00"), plugins.ErrNotWasm, "does not begin"},
		{"magic only", whole[:4], plugins.ErrNotWasm, "truncated"},
		{"truncated", whole[:len(whole)-3], plugins.ErrNotWasm, "truncated"},
		{"truncated early", whole[:60], plugins.ErrNotWasm, "truncated"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), plugins.ErrNotWasm, "component"},
		{"version 2", []byte("\x00asm\x02\x00\x00\x00"), plugins.ErrNotWasm, "unknown version"},
		{"nothing in it", []byte("\x00asm\x01\x00\x00\x00"), plugins.ErrExport, "weir_abi_v1"},
		{"env", extra(importEntry("env", "abort", 4)), plugins.ErrImport, `"env.abort"`},
		{"sockets of another WASI", extra(importEntry("wasi_snapshot_preview2", "connect", 4)), plugins.ErrImport, `"wasi_snapshot_preview2.connect"`},
		{"WASI function that is none", extra(importEntry("wasi_snapshot_preview1", "fork", 4)), plugins.ErrImport, `"wasi_snapshot_preview1.fork"`},
		{"weir function that is none", extra(importEntry("weir", "fetch", 4)), plugins.ErrImport, `"weir.fetch"`},
		{"weir function of another type", extra(importEntry("weir", "emit", 3)), plugins.ErrImport, "func(i32, i32, i32) (i32)"},
		{"type that is none", extra(importEntry("weir", "emit", 99)), plugins.ErrImport, `"weir.emit"`},
		{"memory", extra(memoryImport), plugins.ErrImport, "no function"},
		{"no version", with(func(g *guest) { g.without = "weir_abi_v1" }), plugins.ErrExport, "weir_abi_v1"},
		{"no memory", with(func(g *guest) { g.without = "memory" }), plugins.ErrExport, "memory"},
		{"no function", guest{init: constant(0)}.build(), plugins.ErrExport, "weir_filter or weir_transform"},
		{"transform of another type", with(func(g *guest) { g.wrongType = "weir_transform" }), plugins.ErrExport, "weir_transform is exported as func(i32) ()"},
		{"filter of another type", with(func(g *guest) { g.wrongType = "weir_filter" }), plugins.ErrExport, "weir_filter is exported"},
	}
	h := newHost(t)
	for _, c := range cases {
		if info, err := plugins.Inspect(c.wasm); !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) || info != nil {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.err, c.text)
		}
		if _, err := h.Load(context.Background(), plugins.Spec{Name: "x", Wasm: c.wasm}); !errors.Is(err, c.err) || !strings.Contains(err.Error(), `plugin "x"`) {
			t.Errorf("%s: Load says %v", c.name, err)
		}
	}
}

// What Inspect can't see is refused by Load.
func TestLoadRefuses(t *testing.T) {
	h := newHost(t)
	wasm := fine().build()
	broken := guest{transform: []byte{opDrop}}.build() // takes from an empty stack
	cases := []struct {
		name string
		s    plugins.Spec
		text string
	}{
		{"invalid code", plugins.Spec{Wasm: broken}, "damaged"},
		{"too little memory", plugins.Spec{Wasm: guest{transform: constant(0), pages: 3}.build(), Memory: 2 << 16}, "raise its `memory`"},
		{"memory below a page", plugins.Spec{Wasm: wasm, Memory: 100}, "64KiB"},
		{"memory beyond 32 bits", plugins.Spec{Wasm: wasm, Memory: 1 << 40}, "4GiB"},
		{"config", plugins.Spec{Wasm: wasm, Config: []byte("{")}, "config"},
		{"deadline", plugins.Spec{Wasm: wasm, Deadline: -1}, "negative"},
		{"init traps", plugins.Spec{Wasm: guest{transform: constant(0), init: []byte{opUnreachable}}.build()}, "init: weir_init: wasm error: unreachable"},
		{"initialize traps", plugins.Spec{Wasm: guest{transform: constant(0), initialize: []byte{opUnreachable}}.build()}, "init: _initialize"},
		{"init refuses", plugins.Spec{Wasm: guest{transform: constant(0), init: constant(-1)}.build()}, "weir_init returned -1"},
		{"init answers nonsense", plugins.Spec{Wasm: guest{transform: constant(0), init: constant(1)}.build()}, "0 means fine"},
		{"init loops", plugins.Spec{Wasm: guest{transform: constant(0), init: append([]byte{opLoop, blockEmpty, opBr, 0, opEnd}, constant(0)...)}.build(), Deadline: 1e7, InitFuel: plugins.MaxFuel}, "took longer than 100ms"},
		{"init takes too much", plugins.Spec{Wasm: guest{transform: constant(0), init: append([]byte{opLoop, blockEmpty, opBr, 0, opEnd}, constant(0)...)}.build()}, "fuel: weir_init is out of fuel"},
		{"fuel", plugins.Spec{Wasm: wasm, Fuel: -1}, "fuel and init_fuel must be"},
		{"init_fuel", plugins.Spec{Wasm: wasm, InitFuel: 1 << 62}, "fuel and init_fuel must be"},
		{"isolation", plugins.Spec{Wasm: wasm, Isolation: "none"}, "unknown isolation"},
		{"abi", plugins.Spec{Wasm: wasm, ABI: "2"}, "unknown abi"},
		{"no command", plugins.Spec{Wasm: wasm, ABI: plugins.ABIStdio}, "abi = \"stdio\""},
	}
	for _, c := range cases {
		c.s.Name = "x"
		if c.s.Deadline == 0 {
			c.s.Deadline = time.Minute
		}
		p, err := h.Load(context.Background(), c.s)
		if err == nil || p != nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.text)
		}
	}
}

func FuzzInspect(f *testing.F) {
	f.Add(fine().build())
	f.Add(guest{filter: constant(1), extra: importEntry("env", "x", 0), extraCount: 1}.build())
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x01\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		info, err := plugins.Inspect(wasm)
		if (info == nil) == (err == nil) {
			t.Fatalf("got %v and %v", info, err)
		}
		if err == nil && (info.ABI != 1 || !info.Filter && !info.Transform) {
			t.Fatalf("accepted %+v", info)
		}
	})
}
