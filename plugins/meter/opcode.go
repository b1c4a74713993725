package meter

import "fmt"

// immediate says what follows an opcode.
type immediate uint8

const (
	unknown        immediate = iota // the opcode is refused
	none                            // nothing
	blockType                       // the type of a block
	blockElse                       // nothing: else
	blockEnd                        // nothing: end
	label                           // an unsigned number that needs no check: label, local, segment
	labels                          // br_table's
	functionIndex                   // call, ref.func
	indirect                        // a type and a table
	valueTypes                      // select's
	globalIndex                     // global.get, global.set
	tableIndex                      // table.get, table.size
	tableChange                     // table.set
	memoryArgument                  // alignment and offset
	memoryIndex                     // a byte that is zero: memory.size
	memoryGrow                      // the same: memory.grow
	number32                        // a signed number of 32 bits
	number64                        // a signed number of 64 bits
	fourBytes                       // f32.const
	eightBytes                      // f64.const
	sixteenBytes                    // v128.const, i8x16.shuffle
	heapType                        // ref.null
	lane                            // a byte
	memoryLane                      // alignment, offset and a byte
	prefixed                        // one more opcode: 0xfc, 0xfd
)

// Opcodes that the code names.
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opIf          = 0x04
	opEnd         = 0x0b
	opCall        = 0x10
	opDrop        = 0x1a
	opSelect      = 0x1b
	opLocalGet    = 0x20
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI64LtS      = 0x53
	opI32Or       = 0x72
	opI64Add      = 0x7c
	opI64Sub      = 0x7d
	opI64ShL      = 0x86
	opI64ShrU     = 0x88
	opI64ExtendU  = 0xad
	opRefNull     = 0xd0
	opRefFunc     = 0xd2
	opBulk        = 0xfc
	opVector      = 0xfd
)

// Types in the binary format.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
	typeFunction  = 0x60
	typeEmpty     = 0x40
)

// span is a run of opcodes that are followed by the same.
type span struct {
	first, last byte
	follows     immediate
}

// opcodes are those of one byte. What is in none of them is refused.
var opcodes = table(
	span{0x00, 0x01, none}, // unreachable, nop
	span{0x02, 0x04, blockType},
	span{0x05, 0x05, blockElse},
	span{0x0b, 0x0b, blockEnd},
	span{0x0c, 0x0d, label}, // br, br_if
	span{0x0e, 0x0e, labels},
	span{0x0f, 0x0f, none}, // return
	span{0x10, 0x10, functionIndex},
	span{0x11, 0x11, indirect},
	span{0x1a, 0x1b, none}, // drop, select
	span{0x1c, 0x1c, valueTypes},
	span{0x20, 0x22, label}, // local.get, local.set, local.tee
	span{0x23, 0x24, globalIndex},
	span{0x25, 0x25, tableIndex},
	span{0x26, 0x26, tableChange},
	span{0x28, 0x3e, memoryArgument},
	span{0x3f, 0x3f, memoryIndex},
	span{0x40, 0x40, memoryGrow},
	span{0x41, 0x41, number32},
	span{0x42, 0x42, number64},
	span{0x43, 0x43, fourBytes},
	span{0x44, 0x44, eightBytes},
	span{0x45, 0xc4, none}, // arithmetic, conversions, sign extension
	span{0xd0, 0xd0, heapType},
	span{0xd1, 0xd1, none}, // ref.is_null
	span{0xd2, 0xd2, functionIndex},
	span{0xfc, 0xfd, prefixed},
)

// vectors are the opcodes after 0xfd.
var vectors = table(
	span{0x00, 0x0b, memoryArgument},
	span{0x0c, 0x0d, sixteenBytes},
	span{0x0e, 0x14, none},
	span{0x15, 0x22, lane},
	span{0x23, 0x53, none},
	span{0x54, 0x5b, memoryLane},
	span{0x5c, 0x5d, memoryArgument},
	span{0x5e, 0x99, none},
	span{0x9b, 0xa1, none},
	span{0xa3, 0xa4, none},
	span{0xa7, 0xae, none},
	span{0xb1, 0xb1, none},
	span{0xb5, 0xba, none},
	span{0xbc, 0xc1, none},
	span{0xc3, 0xc4, none},
	span{0xc7, 0xce, none},
	span{0xd1, 0xd1, none},
	span{0xd5, 0xe1, none},
	span{0xe3, 0xed, none},
	span{0xef, 0xff, none},
)

