package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// ErrDamaged says that a segment is not as it was written, in a way that no crash
// explains.
var ErrDamaged = errors.New("damaged")

// Damage is an ErrDamaged that says where.
type Damage struct {
	// File is its path, Offset where in it, -1 for all of it.
	File   string
	Offset int64
	Why    string
}

func (d *Damage) Error() string {
	if d.Offset < 0 {
		return fmt.Sprintf("%s: %s", d.File, d.Why)
	}
	return fmt.Sprintf("%s: at offset %d: %s", d.File, d.Offset, d.Why)
}

// Is makes it an ErrDamaged.
func (d *Damage) Is(target error) bool { return target == ErrDamaged }

var (
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
	headMagic   = []byte("weirseg1")
	footerMagic = []byte("weirend1")
)

const (
	headSize  = 8 + 8 + 8 + 4
	groupSize = 8 + 1 + 8 + 4 + 4 + 4
	eventSize = 1 + 2 + 4 + 4
	// First bytes of what stands behind the header.
	tagGroup  = 0xc7 // of every mark
	tagEvent  = 0xe5
	tagFooter = 0xf7

	flagJoint  = 1
	groupFlags = flagJoint

	// MaxNote is the longest note in bytes, and maxGroup the longest group.
	MaxNote  = 1<<16 - 1
	maxGroup = 1 << 30
)

// mark is what a file's groups begin with.
type mark [8]byte

// seed begins a file's checksums.
func (m mark) seed() uint32 { return binary.BigEndian.Uint32(m[:]) }

func (m mark) sum(b ...[]byte) uint32 {
	crc := m.seed()
	for _, p := range b {
		crc = crc32.Update(crc, castagnoli, p)
	}
	return crc
}

// Entry is an event as it is appended.
type Entry struct {
	// Note is what the index needs beside the event, at most MaxNote bytes.
	Note []byte
	Data []byte
}

// groupHead is what stands before the events of a group.
type groupHead struct {
	joint  bool
	first  uint64
	count  uint32
	length uint32
}

func appendHead(b []byte, m mark, first uint64) []byte {
	start := len(b)
	b = append(b, headMagic...)
	b = append(b, m[:]...)
	b = binary.BigEndian.AppendUint64(b, first)
	return binary.BigEndian.AppendUint32(b, m.sum(b[start:]))
}

func decodeHead(b []byte) (m mark, first uint64, ok bool) {
	if len(b) < headSize || !bytes.Equal(b[:8], headMagic) || b[8] != tagGroup {
		return m, 0, false
	}
	copy(m[:], b[8:])
	return m, binary.BigEndian.Uint64(b[16:]), m.sum(b[:headSize-4]) == binary.BigEndian.Uint32(b[headSize-4:])
}

// sizeOf is what a group takes in the file.
func sizeOf(entries []Entry) int64 {
	n := int64(groupSize)
	for i := range entries {
		n += eventSize + int64(len(entries[i].Note)+len(entries[i].Data))
	}
	return n
}

// appendGroup appends a group, and gives each event's place in it to at.
func appendGroup(b []byte, m mark, first uint64, joint bool, entries []Entry, at func(i, offset int)) []byte {
	start := len(b)
	b = append(b, make([]byte, groupSize)...)
	for i := range entries {
		e := &entries[i]
		at(i, len(b)-start)
		head := len(b)
		b = append(b, tagEvent)
		b = binary.BigEndian.AppendUint16(b, uint16(len(e.Note)))
		b = binary.BigEndian.AppendUint32(b, uint32(len(e.Data)))
		b = append(b, 0, 0, 0, 0)
		b = append(b, e.Note...)
		b = append(b, e.Data...)
		binary.BigEndian.PutUint32(b[head+7:], eventSum(m, first+uint64(i), b[head:]))
	}
	g := b[start:start]
	g = append(g, m[:]...)
	flags := byte(0)
	if joint {
		flags |= flagJoint
	}
	g = append(g, flags)
	g = binary.BigEndian.AppendUint64(g, first)
	g = binary.BigEndian.AppendUint32(g, uint32(len(entries)))
	g = binary.BigEndian.AppendUint32(g, uint32(len(b)-start-groupSize))
	binary.BigEndian.AppendUint32(g, m.sum(g))
	return b
}

// eventSum is the checksum of the event that b begins with, whole.
func eventSum(m mark, position uint64, b []byte) uint32 {
	// The bytes of the position one by one, which need no memory: the checksum of some
	// would take it, for a slice that it is given.
	crc := ^m.seed()
	for shift := 56; shift >= 0; shift -= 8 {
		crc = castagnoli[byte(crc)^byte(position>>shift)] ^ crc>>8
	}
	crc = crc32.Update(^crc, castagnoli, b[:7])
	return crc32.Update(crc, castagnoli, b[eventSize:])
}

// decodeGroup reads the head of a group.
func decodeGroup(m mark, b []byte) (g groupHead, ok bool) {
	if len(b) < groupSize || !bytes.Equal(b[:8], m[:]) || m.sum(b[:groupSize-4]) != binary.BigEndian.Uint32(b[groupSize-4:]) {
		return g, false
	}
	g.joint, g.first = b[8]&flagJoint != 0, binary.BigEndian.Uint64(b[9:])
	g.count, g.length = binary.BigEndian.Uint32(b[17:]), binary.BigEndian.Uint32(b[21:])
	ok = b[8]&^groupFlags == 0 && g.count > 0 && g.length <= maxGroup && uint64(g.length) >= uint64(g.count)*eventSize
	return g, ok
}

// eventLength is that of the event whose head b begins with, head included.
func eventLength(b []byte) (note, whole int, ok bool) {
	if len(b) < eventSize || b[0] != tagEvent {
		return 0, 0, false
	}
	note = int(binary.BigEndian.Uint16(b[1:]))
	data := binary.BigEndian.Uint32(b[3:])
	if data > maxGroup {
		return 0, 0, false
	}
	return note, eventSize + note + int(data), true
}

// decodeEvent checks an event, of whose bytes there are as many as eventLength says.
func decodeEvent(m mark, position uint64, b []byte) bool {
	return eventSum(m, position, b) == binary.BigEndian.Uint32(b[7:])
}
