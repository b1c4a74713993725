package router

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/plugins/plugintest"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

const oldRoutes = `
destination "old" {
  url = "stdout:"
}
route "r" {
  when = event.data.n == 1
  to   = [destination.old]
}
`

const newRoutes = `
destination "new" {
  url = "stdout:"
}
route "r" {
  to = [destination.new]
}
`

// cutOff leaves a store as a crash does: c was routing, n events came after, and
// nothing of them is committed.
func cutOff(t *testing.T, c *config.Config, n int) {
	t.Helper()
	ctx := context.Background()
	st, err := badger.Open(ctx, badger.Options{Path: c.Store.Path})
	if err != nil {
		t.Fatal(err)
	}
	begin(t, st, c, st.Progress())
	appendEvents(t, st, n)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// begin begins an epoch as a router with the store's key does.
func begin(t *testing.T, st store.Store, c *config.Config, after uint64) {
	t.Helper()
	r := &Router{store: st, log: hclog.NewNullLogger()}
	if err := r.openArchive(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := r.archive.Begin(t.Context(), c, after); err != nil {
		t.Fatal(err)
	}
}

func appendEvents(t *testing.T, st store.Store, n int) {
	t.Helper()
	for range n {
		now := time.Now()
		if _, err := st.Commit(context.Background(), &store.Record{Events: []store.NewEvent{{Event: &event.Event{
			ID: event.NewID(now), Type: "x", Source: "events", Time: now, Received: now, ContentType: "application/json", Data: []byte(`{"n":1}`),
		}}}}); err != nil {
			t.Fatal(err)
		}
	}
}

// routedBy awaits the routing of a position and says by which configuration and
// to which lanes it went.
func routedBy(t *testing.T, r *Router, position uint64) string {
	t.Helper()
	await(t, "the routing", func() bool { return r.store.Progress() >= position })
	got, err := r.store.Routing(context.Background(), position)
	if err != nil {
		t.Fatal(err)
	}
	text := got.Config[:8]
	for _, d := range got.Deliveries {
		text += " " + d.Lane
	}
	return text
}

func TestCutOffEventsAreRoutedAsBefore(t *testing.T) {
	dir := t.TempDir()
	before, after := parse(t, dir, oldRoutes), parse(t, dir, newRoutes)
	cutOff(t, before, 3)
	r := start(t, dir, newRoutes, Options{Stdout: &safeBuffer{}})
	publish(t, r, "x", "")
	for position, want := range map[uint64]string{
		1: before.Hash[:8] + " old", 3: before.Hash[:8] + " old", 4: after.Hash[:8] + " new",
	} {
		if got := routedBy(t, r, position); got != want {
			t.Errorf("event %d went by %s, want %s", position, got, want)
		}
	}
	// A crash of the one that resumed still knows both.
	if list := r.archive.Epochs(); len(list) != 2 || list[1].From != 4 {
		t.Errorf("the epochs are %+v", list)
	}
}

// After a clean stop nothing was being routed: what had not begun follows the new
// configuration.
func TestCleanStopEndsTheEpoch(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, oldRoutes, Options{Stdout: &safeBuffer{}})
	publish(t, r, "x", "")
	routedBy(t, r, 1)
	shut(t, r)
	after := parse(t, dir, newRoutes)
	st, err := badger.Open(context.Background(), badger.Options{Path: after.Store.Path})
	if err != nil {
		t.Fatal(err)
	}
	appendEvents(t, st, 1)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	r = start(t, dir, newRoutes, Options{Stdout: &safeBuffer{}})
	if got, want := routedBy(t, r, 2), after.Hash[:8]+" new"; got != want {
		t.Errorf("the event went by %s, want %s", got, want)
	}
}

// Two configurations may have been routing when it was cut off: a reload had just
// been.
func TestCutOffAfterReload(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	before, between := parse(t, dir, oldRoutes), parse(t, dir, newRoutes)
	cutOff(t, before, 2)
	st, err := badger.Open(ctx, badger.Options{Path: before.Store.Path})
	if err != nil {
		t.Fatal(err)
	}
	begin(t, st, between, 2)
	appendEvents(t, st, 2)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	r := start(t, dir, toStdout, Options{Stdout: &safeBuffer{}})
	publish(t, r, "x", "")
	for position, want := range map[uint64]string{
		2: before.Hash[:8] + " old", 3: between.Hash[:8] + " new", 5: r.config.Hash[:8] + " out",
	} {
		if got := routedBy(t, r, position); got != want {
			t.Errorf("event %d went by %s, want %s", position, got, want)
		}
	}
}

// The module of the old configuration is kept as well.
func TestCutOffPluginRunsAsBefore(t *testing.T) {
	dir := t.TempDir()
	wasm := plugintest.BuildGo(t, filepath.Join("..", "examples", "plugins", "github-slack"))
	before := parse(t, dir, oldRoutes)
	p := &config.Plugin{Name: "p", Wasm: wasm, SHA256: fmt.Sprintf("%x", sha256.Sum256(wasm)), Config: []byte("null"), Memory: 32 << 20, Deadline: time.Minute, OnError: config.OnErrorDead}
	before.Plugins = append(before.Plugins, p)
	before.Routes[0].Through = append(before.Routes[0].Through, p)
	before.Hash = strings.Repeat("a", 64)
	cutOff(t, before, 1)
	r := start(t, dir, newRoutes, Options{Stdout: &safeBuffer{}})
	routedBy(t, r, 1)
	got, err := r.store.Routing(context.Background(), 1)
	if err != nil || got.Config != before.Hash || len(got.Matches) != 1 || len(got.Matches[0].Plugins) != 1 || got.Matches[0].Plugins[0].Build != p.SHA256 {
		t.Fatalf("routed as %+v, %v", got, err)
	}
}

func TestRoutingSurvivesItsEncoding(t *testing.T) {
	c := parse(t, t.TempDir(), `
source "shop" {
}
destination "a" {
  url    = "stdout:"
  format = "raw"
}
route "one" {
  from     = [source.shop]
  events   = ["order.*", "x"]
  when     = event.data["2fa"] > 100 && lower(event.type) == "order.paid"
  to       = [destination.a]
}
route "two" {
  fallback = true
  to       = [destination.a]
}
`)
	b, err := c.MarshalRouting([]byte("salt"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.UnmarshalRouting(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Hash != c.Hash || got.Destinations[0].Format != config.FormatRaw || !sameRoute(got.Routes[0], c.Routes[0]) || !sameRoute(got.Routes[1], c.Routes[1]) {
		t.Errorf("%s came back as %+v", b, got)
	}
	again, err := got.MarshalRouting([]byte("salt"))
	if err != nil || string(again) != string(b) {
		t.Errorf("encoded again: %s, %v", again, err)
	}
	if _, err := config.UnmarshalRouting([]byte(strings.Replace(string(b), "lower(", "env(", 1)), nil); err == nil {
		t.Error("a condition that is none was taken")
	}
}

// A reload that was taken back, and then a crash: each stretch goes by what it
// went by, although the first configuration is in force again.
func TestCutOffBetweenTheSame(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	a, b := parse(t, dir, oldRoutes), parse(t, dir, newRoutes)
	st, err := badger.Open(ctx, badger.Options{Path: a.Store.Path})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*config.Config{a, b, a} {
		begin(t, st, c, st.Last())
		appendEvents(t, st, 2)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	restarted := start(t, dir, oldRoutes, Options{Stdout: &safeBuffer{}})
	// Another reload waits until those are decided.
	c := parse(t, dir, toStdout)
	if _, err := restarted.Reload(ctx, c, true); err != nil {
		t.Fatal(err)
	}
	publish(t, restarted, "x", "")
	for i, want := range []string{"old", "old", "new", "new", "old", "old", "out"} {
		hash := map[string]string{"old": a.Hash, "new": b.Hash, "out": c.Hash}[want]
		if got := routedBy(t, restarted, uint64(i+1)); got != hash[:8]+" "+want {
			t.Errorf("event %d went by %s, want %s %s", i+1, got, hash[:8], want)
		}
	}
}

// The clock was an hour ahead, was put right, and the router is started again:
// events, which are never received before those before them, are sent all the
// same, with a first delay and without.
func TestClockWasAhead(t *testing.T) {
	for _, schedule := range []string{"0s", "1s"} {
		dir := t.TempDir()
		routes := strings.Replace(newRoutes, `url = "stdout:"`, "url = \"stdout:\"\n  retry {\n    schedule = [\""+schedule+"\"]\n  }", 1)
		c := parse(t, dir, routes)
		ctx := context.Background()
		st, err := badger.Open(ctx, badger.Options{Path: c.Store.Path})
		if err != nil {
			t.Fatal(err)
		}
		ahead := time.Now().Add(time.Hour)
		if _, err := st.Commit(ctx, &store.Record{Events: []store.NewEvent{{Event: &event.Event{
			ID: event.NewID(ahead), Type: "x", Source: "events", Time: ahead, Received: ahead, ContentType: "application/json", Data: []byte(`{"n":1}`),
		}}}}); err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		r := start(t, dir, routes, Options{Stdout: &safeBuffer{}})
		publish(t, r, "x", "")
		await(t, "both deliveries", func() bool {
			l, err := r.store.Lane(ctx, "new")
			return err == nil && l.Counts.Delivered == 2
		})
	}
}
