package segment

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"sync"
)

// Cursor reads events of a log one at a time, in any order. It keeps the stretch of
// a file that it read last, as far as it read it, so that the events beside the last
// one cost no read. It is for one goroutine, and must be closed.
type Cursor struct {
	log *Log
	w   *window
	// The stretch that is kept: its file, its first and last position, where each event
	// of it is, and where the next one is that is not in at. See forget.
	of          reach
	first, last uint64
	at          []span
	next        int64
}

// span is where an event is in its file, head included.
type span struct {
	offset     int64
	size, note int32
}

// growth is by how much a cursor reads on in a stretch.
const growth = 8 << 10

// cursors are those that nobody uses, for their memory.
var cursors = sync.Pool{New: func() any { return new(Cursor) }}

// Cursor gives a new one.
func (l *Log) Cursor() *Cursor {
	c := cursors.Get().(*Cursor)
	c.log = l
	c.forget()
	return c
}

// forget leaves no stretch, which is one that ends before it begins.
func (c *Cursor) forget() { c.first, c.last, c.at = 1, 0, c.at[:0] }

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
		if position < c.first || position > c.last {
			ok, err = c.move(position)
		}
		var e Event
		if ok && err == nil {
			e, err = c.event(position)
		}
		if !ok || err != nil {
			c.forget()
		}
		if errors.Is(err, os.ErrClosed) {
			continue // by one who needed the file, or removed it
		}
		return e, ok && err == nil, err
	}
}

// event reads one of the stretch.
func (c *Cursor) event(position uint64) (Event, error) {
	for position-c.first >= uint64(len(c.at)) {
		if err := c.locate(); err != nil {
			return Event{}, err
		}
	}
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

// move begins the stretch that a position is in; false where no segment has it.
func (c *Cursor) move(position uint64) (bool, error) {
	c.forget()
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
	relative := uint32(position - r.s.first)
	i := sort.Search(len(r.places), func(i int) bool { return r.places[i].position > relative }) - 1
	if i < 0 {
		return false, &Damage{r.s.path, headSize, "nothing says where its first event is"}
	}
	c.of, c.next = r, int64(r.places[i].offset)
	c.first, c.last = r.s.first+uint64(r.places[i].position), r.last
	end := r.end
	if i+1 < len(r.places) {
		c.last, end = r.s.first+uint64(r.places[i+1].position)-1, int64(r.places[i+1].offset)
	}
	if c.w == nil {
		c.w = newWindow(f, r.end)
	}
	// About as much of the stretch as is in front of the event, and the event.
	size := end - c.next
	size = min(size, size*int64(position-c.first+1)/int64(c.last-c.first+1)+growth/8, windowSize)
	return true, c.w.move(f, r.end, c.next, int(size))
}

// locate notes where the next event of the stretch is, which may be behind the head of
// its group.
func (c *Cursor) locate() error {
	position, off := c.first+uint64(len(c.at)), c.next
	b, err := c.w.get(off, eventSize)
	if err == nil && len(b) > 0 && b[0] == tagGroup {
		if b, err = c.w.get(off, groupSize); err != nil {
			return c.of.s.unread(err)
		}
		if g, ok := decodeGroup(c.of.s.mark, b); !ok || g.first != position {
			return c.of.damage(position, off, "is not where it should be")
		}
		off += groupSize
		b, err = c.w.get(off, eventSize)
	}
	if err != nil {
		return c.of.s.unread(err)
	}
	note, n, ok := eventLength(b)
	if !ok || off+int64(n) > c.of.end {
		return c.of.damage(position, off, "is not where it should be")
	}
	c.at = append(c.at, span{off, int32(n), int32(note)})
	c.next = off + int64(n)
	return nil
}
