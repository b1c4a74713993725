package webhook

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/storetest"
)

// noLanes is told of webhooks, and sends nothing.
type noLanes struct{}

func (noLanes) Open(context.Context, *Webhook) error { return nil }
func (noLanes) Changed(*Webhook)                     {}
func (noLanes) Deleted(*Webhook)                     {}

// office is a registry on a store with a clock.
type office struct {
	*testing.T
	*Registry
	system storetest.System
	store  store.Store
	index  *routing.Webhooks
	now    time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	system, err := storetest.NewMemory()()
	if err != nil {
		t.Fatal(err)
	}
	o := &office{T: t, system: system, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	o.open(1)
	return o
}

// open opens all, again after a crash, with keys of which the first one seals.
func (o *office) open(keys ...byte) {
	o.Helper()
	ctx := context.Background()
	if err := o.system.Crash(ctx); err != nil {
		o.Fatal(err)
	}
	var err error
	clock := func() time.Time { return o.now }
	if o.store, err = o.system.Open(ctx, storetest.Options{Retention: time.Hour, MaxAge: 10 * time.Hour, DeadAge: 10 * time.Hour, Now: clock}); err != nil {
		o.Fatal(err)
	}
	var list [][]byte
	for _, k := range keys {
		list = append(list, bytes.Repeat([]byte{k}, 32))
	}
	ring, err := NewKeyring(list...)
	if err != nil {
		o.Fatal(err)
	}
	o.index = &routing.Webhooks{}
	o.Registry, err = Open(ctx, o.store, o.index, Options{
		Keyring: ring, Past: ring, Lanes: noLanes{}, Now: clock,
		Changes: func(change func(uint64) error) error { return change(o.store.Last()) },
		Rules:   func() Rules { return Rules{Limit: 10, Format: "envelope"} },
	})
	if err != nil {
		o.Fatal(err)
	}
	o.step = 8
	if _, err := o.Reseal(ctx); err != nil {
		o.Fatal(err)
	}
}

// event stores one and routes it; dead keeps it aside. It returns its position.
func (o *office) event(dead bool) uint64 {
	o.Helper()
	e := &event.Event{ID: event.NewID(o.now), Type: "x", Source: "events", Time: o.now, Received: o.now, Data: []byte("1")}
	r, err := o.store.Commit(context.Background(), &store.Record{Events: []store.NewEvent{{Event: e}}})
	if err != nil {
		o.Fatal(err)
	}
	to := &store.Routing{Position: r.Events[0].Position}
	if dead {
		to.Matches = []store.Match{{Route: "r"}}
		to.Deliveries = []store.Delivery{{Lane: "d", Content: -1, Dead: store.ReasonRouting, Error: "it failed"}}
	}
	if _, err := o.store.Commit(context.Background(), &store.Record{Routings: []*store.Routing{to}}); err != nil {
		o.Fatal(err)
	}
	return to.Position
}

func (o *office) filter(id, text string) {
	o.Helper()
	if _, err := o.Update(context.Background(), id, "", &Fields{Filter: &text}); err != nil {
		o.Fatal(err)
	}
}

func (o *office) register() string {
	o.Helper()
	address := "https://example.com/a"
	rules := o.o.Rules
	o.o.Rules = func() Rules {
		r := rules()
		r.CheckURL = func(context.Context, *url.URL) error { return nil }
		return r
	}
	w, _, err := o.Create(context.Background(), &Fields{URL: &address, Events: []string{"*"}})
	if err != nil {
		o.Fatal(err)
	}
	return w.ID
}

// took is the filter of a webhook for the event at a position, or why there is none.
func (o *office) took(id string, position, version uint64) string {
	o.Helper()
	rule, why, err := o.Took(context.Background(), &event.Event{Position: position, Received: o.now}, id, version)
	if err != nil {
		o.Fatal(err)
	}
	if rule == nil {
		return "none: " + why
	}
	return fmt.Sprint(rule.Version)
}

func (o *office) documents(kind string) int {
	o.Helper()
	docs, err := o.store.Documents(context.Background(), kind)
	if err != nil {
		o.Fatal(err)
	}
	for _, d := range docs {
		if bytes.Contains(d.Value, []byte("event.data")) && kind != Kind {
			o.Errorf("%s %s is in the clear", d.Kind, d.Name)
		}
	}
	return len(docs)
}

// What a webhook took is known of each event, however often it was changed, and
// neither its document nor routing has more for it.
func TestEveryVersionIsKnown(t *testing.T) {
	o := newOffice(t)
	o.event(false)
	id, other := o.register(), o.register()
	const changes = 30 // more than are looked at together
	var at [changes]uint64
	for i := range changes {
		at[i] = o.event(false)
		o.filter(id, fmt.Sprintf("event.data.a == %d", i))
		o.filter(id, fmt.Sprintf("event.data.b == %d", i)) // no event comes in between
	}
	w, err := o.Get(id)
	if err != nil || len(w.Rules) > 2 {
		t.Fatalf("its document has %d rules, %v", len(w.Rules), err)
	}
	if n := o.documents(kindPast); n != changes {
		t.Errorf("%d versions are kept", n)
	}
	check := func() {
		t.Helper()
		for i, position := range at {
			if got, want := o.took(id, position, 0), fmt.Sprint(max(1, 2*i+1)); got != want {
				t.Fatalf("event %d was taken by version %s, want %s", position, got, want)
			}
		}
		if got := o.took(id, 1, 0); !strings.HasPrefix(got, "none") {
			t.Errorf("an event before it was taken by %s", got)
		}
		if got := o.took(other, at[9], 0); got != "1" {
			t.Errorf("another one is of version %s", got)
		}
	}
	check()
	o.open(1)
	check()
	o.open(2, 1) // sealed anew, so that the key before can go
	o.open(2)
	check()
	if _, err := o.Delete(context.Background(), id, ""); err != nil {
		t.Fatal(err)
	}
	o.event(false)
	if err := o.Bury(context.Background(), o.Gone()[0]); err != nil {
		t.Fatal(err)
	}
	check()
	if got := o.took(id, o.store.Last(), 0); got != "none: the webhook was deleted" {
		t.Error(got)
	}
	if got := o.took("wh_00000000000000000000000000", 3, 0); got != "none: " {
		t.Errorf("one that there never was: %q", got)
	}
	o.o.Past = nil
	if got := o.took(id, at[5], 0); !strings.Contains(got, "no key") {
		t.Errorf("without a key: %q", got)
	}
}

// A version goes with the last event that it routed, and one that may have routed
// older events again with the last of those.
func TestVersionsGoWithTheirEvents(t *testing.T) {
	o := newOffice(t)
	id := o.register()
	prune := func(age time.Duration, past, again int) {
		t.Helper()
		o.now = o.now.Add(age)
		if _, err := o.store.Expire(context.Background(), o.now); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Prune(context.Background()); err != nil {
			t.Fatal(err)
		}
		if p, a := o.documents(kindPast), o.documents(kindAgain); p != past || a != again {
			t.Errorf("%d and %d versions are kept, want %d and %d", p, a, past, again)
		}
	}
	o.event(true)
	o.filter(id, "event.data.a == 1")
	o.event(false)
	o.filter(id, "event.data.a == 2")
	o.event(false)
	o.event(false)
	o.filter(id, "event.data.a == 3")
	prune(0, 2, 0) // the third one is in the document
	o.filter(id, "event.data.a == 4")
	prune(0, 3, 0)
	prune(30*time.Minute, 3, 0)
	o.event(false)
	prune(time.Hour, 1, 0) // the first event is kept aside
	if got := o.took(id, 1, 0); got != "1" {
		t.Errorf("it took the first event by %s", got)
	}
	o.open(1) // what routed before a start may have routed again
	o.filter(id, "event.data.a == 5")
	prune(0, 1, 1)
	if got := o.took(id, 1, 5); got != "5" {
		t.Errorf("it took the first event again by %s", got)
	}
	if got := o.took(id, 1, 4); !strings.HasPrefix(got, "none: what the webhook took when") {
		t.Errorf("one that was not kept: %s", got)
	}
	prune(11*time.Hour, 0, 0)
}

// Documents of before rules had versions are read on.
func TestDocumentsWithoutVersions(t *testing.T) {
	w, err := decode("wh_a", []byte(`{"id":"wh_a","revision":9,"rules":[{"from":3,"events":["*"]},{"from":5,"events":["a"]},{"from":7,"events":["b"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range w.Rules {
		if r.Version != uint64(7+i) {
			t.Errorf("rule %d is of version %d", i, r.Version)
		}
	}
	rule := *w.Rule()
	rule.Events = []string{"c"}
	n, past := w.next(20, 18, time.Time{}, rule)
	if len(past) != 2 || past[1].From != 5 || past[1].Last != 6 || n.Rule().Version != 10 || len(n.Rules) != 2 {
		t.Errorf("%+v, then %+v", past, n.Rules)
	}
}
