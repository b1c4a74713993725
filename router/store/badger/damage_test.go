package badger_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

// damagedStore is a folder as kill -9 leaves it: two tables, a log of 20
// transactions, each with three routings, and a segment of 61 groups of three events,
// the last of which are not routed. It gives the position of the last event.
func damagedStore(t *testing.T) (string, uint64) {
	t.Helper()
	badger.KeepTables(t)
	path := filepath.Join(t.TempDir(), "store")
	post := func(s *badger.Store) {
		for range 20 {
			commitTo(t, s, &store.Record{Events: []store.NewEvent{{Event: damageEvent()}, {Event: damageEvent()}, {Event: damageEvent()}}})
			r := &store.Record{Documents: []store.Document{{Kind: "k", Name: "n", Value: bytes.Repeat([]byte("x"), 1500)}}}
			for p := s.Progress() + 1; p <= s.Last(); p++ {
				r.Routings = append(r.Routings, &store.Routing{Position: p})
			}
			commitTo(t, s, r)
		}
	}
	for range 2 {
		s := openAt(t, path, nil)
		post(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := openAt(t, path, nil)
	post(s)
	commitTo(t, s, &store.Record{Events: []store.NewEvent{{Event: damageEvent()}, {Event: damageEvent()}, {Event: damageEvent()}}})
	last := s.Last()
	// What the store had is noted behind the commits.
	for n := 0; ; n++ {
		b, err := os.ReadFile(filepath.Join(path, "weir.store"))
		if n > 2000 {
			t.Fatal("what the store has is not noted")
		}
		if err == nil && bytes.HasPrefix(b, []byte("weir1\x00\x01\xb7\x01\x02")) { // log 1, position 183, 2 tables
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	killed := path + "-killed"
	if err := copyFolder(killed, path); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return killed, last
}

func commitTo(t *testing.T, s *badger.Store, r *store.Record) {
	t.Helper()
	if _, err := s.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// damageEvent has always the same size.
func damageEvent() *event.Event {
	e := crashEvent()
	e.Data = bytes.Repeat([]byte("x"), 1500)
	return e
}

func openAt(t *testing.T, path string, log hclog.Logger) *badger.Store {
	t.Helper()
	s, err := badger.Open(t.Context(), badger.Options{Path: path, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// change does f to a file's bytes, of which it sees no more than a page behind the
// last that is not in a hole. What f cuts off is cut off the file.
func change(t *testing.T, path string, f func(b []byte) []byte) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	end := int64(0)
	if err == nil {
		err = eachData(file, size, func(_, to int64) error { end = min(to+4096, size); return nil })
	}
	b := make([]byte, end)
	if err == nil {
		_, err = file.ReadAt(b, 0)
	}
	if err == nil {
		if b = f(b); int64(len(b)) < end {
			size = int64(len(b))
		}
		_, err = file.WriteAt(b, 0)
		size = max(size, int64(len(b)))
	}
	if err = errors.Join(err, file.Truncate(size)); err != nil {
		t.Fatal(err)
	}
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		at := at
		if at < 0 {
			at += len(bytes.TrimRight(b, "\x00"))
		}
		b[at] ^= 0x10
		return b
	}
}

func cut(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		if at < 0 {
			return b[:at+len(bytes.TrimRight(b, "\x00"))]
		}
		return b[:at]
	}
}

func TestDamage(t *testing.T) {
	sound, last := damagedStore(t)
	log, events := "00001.mem", "events-00000000000000000001.seg"
	tables, err := filepath.Glob(filepath.Join(sound, "*.sst"))
	if err != nil || len(tables) != 2 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	older, newer := filepath.Base(tables[0]), filepath.Base(tables[1])
	var remove func([]byte) []byte // the file goes
	middle := func(f func(int) func([]byte) []byte) func([]byte) []byte {
		return func(b []byte) []byte { return f(len(bytes.TrimRight(b, "\x00")) / 2)(b) }
	}
	for _, c := range []struct {
		name, file string
		change     func([]byte) []byte
		// unrouted is how many of the routings are gone in a store that opens, and
		// lost how many of the newest events; -1 where it must not open.
		unrouted, lost int
		says           string // in the error, or in the log
	}{
		{"nothing", log, func(b []byte) []byte { return b }, 0, 0, ""},
		{"a byte in the log's last entry", log, flip(-3), 3, 0, log},
		{"a byte in the log's last transaction", log, flip(-200), 3, 0, log},
		{"the log is cut in its last transaction", log, cut(-200), 3, 0, log},
		{"garbage behind the log's end", log, func(b []byte) []byte { copy(b[len(bytes.TrimRight(b, "\x00"))+1:], "garbage"); return b }, 0, 0, log},
		{"a byte in the middle of the log", log, middle(flip), 0, -1, log + ": it can't be read from offset"},
		{"a hole in the middle of the log", log, func(b []byte) []byte { n := len(bytes.TrimRight(b, "\x00")); clear(b[n/3 : n/2]); return b }, 0, -1, log + ": it can't be read from offset"},
		{"the log's first entry", log, flip(30), 0, -1, log + ": it can't be read from offset"},
		{"the log's header", log, flip(2), 0, -1, log},
		{"the log is cut in the middle", log, middle(cut), 33, 0, log},
		{"the log is missing", log, remove, 0, -1, log + ": the log is missing"},
		{"the manifest is missing", "MANIFEST", remove, 0, -1, "MANIFEST"},
		{"the manifest is cut in its last entry", "MANIFEST", cut(-2), 0, -1, "MANIFEST: it does not name " + newer},
		{"the manifest has its header only", "MANIFEST", cut(8), 0, -1, "MANIFEST"},
		{"the manifest is empty", "MANIFEST", cut(0), 0, -1, "MANIFEST"},
		{"a byte in the manifest", "MANIFEST", flip(20), 0, -1, "MANIFEST"},
		{"a table is missing", older, remove, 0, -1, older},
		{"a table is cut", older, middle(cut), 0, -1, older},
		{"a table is empty", newer, cut(0), 0, -1, newer},
		{"the middle of a table", newer, func(b []byte) []byte {
			for i := range 40 {
				b[len(b)/2+i] ^= 0xff
			}
			return b
		}, 0, -1, newer + ": the block at offset"},
		{"a byte in a table's end", newer, flip(-1), 0, -1, newer},
		{"a byte in a table's index", newer, flip(-60), 0, -1, newer},
		{"a byte in the segment's last event", events, flip(-3), 0, 3, events},
		{"a byte in the segment's last group", events, flip(-4000), 0, 3, events},
		{"the segment is cut in its last group", events, cut(-4000), 0, 3, events},
		{"garbage behind the segment's end", events, func(b []byte) []byte { return append(b, "garbage"...) }, 0, 0, events},
		{"a byte in a group that is routed", events, flip(-6000), 0, -1, events + ": at offset"},
		{"a byte in the middle of the segment", events, middle(flip), 0, -1, events + ": at offset"},
		{"the segment is cut in the middle", events, middle(cut), 0, -1, events + ": it ends with event"},
		{"the segment is cut in its header", events, cut(10), 0, -1, events + ": the segment is missing"},
		{"the segment is cut in its first group", events, cut(100), 0, -1, events + ": it ends with event 0"},
		{"the segment's header", events, flip(2), 0, -1, events + ": at offset 0"},
		{"the segment is missing", events, remove, 0, -1, events + ": the segment is missing"},
		{"the note is torn", "weir.store", cut(7), 0, 0, "weir.store"},
		{"the note is missing", "weir.store", remove, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store")
			if err := copyFolder(path, sound); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(path, c.file)
			if c.change != nil {
				change(t, file, c.change)
			} else if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			s, err := badger.Open(t.Context(), badger.Options{Path: path, Logger: hclog.New(&hclog.LoggerOptions{Output: &said, Level: hclog.Warn})})
			if c.lost < 0 {
				if !errors.Is(err, badger.ErrDamaged) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("error %v, wanted ErrDamaged with %q", err, c.says)
				}
				followAdvice(t, path, err.Error())
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Last(); got != last-uint64(c.lost) {
				t.Errorf("the last event is %d, %d were lost, wanted %d", got, last-got, c.lost)
			}
			if got := s.Progress(); got != last-3-uint64(c.unrouted) {
				t.Errorf("the last routing is %d, wanted %d less than %d", got, c.unrouted, last-3)
			}
			if events, err := s.Events(t.Context(), 1, 1000); err != nil || len(events) != int(s.Last()) {
				t.Errorf("%d events, error %v", len(events), err)
			}
			if !strings.Contains(said.String(), c.says) || c.says == "" && said.Len() > 0 {
				t.Errorf("it said %q, wanted %q", said.String(), c.says)
			}
			if c.lost > 0 && !strings.Contains(said.String(), "events were lost") {
				t.Errorf("it did not say what was lost: %q", said.String())
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

var advised = regexp.MustCompile(`truncate -s .*$`)

// followAdvice runs what an error says to be a way out, if it does.
func followAdvice(t *testing.T, path, text string) {
	t.Helper()
	command := advised.FindString(text)
	if command == "" {
		if !strings.Contains(text, "backup") {
			t.Errorf("it does not say what to do: %s", text)
		}
		return
	}
	if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %s", command, out)
	}
	if err := openAt(t, path, nil).Close(); err != nil {
		t.Error(err)
	}
}

// TestTornWrite has a power cut keep a later page of a transaction and lose one
// before it.
func TestTornWrite(t *testing.T) {
	path, last := damagedStore(t)
	change(t, filepath.Join(path, "00001.mem"), func(b []byte) []byte {
		n := len(bytes.TrimRight(b, "\x00"))
		// Of the last transaction, its end is whole and a part of it is not there.
		clear(b[n-260 : n-200])
		return b
	})
	s := openAt(t, path, nil)
	defer s.Close()
	if got := s.Progress(); s.Last() != last || got != last-6 {
		t.Errorf("the last event is %d, and the last routing %d, wanted %d", s.Last(), got, last-6)
	}
}

// TestOlderLog has a log that is whole, and ends where it ended some time ago.
func TestOlderLog(t *testing.T) {
	path, last := damagedStore(t)
	log := filepath.Join(path, "00001.mem")
	change(t, log, func(b []byte) []byte { return flip(len(bytes.TrimRight(b, "\x00")) / 4)(b) })
	_, err := badger.Open(t.Context(), badger.Options{Path: path})
	if !errors.Is(err, badger.ErrDamaged) {
		t.Fatal(err)
	}
	shorten, _, _ := strings.Cut(advised.FindString(err.Error()), " && ")
	if out, err := exec.Command("sh", "-c", shorten).CombinedOutput(); err != nil {
		t.Fatalf("%s: %s", shorten, out)
	}
	// Its events are all there, and are routed again.
	s := openAt(t, path, nil)
	defer s.Close()
	if s.Last() != last || s.Progress() >= last-3 {
		t.Errorf("the last event is %d of %d, and the last routing %d", s.Last(), last, s.Progress())
	}
}

// TestScrub finds a byte in the middle of a table while the store runs.
func TestScrub(t *testing.T) {
	badger.CheckLess(t)
	path := filepath.Join(t.TempDir(), "store")
	s := openAt(t, path, nil)
	r := &store.Record{}
	for n := range 500 {
		r.Documents = append(r.Documents, store.Document{Kind: "k", Name: fmt.Sprint(n), Value: noise(1000)})
	}
	if _, err := s.Commit(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(path, "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	change(t, tables[0], func(b []byte) []byte { return flip(len(b) / 2)(b) })
	s = openAt(t, path, nil)
	defer s.Close()
	for n := 0; !errors.Is(s.Err(), badger.ErrDamaged); n++ {
		if n == 2000 {
			t.Fatalf("the damage was not found: %v", s.Err())
		}
		time.Sleep(5 * time.Millisecond)
	}
	if !strings.Contains(s.Err().Error(), tables[0]) {
		t.Error(s.Err())
	}
	if _, err := s.Commit(t.Context(), r); !errors.Is(err, badger.ErrDamaged) {
		t.Errorf("a commit: %v", err)
	}
}
