package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
	"github.com/weirhq/weir/router/store/segment"
)

// segmentsOf gives the segments of a store, ascending.
func segmentsOf(t *testing.T, path string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(path, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// given makes a record of one event whose producer gave the id.
func given(id, typ string, alias string) *store.Record {
	r := record(10)
	e := r.Events[0].Event
	e.ID, e.Given, e.Type = id, true, typ
	r.Events[0].Dedupe, r.Events[0].Alias = time.Hour, alias
	return r
}

// Events alone cost one flush and no transaction, and are found by all that finds
// events before they have rows, once they have them, and when a start makes them.
func TestEventsAreFoundBeforeTheyHaveRows(t *testing.T) {
	ctx := t.Context()
	path := t.TempDir()
	s, err := Open(ctx, Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	flushes, transactions := 0, 0
	events, commitTxn := s.syncEvents, s.commitTxn
	s.syncEvents = func() error { flushes++; return events() }
	gate := &gate{}
	gate.put(s)
	s.syncEvents = func() error { flushes++; return events() }
	for i := range 6 {
		commit(t, s, given(fmt.Sprint("id-", i), fmt.Sprint("type.", i%2), fmt.Sprint("alias-", i)))
	}
	transactions = gate.n
	s.commitTxn = commitTxn
	if flushes != 6 || transactions != 0 || s.pending.none() {
		t.Errorf("6 commits made %d flushes and %d transactions", flushes, transactions)
	}
	check := func(when string) {
		t.Helper()
		for i := range 6 {
			id := fmt.Sprint("id-", i)
			found, err := s.FindEvent(ctx, id, "")
			if err != nil || len(found) != 1 || found[0].Position != uint64(i+1) {
				t.Errorf("%s: %s is %v, error %v", when, id, found, err)
			}
			for _, r := range []*store.Record{given(id, "type.0", ""), given("another", "type.0", fmt.Sprint("alias-", i))} {
				res, err := s.Commit(ctx, r)
				if err != nil || !res.Events[0].Duplicate || res.Events[0].ID != id || res.Events[0].Position != uint64(i+1) || res.Events[0].Differs != (i%2 == 1) {
					t.Errorf("%s: %s again: %+v, error %v", when, id, res, err)
				}
			}
		}
		for _, limit := range []int{1, 2, 100} {
			var got []uint64
			for cursor := ""; ; {
				list, next, err := s.ListEvents(ctx, store.EventQuery{Type: "type.1", Page: store.Page{Limit: limit, Cursor: cursor}})
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range list {
					got = append(got, e.Position)
				}
				if cursor = next; next == "" {
					break
				}
			}
			if fmt.Sprint(got) != "[6 4 2]" {
				t.Errorf("%s: of type.1 there are %v", when, got)
			}
		}
	}
	check("pending")
	killed, log := filepath.Join(t.TempDir(), "killed"), s.room.number()
	if err := os.CopyFS(killed, os.DirFS(path)); err != nil {
		t.Fatal(err)
	}
	// Half of them get rows: a view from before then sees each once.
	v, err := s.view(ctx)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, &store.Record{Documents: []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}}})
	if !s.pending.none() {
		t.Error("a transaction did not take along what was pending")
	}
	if list, err := v.typed(s.buckets[0].number, "type.1", 100, 10); err != nil || fmt.Sprint(list) != "[6 4 2]" {
		t.Errorf("in a view of before: %v, error %v", list, err)
	}
	v.close()
	check("with rows")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(ctx, Options{Path: path}); err != nil {
		t.Fatal(err)
	}
	check("opened again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// A start that is ended before it is one changes nothing.
	if err := writeMemo(killed, &memo{log: log, last: 6}); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(ctx)
	if _, err = Open(ended, Options{Path: killed, Free: func(path string) (int64, error) { end(); return freeBytes(path) }}); !errors.Is(err, context.Canceled) {
		t.Errorf("a start that is ended: %v", err)
	}
	if s, err = Open(ctx, Options{Path: killed}); err != nil {
		t.Fatal(err)
	}
	if s.pending.none() {
		t.Error("nothing was left to be made by a start")
	}
	check("killed and opened")
	commit(t, s, &store.Record{Documents: []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}}})
	check("killed, opened, and with rows")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is pending is bounded.