func table(spans ...span) (t [256]immediate) {
	for _, s := range spans {
		for op := int(s.first); op <= int(s.last); op++ {
			t[op] = s.follows
		}
	}
	return t
}

// bulk is an operation after 0xfc.
type bulk struct {
	name string
	// numbers follow, and then zeros bytes that are zero.
	numbers, zeros int
	// tables says that the last numbers are indexes of so many tables.
	tables int
	charge charge
	// changes says that it changes state which is not in memory or globals.
	changes bool
}

// bulks are the opcodes after 0xfc.
var bulks = [...]bulk{
	0x00: {name: "i32.trunc_sat_f32_s"},
	0x01: {name: "i32.trunc_sat_f32_u"},
	0x02: {name: "i32.trunc_sat_f64_s"},
	0x03: {name: "i32.trunc_sat_f64_u"},
	0x04: {name: "i64.trunc_sat_f32_s"},
	0x05: {name: "i64.trunc_sat_f32_u"},
	0x06: {name: "i64.trunc_sat_f64_s"},
	0x07: {name: "i64.trunc_sat_f64_u"},
	0x08: {name: "memory.init", numbers: 1, zeros: 1, charge: chargeBytes},
	0x09: {name: "data.drop", numbers: 1, changes: true},
	0x0a: {name: "memory.copy", zeros: 2, charge: chargeBytes},
	0x0b: {name: "memory.fill", zeros: 1, charge: chargeBytes},
	0x0c: {name: "table.init", numbers: 2, tables: 1, charge: chargeElements, changes: true},
	0x0d: {name: "elem.drop", numbers: 1, changes: true},
	0x0e: {name: "table.copy", numbers: 2, tables: 2, charge: chargeElements, changes: true},
	0x0f: {name: "table.grow", numbers: 1, tables: 1, charge: chargeElements, changes: true},
	0x10: {name: "table.size", numbers: 1, tables: 1},
	0x11: {name: "table.fill", numbers: 1, tables: 1, charge: chargeElements, changes: true},
}

// proposal names what an opcode that is refused belongs to.
func proposal(op byte) string {
	switch {
	case op >= 0x06 && op <= 0x0a, op == 0x18, op == 0x19, op == 0x1f:
		return "exception handling: build without exceptions"
	case op == 0x12, op == 0x13:
		return "tail calls: build without them"
	case op == 0x14, op == 0x15, op >= 0xd3 && op <= 0xd6:
		return "typed function references and garbage collection: build for WebAssembly 2.0"
	case op == 0xfb:
		return "garbage collection: build for WebAssembly 2.0"
	case op == 0xfe:
		return "threads: build without atomics"
	}
	return ""
}

// refused tells that op is none that can be metered.
func refused(at int, op byte) error {
	if p := proposal(op); p != "" {
		return unsupported(at, "opcode %#02x (%s)", op, p)
	}
	return unsupported(at, "unknown opcode %#02x", op)
}

// refusedVector is refused for an opcode after 0xfd.
func refusedVector(at int, op uint32) error {
	if op >= 0x100 && op <= 0x12f {
		return unsupported(at, "opcode 0xfd %#02x (relaxed SIMD, whose results differ between machines: build without it)", op)
	}
	return unsupported(at, "unknown opcode 0xfd %#02x", op)
}

// valueType says whether t is the type of a value, and whether it is a plain
// number: one that fits the 64 bits of an exported global.
func valueType(t byte) (known, number bool) {
	switch t {
	case typeI32, typeI64, typeF32, typeF64:
		return true, true
	case typeV128, typeFuncref, typeExternref:
		return true, false
	}
	return false, false
}

func typeName(t byte) string {
	switch t {
	case typeV128:
		return "v128"
	case typeFuncref:
		return "funcref"
	case typeExternref:
		return "externref"
	}
	return fmt.Sprintf("type %#02x", t)
}
