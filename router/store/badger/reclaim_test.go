package badger

import (
	crand "crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirhq/weir/router/store"
)

// TestRetentionGivesSpaceBack fills the store and lets retention pass, again and
// again. Tables and segments must be
// small after each cycle, while a producer goes on.
func TestRetentionGivesSpaceBack(t *testing.T) {
	ctx := t.Context()
	path := t.TempDir()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(ctx, Options{Path: path, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.reclaimLeast = 2 << 20
	use := func(kind string) (n int64) {
		files, err := filepath.Glob(filepath.Join(path, "*"+kind))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil {
				n += info.Size()
			}
		}
		return n
	}
	add := func(n int) {
		r := &store.Record{}
		first := s.Last()
		lo := store.LaneOutcomes{Lane: "a"}
		for i := range uint64(n) {
			e := record(10).Events[0]
			e.Event.Data = make([]byte, 8<<10)
			crand.Read(e.Event.Data)
			e.Event.Received = now
			r.Events = append(r.Events, e)
			r.Routings = append(r.Routings, routed(first+i+1, "a").Routings...)
			lo.Outcomes = append(lo.Outcomes, store.Outcome{Ref: store.Ref{Position: first + i + 1}, From: store.Waiting, To: store.Delivered,
				Attempt: &store.Attempt{Number: 1, Started: now, Status: 200, Body: e.Event.Data}})
		}
		commit(t, s, r)
		lo.Cursor = &store.Cursor{Low: store.Ref{Position: s.Last() + 1}}
		commit(t, s, &store.Record{Outcomes: []store.LaneOutcomes{lo}})
	}
	for cycle := range 3 {
		for range 16 {
			add(64)
			now = now.Add(time.Hour)
		}
		if err := s.endLog(ctx); err != nil { // 8 MiB of answers in a table
			t.Fatal(err)
		}
		filled, filledEvents := use(".sst"), use(".seg")
		now = now.Add(8 * 24 * time.Hour)
		add(1) // an event of the new week stays
		done, err := s.Expire(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		left := use(".sst")
		for n := 0; left > 512<<10 && n < 1000; n++ { // in the background
			time.Sleep(10 * time.Millisecond)
			left = use(".sst")
		}
		t.Logf("cycle %d: %d KiB, %d events expired, %d KiB", cycle, filled>>10, done.Events, left>>10)
		if leftEvents := use(".seg"); filledEvents < 8<<20 || leftEvents > 16<<10 {
			t.Errorf("cycle %d: the segments had %d bytes and have %d", cycle, filledEvents, leftEvents)
		}
		if filled < 8<<20 || left > 512<<10 {
			t.Errorf("cycle %d: the tables had %d bytes and have %d", cycle, filled, left)
		}
		if events, err := s.Events(ctx, s.Last(), 1); err != nil || len(events) != 1 {
			t.Errorf("the newest event: %d, %v", len(events), err)
		}
	}
}
