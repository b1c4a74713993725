// Package meter rewrites a WebAssembly module so that its work is counted, the
// same on every machine, and so that its state can be put back.
//
// # What is charged
//
// The rewritten module has its fuel in globals that are added. Everything that a
// guest can do without end takes units off it, and the guest traps (unreachable) as
// soon as nothing is left:
//
//   - Every call of a function takes 1 + n/64 units, where n is the number of
//     instructions in the function that are outside of its loops.
//   - Every pass through a loop, the first one included, takes 1 + n/64 units,
//     where n is the number of instructions in the loop that are outside of the
//     loops in it.
//   - memory.copy, memory.fill and memory.init take 1 + bytes/16 units.
//   - table.copy, table.fill, table.init and table.grow take 1 + elements units.
//   - memory.grow takes 1 + 4096 * pages units, and a grow that fails takes the
//     same.
//
// Divisions round down. n counts instructions as they are written, reached or
// not: block, loop and if are instructions, of the region that they stand in;
// else and end are none. What a bulk operation or a grow takes comes on top. A
// function of the host takes nothing: the host charges for its own work if it
// wants to. Segments that are copied when the module is instantiated take
// nothing either, but its start function does.
//
// # Slices
//
// The fuel is handed out in slices: the code takes units off a global that holds the
// current one, [FuelGlobal], and where that is below zero it calls a function that
// was added. That function puts the next slice there, from [ReserveGlobal], and traps
// where both together are below zero, or where the host has set [StopGlobal]. It also
// grows the memory by nothing, which leaves the compiled code for the engine's own:
// there Go can stop the goroutine, for its collector.
//
// # Invariants
//
//   - Units are taken off before the work is done. So a guest that has used up
//     its fuel did nothing that was not paid for, and it is out of fuel exactly
//     where fuel and reserve together are negative after a trap.
//   - The guest can't name the fuel, the reserve or the stop: their indexes are
//     above all of the guest's own, and an index of a global that the guest does
//     not have is refused. The guest can't name what the rewriter adds of types and
//     functions either.
//   - The fuel does not wrap. One charge is less than 2^45 units, and none
//     follows one that trapped, as long as the host sets fuel of 0 and more and
//     calls an instance no more once it is out of fuel.
//   - Every instruction is understood or refused. Numbers in code are written
//     again in their shortest form, so that the compiler and the rewriter can't
//     read the same bytes in two ways.
//   - The rewritten module behaves as the given one does but for the charges,
//     the size its memory and tables can reach, and two kinds of export. Indexes
//     of types, functions, tables, globals and locals stay as they are.
//   - The output follows from the input, the options and [Version] alone.
//
// Rewriting does not validate: a module that comes out must still be compiled,
// and a compiler that validates refuses what was invalid before.
//
// What stays different between machines: the sign and payload of a NaN that
// arithmetic makes (the specification leaves them open), and how deep calls may
// nest before the host's stack ends.
package meter

import (
	"errors"
	"fmt"
)

// Version is part of the key of every cache of rewritten or compiled modules; it
// changes when the output for any input does.
const Version = 3

// FuelGlobal is the name under which the current slice of the fuel is exported: a
// mutable i64.
const FuelGlobal = "weir_fuel"

// ReserveGlobal is the name under which the fuel that is not handed out yet is
// exported: a mutable i64. See [Slice].
const ReserveGlobal = "weir_fuel_reserve"

// StopGlobal is the name under which the stop is exported: a mutable i64, zero
// until another thread sets it below zero to have the guest trap when its slice is
// used up. The guest only reads it. Taking the fuel instead would not do: a loop
// that is short enough writes its fuel again before it has seen another's write,
// for ever.
const StopGlobal = "weir_fuel_stop"

// Slice divides fuel into what [FuelGlobal] and [ReserveGlobal] begin with. What is
// left of it is their sum, at any time.
func Slice(units int64) (fuel, reserve int64) {
	fuel = min(units, sliceSize)
	return fuel, units - fuel
}

// statePrefix and an index is the name under which a mutable global is exported.
const statePrefix = "weir_global_"

// Limits on what a module may ask of the host before it has any fuel to pay
// with. They are far above what compilers produce.
const (
	// MaxLocals is the most local variables of one function.
	MaxLocals = 50_000
	// MaxValues is the most parameters, and the most results, of one type.
	MaxValues = 1000
	// MaxElements is the most elements that all tables together may begin
	// with, and the most that one may grow to.
	MaxElements = 1 << 20
	// MaxTables is the most tables.
	MaxTables = 16
	// maxPages is all that 32 bits can address.
	maxPages = 1 << 16
)

// Options of [Rewrite].
type Options struct {
	// MaxPages is the most memory in pages of 64 KiB. The maximum in the memory
	// section is clamped to it; a lower one of the module's own stays. 0 stands
	// for all that 32 bits can address.
	MaxPages uint32
	// Fuel is what the fuel begins with, in units. The start function of the
	// module runs on it. It must not be negative.
	Fuel int64
}

// Module is a rewritten module.
type Module struct {
	// Wasm is the module in the binary format. It shares nothing with the
	// module that was given.
	Wasm []byte
	// Globals are the names under which the module's own mutable globals are
	// exported, in order of index. Not among them are the fuel, and globals
	// that hold a reference or a vector, which make the module Volatile.
	Globals []string
	// Volatile says why memory and Globals are not all of the module's state,
	// so that an instance of it can't be put back by restoring both. It is
	// empty where they are.
	Volatile string
}

// Errors of [Rewrite]. Their texts say where in the module: an offset in bytes
// from its beginning.
var (
	// ErrUnsupported is a module that may be valid and that can't be metered.
	ErrUnsupported = errors.New("not supported in plugins")
	// ErrMalformed is no WebAssembly module, or a damaged one.
	ErrMalformed = errors.New("malformed WebAssembly module")
)

// Rewrite returns the module that does the same as wasm and is metered. wasm is
// not changed or kept. What wasm is rewritten to takes time and memory in
// proportion to its length, whatever is in it.
//
// Every error is [ErrUnsupported] or [ErrMalformed].
func Rewrite(wasm []byte, o Options) (*Module, error) { return rewrite(wasm, o, false) }

// rewrite is Rewrite, which with foreign set also takes modules that import
// memories, tables and globals. Nothing bounds those, so it is for tests.
func rewrite(wasm []byte, o Options, foreign bool) (*Module, error) {
	if o.Fuel < 0 {
		return nil, fmt.Errorf("%w: fuel of %d units: it must not be negative", ErrUnsupported, o.Fuel)
	}
	if o.MaxPages == 0 || o.MaxPages > maxPages {
		o.MaxPages = maxPages
	}
	m := &module{options: o, foreign: foreign}
	if err := m.parse(wasm); err != nil {
		return nil, err
	}
	return m.write(), nil
}
