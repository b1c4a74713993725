package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"

	"github.com/weirhq/weir/router/store/badger"
)

// manifest writes sets of changes as Badger does.
func manifest(t *testing.T, sets ...[]*pb.ManifestChange) []byte {
	t.Helper()
	b := []byte("Bdgr\x00\x00\x00\x08")
	for _, s := range sets {
		text, err := proto.Marshal(&pb.ManifestChangeSet{Changes: s})
		if err != nil {
			t.Fatal(err)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, 0, 0, 0, 0)
		b = append(b, text...)
	}
	return b
}

func created(id uint64, level uint32) *pb.ManifestChange {
	return &pb.ManifestChange{Id: id, Op: pb.ManifestChange_CREATE, Level: level}
}

func deleted(id uint64) *pb.ManifestChange {
	return &pb.ManifestChange{Id: id, Op: pb.ManifestChange_DELETE}
}

// Flushes and compactions are told apart, within level 0 too, and what nobody
// saw is said.
func TestTablesAreToldApart(t *testing.T) {
	b := manifest(t,
		[]*pb.ManifestChange{created(1, 0)},
		[]*pb.ManifestChange{created(2, 0)},
		[]*pb.ManifestChange{created(3, 6), created(4, 6), deleted(1), deleted(2)},
		[]*pb.ManifestChange{created(5, 0)},
		[]*pb.ManifestChange{created(6, 0), deleted(5)}, // within level 0
		[]*pb.ManifestChange{created(7, 5), deleted(6)},
	)
	sizes := map[uint64]int64{1: 10, 2: 20, 3: 100, 4: 200, 5: 40, 6: 1000}
	want := tablesMade{flushes: 3, flushed: 70, compactions: 3, compacted: 1300, unseen: 1}
	for _, torn := range []string{"", "\x00", "\x00\x00\x00\x09\x00\x00\x00\x00x"} {
		got, err := countTables(bytes.NewReader(append(bytes.Clone(b), torn...)), sizes)
		if err != nil || got != want {
			t.Errorf("got %+v, error %v; want %+v", got, err, want)
		}
	}
	if _, err := countTables(strings.NewReader("Bdgr"), sizes); err == nil {
		t.Error("half a head is taken for a manifest")
	}
	if _, err := countTables(strings.NewReader("Bdgr\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\xff"), sizes); err == nil {
		t.Error("garbage is taken for a change")
	}
}

// The manifest of a real store is read, and its table was seen.
func TestTablesOfAStore(t *testing.T) {
	dir := t.TempDir()
	w := watchTables(dir)
	s, err := badger.Open(t.Context(), badger.Options{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	k := &week{store: s, body: newEventBody()}
	if err := k.hour(t.Context(), time.Now(), 250); err != nil {
		t.Fatal(err)
	}
	if s.Last() != 250 || s.Progress() != 250 {
		t.Errorf("last %d, progress %d", s.Last(), s.Progress())
	}
	lanes, err := s.Lanes(t.Context())
	if err != nil || len(lanes) != 1 || lanes[0].Counts.Delivered != 250 || lanes[0].Counts.Waiting != 0 {
		t.Errorf("lanes %+v, error %v", lanes, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.look()
	made, err := w.end()
	if err != nil || made.flushes != 1 || made.flushed < 1000 || made.unseen > 0 {
		t.Errorf("got %+v, error %v", made, err)
	}
	if n, err := sizeOf(dir, ".seg"); err != nil || n < 250*1024 {
		t.Errorf("segments have %d bytes, error %v; want what 250 events are", n, err)
	}
	if n, err := sizeOf(dir, ".sst"); err != nil || n != made.flushed+made.compacted {
		t.Errorf("tables have %d bytes, error %v; want %d", n, err, made.flushed)
	}
	if n, err := blocks(dir); err != nil || n < made.flushed {
		t.Errorf("the folder takes %d bytes, error %v", n, err)
	}
}

func TestBlocksDoNotCountHoles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hole"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "hole"), 1<<30); err != nil {
		t.Fatal(err)
	}
	if n, err := blocks(dir); err != nil || n >= 1<<20 {
		t.Errorf("got %d, error %v", n, err)
	}
}

// Every event is JSON of one size, with its own number, type and values.
func TestEventsAreAlikeAndNot(t *testing.T) {
	e, seen := newEventBody(), map[string]bool{}
	for n := range uint64(100) {
		b := e.fill(n, 7)
		var v struct {
			Event string
			Data  map[string]any
		}
		if err := json.Unmarshal(b, &v); err != nil || len(b) != eventSize {
			t.Fatalf("%d bytes: %s: %v", len(b), b, err)
		}
		if got, ok := sequence(b); !ok || got != n || v.Event != "bench.t0000"+string(rune('0'+n%7)) {
			t.Errorf("event %d has the number %d and the type %s", n, got, v.Event)
		}
		value, ok := v.Data["field_05"].(string)
		if !ok || len(value) != valueDigits || seen[value] {
			t.Errorf("event %d: field_05 is %q", n, value)
		}
		seen[value] = true
	}
	if len(e.values) < 20 {
		t.Errorf("only %d values", len(e.values))
	}
}
