package segment

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"sync"
)

// Cursor reads events of a log one at a time, in any order. It keeps the stretch of
// a file that it read last, so that the events beside the last one cost no read. It is
// for one goroutine, and must be closed.
type Cursor struct {
	log *Log
	w   *window
	// The stretch that is kept: its file, its first position, and where each event of
	// it is.
	of    reach
	first uint64
	at    []span
}

// span is where an event is in its file, head included.
type span struct {
	offset     int64
	size, note int32
}

// cursors are those that nobody uses, for their memory.
var cursors = sync.Pool{New: func() any { return new(Cursor) }}

// Cursor gives a new one.
func (l *Log) Cursor() *Cursor {
	c := cursors.Get().(*Cursor)
	c.log = l
	return c
}

// Close gives back what the cursor has kept. It must not be used after it.
func (c *Cursor) Close() {
	if c.w != nil {
		c.w.free()
	}
	*c = Cursor{at: c.at[:0]}
	cursors.Put(c)
}

// Read gives the event at a position, which holds until the next call; false where
// there is none.
func (c *Cursor) Read(position uint64) (Event, bool, error) {
	for {
		ok, err := true, error(nil)
		if position < c.first || position-c.first >= uint64(len(c.at)) {
			ok, err = c.move(position)
		}
		var e Event
		if ok && err == nil {
			e, err = c.event(position)
		}
		if !ok || err != nil {
			c.at = c.at[:0]
		}
		if errors.Is(err, os.ErrClosed) {
			continue // by one who needed the file, or removed it
		}
		return e, ok && err == nil, err
	}
}

// event reads one of the stretch.
func (c *Cursor) event(position uint64) (Event, error) {
	s := &c.at[position-c.first]
	b, err := c.w.get(s.offset, int(s.size))
	if err != nil {
		return Event{}, c.of.s.unread(err)
	}
	if len(b) < int(s.size) || !decodeEvent(c.of.s.mark, position, b) {
		return Event{}, c.of.damage(position, s.offset, "does not match its checksum")
	}
	b = b[eventSize:]
	return Event{position, b[:s.note:s.note], b[s.note:]}, nil
}

func (r *reach) damage(position uint64, off int64, why string) error {
	return &Damage{r.s.path, off, fmt.Sprintf("the event of position %d %s", position, why)}
}

// move reads the stretch that a position is in; false where no segment has it.
func (c *Cursor) move(position uint64) (bool, error) {
	c.at = c.at[:0]
	r, ok := c.log.at(position)
	if !ok {
		return false, nil
	}
	f, err := c.log.fileOf(r.s)
	if errors.Is(err, errRemoved) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	off, end, err := c.stretch(r, position)
	if err != nil {
		return false, err
	}
	if c.w == nil {
		c.w = newWindow(f, r.end)
	}
	// Not more than the stretch, and not all of it where an event in it is large.
	c.w.move(f, r.end, int(min(end-off, windowSize)))
	for p := c.first; off < end && p <= r.last; p++ {
		next, err := c.locate(p, off)
		if err != nil && p <= position {
			return false, err
		}
		if err != nil {
			break // that of another event
		}
		off = next
	}
	if position-c.first >= uint64(len(c.at)) {
		return false, r.damage(position, off, "is not where it should be")
	}
	return true, nil
}

// stretch begins the one that a position is in, and says where it is in the file.
func (c *Cursor) stretch(r reach, position uint64) (off, end int64, err error) {
	relative := uint32(position - r.s.first)
	i := sort.Search(len(r.places), func(i int) bool { return r.places[i].position > relative }) - 1
	if i < 0 {
		return 0, 0, &Damage{r.s.path, headSize, "nothing says where its first event is"}
	}
	c.of, c.first = r, r.s.first+uint64(r.places[i].position)
	off, end = int64(r.places[i].offset), r.end
	if i+1 < len(r.places) {
		end = int64(r.places[i+1].offset)
	}
	return off, end, nil
}

// locate notes where an event is, which is at an offset or behind the head of its
// group, and gives where the next one is.
func (c *Cursor) locate(position uint64, off int64) (next int64, err error) {
	b, err := c.w.get(off, eventSize)
	if err == nil && len(b) > 0 && b[0] == tagGroup {
		if b, err = c.w.get(off, groupSize); err != nil {
			return 0, c.of.s.unread(err)
		}
		if g, ok := decodeGroup(c.of.s.mark, b); !ok || g.first != position {
			return 0, c.of.damage(position, off, "is not where it should be")
		}
		off += groupSize
		b, err = c.w.get(off, eventSize)
	}
	if err != nil {
		return 0, c.of.s.unread(err)
	}
	note, n, ok := eventLength(b)
	if !ok || off+int64(n) > c.of.end {
		return 0, c.of.damage(position, off, "is not where it should be")
	}
	c.at = append(c.at, span{off, int32(n), int32(note)})
	return off + int64(n), nil
}
