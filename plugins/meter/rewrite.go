package meter

import (
	"strconv"
)

// write returns the module as it has become.
func (m *module) write() *Module {
	m.makeCharge()
	out := &Module{Volatile: m.reason, Globals: make([]string, len(m.mutable))}
	for n, index := range m.mutable {
		out.Globals[n] = statePrefix + strconv.Itoa(index)
	}
	b := make([]byte, 0, m.size())
	b = append(b, m.data[:8]...)
	added := [...]int{sectionGlobal, sectionExport} // those that must be there, in order
	next := 0
	for n := range m.sections {
		s := &m.sections[n]
		for s.id != sectionCustom && next < len(added) && sectionOrder[s.id] >= sectionOrder[added[next]] {
			if s.id != added[next] {
				b = m.appendSection(b, &section{id: added[next]}, out)
			}
			next++
		}
		b = m.appendSection(b, s, out)
	}
	for ; next < len(added); next++ {
		b = m.appendSection(b, &section{id: added[next]}, out)
	}
	out.Wasm = b
	return out
}

// size is about the length of the output, and not less in most cases.
func (m *module) size() int {
	n := len(m.data) + 1024 + 32*len(m.mutable)
	for _, e := range m.edits {
		n += m.editLen(e)
	}
	return n
}

// sizeLen is the length of a section's size. It is known when the section has
// been written, and padded so that nothing has to be moved.
const sizeLen = 5

// appendSection appends a section with what is added to it.
func (m *module) appendSection(b []byte, s *section, out *Module) []byte {
	b = append(b, byte(s.id))
	at := len(b)
	b = append(b, make([]byte, sizeLen)...)
	switch s.id {
	case sectionType:
		b = m.appendTypes(b, s)
	case sectionFunction:
		b = m.appendEntries(b, s, m.refills()+m.helpers())
		if m.refills() > 0 {
			b = appendUnsigned(b, uint64(m.typeCount))
		}
		for range m.helpers() {
			b = appendUnsigned(b, uint64(m.typeCount+1))
		}
	case sectionTable:
		b = appendUnsigned(b, uint64(len(m.tables)))
		for _, t := range m.tables {
			b = t.append(b)
		}
	case sectionMemory:
		b = appendUnsigned(b, uint64(len(m.memories)))
		for _, t := range m.memories {
			b = t.append(b)
		}
	case sectionGlobal:
		b = m.appendEntries(b, s, 3)
		fuel, reserve := Slice(m.options.Fuel)
		for _, value := range []int64{fuel, reserve, 0} {
			b = append(appendSigned(append(b, typeI64, 1, opI64Const), value), opEnd)
		}
	case sectionExport:
		b = m.appendEntries(b, s, 3+len(m.mutable))
		b = appendExport(b, FuelGlobal, m.fuel())
		b = appendExport(b, ReserveGlobal, m.reserve())
		b = appendExport(b, StopGlobal, m.stop())
		for n, name := range out.Globals {
			b = appendExport(b, name, m.mutable[n])
		}
	case sectionCode:
		b = m.appendCode(b)
	default:
		b = append(b, m.data[s.start:s.end]...)
	}
	size := len(b) - at - sizeLen
	for n := range sizeLen {
		b[at+n] = byte(size>>(7*n))&0x7f | 0x80
	}
	b[at+sizeLen-1] &= 0x7f
	return b
}

// appendEntries appends a section's own entries, with the count of what is added.
func (m *module) appendEntries(b []byte, s *section, added int) []byte {
	b = appendUnsigned(b, uint64(s.count+added))
	return append(b, m.data[s.body:s.end]...)
}

func (l limits) append(b []byte) []byte {
	b = append(b, l.head...)
	if !l.limited {
		return appendUnsigned(append(b, 0), uint64(l.min))
	}
	return appendUnsigned(appendUnsigned(append(b, 1), uint64(l.min)), uint64(l.max))
}

func appendExport(b []byte, name string, global int) []byte {
	b = append(appendUnsigned(b, uint64(len(name))), name...)
	return appendUnsigned(append(b, kindGlobal), uint64(global))
}

// helpers is how many functions are appended: one for each way of charging by
// size that is needed.
func (m *module) helpers() int {
	n := 0
	for _, used := range m.charges {
		if used {
			n++
		}
	}
	return n
}

// refills is how many functions are appended that refill the fuel.
func (m *module) refills() int { return min(len(m.functions), 1) }

// refill is the index of the function that refills the fuel.
func (m *module) refill() int { return m.functionCount }

// appendTypes appends the types, with those of the functions that are added.
func (m *module) appendTypes(b []byte, s *section) []byte {
	added := m.refills() + min(m.helpers(), 1)
	b = m.appendEntries(b, s, added)
	if added > 0 {
		b = append(b, typeFunction, 0, 0)
	}
	if added > 1 {
		b = append(b, typeFunction, 1, typeI32, 1, typeI32)
	}
	return b
}

// helper is the index of the function that charges for c.
func (m *module) helper(c charge) int {
	n := m.functionCount + m.refills()
	for _, used := range m.charges[:c] {
		if used {
			n++
		}
	}
	return n
}

func (m *module) appendCode(b []byte) []byte {
	b = appendUnsigned(b, uint64(len(m.functions)+m.refills()+m.helpers()))
	for n, f := range m.functions {
		edits := m.edits[f.edits:]
		if n+1 < len(m.functions) {
			edits = m.edits[f.edits:m.functions[n+1].edits]
		}
		size := f.end - f.start
		for _, e := range edits {
			size += m.editLen(e) - int(e.drop)
		}
		b = appendUnsigned(b, uint64(size))
		from := f.start
		for _, e := range edits {
			b = append(b, m.data[from:e.at]...)
			b = m.appendEdit(b, e)
			from = e.at + int(e.drop)
		}
		b = append(b, m.data[from:f.end]...)
	}
	if m.refills() > 0 {
		b = appendBody(b, m.refillFunction())
	}
	for c, used := range m.charges {
		if used {
			b = appendBody(b, m.chargeFunction(charge(c)))
		}
	}
	return b
}

func appendBody(b, body []byte) []byte {
	return append(appendUnsigned(b, uint64(len(body))), body...)
}

// editLen is the length of what appendEdit appends.
func (m *module) editLen(e edit) int {
	switch e.kind {
	case unsignedNumber:
		return unsignedLen(uint64(e.arg))
	case signedNumber:
		return signedLen(e.arg)
	case passCharge:
		return m.chargeLen(cost(m.regions[e.arg]))
	default:
		return 1 + unsignedLen(uint64(m.helper(charge(e.arg))))
	}
}

func (m *module) appendEdit(b []byte, e edit) []byte {
	switch e.kind {
	case unsignedNumber:
		return appendUnsigned(b, uint64(e.arg))
	case signedNumber:
		return appendSigned(b, e.arg)
	case passCharge:
		return m.appendCharge(b, cost(m.regions[e.arg]))
	default:
		return appendUnsigned(append(b, opCall), uint64(m.helper(charge(e.arg))))
	}
}
