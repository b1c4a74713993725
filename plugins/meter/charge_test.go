package meter_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weirhq/weir/plugins/meter"
)

// engines are those that must count alike.
var engines = map[string]func() wazero.RuntimeConfig{"compiler": wazero.NewRuntimeConfig, "interpreter": wazero.NewRuntimeConfigInterpreter}

// tank is the fuel of an instance.
type tank struct{ fuel, reserve api.MutableGlobal }

// tankOf returns nil where the module is not metered.
func tankOf(mod api.Module) *tank {
	fuel, ok := mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal)
	reserve, also := mod.ExportedGlobal(meter.ReserveGlobal).(api.MutableGlobal)
	if !ok || !also {
		return nil
	}
	return &tank{fuel, reserve}
}

func (t *tank) fill(units int64) {
	fuel, reserve := meter.Slice(units)
	t.fuel.Set(uint64(fuel))
	t.reserve.Set(uint64(reserve))
}

func (t *tank) left() int64 { return int64(t.fuel.Get()) + int64(t.reserve.Get()) }

// guest is a metered instance.
type guest struct {
	api.Module
	*tank
}

func rewritten(t testing.TB, a assembly, o meter.Options) *meter.Module {
	t.Helper()
	m, err := meter.Rewrite(a.build(), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// start instantiates a module; the error is that of its start function.
func start(t testing.TB, config wazero.RuntimeConfig, wasm []byte) (*guest, error) {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, config)
	t.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	_, err := r.NewHostModuleBuilder("host").NewFunctionBuilder().WithFunc(func() {}).Export("nothing").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := r.CompileModule(ctx, wasm)
	if err != nil {
		t.Fatalf("what it was rewritten to is not valid: %v", err)
	}
	mod, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig())
	if err != nil {
		return nil, err
	}
	fuel := tankOf(mod)
	if fuel == nil {
		t.Fatal("the fuel is not exported as mutable globals")
	}
	return &guest{mod, fuel}, nil
}

// call runs f with fuel and says what is left of it.
func (g *guest) call(units int64, args ...uint64) (left int64, err error) {
	g.fill(units)
	_, err = g.ExportedFunction("f").Call(context.Background(), args...)
	return g.tank.left(), err
}

// Instructions.
var (
	loop    = []byte{0x03, 0x40}
	block   = []byte{0x02, 0x40}
	end     = []byte{0x0b}
	drop    = []byte{0x1a}
	local0  = []byte{0x20, 0}
	set1    = []byte{0x21, 1}
	again   = []byte{0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0} // br_if 0 while --local0 != 0
	fill    = []byte{0xfc, 0x0b, 0}
	grow    = []byte{0x40, 0}
	ret     = []byte{0x0f}
	trap    = []byte{0x00}
	refNull = []byte{0xd0, 0x70}
)

// countdown is a loop with a body that runs until the first local is 0. It has
// len(body) + 5 instructions where the body's are a byte each.
func countdown(body []byte) []byte { return code(loop, body, again, end) }

