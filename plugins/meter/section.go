package meter

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// Ids of sections.
const (
	sectionCustom    = 0
	sectionType      = 1
	sectionImport    = 2
	sectionFunction  = 3
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionStart     = 8
	sectionElement   = 9
	sectionCode      = 10
	sectionData      = 11
	sectionDataCount = 12
	sectionTag       = 13
)

// sectionOrder is the order in which they come. Custom ones may stand anywhere.
var sectionOrder = [...]int{
	sectionType: 1, sectionImport: 2, sectionFunction: 3, sectionTable: 4, sectionMemory: 5, sectionGlobal: 6, sectionExport: 7,
	sectionStart: 8, sectionElement: 9, sectionDataCount: 10, sectionCode: 11, sectionData: 12,
}

// Kinds of imports and exports.
const (
	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3
	kindTag      = 4
)

// section is one of the module's. Where entries are added, they come after
// count entries, which begin at body.
type section struct {
	id          int
	start, end  int // without id and size
	count, body int
}

// limits of a memory or a table.
type limits struct {
	min, max uint32
	limited  bool
	head     []byte // what stands before them: the type of a table
	tail     []byte // what stands after them
}

// module is what is known of the module that is rewritten.
type module struct {
	options  Options
	foreign  bool // see rewrite
	data     []byte
	sections []section

	// How many there are, those of imports included.
	typeCount, functionCount, tableCount, memoryCount, globalCount int

	declared  int // in the function section
	tables    []limits
	memories  []limits
	mutable   []int // globals that hold plain numbers
	functions []function
	edits     []edit
	regions   []uint32 // instructions
	frames    []frame
	charges   [chargeCount]bool
	reason    string // see Module.Volatile

	chargeHead, chargeTail []byte
}

// fuel is the index of the fuel: after all of the module's own.
func (m *module) fuel() int { return m.globalCount }

// reserve is the index of the global with the fuel that is not handed out yet.
func (m *module) reserve() int { return m.globalCount + 1 }

// stop is the index of the global by which the host stops the guest.
func (m *module) stop() int { return m.globalCount + 2 }

// parse reads the whole module and finds what is to be written anew.
func (m *module) parse(wasm []byte) error {
	switch {
	case len(wasm) < 8 || !bytes.Equal(wasm[:4], []byte("\x00asm")):
		return malformed(0, "no beginning of a module")
	case len(wasm) > math.MaxInt32:
		return unsupported(0, "a module of %d bytes", len(wasm))
	case !bytes.Equal(wasm[4:8], []byte{1, 0, 0, 0}):
		return unsupported(4, "a component, or a version of the format that is not known: %x (build a core module)", wasm[4:8])
	}
	m.data = wasm
	r := &reader{data: wasm, pos: 8, end: len(wasm)}
	last := 0
	for r.more() {
		at := r.pos
		id := int(r.byte())
		s := r.sub(r.u32())
		if r.err != nil {
			return r.err
		}
		start := s.pos
		if id == sectionCustom {
			if m.keepCustom(&s) {
				m.sections = append(m.sections, section{id: id, start: start, end: s.end})
			}
			if s.err != nil {
				return s.err
			}
			continue
		}
		if id == sectionTag {
			return unsupported(at, "a section of tags (exception handling: build without exceptions)")
		}
		if id >= len(sectionOrder) {
			return unsupported(at, "a section of the unknown kind %d", id)
		}
		if sectionOrder[id] <= last {
			return malformed(at, "section %d twice or in the wrong place", id)
		}
		last = sectionOrder[id]
		sec := section{id: id, start: start, end: s.end}
		m.section(&s, &sec)
		s.finish(fmt.Sprintf("section %d", id))
		if s.err != nil {
			return s.err
		}
		m.sections = append(m.sections, sec)
	}
	if len(m.functions) != m.declared {
		return malformed(len(wasm), "%d functions with code, where %d are declared", len(m.functions), m.declared)
	}
	return nil
}

