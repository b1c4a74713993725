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

// sliceSize is how many units are handed out at once: less than a millisecond.
const sliceSize = 1 << 18

// cost is what one pass through a region of n instructions takes.
func cost(n uint32) int64 { return 1 + int64(n>>regionShift) }

// chargeLen is the length of what appendCharge appends.
func (m *module) chargeLen(units int64) int {
	return len(m.chargeHead) + signedLen(units) + len(m.chargeTail)
}

// appendCharge appends code that takes units off the fuel and traps where nothing is
// left. It needs nothing on the stack and leaves nothing there, so it may stand
// anywhere, in code that is never reached too.
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
	m.chargeTail = append(append([]byte{opI64Sub, opGlobalSet}, fuel...), m.refillBelowZero()...)
}

// refillBelowZero calls the function that refills the fuel where that is used up.
func (m *module) refillBelowZero() []byte {
	b := appendUnsigned([]byte{opGlobalGet}, uint64(m.fuel()))
	b = append(b, opI64Const, 0, opI64LtS, opIf, typeEmpty, opCall)
	b = appendUnsigned(b, uint64(m.refill()))
	return append(b, opEnd)
}

// refillFunction is the body of the function that hands out the next slice of the
// reserve. It traps where there is none, or where the host says so. It leaves the
// compiled code for a moment where there is a memory: a plugin has one.
func (m *module) refillFunction() []byte {
	fuel, reserve, stop := uint64(m.fuel()), uint64(m.reserve()), uint64(m.stop())
	b := []byte{1, 1, typeI64} // one local: what is left of all
	b = append(appendUnsigned(append(b, opGlobalGet), fuel), opGlobalGet)
	b = append(appendUnsigned(b, reserve), opI64Add, opLocalTee, 0)
	b = append(b, opI64Const, 0, opI64LtS)
	b = appendUnsigned(append(b, opGlobalGet), stop)
	b = append(b, opI64Const, 0, opI64LtS, opI32Or, opIf, typeEmpty, opUnreachable, opEnd)
	if m.memoryCount > 0 {
		b = append(b, opI32Const, 0, opMemoryGrow, 0, opDrop)
	}
	// The smaller of the slice and what is left.
	size := appendSigned([]byte{opI64Const}, sliceSize)
	b = append(append(b, opLocalGet, 0), size...)
	b = append(append(b, opLocalGet, 0), size...)
	b = append(b, opI64LtS, opSelect, opGlobalSet)
	b = append(appendUnsigned(b, fuel), opLocalGet, 0, opGlobalGet)
	b = append(appendUnsigned(b, fuel), opI64Sub, opGlobalSet)
	return append(appendUnsigned(b, reserve), opEnd)
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
	b = append(b, m.refillBelowZero()...)
	return append(b, opLocalGet, 0, opEnd)
}
