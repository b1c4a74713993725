package badger

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Nothing may lie in a log that no commit flushes.
func TestValueLogStaysEmpty(t *testing.T) {
	s := open(t)
	if !leaveValueLog(s.db) {
		t.Error("this version of Badger keeps its value log's options elsewhere")
	}
	now := time.Now()
	e := &event.Event{ID: event.NewID(now), Type: "large", Source: "s", Received: now, Data: bytes.Repeat([]byte("x"), 8<<20)}
	if _, err := s.Commit(t.Context(), &store.Record{Events: []store.NewEvent{{Event: e}}}); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(s.opts.Path, "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("value logs %v, %v", logs, err)
	}
	for _, path := range logs {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096) // what it holds begins behind 20 bytes of header
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if bytes.IndexFunc(b[20:], func(c rune) bool { return c != 0 }) >= 0 {
			t.Errorf("%s holds values", path)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
