package segment

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"sync"
)

// Event is what is read.
type Event struct {
	Position   uint64
	Note, Data []byte
}

// reach is a segment as it was at one moment.
type reach struct {
	s      *segment
	last   uint64
	end    int64
	places []place
}

// at finds the segment of a position.
func (l *Log) at(position uint64) (r reach, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].first > position }) - 1
	if i < 0 || position > l.segments[i].last {
		return r, false
	}
	s := l.segments[i]
	return reach{s, s.last, s.end, s.places}, true
}

// Read gives up to most events from a position on, in order; none where there is none
// at that position. What it gives is the caller's.
func (l *Log) Read(from uint64, most int) ([]Event, error) {
	var events []Event
	for len(events) < most {
		r, ok := l.at(from)
		if !ok {
			break
		}
		f, err := l.fileOf(r.s)
		if errors.Is(err, errRemoved) {
			break
		}
		if err != nil {
			return nil, err
		}
		more, err := r.read(f, from, most-len(events))
		if errors.Is(err, os.ErrClosed) {
			continue // by one who needed the file, or removed it
		}
		if err != nil {
			return nil, err
		}
		from += uint64(len(more))
		events = append(events, more...)
	}
	return events, nil
}

// errRemoved says that a segment was removed meanwhile.
var errRemoved = errors.New("removed")

// fileOf opens a segment's file.
func (l *Log) fileOf(s *segment) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used++
	s.used = l.used
	if s.file != nil {
		return s.file, nil
	}
	if len(l.segments) == 0 || s.first < l.segments[0].first {
		return nil, errRemoved
	}
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Damage{s.path, -1, "the segment is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("a segment: %w", err)
	}
	s.file = f
	l.open++
	l.closeOldest()
	return f, nil
}

// closeOldest closes the files that were not read for longest, where there are many.
// Readers of them open them again.
func (l *Log) closeOldest() {
	for l.open > mostFiles {
		var oldest *segment
		for _, s := range l.segments {
			if s.sealed && s.file != nil && (oldest == nil || s.used < oldest.used) {
				oldest = s
			}
		}
		if oldest == nil {
			return
		}
		_ = oldest.file.Close() // it was read only, or flushed
		oldest.file = nil
		l.open--
	}
}

// read gives up to most events, of one segment.
func (r *reach) read(f *os.File, from uint64, most int) ([]Event, error) {
	w := newWindow(f, r.end)
	defer w.free()
	relative := uint32(from - r.s.first)
	i := sort.Search(len(r.places), func(i int) bool { return r.places[i].position > relative }) - 1
	if i < 0 {
		return nil, &Damage{r.s.path, headSize, "nothing says where its first event is"}
	}
	if most == 1 && i+1 < len(r.places) {
		// Not more than the stretch that it is in.
		w.step = int(min(int64(r.places[i+1].offset-r.places[i].offset), windowSize))
	}
	position, off := r.s.first+uint64(r.places[i].position), int64(r.places[i].offset)
	bad := func(why string) error { return r.damage(position, off, why) }
	var events []Event
	for len(events) < most && position <= r.last {
		b, err := w.get(off, eventSize)
		if err != nil {
			return nil, r.s.unread(err)
		}
		if len(b) > 0 && b[0] == tagGroup {
			if b, err = w.get(off, groupSize); err != nil {
				return nil, r.s.unread(err)
			}
			if g, ok := decodeGroup(r.s.mark, b); !ok || g.first != position {
				return nil, bad("is not where it should be")
			}
			off += groupSize
			continue
		}
		note, n, ok := eventLength(b)
		if !ok || off+int64(n) > r.end {
			return nil, bad("is not where it should be")
		}
		if position >= from {
			if b, err = w.get(off, n); err != nil {
				return nil, r.s.unread(err)
			}
			if !decodeEvent(r.s.mark, position, b) {
				return nil, bad("does not match its checksum")
			}
			own := append([]byte(nil), b[eventSize:]...)
			events = append(events, Event{position, own[:note:note], own[note:]})
		}
		off += int64(n)
		position++
	}
	return events, nil
}

