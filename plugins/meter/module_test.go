package meter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weirhq/weir/plugins/meter"
)

// with returns a module of one with a change.
func with(change func(*assembly), instructions ...any) assembly {
	a := one(typeNone, instructions...)
	change(&a)
	return a
}

// TestRefused has what must not come through, by what the error says of it.
func TestRefused(t *testing.T) {
	padded := func(n int) []byte { return append(bytes.Repeat([]byte{0x80}, n-1), 0) }
	// The module has one global, so 1 would be the fuel, and two functions, so 2
	// would be the function that charges for the fill.
	own := func(a *assembly) {
		a.globals = [][]byte{{0x7f, 1, 0x41, 0, 0x0b}}
		a.functions = append(a.functions, body{code: code(i32(0), i32(0), i32(0), fill)})
	}
	names := func(name string) func(*assembly) {
		return func(a *assembly) { own(a); a.exports = append(a.exports, code(name, 3, 0)) }
	}
	cases := []struct {
		name   string
		module assembly
		kind   error
		says   string
	}{
		{"an atomic load", one(typeNone, i32(0), 0xfe, 0x10, 2, 0, drop), meter.ErrUnsupported, "opcode 0xfe (threads"},
		{"try", one(typeNone, 0x06, 0x40, end), meter.ErrUnsupported, "opcode 0x06 (exception handling"},
		{"throw", one(typeNone, 0x08, 0), meter.ErrUnsupported, "opcode 0x08 (exception handling"},
		{"try_table", one(typeNone, 0x1f, 0x40, 0, end), meter.ErrUnsupported, "opcode 0x1f (exception handling"},
		{"return_call", one(typeNone, 0x12, 0), meter.ErrUnsupported, "opcode 0x12 (tail calls"},
		{"return_call_indirect", one(typeNone, i32(0), 0x13, 0, 0), meter.ErrUnsupported, "opcode 0x13 (tail calls"},
		{"call_ref", one(typeNone, 0x14, 0), meter.ErrUnsupported, "opcode 0x14 (typed function references"},
		{"struct.new", one(typeNone, 0xfb, 0, 0, drop), meter.ErrUnsupported, "opcode 0xfb (garbage collection"},
		{"relaxed SIMD", one(typeNone, 0xfd, 0x80, 0x02), meter.ErrUnsupported, "opcode 0xfd 0x100 (relaxed SIMD"},
		{"a hole in SIMD", one(typeNone, 0xfd, 0x9a, 0x01), meter.ErrUnsupported, "unknown opcode 0xfd 0x9a"},
		{"far beyond SIMD", one(typeNone, 0xfd, 0xff, 0xff, 0xff, 0xff, 0x0f), meter.ErrUnsupported, "unknown opcode 0xfd 0xffffffff"},
		{"a bulk operation to come", one(typeNone, 0xfc, 0x12), meter.ErrUnsupported, "unknown opcode 0xfc 0x12"},
		{"a bulk operation that is known modulo 256", one(typeNone, 0xfc, 0x8b, 0x02, 0), meter.ErrUnsupported, "unknown opcode 0xfc 0x10b"},
		{"an opcode to come", one(typeNone, 0x27), meter.ErrUnsupported, "unknown opcode 0x27 at byte"},
		{"i64.add128", one(typeNone, 0xfc, 0x13), meter.ErrUnsupported, "unknown opcode 0xfc 0x13"},

		{"setting the fuel", with(own, i32(0), 0x24, 1), meter.ErrMalformed, "global 1, where there are 1"},
		{"reading the fuel", with(own, 0x23, 1, drop), meter.ErrMalformed, "global 1, where there are 1"},
		{"setting the fuel by a padded number", with(own, i32(0), 0x24, 0x81, 0x80, 0), meter.ErrMalformed, "global 1, where there are 1"},
		{"the fuel as an initial value", with(func(a *assembly) {
			a.globals = [][]byte{{0x7e, 0, 0x23, 0, 0x0b}}
		}), meter.ErrMalformed, "global 0, where there are 0"},
		{"the fuel as an offset of data", with(func(a *assembly) {
			a.data = [][]byte{{0, 0x23, 0, 0x0b, 0}}
		}), meter.ErrMalformed, "global 0, where there are 0"},
		{"exporting the fuel", with(func(a *assembly) {
			own(a)
			a.exports = append(a.exports, code("x", 3, 1))
		}), meter.ErrMalformed, "global 1, where there are 1"},
		{"calling what charges", with(own, i32(0), 0x10, 2, drop), meter.ErrMalformed, "function 2, where there are 2"},
		{"a reference to what charges", with(own, 0xd2, 2, drop), meter.ErrMalformed, "function 2, where there are 2"},
		{"what charges in a table", with(func(a *assembly) {
			own(a)
			a.elements = [][]byte{{1, 0, 1, 2}}
		}), meter.ErrMalformed, "function 2, where there are 2"},
		{"what charges in a table, as an expression", with(func(a *assembly) {
			own(a)
			a.elements = [][]byte{{5, 0x70, 1, 0xd2, 2, 0x0b}}
		}), meter.ErrMalformed, "function 2, where there are 2"},
		{"exporting what charges", with(func(a *assembly) {
			own(a)
			a.exports = append(a.exports, code("x", 0, 2))
		}), meter.ErrMalformed, "function 2, where there are 2"},
		{"starting with what charges", with(func(a *assembly) { own(a); a.start = []byte{2} }), meter.ErrMalformed, "function 2, where there are 2"},
		{"a block of the type of what charges", with(own, 0x02, typeCount, end), meter.ErrMalformed, "type 2, where there are 2"},
		{"an indirect call of the type of what charges", with(own, i32(0), i32(0), 0x11, typeCount, 0, drop), meter.ErrMalformed, "type 2, where there are 2"},
		{"a function of the type of what charges", with(func(a *assembly) { a.functions[0].typ = typeCount }), meter.ErrMalformed, "type 2, where there are 2"},
		{"a name of the host's", with(names("weir_fuel")), meter.ErrUnsupported, `the export "weir_fuel"`},
		{"another name of the host's", with(names("weir_fuel2")), meter.ErrUnsupported, `the export "weir_fuel2"`},
		{"the name of a global", with(names("weir_global_0")), meter.ErrUnsupported, `the export "weir_global_0"`},

		{"an imported memory", with(func(a *assembly) { a.imports, a.memories = [][]byte{code("env", "memory", 2, 0, 1)}, nil }), meter.ErrUnsupported, `the imported memory "env" "memory"`},
		{"an imported table", with(func(a *assembly) { a.imports = [][]byte{code("env", "t", 1, 0x70, 0, 1)} }), meter.ErrUnsupported, `the imported table "env" "t"`},
		{"an imported global", with(func(a *assembly) { a.imports = [][]byte{code("env", "g", 3, 0x7f, 0)} }), meter.ErrUnsupported, `the imported global "env" "g"`},
		{"an imported tag", with(func(a *assembly) { a.imports = [][]byte{code("env", "g", 4, 0, 0)} }), meter.ErrUnsupported, "exception handling"},
		{"two memories", with(func(a *assembly) { a.memories = [][]byte{{0, 1}, {0, 1}} }), meter.ErrUnsupported, "several memories"},
		{"a load from a second memory", one(typeNone, i32(0), 0x28, 0x42, 1, 0, drop), meter.ErrUnsupported, "several memories"},
		{"growing a second memory", one(typeNone, i32(0), 0x40, 1, drop), meter.ErrUnsupported, "several memories"},
		{"data of a second memory", with(func(a *assembly) { a.data = [][]byte{{2, 1, 0x41, 0, 0x0b, 0}} }), meter.ErrUnsupported, "several memories"},
		{"a memory of 64 bits", with(func(a *assembly) { a.memories = [][]byte{{4, 1}} }), meter.ErrUnsupported, "memory64"},
		{"a shared memory", with(func(a *assembly) { a.memories = [][]byte{{3, 1, 2}} }), meter.ErrUnsupported, "threads"},
		{"small pages", with(func(a *assembly) { a.memories = [][]byte{{8, 1, 0}} }), meter.ErrUnsupported, "custom page sizes"},
		{"a section of tags", with(func(a *assembly) { a.first = []byte{13, 3, 1, 0, 0} }), meter.ErrUnsupported, "exception handling"},
		{"a section to come", with(func(a *assembly) { a.first = []byte{14, 0} }), meter.ErrUnsupported, "unknown kind 14"},
		{"a table with an initial value", with(func(a *assembly) { a.tables = [][]byte{{0x40, 0, 0x70, 0, 1, 0xd0, 0x70, 0x0b}} }), meter.ErrUnsupported, "typed function references"},
		{"an extended constant", with(func(a *assembly) { a.globals = [][]byte{{0x7f, 0, 0x41, 0, 0x41, 0, 0x6a, 0x0b}} }), meter.ErrUnsupported, "extended constant expressions"},
		{"a local of exnref", with(func(a *assembly) { a.functions[0].locals = []byte{1, 1, 0x69} }), meter.ErrUnsupported, "exception handling"},
		{"a typed null", one(typeNone, 0xd0, 0x00, drop), meter.ErrUnsupported, "typed references"},

		{"too much memory", with(func(a *assembly) { a.memories = [][]byte{{0, 11}} }), meter.ErrUnsupported, "begins with 11 pages of 64 KiB, where 10 are the most"},
		{"a memory that can't be", with(func(a *assembly) { a.memories = [][]byte{code(0, uleb(65537))} }), meter.ErrMalformed, "out of range"},
		{"a maximum below the minimum", with(func(a *assembly) { a.memories = [][]byte{{1, 2, 1}} }), meter.ErrMalformed, "out of range"},
		{"too large a table", with(func(a *assembly) { a.tables = [][]byte{code(0x70, 0, uleb(1<<20+1))} }), meter.ErrUnsupported, "tables that begin with"},
		{"two tables that are too large together", with(func(a *assembly) {
			a.tables = [][]byte{code(0x70, 0, uleb(1<<20)), code(0x70, 0, 1)}
		}), meter.ErrUnsupported, "tables that begin with"},
		{"too many tables", with(func(a *assembly) { a.tables = slices.Repeat([][]byte{{0x70, 0, 0}}, 17) }), meter.ErrUnsupported, "more than 16 tables"},
		{"too many locals", with(func(a *assembly) { a.functions[0].locals = code(1, uleb(50_001), 0x7f) }), meter.ErrUnsupported, "local variables"},
		{"too many locals in groups", with(func(a *assembly) {
			a.functions[0].locals = code(2, uleb(0xffffffff), 0x7f, uleb(0xffffffff), 0x7f)
		}), meter.ErrUnsupported, "local variables"},

		{"else without if", one(typeNone, block, 0x05, end), meter.ErrMalformed, "else without if"},
		{"else twice", one(typeNone, i32(0), 0x04, 0x40, 0x05, 0x05, end), meter.ErrMalformed, "else without if"},
		{"code behind the end", one(typeNone, end, nops(1)), meter.ErrMalformed, "a function has 2 bytes too many"},
		{"no end", one(typeNone, block), meter.ErrMalformed, "a function without its end"},
		{"a number of six bytes", one(typeNone, 0x20, padded(6), drop), meter.ErrMalformed, "a number is too large"},
		{"a number of 33 bits", one(typeNone, 0x20, 0x80, 0x80, 0x80, 0x80, 0x10, drop), meter.ErrMalformed, "a number is too large"},
		{"a signed number of 33 bits", one(typeNone, 0x41, 0x80, 0x80, 0x80, 0x80, 0x08, drop), meter.ErrMalformed, "a number is too large"},
		{"a signed number of 65 bits", one(typeNone, 0x42, bytes.Repeat([]byte{0x80}, 9), 0x01, drop), meter.ErrMalformed, "a number is too large"},
		{"an alignment that can't be", one(typeNone, i32(0), 0x28, 0x20, 0, drop), meter.ErrMalformed, "an alignment of 2^32"},
		{"select of two types", one(typeNone, 0x1c, 2, 0x7f, 0x7f), meter.ErrMalformed, "select with 2 types"},
		{"a block of an unknown type", one(typeNone, 0x02, 0x41, end), meter.ErrMalformed, "unknown type 0x41"},
		{"more branches than bytes", one(typeNone, 0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f), meter.ErrMalformed, "entries are announced"},
		{"a function of 2^32 groups of locals", with(func(a *assembly) { a.functions[0].locals = uleb(0xffffffff) }), meter.ErrMalformed, "entries are announced"},
		{"sections in the wrong order", with(func(a *assembly) { a.first = []byte{3, 1, 0} }), meter.ErrMalformed, "section 1 twice or in the wrong place"},
		{"a section of 2^32 functions", with(func(a *assembly) { a.custom = nil; a.first = code(1, 5, uleb(0xffffffff)) }), meter.ErrMalformed, "entries are announced"},
		{"a section beyond the end", with(func(a *assembly) { a.custom = code(0, uleb(0xffffffff)) }), meter.ErrMalformed, "bytes are announced"},
		{"a custom section without a UTF-8 name", with(func(a *assembly) { a.custom = custom("\xff") }), meter.ErrMalformed, "not UTF-8"},
	}
	for _, c := range cases {
		m, err := meter.Rewrite(c.module.build(), meter.Options{MaxPages: 10})
		if err == nil {
			t.Errorf("%s: taken, as %d bytes", c.name, len(m.Wasm))
			continue
		}
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "at byte 0x") {
			t.Errorf("%s: got %q, want %q", c.name, err, c.says)
		}
	}
	for name, wasm := range map[string][]byte{"nothing": nil, "a text": []byte("(module)"), "half a beginning": []byte("\x00asm\x01")} {
		if _, err := meter.Rewrite(wasm, meter.Options{}); !errors.Is(err, meter.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := meter.Rewrite([]byte("\x00asm\x0d\x00\x01\x00"), meter.Options{}); !errors.Is(err, meter.ErrUnsupported) {
		t.Errorf("a component: %v", err)
	}
	if _, err := meter.Rewrite(one(typeNone).build(), meter.Options{Fuel: -1}); !errors.Is(err, meter.ErrUnsupported) {
		t.Errorf("fuel below zero: %v", err)
	}
}

// TestOffset looks that an error names the place.
func TestOffset(t *testing.T) {
	wasm := one(typeNone, nops(5), 0x27, nops(5)).build()
	_, err := meter.Rewrite(wasm, meter.Options{})
	if want := fmt.Sprintf("at byte %#x", bytes.IndexByte(wasm, 0x27)); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want it %s", err, want)
	}
}

