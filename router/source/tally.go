package source

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// Tally counts what came in, by source, since the router started. The zero value
// is ready, and safe for concurrent use. Reasons are the codes of problems, so
// there are few of them whatever is sent.
type Tally struct {
	counts sync.Map // of tallyKey to *atomic.Uint64
}

// tallyKey has no reason for events that were taken, or were there before.
type tallyKey struct {
	source, reason string
	repeated       bool
}

// Took counts n events of a source that were stored.
func (t *Tally) Took(source string, n int) { t.counter(tallyKey{source: source}).Add(uint64(n)) }

// Repeated counts n events of a source that were stored before.
func (t *Tally) Repeated(source string, n int) {
	t.counter(tallyKey{source: source, repeated: true}).Add(uint64(n))
}

// Refused counts a request to a source that was refused.
func (t *Tally) Refused(source, reason string) {
	t.counter(tallyKey{source: source, reason: reason}).Add(1)
}

func (t *Tally) counter(k tallyKey) *atomic.Uint64 {
	if c, ok := t.counts.Load(k); ok {
		return c.(*atomic.Uint64)
	}
	c, _ := t.counts.LoadOrStore(k, new(atomic.Uint64))
	return c.(*atomic.Uint64)
}

// Count is one number of a Tally.
type Count struct {
	Source string
	// Reason is why requests were refused; empty for events that were taken, or, where
	// Repeated is set, that were there before.
	Reason   string
	Repeated bool
	N        uint64
}

// Counts returns all numbers, by source and reason; those that were there before are
// after those that were taken.
func (t *Tally) Counts() []Count {
	var list []Count
	t.counts.Range(func(k, v any) bool {
		key := k.(tallyKey)
		list = append(list, Count{key.source, key.reason, key.repeated, v.(*atomic.Uint64).Load()})
		return true
	})
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Reason, b.Reason), order(a.Repeated)-order(b.Repeated))
	})
	return list
}

func order(repeated bool) int {
	if repeated {
		return 1
	}
	return 0
}
