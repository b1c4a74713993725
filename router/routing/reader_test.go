package routing

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

func appendEvents(t *testing.T, st store.Store, types ...string) []uint64 {
	t.Helper()
	var positions []uint64
	for _, eventType := range types {
		now := time.Now()
		result, err := st.Commit(context.Background(), &store.Record{Events: []store.NewEvent{{Event: &event.Event{
			ID: event.NewID(now), Type: eventType, Source: "events", Time: now, Received: now, ContentType: "application/json", Data: []byte(`"d"`),
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		positions = append(positions, result.Events[0].Position)
	}
	return positions
}

// deaf is a Taker that does nothing.
type deaf struct{}

func (deaf) Decided(*event.Event, *Decision, bool)              {}
func (deaf) Committed(*event.Event, *Decision)                  {}
func (deaf) Dead(*event.Event, *store.Routing) []store.NewEvent { return nil }

// run starts a reader and waits until it has routed up to a position.
func run(t *testing.T, st store.Store, tb *Table, until uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		NewReader(st, tb, hclog.NewNullLogger(), deaf{}, nil).Run(ctx)
		close(ended)
	}()
	for deadline := time.Now().Add(5 * time.Minute); st.Progress() < until; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("routing stands at %d, want %d", st.Progress(), until)
		}
	}
	cancel()
	<-ended
}

func openStore(t *testing.T) store.Store {
	t.Helper()
	st, err := badger.Open(context.Background(), badger.Options{Path: t.TempDir(), Retention: time.Hour, MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// Routing goes on where it stopped, in order, each event once.
func TestReaderRoutesEachEventOnce(t *testing.T) {
	st := openStore(t)
	tb := table(t, "route \"r\" {\n  to = [destination.one]\n}\n", nil)
	var positions []uint64
	for range 3 {
		positions = append(positions, appendEvents(t, st, "a", "b", "c")...)
		run(t, st, tb, positions[len(positions)-1])
	}
	postings, err := st.Postings(context.Background(), "one", store.Ref{}, 100)
	if err != nil || len(postings) != len(positions) {
		t.Fatalf("%v, %v", postings, err)
	}
	for i, p := range postings {
		if p.Ref.Position != positions[i] {
			t.Errorf("posting %d is of %d, want %d", i, p.Ref.Position, positions[i])
		}
	}
}

// What routes make of one event may be too large for the store: that event is
// dead on its routes, and those after it go on.
func TestOneFatEventStopsNothing(t *testing.T) {
	st := openStore(t)
	var hcl string
	for i := range 6 {
		hcl += fmt.Sprintf("route \"fat%d\" {\n  events = [\"fat\"]\n  through = [plugin.p]\n  to = [destination.one]\n}\n", i)
	}
	hcl += "route \"thin\" {\n  to = [destination.two]\n}\n"
	tb := table(t, hcl, map[string]fake{"p": func(m *event.Message) (*plugins.Result, error) {
		c := *m
		c.SetHeader = []event.Field{{Name: "x", Value: string(bytes.Repeat([]byte("x"), 3<<20))}}
		return &plugins.Result{Transform: plugins.Changed, Messages: []*event.Message{&c}}, nil
	}})
	positions := appendEvents(t, st, "thin", "fat", "thin")
	run(t, st, tb, positions[2])
	fat, err := st.Routing(context.Background(), positions[1])
	if err != nil {
		t.Fatal(err)
	}
	if len(fat.Deliveries) != 7 {
		t.Errorf("%d deliveries", len(fat.Deliveries))
	}
	for _, d := range fat.Deliveries {
		if d.Dead != store.ReasonRouting || d.Lane != store.RoutingLane {
			t.Errorf("%+v is no dead letter", d)
		}
	}
	postings, err := st.Postings(context.Background(), "two", store.Ref{}, 10)
	if err != nil || len(postings) != 2 {
		t.Errorf("the others led to %v, %v", postings, err)
	}
}

func TestTooManyBytesInHeaders(t *testing.T) {
	tb := table(t, "route \"r\" {\n  through = [plugin.p]\n  to = [destination.one]\n}\n", map[string]fake{"p": func(m *event.Message) (*plugins.Result, error) {
		c := *m
		c.Subject = string(make([]byte, plugins.MaxResultBytes))
		return &plugins.Result{Transform: plugins.Changed, Messages: []*event.Message{&c}}, nil
	}})
	r := decide(t, tb, sample("events", "x", `"d"`))
	if len(r.Deliveries) != 1 || r.Deliveries[0].Dead != store.ReasonRouting {
		t.Errorf("got %+v", r.Deliveries)
	}
}

// witness is a Taker that checks the order in which it is told.
type witness struct {
	t  *testing.T
	st store.Store

	mu                 sync.Mutex
	decided, committed []uint64
	late               int // positions that were not told early
}

func (w *witness) Decided(e *event.Event, d *Decision, early bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.decided = append(w.decided, e.Position)
	if d.Routing.Position != e.Position {
		w.t.Errorf("the decision for %d is of %d", e.Position, d.Routing.Position)
	}
	if w.st.Progress() >= e.Position {
		w.t.Errorf("%d is told after its commit", e.Position)
	}
	if !early {
		w.late++
	}
}

func (w *witness) Dead(*event.Event, *store.Routing) []store.NewEvent { return nil }

func (w *witness) Committed(e *event.Event, _ *Decision) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.committed = append(w.committed, e.Position)
	if w.st.Progress() < e.Position {
		w.t.Errorf("%d is told to be committed, and routing stands at %d", e.Position, w.st.Progress())
	}
}

func (w *witness) counts() (decided, committed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.decided), len(w.committed)
}

// fails refuses some commits of routings, or holds them all.
type fails struct {
	store.Store
	mu   sync.Mutex
	left int           // commits to be refused
	gate chan struct{} // closed when commits may go on
}

func (f *fails) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	if len(r.Routings) > 0 {
		<-f.gate
		f.mu.Lock()
		f.left--
		refuse := f.left >= 0
		f.mu.Unlock()
		if refuse {
			return store.Result{}, store.ErrFull
		}
	}
	return f.Store.Commit(ctx, r)
}

func awaitThat(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A commit that fails is tried again: each event is told once before and once
// after, in the log's order, and no more is decided ahead than may be.
func TestReaderTellsBeforeAndAfter(t *testing.T) {
	st := &fails{Store: openStore(t), left: 1, gate: make(chan struct{})}
	const events = 2*MaxAhead + 100
	record := &store.Record{}
	for range events {
		now := time.Now()
		record.Events = append(record.Events, store.NewEvent{Event: &event.Event{
			ID: event.NewID(now), Type: "x", Source: "events", Time: now, Received: now, ContentType: "application/json", Data: []byte(`1`),
		}})
	}
	if _, err := st.Commit(context.Background(), record); err != nil {
		t.Fatal(err)
	}
	w := &witness{t: t, st: st}
	r := NewReader(st, table(t, "route \"r\" {\n  to = [destination.one]\n}\n", nil), hclog.NewNullLogger(), w, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(ended)
	}()
	awaitThat(t, "as much as may be decided ahead", func() bool { n, _ := w.counts(); return n > MaxAhead-2*batchEvents })
	time.Sleep(50 * time.Millisecond)
	if n, _ := w.counts(); n > MaxAhead {
		t.Errorf("%d are decided ahead, at most %d may be", n, MaxAhead)
	}
	close(st.gate)
	awaitThat(t, "all", func() bool { _, n := w.counts(); return n == events })
	cancel()
	<-ended
	if !r.Settled() {
		t.Error("something is left to be committed")
	}
	for _, list := range [][]uint64{w.decided, w.committed} {
		if len(list) != events {
			t.Errorf("%d were told, want %d", len(list), events)
		}
		for i, p := range list {
			if p != uint64(i+1) {
				t.Fatalf("number %d that was told is %d", i+1, p)
			}
		}
	}
	if w.late > 0 {
		t.Errorf("%d were not told early", w.late)
	}
}

// What a reader has decided when it is stopped is committed; what the store then
// refuses is left, and the reader ends all the same.
func TestReaderEndsWithACommit(t *testing.T) {
	for _, refused := range []bool{false, true} {
		st := &fails{Store: openStore(t), gate: make(chan struct{})}
		if refused {
			st.left = 1 << 20
		}
		close(st.gate)
		last := appendEvents(t, st, "a", "b", "c")[2]
		w := &witness{t: t, st: st}
		r := NewReader(st, table(t, "route \"r\" {\n  to = [destination.one]\n}\n", nil), hclog.NewNullLogger(), w, nil)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			r.Run(ctx)
			close(ended)
		}()
		awaitThat(t, "all to be decided", func() bool { n, _ := w.counts(); return n == 3 })
		cancel()
		<-ended
		if done := st.Progress() == last; done == refused || r.Settled() == refused {
			t.Errorf("refused %v: routing stands at %d of %d, settled: %v", refused, st.Progress(), last, r.Settled())
		}
	}
}

// A routing that may turn out to be too large is not told early.
func TestLargeDecisionsAreNotEarly(t *testing.T) {
	st := openStore(t)
	tb := table(t, "route \"r\" {\n  through = [plugin.p]\n  to = [destination.one]\n}\n", map[string]fake{"p": func(m *event.Message) (*plugins.Result, error) {
		c := *m
		c.Data = bytes.Repeat([]byte("1"), earlyBytes)
		return &plugins.Result{Transform: plugins.Changed, Messages: []*event.Message{&c}}, nil
	}})
	appendEvents(t, st, "a")
	w := &witness{t: t, st: st}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		NewReader(st, tb, hclog.NewNullLogger(), w, nil).Run(ctx)
		close(ended)
	}()
	awaitThat(t, "the commit", func() bool { _, n := w.counts(); return n == 1 })
	cancel()
	<-ended
	if w.late != 1 {
		t.Errorf("%d of 1 were left to the commit", w.late)
	}
}

// What was told of a routing stays as it was, also when the store finds it too
// large: lanes have it. Error texts of plugins count for its size.
func TestTooLargeLeavesWhatWasTold(t *testing.T) {
	st := openStore(t)
	position := appendEvents(t, st, "a")[0]
	events, err := st.Events(context.Background(), position, 1)
	if err != nil {
		t.Fatal(err)
	}
	routing := &store.Routing{Position: position, Config: "c"}
	for i := range 40 {
		m := store.Match{Route: fmt.Sprint("route-", i)}
		for n := range 64 {
			m.Plugins = append(m.Plugins, store.Verdict{Plugin: "p", Message: n, Class: "plugin", Error: strings.Repeat("x", 4096)})
			routing.Deliveries = append(routing.Deliveries, store.Delivery{Match: i, Content: -1, Lane: "crm", N: n, Several: true})
		}
		routing.Matches = append(routing.Matches, m)
	}
	if n := routing.Size(); n < 40*64*4096 {
		t.Errorf("its size is said to be %d", n)
	}
	r := NewReader(st, nil, hclog.NewNullLogger(), deaf{}, nil)
	r.pending = []pending{{events[0], &Decision{Routing: routing}, routing.Size()}}
	if err := r.postAll(); err != nil {
		t.Fatal(err)
	}
	if len(routing.Deliveries) != 40*64 || routing.Matches[0].Plugins == nil {
		t.Errorf("what was told has %d deliveries now", len(routing.Deliveries))
	}
	kept, err := st.Routing(context.Background(), position)
	if err != nil || len(kept.Deliveries) != 40 || kept.Deliveries[0].Dead != store.ReasonRouting {
		t.Errorf("%d deliveries are kept, %v", len(kept.Deliveries), err)
	}
}