func TestCharges(t *testing.T) {
	const large = 0xffffffff
	cases := []struct {
		name   string
		module assembly
		arg    uint64
		want   int64
		fault  string // of the guest, after the charges
	}{
		{name: "a function without instructions", module: one(typeNone), want: 1},
		{name: "63 instructions", module: one(typeNone, nops(63)), want: 1},
		{name: "64 instructions", module: one(typeNone, nops(64)), want: 2},
		{name: "127 instructions", module: one(typeNone, nops(127)), want: 2},
		{name: "128 instructions", module: one(typeNone, nops(128)), want: 3},
		{name: "a block is one instruction and its end none", module: one(typeNone, nops(62), block, end), want: 1},
		{name: "a block is one instruction", module: one(typeNone, nops(63), block, end), want: 2},
		{name: "if is one instruction, else and end are none", module: one(typeNone, nops(61), i32(1), 0x04, 0x40, 0x05, end), want: 1},
		{name: "if is one instruction", module: one(typeNone, nops(62), i32(1), 0x04, 0x40, 0x05, end), want: 2},
		{name: "both branches count", module: one(typeNone, i32(1), 0x04, 0x40, nops(31), 0x05, nops(31), end), want: 2},
		{name: "numbers of several bytes are one instruction", module: one(typeNone, bytes.Repeat(code(0x42, sleb(1<<62), drop), 31)), want: 1},
		{name: "a prefix and what follows are one instruction", module: one(typeNone, nops(60), 0xfd, 0x0c, make([]byte, 16), 0xfd, 0x80, 0x01, drop), want: 1},
		{name: "an empty loop", module: one(typeNone, loop, end), want: 2},
		{name: "one pass", module: one(typeTest, countdown(nil), local0), arg: 1, want: 2},
		{name: "a thousand passes", module: one(typeTest, countdown(nil), local0), arg: 1000, want: 1001},
		{name: "passes of 63 instructions", module: one(typeTest, countdown(nops(58)), local0), arg: 10, want: 11},
		{name: "passes of 64 instructions", module: one(typeTest, countdown(nops(59)), local0), arg: 10, want: 21},
		{name: "a loop is an instruction of the function", module: one(typeTest, nops(62), countdown(nops(70)), local0), arg: 1, want: 2 + 2},
		{name: "instructions behind a loop are the function's", module: one(typeTest, countdown(nil), nops(62), local0), arg: 10, want: 2 + 10},
		{name: "a loop in a loop counts for itself", module: one(typeTest, loop, loop, nops(64), end, again, end, local0), arg: 10, want: 1 + 10*(1+2)},
		{name: "instructions behind the inner loop are the outer's", module: one(typeTest, loop, loop, end, nops(58), again, end, local0), arg: 10, want: 1 + 10*(2+1)},
		{name: "blocks in a loop are the loop's", module: one(typeTest, loop, block, nops(58), end, again, end, local0), arg: 10, want: 1 + 10*2},
		{name: "a loop in three loops", module: one(typeTest, loop, loop, loop, countdown(nil), end, end, end, local0), arg: 7, want: 1 + 1 + 1 + 1 + 7},
		{name: "code that is never reached counts", module: one(typeNone, ret, nops(63)), want: 2},
		{name: "loops and bulk operations that are never reached", module: one(typeNone, ret, loop, trap, fill, grow, drop, 0xfc, 0x0a, 0, 0, end, trap, 0x03, 0x7f, trap, loop, end, end, drop), want: 1},
		{name: "branches leave loops", module: one(typeTest, block, loop, 0x0c, 1, end, end, local0), want: 1 + 1},
		{name: "a table of branches", module: one(typeTest, block, loop, local0, 0x0e, 2, 1, 1, 1, end, end, local0), want: 1 + 1},
		{name: "a trap", module: one(typeNone, trap, nops(63)), want: 2, fault: "unreachable"},

		{name: "fill of nothing", module: one(typeTest, i32(0), i32(7), local0, fill, local0), want: 1 + 1},
		{name: "fill of 15 bytes", module: one(typeTest, i32(0), i32(7), local0, fill, local0), arg: 15, want: 1 + 1},
		{name: "fill of 16 bytes", module: one(typeTest, i32(0), i32(7), local0, fill, local0), arg: 16, want: 1 + 2},
		{name: "fill of a page", module: one(typeTest, i32(0), i32(7), local0, fill, local0), arg: 65536, want: 1 + 1 + 4096},
		{name: "fill of all that there could be", module: one(typeTest, i32(0), i32(7), local0, fill, local0), arg: large, want: 1 + 1 + large/16, fault: "out of bounds"},
		{name: "copy", module: one(typeTest, i32(0), i32(100), local0, 0xfc, 0x0a, 0, 0, local0), arg: 160, want: 1 + 1 + 10},
		{name: "copy of too much", module: one(typeTest, i32(0), i32(100), local0, 0xfc, 0x0a, 0, 0, local0), arg: large, want: 1 + 1 + large/16, fault: "out of bounds"},
		{name: "init", module: one(typeTest, i32(0), i32(0), local0, 0xfc, 0x08, 0, 0, local0), arg: 100, want: 1 + 1 + 6},
		{name: "init of too much", module: one(typeTest, i32(0), i32(0), local0, 0xfc, 0x08, 0, 0, local0), arg: large, want: 1 + 1 + large/16, fault: "out of bounds"},
		{name: "grow by nothing", module: one(typeTest, local0, grow), want: 1 + 1},
		{name: "grow", module: one(typeTest, local0, grow), arg: 3, want: 1 + 1 + 3*4096},
		{name: "grow that fails", module: one(typeTest, local0, grow), arg: 1000, want: 1 + 1 + 1000*4096},
		{name: "grow that fails by far", module: one(typeTest, local0, grow), arg: large, want: 1 + 1 + large*4096},
		{name: "table.fill", module: one(typeTest, i32(0), refNull, local0, 0xfc, 0x11, 0, local0), arg: 10, want: 1 + 1 + 10},
		{name: "table.fill of too much", module: one(typeTest, i32(0), refNull, local0, 0xfc, 0x11, 0, local0), arg: large, want: 1 + 1 + large, fault: "invalid table access"},
		{name: "table.copy", module: one(typeTest, i32(0), i32(1), local0, 0xfc, 0x0e, 0, 0, local0), arg: 9, want: 1 + 1 + 9},
		{name: "table.init", module: one(typeTest, i32(0), i32(0), local0, 0xfc, 0x0c, 0, 0, local0), arg: 2, want: 1 + 1 + 2},
		{name: "table.grow", module: one(typeTest, refNull, local0, 0xfc, 0x0f, 0), arg: 5, want: 1 + 1 + 5},
		{name: "table.grow that fails", module: one(typeTest, refNull, local0, 0xfc, 0x0f, 0), arg: large, want: 1 + 1 + large},
		{name: "table.size takes nothing", module: one(typeTest, 0xfc, 0x10, 0), want: 1},
		{name: "a bulk operation in a loop", module: one(typeTest, loop, i32(0), i32(7), i32(32), fill, again, end, local0), arg: 5, want: 1 + 5*(1+1+2)},

		{name: "a call", module: calls(), want: 1 + 2},
		{name: "a call of the host takes nothing", module: callsHost(), want: 1},
	}
	for engine, config := range engines {
		t.Run(engine, func(t *testing.T) {
			for _, c := range cases {
				g, err := start(t, config(), rewritten(t, c.module, meter.Options{MaxPages: 10, Fuel: fuel}).Wasm)
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
					continue
				}
				var args []uint64
				if len(g.ExportedFunction("f").Definition().ParamTypes()) > 0 {
					args = []uint64{c.arg}
				}
				const units = 1 << 50
				left, err := g.call(units, args...)
				if used := units - left; used != c.want {
					t.Errorf("%s: took %d units, want %d", c.name, used, c.want)
				}
				if (err != nil) != (c.fault != "") || err != nil && !strings.Contains(err.Error(), c.fault) {
					t.Errorf("%s: got the fault %v, want %q", c.name, err, c.fault)
				}
				if c.fault != "" || strings.HasPrefix(c.name, "grow") || strings.HasPrefix(c.name, "table.grow") {
					continue
				}
				// What is just enough does, and a unit less does not.
				if left, err := g.call(c.want, args...); err != nil || left != 0 {
					t.Errorf("%s: with %d units %d are left: %v", c.name, c.want, left, err)
				}
				if left, err := g.call(c.want-1, args...); err == nil || left >= 0 || !strings.Contains(err.Error(), "unreachable") {
					t.Errorf("%s: with %d units %d are left: %v", c.name, c.want-1, left, err)
				}
			}
		})
	}
}

