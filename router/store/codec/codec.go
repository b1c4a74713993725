// Package codec is the binary form of what a store keeps: events, routings,
// deliveries, lanes and the rows that index them.
//
// # Invariants
//
// Every encoded value begins with a version byte. Numbers are varints, strings
// and lists carry their length in front, and an event's data comes last so that
// it is copied once. There is no reflection, and no JSON.
//
// Decoding takes any bytes: it never panics, and never allocates more than a
// small multiple of what it was given, because every length is checked against
// the bytes that are left. What is not a whole and exact encoding is an error
// that wraps [ErrMalformed].
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/weirhq/weir/router/store"
)

// ErrMalformed says that bytes are not what this package wrote.
var ErrMalformed = errors.New("malformed")

const version = 1

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendBytes(b, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// appendTime keeps any instant that time.Time can hold, where nanoseconds since
// 1970 would end in 2262. The zero time stays the zero time.
func appendTime(b []byte, t time.Time) []byte {
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

func appendRef(b []byte, r store.Ref) []byte {
	b = binary.AppendUvarint(b, r.Position)
	return binary.AppendUvarint(b, uint64(r.Index))
}

// appendRefs delta-codes references, which must ascend.
func appendRefs(b []byte, refs []store.Ref) []byte {
	b = binary.AppendUvarint(b, uint64(len(refs)))
	var last store.Ref
	for _, r := range refs {
		b = appendRefAfter(b, last, r)
		last = r
	}
	return b
}

func appendRefAfter(b []byte, last, r store.Ref) []byte {
	b = binary.AppendUvarint(b, r.Position-last.Position)
	return binary.AppendUvarint(b, uint64(r.Index))
}

// reader takes values off the front of s. After the first error it gives zero
// values, so that callers check once, at the end.
type reader struct {
	s    string
	what string
	err  error
	// version is that of the value.
	version byte
}

func newReader(what, s string) *reader { return newReaderOf(what, s, version) }

// newReaderOf reads values of every version up to newest.
func newReaderOf(what, s string, newest byte) *reader {
	r := &reader{s: s, what: what}
	if r.version = r.byte(); r.err == nil && (r.version == 0 || r.version > newest) {
		r.fail(fmt.Sprintf("version %d", r.version))
	}
	return r
}

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w %s: %s", ErrMalformed, r.what, why)
		r.s = ""
	}
}

// end checks that everything was taken.
func (r *reader) end() error {
	if r.err == nil && r.s != "" {
		r.fail("more bytes than it should have")
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.s) == 0 {
		r.fail("it ends too early")
		return 0
	}
	v := r.s[0]
	r.s = r.s[1:]
	return v
}

func (r *reader) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(r.s); i++ {
		c := r.s[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.s = r.s[i+1:]
			return v
		}
		if i == binary.MaxVarintLen64-1 {
			break
		}
	}
	r.fail("a number does not end")
	return 0
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}

// upTo reads a number that is at most max.
func (r *reader) upTo(max uint64) uint64 {
	v := r.uvarint()
	if v > max {
		r.fail("a number is too large")
		return 0
	}
	return v
}

func (r *reader) int() int { return int(r.upTo(math.MaxInt32)) }

// count reads the length of a list whose elements take at least min bytes each,
// so that a length that cannot be true allocates nothing.
func (r *reader) count(min int) int {
	return int(r.upTo(uint64(len(r.s) / min)))
}

func (r *reader) string() string {
	n := int(r.upTo(uint64(len(r.s))))
	if n > len(r.s) {
		r.fail("it ends too early")
		return ""
	}
	v := r.s[:n]
	r.s = r.s[n:]
	return v
}

func (r *reader) bytes() []byte {
	s := r.string()
	if s == "" {
		return nil
	}
	return []byte(s)
}

func (r *reader) duration() time.Duration { return time.Duration(r.varint()) }

func (r *reader) time() time.Time {
	sec := r.varint()
	nsec := r.upTo(uint64(time.Second - 1))
	if r.err != nil {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

func (r *reader) uint64() uint64 {
	if len(r.s) < 8 {
		r.fail("it ends too early")
		return 0
	}
	var v uint64
	for i := range 8 {
		v = v<<8 | uint64(r.s[i])
	}
	r.s = r.s[8:]
	return v
}

func (r *reader) ref() store.Ref {
	return store.Ref{Position: r.uvarint(), Index: uint32(r.upTo(math.MaxUint32))}
}

func (r *reader) refAfter(last store.Ref) store.Ref {
	delta := r.uvarint()
	next := store.Ref{Position: last.Position + delta, Index: uint32(r.upTo(math.MaxUint32))}
	if r.err == nil && (next.Position < last.Position || last != (store.Ref{}) && !last.Less(next)) {
		r.fail("references do not ascend")
	}
	return next
}

func (r *reader) refs() []store.Ref {
	n := r.count(2)
	if n == 0 || r.err != nil {
		return nil
	}
	refs := make([]store.Ref, 0, n)
	var last store.Ref
	for range n {
		last = r.refAfter(last)
		refs = append(refs, last)
	}
	if r.err != nil {
		return nil
	}
	return refs
}
