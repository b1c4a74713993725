//go:build !linux

package plugins

import "errors"

// Elsewhere memory comes from Go's heap and no writes are watched: all of it is
// put back.

func reserve(size int) ([]byte, error) { return make([]byte, size), nil }

func release([]byte) {}

func wipe(b []byte) { clear(b) }

type dirtyScan struct{}

func (m *linearMemory) watch() bool { return false }

func (m *linearMemory) forget() bool { return false }

func (m *linearMemory) eachDirty(func(from, to int)) (int, error) {
	return 0, errors.ErrUnsupported
}
