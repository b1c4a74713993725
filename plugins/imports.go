package plugins

import (
	"context"
	"fmt"
	"unsafe"

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
	f       func(*instance, arguments) int32
}

// hostFunctions is all of module weir in ABI version 1. Pointers are checked
// before anything else is: a bad one traps whatever the event.
var hostFunctions = []hostFunction{
	{"read", 3, 1, func(i *instance, a arguments) int32 {
		buffer := i.bytes("read", a, 1)
		value, code := i.call.field(a.number(0), i.plugin.config)
		return i.reply(buffer, value, code)
	}},
	{"write", 3, 1, func(i *instance, a arguments) int32 {
		value := i.bytes("write", a, 1)
		i.charge(len(value))
		return i.call.write(a.number(0), value)
	}},
	{"get", 4, 1, func(i *instance, a arguments) int32 {
		path, buffer := i.bytes("get", a, 0), i.bytes("get", a, 2)
		i.charge(len(path) + len(i.call.msg.Data))
		value, code := i.call.get(path)
		return i.reply(buffer, value, code)
	}},
	{"set", 4, 1, func(i *instance, a arguments) int32 {
		path, value := i.bytes("set", a, 0), i.bytes("set", a, 2)
		i.charge(len(path) + len(value) + len(i.call.msg.Data))
		return i.call.set(path, value)
	}},
	{"remove", 2, 1, func(i *instance, a arguments) int32 {
		path := i.bytes("remove", a, 0)
		i.charge(len(path) + len(i.call.msg.Data))
		return i.call.remove(path)
	}},
	{"header", 4, 1, func(i *instance, a arguments) int32 {
		name, buffer := i.bytes("header", a, 0), i.bytes("header", a, 2)
		i.charge(len(name))
		// The name is only looked at, while the guest stands still.
		value, code := i.call.header(unsafe.String(unsafe.SliceData(name), len(name)))
		return i.reply(buffer, value, code)
	}},
	{"set_header", 4, 1, func(i *instance, a arguments) int32 {
		name, value := i.bytes("set_header", a, 0), i.bytes("set_header", a, 2)
		i.charge(len(name) + len(value))
		return i.call.setHeader(string(name), string(value))
	}},
	{"remove_header", 2, 1, func(i *instance, a arguments) int32 {
		name := i.bytes("remove_header", a, 0)
		i.charge(len(name))
		return i.call.removeHeader(string(name))
	}},
	{"emit", 0, 1, func(i *instance, _ arguments) int32 {
		i.charge(i.call.size)
		return i.call.emit()
	}},
	{"log", 3, 0, func(i *instance, a arguments) int32 {
		text := i.bytes("log", a, 1)
		i.charge(len(text))
		i.call.log(int32(a.number(0)), text)
		return 0
	}},
	{"fail", 2, 0, func(i *instance, a arguments) int32 {
		text := i.bytes("fail", a, 0)
		i.charge(len(text))
		i.call.fail(text)
		return 0
	}},
}

// arguments are those of an import, as the engine hands them over.
type arguments []uint64

// number returns an argument. The upper half of a stack word is garbage.
func (a arguments) number(n int) uint32 { return uint32(a[n]) }

// bytes returns the part of the guest's memory that arguments n and n+1 of a
// function name. It is the memory itself: what is kept must be copied. A part
// outside of the memory traps.
func (i *instance) bytes(function string, a arguments, n int) []byte {
	ptr, size := a.number(n), a.number(n+1)
	if size == 0 {
		return nil
	}
	memory := i.linear.region[:i.linear.size]
	if uint64(ptr)+uint64(size) > uint64(len(memory)) {
		panic(&pointerError{function: function, ptr: ptr, size: size, memory: len(memory)})
	}
	return memory[ptr:][:size:size]
}

// reply copies value into the guest's buffer where it fits, and returns its full
// length, or the negative code.
func (i *instance) reply(buffer, value []byte, code int32) int32 {
	if code < 0 {
		return code
	}
	i.charge(len(value))
	if len(value) <= len(buffer) {
		copy(buffer, value)
	}
	return int32(len(value))
}

// pointerError is the trap for a pointer outside of the guest's memory.
type pointerError struct {
	function  string
	ptr, size uint32
	memory    int
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
			WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, stack []uint64) {
				code := h.f(instanceOf(ctx), stack)
				if h.results > 0 {
					stack[0] = api.EncodeI32(code)
				}
			}), params, results).
			Export(h.name)
	}
	_, err := b.Instantiate(ctx)
	return err
}
