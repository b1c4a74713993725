package plugins

import (
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
)

// dirtyUnit is what is put back at once, in bytes: a page of the machine.
const dirtyUnit = 4 << 10

// linearMemory is the memory of one instance. It never moves, so its pages can
// be watched. Only its instance uses it.
type linearMemory struct {
	region []byte // all that it may grow to; pages that nobody wrote cost nothing
	size   int    // what the guest has
	// watched is how much of it is watched for writes, from its beginning.
	watched int
	dirty   dirtyScan
}

// newLinearMemory reserves memory that may grow to most bytes.
func newLinearMemory(most int) (*linearMemory, error) {
	region, err := reserve(most)
	if err != nil {
		return nil, fmt.Errorf("memory of %d bytes: %w", most, err)
	}
	return &linearMemory{region: region}, nil
}

// Allocate implements [experimental.MemoryAllocator] for the one memory that an
// instance has.
func (m *linearMemory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate gives the guest that much. It returns nil where that is more than
// was reserved.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.region)) {
		return nil
	}
	m.size = int(size)
	return m.region[:size]
}

// Free gives everything back. The engine calls it when the instance is closed.
func (m *linearMemory) Free() {
	if m.region == nil {
		return
	}
	release(m.region)
	m.region = nil
}
