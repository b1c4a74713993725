package segment

import "fmt"

// Spare are copies of the newest events, kept elsewhere: Open puts them back where the
// end of the newest segment was damaged. The zero value has none.
type Spare struct {
	// First is the position of the first one.
	First   uint64
	Entries []Entry
}

// Last is the position of the newest one, 0 where there is none.
func (s Spare) Last() uint64 {
	if len(s.Entries) == 0 {
		return 0
	}
	return s.First + uint64(len(s.Entries)) - 1
}

// mend gives the events behind the last whole group of a segment, up to the newest
// spare one: those of the group that can still be read, and spare ones. It gives none
// where one of them is in neither. joint is the group's, where that can be read.
func (l *Log) mend(s *segment, w *window) (entries []Entry, joint bool, err error) {
	spare, next := l.opts.Spare, s.last+1
	if spare.Last() < next {
		return nil, false, nil
	}
	b, err := w.get(s.end, groupSize)
	if err != nil {
		return nil, false, s.unread(err)
	}
	g, whole := decodeGroup(s.mark, b)
	if whole && (g.first != next || g.first+uint64(g.count)-1 > spare.Last()) {
		return nil, false, nil // there were others
	}
	// The group can be written anew at its place only as it was, count included.
	whole = whole && g.first+uint64(g.count)-1 == spare.Last()
	off := s.end + groupSize
	for p := next; p < spare.First; p++ {
		if b, err = w.get(off, eventSize); err != nil {
			return nil, false, s.unread(err)
		}
		note, n, ok := eventLength(b)
		if !ok || !whole || off+int64(n) > w.size {
			return nil, false, nil
		}
		if b, err = w.get(off, n); err != nil {
			return nil, false, s.unread(err)
		}
		if !decodeEvent(s.mark, p, b) {
			return nil, false, nil
		}
		own := append([]byte(nil), b[eventSize:]...)
		entries = append(entries, Entry{Note: own[:note:note], Data: own[note:]})
		off += int64(n)
	}
	return append(entries, spare.Entries[max(next, spare.First)-spare.First:]...), whole && g.joint, nil
}

// putBack writes a group anew that was mended. What could be read of it is written with
// the same bytes at the same place, so a crash in the middle leaves that, or more.
func (l *Log) putBack(entries []Entry, joint bool, size int64) error {
	s := l.newest()
	err := l.Append(s.last+1, false, joint, entries)
	if err == nil && l.newest() == s && size > s.end {
		err = s.file.Truncate(s.end)
		s.allocated = s.end
	}
	if err == nil {
		err = l.Sync()
	}
	if err != nil {
		return fmt.Errorf("mending the end of %s: %w", s.path, err)
	}
	return nil
}
