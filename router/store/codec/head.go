package codec

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Head is what events are chosen by. Its bytes are part of those it was read from.
type Head struct {
	Received                                    time.Time
	ID, Type, Source, OriginID, Subject, Tenant []byte
	Data                                        []byte
}

// EventHead reads the head of bytes of [AppendEvent], which costs a fraction of all of
// them, and no memory. What is behind it is not looked at.
func EventHead(b []byte, h *Head) error {
	if len(b) < idAt {
		return fmt.Errorf("%w event: it ends too early", ErrMalformed)
	}
	end := binary.BigEndian.Uint32(b[receivedAt+8:])
	if uint64(end) > uint64(len(b)) || end < idAt || b[0] != version {
		return fmt.Errorf("%w event: its fields end outside of it", ErrMalformed)
	}
	h.Received = time.Unix(0, int64(binary.BigEndian.Uint64(b[receivedAt:]))).UTC()
	h.Data = b[end:]
	r := skipper{b: b[idAt:end]}
	h.ID = r.string()
	r.number() // the time
	r.number()
	h.Type, h.Source, h.OriginID = r.string(), r.string(), r.string()
	r.string() // the scope
	h.Subject, h.Tenant = r.string(), r.string()
	if r.failed {
		return fmt.Errorf("%w event: it ends too early", ErrMalformed)
	}
	return nil
}

// skipper takes values off the front of b, and gives them as they stand there. After
// the first error it gives nothing.
type skipper struct {
	b      []byte
	failed bool
}

func (r *skipper) fail() {
	r.failed = true
	r.b = nil
}

func (r *skipper) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// number reads one, whatever its sign.
func (r *skipper) number() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := r.b[0]
		r.b = r.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *skipper) string() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}