// section reads one that is no custom one. It may leave bytes behind an error.
func (m *module) section(r *reader, s *section) {
	if s.id == sectionStart {
		m.index(r, "function", m.functionCount)
		return
	}
	if s.id == sectionDataCount {
		r.u32()
		return
	}
	entry, size := m.entry(s.id)
	s.count = r.count(size)
	s.body = r.pos
	switch s.id {
	case sectionCode:
		m.functions = make([]function, 0, s.count)
		// About what compilers' code needs: most functions are small.
		m.edits = make([]edit, 0, 2*s.count)
		m.regions = make([]uint32, 0, 2*s.count)
	case sectionFunction:
		m.declared = s.count
	}
	for i := 0; i < s.count && r.err == nil; i++ {
		entry(r)
	}
}

// entry returns what reads one entry of a section, and the least size of one in
// bytes.
func (m *module) entry(id int) (func(*reader), int) {
	switch id {
	case sectionType:
		return m.functionType, 3
	case sectionImport:
		return m.importEntry, 4
	case sectionFunction:
		return func(r *reader) {
			m.index(r, "type", m.typeCount)
			m.functionCount++
		}, 1
	case sectionTable:
		return m.table, 3
	case sectionMemory:
		return m.memory, 2
	case sectionGlobal:
		return m.global, 4
	case sectionExport:
		return m.export, 3
	case sectionElement:
		return m.element, 2
	case sectionCode:
		return func(r *reader) {
			body := r.sub(r.u32())
			if body.err == nil {
				m.function(&body)
			}
			if body.err != nil {
				r.fail(body.err)
			}
		}, 2
	default: // sectionData
		return m.segment, 2
	}
}

// keepCustom reads a custom section and says whether it is kept. Those that
// speak of places in the code would be wrong, and those that tell a linker or a
// debugger where to look would mislead.
func (m *module) keepCustom(r *reader) bool {
	name := string(r.name())
	switch {
	case r.err != nil:
		return false
	case strings.HasPrefix(name, ".debug_"), strings.HasPrefix(name, "reloc."), strings.HasPrefix(name, "metadata.code."),
		name == "linking", name == "sourceMappingURL", name == "external_debug_info":
		return false
	case name == "name":
		return wellFormedNames(&reader{data: r.data, pos: r.pos, end: r.end})
	}
	return true
}

// wellFormedNames says whether the name section holds what it announces. One
// that does not is left out: it means nothing for what the module does, but a
// compiler may believe its counts.
func wellFormedNames(r *reader) bool {
	assoc := func(s *reader) {
		for n := s.count(2); n > 0 && s.err == nil; n-- {
			s.u32()
			s.name()
		}
	}
	for r.more() {
		id := r.byte()
		s := r.sub(r.u32())
		switch id {
		case 0:
			s.name()
		case 1:
			assoc(&s)
		case 2:
			for n := s.count(2); n > 0 && s.err == nil; n-- {
				s.u32()
				assoc(&s)
			}
		default:
			s.pos = s.end
		}
		s.finish("a list of names")
		if s.err != nil {
			return false
		}
	}
	return r.err == nil
}

func (m *module) functionType(r *reader) {
	at := r.pos
	switch form := r.byte(); {
	case r.err != nil:
	case form >= 0x4d && form <= 0x5f:
		r.unsupported(at, "a type of the form %#02x (garbage collection: build for WebAssembly 2.0)", form)
	case form != typeFunction:
		r.malformed(at, "a type of the unknown form %#02x", form)
	}
	for range 2 {
		n := r.count(1)
		if n > MaxValues {
			r.unsupported(at, "a function of %d values, where %d are the most", n, MaxValues)
		}
		for ; n > 0 && r.err == nil; n-- {
			m.valueType(r)
		}
	}
	m.typeCount++
}

