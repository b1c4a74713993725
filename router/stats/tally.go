package stats

import (
	"fmt"
	"time"

	"github.com/weirhq/weir/router/store"
)

// Tally counts what one record is about. It belongs to one goroutine.
type Tally struct {
	book    *Book
	minutes map[int64]table
	hours   map[int64]flows
	err     error
}

// Tally begins to count for a record.
func (b *Book) Tally() *Tally {
	return &Tally{book: b, minutes: map[int64]table{}, hours: map[int64]flows{}}
}

// Add counts one thing.
func (t *Tally) Add(o *Observation) {
	minute := o.At.Unix()
	minute -= mod(minute, 60)
	to := t.minutes[minute]
	if to == nil {
		to = table{}
		t.minutes[minute] = to
	}
	if err := to.get(o.Key).observe(o); err != nil && t.err == nil {
		t.err = err
	}
}

// Flows counts what goes along routes at a time. It gives what to call for each.
func (t *Tally) Flows(at time.Time) (add func(k Flow, n uint64)) {
	hour := at.Unix()
	hour -= mod(hour, flowWidth)
	to := t.hours[hour]
	if to == nil {
		to = flows{}
		t.hours[hour] = to
	}
	return to.add
}

// Document is what the record must carry so that it is counted exactly when it is
// committed. ok is false where there is nothing to count.
func (t *Tally) Document() (d store.Document, ok bool) {
	if len(t.minutes)+len(t.hours) == 0 {
		return store.Document{}, false
	}
	t.book.mu.Lock()
	n := t.book.next
	t.book.next++
	t.book.mu.Unlock()
	return store.Document{Kind: kindDelta, Name: fmt.Sprintf("%016x", n), Value: encodeDelta(&delta{t.minutes, t.hours})}, true
}

// Committed says that the record with the document is committed.
func (t *Tally) Committed(d store.Document) {
	b := t.book
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mergeFlows(t.hours)
	err := b.merge(t.minutes)
	if err == nil {
		err = t.err
	}
	if err != nil {
		b.log.Error("statistics are wrong by a record", "error", err)
	}
	b.folded = append(b.folded, d.Name)
}
