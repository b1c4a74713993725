package routing

import (
	"bytes"
	"context"
	"fmt"
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

func (deaf) Decided(*event.Event, *Decision, bool) {}
func (deaf) Committed(*event.Event, *Decision)     {}

// run starts a reader and waits until it has routed up to a position.
func run(t *testing.T, st store.Store, tb *Table, until uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		NewReader(st, tb, hclog.NewNullLogger(), deaf{}).Run(ctx)
		close(ended)
	}()
	for deadline := time.Now().Add(time.Minute); st.Progress() < until; time.Sleep(5 * time.Millisecond) {
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