func (m *module) importEntry(r *reader) {
	at := r.pos
	from, name := r.name(), r.name()
	kind := r.byte()
	what := ""
	switch kind {
	case kindFunction:
		m.index(r, "type", m.typeCount)
		m.functionCount++
	case kindTable:
		what = "table"
		m.tableType(r)
		m.tableCount++
	case kindMemory:
		what = "memory"
		m.memoryLimits(r)
		m.memoryCount++
	case kindGlobal:
		what = "global"
		m.globalType(r)
		m.globalCount++
	case kindTag:
		r.unsupported(at, "an imported tag (exception handling: build without exceptions)")
	default:
		r.malformed(at, "an import of the unknown kind %d", kind)
	}
	if what != "" && !m.foreign {
		r.unsupported(at, "the imported %s %q %q: a plugin imports functions only, and has its own", what, from, name)
	}
}

// limits reads how large something may be; largest is what its kind allows.
func (m *module) limits(r *reader, what string, largest uint32) limits {
	at := r.pos
	flags := r.byte()
	switch {
	case r.err != nil:
	case flags&^0x0f != 0:
		r.malformed(at, "limits of the unknown kind %#02x", flags)
	case flags&0x08 != 0:
		r.unsupported(at, "a %s with pages of its own size (build without custom page sizes)", what)
	case flags&0x04 != 0:
		r.unsupported(at, "a %s of 64 bits (memory64: build for wasm32)", what)
	case flags&0x02 != 0:
		r.unsupported(at, "a shared %s (threads: build without atomics)", what)
	}
	l := limits{min: r.u32(), limited: flags&1 != 0}
	if l.limited {
		l.max = r.u32()
	}
	if l.min > largest || l.limited && (l.max > largest || l.max < l.min) {
		r.malformed(at, "a %s whose size is out of range", what)
	}
	return l
}

func (m *module) memoryLimits(r *reader) limits { return m.limits(r, "memory", maxPages) }

func (m *module) memory(r *reader) {
	at := r.pos
	l := m.memoryLimits(r)
	if l.min > m.options.MaxPages {
		r.unsupported(at, "a memory that begins with %d pages of 64 KiB, where %d are the most: allow more, or build with less", l.min, m.options.MaxPages)
	}
	if !l.limited || l.max > m.options.MaxPages {
		l.limited, l.max = true, m.options.MaxPages
	}
	m.memories = append(m.memories, l)
	if m.memoryCount++; m.memoryCount > 1 {
		r.unsupported(at, "several memories: build with one")
	}
}

func (m *module) tableType(r *reader) limits {
	at := r.pos
	start := r.pos
	switch t := r.byte(); {
	case r.err != nil:
	case t == 0x40 || t == 0x63 || t == 0x64:
		r.unsupported(at, "a table of type %#02x (typed function references: build for WebAssembly 2.0)", t)
	case t != typeFuncref && t != typeExternref:
		r.malformed(at, "a table of the unknown type %#02x", t)
	}
	head := r.data[start:r.pos]
	l := m.limits(r, "table", math.MaxUint32)
	l.head = head
	return l
}

func (m *module) table(r *reader) {
	at := r.pos
	l := m.tableType(r)
	total := uint64(l.min)
	for _, t := range m.tables {
		total += uint64(t.min)
	}
	if total > MaxElements {
		r.unsupported(at, "tables that begin with %d elements, where %d are the most", total, MaxElements)
	}
	if !l.limited || l.max > MaxElements {
		l.limited, l.max = true, MaxElements
	}
	m.tables = append(m.tables, l)
	if m.tableCount++; len(m.tables) > MaxTables {
		r.unsupported(at, "more than %d tables", MaxTables)
	}
}

// globalType reads it and returns the type of the value.
func (m *module) globalType(r *reader) (value byte, mutable bool) {
	value = m.valueType(r)
	at := r.pos
	switch b := r.byte(); b {
	case 0:
	case 1:
		mutable = true
	case 2, 3:
		r.unsupported(at, "a shared global (threads: build without atomics)")
	default:
		r.malformed(at, "a global that is mutable in the unknown way %d", b)
	}
	return value, mutable
}

