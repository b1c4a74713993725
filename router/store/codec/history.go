package codec

import (
	"fmt"
	"math"
	"slices"

	"github.com/weirhq/weir/router/store"
)

// History is a chunk of a lane's history. What it has of each attempt is read when it
// is asked for: who looks for one line of hundreds needs no more than their
// references.
type History struct {
	b     []byte
	lines []historyLine
}

type historyLine struct {
	ref  store.Ref
	at   int // of its attempt
	kind byte
	// tries is what the schedule has used up.
	tries int
}

// ReadHistory reads bytes of [AppendHistory], which it keeps.
func ReadHistory(b []byte) (*History, error) {
	r := skipper{b: b}
	if v := r.byte(); !r.failed && v != version {
		return nil, fmt.Errorf("%w history: version %d", ErrMalformed, v)
	}
	n := r.number()
	if n > uint64(len(r.b)/4) {
		r.fail()
		n = 0
	}
	h := &History{b: b, lines: make([]historyLine, n)}
	var last store.Ref
	for i := range h.lines {
		l := &h.lines[i]
		l.kind = r.byte()
		delta, index, tries := r.number(), r.number(), r.number()
		l.ref = store.Ref{Position: last.Position + delta, Index: uint32(index)}
		l.tries, l.at = int(tries), len(b)-len(r.b)
		if l.kind&settledAttempt != 0 {
			r.skipAttempt()
		}
		if r.failed || index > math.MaxUint32 || tries > math.MaxInt32 || l.kind&^(settledRow|settledAttempt) != 0 || i > 0 && !last.Less(l.ref) {
			return nil, fmt.Errorf("%w history: line %d is not one", ErrMalformed, i)
		}
		last = l.ref
	}
	if r.failed || len(r.b) > 0 {
		return nil, fmt.Errorf("%w history: it has another length", ErrMalformed)
	}
	return h, nil
}

// Size is about how many bytes of memory h takes, none where it is nil.
func (h *History) Size() int {
	if h == nil {
		return 0
	}
	return len(h.b) + 40*len(h.lines)
}

// Len is how many lines there are. They ascend.
func (h *History) Len() int { return len(h.lines) }

// Ref is the delivery of a line.
func (h *History) Ref(i int) store.Ref { return h.lines[i].ref }

// Find gives the first line at or after a reference, and whether it is of that.
func (h *History) Find(r store.Ref) (int, bool) {
	return slices.BinarySearchFunc(h.lines, r, func(l historyLine, r store.Ref) int {
		switch {
		case l.ref == r:
			return 0
		case l.ref.Less(r):
			return -1
		}
		return 1
	})
}

// Line gives a line whole.
func (h *History) Line(i int) (*Settled, error) {
	l := &h.lines[i]
	s := &Settled{Ref: l.ref, Row: l.kind&settledRow != 0, Tries: l.tries}
	if l.kind&settledAttempt == 0 {
		return s, nil
	}
	end := skipper{b: h.b[l.at:]}
	end.skipAttempt()
	r := reader{s: string(h.b[l.at : len(h.b)-len(end.b)]), what: "history", version: version}
	a := r.attempt()
	s.Attempt = &a
	return s, r.end()
}

// skipAttempt passes over bytes of appendAttempt.
func (r *skipper) skipAttempt() {
	r.skipNumbers(9) // number, time, latency and its four phases, status
	for range 3 {    // reason, error, body
		r.string()
	}
}

// skipNumbers passes over n numbers, by their last bytes. Whether they are numbers is
// found out by who reads them.
func (r *skipper) skipNumbers(n int) {
	for i, c := range r.b {
		if c < 0x80 {
			if n--; n == 0 {
				r.b = r.b[i+1:]
				return
			}
		}
	}
	r.fail()
}
