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
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(bytes.TrimRight(b[20:], "\x00")); n != 0 { // behind its header
			t.Errorf("%s holds %d bytes", path, n)
		}
	}
}
