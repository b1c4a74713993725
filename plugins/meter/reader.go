package meter

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// reader reads the binary format. After an error everything it returns is zero
// and there is nothing left to read.
type reader struct {
	data []byte // the whole module
	pos  int    // of the next byte
	end  int    // of what this reader may read
	err  error
	// edits gets the numbers that were not written in their shortest form,
	// where it is not nil.
	edits *[]edit
}

func (r *reader) more() bool { return r.pos < r.end }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.pos = r.end
}

// malformed fails at the offset at.
func (r *reader) malformed(at int, format string, args ...any) {
	r.fail(malformed(at, format, args...))
}

// unsupported fails at the offset at.
func (r *reader) unsupported(at int, format string, args ...any) {
	r.fail(unsupported(at, format, args...))
}

func malformed(at int, format string, args ...any) error {
	return fmt.Errorf("%w: %s at byte %#x", ErrMalformed, fmt.Sprintf(format, args...), at)
}

func unsupported(at int, format string, args ...any) error {
	return fmt.Errorf("%w: %s at byte %#x", ErrUnsupported, fmt.Sprintf(format, args...), at)
}

func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.malformed(r.pos, "something is cut off")
		return 0
	}
	b := r.data[r.pos]
	r.pos++
	return b
}

// skip passes n bytes.
func (r *reader) skip(n uint32) {
	if uint64(n) > uint64(r.end-r.pos) {
		r.malformed(r.pos, "%d bytes are announced and %d are there", n, r.end-r.pos)
		return
	}
	r.pos += int(n)
}

// sub returns a reader of the next n bytes and passes them.
func (r *reader) sub(n uint32) reader {
	start := r.pos
	r.skip(n)
	return reader{data: r.data, pos: start, end: r.pos, err: r.err, edits: r.edits}
}

// u32 reads an unsigned number of 32 bits.
func (r *reader) u32() uint32 {
	if r.pos < r.end {
		if b := r.data[r.pos]; b < 0x80 {
			r.pos++
			return uint32(b)
		}
	}
	return r.longU32()
}

func (r *reader) longU32() uint32 {
	start := r.pos
	var v uint64
	for shift := 0; ; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > math.MaxUint32 {
				break
			}
			if b == 0 && shift > 0 {
				r.edit(start, unsignedNumber, int64(v))
			}
			return uint32(v)
		}
		if shift == 28 {
			break
		}
	}
	r.malformed(start, "a number is too large")
	return 0
}

// signed reads a signed number of so many bits, up to 64.
func (r *reader) signed(bits int) int64 {
	start := r.pos
	var v int64
	var last byte
	for shift := 0; shift < bits; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b >= 0x80 {
			last = b
			continue
		}
		used := shift + 7
		if used < 64 {
			v = v << (64 - used) >> (64 - used) // the sign
			if limit := int64(1) << (bits - 1); bits < 64 && (v < -limit || v >= limit) {
				break
			}
		} else if b != 0 && b != 0x7f { // of the tenth byte one bit is left, which is the sign
			break
		}
		// The byte says no more than the sign of the one before.
		if shift > 0 && (b == 0 && last&0x40 == 0 || b == 0x7f && last&0x40 != 0) {
			r.edit(start, signedNumber, v)
		}
		return v
	}
	r.malformed(start, "a number is too large")
	return 0
}

// edit notes that a number from start on must be written in its shortest form.
func (r *reader) edit(start int, kind editKind, v int64) {
	if r.edits != nil && r.err == nil {
		*r.edits = append(*r.edits, edit{at: start, drop: uint8(r.pos - start), kind: kind, arg: v})
	}
}

// count reads how many entries follow, which are at least size bytes each.
func (r *reader) count(size int) int {
	at := r.pos
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(r.end-r.pos) {
		r.malformed(at, "%d entries are announced in %d bytes", n, r.end-r.pos)
		return 0
	}
	return int(n)
}

// name reads a text. It stays a part of the module.
func (r *reader) name() []byte {
	at := r.pos
	n := r.u32()
	start := r.pos
	r.skip(n)
	if r.err != nil {
		return nil
	}
	b := r.data[start:r.pos]
	if !utf8.Valid(b) {
		r.malformed(at, "a name is not UTF-8")
		return nil
	}
	return b
}

// finish fails where something is left.
func (r *reader) finish(what string) {
	if r.more() {
		r.malformed(r.pos, "%s has %d bytes too many", what, r.end-r.pos)
	}
}

func appendUnsigned(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendSigned(b []byte, v int64) []byte {
	for v < -0x40 || v >= 0x40 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}

func unsignedLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

func signedLen(v int64) int {
	n := 1
	for ; v < -0x40 || v >= 0x40; v >>= 7 {
		n++
	}
	return n
}
