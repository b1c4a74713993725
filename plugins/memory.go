package plugins

import (
	"fmt"

	"github.com/tetratelabs/wazero/api"
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
	// smaller is what the next Reallocate gives instead, where it is not 0.
	smaller int
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
	if m.smaller > 0 {
		size = uint64(m.smaller)
	}
	if size > uint64(len(m.region)) {
		return nil
	}
	m.size = int(size)
	return m.region[:size]
}

// fewZeros is up to where writing zeros costs less than asking the kernel for
// pages of zeros, in bytes.
const fewZeros = 256 << 10

// shrink takes back what the guest has grown by, zeros again for the next growth.
// WebAssembly has no such thing; the engine takes the memory's size from what the
// allocator gives when it asks for more. It reports whether that worked: a memory
// that is as large as it may be can't ask.
func (m *linearMemory) shrink(memory api.Memory, to int) bool {
	grown := m.region[to:m.size]
	m.smaller = to
	_, ok := memory.Grow(1)
	m.smaller = 0
	if !ok || int(memory.Size()) != to {
		return false
	}
	if len(grown) <= fewZeros {
		clear(grown)
	} else {
		wipe(grown)
	}
	return true
}

// Free gives everything back. The engine calls it when the instance is closed.
func (m *linearMemory) Free() {
	if m.region == nil {
		return
	}
	release(m.region)
	m.region = nil
}
