package segment

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
)

// spareFrom gives copies of events up to a last one.
func spareFrom(first, last uint64) Spare {
	s := Spare{First: first}
	for p := first; p <= last; p++ {
		s.Entries = append(s.Entries, entryAt(p, 100))
	}
	return s
}

// What the end of the newest segment has lost is put back from copies, as far as there
// are enough of them, and the file is as it was then.
func TestSpare(t *testing.T) {
	o, file, ends, lasts := groups(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := len(lasts)
	begin, last, before := ends[n-2], lasts[n-1], lasts[n-2]
	lastEvent := int64(len(whole)) - eventSize - int64(len(entryAt(last, 100).Note)+len(entryAt(last, 100).Data))
	type damage struct {
		what  string
		file  []byte
		begin int64 // of what is damaged
	}
	var all []damage
	for at := begin; at < int64(len(whole)); at += 2 {
		bad := slices.Clone(whole)
		bad[at] ^= 0x10
		all = append(all, damage{fmt.Sprint("byte ", at), bad, at}, damage{fmt.Sprint("cut at ", at), whole[:at], at})
	}
	for _, d := range all {
		for _, spare := range []Spare{spareFrom(before+1, last), spareFrom(1, last), spareFrom(last, last)} {
			// A copy of one event mends no more than that one.
			mends := spare.First < last || d.begin >= lastEvent
			write(t, file, d.file)
			o.Spare = spare
			readOnly := o
			readOnly.ReadOnly = true
			ro, err := Open(readOnly)
			if err != nil {
				t.Fatalf("%s, for reading only: %v", d.what, err)
			}
			if torn := ro.Torn(); (torn != nil && torn.Mended > 0) != mends || ro.Last() != before {
				t.Fatalf("%s, for reading only: %+v, last %d", d.what, torn, ro.Last())
			}
			ro.Close()
			if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, d.file) {
				t.Fatalf("%s: reading only has changed it, error %v", d.what, err)
			}
			l, err := Open(o)
			if err != nil {
				t.Fatalf("%s: %v", d.what, err)
			}
			want := before
			if mends {
				want = last
			}
			if torn := l.Torn(); l.Last() != want || mends && (torn == nil || torn.Mended != int(last-before)) {
				t.Fatalf("%s, copies from %d on: last %d, want %d; %+v", d.what, spare.First, l.Last(), want, torn)
			}
			check(t, l, 100, 1, want)
			if now, err := os.ReadFile(file); err != nil || mends && !bytes.Equal(now, whole) {
				t.Fatalf("%s: the file is not as it was, error %v", d.what, err)
			}
			fill(t, l, 100, 2)
			check(t, l, 100, 1, want+2)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Copies of what is there change nothing, and those of what is not next to it are of no
// use.
func TestSpareOfOther(t *testing.T) {
	o, file, ends, lasts := groups(t)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	last := lasts[len(lasts)-1]
	for _, spare := range []Spare{spareFrom(last, last), spareFrom(1, 2), spareFrom(last-1, last+3), spareFrom(last+2, last+3)} {
		// A group that is there must not be mended to be another one.
		for at, want := range map[int64]uint64{int64(len(whole)): last, int64(len(whole)) - 1: lasts[len(lasts)-2]} {
			if spare.Last() == last && want != last || spare.First == last-1 && want == last {
				continue // of these TestSpare tells; those bring events that there were
			}
			write(t, file, whole[:at])
			o.Spare = spare
			l, err := Open(o)
			if err != nil || l.Last() != want {
				t.Fatalf("copies of %d to %d, %d of %d bytes: last %d, want %d, error %v", spare.First, spare.Last(), at, ends[len(ends)-1], l.Last(), want, err)
			}
			l.Close()
		}
	}
}

// What retention has taken may share a segment with what is mended.
func TestMendedBehindWhatIsGone(t *testing.T) {
	o := Options{NoSync: true, NoRoom: true, Folder: t.TempDir()}
	l := open(t, o)
	fill(t, l, 100, 5, 2)
	path := l.newest().path
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, whole[:len(whole)-1])
	o.Keep, o.Spare = 6, spareFrom(6, 7)
	l = open(t, o)
	check(t, l, 100, 1, 7)
}
