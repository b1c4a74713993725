package plugins

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

const i32 = api.ValueTypeI32

// importModule is the module name of the host's functions.
const importModule = "weir"

// hostFunction is one import that the host gives.
type hostFunction struct {
	name    string
	params  int // all i32
	results int
	f       func(*guest) int32
}

// hostFunctions is all of module weir in ABI version 1. Pointers are checked
// before anything else is: a bad one traps whatever the event.
var hostFunctions = []hostFunction{
	{"read", 3, 1, func(g *guest) int32 {
		buffer := g.bytes(1)
		value, code := g.call.field(g.arg(0), g.plugin.config)
		return reply(buffer, value, code)
	}},
	{"write", 3, 1, func(g *guest) int32 { return g.call.write(g.arg(0), g.own(1)) }},
	{"get", 4, 1, func(g *guest) int32 {
		path, buffer := g.text(0), g.bytes(2)
		value, code := g.call.get(path)
		return reply(buffer, value, code)
	}},
	{"set", 4, 1, func(g *guest) int32 {
		path, value := g.text(0), g.bytes(2)
		return g.call.set(path, value)
	}},
	{"remove", 2, 1, func(g *guest) int32 { return g.call.remove(g.text(0)) }},
	{"header", 4, 1, func(g *guest) int32 {
		name, buffer := g.text(0), g.bytes(2)
		value, code := g.call.header(name)
		return reply(buffer, value, code)
	}},
	{"set_header", 4, 1, func(g *guest) int32 {
		name, value := g.text(0), g.text(2)
		return g.call.setHeader(name, value)
	}},
	{"remove_header", 2, 1, func(g *guest) int32 { return g.call.removeHeader(g.text(0)) }},
	{"emit", 0, 1, func(g *guest) int32 { return g.call.emit() }},
	{"log", 3, 0, func(g *guest) int32 {
		g.call.log(int32(g.arg(0)), g.bytes(1))
		return 0
	}},
	{"fail", 2, 0, func(g *guest) int32 {
		g.call.fail(g.bytes(0))
		return 0
	}},
}

// guest is the caller of an import: its arguments, its memory and its call.
type guest struct {
	*instance
	name   string
	stack  []uint64
	memory api.Memory
}

// arg returns an argument. The upper half of a stack word is garbage.
func (g *guest) arg(n int) uint32 { return uint32(g.stack[n]) }

// bytes returns the part of the guest's memory that arguments n and n+1 name. It
// is the memory itself: what is kept must be copied. A part outside of the
// memory traps.
func (g *guest) bytes(n int) []byte {
	ptr, size := g.arg(n), g.arg(n+1)
	if size == 0 {
		return nil
	}
	b, ok := g.memory.Read(ptr, size)
	if !ok {
		panic(&pointerError{function: g.name, ptr: ptr, size: size, memory: g.memory.Size()})
	}
	return b
}

// own returns a copy of the same part.
func (g *guest) own(n int) []byte { return append([]byte(nil), g.bytes(n)...) }

// text returns the same part as a string.
func (g *guest) text(n int) string { return string(g.bytes(n)) }

// reply copies value into the guest's buffer where it fits, and returns its full
// length, or the negative code.
func reply(buffer, value []byte, code int32) int32 {
	if code < 0 {
		return code
	}
	if len(value) <= len(buffer) {
		copy(buffer, value)
	}
	return int32(len(value))
}

// pointerError is the trap for a pointer outside of the guest's memory.
type pointerError struct {
	function          string
	ptr, size, memory uint32
}

func (e *pointerError) Error() string {
	return fmt.Sprintf("%s was given %d bytes at %d, outside of the memory of %d bytes", e.function, e.size, e.ptr, e.memory)
}

// instantiateImports gives a runtime the module weir.
func instantiateImports(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(importModule)
	for _, h := range hostFunctions {
		params := make([]api.ValueType, h.params)
		for n := range params {
			params[n] = i32
		}
		results := []api.ValueType{i32}[:h.results]
		b = b.NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
				g := guest{instance: instanceOf(ctx), name: h.name, stack: stack, memory: mod.Memory()}
				code := h.f(&g)
				if h.results > 0 {
					stack[0] = api.EncodeI32(code)
				}
			}), params, results).
			Export(h.name)
	}
	_, err := b.Instantiate(ctx)
	return err
}
