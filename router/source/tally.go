package source

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Tally counts what came in, by source, since the router started. The zero value
// is ready, and safe for concurrent use. Reasons are the codes of problems, so
// there are few of them whatever is sent.
type Tally struct {
	counts sync.Map // of tallyKey to *counter
}

// counter is one number, and for refusals when it was told, and what it was then.
type counter struct {
	atomic.Uint64

	mu   sync.Mutex
	told uint64
	at   time.Time
}

// tellEvery is how often refusals of a source with one reason are told.
const tellEvery = time.Minute

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

// Refused counts a request to a source that was refused at now. tell says that the log
// should have it, at most once a minute for each source and reason; n is how many there
// were since the last time, with this one.
func (t *Tally) Refused(source, reason string, now time.Time) (n uint64, tell bool) {
	c := t.counter(tallyKey{source: source, reason: reason})
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.Add(1)
	// A clock that was set back must not silence it for long.
	if since := now.Sub(c.at); !c.at.IsZero() && since >= 0 && since < tellEvery {
		return 0, false
	}
	n = all - c.told
	c.told, c.at = all, now
	return n, true
}

func (t *Tally) counter(k tallyKey) *counter {
	if c, ok := t.counts.Load(k); ok {
		return c.(*counter)
	}
	c, _ := t.counts.LoadOrStore(k, new(counter))
	return c.(*counter)
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
		list = append(list, Count{key.source, key.reason, key.repeated, v.(*counter).Load()})
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
