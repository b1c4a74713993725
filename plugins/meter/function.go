package meter

// editKind is what is written at an edit.
type editKind uint8

const (
	unsignedNumber editKind = iota // arg
	signedNumber                   // arg
	passCharge                     // the charge of the region arg
	callCharge                     // a call of the function that charges for arg
)

// edit is a place in the code where something is inserted or replaced.
type edit struct {
	at   int // in the module
	arg  int64
	drop uint8 // bytes that it replaces
	kind editKind
}

// function is one body in the code section. The places are offsets in the
// module.
type function struct {
	start, end int
	edits      int // the first of its edits
}

// frame is a block that is open.
type frame struct {
	region int // that goes on after it
	op     byte
}

// Opcodes of frames, beside those of the blocks themselves. A function is
// the frame around all others.
const (
	frameElse     = 0x05
	frameFunction = 0xff
)

// function reads the body of a function.
func (m *module) function(r *reader) {
	f := function{start: r.pos, edits: len(m.edits)}
	r.edits = &m.edits
	total := uint64(0)
	for n := r.count(2); n > 0 && r.err == nil; n-- {
		at := r.pos
		total += uint64(r.u32())
		m.valueType(r)
		if total > MaxLocals {
			r.unsupported(at, "a function with more than %d local variables", MaxLocals)
		}
	}
	f.end = r.end
	m.edits = append(m.edits, edit{at: r.pos, kind: passCharge, arg: int64(len(m.regions))})
	m.code(r)
	m.functions = append(m.functions, f)
}

// code reads instructions, counts them by region and notes where charges go.
func (m *module) code(r *reader) {
	region := len(m.regions) // what is outside of its loops
	m.regions = append(m.regions, 0)
	m.frames = append(m.frames[:0], frame{op: frameFunction})
	count := uint32(0) // of the region, until it is put to m.regions
	for r.pos < r.end {
		at := r.pos
		op := r.data[at]
		r.pos++
		count++
		switch opcodes[op] {
		case none:
		case label:
			r.u32()
		case memoryArgument:
			m.memoryArgument(r)
		case number32:
			r.signed(32)
		case number64:
			r.signed(64)
		case blockType:
			m.blockType(r)
			m.frames = append(m.frames, frame{op: op, region: region})
			if op == opLoop {
				m.regions[region] += count
				count, region = 0, len(m.regions)
				m.regions = append(m.regions, 0)
				m.edits = append(m.edits, edit{at: r.pos, kind: passCharge, arg: int64(region)})
			}
		case blockElse:
			count--
			top := &m.frames[len(m.frames)-1]
			if top.op != opIf {
				r.malformed(at, "else without if")
				return
			}
			top.op = frameElse
		case blockEnd:
			count--
			top := m.frames[len(m.frames)-1]
			m.frames = m.frames[:len(m.frames)-1]
			switch top.op {
			case opLoop:
				m.regions[region] += count
				count, region = 0, top.region
			case frameFunction:
				m.regions[region] += count
				r.finish("a function")
				return
			}
		case functionIndex:
			m.index(r, "function", m.functionCount)
		case globalIndex:
			m.index(r, "global", m.globalCount)
		case tableIndex:
			m.index(r, "table", m.tableCount)
		case tableChange:
			m.index(r, "table", m.tableCount)
			m.volatile("it uses table.set")
		case indirect:
			m.index(r, "type", m.typeCount)
			m.index(r, "table", m.tableCount)
		case labels:
			for n := r.count(1); n >= 0 && r.err == nil; n-- { // and the default
				r.u32()
			}
		case valueTypes:
			if n := r.u32(); n != 1 {
				r.malformed(at, "select with %d types", n)
			}
			m.valueType(r)
		case memoryIndex:
			m.zero(r)
		case memoryGrow:
			m.zero(r)
			m.callCharge(at, chargePages)
		case fourBytes:
			r.skip(4)
		case eightBytes:
			r.skip(8)
		case heapType:
			m.heapType(r)
		case prefixed:
			m.prefixed(r, at, op)
		default:
			r.fail(refused(at, op))
		}
	}
	r.malformed(r.end, "a function without its end")
}

