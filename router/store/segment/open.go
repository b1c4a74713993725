package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Open opens the log that a folder has, or an empty one. It reads the newest segment
// whole, and the footers of the others. It mends a torn end of the newest where spare
// events are enough for that, and else cuts it off, see [Log.Torn]. What no crash explains is ErrDamaged.
func Open(o Options) (*Log, error) {
	if o.Size <= 0 {
		o.Size = defaultSize
	}
	l := &Log{opts: o}
	firsts, err := Firsts(o.Folder)
	if err == nil {
		err = l.load(firsts)
	}
	if err == nil && l.mended != nil {
		err = l.putBack(l.mended, l.joint, l.torn.Offset+l.torn.Bytes)
		l.mended = nil
	}
	if err != nil {
		return nil, errors.Join(err, l.closeFiles())
	}
	return l, nil
}

func (l *Log) closeFiles() error {
	var errs []error
	for _, s := range l.segments {
		if s.file != nil {
			errs = append(errs, s.file.Close())
		}
	}
	return errors.Join(errs...)
}

// Firsts gives the first positions of the segments in a folder, ascending.
func Firsts(folder string) ([]uint64, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("the segments: %w", err)
	}
	var list []uint64
	for _, e := range entries {
		digits, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".seg"), "events-")
		if n, err := strconv.ParseUint(digits, 10, 64); ok && err == nil && e.Name() == Name(n) && n > 0 {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}

func (l *Log) load(firsts []uint64) error {
	for len(firsts) > 1 && firsts[1] <= l.opts.Keep {
		if err := l.leftOver(firsts[0]); err != nil {
			return err
		}
		firsts = firsts[1:]
	}
	for i, first := range firsts {
		newest := i == len(firsts)-1
		s, err := l.openSegment(first, newest)
		if err != nil {
			return err
		}
		if s == nil {
			continue // nothing was ever in it
		}
		l.segments = append(l.segments, s)
		if i > 0 && l.segments[i-1].last+1 != first {
			path := filepath.Join(l.opts.Folder, Name(l.segments[i-1].last+1))
			return &Damage{path, -1, fmt.Sprintf("the segment is missing: the next one is %s", Name(first))}
		}
	}
	if s := l.newest(); s != nil && l.torn == nil && s.last < l.opts.Keep && s.first < l.opts.Keep {
		if err := l.closeFiles(); err != nil {
			return err
		}
		l.segments = nil
		return l.leftOver(s.first)
	}
	return nil
}

// leftOver removes a segment that is of no use.
func (l *Log) leftOver(first uint64) error {
	if l.opts.ReadOnly {
		return nil
	}
	if err := os.Remove(filepath.Join(l.opts.Folder, Name(first))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a segment that was left: %w", err)
	}
	return nil
}

// openSegment gives nil where a crash has left a file without a header.
func (l *Log) openSegment(first uint64, newest bool) (s *segment, err error) {
	s = &segment{path: filepath.Join(l.opts.Folder, Name(first)), first: first}
	flag := os.O_RDWR
	if l.opts.ReadOnly || !newest {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(s.path, flag, 0)
	if err != nil {
		return nil, fmt.Errorf("a segment: %w", err)
	}
	defer func() {
		if err != nil || s == nil || s.file == nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("a segment: %w", err)
	}
	head := make([]byte, headSize)
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", s.path, err)
	}
	var named uint64
	var ok bool
	if s.mark, named, ok = decodeHead(head); !ok || named != first {
		if newest && info.Size() <= headSize {
			return nil, l.leftOver(first)
		}
		return nil, &Damage{s.path, 0, "its header is not one of the store's"}
	}
	if ok, err := s.readFooter(f, info.Size()); err != nil || ok {
		return s, err
	}
	if !newest {
		return nil, &Damage{s.path, info.Size(), "the end that says what it holds is damaged"}
	}
	s.file = f
	return s, l.scan(s, info.Size())
}

