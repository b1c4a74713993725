package meter

// charge is what an operation is charged for. All but region are charged by a
// function that is appended to the module: it takes the operation's size from
// the top of the stack and puts it back.
type charge uint8

const (
	chargeNone     charge = iota
	chargeBytes           // 1 + n/16
	chargeElements        // 1 + n
	chargePages           // 1 + 4096 * n
	chargeCount
)

// Shifts that make the units of a charge from its size.
const (
	bytesShift = 4
	pagesShift = 12
	// regionShift is for the instructions of a region.
	regionShift = 6
)

// cost is what one pass through a region of n instructions takes.
func cost(n uint32) int64 { return 1 + int64(n>>regionShift) }

// chargeLen is the length of what appendCharge appends.
func (m *module) chargeLen(units int64) int {
	return len(m.chargeHead) + signedLen(units) + len(m.chargeTail)
}

// appendCharge appends code that takes units off the fuel and traps where it is
// then below zero. It needs nothing on the stack and leaves nothing there, so it
// may stand anywhere, in code that is never reached too.
func (m *module) appendCharge(b []byte, units int64) []byte {
	b = append(b, m.chargeHead...)
	b = appendSigned(b, units)
	return append(b, m.chargeTail...)
}

// makeCharge prepares the code before and after the units of a charge.
//
// The global is stored before it is tested: the host tells by it why the guest
// trapped. Compilers keep the value in a register between the two.
func (m *module) makeCharge() {
	fuel := appendUnsigned(nil, uint64(m.fuel()))
	m.chargeHead = append(append([]byte{opGlobalGet}, fuel...), opI64Const)
	m.chargeTail = append(append([]byte{opI64Sub, opGlobalSet}, fuel...), m.trapBelowZero()...)
}

// trapBelowZero traps where the fuel is below zero, or the stop is: a number that
// has either's sign is.
func (m *module) trapBelowZero() []byte {
	b := appendUnsigned([]byte{opGlobalGet}, uint64(m.fuel()))
	b = appendUnsigned(append(b, opGlobalGet), uint64(m.stop()))
	return append(b, opI64Or, opI64Const, 0, opI64LtS, opIf, typeEmpty, opUnreachable, opEnd)
}

// chargeFunction is the body of the function that charges for c. It is of the
// type (i32) -> i32.
func (m *module) chargeFunction(c charge) []byte {
	b := appendUnsigned([]byte{0, opGlobalGet}, uint64(m.fuel())) // no locals
	// In 64 bits none of this overflows, whatever the size.
	b = append(b, opLocalGet, 0, opI64ExtendU)
	switch c {
	case chargeBytes:
		b = append(b, opI64Const, bytesShift, opI64ShrU)
	case chargePages:
		b = append(b, opI64Const, pagesShift, opI64ShL)
	}
	b = append(b, opI64Const, 1, opI64Add, opI64Sub, opGlobalSet)
	b = appendUnsigned(b, uint64(m.fuel()))
	b = append(b, m.trapBelowZero()...)
	return append(b, opLocalGet, 0, opEnd)
}
