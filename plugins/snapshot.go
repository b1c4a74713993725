package plugins

import (
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// smallMemory is up to where putting all of a memory back costs less than asking
// which of its pages were written, in bytes.
const smallMemory = 128 << 10

// snapshot is the state that an instance has before its first event: every
// instance of a plugin is put back to it. It never changes.
type snapshot struct {
	size    int // of the memory, in bytes
	globals []uint64
	ticks   int64 // of the monotonic clock
	// index has a number for each page of the memory: 0 for one that is all
	// zero, else one more than its place in data.
	index []uint32
	data  []byte
}

// takeSnapshot copies the state of an instance.
func takeSnapshot(memory []byte, globals []api.MutableGlobal) *snapshot {
	s := &snapshot{size: len(memory), index: make([]uint32, len(memory)/dirtyUnit)}
	for _, g := range globals {
		s.globals = append(s.globals, g.Get())
	}
	used := 0
	for n := range s.index {
		if !isZero(memory[n*dirtyUnit:][:dirtyUnit]) {
			used++
			s.index[n] = uint32(used)
		}
	}
	s.data = make([]byte, 0, used*dirtyUnit)
	for n, at := range s.index {
		if at != 0 {
			s.data = append(s.data, memory[n*dirtyUnit:][:dirtyUnit]...)
		}
	}
	return s
}

func isZero(page []byte) bool {
	for len(page) >= 8 {
		if page[0]|page[1]|page[2]|page[3]|page[4]|page[5]|page[6]|page[7] != 0 {
			return false
		}
		page = page[8:]
	}
	return true
}

// bytes is what the snapshot takes.
func (s *snapshot) bytes() int64 { return int64(len(s.data) + 4*len(s.index) + 8*len(s.globals)) }

// restore puts the pages from one offset to another back.
func (s *snapshot) restore(memory []byte, from, to int) {
	for at := from; at < to; at += dirtyUnit {
		page := memory[at:][:dirtyUnit]
		if n := s.index[at/dirtyUnit]; n == 0 {
			clear(page)
		} else {
			copy(page, s.data[int(n-1)*dirtyUnit:])
		}
	}
}

// fill gives a memory that nobody wrote to, or that was wiped, the snapshot's
// content. Pages of zeros stay untouched and take no room.
func (s *snapshot) fill(memory []byte) {
	for n, at := range s.index {
		if at != 0 {
			copy(memory[n*dirtyUnit:][:dirtyUnit], s.data[int(at-1)*dirtyUnit:])
		}
	}
}

// manyDirty is how many times more pages than the fewest are put back in vain
// before all count as not written anew. Until then the pages that a call before
// wrote are put back as well: that is cheaper than the fault that tells that a
// page is written again.
const manyDirty = 2

// restore puts the instance back to what the plugin's snapshot has. An error
// means that it can't be used any more.
func (i *instance) restore() error {
	s, m := i.state, i.linear
	if m.size != s.size && !m.shrink(i.mod.Memory(), s.size) {
		return fmt.Errorf("its memory grew from %d to %d bytes", s.size, m.size)
	}
	memory := m.region[:m.size]
	for n, g := range i.globals {
		g.Set(s.globals[n])
	}
	i.plugin.restored.Store(int64(len(memory) / dirtyUnit))
	if m.watched == 0 {
		s.restore(memory, 0, len(memory))
		return nil
	}
	pages, err := m.eachDirty(i.restorePart)
	if err != nil {
		m.watched = 0
		s.restore(memory, 0, len(memory))
		return nil
	}
	i.plugin.restored.Store(int64(pages))
	if i.fewest == 0 || pages < i.fewest {
		i.fewest = pages
	}
	i.restores++
	if pages > manyDirty*i.fewest+8 && i.restores >= 16 {
		i.restores, i.fewest = 0, 0
		if !m.forget() {
			m.watched = 0
		}
	}
	return nil
}