func TestPendingIsBounded(t *testing.T) {
	s := open(t)
	r := &store.Record{}
	for range pendingEvents / 2 {
		r.Events = append(r.Events, record(10).Events...)
	}
	commit(t, s, r)
	if s.pending.none() {
		t.Error("half of what may be pending was not")
	}
	commit(t, s, r)
	s.step(t.Context(), func(*batch) error { return nil }) // behind what the committer does after it has answered
	if !s.pending.none() {
		t.Errorf("%d events are pending", len(s.pending.types))
	}
}

// An event that does not match its checksum is an error that names file and position,
// and never data.
func TestDamagedEvent(t *testing.T) {
	s := open(t)
	for range 3 {
		commit(t, s, record(10))
	}
	path := segmentsOf(t, s.opts.Path)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	from := bytes.LastIndex(whole, []byte("test.event")) // in the last one
	for at := from; at < len(whole); at++ {
		flip(t, path, int64(at))
		if _, err := s.Event(t.Context(), 3); !errors.Is(err, codec.ErrMalformed) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "position 3") {
			t.Errorf("byte %d: error %v", at, err)
		}
		if _, err := s.Event(t.Context(), 2); err != nil {
			t.Errorf("byte %d: %v", at, err)
		}
		flip(t, path, int64(at))
	}
	if _, err := s.Event(t.Context(), 3); err != nil {
		t.Error(err)
	}
}

// A group of which the rest of the record is not in the database was never answered,
// and goes; one that was answered stays.
func TestJointGroupWithoutItsRows(t *testing.T) {
	ctx := t.Context()
	path := t.TempDir()
	s, err := Open(ctx, Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, record(10))
	r := given("joint", "t", "")
	r.Documents = []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}}
	commit(t, s, r)
	if first, joint := s.events.LastGroup(); first != 2 || !joint {
		t.Fatalf("the last group is from %d on, joint %v", first, joint)
	}
	// And one whose transaction never came.
	if err := errors.Join(s.events.Append(3, false, true, []segment.Entry{{Data: codec.AppendEvent(nil, record(10).Events[0].Event)}}), s.events.Sync()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := writeMemo(path, &memo{last: 2, closed: true}); err != nil {
		t.Fatal(err)
	}
	if c := examine(t, path, true); c.Last != 2 || c.FaultCount > 0 {
		t.Errorf("a checkup: %+v", c)
	}
	if s, err = Open(ctx, Options{Path: path}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Last() != 2 {
		t.Errorf("the last event is %d", s.Last())
	}
	if v, err := s.Document(ctx, "k", "n"); err != nil || string(v) != "v" {
		t.Errorf("the document is %q, error %v", v, err)
	}
	if res, err := s.Commit(ctx, record(10)); err != nil || res.Events[0].Position != 3 {
		t.Errorf("the next event: %+v, error %v", res, err)
	}
}

// A record with a row that the database refuses leaves no event behind, and the store
// goes on.
func TestJointGroupWithARefusedRow(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	commit(t, s, record(10))
	r := record(10)
	r.Documents = []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}}
	req, err := s.encode(r)
	if err != nil {
		t.Fatal(err)
	}
	b := s.newBatch()
	if err := b.add(req); err != nil {
		t.Fatal(err)
	}
	b.rows["long"] = &row{key: make([]byte, 1<<16), value: []byte("v")} // longer than a key may be
	s.flush(b)                                                          // the committer has nothing to do
	if req.err == nil || s.events.Last() != 1 || s.Last() != 1 {
		t.Fatalf("error %v, and the newest event is %d, %d for readers", req.err, s.events.Last(), s.Last())
	}
	if res, err := s.Commit(t.Context(), record(10)); err != nil || res.Events[0].Position != 2 {
		t.Errorf("the next event: %+v, error %v", res, err)
	}
}

