package badger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/store"
)

// TestRoom takes the space away, and gives it back, without a restart.
func TestRoom(t *testing.T) {
	s := open(t)
	var free atomic.Int64
	free.Store(1 << 40)
	r := s.room
	r.mu.Lock()
	r.free = func(string) (int64, error) { return free.Load(), nil }
	r.mu.Unlock()
	full := func(used, spare int64) {
		r.mu.Lock()
		r.used = used
		r.reserve.held = spare
		if r.reserve.armed {
			refill(spare)
		}
		r.mu.Unlock()
	}
	commit(t, s, record(10))
	outcome := func() error { return s.write(map[string]*row{"": {key: []byte("d"), value: []byte("v")}}) }

	free.Store(0)
	if _, err := s.Commit(t.Context(), record(10)); !errors.Is(err, store.ErrFull) || !errors.Is(s.Err(), store.ErrFull) {
		t.Errorf("an event without space: %v, health %v", err, s.Err())
	}
	if err := outcome(); err != nil {
		t.Errorf("an outcome that has its blocks: %v", err)
	}
	full(memTableSize, 0)
	if err := outcome(); !errors.Is(err, store.ErrFull) {
		t.Errorf("an outcome whose log could not become a table: %v", err)
	}
	free.Store(flushRoom)
	if err := outcome(); err != nil {
		t.Errorf("an outcome whose log can become a table: %v", err)
	}
	free.Store(1 << 40)
	if _, err := s.Commit(t.Context(), record(10)); err != nil || s.Err() != nil {
		t.Errorf("an event when there is space again: %v, health %v", err, s.Err())
	}
	for n := 0; r.isLow(); n++ { // compactions go on by themselves
		if n == 1000 {
			t.Fatal("it is still careful")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestOpenWithoutSpace refuses with a text, and takes nothing away.
func TestOpenWithoutSpace(t *testing.T) {
	folder := t.TempDir()
	log, begun := filepath.Join(folder, "00001.mem"), filepath.Join(folder, "00002.mem")
	if err := errors.Join(os.WriteFile(log, bytes.Repeat(append(make([]byte, 1<<20-1), 1), 40), 0o600), os.WriteFile(begun, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	spare := &reserve{}
	err := makeRoom(folder, spare, func(string) (int64, error) { return 40 << 20, nil })
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "needs up to 61 MiB") || !strings.Contains(err.Error(), folder) {
		t.Errorf("error %v", err)
	}
	if err := makeRoom(folder, spare, func(string) (int64, error) { return 61 << 20, nil }); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(begun); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log without a byte, which Badger does not open, is left: %v", err)
	}
	if _, err := os.Stat(log); err != nil {
		t.Error(err)
	}
}

// A start with too little space says so in the log at once, and only once.
func TestOpenBelowMinFree(t *testing.T) {
	for commits := range 3 {
		var said bytes.Buffer
		s, err := Open(t.Context(), Options{
			Path: t.TempDir(), MinFree: 1 << 30,
			Free:   func(string) (int64, error) { return 300 << 20, nil },
			Logger: hclog.New(&hclog.LoggerOptions{Output: &said, Level: hclog.Warn}),
		})
		if err != nil {
			t.Fatal(err)
		}
		for range commits {
			if _, err := s.Commit(t.Context(), record(10)); !errors.Is(err, store.ErrFull) {
				t.Errorf("an event: %v", err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if text := said.String(); strings.Count(text, "events are refused") != 1 || !strings.Contains(text, "free=300MiB min_free=1024MiB needs=") {
			t.Errorf("after %d commits it says:\n%s", commits, text)
		}
	}
}

// An error of reading that is no damage, such as too few open files, is none of
// the store's.
func TestScrubGoesOn(t *testing.T) {
	s := open(t)
	<-s.scrubbed
	manifest := filepath.Join(s.opts.Path, "MANIFEST")
	if err := os.Rename(manifest, manifest+".away"); err != nil {
		t.Fatal(err)
	}
	again := s.scrubOnce()
	if err := os.Rename(manifest+".away", manifest); err != nil {
		t.Fatal(err)
	}
	if !again || s.Err() != nil {
		t.Errorf("tried again: %v, health %v", again, s.Err())
	}
}