// readFooter says whether the segment is complete.
func (s *segment) readFooter(f *os.File, size int64) (bool, error) {
	tail := make([]byte, footerTail)
	if size < headSize+footerHead+footerTail {
		return false, nil
	}
	if _, err := f.ReadAt(tail, size-footerTail); err != nil {
		return false, fmt.Errorf("reading %s: %w", s.path, err)
	}
	n, ok := footerLength(tail)
	if !ok || n > size-headSize {
		return false, nil
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, size-n); err != nil {
		return false, fmt.Errorf("reading %s: %w", s.path, err)
	}
	foot, ok := decodeFooter(s.mark, s.first, size-n, b)
	if ok {
		s.places, s.last, s.end, s.sealed = foot.places, foot.last, foot.end, true
	}
	return ok, nil
}

// scan reads the groups of a segment that is not complete, to the end of the last
// whole one.
func (l *Log) scan(s *segment, size int64) error {
	s.last, s.end = s.first-1, headSize
	w := newWindow(s.file, size)
	defer w.free()
	for {
		g, end, places, err := s.readGroup(w, s.end, s.last+1)
		if err != nil {
			return err
		}
		if end == 0 {
			break
		}
		s.group = groupStart{g.first, s.end, g.joint, len(s.places)}
		s.places, s.end, s.last = places, end, s.last+uint64(g.count)
	}
	if s.end < size {
		if err := s.lookBehind(size); err != nil {
			return err
		}
	}
	mended, joint, err := l.mend(s, w)
	if err != nil {
		return err
	}
	if s.end == size && mended == nil {
		return nil
	}
	l.torn = &Torn{s.path, s.end, size - s.end, len(mended)}
	if l.opts.ReadOnly {
		return nil
	}
	if mended != nil {
		l.mended, l.joint = mended, joint
		return nil
	}
	err = s.file.Truncate(s.end)
	if err == nil {
		err = l.flush(s.file)
	}
	if err != nil {
		return fmt.Errorf("cutting off the torn end of %s: %w", s.path, err)
	}
	return nil
}

// readGroup reads and checks the group at an offset. end is 0 where none is whole.
func (s *segment) readGroup(w *window, at int64, position uint64) (g groupHead, end int64, places []place, err error) {
	b, err := w.get(at, groupSize)
	if err != nil {
		return g, 0, nil, s.unread(err)
	}
	g, ok := decodeGroup(s.mark, b)
	end = at + groupSize + int64(g.length)
	if !ok || g.first != position || end > w.size {
		return g, 0, nil, nil
	}
	places = s.places
	off := at + groupSize
	for i := range uint64(g.count) {
		b, err := w.get(off, eventSize)
		if err != nil {
			return g, 0, nil, s.unread(err)
		}
		_, n, ok := eventLength(b)
		if !ok || off+int64(n) > end {
			return g, 0, nil, nil
		}
		if b, err = w.get(off, n); err != nil {
			return g, 0, nil, s.unread(err)
		}
		if !decodeEvent(s.mark, position+i, b) {
			return g, 0, nil, nil
		}
		from := off
		if i == 0 {
			from = at
		}
		if p := len(places); p == 0 || from-int64(places[p-1].offset) >= placeEvery {
			places = append(places, place{uint32(position + i - s.first), uint32(from)})
		}
		off += int64(n)
	}
	if off != end {
		return g, 0, nil, nil
	}
	return g, end, places, nil
}

func (s *segment) unread(err error) error { return fmt.Errorf("reading %s: %w", s.path, err) }

// lookBehind finds out whether what can't be read is the remains of one group. A group
// is on disk before the next one is written.
func (s *segment) lookBehind(size int64) error {
	const step = 1 << 20
	b := make([]byte, min(step, size-s.end)+groupSize)
	for at := s.end + 1; at < size; at += step {
		n, err := s.file.ReadAt(b, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return s.unread(err)
		}
		for rest := b[:n]; ; {
			i := bytes.Index(rest, s.mark[:])
			if i < 0 {
				break
			}
			if g, ok := decodeGroup(s.mark, rest[i:]); ok && g.first > s.last+1 {
				return &Damage{s.path, s.end, fmt.Sprintf("it can't be read, and whole groups follow: event %d is lost", s.last+1)}
			}
			rest = rest[i+1:]
		}
	}
	return nil
}
