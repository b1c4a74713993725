package store

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
)

// Ref names a delivery: its event's position, and its place among all that the
// event led to.
type Ref struct {
	Position uint64
	Index    uint32
}

const deliveryPrefix = "dlv_"

var refEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// Less orders references by position, then index: a lane's order.
func (r Ref) Less(o Ref) bool {
	if r.Position != o.Position {
		return r.Position < o.Position
	}
	return r.Index < o.Index
}

// Next is the smallest reference after r.
func (r Ref) Next() Ref {
	if r.Index == ^uint32(0) {
		return Ref{Position: r.Position + 1}
	}
	return Ref{Position: r.Position, Index: r.Index + 1}
}

// String is the delivery's id: dlv_ and 20 characters. It follows from the
// reference, so a delivery is found by its id without an index.
func (r Ref) String() string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], r.Position)
	binary.BigEndian.PutUint32(b[8:], r.Index)
	var id [len(deliveryPrefix) + 20]byte
	copy(id[:], deliveryPrefix)
	refEncoding.Encode(id[len(deliveryPrefix):], b[:])
	return string(id[:])
}

// ParseRef reads a delivery id.
func ParseRef(s string) (Ref, error) {
	rest, ok := strings.CutPrefix(s, deliveryPrefix)
	if !ok || len(rest) != 20 {
		return Ref{}, fmt.Errorf("%q is not a delivery id: they begin with %s and have 20 more characters", s, deliveryPrefix)
	}
	b, err := refEncoding.DecodeString(strings.ToLower(rest))
	if err != nil {
		return Ref{}, fmt.Errorf("%q is not a delivery id: %w", s, err)
	}
	r := Ref{Position: binary.BigEndian.Uint64(b[:8]), Index: binary.BigEndian.Uint32(b[8:])}
	if !strings.EqualFold(r.String(), s) { // the last character has bits to spare
		return Ref{}, fmt.Errorf("%q is not a delivery id", s)
	}
	return r, nil
}