// calls is a function that calls one of 64 instructions.
func calls() assembly {
	a := one(typeNone, 0x10, 1)
	a.functions = append(a.functions, body{code: nops(64)})
	return a
}

func callsHost() assembly {
	a := one(typeNone, 0x10, 0)
	a.imports = [][]byte{code("host", "nothing", 0, typeNone)}
	return a
}

// TestOutOfFuel looks where exactly a guest stops.
func TestOutOfFuel(t *testing.T) {
	// Counts its passes at address 0.
	count := one(typeNone, loop, i32(0), i32(0), 0x28, 2, 0, i32(1), 0x6a, 0x36, 2, 0, 0x0c, 0, end)
	for engine, config := range engines {
		t.Run(engine, func(t *testing.T) {
			for units := range int64(10) {
				g, err := start(t, config(), rewritten(t, count, meter.Options{}).Wasm)
				if err != nil {
					t.Fatal(err)
				}
				left, err := g.call(units)
				if err == nil || !strings.Contains(err.Error(), "unreachable") || left != -1 {
					t.Errorf("with %d units: %d are left: %v", units, left, err)
				}
				passes, _ := g.Memory().ReadUint32Le(0)
				if want := max(units-1, 0); int64(passes) != want { // one is for the call
					t.Errorf("with %d units: %d passes, want %d", units, passes, want)
				}
			}
		})
	}
}

// TestChargedBefore looks that nothing is done that was not paid for.
func TestChargedBefore(t *testing.T) {
	const size = 1600 // takes 101
	for name, c := range map[string]struct {
		module assembly
		done   func(*guest) bool
	}{
		"fill": {one(typeNone, i32(0), i32(7), i32(size), fill), func(g *guest) bool {
			b, _ := g.Memory().ReadByte(0)
			return b != 0
		}},
		"init": {one(typeNone, i32(0), i32(0), i32(100), 0xfc, 0x08, 0, 0), func(g *guest) bool {
			b, _ := g.Memory().ReadByte(0)
			return b != 0
		}},
		"grow": {one(typeNone, i32(1), grow, drop), func(g *guest) bool { return g.Memory().Size() > 65536 }},
	} {
		g, err := start(t, wazero.NewRuntimeConfig(), rewritten(t, c.module, meter.Options{}).Wasm)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := g.call(5); err == nil || left >= 0 {
			t.Errorf("%s: %d units are left: %v", name, left, err)
		}
		if c.done(g) {
			t.Errorf("%s: it was done without fuel", name)
		}
		if left, err := g.call(fuel); err != nil || !c.done(g) {
			t.Errorf("%s: with fuel %d units are left: %v", name, left, err)
		}
	}
}