// Verify reads all complete segments. Before it reads n bytes it calls spend with n,
// and ends with its error.
func (l *Log) Verify(spend func(n int64) error) error {
	l.mu.RLock()
	var list []reach
	for _, s := range l.segments {
		if s.sealed {
			list = append(list, reach{s, s.last, s.end, s.places})
		}
	}
	l.mu.RUnlock()
	for _, r := range list {
		if err := r.verify(spend); err != nil {
			return err
		}
	}
	return nil
}

// verify opens the file for itself: a removal meanwhile does not end it.
func (r *reach) verify(spend func(n int64) error) error {
	f, err := os.Open(r.s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile; a start finds what is missing
	}
	if err != nil {
		return fmt.Errorf("a segment: %w", err)
	}
	defer f.Close()
	w := newWindow(f, r.end)
	defer w.free()
	copied := segment{path: r.s.path, first: r.s.first, mark: r.s.mark}
	position := r.s.first
	for off := int64(headSize); off < r.end; {
		g, end, _, err := copied.readGroup(w, off, position)
		if err != nil {
			return err
		}
		if end == 0 {
			return &Damage{r.s.path, off, fmt.Sprintf("the group from position %d on does not match its checksums", position)}
		}
		if err := spend(end - off); err != nil {
			return err
		}
		off, position = end, position+uint64(g.count)
	}
	if position != r.last+1 {
		return &Damage{r.s.path, r.end, fmt.Sprintf("its events end before position %d", position)}
	}
	return nil
}

// windowSize is how much of a file is read at a time, where more is not needed.
const windowSize = 64 << 10

var windows = sync.Pool{New: func() any { return new([windowSize]byte) }}

// window is a part of a file.
type window struct {
	f    io.ReaderAt
	size int64 // of the file, or what of it may be read
	step int
	at   int64
	buf  []byte
	own  *[windowSize]byte
	// grows says that it reads on behind buf as long as own has room.
	grows bool
}

func newWindow(f io.ReaderAt, size int64) *window {
	own := windows.Get().(*[windowSize]byte)
	return &window{f: f, size: size, step: windowSize, own: own, buf: own[:0]}
}

func (w *window) free() { windows.Put(w.own) }

// move makes it one of another file, of which whole bytes may be read. It has size of
// them from an offset on at once, and grows by what is behind them.
func (w *window) move(f io.ReaderAt, whole, off int64, size int) error {
	w.f, w.size, w.step, w.grows = f, whole, growth, true
	w.at, w.buf = off, w.own[:0]
	return w.more(size)
}

// more reads n more bytes into a window that has room for them, or what there is.
func (w *window) more(n int) error {
	end := w.at + int64(len(w.buf))
	n = int(min(int64(n), w.size-end, windowSize-int64(len(w.buf))))
	if n <= 0 {
		return nil
	}
	got, err := w.f.ReadAt(w.own[len(w.buf):len(w.buf)+n], end)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	w.buf = w.own[:len(w.buf)+got]
	return nil
}

// get gives n bytes from an offset on, or what there is of them, until the next call.
func (w *window) get(off int64, n int) ([]byte, error) {
	if off >= w.at && off+int64(n) <= w.at+int64(len(w.buf)) {
		return w.buf[off-w.at:][:n], nil
	}
	if have := w.at + int64(len(w.buf)); w.grows && off >= w.at && off <= have && off+int64(n) <= w.at+windowSize {
		if err := w.more(max(int(off+int64(n)-have), w.step)); err != nil {
			return nil, err
		}
		return w.buf[off-w.at : min(int(off-w.at)+n, len(w.buf))], nil
	}
	want := min(int64(max(n, w.step)), w.size-off)
	if want <= 0 {
		return nil, nil
	}
	b := w.own[:]
	if want > windowSize {
		b, w.grows = make([]byte, want), false
	}
	got, err := w.f.ReadAt(b[:want], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	w.at, w.buf = off, b[:got]
	return w.buf[:min(n, got)], nil
}
