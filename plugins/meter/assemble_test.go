package meter_test

import (
	"bytes"
	"slices"
)

// This file is a small assembler: it makes modules for the tests without any
// toolchain.

func uleb(n uint64) []byte {
	var b []byte
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func sleb(n int64) []byte {
	var b []byte
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// code joins instructions: ints are bytes, []byte is as it is.
func code(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case []byte:
			b = append(b, p...)
		case string:
			b = append(append(b, uleb(uint64(len(p)))...), p...)
		default:
			panic("no such part")
		}
	}
	return b
}

func sized(b []byte) []byte { return append(uleb(uint64(len(b))), b...) }

func i32(n int64) []byte { return append([]byte{0x41}, sleb(int64(int32(n)))...) }

func nops(n int) []byte { return bytes.Repeat([]byte{0x01}, n) }

// Types of functions in an assembled module, by index.
const (
	typeNone  = iota // ()
	typeTest         // (i32) -> i32
	typeCount        // how many there are
)

// body is a function. Its locals are raw: a vector of groups.
type body struct {
	typ    int
	locals []byte // none by default
	code   []byte // without the last end
}

// assembly is a module. Sections that are nil are left out. The first function
// is exported as f.
type assembly struct {
	imports   [][]byte
	functions []body
	tables    [][]byte
	memories  [][]byte
	globals   [][]byte
	exports   [][]byte // beside f
	start     []byte
	elements  [][]byte
	data      [][]byte
	dataCount bool
	custom    []byte // a section after all others
	first     []byte // a section before all others
}

func custom(name string, content ...byte) []byte {
	return append([]byte{0}, sized(append(sized([]byte(name)), content...))...)
}

func (a assembly) build() []byte {
	vector := func(id byte, entries [][]byte) []byte {
		if len(entries) == 0 {
			return nil
		}
		return append([]byte{id}, sized(append(uleb(uint64(len(entries))), bytes.Join(entries, nil)...))...)
	}
	imported := 0
	for _, i := range a.imports {
		if bytes.Contains(i, []byte("\x00\x00")) || bytes.Contains(i, []byte("\x00\x01")) {
			imported++
		}
	}
	var declared, bodies [][]byte
	for _, f := range a.functions {
		declared = append(declared, uleb(uint64(f.typ)))
		locals := f.locals
		if locals == nil {
			locals = []byte{0}
		}
		bodies = append(bodies, sized(slices.Concat(locals, f.code, []byte{0x0b})))
	}
	exports := a.exports
	if len(a.functions) > 0 {
		exports = append([][]byte{code("f", 0, uleb(uint64(imported)))}, exports...)
	}
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	wasm = append(wasm, a.first...)
	wasm = append(wasm, vector(1, [][]byte{{0x60, 0, 0}, {0x60, 1, 0x7f, 1, 0x7f}})...)
	wasm = append(wasm, vector(2, a.imports)...)
	wasm = append(wasm, vector(3, declared)...)
	wasm = append(wasm, vector(4, a.tables)...)
	wasm = append(wasm, vector(5, a.memories)...)
	wasm = append(wasm, vector(6, a.globals)...)
	wasm = append(wasm, vector(7, exports)...)
	if a.start != nil {
		wasm = append(append(wasm, 8), sized(a.start)...)
	}
	wasm = append(wasm, vector(9, a.elements)...)
	if a.dataCount {
		wasm = append(wasm, 12, 1, byte(len(a.data)))
	}
	wasm = append(wasm, vector(10, bodies)...)
	wasm = append(wasm, vector(11, a.data)...)
	return append(wasm, a.custom...)
}

// one is a module of one function with everything that its code may speak of: a
// memory of one page, a table of ten elements, a passive segment of each.
func one(typ int, instructions ...any) assembly {
	return assembly{
		functions: []body{{typ: typ, code: code(instructions...)}},
		tables:    [][]byte{{0x70, 0, 10}},
		memories:  [][]byte{{0, 1}},
		exports:   [][]byte{code("memory", 2, 0)},
		elements:  [][]byte{{1, 0, 2, 0, 0}},
		data:      [][]byte{append([]byte{1}, sized(bytes.Repeat([]byte("x"), 100))...)},
		dataCount: true,
	}
}
