package segment

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

const (
	// defaultSize is that from which a segment is complete, in bytes.
	defaultSize = 64 << 20
	// placeEvery is how many bytes one place in memory stands for: 5 million events
	// of 1 KiB take 1.4 MiB of them.
	placeEvery = 32 << 10
	// ahead is how many blocks are taken at a time, in bytes.
	ahead = 8 << 20
	// mostFiles is how many complete segments are open for reading at a time.
	mostFiles = 128
	// keptBuffer is the largest buffer that is kept between groups.
	keptBuffer = 4 << 20
)

// ErrNoSpace says that the disk has no room for a group, or the process no file left to
// open. Nothing was written.
var ErrNoSpace = errors.New("no space for events")

// Options of a log. Folder is required.
type Options struct {
	Folder string
	// Keep is the first position that must still be there: segments that end before
	// it are left from a removal, and are removed.
	Keep uint64
	// ReadOnly has nothing changed: a torn end is not cut off, and what is left of
	// other things is not removed. Such a log must not be appended to.
	ReadOnly bool
	// Spare are copies of the newest events that were known to be there.
	Spare Spare
	// Size is that from which a segment is complete, in bytes, 64 MiB by default.
	Size int64
	// NoSync leaves flushing to the kernel, and NoRoom blocks to the write: both are
	// for proofs that must be shown to fail.
	NoSync, NoRoom bool
}

// Log is a log in the segments of one folder.
type Log struct {
	opts   Options
	torn   *Torn
	mended []Entry // Open's, what it still has to put back
	joint  bool    // of that

	mu       sync.RWMutex // guards what follows, and what each segment says of it
	segments []*segment   // ascending; replaced, never changed
	open     int          // files of complete segments
	used     uint64       // counts uses of files

	// What follows is the appender's.
	buffer  []byte
	without bool  // the file system allocates nothing beforehand
	failed  error // after it nothing is known
}

// Torn is an end of the newest segment that was cut off when it was opened.
type Torn struct {
	File          string
	Offset, Bytes int64
	// Mended is how many events were put back instead, by the help of spare ones, or
	// would be, where the log was opened for reading only. 0 where some are lost.
	Mended int
}

type segment struct {
	path  string
	first uint64
	mark  mark

	// What follows is guarded by the log's mu.
	last   uint64 // first-1 where it is empty
	end    int64  // of its events
	sealed bool
	places []place // appended to, never changed
	file   *os.File
	used   uint64

	// What follows is the appender's.
	group     groupStart // the last one, zero where it is not known
	allocated int64
}

// groupStart is where a group begins.
type groupStart struct {
	first  uint64
	offset int64
	joint  bool
	places int // those before it
}

// Name is that of the segment whose first event is at a position.
func Name(first uint64) string { return fmt.Sprintf("events-%020d.seg", first) }

// Torn tells what Open has cut off, nil for nothing.
func (l *Log) Torn() *Torn { return l.torn }

// First and Last give the positions that the log has, both 0 where it is empty.
func (l *Log) First() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if n := len(l.segments); n == 0 || l.segments[n-1].last < l.segments[0].first {
		return 0
	}
	return l.segments[0].first
}

// Last is described at First.
func (l *Log) Last() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if n := len(l.segments); n > 0 && l.segments[n-1].last >= l.segments[0].first {
		return l.segments[n-1].last
	}
	return 0
}

// LastGroup gives the first position of the newest group, and whether it is joint: part
// of what was completed elsewhere. 0 where a complete segment is the newest, behind
// which a group was to come.
func (l *Log) LastGroup() (first uint64, joint bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.segments) == 0 {
		return 0, false
	}
	s := l.segments[len(l.segments)-1]
	return s.group.first, s.group.joint
}

// Newest is the path of the newest segment, empty where there is none.
func (l *Log) Newest() string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if s := l.newest(); s != nil {
		return s.path
	}
	return ""
}

func (l *Log) newest() *segment {
	if len(l.segments) == 0 {
		return nil
	}
	return l.segments[len(l.segments)-1]
}

