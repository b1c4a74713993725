package plugins_test

import "fmt"

// This file is a small assembler: it makes modules for the tests of the ABI
// without any toolchain.

// abi is the module weir as docs/abi.md has it, told apart from the host's own
// table so that a mistake there is found.
var abi = []struct {
	name            string
	params, results int
}{
	{"read", 3, 1}, {"write", 3, 1}, {"get", 4, 1}, {"set", 4, 1}, {"remove", 2, 1}, {"header", 4, 1},
	{"set_header", 4, 1}, {"remove_header", 2, 1}, {"emit", 0, 1}, {"log", 3, 0}, {"fail", 2, 0},
}

// Opcodes.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opBr          = 0x0c
	opReturn      = 0x0f
	opCall        = 0x10
	opDrop        = 0x1a
	opConst       = 0x41
	opNotEqual    = 0x47
	opEqual       = 0x46
	opMemoryGrow  = 0x40
	opLoad8       = 0x2d
	blockEmpty    = 0x40
)

// guest is a module to assemble. A function that is nil is left out.
type guest struct {
	filter, transform, init, initialize []byte
	// pages and maxPages are of its memory, 1 and none by default.
	pages, maxPages int
	data            []byte // at dataAt
	extra           []byte // raw import entries, counted by extraCount
	extraCount      int
	without         string // an export to leave out
	wrongType       string // an export to give the type func(i32)
}

const dataAt = 1024

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

func vec(b []byte) []byte { return append(uleb(uint64(len(b))), b...) }

func section(id byte, count int, body []byte) []byte {
	return append([]byte{id}, vec(append(uleb(uint64(count)), body...))...)
}

func importEntry(module, name string, typ uint64) []byte {
	b := append(vec([]byte(module)), vec([]byte(name))...)
	return append(append(b, 0), uleb(typ)...)
}

// Types: 0 to 4 are functions of so many i32 that return one, 5 to 9 the same
// without a result.
func (g guest) build() []byte {
	var types []byte
	for results := 1; results >= 0; results-- {
		for params := range 5 {
			types = append(types, 0x60)
			for _, n := range []int{params, results} {
				list := make([]byte, n)
				for i := range list {
					list[i] = 0x7f
				}
				types = append(types, vec(list)...)
			}
		}
	}
	var imports []byte
	for _, f := range abi {
		imports = append(imports, importEntry("weir", f.name, uint64(f.params+5*(1-f.results)))...)
	}
	imports = append(imports, g.extra...)
	imported := len(abi) + g.extraCount

	functions := []struct {
		name string
		body []byte
		typ  byte
	}{{"weir_abi_v1", []byte{}, 5}, {"_initialize", g.initialize, 5}, {"weir_init", g.init, 0}, {"weir_filter", g.filter, 0}, {"weir_transform", g.transform, 0}}
	var declared, code, exports []byte
	count, exported := 0, 0
	for _, f := range functions {
		if f.body == nil {
			continue
		}
		if f.name == g.wrongType {
			f.typ = 6
			f.body = nil
		}
		declared = append(declared, f.typ)
		code = append(code, vec(append(append([]byte{0}, f.body...), opEnd))...)
		if f.name != g.without {
			exports = append(append(append(exports, vec([]byte(f.name))...), 0), uleb(uint64(imported+count))...)
			exported++
		}
		count++
	}
	if g.without != "memory" {
		exports = append(append(exports, vec([]byte("memory"))...), 2, 0)
		exported++
	}
	memory := append([]byte{0}, uleb(uint64(max(g.pages, 1)))...)
	if g.maxPages > 0 {
		memory = append(append([]byte{1}, uleb(uint64(max(g.pages, 1)))...), uleb(uint64(g.maxPages))...)
	}
	data := append([]byte{0, opConst}, sleb(dataAt)...)
	data = append(append(data, opEnd), vec(g.data)...)

	wasm := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range [][]byte{
		section(1, 10, types), section(2, imported, imports), section(3, count, declared), section(5, 1, memory),
		section(7, exported, exports), section(10, count, code), section(11, 1, data),
	} {
		wasm = append(wasm, s...)
	}
	return wasm
}

// program writes the body of a function: calls of imports, each with the answer
// that it must have. A wrong answer ends it with an error that names the call.
type program struct {
	body []byte
	data []byte
}

// text puts s into the module's data and returns where.
func (p *program) text(s string) (ptr, size int32) {
	ptr = dataAt + int32(len(p.data))
	p.data = append(p.data, s...)
	return ptr, int32(len(s))
}

func constant(n int32) []byte { return append([]byte{opConst}, sleb(int64(n))...) }

// push pushes arguments: an int, or a string as pointer and size.
func (p *program) push(args []any) {
	for _, a := range args {
		switch a := a.(type) {
		case int:
			p.body = append(p.body, constant(int32(a))...)
		case string:
			ptr, size := p.text(a)
			p.body = append(append(p.body, constant(ptr)...), constant(size)...)
		default:
			panic(fmt.Sprintf("no such argument: %T", a))
		}
	}
}

func (p *program) call(name string, args ...any) *program {
	p.push(args)
	for i, f := range abi {
		if f.name == name {
			p.body = append(append(p.body, opCall), uleb(uint64(i))...)
			return p
		}
	}
	panic("no such import: " + name)
}

// want calls an import that must answer with code.
func (p *program) want(code int, name string, args ...any) *program {
	p.call(name, args...)
	p.body = append(append(p.body, constant(int32(code))...), opNotEqual, opIf, blockEmpty)
	p.call("fail", fmt.Sprintf("%s %v did not answer %d", name, args, code))
	p.body = append(append(append(p.body, constant(-1)...), opReturn), opEnd)
	return p
}

// buffer is where programs read to.
const buffer = 32 << 10

// read calls a reading import with a large buffer and logs what was read. The
// host's length is not known to the program, so the caller gives it.
func (p *program) read(text, name string, args ...any) *program {
	p.want(len(text), name, append(args, buffer, 8<<10)...)
	return p.call("log", 3, buffer, len(text))
}

// returns ends the program.
func (p *program) returns(code int32) []byte {
	return append(append([]byte{}, p.body...), constant(code)...)
}