// A store of a layout whose events are in rows is opened, read and gone on with, and
// retention takes both kinds.
func TestEventsInRows(t *testing.T) {
	ctx := t.Context()
	path := t.TempDir()
	now := time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC)
	o := Options{Path: path, Now: func() time.Time { return now }}
	s, err := Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	add := func(n int) {
		for range n {
			r := record(10)
			r.Events[0].Event.Received = now
			r.Routings = routed(s.Last()+1, "a").Routings
			commit(t, s, r)
		}
	}
	for range 3 {
		add(4)
		now = now.Add(time.Hour)
	}
	add(2)
	// As a build of before has it: a row of each event, and no segments.
	rows := map[string]*row{}
	txn := s.db.NewTransaction(false)
	for p := uint64(1); p <= 14; p++ {
		bucket := bucketOf(s.buckets, s.oldest, p)
		b, err := s.newBatch().eventBytes(bucket, p)
		if err != nil {
			t.Fatal(err)
		}
		split(eventKey(bucket, p), b, func(k, v []byte) { rows[string(k)] = &row{key: k, value: v} })
	}
	txn.Discard()
	version := []byte{kindVersion}
	rows["version"] = &row{key: version, value: seal(version, 0, codec.AppendNumbers(nil, 2))}
	rows["segments"] = &row{key: []byte{kindSegments}}
	if err := errors.Join(s.write(rows), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, name := range segmentsOf(t, path) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if c := examine(t, path, true); c.Last != 14 || c.Version != 2 || c.FaultCount > 0 {
		t.Errorf("before: %+v", c)
	}
	if s, err = Open(ctx, o); err != nil {
		t.Fatal(err)
	}
	all := func(from, want uint64) {
		t.Helper()
		events, err := s.Events(ctx, from, 100)
		if err != nil || uint64(len(events)) != want {
			t.Errorf("%d events from %d on, want %d; error %v", len(events), from, want, err)
		}
		for i, e := range events {
			if e.Position != from+uint64(i) {
				t.Errorf("position %d is at %d", e.Position, from+uint64(i))
			}
		}
		listed, _, err := s.ListEvents(ctx, store.EventQuery{Page: store.Page{Limit: 100}})
		if err != nil || uint64(len(listed)) != want {
			t.Errorf("%d events are listed, want %d; error %v", len(listed), want, err)
		}
		for _, e := range listed {
			if one, err := s.Event(ctx, e.Position); err != nil || one.ID != e.ID {
				t.Errorf("position %d: %v, error %v", e.Position, one, err)
			}
		}
	}
	s.tail.reset()
	all(1, 14)
	add(3) // of the same bucket
	now = now.Add(time.Hour)
	add(3)
	s.tail.reset()
	all(1, 20)
	s = again(t, s)
	all(1, 20)
	l, err := s.Lane(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	lo := store.LaneOutcomes{Lane: "a", Cursor: &store.Cursor{Low: store.Ref{Position: 21}}}
	for p := l.Cursor.Low.Position; p <= 20; p++ {
		if p > 0 {
			lo.Outcomes = append(lo.Outcomes, store.Outcome{Ref: store.Ref{Position: p}, From: store.Waiting, To: store.Delivered})
		}
	}
	commit(t, s, &store.Record{Outcomes: []store.LaneOutcomes{lo}})
	now = now.Add(7*24*time.Hour - 30*time.Minute)
	if done, err := s.Expire(ctx, now); err != nil || done.Events != 17 {
		t.Errorf("retention took %+v, error %v", done, err)
	}
	s.tail.reset()
	all(18, 3)
	if n := len(segmentsOf(t, path)); n != 1 {
		t.Errorf("%d segments are left", n)
	}
	now = now.Add(24 * time.Hour)
	if done, err := s.Expire(ctx, now); err != nil || done.Events != 3 {
		t.Errorf("retention took %+v, error %v", done, err)
	}
	if n := len(segmentsOf(t, path)); n != 0 {
		t.Errorf("%d segments are left", n)
	}
	s = again(t, s)
	add(1)
	all(21, 1)
	s = again(t, s)
	all(21, 1)
}

// A read that retention overtakes finds what is kept aside, and misses what is gone.
func TestReadWhileSegmentsGo(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(ctx, Options{Path: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for p := range uint64(2) {
		r := record(10)
		r.Events[0].Event.Received = now
		r.Routings = routed(p+1, []string{"a"}[:p]...).Routings // the second waits
		commit(t, s, r)
	}
	v, err := s.view(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	now = now.Add(8 * 24 * time.Hour)
	if done, err := s.Expire(ctx, now); err != nil || done.Events != 1 {
		t.Fatalf("retention took %+v, error %v", done, err)
	}
	if n := len(segmentsOf(t, s.opts.Path)); n != 0 {
		t.Fatalf("%d segments are left", n)
	}
	if _, err := v.event(1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what is gone: error %v", err)
	}
	var e *event.Event
	if e, err = v.event(2); err != nil || e.Position != 2 {
		t.Errorf("what is kept aside: %v, error %v", e, err)
	}
	if _, moved, err := v.events(context.Background(), 1, 10); err != nil || !moved {
		t.Errorf("moved %v, error %v", moved, err)
	}
	if list, err := s.Events(ctx, 1, 10); err != nil || len(list) != 1 {
		t.Errorf("%d events, error %v", len(list), err)
	}
}

// A byte in a complete segment is found while the store runs, and by a deep checkup.
func TestScrubEvents(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	path := t.TempDir()
	o := Options{Path: path, Now: func() time.Time { return now }}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := record(10)
		r.Events[0].Event.Received = now
		commit(t, s, r)
		now = now.Add(time.Hour)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	list := segmentsOf(t, path)
	if len(list) != 2 {
		t.Fatalf("segments %v", list)
	}
	flip(t, list[0], 100)
	if c := examine(t, path, false); c.FaultCount != 0 || c.Segments != 2 {
		t.Errorf("a checkup: %+v", c)
	}
	if c := examine(t, path, true); c.FaultCount != 1 || !strings.Contains(c.Faults[0], list[0]) {
		t.Errorf("a deep checkup: %+v", c)
	}
	if s, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	<-s.scrubbed
	if err := s.Err(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), list[0]) {
		t.Errorf("its health is %v", err)
	}
}

// A damaged end of the newest segment loses nothing that has rows: routings and
// deliveries would lead to what is gone. Retention takes the copies with the events.
func TestDamagedEndIsMended(t *testing.T) {
	ctx := t.Context()
	sound := t.TempDir()
	s, err := Open(ctx, Options{Path: sound})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		commit(t, s, given(fmt.Sprint("id-", i), "t", fmt.Sprint("alias-", i)))
	}
	commit(t, s, routed(1))
	r := given("id-5", "t", "")
	r.Events = append(r.Events, given("id-6", "t", "alias-6").Events...)
	r.Documents = []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}}
	commit(t, s, r) // a joint group
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Base(segmentsOf(t, sound)[0])
	whole, err := os.ReadFile(filepath.Join(sound, file))
	if err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string][]byte{
		"its last byte":       append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^0x10),
		"cut by 7 bytes":      whole[:len(whole)-7],
		"cut by half a group": whole[:len(whole)-200],
		"cut by two groups":   whole[:len(whole)-600],
	} {
		path := filepath.Join(t.TempDir(), "damaged")
		if err := os.CopyFS(path, os.DirFS(sound)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, file), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if c := examine(t, path, true); !c.Torn || c.FaultCount > 0 {
			t.Errorf("%s: a checkup says %+v", what, c)
		}
		var said bytes.Buffer
		s, err := Open(ctx, Options{Path: path, Logger: hclog.New(&hclog.LoggerOptions{Output: &said})})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if !strings.Contains(said.String(), "mended") || !strings.Contains(said.String(), file) {
			t.Errorf("%s: it said %q", what, said.String())
		}
		for i := range 7 {
			id := fmt.Sprint("id-", i)
			found, err := s.FindEvent(ctx, id, "")
			if err != nil || len(found) != 1 || found[0].Position != uint64(i+1) || string(found[0].Data) != "xxxxxxxxxx" {
				t.Errorf("%s: %s is %v, error %v", what, id, found, err)
			}
		}
		if res, err := s.Commit(ctx, given("another", "t", "alias-6")); err != nil || !res.Events[0].Duplicate {
			t.Errorf("%s: an alias again: %+v, error %v", what, res, err)
		}
		if now, err := os.ReadFile(filepath.Join(path, file)); err != nil || len(bad) >= len(whole)-7 && !bytes.Equal(now, whole) {
			t.Errorf("%s: the file is not as it was, error %v", what, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRetentionTakesCopies(t *testing.T) {
	ctx := t.Context()
	now := time.Now()
	s, err := Open(ctx, Options{Path: t.TempDir(), Retention: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	copies := func() segment.Spare {
		t.Helper()
		v, err := s.view(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer v.close()
		x, err := loadSpare(v.txn)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	commit(t, s, record(10))
	commit(t, s, routed(1))
	if x := copies(); x.First != 1 || x.Last() != 1 {
		t.Fatalf("copies from %d to %d", x.First, x.Last())
	}
	now = now.Add(3 * time.Hour)
	if _, err := s.Expire(ctx, now); err != nil {
		t.Fatal(err)
	}
	if x := copies(); x.Last() != 0 || s.spare.Last() != 0 {
		t.Errorf("retention has left copies from %d to %d", x.First, x.Last())
	}
}

// Copies are the newest events that fit, and nothing between is left out.
func TestNextSpare(t *testing.T) {
	of := func(sizes ...int) (list [][]byte) {
		for _, n := range sizes {
			list = append(list, make([]byte, n))
		}
		return list
	}
	for _, c := range []struct {
		first      uint64
		sizes      [][]int
		from, last uint64
	}{
		{first: 1, sizes: [][]int{{10}}, from: 1, last: 1},
		{first: 1, sizes: [][]int{{10}, {10, 10}}, from: 1, last: 3},
		{first: 1, sizes: [][]int{{2000}, {2000}, {90}}, from: 1, last: 3},
		{first: 1, sizes: [][]int{{2000}, {2000}, {100}}, from: 2, last: 3},
		{first: 5, sizes: [][]int{{spareBytes, 1}}, from: 6, last: 6},
		{first: 1, sizes: [][]int{{10}, {spareMost}}, from: 2, last: 2},
		{first: 1, sizes: [][]int{{10}, {spareMost + 1}}, last: 0},
		{first: 1, sizes: [][]int{{10}, {spareMost + 1}, {10}}, from: 3, last: 3},
	} {
		var x segment.Spare
		next := c.first
		for _, sizes := range c.sizes {
			events := of(sizes...)
			x = nextSpare(x, next, make([][]byte, len(events)), events)
			next += uint64(len(events))
		}
		if x.Last() != c.last || c.last > 0 && x.First != c.from {
			t.Errorf("%v: copies from %d to %d, want %d to %d", c.sizes, x.First, x.Last(), c.from, c.last)
		}
	}
}

// A repeated event is one even where the rows that tell were written after its batch
// had begun to read.
func TestRepeatedWhilePendingIsFlushed(t *testing.T) {
	s := open(t)
	group := func(records ...*store.Record) (list []*request) {
		for _, r := range records {
			req, err := s.encode(r)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, req)
		}
		s.commitGroup(list) // in the place of the committer, which has nothing to do
		return list
	}
	group(given("id-1", "t", "alias-1"))
	s.pending.size = pendingBytes // as if there had been no room for its rows
	document := &store.Record{Documents: []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}}}
	for i, req := range group(document, given("id-1", "t", ""), given("id-2", "t", "alias-1")) {
		if req.err != nil || i > 0 && (!req.result.Events[0].Duplicate || req.result.Events[0].Position != 1) {
			t.Errorf("record %d: %+v, error %v", i, req.result, req.err)
		}
	}
	if s.Last() != 1 {
		t.Errorf("the last event is %d", s.Last())
	}
}

// Where the end of the database's log was lost, a start may find more to make rows of
// than one transaction takes.
func TestMuchIsPending(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s, err := Open(ctx, Options{Path: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	for i := range n {
		if i == n/2 {
			now = now.Add(2 * time.Hour) // another bucket
		}
		r := given(fmt.Sprint("id-", i), fmt.Sprint("type.", i%2), fmt.Sprint("alias-", i))
		r.Events[0].Event.Received = now
		commit(t, s, r)
	}
	maxRows := s.maxRows
	s.maxRows = 20
	gate := &gate{}
	gate.put(s)
	commit(t, s, &store.Record{Documents: []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}}})
	ungate(s)
	if gate.n < 2*n/20 || !s.pending.none() {
		t.Errorf("%d transactions, and %d events are pending", gate.n, len(s.pending.types))
	}
	s.maxRows = maxRows
	s = again(t, s)
	if !s.pending.none() || len(s.buckets) != 2 {
		t.Errorf("%d events are pending, in buckets %v", len(s.pending.types), s.buckets)
	}
	for i := range n {
		id := fmt.Sprint("id-", i)
		if found, err := s.FindEvent(ctx, id, ""); err != nil || len(found) != 1 || found[0].Position != uint64(i+1) {
			t.Errorf("%s is %v, error %v", id, found, err)
		}
		if i < n/2 {
			continue // its alias is free by now
		}
		if res, err := s.Commit(ctx, given("another", "t", fmt.Sprint("alias-", i))); err != nil || !res.Events[0].Duplicate || res.Events[0].ID != id {
			t.Errorf("%s again: %+v, error %v", id, res, err)
		}
	}
	list, _, err := s.ListEvents(ctx, store.EventQuery{Type: "type.1", Page: store.Page{Limit: n}})
	if err != nil || len(list) != n/2 {
		t.Errorf("of type.1 there are %d, error %v", len(list), err)
	}
}
