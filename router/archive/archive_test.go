package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/archive"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/storetest"
	"github.com/weirhq/weir/router/webhook"
)

// bench is a store with a clock, and the archive in it.
type bench struct {
	*testing.T
	system storetest.System
	store  store.Store
	now    time.Time
	*archive.Archive
}

func newBench(t *testing.T, keys archive.Sealer) *bench {
	t.Helper()
	system, err := storetest.NewMemory()()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, system: system, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	b.open(keys)
	return b
}

// open opens the store, again after a crash.
func (b *bench) open(keys archive.Sealer) {
	b.Helper()
	ctx := context.Background()
	if err := b.system.Crash(ctx); err != nil {
		b.Fatal(err)
	}
	st, err := b.system.Open(ctx, storetest.Options{Retention: time.Hour, MaxAge: 10 * time.Hour, DeadAge: 10 * time.Hour, Now: func() time.Time { return b.now }})
	if err != nil {
		b.Fatal(err)
	}
	b.store = st
	if b.Archive, err = archive.Open(ctx, st, keys); err != nil {
		b.Fatal(err)
	}
}

// route appends n events and routes them; the last one's delivery stays dead where
// that is asked for.
func (b *bench) route(n int, dead bool) {
	b.Helper()
	for i := range n {
		e := &event.Event{ID: event.NewID(b.now), Type: "x", Source: "events", Time: b.now, Received: b.now, Data: []byte("1")}
		r, err := b.store.Commit(context.Background(), &store.Record{Events: []store.NewEvent{{Event: e}}})
		if err != nil {
			b.Fatal(err)
		}
		routing := &store.Routing{Position: r.Events[0].Position}
		if dead && i == n-1 {
			routing.Matches = []store.Match{{Route: "r"}}
			routing.Deliveries = []store.Delivery{{Lane: "d", Content: -1, Dead: store.ReasonRouting, Error: "it failed"}}
		}
		if _, err := b.store.Commit(context.Background(), &store.Record{Routings: []*store.Routing{routing}}); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) begin(c *config.Config) {
	b.Helper()
	if err := b.Begin(context.Background(), c, b.store.Last()); err != nil {
		b.Fatal(err)
	}
}

// age lets time pass and applies retention.
func (b *bench) age(d time.Duration) {
	b.Helper()
	b.now = b.now.Add(d)
	if _, err := b.store.Expire(context.Background(), b.now); err != nil {
		b.Fatal(err)
	}
	if _, err := b.Prune(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// epochs are the epochs in short: name, from and until.
func (b *bench) epochs() string {
	var s []string
	for _, e := range b.Epochs() {
		s = append(s, fmt.Sprintf("%s %d-%d", e.Hash, e.From, e.Until))
	}
	return strings.Join(s, ", ")
}

func (b *bench) want(epochs string) {
	b.Helper()
	if got := b.epochs(); got != epochs {
		b.Errorf("the epochs are %s, want %s", got, epochs)
	}
}

// documents is what of the archive is in the store.
func (b *bench) documents(kind string) []store.Document {
	b.Helper()
	docs, err := b.store.Documents(context.Background(), kind)
	if err != nil {
		b.Fatal(err)
	}
	return docs
}

// made is a configuration with a plugin of its own, whose config has a secret.
func made(name string, wasm []byte) *config.Config {
	c := &config.Config{Hash: name, Destinations: []*config.Destination{{Name: "d", Secret: "whsec-of-the-destination"}}}
	if wasm != nil {
		c.Plugins = []*config.Plugin{{Name: "p", Wasm: wasm, SHA256: fmt.Sprintf("%x", sha256.Sum256(wasm)), Config: []byte(`{"token":"hush-hush"}`), OnError: config.OnErrorDead}}
	}
	return c
}

func ring(t *testing.T, keys ...byte) *webhook.Keyring {
	t.Helper()
	var list [][]byte
	for _, k := range keys {
		list = append(list, bytes.Repeat([]byte{k}, 32))
	}
	k, err := webhook.NewKeyring(list...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Past the room for modules the oldest configurations go before their events, with what
// only they need, and never the one that runs.
func TestRoomForModules(t *testing.T) {
	b := newBench(t, ring(t, 1))
	random := func(n int) []byte { // what does not compress
		wasm := make([]byte, n)
		rnd := rand.New(rand.NewPCG(uint64(n), 1))
		for i := range wasm {
			wasm[i] = byte(rnd.Uint32())
		}
		return wasm
	}
	b.SetRoom(4 << 20)
	for i := range 4 {
		b.begin(made(fmt.Sprint("c", i), random(1<<20+i)))
		b.route(1, false)
	}
	b.want("c1 2-2, c2 3-3, c3 4-0")
	if _, err := b.Find(1, "c0"); !errors.Is(err, archive.ErrLost) || !strings.Contains(err.Error(), "512 MiB") {
		t.Errorf("what became of the oldest is told as %v", err)
	}
	id, err := b.Find(2, "c1")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := b.Config(context.Background(), id); err != nil || len(c.Plugins[0].Wasm) != 1<<20+1 {
		t.Errorf("the next one is not there: %v", err)
	}
	b.begin(made("large", random(5<<20)))
	b.route(1, false)
	b.want("large 5-0")
	if n := len(b.documents("archive.config")); n != 1 {
		t.Errorf("%d configurations are kept", n)
	}
}

// Each epoch stays as long as one of its events, kept aside or not, and takes its
// configuration and module with it.
func TestKeptAsLongAsAnEvent(t *testing.T) {
	b := newBench(t, ring(t, 1))
	b.begin(made("a", []byte("module a")))
	b.route(2, false)
	b.begin(made("b", []byte("module b")))
	b.route(2, true)
	b.begin(made("c", nil)) // it routes nothing
	b.begin(made("d", []byte("module d")))
	b.route(1, false)
	b.want("a 1-2, b 3-4, d 5-0")
	for position, hash := range map[uint64]string{1: "a", 4: "b", 5: "d"} {
		id, err := b.Find(position, hash)
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.Config(t.Context(), id)
		if err != nil || c.Hash != hash || string(c.Plugins[0].Wasm) != "module "+hash || string(c.Plugins[0].Config) != `{"token":"hush-hush"}` {
			t.Errorf("position %d: %+v, %v", position, c, err)
		}
	}
	if _, err := b.Find(1, "c"); !errors.Is(err, archive.ErrLost) {
		t.Errorf("one that routed nothing: %v", err)
	}
	b.age(2 * time.Hour)
	b.want("b 3-4, d 5-0")
	if n, m := len(b.documents("archive.config")), len(b.documents("archive.module")); n != 2 || m != 2 {
		t.Errorf("%d configurations and %d pieces are kept, want 2 and 2", n, m)
	}
	b.age(20 * time.Hour)
	b.want("d 5-0")
}

// A clean stop ends the epoch, and the same configuration goes on with it.
func TestEpochGoesOn(t *testing.T) {
	b := newBench(t, nil)
	a := made("a", nil)
	b.begin(a)
	b.route(2, false)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.want("a 1-2")
	if archive.Running(b.Epochs()) {
		t.Error("it runs after a clean stop")
	}
	b.open(nil)
	b.begin(a)
	b.want("a 1-0")
	b.open(nil) // killed
	if !archive.Running(b.Epochs()) {
		t.Error("what a crash has cut off does not run")
	}
	b.begin(made("b", nil))
	b.want("a 1-2, b 3-0")
	// It has routed nothing but older events again.
	b.RoutedAgain()
	b.begin(made("c", nil))
	b.want("a 1-2, b 3-2, c 3-0")
	if id, err := b.Find(1, "b"); err != nil || id == "" {
		t.Errorf("the one that routed again: %v", err)
	}
	b.route(1, false)
	b.age(2 * time.Hour)
	b.want("c 3-0")
}

// Nothing of it can be read without the key, nor moved, and a new key takes over.
func TestSealed(t *testing.T) {
	large := make([]byte, 5<<20) // several pieces, which don't compress
	for i := range large {
		large[i] = byte(rand.N(256))
	}
	b := newBench(t, ring(t, 1))
	b.begin(made("a", large))
	b.route(1, false)
	for _, kind := range []string{"archive", "archive.config", "archive.module"} {
		docs := b.documents(kind)
		if kind == "archive.module" && len(docs) < 3 {
			t.Errorf("%d pieces", len(docs))
		}
		for _, d := range docs {
			for _, secret := range [][]byte{[]byte("hush-hush"), []byte("whsec"), large[:32]} {
				if bytes.Contains(d.Value, secret) {
					t.Errorf("%s %s has %q", kind, d.Name, secret)
				}
			}
		}
	}
	id, _ := b.Find(1, "a")
	b.open(ring(t, 2))
	if _, err := b.Config(t.Context(), id); !errors.Is(err, webhook.ErrKey) {
		t.Errorf("opened with another key: %v", err)
	}
	// The new key takes over what the old one opens, and the old one can go.
	b.open(ring(t, 2, 1))
	b.begin(made("b", []byte("module b")))
	b.route(1, false)
	b.open(ring(t, 2))
	c, err := b.Config(t.Context(), id)
	if err != nil || !bytes.Equal(c.Plugins[0].Wasm, large) {
		t.Errorf("with the new key: %v", err)
	}
	// One of another configuration in its place.
	docs := b.documents("archive.config")
	i := slices.IndexFunc(docs, func(d store.Document) bool { return d.Name != id })
	docs[i].Name = id
	if _, err := b.store.Commit(t.Context(), &store.Record{Documents: docs[i : i+1]}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Config(t.Context(), id); !errors.Is(err, webhook.ErrKey) {
		t.Errorf("a document was taken for another: %v", err)
	}
}

// cut is a store that is gone after so many commits.
type cut struct {
	store.Store
	left int
}

var errCut = errors.New("it is cut off")

func (c *cut) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	if c.left == 0 {
		return store.Result{}, errCut
	}
	c.left--
	return c.Store.Commit(ctx, r)
}

// Wherever a crash cuts off the first start, the next one keeps the module whole.
func TestCutOffWhileKept(t *testing.T) {
	a := made("a", []byte("module a"))
	for commits, done := 0, false; !done; commits++ {
		b := newBench(t, ring(t, 1))
		first, err := archive.Open(t.Context(), &cut{b.store, commits}, ring(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		err = first.Begin(t.Context(), a, 0)
		if done = err == nil; !done && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		b.open(ring(t, 1))
		b.begin(a)
		b.route(1, false)
		id, err := b.Find(1, "a")
		if err != nil {
			t.Fatal(err)
		}
		if c, err := b.Config(t.Context(), id); err != nil || string(c.Plugins[0].Wasm) != "module a" {
			t.Errorf("cut off after %d commits: %v", commits, err)
		}
	}
}

// A key that is lost costs explanations of the past, and nothing else.
func TestKeyIsLost(t *testing.T) {
	b := newBench(t, ring(t, 1))
	a := made("a", []byte("module a"))
	b.begin(a)
	b.route(1, false)
	b.open(ring(t, 2))
	b.begin(a)
	id, err := b.Find(1, "a")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := b.Config(t.Context(), id); err != nil || string(c.Plugins[0].Wasm) != "module a" {
		t.Errorf("what runs is not kept with the new key: %v", err)
	}
	if n := len(b.documents("archive.module")); n != 1 {
		t.Errorf("%d pieces are kept, want 1", n)
	}
}

func TestChangedSecrets(t *testing.T) {
	b := newBench(t, ring(t, 1))
	a := made("a", nil)
	b.begin(a)
	b.route(1, false)
	id, _ := b.Find(1, "a")
	if changed, err := b.ChangedSecrets(t.Context(), id, a); err != nil || len(changed) != 0 {
		t.Errorf("%v, %v", changed, err)
	}
	rotated := made("a", nil)
	rotated.Destinations[0].Secret = "another"
	if changed, err := b.ChangedSecrets(t.Context(), id, rotated); err != nil || len(changed) != 1 || changed[0] != "d" {
		t.Errorf("%v, %v", changed, err)
	}
	b.begin(rotated)
	b.route(1, false)
	if other, err := b.Find(2, "a"); err != nil || other == id {
		t.Errorf("another secret is the same configuration: %v", err)
	}
	if again, err := b.Find(1, "a"); err != nil || again != id {
		t.Errorf("the first one is %s now, %v", again, err)
	}
}

// unread is a store whose disk fails for one kind of documents.
type unread struct {
	store.Store
	kind string
}

func (u *unread) Document(ctx context.Context, kind, name string) ([]byte, error) {
	if kind == u.kind {
		return nil, errCut
	}
	return u.Store.Document(ctx, kind, name)
}

// What can't be read now is not left behind with a key that is going.
func TestUnreadIsNotLeftBehind(t *testing.T) {
	for _, kind := range []string{"archive.config", "archive.module"} {
		b := newBench(t, ring(t, 1))
		b.begin(made("a", []byte("module a")))
		b.route(1, false)
		failing, err := archive.Open(t.Context(), &unread{b.store, kind}, ring(t, 2, 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := failing.Begin(t.Context(), made("b", []byte("module b")), b.store.Last()); !errors.Is(err, errCut) {
			t.Errorf("%s: %v", kind, err)
		}
		b.open(ring(t, 2, 1))
		b.begin(made("b", []byte("module b")))
		b.open(ring(t, 2)) // the old key is gone
		id, err := b.Find(1, "a")
		if err != nil {
			t.Fatal(err)
		}
		if c, err := b.Config(t.Context(), id); err != nil || string(c.Plugins[0].Wasm) != "module a" {
			t.Errorf("%s: with the new key: %v", kind, err)
		}
	}
}