func TestStartFunction(t *testing.T) {
	a := one(typeNone)
	a.functions = append(a.functions, body{code: code(nops(64), i32(0), i32(7), i32(160), fill)})
	a.start = []byte{1}
	const takes = 2 + 11
	for engine, config := range engines {
		g, err := start(t, config(), rewritten(t, a, meter.Options{Fuel: 1000}).Wasm)
		if err != nil {
			t.Fatalf("%s: %v", engine, err)
		}
		if used := 1000 - g.tank.left(); used != takes {
			t.Errorf("%s: start took %d units, want %d", engine, used, takes)
		}
		if _, err := start(t, config(), rewritten(t, a, meter.Options{Fuel: takes}).Wasm); err != nil {
			t.Errorf("%s: with just enough: %v", engine, err)
		}
		if _, err := start(t, config(), rewritten(t, a, meter.Options{Fuel: takes - 1}).Wasm); err == nil {
			t.Errorf("%s: it starts with a unit too few", engine)
		}
	}
}

// TestFuelDoesNotWrap calls an instance that is out of fuel again.
func TestFuelDoesNotWrap(t *testing.T) {
	g, err := start(t, wazero.NewRuntimeConfig(), rewritten(t, one(typeTest, local0, grow), meter.Options{}).Wasm)
	if err != nil {
		t.Fatal(err)
	}
	left, err := g.call(0, 0xffffffff)
	for n := range 100 {
		if err == nil || left >= 0 {
			t.Fatalf("call %d: %d units are left: %v", n, left, err)
		}
		_, err = g.ExportedFunction("f").Call(context.Background(), 0xffffffff)
		left = g.tank.left()
	}
}

// What is more than a slice is counted as what is less, and ends where it should,
// whether the module has a memory or not.
func TestSlices(t *testing.T) {
	const passes = 1_000_000
	without := assembly{functions: []body{{typ: typeTest, code: code(countdown(nil), local0)}}}
	for name, a := range map[string]assembly{"with a memory": one(typeTest, countdown(nil), local0), "without one": without} {
		g, err := start(t, wazero.NewRuntimeConfig(), rewritten(t, a, meter.Options{}).Wasm)
		if err != nil {
			t.Fatal(err)
		}
		if fuel, reserve := meter.Slice(passes); fuel <= 0 || reserve <= fuel {
			t.Fatalf("%d units are %d and %d: no slices", passes, fuel, reserve)
		}
		if left, err := g.call(passes+1+7, passes); err != nil || left != 7 {
			t.Errorf("%s: %d are left: %v", name, left, err)
		}
		if left, err := g.call(passes, passes); err == nil || left != -1 {
			t.Errorf("%s: a unit too few: %d are left: %v", name, left, err)
		}
		// The host stops it with fuel left.
		stop := g.ExportedGlobal(meter.StopGlobal).(api.MutableGlobal)
		stop.Set(api.EncodeI64(-1))
		if left, err := g.call(fuel, passes); err == nil || left < fuel-passes/2 {
			t.Errorf("%s: stopped: %d are left: %v", name, left, err)
		}
		stop.Set(0)
		if left, err := g.call(fuel, passes); err != nil || left != fuel-passes-1 {
			t.Errorf("%s: after that: %d are left: %v", name, left, err)
		}
	}
}

// TestSameCount runs a module that uses everything twice and in both engines.
func TestSameCount(t *testing.T) {
	a := one(typeTest, loop, i32(0), i32(7), local0, fill, i32(0), i32(9), local0, 0xfc, 0x0a, 0, 0, i32(1), grow, drop, again, end, local0)
	first := ""
	for engine, config := range engines {
		for range 2 {
			g, err := start(t, config(), rewritten(t, a, meter.Options{MaxPages: 20}).Wasm)
			if err != nil {
				t.Fatal(err)
			}
			left, err := g.call(fuel, 12345)
			got := fmt.Sprint(left, err)
			if first == "" {
				first = got
			}
			if got != first || err != nil {
				t.Errorf("%s: %s, another time %s", engine, got, first)
			}
		}
	}
}
