package segment

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// entryAt is what position has in every test: its bytes follow from it.
func entryAt(position uint64, most int) Entry {
	rnd := rand.New(rand.NewPCG(position, 7))
	e := Entry{Data: bytes.Repeat(fmt.Appendf(nil, "event %d.", position), 1+rnd.IntN(max(most/10, 1)))}
	if position%3 == 0 {
		e.Note = fmt.Appendf(nil, "note of %d", position)
	}
	return e
}

// fill appends groups of these sizes.
func fill(t *testing.T, l *Log, most int, sizes ...int) {
	t.Helper()
	next := l.Last() + 1
	for _, n := range sizes {
		var group []Entry
		for i := range n {
			group = append(group, entryAt(next+uint64(i), most))
		}
		if err := errors.Join(l.Append(next, false, false, group), l.Sync()); err != nil {
			t.Fatal(err)
		}
		next += uint64(n)
	}
}

// check reads all from each of some positions on, and one by one.
func check(t *testing.T, l *Log, most int, first, last uint64) {
	t.Helper()
	if last >= first && (l.First() != first || l.Last() != last) {
		t.Fatalf("it has %d to %d, wanted %d to %d", l.First(), l.Last(), first, last)
	}
	same := func(e Event, position uint64) {
		want := entryAt(position, most)
		if e.Position != position || !bytes.Equal(e.Data, want.Data) || !bytes.Equal(e.Note, want.Note) {
			t.Fatalf("position %d: got %d with %q %.40q", position, e.Position, e.Note, e.Data)
		}
	}
	all, err := l.Read(first, 1<<20)
	if err != nil || uint64(len(all)) != last+1-first {
		t.Fatalf("%d events of %d, error %v", len(all), last+1-first, err)
	}
	for i, e := range all {
		same(e, first+uint64(i))
		one, err := l.Read(e.Position, 1)
		if err != nil || len(one) != 1 {
			t.Fatalf("position %d: %d, error %v", e.Position, len(one), err)
		}
		same(one[0], e.Position)
	}
	c := l.Cursor()
	defer c.Close()
	at := func(p uint64) {
		e, ok, err := c.Read(p)
		if err != nil || !ok {
			t.Fatalf("position %d: %v, error %v", p, ok, err)
		}
		same(e, p)
	}
	for i := range all { // away from its end, to its end, and hither and thither
		at(last - uint64(i))
	}
	for i := range all {
		at(first + uint64(i))
		at(first + uint64(i)*7919%uint64(len(all)))
	}
	for _, p := range []uint64{0, first - 1, last + 1, 1 << 60} {
		if got, err := l.Read(p, 5); err != nil || len(got) > 0 {
			t.Fatalf("position %d, which it does not have: %d, error %v", p, len(got), err)
		}
		if _, ok, err := c.Read(p); err != nil || ok {
			t.Fatalf("position %d, which it does not have: %v, error %v", p, ok, err)
		}
	}
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(folder, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// What was appended is read, in one segment and in many, at once and after opening.
func TestAppendAndRead(t *testing.T) {
	for _, c := range []struct {
		size     int64
		most     int
		segments int // at least
	}{{0, 300, 1}, {4 << 10, 300, 10}, {120 << 10, 30 << 10, 3}} {
		o := Options{NoSync: true, NoRoom: true, Folder: t.TempDir(), Size: c.size}
		l := open(t, o)
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 3 {
			for range 10 {
				fill(t, l, c.most, 1+rnd.IntN(9), 1, 2)
			}
			check(t, l, c.most, 1, l.Last())
			last := l.Last()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, o)
			check(t, l, c.most, 1, last)
			if err := l.Verify(func(int64) error { return nil }); err != nil {
				t.Error(err)
			}
		}
		if n := len(names(t, o.Folder)); n < c.segments {
			t.Errorf("%d segments", n)
		}
	}
}

// An event that is larger than what is read at a time.
func TestLargeEvents(t *testing.T) {
	o := Options{NoSync: true, NoRoom: true, Folder: t.TempDir(), Size: 1 << 20}
	l := open(t, o)
	fill(t, l, 3<<20, 1, 2, 1)
	check(t, l, 3<<20, 1, 4)
	l.Close()
	check(t, open(t, o), 3<<20, 1, 4)
}

// groups makes a folder with two segments, and gives where the groups of the newer one
// end.
func groups(t *testing.T) (o Options, file string, ends []int64, lasts []uint64) {
	t.Helper()
	o = Options{NoSync: true, NoRoom: true, Folder: t.TempDir(), Size: 1 << 20}
	l := open(t, o)
	fill(t, l, 100, 3, 2)
	if err := l.Append(6, true, false, []Entry{entryAt(6, 100)}); err != nil {
		t.Fatal(err)
	}
	note := func() {
		ends, lasts = append(ends, l.newest().end), append(lasts, l.Last())
	}
	note()
	for _, n := range []int{2, 1, 3} {
		fill(t, l, 100, n)
		note()
	}
	file = l.newest().path
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return o, file, ends, lasts
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	// A file that is cut to nothing first is flushed by some file systems.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(b, 0)
	if err := errors.Join(err, f.Truncate(int64(len(b))), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A crash cuts the file anywhere: what is before the cut in whole groups is there, and
// the log goes on behind it.
func TestCutAtEachByte(t *testing.T) {
	o, file, ends, lasts := groups(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := headSize; at <= len(whole); at++ {
		write(t, file, whole[:at])
		want := uint64(5)
		torn := at != headSize
		for i, end := range ends {
			if int64(at) >= end {
				want = lasts[i]
				torn = int64(at) != end
			}
		}
		ro, err := Open(Options{Folder: o.Folder, Size: o.Size, ReadOnly: true})
		if err != nil {
			t.Fatalf("cut at %d, for reading only: %v", at, err)
		}
		if got := ro.Last(); got != want {
			t.Fatalf("cut at %d, for reading only: the last is %d, want %d", at, got, want)
		}
		ro.Close()
		if info, err := os.Stat(file); err != nil || info.Size() != int64(at) {
			t.Fatalf("cut at %d: reading changed it to %d, error %v", at, info.Size(), err)
		}
		l, err := Open(o)
		if err != nil {
			t.Fatalf("cut at %d: %v", at, err)
		}
		if got := l.Last(); got != want || (l.Torn() != nil) != torn {
			t.Fatalf("cut at %d: the last is %d, want %d; torn %v, want %v", at, got, want, l.Torn(), torn)
		}
		fill(t, l, 100, 2)
		check(t, l, 100, 1, want+2)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// A file that was only begun.
	for at := range headSize {
		write(t, file, whole[:at])
		l, err := Open(o)
		if err != nil {
			t.Fatalf("cut at %d: %v", at, err)
		}
		check(t, l, 100, 1, 5)
		if len(names(t, o.Folder)) != 1 {
			t.Error("what was only begun is left")
		}
		l.Close()
	}
}

// Any byte of the last group that changed makes it torn, of an earlier one damage; and
// while the log is open, such an event is an error and never data.
func TestEachByteFlipped(t *testing.T) {
	o, file, ends, lasts := groups(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		bad := slices.Clone(whole)
		bad[at] ^= 0x10
		write(t, file, bad)
		l, err := Open(o)
		switch lastGroup := int64(at) >= ends[len(ends)-2]; {
		case !lastGroup:
			var d *Damage
			if !errors.As(err, &d) || !errors.Is(err, ErrDamaged) || d.File != file || !strings.Contains(err.Error(), filepath.Base(file)) {
				t.Fatalf("byte %d: error %v", at, err)
			}
		case err != nil:
			t.Fatalf("byte %d: %v", at, err)
		default:
			if l.Last() != lasts[len(lasts)-2] || l.Torn() == nil {
				t.Fatalf("byte %d: last %d, torn %v", at, l.Last(), l.Torn())
			}
			check(t, l, 100, 1, l.Last())
		}
		if l != nil {
			l.Close()
		}
		write(t, file, whole)
		if l, err = Open(o); err != nil {
			t.Fatal(err)
		}
		write(t, file, bad)
		if all, err := l.Read(6, 100); err == nil {
			for _, e := range all { // the head of a group or a file is not of an event
				if want := entryAt(e.Position, 100); !bytes.Equal(e.Data, want.Data) || !bytes.Equal(e.Note, want.Note) {
					t.Fatalf("byte %d: %d is %q", at, e.Position, e.Data)
				}
			}
		} else if !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %v", at, err)
		}
		c, good := l.Cursor(), 0
		for p := uint64(6); p <= l.Last(); p++ {
			e, ok, err := c.Read(p)
			if want := entryAt(p, 100); ok && (!bytes.Equal(e.Data, want.Data) || !bytes.Equal(e.Note, want.Note)) || err != nil && !errors.Is(err, ErrDamaged) || ok == (err != nil) {
				t.Fatalf("byte %d: the cursor gives %q for %d, error %v", at, e.Data, p, err)
			}
			if ok {
				good++
			}
		}
		// What is in front of the damage can be read all the same.
		if int64(at) >= ends[len(ends)-2] && uint64(good) < lasts[len(lasts)-2]-5 {
			t.Fatalf("byte %d: the cursor reads %d events", at, good)
		}
		c.Close()
		l.Close()
	}
}

// A power cut may keep any pages of the last group.
func TestHoleInLastGroup(t *testing.T) {
	o, file, ends, lasts := groups(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin := ends[len(ends)-2]
	for from := begin; from < int64(len(whole)); from += 7 {
		bad := slices.Clone(whole)
		clear(bad[from:min(from+20, int64(len(bad)))])
		write(t, file, bad)
		l, err := Open(o)
		if err != nil || l.Last() != lasts[len(lasts)-2] {
			t.Fatalf("a hole at %d: error %v", from, err)
		}
		l.Close()
	}
}

// Of complete segments Open reads the footers, and Verify all.
func TestCompleteSegments(t *testing.T) {
	o := Options{NoSync: true, NoRoom: true, Folder: t.TempDir(), Size: 1 << 10}
	l := open(t, o)
	fill(t, l, 300, 2, 3, 2, 4, 2, 3, 4, 5)
	list := names(t, o.Folder)
	if len(list) < 3 {
		t.Fatalf("segments %v", list)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(list[1])
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		bad := slices.Clone(whole)
		bad[at] ^= 0x01
		write(t, list[1], bad)
		l, err := Open(o)
		if err == nil {
			err = errors.Join(l.Verify(func(int64) error { return nil }), l.Close())
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(list[1])) {
			t.Fatalf("byte %d: error %v", at, err)
		}
	}
	for at := range whole {
		write(t, list[1], whole[:at])
		if _, err := Open(o); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(list[1])) {
			t.Fatalf("cut at %d: error %v", at, err)
		}
	}
	if err := os.Remove(list[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(list[1])) {
		t.Errorf("a missing segment: %v", err)
	}
}

// A joint group is known as such, and can be taken away; it is the last one only.
func TestJointGroup(t *testing.T) {
	for _, before := range []int{0, 3} {
		o := Options{NoSync: true, NoRoom: true, Folder: t.TempDir()}
		l := open(t, o)
		if before > 0 {
			fill(t, l, 100, before)
		}
		first := l.Last() + 1
		if err := errors.Join(l.Append(first, false, true, []Entry{entryAt(first, 100), entryAt(first+1, 100)}), l.Sync()); err != nil {
			t.Fatal(err)
		}
		l.Close()
		l = open(t, o)
		if p, joint := l.LastGroup(); p != first || !joint {
			t.Fatalf("the last group is at %d, joint %v", p, joint)
		}
		if err := l.Cut(first + 1); err == nil {
			t.Fatal("half a group was taken away")
		}
		l = open(t, o)
		if err := l.Cut(first); err != nil {
			t.Fatal(err)
		}
		check(t, l, 100, 1, uint64(before))
		fill(t, l, 100, 4)
		check(t, l, 100, 1, uint64(before)+4)
		l.Close()
		l = open(t, o)
		if p, joint := l.LastGroup(); p != first || joint {
			t.Errorf("the last group is at %d, joint %v", p, joint)
		}
		check(t, l, 100, 1, uint64(before)+4)
	}
}

// Segments go when nothing in them is of use, and what a crash has left of them goes
// when it is opened.
func TestRemove(t *testing.T) {
	o := Options{NoSync: true, NoRoom: true, Folder: t.TempDir()}
	l := open(t, o)
	for first := uint64(1); first <= 7; first += 2 {
		if err := l.Append(first, true, false, []Entry{entryAt(first, 100), entryAt(first+1, 100)}); err != nil {
			t.Fatal(err)
		}
	}
	oldest := names(t, o.Folder)[0]
	b, err := os.ReadFile(oldest)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.RemoveBefore(4); err != nil {
		t.Fatal(err)
	}
	check(t, l, 100, 3, 8)
	if err := l.RemoveBefore(5); err != nil {
		t.Fatal(err)
	}
	check(t, l, 100, 5, 8)
	l.Close()
	write(t, oldest, b) // a removal that the disk has forgotten, with a gap behind it
	if _, err := Open(o); !errors.Is(err, ErrDamaged) {
		t.Errorf("a gap: %v", err)
	}
	o.Keep = 5
	l = open(t, o)
	check(t, l, 100, 5, 8)
	if n := len(names(t, o.Folder)); n != 2 {
		t.Errorf("%d files are left", n)
	}
	// All of it goes, and the log goes on anywhere.
	if err := l.RemoveBefore(9); err != nil {
		t.Fatal(err)
	}
	if l.Last() != 0 || len(names(t, o.Folder)) != 0 {
		t.Errorf("the last is %d, files %v", l.Last(), names(t, o.Folder))
	}
	if err := l.Append(9, false, false, []Entry{entryAt(9, 100)}); err != nil {
		t.Fatal(err)
	}
	check(t, l, 100, 9, 9)
	l.Close()
	o.Keep = 10
	if l = open(t, o); l.Last() != 0 || len(names(t, o.Folder)) != 0 {
		t.Errorf("the last is %d, files %v", l.Last(), names(t, o.Folder))
	}
}

// Readers read while the log grows and shrinks, and more files than may be open.
func TestReadBesideAppend(t *testing.T) {
	o := Options{NoSync: true, NoRoom: true, Folder: t.TempDir(), Size: 300}
	l := open(t, o)
	fill(t, l, 100, 2)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(3, 4))
			c := l.Cursor()
			defer c.Close()
			for {
				select {
				case <-stop:
					return
				default:
				}
				first, last := l.First(), l.Last()
				p := first + rnd.Uint64N(last-first+1)
				got, err := l.Read(p, 1+rnd.IntN(30))
				if err != nil {
					t.Errorf("position %d: %v", p, err)
					return
				}
				if len(got) == 0 && p >= l.First() {
					t.Errorf("position %d is not there", p)
					return
				}
				if e, ok, err := c.Read(p); err != nil || !ok && p >= l.First() {
					t.Errorf("position %d: %v, error %v", p, ok, err)
					return
				} else if ok {
					got = append(got, e)
				}
				for _, e := range got {
					if want := entryAt(e.Position, 100); !bytes.Equal(e.Data, want.Data) {
						t.Errorf("position %d has %q", e.Position, e.Data)
						return
					}
				}
			}
		})
	}
	for i := range 260 {
		fill(t, l, 100, 1+i%3)
		if i > 170 {
			if err := l.RemoveBefore(l.First() + 5); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	wg.Wait()
	if l.open > mostFiles {
		t.Errorf("%d files are open", l.open)
	}
}

// An event whose data holds a group of the same file is still an event.
func TestDataThatLooksLikeAGroup(t *testing.T) {
	o := Options{NoSync: true, NoRoom: true, Folder: t.TempDir()}
	l := open(t, o)
	fill(t, l, 100, 1)
	var other mark
	other[0] = tagGroup
	fake := appendGroup(nil, other, 9, false, []Entry{{Data: []byte("fake")}}, func(int, int) {})
	if err := l.Append(2, false, false, []Entry{{Data: fake}}); err != nil {
		t.Fatal(err)
	}
	path := l.newest().path
	l.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	if l = open(t, o); l.Last() != 1 {
		t.Errorf("the last is %d", l.Last())
	}
}

// Blocks that were taken ahead are given back.
func TestBlocks(t *testing.T) {
	o := Options{Folder: t.TempDir()}
	l := open(t, o)
	fill(t, l, 100, 1)
	path := l.newest().path
	if l.without {
		return // nothing is taken ahead here
	}
	ahead := blocks(t, path)
	if err := l.Append(2, true, false, []Entry{entryAt(2, 10)}); err != nil {
		t.Fatal(err)
	}
	if done := blocks(t, path); ahead < 1<<20 || done > 64<<10 {
		t.Errorf("%d bytes on disk, and %d when it was complete", ahead, done)
	}
	path = l.newest().path
	l.Close()
	if done := blocks(t, path); done > 64<<10 {
		t.Errorf("%d bytes on disk when it was closed", done)
	}
}

func FuzzFrame(f *testing.F) {
	m := mark{tagGroup, 1, 2, 3, 4, 5, 6, 7}
	group := appendGroup(nil, m, 5, true, []Entry{{Note: []byte("n"), Data: []byte("one")}, {Data: []byte("two")}}, func(int, int) {})
	foot := footer{[]place{{0, headSize}}, 6, headSize + int64(len(group))}
	whole := append(appendHead(nil, m, 5), group...)
	f.Add(whole)
	f.Add(foot.append(whole, m))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &segment{path: "f", first: 5, mark: m}
		s.last, s.end = 4, headSize
		r := bytes.NewReader(b)
		w := newWindow(r, int64(len(b)))
		defer w.free()
		var read []Entry
		for {
			g, end, places, err := s.readGroup(w, s.end, s.last+1)
			if err != nil {
				t.Fatal(err)
			}
			if end == 0 {
				break
			}
			if end <= s.end || end > int64(len(b)) || g.count == 0 {
				t.Fatalf("a group %+v from %d to %d of %d", g, s.end, end, len(b))
			}
			s.places, s.end, s.last = places, end, s.last+uint64(g.count)
			read = append(read, Entry{})
		}
		if n, ok := footerLength(b); ok && n <= int64(len(b)) {
			decodeFooter(m, 5, int64(len(b))-n, b[int64(len(b))-n:])
		}
		decodeHead(b)
	})
}