func (m *module) global(r *reader) {
	value, mutable := m.globalType(r)
	m.constant(r)
	if mutable {
		if _, number := valueType(value); number {
			m.mutable = append(m.mutable, m.globalCount)
		} else {
			m.volatile(fmt.Sprintf("its global %d is mutable and of type %s", m.globalCount, typeName(value)))
		}
	}
	m.globalCount++
}

// constant reads an expression that gives an initial value.
func (m *module) constant(r *reader) {
	for r.err == nil {
		at := r.pos
		switch op := r.byte(); op {
		case opEnd:
			return
		case opGlobalGet:
			m.index(r, "global", m.globalCount)
		case opRefNull:
			m.heapType(r)
		case opRefFunc:
			m.index(r, "function", m.functionCount)
		case opVector:
			if second := r.u32(); second != 0x0c && r.err == nil {
				r.malformed(at, "opcode 0xfd %#02x in an initial value", second)
			}
			r.skip(16)
		default:
			switch opcodes[op] {
			case number32:
				r.signed(32)
			case number64:
				r.signed(64)
			case fourBytes:
				r.skip(4)
			case eightBytes:
				r.skip(8)
			default:
				r.unsupported(at, "opcode %#02x in an initial value (extended constant expressions: build for WebAssembly 2.0)", op)
			}
		}
	}
}

func (m *module) export(r *reader) {
	at := r.pos
	name := string(r.name())
	if strings.HasPrefix(name, FuelGlobal) || strings.HasPrefix(name, statePrefix) {
		r.unsupported(at, "the export %q: names that begin so are the host's own", name)
	}
	kindAt := r.pos
	switch kind := r.byte(); kind {
	case kindFunction:
		m.index(r, "function", m.functionCount)
	case kindTable:
		m.index(r, "table", m.tableCount)
	case kindMemory:
		m.index(r, "memory", m.memoryCount)
	case kindGlobal:
		m.index(r, "global", m.globalCount)
	case kindTag:
		r.unsupported(kindAt, "an exported tag (exception handling: build without exceptions)")
	default:
		r.malformed(kindAt, "an export of the unknown kind %d", kind)
	}
}

// element reads a segment of a table.
func (m *module) element(r *reader) {
	at := r.pos
	flags := r.u32()
	if flags > 7 {
		r.malformed(at, "an element segment of the unknown kind %d", flags)
	}
	passive, explicit, expressions := flags&1 != 0, flags&2 != 0, flags&4 != 0
	if !passive {
		if explicit {
			m.index(r, "table", m.tableCount)
		}
		m.constant(r)
	}
	if passive || explicit {
		kindAt := r.pos
		switch kind := r.byte(); {
		case r.err != nil:
		case expressions:
			m.checkValueType(r, kindAt, kind)
			if kind != typeFuncref && kind != typeExternref {
				r.malformed(kindAt, "an element segment of the type %#02x", kind)
			}
		case kind != 0:
			r.malformed(kindAt, "an element segment of the unknown kind %#02x", kind)
		}
	}
	size := 1
	if expressions {
		size = 2
	}
	for n := r.count(size); n > 0 && r.err == nil; n-- {
		if expressions {
			m.constant(r)
		} else {
			m.index(r, "function", m.functionCount)
		}
	}
}

// segment reads a segment of a memory.
func (m *module) segment(r *reader) {
	at := r.pos
	switch flags := r.u32(); flags {
	case 0, 1, 2:
		if flags == 2 {
			if memory := r.u32(); memory != 0 {
				r.unsupported(at, "a data segment of memory %d (several memories: build with one)", memory)
			}
		}
		if flags != 1 {
			m.constant(r)
		}
	default:
		r.malformed(at, "a data segment of the unknown kind %d", flags)
	}
	r.skip(r.u32())
}