// prefixed reads the rest of an instruction whose first byte is op.
func (m *module) prefixed(r *reader, at int, op byte) {
	second := r.u32()
	if op == opBulk {
		if second >= uint32(len(bulks)) {
			r.unsupported(at, "unknown opcode 0xfc %#02x", second)
			return
		}
		b := &bulks[second]
		for n := b.numbers; n > 0; n-- {
			if n <= b.tables {
				m.index(r, "table", m.tableCount)
			} else {
				r.u32()
			}
		}
		for range b.zeros {
			m.zero(r)
		}
		if b.charge != chargeNone {
			m.callCharge(at, b.charge)
		}
		if b.changes {
			m.volatile("it uses " + b.name)
		}
		return
	}
	follows := unknown
	if second < uint32(len(vectors)) {
		follows = vectors[second]
	}
	switch follows {
	case none:
	case memoryArgument:
		m.memoryArgument(r)
	case sixteenBytes:
		r.skip(16)
	case lane:
		r.skip(1)
	case memoryLane:
		m.memoryArgument(r)
		r.skip(1)
	default:
		r.fail(refusedVector(at, second))
	}
}

// callCharge notes a call that charges for the instruction at the offset at,
// before the edits of that instruction's own numbers.
func (m *module) callCharge(at int, c charge) {
	m.charges[c] = true
	m.edits = append(m.edits, edit{at: at, kind: callCharge, arg: int64(c)})
	for n := len(m.edits) - 1; n > 0 && m.edits[n-1].at > at; n-- {
		m.edits[n-1], m.edits[n] = m.edits[n], m.edits[n-1]
	}
}

// index reads an index that must be below count, so that it is one of the
// module's own and none of what the rewriter adds.
func (m *module) index(r *reader, what string, count int) uint32 {
	at := r.pos
	i := r.u32()
	if uint64(i) >= uint64(count) {
		r.malformed(at, "%s %d, where there are %d", what, i, count)
		return 0
	}
	return i
}

// zero reads a byte that is the index of the only memory.
func (m *module) zero(r *reader) {
	at := r.pos
	if b := r.byte(); b != 0 && r.err == nil {
		r.unsupported(at, "memory %d (several memories: build with one)", b)
	}
}

func (m *module) memoryArgument(r *reader) {
	at := r.pos
	align := r.u32()
	switch {
	case align < 32:
	case align&0x40 != 0:
		r.unsupported(at, "an access to another memory than the first (several memories: build with one)")
	default:
		r.malformed(at, "an alignment of 2^%d", align)
	}
	r.u32()
}

func (m *module) blockType(r *reader) {
	at := r.pos
	if r.pos < r.end { // nearly always one byte
		b := r.data[r.pos]
		if known, _ := valueType(b); known || b == typeEmpty {
			r.pos++
			return
		}
	}
	switch i := r.signed(33); {
	case i >= 0:
		if uint64(i) >= uint64(m.typeCount) {
			r.malformed(at, "type %d, where there are %d", i, m.typeCount)
		}
	case i >= -64:
		// Also the padded forms of those above: written out in one byte.
		if b := byte(i) & 0x7f; b != typeEmpty {
			m.checkValueType(r, at, b)
		}
	default:
		r.malformed(at, "a block of the type %d", i)
	}
}

func (m *module) valueType(r *reader) byte {
	at := r.pos
	t := r.byte()
	m.checkValueType(r, at, t)
	return t
}

func (m *module) checkValueType(r *reader, at int, t byte) {
	if known, _ := valueType(t); known || r.err != nil {
		return
	}
	switch t {
	case 0x69, 0x68, 0x74, 0x75:
		r.unsupported(at, "a value of type %#02x (exception handling: build without exceptions)", t)
	case 0x63, 0x64, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x71, 0x72, 0x73:
		r.unsupported(at, "a value of type %#02x (typed references and garbage collection: build for WebAssembly 2.0)", t)
	default:
		r.malformed(at, "a value of the unknown type %#02x", t)
	}
}

// heapType reads the type of ref.null.
func (m *module) heapType(r *reader) {
	at := r.pos
	if t := r.byte(); t != typeFuncref && t != typeExternref && r.err == nil {
		r.unsupported(at, "a null of type %#02x (typed references and garbage collection: build for WebAssembly 2.0)", t)
	}
}

// volatile keeps the first reason why an instance can't be put back.
func (m *module) volatile(reason string) {
	if m.reason == "" {
		m.reason = reason
	}
}