func TestMemoryLimit(t *testing.T) {
	for _, c := range []struct {
		memory []byte
		most   uint32
		want   uint32 // the maximum afterwards
	}{
		{[]byte{0, 1}, 10, 10},
		{[]byte{1, 1, 5}, 10, 5},
		{[]byte{1, 1, 50}, 10, 10},
		{[]byte{0, 10}, 10, 10},
		{[]byte{1, 0, 0}, 10, 0},
		{[]byte{0, 1}, 0, 65536},
		{[]byte{0, 1}, 1 << 30, 65536},
	} {
		a := one(typeTest, local0, grow)
		a.memories = [][]byte{c.memory}
		m := rewritten(t, a, meter.Options{MaxPages: c.most, Fuel: fuel})
		r := wazero.NewRuntimeWithConfig(context.Background(), wazero.NewRuntimeConfigInterpreter())
		compiled, err := r.CompileModule(context.Background(), m.Wasm)
		if err != nil {
			t.Fatalf("%x: %v", c.memory, err)
		}
		if most, limited := compiled.ExportedMemories()["memory"].Max(); most != c.want || !limited {
			t.Errorf("memory %x under a limit of %d pages: the maximum is %d, want %d", c.memory, c.most, most, c.want)
		}
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	g, err := start(t, wazero.NewRuntimeConfig(), rewritten(t, one(typeTest, local0, grow), meter.Options{MaxPages: 3}).Wasm)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []int32{1, 2, -1, -1} {
		g.fill(fuel)
		r, err := g.ExportedFunction("f").Call(context.Background(), 1)
		if err != nil || int32(r[0]) != want {
			t.Errorf("grow %d: %d, %v, want %d", n, int32(r[0]), err, want)
		}
	}
}

func TestTableLimit(t *testing.T) {
	for _, c := range []struct {
		table []byte
		grow  uint64
		want  int32
	}{
		{[]byte{0x70, 0, 10}, 1<<20 - 10, 10},
		{[]byte{0x70, 0, 10}, 1<<20 - 9, -1},
		{[]byte{0x70, 1, 10, 11}, 1, 10},
		{[]byte{0x70, 1, 10, 11}, 2, -1},
		{code(0x70, 1, 10, uleb(1<<21)), 1 << 20, -1},
	} {
		a := one(typeTest, refNull, local0, 0xfc, 0x0f, 0)
		a.tables = [][]byte{c.table}
		g, err := start(t, wazero.NewRuntimeConfig(), rewritten(t, a, meter.Options{Fuel: fuel}).Wasm)
		if err != nil {
			t.Fatal(err)
		}
		r, err := g.ExportedFunction("f").Call(context.Background(), c.grow)
		if err != nil || int32(r[0]) != c.want {
			t.Errorf("table %x: grown by %d it gives %d, %v, want %d", c.table, c.grow, int32(r[0]), err, c.want)
		}
	}
}

// TestGlobals puts an instance back.
func TestGlobals(t *testing.T) {
	a := one(typeNone, 0x42, 5, 0x24, 2, 0x43, 0, 0, 0x80, 0x3f, 0x24, 3)
	a.globals = [][]byte{
		{0x7f, 0, 0x41, 1, 0x0b},
		{0x7f, 1, 0x41, 2, 0x0b},
		{0x7e, 1, 0x42, 3, 0x0b},
		{0x7d, 1, 0x43, 0, 0, 0, 0, 0x0b},
		{0x70, 0, 0xd0, 0x70, 0x0b},
		{0x7c, 1, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b},
	}
	a.exports = append(a.exports, code("mine", 3, 1))
	m := rewritten(t, a, meter.Options{Fuel: fuel})
	if want := []string{"weir_global_1", "weir_global_2", "weir_global_3", "weir_global_5"}; !slices.Equal(m.Globals, want) {
		t.Fatalf("got the globals %q, want %q", m.Globals, want)
	}
	if m.Volatile != "" {
		t.Errorf("volatile: %s", m.Volatile)
	}
	g, err := start(t, wazero.NewRuntimeConfig(), m.Wasm)
	if err != nil {
		t.Fatal(err)
	}
	values := func() (v []uint64) {
		for _, name := range m.Globals {
			v = append(v, g.ExportedGlobal(name).Get())
		}
		return v
	}
	before := values()
	if want := []uint64{2, 3, 0, 0}; !slices.Equal(before, want) {
		t.Fatalf("at first %x, want %x", before, want)
	}
	if _, err := g.call(10); err != nil {
		t.Fatal(err)
	}
	if want := []uint64{2, 5, 0x3f800000, 0}; !slices.Equal(values(), want) {
		t.Fatalf("after a call %x, want %x", values(), want)
	}
	for n, name := range m.Globals {
		g.ExportedGlobal(name).(api.MutableGlobal).Set(before[n])
	}
	if !slices.Equal(values(), before) {
		t.Fatalf("put back %x, want %x", values(), before)
	}
	g.ExportedGlobal("mine").(api.MutableGlobal).Set(77)
	if got := values()[0]; got != 77 {
		t.Errorf("the module's own export of a global is another one: %d", got)
	}
}

func TestVolatile(t *testing.T) {
	for name, c := range map[string]struct {
		module assembly
		want   string
	}{
		"memory":      {one(typeNone, i32(0), i32(0), i32(0), fill, i32(0), i32(0), i32(0), 0xfc, 0x08, 0, 0, i32(1), grow, drop), ""},
		"table.get":   {one(typeNone, i32(0), 0x25, 0, drop, 0xfc, 0x10, 0, drop), ""},
		"table.set":   {one(typeNone, i32(0), refNull, 0x26, 0), "it uses table.set"},
		"table.grow":  {one(typeNone, refNull, i32(0), 0xfc, 0x0f, 0, drop), "it uses table.grow"},
		"table.fill":  {one(typeNone, i32(0), refNull, i32(0), 0xfc, 0x11, 0), "it uses table.fill"},
		"table.copy":  {one(typeNone, i32(0), i32(0), i32(0), 0xfc, 0x0e, 0, 0), "it uses table.copy"},
		"table.init":  {one(typeNone, i32(0), i32(0), i32(0), 0xfc, 0x0c, 0, 0), "it uses table.init"},
		"elem.drop":   {one(typeNone, 0xfc, 0x0d, 0), "it uses elem.drop"},
		"data.drop":   {one(typeNone, 0xfc, 0x09, 0), "it uses data.drop"},
		"two":         {one(typeNone, 0xfc, 0x09, 0, 0xfc, 0x0d, 0), "it uses data.drop"},
		"a vector":    {with(func(a *assembly) { a.globals = [][]byte{code(0x7b, 1, 0xfd, 0x0c, make([]byte, 16), end)} }), "its global 0 is mutable and of type v128"},
		"a constant":  {with(func(a *assembly) { a.globals = [][]byte{code(0x7b, 0, 0xfd, 0x0c, make([]byte, 16), end)} }), ""},
		"a reference": {with(func(a *assembly) { a.globals = [][]byte{{0x70, 1, 0xd0, 0x70, 0x0b}} }), "its global 0 is mutable and of type funcref"},
		"an extern":   {with(func(a *assembly) { a.globals = [][]byte{{0x6f, 1, 0xd0, 0x6f, 0x0b}} }), "its global 0 is mutable and of type externref"},
	} {
		m := rewritten(t, c.module, meter.Options{Fuel: fuel})
		if m.Volatile != c.want || len(m.Globals) != 0 {
			t.Errorf("%s: got %q and the globals %q, want %q", name, m.Volatile, m.Globals, c.want)
		}
		if _, err := start(t, wazero.NewRuntimeConfigInterpreter(), m.Wasm); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCustomSections looks which are kept.
func TestCustomSections(t *testing.T) {
	names := func(content ...byte) []byte { return custom("name", content...) }
	for name, c := range map[string]struct {
		section []byte
		kept    bool
	}{
		"producers":                {custom("producers", 0), true},
		"one of the author's":      {custom("build", 1, 2, 3), true},
		"one like debug":           {custom("debug_info", 1), true},
		"debug":                    {custom(".debug_info", 1), false},
		"a source map":             {custom("sourceMappingURL", 1, 'x'), false},
		"external debug":           {custom("external_debug_info", 1, 'x'), false},
		"relocations":              {custom("reloc.CODE", 1), false},
		"linking":                  {custom("linking", 2), false},
		"hints for branches":       {custom("metadata.code.branch_hint", 0), false},
		"names":                    {names(0, 2, 1, 'm', 1, 4, 1, 0, 1, 'f', 2, 6, 1, 0, 1, 0, 1, 'x'), true},
		"names of another kind":    {names(7, 3, 1, 2, 3), true},
		"no names":                 {names(), true},
		"2^32 names":               {names(1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f), false},
		"2^32 names of locals":     {names(2, 7, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f), false},
		"names that are cut off":   {names(1, 9, 1, 0), false},
		"names with a strange end": {names(1, 5, 1, 0, 1, 'f', 0), false},
		"a name that is no text":   {names(1, 4, 1, 0, 1, 0xff), false},
	} {
		for where, a := range map[string]assembly{"first": {first: c.section}, "last": {custom: c.section}} {
			a.functions = []body{{}}
			m := rewritten(t, a, meter.Options{Fuel: fuel})
			if kept := bytes.Contains(m.Wasm, c.section[2:]); kept != c.kept {
				t.Errorf("%s, %s: kept %v", name, where, kept)
			}
			if _, err := start(t, wazero.NewRuntimeConfigInterpreter(), m.Wasm); err != nil {
				t.Errorf("%s, %s: %v", name, where, err)
			}
		}
	}
}

// TestShortestForm has the same module with its numbers written short and long.
func TestShortestForm(t *testing.T) {
	long := func(n uint64) []byte {
		b := make([]byte, 5)
		for i := range b {
			b[i] = byte(n>>(7*i))&0x7f | 0x80
		}
		b[4] &= 0x7f
		return b
	}
	longSigned := func(n int64, size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(n>>(7*i))&0x7f | 0x80
		}
		b[size-1] &= 0x7f
		return b
	}
	build := func(u func(uint64) []byte, s func(int64, int) []byte) []byte {
		a := one(typeTest,
			0x02, s(-64, 2), 0x02, s(typeNone, 3), end, 0x03, s(-64, 5), end, end,
			0x20, u(0), 0x22, u(300), 0x41, s(-1, 5), 0x6a, 0x1a,
			0x42, s(-5000, 10), 0x1a, 0x42, s(1<<40, 9), 0x1a,
			0x41, s(0, 4), 0x28, u(2), u(16), 0x24, u(0), 0x23, u(0), 0x1a,
			0x41, s(0, 2), 0x41, s(0, 2), 0x41, s(70, 5), 0xfc, u(0x0b), 0,
			0x41, s(0, 2), 0x41, s(0, 2), 0x41, s(70, 5), 0xfc, u(0x08), u(0), 0,
			0xfd, u(0x0c), make([]byte, 16), 0xfd, u(0x80), 0x1a,
			0x02, s(-64, 2), 0x41, s(9, 2), 0x0e, u(1), u(0), u(0), end,
			0x20, u(0), 0x41, s(1, 2), 0x11, u(typeTest), u(0), 0x1a,
			0x41, s(0, 2), 0xd0, 0x70, 0x26, u(0),
			0x41, s(64, 2), 0x10, u(0))
		a.functions[0].locals = code(u(2), u(200), 0x7f, u(200), 0x7f)
		a.functions[0].locals = code(u(1), u(400), 0x7f)
		a.globals = [][]byte{{0x7f, 1, 0x41, 0, 0x0b}}
		return a.build()
	}
	short := build(uleb, func(n int64, _ int) []byte { return sleb(n) })
	padded := build(long, longSigned)
	if bytes.Equal(short, padded) {
		t.Fatal("both are written alike")
	}
	var outputs [][]byte
	for name, wasm := range map[string][]byte{"short": short, "padded": padded} {
		m, err := meter.Rewrite(wasm, meter.Options{Fuel: fuel})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := start(t, wazero.NewRuntimeConfig(), m.Wasm); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		outputs = append(outputs, m.Wasm)
	}
	if !bytes.Equal(outputs[0], outputs[1]) {
		t.Errorf("the same module written in two ways is rewritten to\n%x\nand\n%x", outputs[0], outputs[1])
	}
}

// TestInputIsKept looks that the input is neither changed nor shared.
func TestInputIsKept(t *testing.T) {
	a := one(typeTest, countdown(nil), local0)
	wasm := a.build()
	before := bytes.Clone(wasm)
	m, err := meter.Rewrite(wasm, meter.Options{Fuel: fuel})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(wasm, before) {
		t.Error("the input was changed")
	}
	output := bytes.Clone(m.Wasm)
	clear(wasm)
	if !bytes.Equal(m.Wasm, output) {
		t.Error("the output changes with the input")
	}
}

// TestOutputFollows looks that the output follows from input and options alone.
func TestOutputFollows(t *testing.T) {
	wasm := one(typeTest, countdown(nil), local0).build()
	outputs := map[string]bool{}
	for range 3 {
		for _, o := range []meter.Options{{}, {MaxPages: 5}, {Fuel: 7}} {
			m, err := meter.Rewrite(wasm, o)
			if err != nil {
				t.Fatal(err)
			}
			outputs[string(m.Wasm)] = true
		}
	}
	if len(outputs) != 3 {
		t.Errorf("three options gave %d outputs", len(outputs))
	}
}

// TestProportion looks that hostile modules cost no more than their length.
func TestProportion(t *testing.T) {
	const deep = 200_000
	nested := one(typeNone, bytes.Repeat(loop, deep), bytes.Repeat(end, deep)).build()
	for name, wasm := range map[string][]byte{
		"loops in loops":     nested,
		"loops without ends": nested[:len(nested)-deep],
		"padded numbers":     one(typeNone, bytes.Repeat([]byte{0x41, 0x80, 0x00, 0x1a}, deep)).build(),
		"growing":            one(typeNone, bytes.Repeat(code(i32(0), grow, drop), deep)).build(),
		"functions":          assembly{functions: make([]body, deep)}.build(),
		"2^32 types":         append([]byte("\x00asm\x01\x00\x00\x00\x01\x05"), uleb(0xffffffff)...),
		"2^32 functions":     append([]byte("\x00asm\x01\x00\x00\x00\x0a\x05"), uleb(0xffffffff)...),
		"2^32 bytes":         append([]byte("\x00asm\x01\x00\x00\x00\x0b"), uleb(0xffffffff)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := meter.Rewrite(wasm, meter.Options{Fuel: fuel})
		runtime.ReadMemStats(&after)
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(16<<10+120*len(wasm)); used > most {
			t.Errorf("%s: %d bytes of memory for a module of %d", name, used, len(wasm))
		}
		if err != nil {
			if !errors.Is(err, meter.ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if most := 4096 + 16*len(wasm); len(m.Wasm) > most {
			t.Errorf("%s: %d bytes became %d", name, len(wasm), len(m.Wasm))
		}
	}
}
