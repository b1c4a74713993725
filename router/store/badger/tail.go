package badger

import (
	"sync"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store/codec"
)

// tailBytes bounds what a tail holds.
const tailBytes = 8 << 20

// tail keeps the newest events as they were encoded, so that who reads the log
// as it grows does not read it from the database. The zero value is empty.
type tail struct {
	mu    sync.Mutex
	first uint64 // position of rows[0]
	rows  [][]byte
	size  int
}

// append adds the rows of events that were committed, the first at a position.
func (t *tail) append(first uint64, rows [][]byte) {
	if len(rows) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first+uint64(len(t.rows)) != first {
		t.forget()
		t.first = first
	}
	t.rows = append(t.rows, rows...)
	for _, row := range rows {
		t.size += len(row)
	}
	drop := 0
	for t.size > tailBytes {
		t.size -= len(t.rows[drop])
		drop++
	}
	clear(t.rows[:drop]) // append moves what is left, sooner or later
	t.rows = t.rows[drop:]
	t.first += uint64(drop)
}

// reset forgets everything: retention has taken some of it.
func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
}

func (t *tail) forget() {
	t.rows, t.size = nil, 0
}

// events decodes up to most events from a position on; none where the tail does
// not reach back so far.
func (t *tail) events(from uint64, most int) ([]*event.Event, error) {
	t.mu.Lock()
	var rows [][]byte
	if end := t.first + uint64(len(t.rows)); from >= t.first && from < end {
		rows = t.rows[from-t.first:]
		rows = append([][]byte(nil), rows[:min(most, len(rows))]...)
	}
	t.mu.Unlock()
	if len(rows) == 0 {
		return nil, nil
	}
	events := make([]*event.Event, len(rows))
	for i, row := range rows {
		e, err := codec.Event(from+uint64(i), row)
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return events, nil
}