// Append writes a group. first must be the position after Last, or any where the log
// is empty. fresh has it begin a segment. joint notes that the group is part of what is
// completed elsewhere, see [Log.LastGroup]. An error that is ErrNoSpace leaves all as
// it was; any other ends the log.
func (l *Log) Append(first uint64, fresh, joint bool, entries []Entry) error {
	if l.failed != nil {
		return l.failed
	}
	if last := l.Last(); len(entries) == 0 || last != 0 && first != last+1 {
		return fmt.Errorf("a group of %d from position %d, behind %d", len(entries), first, last)
	}
	n := sizeOf(entries)
	if n > maxGroup {
		return fmt.Errorf("a group of %d bytes", n)
	}
	s, err := l.segmentFor(first, n, fresh)
	if err == nil {
		err = l.room(s, n)
	}
	if err != nil {
		return l.fail(err)
	}
	places, at := s.places, s.end
	l.buffer = appendGroup(l.buffer[:0], s.mark, first, joint, entries, func(i, offset int) {
		offset64 := at + int64(offset)
		if i == 0 {
			offset64 = at // the group's own
		}
		if p := len(places); p == 0 || offset64-int64(places[p-1].offset) >= placeEvery {
			places = append(places, place{uint32(first - s.first + uint64(i)), uint32(offset64)})
		}
	})
	if _, err := s.file.WriteAt(l.buffer, at); err != nil {
		if back := s.file.Truncate(at); back != nil {
			l.failed = fmt.Errorf("taking back what was written to %s: %w", s.path, errors.Join(back, err))
			return l.failed
		}
		s.allocated = at
		return l.fail(fmt.Errorf("writing %s: %w", s.path, err))
	}
	if cap(l.buffer) > keptBuffer {
		l.buffer = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.group = groupStart{first, at, joint, len(s.places)}
	s.places, s.end, s.last = places, at+n, first+uint64(len(entries))-1
	return nil
}

// fail makes ErrNoSpace of a full disk, and of too many open files, and the end of the
// log of all else.
func (l *Log) fail(err error) error {
	if l.failed != nil {
		return l.failed
	}
	for _, passing := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, passing) {
			return fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
	}
	l.failed = err
	return err
}

// segmentFor gives the segment that a group of n bytes goes to.
func (l *Log) segmentFor(first uint64, n int64, fresh bool) (*segment, error) {
	s := l.newest()
	switch {
	case s != nil && !s.sealed && s.last < s.first && s.first == first:
		return s, nil
	case s != nil && !s.sealed && !fresh && s.end+n <= l.opts.Size && first-s.first < math.MaxUint32:
		return s, nil
	case s != nil && !s.sealed:
		if err := l.seal(s); err != nil {
			return nil, err
		}
	}
	return l.begin(first)
}

