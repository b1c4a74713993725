package segment

import (
	"bytes"
	"encoding/binary"
)

const (
	footerHead = 1 + 4
	footerTail = 8 + 8 + 4 + 4 + 8
	placeSize  = 8
)

// place is where an event or its group begins: its position from the segment's
// first, and the offset in the file.
type place struct{ position, offset uint32 }

// footer is what a segment says of itself when it is complete.
type footer struct {
	places []place
	last   uint64
	// end is where its events end and the footer begins.
	end int64
}

func (f *footer) append(b []byte, m mark) []byte {
	start := len(b)
	b = append(b, tagFooter)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.places)))
	for _, p := range f.places {
		b = binary.BigEndian.AppendUint32(b, p.position)
		b = binary.BigEndian.AppendUint32(b, p.offset)
	}
	b = binary.BigEndian.AppendUint64(b, f.last)
	b = binary.BigEndian.AppendUint64(b, uint64(f.end))
	b = binary.BigEndian.AppendUint32(b, m.sum(b[start:]))
	b = binary.BigEndian.AppendUint32(b, uint32(len(b)+12-start))
	return append(b, footerMagic...)
}

// footerLength reads the length of a footer from a file's last bytes.
func footerLength(tail []byte) (int64, bool) {
	if len(tail) < 12 || !bytes.Equal(tail[len(tail)-8:], footerMagic) {
		return 0, false
	}
	n := int64(binary.BigEndian.Uint32(tail[len(tail)-12:]))
	return n, n >= footerHead+footerTail
}

// decodeFooter reads a footer of a segment from its first position on. The footer
// is at the offset at of the file.
func decodeFooter(m mark, first uint64, at int64, b []byte) (f footer, ok bool) {
	if len(b) < footerHead+footerTail || b[0] != tagFooter {
		return f, false
	}
	n := int64(binary.BigEndian.Uint32(b[1:]))
	sum := len(b) - 16
	if int64(len(b)) != footerHead+n*placeSize+footerTail || m.sum(b[:sum]) != binary.BigEndian.Uint32(b[sum:]) {
		return f, false
	}
	f.places = make([]place, n)
	rest := b[footerHead:]
	for i := range f.places {
		f.places[i] = place{binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])}
		rest = rest[placeSize:]
	}
	f.last, f.end = binary.BigEndian.Uint64(rest), int64(binary.BigEndian.Uint64(rest[8:]))
	return f, f.end == at && f.last >= first && n > 0
}
