package badger

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

// stored makes a store of some events and their routings, which has been closed.
func stored(t *testing.T, last func(s *Store)) string {
	t.Helper()
	path := t.TempDir()
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(40) {
		commit(t, s, record(20<<10))
		r := routed(i+1, "a", "b")
		noise := make([]byte, 20<<10)
		rand.Read(noise)
		r.Documents = []store.Document{{Kind: "k", Name: fmt.Sprint(i), Value: noise}}
		commit(t, s, r)
	}
	if last != nil {
		last(s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func tables(t *testing.T, path string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(path, "*.sst"))
	if err != nil || len(list) == 0 {
		t.Fatalf("tables %v, error %v", list, err)
	}
	return list
}

// contents gives what each file of a folder is.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := e.Info()
		all[name] = fmt.Sprintf("%x %v %v", sha256.Sum256(b), info.Mode(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func examine(t *testing.T, path string, deep bool) *Checkup {
	t.Helper()
	before := contents(t, path)
	c, err := Examine(t.Context(), path, deep)
	if err != nil {
		t.Fatal(err)
	}
	if after := contents(t, path); !maps.Equal(before, after) {
		t.Errorf("the folder was changed from %v to %v", before, after)
	}
	return c
}

func TestCheckupOfSoundStore(t *testing.T) {
	path := stored(t, nil)
	c := examine(t, path, false)
	if c.FaultCount != 0 || c.Last != 40 || c.Lanes != 2 || c.Version != layoutVersion || c.Tables == 0 || c.Bytes == 0 || c.Segments != 1 || c.EventBytes < 40*20<<10 ||
		c.Newest.IsZero() || c.Needs < LeastFree || c.Logs != 0 || c.Rows != 0 || c.InUse || c.Empty || len(c.Strange) > 0 {
		t.Errorf("got %+v", c)
	}
	c = examine(t, path, true)
	if c.FaultCount != 0 || c.Rows < 80 {
		t.Errorf("deep: got %+v", c)
	}
	// It can still be opened, and has all.
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Last() != 40 {
		t.Errorf("the last event is %d", s.Last())
	}
	if c, err := Examine(t.Context(), path, true); err != nil || !c.InUse {
		t.Errorf("open: got %+v, error %v", c, err)
	}
}

// flip changes one byte of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if at < 0 {
		end, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			t.Fatal(err)
		}
		at += end
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x55
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func TestCheckupFindsDamage(t *testing.T) {
	CheckLess(t)
	sound := stored(t, nil)
	for _, x := range []struct {
		name   string
		last   func(s *Store)
		damage func(path string)
		deep   bool // not found otherwise
		text   string
	}{
		{"a block", nil, func(path string) {
			info, err := os.Stat(tables(t, path)[0])
			if err != nil {
				t.Fatal(err)
			}
			flip(t, tables(t, path)[0], info.Size()/2)
		}, true, "the block at offset"},
		{"an index", nil, func(path string) { flip(t, tables(t, path)[0], -40) }, false, ".sst"},
		{"half a table", nil, func(path string) {
			if err := os.Truncate(tables(t, path)[0], 1000); err != nil {
				t.Fatal(err)
			}
		}, false, ".sst"},
		{"an event", nil, func(path string) { flip(t, segmentsOf(t, path)[0], 5000) }, false, ".seg: at offset"},
		{"half a segment", nil, func(path string) {
			if err := os.Truncate(segmentsOf(t, path)[0], 1000); err != nil {
				t.Fatal(err)
			}
		}, false, ".seg: it ends with event 0, and the store had 40"},
		{"no segment", nil, func(path string) {
			if err := os.Remove(segmentsOf(t, path)[0]); err != nil {
				t.Fatal(err)
			}
		}, false, ".seg: the segment is missing"},
		{"no table", nil, func(path string) {
			if err := os.Remove(tables(t, path)[0]); err != nil {
				t.Fatal(err)
			}
		}, false, "the table is missing"},
		{"no manifest", nil, func(path string) {
			if err := os.Remove(filepath.Join(path, "MANIFEST")); err != nil {
				t.Fatal(err)
			}
		}, false, "MANIFEST is missing"},
		{"manifest", nil, func(path string) { flip(t, filepath.Join(path, "MANIFEST"), 2) }, false, "MANIFEST: it can't be read"},
		{"the end of the manifest", nil, func(path string) {
			info, err := os.Stat(filepath.Join(path, "MANIFEST"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(path, "MANIFEST"), info.Size()-1); err != nil {
				t.Fatal(err)
			}
		}, false, "MANIFEST: "},
		{"the last block", nil, func(path string) {
			// It stands before the index.
			b, err := os.ReadFile(tables(t, path)[0])
			if err != nil {
				t.Fatal(err)
			}
			sum := int64(binary.BigEndian.Uint32(b[len(b)-4:]))
			index := int64(binary.BigEndian.Uint32(b[int64(len(b))-8-sum:]))
			flip(t, tables(t, path)[0], -(8 + sum + index + 10))
		}, false, "the block at offset"},
		{"version", func(s *Store) {
			key := []byte{kindVersion}
			if err := s.write(map[string]*row{"v": {key: key, value: seal(key, 0, codec.AppendNumbers(nil, layoutVersion+1))}}); err != nil {
				t.Fatal(err)
			}
		}, nil, false, fmt.Sprintf("layout version %d", layoutVersion+1)},
		{"a row", func(s *Store) {
			key := contentKey(5, 7, 0)
			if err := s.write(map[string]*row{"i": {key: key, value: seal(key[1:], 0, []byte("of another key"))}}); err != nil {
				t.Fatal(err)
			}
		}, nil, true, "the content row of position 7"},
		{"a lane", func(s *Store) {
			key := laneKey("broken")
			if err := s.write(map[string]*row{"l": {key: key, value: seal(key, 0, []byte("x"))}}); err != nil {
				t.Fatal(err)
			}
		}, nil, false, "the lane row"},
	} {
		t.Run(x.name, func(t *testing.T) {
			path := t.TempDir()
			if x.last != nil {
				path = stored(t, x.last)
			} else if err := os.CopyFS(path, os.DirFS(sound)); err != nil {
				t.Fatal(err)
			}
			if x.damage != nil {
				x.damage(path)
			}
			if c := examine(t, path, false); (c.FaultCount == 0) != x.deep {
				t.Errorf("not deep: got %q", c.Faults)
			}
			c := examine(t, path, true)
			if c.FaultCount == 0 || !strings.Contains(strings.Join(c.Faults, "\n"), x.text) {
				t.Errorf("got %q, want %q", c.Faults, x.text)
			}
			if strings.Contains(strings.Join(c.Faults, "\n"), "weir-checkup-") {
				t.Errorf("it names files of its own: %q", c.Faults)
			}
		})
	}
}

// A log that no start has read is said to be there, and left as it is.
func TestCheckupOfKilledStore(t *testing.T) {
	s := open(t)
	commit(t, s, record(1000))
	path := t.TempDir()
	entries, err := os.ReadDir(s.opts.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		in, err := os.Open(filepath.Join(s.opts.Path, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(filepath.Join(path, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		// What was written stands at the front of the log.
		if _, err := io.CopyN(out, in, 1<<20); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := errors.Join(in.Close(), out.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if c := examine(t, path, true); c.Logs != 1 || c.FaultCount != 0 || c.InUse || c.Torn {
		t.Errorf("got %+v", c)
	}
	logs, err := filepath.Glob(filepath.Join(path, "*.mem"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("logs %v, error %v", logs, err)
	}
	if s.room.number() != 1 || filepath.Base(logs[0]) != "00001.mem" {
		t.Fatalf("logs %v, and %d is in use", logs, s.room.number())
	}
	if err := writeMemo(path, &memo{log: 1, last: 1}); err != nil { // whether it was noted by then or not
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(logs[0], logs[0]+".away"), os.WriteFile(logName(path, 2), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if c := examine(t, path, false); !strings.Contains(strings.Join(c.Faults, ""), "00001.mem: the log is missing") {
		t.Errorf("the log in use is missing, and the next one has no byte: got %+v", c)
	}
	if err := os.Rename(logs[0]+".away", logs[0]); err != nil {
		t.Fatal(err)
	}
	flip(t, logs[0], 300)
	if c := examine(t, path, false); !c.Torn && c.FaultCount == 0 {
		t.Errorf("a damaged log: got %+v", c)
	}
}

func TestCheckupOfOtherFolders(t *testing.T) {
	path := t.TempDir()
	if c := examine(t, path, true); !c.Empty || c.FaultCount > 0 {
		t.Errorf("an empty folder: got %+v", c)
	}
	if err := os.WriteFile(filepath.Join(path, "letter.txt"), []byte("Dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Examine(t.Context(), path, false); !errors.Is(err, ErrNoStore) || !strings.Contains(err.Error(), "letter.txt") {
		t.Errorf("garbage: got %+v, error %v", c, err)
	}
	if c, err := Examine(t.Context(), filepath.Join(path, "none"), false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: got %+v, error %v", c, err)
	}
	whole := stored(t, nil)
	if err := os.WriteFile(filepath.Join(whole, "letter.txt"), []byte("Dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := examine(t, whole, false); len(c.Strange) != 1 || c.FaultCount > 0 {
		t.Errorf("a stranger's file: got %+v", c)
	}
}

// A store of the layout before is looked at as it is, and opened as one of today.
func TestOldLayout(t *testing.T) {
	path := stored(t, func(s *Store) {
		key := []byte{kindVersion}
		if err := s.write(map[string]*row{"v": {key: key, value: seal(key, 0, codec.AppendNumbers(nil, 1))}}); err != nil {
			t.Fatal(err)
		}
	})
	if c := examine(t, path, true); c.Version != 1 || c.Last != 40 || c.FaultCount > 0 {
		t.Errorf("before: got %+v", c)
	}
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if s.Last() != 40 {
		t.Errorf("the last event is %d", s.Last())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c := examine(t, path, true); c.Version != layoutVersion || c.Last != 40 || c.FaultCount > 0 {
		t.Errorf("after: got %+v", c)
	}
}

// Where no more is left than what says that there was a store, a start refuses,
// and so a checkup does not call it empty.
func TestCheckupOfEmptiedStore(t *testing.T) {
	path := stored(t, nil)
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "weir.") {
			continue
		}
		if err := os.Remove(filepath.Join(path, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if c := examine(t, path, false); c.Empty || c.FaultCount != 1 || !strings.Contains(c.Faults[0], "newest event was 40") {
		t.Errorf("got %+v", c)
	}
	if s, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened %v, error %v", s, err)
	}
}