// seal completes a segment.
func (l *Log) seal(s *segment) error {
	f := footer{s.places, s.last, s.end}
	if s.last < s.first { // it never held anything
		return fmt.Errorf("%s is empty", s.path)
	}
	b := f.append(nil, s.mark)
	_, err := s.file.WriteAt(b, s.end)
	if err == nil {
		err = s.file.Truncate(s.end + int64(len(b))) // gives back the blocks behind it
	}
	if err != nil {
		err = fmt.Errorf("completing %s: %w", s.path, err)
		if back := s.file.Truncate(s.end); back != nil {
			l.failed = errors.Join(err, back)
		}
		s.allocated = s.end // the blocks behind it are given back, too
		return err
	}
	if err = l.flush(s.file); err != nil {
		l.failed = fmt.Errorf("completing %s: flushing: %w", s.path, err)
		return l.failed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.sealed = true
	s.places = slices.Clip(s.places)
	s.group = groupStart{}
	l.used++
	s.used = l.used
	l.open++
	l.closeOldest()
	return nil
}

// begin makes a new segment. Before it gives it back it is on disk.
func (l *Log) begin(first uint64) (s *segment, err error) {
	s = &segment{path: filepath.Join(l.opts.Folder, Name(first)), first: first, last: first - 1, end: headSize}
	if _, err := rand.Read(s.mark[:]); err != nil {
		return nil, err
	}
	s.mark[0] = tagGroup
	if s.file, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, fmt.Errorf("a new segment: %w", err)
	}
	if err = l.room(s, headSize); err == nil {
		_, err = s.file.WriteAt(appendHead(nil, s.mark, first), 0)
	}
	if err == nil {
		err = l.flush(s.file)
	}
	if err == nil {
		err = l.flushFolder()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a new segment: %w", err), s.file.Close(), os.Remove(s.path))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(slices.Clone(l.segments), s)
	return s, nil
}

// room takes the blocks for n more bytes, and some ahead.
func (l *Log) room(s *segment, n int64) error {
	need := s.end + n
	if need <= s.allocated || l.without || l.opts.NoRoom {
		return nil
	}
	to := max(min(need+ahead, l.opts.Size), need)
	err := allocate(s.file, s.end, to-s.end)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		to = need
		err = allocate(s.file, s.end, to-s.end)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		l.without = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("allocating %s: %w", s.path, err)
	}
	s.allocated = to
	return nil
}

func (l *Log) flush(f *os.File) error {
	if l.opts.NoSync {
		return nil
	}
	return flush(f)
}

func (l *Log) flushFolder() error {
	if l.opts.NoSync {
		return nil
	}
	d, err := os.Open(l.opts.Folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Sync returns when all that was appended is on disk. An error ends the log.
func (l *Log) Sync() error {
	if l.failed != nil {
		return l.failed
	}
	s := l.newest()
	if s == nil {
		return nil
	}
	if err := l.flush(s.file); err != nil {
		l.failed = fmt.Errorf("flushing %s: %w", s.path, err)
	}
	return l.failed
}

// Cut takes the newest group away, which begins at a position.
func (l *Log) Cut(first uint64) error {
	s := l.newest()
	if l.failed != nil || s == nil || s.sealed || s.group.first != first || first == 0 {
		return errors.Join(l.failed, fmt.Errorf("no group at position %d can be taken away", first))
	}
	g := s.group
	if !l.opts.ReadOnly {
		err := s.file.Truncate(g.offset)
		if err == nil {
			err = l.flush(s.file)
		}
		if err != nil {
			l.failed = fmt.Errorf("taking a group from %s: %w", s.path, err)
			return l.failed
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.places, s.end, s.last, s.allocated = slices.Clone(s.places[:g.places]), g.offset, first-1, 0
	s.group = groupStart{}
	return nil
}

// RemoveBefore removes segments all of whose events are before a position.
func (l *Log) RemoveBefore(position uint64) error {
	var gone []*segment
	l.mu.Lock()
	for len(l.segments) > 0 && l.segments[0].last < position && l.segments[0].first < position {
		gone = append(gone, l.segments[0])
		l.segments = slices.Clone(l.segments[1:])
	}
	var errs []error
	for _, s := range gone {
		if s.file == nil {
			continue
		}
		if s.sealed {
			l.open--
		}
		errs = append(errs, s.file.Close())
		s.file = nil
	}
	l.mu.Unlock()
	for _, s := range gone {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing segments: %w", err)
	}
	return nil
}

// Size is what the segments take, in bytes, and how many there are.
func (l *Log) Size() (bytes int64, segments int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.segments {
		bytes += s.end
	}
	return bytes, len(l.segments)
}

// Close gives back blocks that were taken ahead. Reads must have ended.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.segments {
		if s.file == nil {
			continue
		}
		if !s.sealed && !l.opts.ReadOnly && s.allocated > s.end {
			errs = append(errs, s.file.Truncate(s.end))
		}
		errs = append(errs, s.file.Close())
		s.file = nil
	}
	l.segments = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing segments: %w", err)
	}
	return nil
}
