package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Cases are all cases, by the number of the invariant that they show.
func Cases() []Case {
	return []Case{
		{"1 durable: a commit survives a crash", durable},
		{"2 atomic: a record survives a crash whole", atomicCrash},
		{"2 atomic: a refused record leaves nothing", atomicRefused},
		{"2 atomic: a refused record spoils no other", atomicNeighbours},
		{"3 log: positions are dense", logDense},
		{"3 log: received never decreases", logReceived},
		{"3 log: an event comes back as it was", logFaithful},
		{"3 log: data is lent for a commit only", logLent},
		{"3 log: large events come back", logLarge},
		{"3 log: waiting for the next event", logWait},
		{"4 ids: an id is stored once", idsOnce},
		{"4 ids: the window outlives a restart and ends", idsWindow},
		{"4 ids: sources and scopes are apart", idsApart},
		{"4 ids: an alias is a second id", idsAlias},
		{"4 ids: events are found by id", idsFound},
		{"5 progress: in order, each position once", progressOrder},
		{"5 progress: a further routing appends", progressAgain},
		{"5 progress: one event to 10,000 lanes", progressWide},
		{"5 progress: a routing comes back as it was", progressFaithful},
		{"6 postings: in order, until settled", postingsSettled},
		{"6 postings: from a reference, up to a number", postingsPaged},
		{"7 states: one at a time", statesMove},
		{"7 states: the prior one must be true", statesChecked},
		{"7 states: counts are what listing finds", statesCounted},
		{"7 states: attempts are kept", statesAttempts},
		{"7 states: all that an event led to", statesOfEvent},
		{"7 states: responses of all that an event led to are bounded", statesOfEventBodies},
		{"8 retries: by due time, finished ones gone", retriesDue},
		{"8 retries: from a place on, with their keys", retriesFrom},
		{"8 retries: the oldest that is unfinished", oldest},
		{"9 cursor: never goes back", cursorForward},
		{"9 cursor: settles nothing without an outcome", cursorHonest},
		{"10 idle: a lane without postings has no row", idleFree},
		{"11 retention: takes what is finished, with its indexes", retentionTakes},
		{"11 retention: keeps what is unfinished", retentionKeeps},
		{"11 retention: ages end deliveries and dead letters", retentionAges},
		{"lists: filters and pages of events", listEvents},
		{"lists: searches of events and their pages", searchEvents},
		{"lists: filters and pages of deliveries", listDeliveries},
		{"lists: bad pages are refused", listRefused},
		{"documents", documents},
		{"full: events are refused, other records are not", full},
		{"closed: nothing is taken", closed},
		{"invalid records are refused", invalid},
	}
}

func durable(ctx context.Context, e *Env) error {
	for i := range 5 {
		if err := e.post(ctx, 1, "a"); err != nil {
			return err
		}
		if i%2 == 1 {
			n := uint64(i + 1)
			if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(n + 1)}, e.delivered(at(n-1)), e.retrying(at(n), time.Hour)); err != nil {
				return err
			}
		}
		if err := e.Crash(ctx); err != nil {
			return err
		}
		if err := all(
			equal("last", e.Store.Last(), uint64(i+1)),
			equal("progress", e.Store.Progress(), uint64(i+1)),
			e.wantCountsListed(ctx),
		); err != nil {
			return err
		}
		if i%2 == 1 {
			if err := all(e.wantPostings(ctx, "a", 0, 10), e.wantState(ctx, at(uint64(i)), store.Delivered, 1), e.wantState(ctx, at(uint64(i+1)), store.Retrying, 1)); err != nil {
				return err
			}
		}
	}
	return nil
}

func atomicCrash(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 2, "a"); err != nil {
		return err
	}
	r := &store.Record{
		Events:    []store.NewEvent{{Event: e.Event("t")}},
		Routings:  []*store.Routing{routing(3, "a", "b")},
		Outcomes:  []store.LaneOutcomes{{Lane: "a", Outcomes: []store.Outcome{e.delivered(at(1))}, Cursor: &store.Cursor{Low: at(2)}}},
		Documents: []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}},
	}
	if _, err := e.commit(ctx, r); err != nil {
		return err
	}
	if err := e.Crash(ctx); err != nil {
		return err
	}
	doc, err := e.Store.Document(ctx, "k", "n")
	if err != nil {
		return fmt.Errorf("the record's document: %w", err)
	}
	return all(
		equal("document", string(doc), "v"),
		equal("last", e.Store.Last(), 3), equal("progress", e.Store.Progress(), 3),
		e.wantPostings(ctx, "a", 0, 10, 2, 3), e.wantPostings(ctx, "b", 0, 10, 3),
		e.wantState(ctx, at(1), store.Delivered, 1),
	)
}

func atomicRefused(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 2, "a"); err != nil {
		return err
	}
	r := &store.Record{
		Events:    []store.NewEvent{{Event: e.Event("t")}, {Event: e.Given("refused", "s"), Dedupe: time.Hour}},
		Routings:  []*store.Routing{routing(3, "a", "new")},
		Documents: []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}},
		Outcomes: []store.LaneOutcomes{
			{Lane: "a", Outcomes: []store.Outcome{e.delivered(at(1))}, Cursor: &store.Cursor{Low: at(2)}},
			{Lane: "a", Outcomes: []store.Outcome{e.dead(at(2), store.Retrying)}},
		},
	}
	_, err := e.commit(ctx, r)
	check := func() error {
		_, docErr := e.Store.Document(ctx, "k", "n")
		_, eventErr := e.Store.Event(ctx, 3)
		_, idErr := e.Store.FindEvent(ctx, "refused", "")
		lanes, lanesErr := e.Store.Lanes(ctx)
		return all(
			equal("last", e.Store.Last(), 2), equal("progress", e.Store.Progress(), 2),
			wantErr("document", docErr, store.ErrNotFound), wantErr("event", eventErr, store.ErrNotFound),
			wantErr("id", idErr, store.ErrNotFound),
			lanesErr, equal("number of lanes", len(lanes), 1),
			e.wantPostings(ctx, "a", 0, 10, 1, 2), e.wantState(ctx, at(1), store.Waiting, 0),
		)
	}
	if err := all(wantErr("commit", err, store.ErrOutOfOrder), check()); err != nil {
		return err
	}
	if err := e.Crash(ctx); err != nil {
		return err
	}
	if err := check(); err != nil {
		return err
	}
	if err := e.append(ctx, 1, "t"); err != nil {
		return err
	}
	return equal("last", e.Store.Last(), 3)
}

// atomicNeighbours commits good and bad records at once, which a store may put
// into one group.
func atomicNeighbours(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 1, "a"); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, 60)
	for i := range errs {
		wg.Go(func() {
			r := &store.Record{Events: []store.NewEvent{{Event: e.Event("n")}}, Documents: []store.Document{{Kind: "k", Name: fmt.Sprint(i), Value: []byte("v")}}}
			if i%3 == 0 {
				r.Outcomes = []store.LaneOutcomes{{Lane: "a", Cursor: &store.Cursor{Low: at(100)}}}
			}
			_, errs[i] = e.commit(ctx, r)
		})
	}
	wg.Wait()
	for i, err := range errs {
		_, docErr := e.Store.Document(ctx, "k", fmt.Sprint(i))
		if i%3 == 0 {
			if err := all(wantErr("a bad record", err, store.ErrOutOfOrder), wantErr("its document", docErr, store.ErrNotFound)); err != nil {
				return err
			}
		} else if err := all(err, docErr); err != nil {
			return fmt.Errorf("a good record beside bad ones: %w", err)
		}
	}
	events, err := e.Store.Events(ctx, 1, 1000)
	if err != nil {
		return err
	}
	return all(equal("events", len(events), 41), equal("last", e.Store.Last(), 41), e.wantPostings(ctx, "a", 0, 10, 1))
}

func logDense(ctx context.Context, e *Env) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[uint64]string{}
	var failed error
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				r := &store.Record{Events: []store.NewEvent{
					{Event: e.Event("t")}, {Event: e.Given(fmt.Sprintf("id-%d", i), "s"), Dedupe: time.Hour}, {Event: e.Given(fmt.Sprintf("id-%d-%d", g, i), "s"), Dedupe: time.Hour},
				}}
				res, err := e.commit(ctx, r)
				mu.Lock()
				if err != nil {
					failed = err
				}
				for _, a := range res.Events {
					if old, twice := seen[a.Position]; twice && !a.Duplicate && old != a.ID {
						failed = fmt.Errorf("position %d was given to %s and %s", a.Position, old, a.ID)
					}
					seen[a.Position] = a.ID
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	const want = 8*20*2 + 20
	check := func() error {
		if err := equal("last", e.Store.Last(), want); err != nil {
			return err
		}
		next := uint64(1)
		for next <= want {
			events, err := e.Store.Events(ctx, next, 50)
			if err != nil {
				return err
			}
			if len(events) == 0 {
				return fmt.Errorf("no event at %d", next)
			}
			for _, ev := range events {
				if ev.Position != next || ev.ID != seen[next] {
					return fmt.Errorf("at %d is event %s of position %d, want %s", next, ev.ID, ev.Position, seen[next])
				}
				if p, ok := event.PositionOf(ev.ID); !ev.Given && (!ok || p != next) {
					return fmt.Errorf("the id %s does not say its position %d", ev.ID, next)
				}
				next++
			}
		}
		return nil
	}
	return all(check(), e.Reopen(ctx), check())
}

func logReceived(ctx context.Context, e *Env) error {
	for _, d := range []time.Duration{time.Hour, -2 * time.Hour, time.Minute, 3 * time.Hour, -time.Hour} {
		e.Pass(d)
		if err := e.append(ctx, 2, "t"); err != nil {
			return err
		}
	}
	if err := e.Reopen(ctx); err != nil {
		return err
	}
	e.Pass(-5 * time.Hour)
	if err := e.append(ctx, 1, "t"); err != nil {
		return err
	}
	events, err := e.Store.Events(ctx, 1, 100)
	if err != nil {
		return err
	}
	if err := equal("events", len(events), 11); err != nil {
		return err
	}
	for i := 1; i < len(events); i++ {
		if events[i].Received.Before(events[i-1].Received) {
			return fmt.Errorf("position %d was received before position %d", i+1, i)
		}
	}
	return nil
}

func logFaithful(ctx context.Context, e *Env) error {
	ev := &event.Event{
		ID: "given:1", OriginID: "öther id", Given: true, Scope: "/scope", Type: "a.b", Source: "s",
		Subject: "sub", Tenant: "ten", Time: time.Date(1, 1, 1, 0, 0, 1, 5, time.UTC), Received: e.Now().Add(7),
		ContentType: "text/plain", Header: []event.Field{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}},
		Data: []byte("d\x00ta"), Cause: "evt_x", Hops: 3,
	}
	bare := &event.Event{ID: event.NewID(e.Now()), Type: "t", Source: "s", Time: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), Received: e.Now().Add(8)}
	res, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: ev, Dedupe: time.Hour}, {Event: bare}}})
	if err != nil {
		return err
	}
	for i, want := range []*event.Event{ev, bare} {
		c := *want
		c.Position, c.ID = uint64(i+1), res.Events[i].ID
		if c.Data == nil {
			c.Data = []byte{}
		}
		for range 2 {
			got, err := e.Store.Event(ctx, c.Position)
			if err != nil {
				return err
			}
			g := *got
			if g.Data == nil {
				g.Data = []byte{}
			}
			if !reflect.DeepEqual(g, c) {
				return fmt.Errorf("event %d: got %+v, want %+v", i+1, g, c)
			}
			if err := e.Reopen(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func logLent(ctx context.Context, e *Env) error {
	lent := []byte("data of a request")
	for _, id := range []string{"accepted", "duplicate", "duplicate"} {
		ev := e.Given(id, "s")
		ev.Data = lent
		if _, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: ev, Dedupe: time.Hour}}}); err != nil {
			return err
		}
		for i := range lent { // the server reads the next request
			lent[i]++
		}
	}
	want := []string{"data of a request", "ebub!pg!b!sfrvftu"}
	for range 2 {
		events, err := e.Store.Events(ctx, 1, 10)
		if err != nil {
			return err
		}
		if err := equal("events", len(events), len(want)); err != nil {
			return err
		}
		for i, ev := range events {
			if string(ev.Data) != want[i] {
				return fmt.Errorf("event %d has the data %q, want %q: it was written over after the commit", i+1, ev.Data, want[i])
			}
		}
		if err := e.Reopen(ctx); err != nil {
			return err
		}
	}
	return nil
}

func logLarge(ctx context.Context, e *Env) error {
	sizes := []int{0, 1, 524287, 524288, 524289, 1 << 20, 3<<20 + 5}
	for _, n := range sizes {
		ev := e.Event("large")
		ev.Data = bytes.Repeat([]byte("x"), n)
		if n > 0 {
			ev.Data[n-1] = 'y'
		}
		if _, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: ev}}}); err != nil {
			return fmt.Errorf("an event of %d bytes: %w", n, err)
		}
	}
	if err := e.Crash(ctx); err != nil {
		return err
	}
	events, err := e.Store.Events(ctx, 1, 100)
	if err != nil {
		return err
	}
	if err := equal("events", len(events), len(sizes)); err != nil {
		return err
	}
	for i, n := range sizes {
		if d := events[i].Data; len(d) != n || n > 1 && (d[n-1] != 'y' || d[n-2] != 'x') {
			return fmt.Errorf("an event of %d bytes came back as another of %d", n, len(d))
		}
	}
	return e.wantEvents(ctx, store.EventQuery{Type: "large"}, 7, 6, 5, 4, 3, 2, 1)
}

func logWait(ctx context.Context, e *Env) error {
	ctx, cancel := soon(ctx)
	defer cancel()
	short, stop := context.WithTimeout(ctx, time.Millisecond)
	defer stop()
	if err := wantErr("waiting for nothing", e.Store.Wait(short, 0), context.DeadlineExceeded); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- e.Store.Wait(ctx, 0) }()
	if err := e.append(ctx, 1, "t"); err != nil {
		return err
	}
	if err := <-done; err != nil {
		return fmt.Errorf("waiting: %w", err)
	}
	if err := e.Store.Wait(ctx, 0); err != nil {
		return fmt.Errorf("waiting for what is there: %w", err)
	}
	go func() { done <- e.Store.Wait(ctx, 1) }()
	if err := e.Store.Close(); err != nil {
		return err
	}
	return wantErr("waiting on a store that is closed", <-done, store.ErrClosed)
}

func idsOnce(ctx context.Context, e *Env) error {
	first := e.Given("same", "s")
	other := e.Given("same", "s")
	again := *first
	res, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{
		{Event: first, Dedupe: time.Hour}, {Event: &again, Dedupe: time.Hour}, {Event: other, Dedupe: time.Hour}, {Event: e.Event("t")},
	}})
	if err != nil {
		return err
	}
	want := []store.Accepted{
		{ID: "same", Position: 1}, {ID: "same", Position: 1, Duplicate: true},
		{ID: "same", Position: 1, Duplicate: true, Differs: true}, {ID: res.Events[3].ID, Position: 2},
	}
	if err := equalList("answers", res.Events, want); err != nil {
		return err
	}
	// Many at once: one is stored.
	var wg sync.WaitGroup
	results := make([]store.Result, 20)
	errs := make([]error, len(results))
	for i := range results {
		wg.Go(func() {
			results[i], errs[i] = e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: e.Given("many", "s"), Dedupe: time.Hour}}})
		})
	}
	wg.Wait()
	stored := 0
	for i, res := range results {
		if errs[i] != nil {
			return errs[i]
		}
		if !res.Events[0].Duplicate {
			stored++
		}
		if err := equal("position", res.Events[0].Position, 3); err != nil {
			return err
		}
	}
	// Ids of the router's are not remembered.
	mine := e.Event("t")
	for range 2 {
		c := *mine
		if _, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: &c, Dedupe: time.Hour}}}); err != nil {
			return err
		}
	}
	return all(equal("stored of many", stored, 1), equal("last", e.Store.Last(), 5))
}

func idsWindow(ctx context.Context, e *Env) error {
	commit := func(dedupe time.Duration) (store.Accepted, error) {
		res, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: e.Given("id", "s"), Dedupe: dedupe}}})
		if err != nil {
			return store.Accepted{}, err
		}
		return res.Events[0], nil
	}
	want := func(position uint64, duplicate bool) error {
		a, err := commit(time.Hour)
		return all(err, equal("position", a.Position, position), equal("duplicate", a.Duplicate, duplicate))
	}
	steps := []func() error{
		func() error { return want(1, false) },
		func() error { return e.Reopen(ctx) },
		func() error { return want(1, true) },
		func() error { e.Pass(59 * time.Minute); return want(1, true) },
		func() error { e.Pass(2 * time.Minute); return want(2, false) },
		func() error { return e.Crash(ctx) },
		func() error { return want(2, true) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	for range 2 { // no window: nothing is remembered
		ev := e.Given("none", "s")
		res, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: ev}}})
		if err := all(err, equal("duplicate without a window", res.Events[0].Duplicate, false)); err != nil {
			return err
		}
	}
	return nil
}

func idsAlias(ctx context.Context, e *Env) error {
	// Each step commits one event and says what must be answered.
	var first string
	step := func(what string, ev *event.Event, alias string, position uint64, duplicate, differs bool) error {
		res, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: ev, Alias: alias, Dedupe: time.Hour}}})
		if err != nil {
			return err
		}
		a := res.Events[0]
		if first == "" {
			first = a.ID
		}
		want := store.Accepted{ID: ev.ID, Position: position, Duplicate: duplicate, Differs: differs}
		switch {
		case duplicate && position == 1:
			want.ID = first
		case !ev.Given:
			want.ID = a.ID
		}
		return equal(what, a, want)
	}
	plain := func() *event.Event { // always the same type and data
		ev := e.Event("t")
		ev.Data = []byte("1")
		return ev
	}
	given := func(id, source string) *event.Event {
		ev := e.Given(id, source)
		ev.Type, ev.Data = "t", []byte("1")
		return ev
	}
	other := plain()
	other.Data = []byte("2")
	if err := all(
		step("the first", plain(), "a", 1, false, false),
		step("again", plain(), "a", 1, true, false),
		step("other data", other, "a", 1, true, true),
		step("another alias", plain(), "b", 2, false, false),
		step("another source", given("x", "other"), "a", 3, false, false),
		step("a known alias under a new id", given("y", plain().Source), "a", 1, true, false),
		step("a new alias under a known id", given("x", "other"), "c", 3, true, false),
		step("that alias was not remembered", given("z", "other"), "c", 4, false, false),
	); err != nil {
		return err
	}
	// Within one record too.
	res, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{
		{Event: plain(), Alias: "d", Dedupe: time.Hour}, {Event: plain(), Alias: "d", Dedupe: time.Hour}, {Event: plain(), Alias: "e"}, {Event: plain(), Alias: "e"},
	}})
	if err != nil {
		return err
	}
	if err := all(
		equal("the second of a record", res.Events[1], store.Accepted{ID: res.Events[0].ID, Position: 5, Duplicate: true}),
		equal("without a window", res.Events[3].Duplicate, false),
		e.Crash(ctx),
		step("after a crash", plain(), "a", 1, true, false),
	); err != nil {
		return err
	}
	e.Pass(time.Hour + time.Minute)
	return step("after the window", plain(), "a", 8, false, false)
}

func idsApart(ctx context.Context, e *Env) error {
	scoped := e.Given("id", "s")
	scoped.Scope = "/x"
	tricky := e.Given("id", "s\x00")
	res, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{
		{Event: e.Given("id", "s"), Dedupe: time.Hour}, {Event: e.Given("id", "other"), Dedupe: time.Hour},
		{Event: scoped, Dedupe: time.Hour}, {Event: tricky, Dedupe: time.Hour}, {Event: e.Given("id2", "s"), Dedupe: time.Hour},
	}})
	if err != nil {
		return err
	}
	for i, a := range res.Events {
		if a.Duplicate || a.Position != uint64(i+1) {
			return fmt.Errorf("event %d counts as a duplicate of position %d", i+1, a.Position)
		}
	}
	return nil
}

func idsFound(ctx context.Context, e *Env) error {
	mine := e.Event("t")
	res, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{
		{Event: e.Given("id", "a")}, {Event: e.Given("id", "b")}, {Event: mine}, {Event: e.Given("id-longer", "a")},
	}})
	if err != nil {
		return err
	}
	find := func(id, source string, want ...uint64) error {
		events, err := e.Store.FindEvent(ctx, id, source)
		if len(want) == 0 {
			return wantErr("finding "+id, err, store.ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("finding %s: %w", id, err)
		}
		var got []uint64
		for _, ev := range events {
			got = append(got, ev.Position)
		}
		return equalList("events with the id "+id, got, want)
	}
	forged := event.IDAt(event.NewID(e.Now().Add(time.Hour)), 3)
	return all(find("id", "", 1, 2), find("id", "b", 2), find("id", "c"), find(res.Events[2].ID, "", 3), find(res.Events[2].ID, "a"),
		find("id-longer", "a", 4), find("i", ""), find(forged, ""), find(mine.ID+"x", ""))
}

func progressOrder(ctx context.Context, e *Env) error {
	if err := e.append(ctx, 3, "t"); err != nil {
		return err
	}
	route := func(p uint64) error {
		_, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{routing(p, "a")}})
		return err
	}
	_, none := e.Store.Routing(ctx, 1)
	if err := all(
		wantErr("a routing that is not there", none, store.ErrNotFound),
		wantErr("skipping an event", route(2), store.ErrOutOfOrder),
		wantErr("position 0", route(0), store.ErrOutOfOrder),
		route(1),
		wantErr("routing twice", route(1), store.ErrOutOfOrder),
		equal("progress", e.Store.Progress(), 1),
	); err != nil {
		return err
	}
	_, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{routing(2, "a"), routing(3, "b")}})
	if err := all(err, wantErr("beyond the log", route(4), store.ErrOutOfOrder)); err != nil {
		return err
	}
	return all(e.Crash(ctx), equal("progress", e.Store.Progress(), 3), wantErr("routing twice", route(3), store.ErrOutOfOrder),
		e.wantPostings(ctx, "a", 0, 10, 1, 2), e.wantPostings(ctx, "b", 0, 10, 3))
}

func progressAgain(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 2, "a"); err != nil {
		return err
	}
	more := &store.Routing{
		Position: 1, Again: true, Config: "beef",
		Matches:  []store.Match{{Route: "second", Version: 9}},
		Contents: []store.Content{{Type: "changed", Data: []byte("1")}},
		Deliveries: []store.Delivery{
			{Lane: "b", Content: 0, Format: "raw", Due: e.Now().Add(time.Minute), Replay: "rpl_1"},
			{Lane: "a", Content: -1, Due: e.Now()},
			{Lane: store.RoutingLane, Content: -1, Dead: store.ReasonRouting, Error: "again"},
		},
	}
	for range 2 {
		if _, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{more}}); err != nil {
			return err
		}
	}
	if err := e.Crash(ctx); err != nil {
		return err
	}
	r, err := e.Store.Routing(ctx, 1)
	if err != nil {
		return err
	}
	if err := all(equal("matches", len(r.Matches), 3), equal("first by", r.Matches[0].Config, ""), equal("further by", r.Matches[2].Config, "beef"), equal("version", r.Matches[2].Version, 9), equal("contents", len(r.Contents), 2), equal("deliveries", len(r.Deliveries), 7)); err != nil {
		return err
	}
	d := r.Deliveries[4]
	st, err := e.Store.Delivery(ctx, store.Ref{Position: 1, Index: 4})
	if err != nil {
		return err
	}
	unrouted := &store.Routing{Position: 7, Again: true}
	_, unroutedErr := e.commit(ctx, &store.Record{Routings: []*store.Routing{unrouted}})
	return all(
		equal("match", d.Match, 2), equal("content", d.Content, 1), equal("lane", d.Lane, "b"), equal("replay", d.Replay, "rpl_1"), equal("format", d.Format, "raw"),
		equal("route", st.Route, "second"), equal("message type", st.MessageType, "changed"), equal("state", st.State, store.Retrying),
		equal("progress", e.Store.Progress(), 2),
		e.wantPostings(ctx, "a", 0, 10, 1, 2), e.wantRetries(ctx, "a", 10, 1, 1), e.wantRetries(ctx, "b", 10, 1, 1),
		e.wantCounts(ctx, store.RoutingLane, store.Counts{Dead: 2}), e.wantCountsListed(ctx),
		wantErr("a further routing of what was not routed", unroutedErr, store.ErrOutOfOrder),
	)
}

func progressWide(ctx context.Context, e *Env) error {
	if err := e.append(ctx, 2, "t"); err != nil {
		return err
	}
	const n = 10000
	wide := &store.Routing{Position: 1, Matches: []store.Match{{Route: "all"}}}
	for i := range n {
		wide.Deliveries = append(wide.Deliveries, store.Delivery{Lane: fmt.Sprintf("wh_%05d", i), Content: -1})
	}
	second := routing(2, "wh_00042")
	for range 8 { // too much for one row
		second.Contents = append(second.Contents, store.Content{Type: "big", Data: bytes.Repeat([]byte{byte(len(second.Contents))}, 2<<20)})
		second.Deliveries = append(second.Deliveries, store.Delivery{Lane: "big", Content: len(second.Contents) - 1})
	}
	for _, r := range []*store.Routing{wide, second} {
		if _, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{r}}); err != nil {
			return err
		}
	}
	if err := e.Crash(ctx); err != nil {
		return err
	}
	lanes, err := e.Store.Lanes(ctx)
	if err != nil {
		return err
	}
	r, err := e.Store.Routing(ctx, 2)
	if err != nil {
		return err
	}
	for i := range r.Contents {
		if !bytes.Equal(r.Contents[i].Data, second.Contents[i].Data) {
			return fmt.Errorf("content %d came back changed", i)
		}
	}
	return all(equal("lanes", len(lanes), n+1), equal("contents", len(r.Contents), 8),
		e.wantPostings(ctx, "wh_00000", 0, 10, 1), e.wantPostings(ctx, "wh_00042", 0, 10, 1, 2), e.wantPostings(ctx, "wh_09999", 0, 10, 1),
		e.wantState(ctx, store.Ref{Position: 1, Index: n - 1}, store.Waiting, 0))
}

func progressFaithful(ctx context.Context, e *Env) error {
	if err := e.append(ctx, 1, "t"); err != nil {
		return err
	}
	want := &store.Routing{
		Position: 1, Config: "00ff",
		Matches: []store.Match{
			{Route: "one", Plugins: []store.Verdict{
				{Plugin: "p", Build: "abcd", Message: 1, Filter: "keep", Transform: "changed", Duration: time.Millisecond},
				{Plugin: "q", Build: "Not Hex", Class: "trap", Error: "it broke"},
			}},
			{Route: "two"},
		},
		Contents: []store.Content{
			{Type: "t2", Subject: "s2", ContentType: "c", Data: []byte("data"), HeaderChanged: true, Header: []event.Field{{Name: "a", Value: "b"}}, SetHeader: []event.Field{{Name: "c", Value: "d"}}},
			{Type: "t3", Head: 4, Tail: 1},
		},
		Deliveries: []store.Delivery{
			{Match: 0, N: 1, Several: true, Content: 0, Lane: "a"},
			{Match: 1, Content: -1, Lane: "b"},
			{Match: 1, Content: 1, Lane: "a", Due: e.Now().Add(5).UTC(), Error: "host", Replay: "r"},
			{Match: 0, Content: -1, Lane: store.RoutingLane, Dead: store.ReasonRouting, Error: "it broke"},
		},
	}
	if _, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{want}}); err != nil {
		return err
	}
	for range 2 {
		got, err := e.Store.Routing(ctx, 1)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("got %+v, want %+v", got, want)
		}
		if err := e.Crash(ctx); err != nil {
			return err
		}
	}
	return all(
		e.wantCounts(ctx, "a", store.Counts{Waiting: 1, Retrying: 1}), e.wantCounts(ctx, store.RoutingLane, store.Counts{Dead: 1}),
		e.wantRetries(ctx, "a", 5, 1), e.wantCountsListed(ctx))
}

func postingsSettled(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 8, "a", "b"); err != nil {
		return err
	}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(3), Above: []store.Ref{at(4), at(6)}},
		e.delivered(at(1)), e.retrying(at(2), time.Hour), e.delivered(at(4)), e.dead(at(6), store.Waiting)); err != nil {
		return err
	}
	check := func() error {
		l, err := e.Store.Lane(ctx, "a")
		return all(err, equal("low", l.Cursor.Low, at(3)), equalList("above", l.Cursor.Above, []store.Ref{at(4), at(6)}),
			e.wantPostings(ctx, "a", 0, 10, 3, 5, 7, 8),
			e.wantPostings(ctx, "b", 0, 10, 1, 2, 3, 4, 5, 6, 7, 8),
			e.wantPostings(ctx, "none", 0, 10))
	}
	if err := all(check(), e.Reopen(ctx), check(), e.Crash(ctx), check()); err != nil {
		return err
	}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(9)}, e.delivered(at(3)), e.delivered(at(5)), e.delivered(at(7)), e.delivered(at(8))); err != nil {
		return err
	}
	if err := all(e.wantPostings(ctx, "a", 0, 10), e.Crash(ctx), e.wantPostings(ctx, "a", 0, 10)); err != nil {
		return err
	}
	return all(e.post(ctx, 1, "a"), e.wantPostings(ctx, "a", 0, 10, 9), e.Reopen(ctx), e.wantPostings(ctx, "a", 0, 10, 9),
		e.wantCounts(ctx, "a", store.Counts{Waiting: 1, Retrying: 1, Dead: 1, Delivered: 6}))
}

func postingsPaged(ctx context.Context, e *Env) error {
	if err := e.append(ctx, 30, "t"); err != nil {
		return err
	}
	r := &store.Record{}
	for p := range uint64(30) { // one record, so one chunk where a store has such
		r.Routings = append(r.Routings, routing(p+1, "a", "x", "a"))
	}
	if _, err := e.commit(ctx, r); err != nil {
		return err
	}
	var got []store.Ref
	for from := (store.Ref{}); ; {
		ps, err := e.Store.Postings(ctx, "a", from, 7)
		if err != nil {
			return err
		}
		if len(ps) == 0 {
			break
		}
		if len(ps) > 7 {
			return fmt.Errorf("%d postings where 7 were asked for", len(ps))
		}
		for _, p := range ps {
			got = append(got, p.Ref)
		}
		from = ps[len(ps)-1].Ref.Next()
	}
	var want []store.Ref
	for p := range uint64(30) {
		want = append(want, at(p+1), store.Ref{Position: p + 1, Index: 2})
	}
	return all(equalList("all postings", got, want), e.wantPostings(ctx, "a", 29, 3, 29, 29, 30), e.wantPostings(ctx, "a", 31, 3), e.wantPostings(ctx, "a", 0, 0))
}

func statesMove(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 6, "a"); err != nil {
		return err
	}
	cancel := store.Outcome{Ref: at(4), From: store.Waiting, To: store.Cancelled, Note: "by hand"}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(6)}, e.delivered(at(1)), e.retrying(at(2), time.Hour), e.dead(at(3), store.Waiting), cancel, e.retrying(at(5), time.Hour)); err != nil {
		return err
	}
	check := func(want ...store.State) error {
		for i, s := range want {
			st, err := e.Store.Delivery(ctx, at(uint64(i+1)))
			if err := all(err, equal(fmt.Sprintf("state of %d", i+1), st.State, s)); err != nil {
				return err
			}
			for _, other := range states {
				refs, err := e.list(ctx, store.DeliveryQuery{Destination: "a", State: other}, 100)
				if err != nil {
					return err
				}
				found := false
				for _, r := range refs {
					found = found || r == at(uint64(i+1))
				}
				if err := equal(fmt.Sprintf("%d listed as %s", i+1, other), found, other == s); err != nil {
					return err
				}
			}
		}
		return e.wantCountsListed(ctx)
	}
	if err := check(store.Delivered, store.Retrying, store.Dead, store.Cancelled, store.Retrying, store.Waiting); err != nil {
		return err
	}
	again := e.delivered(at(2))
	again.From = store.Retrying
	manual := func(r store.Ref, from store.State) store.Outcome {
		return store.Outcome{Ref: r, From: from, To: store.Retrying, Due: e.Now()}
	}
	if err := e.outcomes(ctx, "a", nil, again, manual(at(3), store.Dead), manual(at(4), store.Cancelled), e.dead(at(5), store.Retrying)); err != nil {
		return err
	}
	want := []store.State{store.Delivered, store.Delivered, store.Retrying, store.Retrying, store.Dead, store.Waiting}
	if err := all(check(want...), e.Crash(ctx), check(want...), e.wantState(ctx, at(2), store.Delivered, 2)); err != nil {
		return err
	}
	fourth := e.delivered(at(4))
	fourth.From = store.Retrying
	if err := e.outcomes(ctx, "a", nil, fourth); err != nil {
		return err
	}
	want[3] = store.Delivered
	return all(check(want...), e.Reopen(ctx), check(want...))
}

func statesChecked(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 4, "a", "b"); err != nil {
		return err
	}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(4)}, e.delivered(at(1)), e.retrying(at(2), time.Hour), e.dead(at(3), store.Waiting)); err != nil {
		return err
	}
	from := func(r store.Ref, s store.State) store.Outcome {
		o := e.delivered(r)
		o.From = s
		return o
	}
	done := &store.Cursor{Low: at(5)}
	for name, bad := range map[string]func() error{
		"settled, as waiting": func() error { return e.outcomes(ctx, "a", nil, from(at(1), store.Waiting)) },
		"settled, as waiting again": func() error {
			return e.outcomes(ctx, "a", done, from(at(2), store.Waiting), from(at(4), store.Waiting))
		},
		"waiting, as retrying":   func() error { return e.outcomes(ctx, "a", nil, from(at(4), store.Retrying)) },
		"waiting, as dead":       func() error { return e.outcomes(ctx, "a", nil, from(at(4), store.Dead)) },
		"delivered, as retrying": func() error { return e.outcomes(ctx, "a", nil, from(at(1), store.Retrying)) },
		"retrying, as dead":      func() error { return e.outcomes(ctx, "a", nil, from(at(2), store.Dead)) },
		"dead, as cancelled":     func() error { return e.outcomes(ctx, "a", nil, from(at(3), store.Cancelled)) },
		"not routed":             func() error { return e.outcomes(ctx, "a", nil, from(at(9), store.Waiting)) },
		"of another lane":        func() error { return e.outcomes(ctx, "b", nil, from(at(2), store.Retrying)) },
		"dead, of another lane":  func() error { return e.outcomes(ctx, "b", nil, from(at(3), store.Dead)) },
		"twice in a record": func() error {
			return e.outcomes(ctx, "a", done, from(at(4), store.Waiting), from(at(4), store.Waiting))
		},
	} {
		if err := wantErr("an outcome of what is "+name, bad(), store.ErrOutOfOrder); err != nil {
			return err
		}
	}
	return all(e.wantCounts(ctx, "a", store.Counts{Waiting: 1, Delivered: 1, Retrying: 1, Dead: 1}), e.wantCountsListed(ctx))
}

func statesCounted(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 40, "a", "b", "c"); err != nil {
		return err
	}
	for _, lane := range []string{"a", "b"} {
		index := uint32(lane[0] - 'a')
		var outcomes []store.Outcome
		for p := uint64(1); p <= 30; p++ {
			r := store.Ref{Position: p, Index: index}
			switch p % 5 {
			case 0:
				outcomes = append(outcomes, e.retrying(r, time.Duration(p)*time.Second))
			case 1:
				outcomes = append(outcomes, e.dead(r, store.Waiting))
			case 2:
				outcomes = append(outcomes, store.Outcome{Ref: r, From: store.Waiting, To: store.Cancelled})
			default:
				outcomes = append(outcomes, e.delivered(r))
			}
		}
		if err := e.outcomes(ctx, lane, &store.Cursor{Low: store.Ref{Position: 30, Index: index + 1}}, outcomes...); err != nil {
			return err
		}
	}
	retry := e.dead(store.Ref{Position: 1}, store.Dead)
	retry.To, retry.Due = store.Retrying, e.Now()
	if err := e.outcomes(ctx, "a", nil, retry); err != nil {
		return err
	}
	return all(
		e.wantCounts(ctx, "a", store.Counts{Waiting: 10, Retrying: 7, Dead: 5, Cancelled: 6, Delivered: 12}),
		e.wantCountsListed(ctx), e.Crash(ctx), e.wantCountsListed(ctx),
		e.wantCounts(ctx, "a", store.Counts{Waiting: 10, Retrying: 7, Dead: 5, Cancelled: 6, Delivered: 12}),
		e.wantCounts(ctx, "c", store.Counts{Waiting: 40}),
	)
}

func statesAttempts(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 2, "a"); err != nil {
		return err
	}
	first := &store.Attempt{
		Number: 1, Started: e.Now(), Latency: 9, DNS: 1, Connect: 2, TLS: 3, FirstByte: 4,
		Status: 503, Reason: "status", Error: "503 Service Unavailable", Body: bytes.Repeat([]byte("b"), 16<<10),
	}
	second := &store.Attempt{Number: 2, Started: e.Now().Add(time.Minute), Latency: 5, Status: 200}
	ok := e.delivered(at(2))
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(3)},
		store.Outcome{Ref: at(1), From: store.Waiting, To: store.Retrying, Attempt: first, Due: e.Now().Add(time.Minute), Tries: 1}, ok); err != nil {
		return err
	}
	ys, err := e.Store.Retries(ctx, "a", 5)
	if err := all(err, equalList("retries", ys, []store.Retry{{Ref: at(1), Due: e.Now().Add(time.Minute), Tries: 1, Attempts: 1}})); err != nil {
		return err
	}
	if err := e.outcomes(ctx, "a", nil, store.Outcome{Ref: at(1), From: store.Retrying, To: store.Delivered, Attempt: second, Tries: 2, Note: "at last"}); err != nil {
		return err
	}
	if err := e.Crash(ctx); err != nil {
		return err
	}
	st, err := e.Store.Delivery(ctx, at(1))
	if err != nil {
		return err
	}
	if want := []store.Attempt{*first, *second}; !reflect.DeepEqual(st.Attempts, want) {
		return fmt.Errorf("attempts: got %+v, want %+v", st.Attempts, want)
	}
	if err := all(equal("tries", st.Tries, 2), equal("note", st.Note, "at last"), equal("due", st.Due.IsZero(), true)); err != nil {
		return err
	}
	st, err = e.Store.Delivery(ctx, at(2))
	if err != nil {
		return err
	}
	if want := []store.Attempt{*ok.Attempt}; !reflect.DeepEqual(st.Attempts, want) {
		return fmt.Errorf("attempts: got %+v, want %+v", st.Attempts, want)
	}
	page, _, err := e.Store.ListDeliveries(ctx, store.DeliveryQuery{Destination: "a", Page: store.Page{Limit: 10}})
	if err != nil {
		return err
	}
	if len(page) != 2 || !reflect.DeepEqual(page[1].Attempts, []store.Attempt{*second}) {
		return errors.New("a listing does not give the last attempt")
	}
	_, missing := e.Store.Delivery(ctx, store.Ref{Position: 1, Index: 1})
	return wantErr("a delivery that is not there", missing, store.ErrNotFound)
}

func statesOfEvent(ctx context.Context, e *Env) error {
	if err := e.append(ctx, 3, "t"); err != nil {
		return err
	}
	_, none := e.Store.Deliveries(ctx, 1)
	_, never := e.Store.Deliveries(ctx, 9)
	if err := all(wantErr("deliveries of what is not routed", none, store.ErrNotFound), wantErr("deliveries of no event", never, store.ErrNotFound)); err != nil {
		return err
	}
	first := routing(1, "a", "b", "a", "a", "b", "a", "c")
	first.Contents = []store.Content{{Type: "made", Data: []byte("1")}}
	first.Deliveries[6].Content = 0
	first.Deliveries = append(first.Deliveries, store.Delivery{Lane: store.RoutingLane, Content: -1, Dead: store.ReasonRouting, Error: "broken"})
	for _, r := range []*store.Routing{first, routing(2), routing(3, "a")} {
		if _, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{r}}); err != nil {
			return err
		}
	}
	ref := func(i uint32) store.Ref { return store.Ref{Position: 1, Index: i} }
	cancel := store.Outcome{Ref: ref(2), From: store.Waiting, To: store.Cancelled, Note: "by hand"}
	again := e.delivered(ref(3))
	again.From, again.Attempt = store.Retrying, e.attempt(2, 200)
	if err := all(
		e.outcomes(ctx, "a", nil, e.delivered(at(3)), cancel, e.retrying(ref(3), time.Hour)),
		e.outcomes(ctx, "a", nil, e.delivered(ref(0)), again),
		e.outcomes(ctx, "b", nil, e.dead(ref(4), store.Waiting)),
	); err != nil {
		return err
	}
	further := &store.Routing{Position: 1, Again: true, Matches: []store.Match{{Route: "second"}}, Deliveries: []store.Delivery{{Lane: "b", Content: -1, Due: e.Now()}}}
	if _, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{further}}); err != nil {
		return err
	}
	want := []store.State{store.Delivered, store.Waiting, store.Cancelled, store.Delivered, store.Dead, store.Waiting, store.Waiting, store.Dead, store.Retrying}
	check := func() error {
		got, err := e.Store.Deliveries(ctx, 1)
		if err != nil {
			return err
		}
		var list []store.State
		for i, st := range got {
			if st.Ref != ref(uint32(i)) {
				return fmt.Errorf("delivery %d of an event is %s", i, st.Ref)
			}
			list = append(list, st.State)
		}
		empty, err := e.Store.Deliveries(ctx, 2)
		return all(err, equal("deliveries of an event without a route", len(empty), 0),
			equalList("states of all that an event led to", list, want),
			equal("attempts", len(got[3].Attempts), 2), equal("message type", got[6].MessageType, "made"),
			equal("route", got[8].Route, "second"), e.wantAlike(ctx, 1), e.wantAlike(ctx, 3))
	}
	if err := all(check(), e.Crash(ctx), check()); err != nil {
		return err
	}
	// Retention takes the dead letters, and what was finished as it likes.
	if err := e.age(ctx, DeadAge); err != nil {
		return err
	}
	if _, err := e.retain(ctx); err != nil {
		return err
	}
	left, err := e.Store.Deliveries(ctx, 1)
	if err != nil {
		return err
	}
	var aged []uint32
	for _, st := range left {
		if i := st.Ref.Index; i == 4 || i == 7 {
			return fmt.Errorf("%s was taken by retention, and is given as %s", st.Ref, st.State)
		}
		if st.State == store.Dead {
			aged = append(aged, st.Ref.Index)
		}
	}
	_, gone := e.Store.Deliveries(ctx, 3)
	return all(wantErr("deliveries of an event that was taken", gone, store.ErrNotFound),
		equalList("deliveries that ended by age", aged, []uint32{1, 5, 6, 8}), e.wantAlike(ctx, 1))
}

func statesOfEventBodies(ctx context.Context, e *Env) error {
	const size, whole = 16 << 10, store.MaxBodies / (16 << 10)
	if err := e.append(ctx, 1, "t"); err != nil {
		return err
	}
	r := &store.Routing{Position: 1, Matches: []store.Match{{Route: "all"}}}
	lo := store.LaneOutcomes{Lane: "a"}
	var outcomes []store.LaneOutcomes
	for i := range uint32(whole + 10) {
		r.Deliveries = append(r.Deliveries, store.Delivery{Lane: "a", N: int(i), Content: -1})
		o := e.delivered(store.Ref{Position: 1, Index: i})
		if i%2 == 1 {
			o = e.retrying(o.Ref, time.Hour)
		}
		o.Attempt.Body = bytes.Repeat([]byte{'b'}, size)
		if lo.Outcomes = append(lo.Outcomes, o); len(lo.Outcomes) == 100 {
			outcomes = append(outcomes, lo)
			lo.Outcomes = nil
		}
	}
	if _, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{r}}); err != nil {
		return err
	}
	for _, lo := range append(outcomes, lo) {
		if err := e.outcomes(ctx, "a", nil, lo.Outcomes...); err != nil {
			return err
		}
	}
	list, err := e.Store.Deliveries(ctx, 1)
	if err := all(err, equal("deliveries", len(list), whole+10)); err != nil {
		return err
	}
	for i, st := range list {
		want := size
		if i >= whole {
			want = 0
		}
		if len(st.Attempts) != 1 || len(st.Attempts[0].Body) != want {
			return fmt.Errorf("delivery %d: attempts %+v, want one with %d bytes", i, st.Attempts, want)
		}
		if a := st.Attempts[0]; i%2 == 1 && (a.Status != 503 || a.Reason != "status") {
			return fmt.Errorf("delivery %d: its attempt came back as %+v", i, a)
		}
	}
	one, err := e.Store.Delivery(ctx, list[whole].Ref)
	return all(err, equal("bytes of a delivery by itself", len(one.Attempts[0].Body), size))
}

func retriesDue(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 6, "a"); err != nil {
		return err
	}
	minutes := []time.Duration{50, 10, 30, 20, 60, 40}
	var outcomes []store.Outcome
	for i, m := range minutes {
		outcomes = append(outcomes, e.retrying(at(uint64(i+1)), m*time.Minute))
	}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(7)}, outcomes...); err != nil {
		return err
	}
	if err := all(e.wantRetries(ctx, "a", 10, 2, 4, 3, 6, 1, 5), e.wantRetries(ctx, "a", 2, 2, 4), e.wantRetries(ctx, "none", 10)); err != nil {
		return err
	}
	from := func(o store.Outcome) store.Outcome { o.From = store.Retrying; return o }
	if err := e.outcomes(ctx, "a", nil, from(e.delivered(at(2))), from(e.retrying(at(4), 55*time.Minute)), from(e.dead(at(6), store.Retrying))); err != nil {
		return err
	}
	if err := all(e.wantRetries(ctx, "a", 10, 3, 1, 4, 5), e.Crash(ctx), e.wantRetries(ctx, "a", 10, 3, 1, 4, 5)); err != nil {
		return err
	}
	// One that is due before those that were read already.
	manual := store.Outcome{Ref: at(6), From: store.Dead, To: store.Retrying, Due: e.Now().Add(-time.Hour)}
	if err := e.outcomes(ctx, "a", nil, manual); err != nil {
		return err
	}
	return all(e.wantRetries(ctx, "a", 10, 6, 3, 1, 4, 5), e.wantRetries(ctx, "a", 1, 6), e.wantCountsListed(ctx))
}

func retriesFrom(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 6, "a"); err != nil {
		return err
	}
	park := func(n, key uint64) store.Outcome {
		return store.Outcome{Ref: at(n), From: store.Waiting, To: store.Retrying, Due: store.Park(key), Key: key}
	}
	first := e.retrying(at(1), time.Minute)
	first.Key = 9
	// The order of parked ones is by key, then by reference.
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(7)}, first, park(2, 9), park(3, 4), park(4, 9), park(5, store.MaxKey), e.retrying(at(6), time.Second)); err != nil {
		return err
	}
	from := func(due time.Time, ref store.Ref, max int, want ...uint64) error {
		ys, err := e.Store.RetriesFrom(ctx, "a", due, ref, max)
		if err != nil {
			return err
		}
		var got []uint64
		for _, y := range ys {
			got = append(got, y.Ref.Position)
			key, parked := store.Parked(y.Due)
			if parked != (y.Ref.Position >= 2 && y.Ref.Position <= 5) || parked && key != y.Key || y.Ref.Position == 1 && y.Key != 9 {
				return fmt.Errorf("the retry %+v has another key", y)
			}
		}
		return equalList("retries from a place", got, want)
	}
	look := func() error {
		return all(e.wantRetries(ctx, "a", 10, 6, 1, 3, 2, 4, 5),
			from(time.Time{}, store.Ref{}, 10, 6, 1, 3, 2, 4, 5), from(store.Park(9), store.Ref{}, 1, 2),
			from(store.Park(9), at(3), 10, 4, 5), from(store.Park(9), at(4), 1, 4), from(store.Park(10), store.Ref{}, 10, 5))
	}
	if err := all(look(), e.Crash(ctx), look()); err != nil {
		return err
	}
	// They are told as waiting, and kept as retries.
	if err := all(
		e.wantListed(ctx, store.DeliveryQuery{Destination: "a", State: store.Waiting, Told: true}, 5, 4, 3, 2), e.wantListed(ctx, store.DeliveryQuery{State: store.Waiting, Told: true}, 5, 4, 3, 2),
		e.wantListed(ctx, store.DeliveryQuery{Destination: "a", State: store.Retrying, Told: true}, 6, 1), e.wantListed(ctx, store.DeliveryQuery{Destination: "a", State: store.Retrying}, 6, 5, 4, 3, 2, 1),
		e.wantFound(ctx, store.EventSearch{State: store.Waiting, Told: true}, 5, 4, 3, 2), e.wantFound(ctx, store.EventSearch{State: store.Waiting}),
	); err != nil {
		return err
	}
	st, err := e.Store.Delivery(ctx, at(4))
	if err != nil || st.Key != 9 || !st.Due.Equal(store.Park(9)) {
		return fmt.Errorf("a parked delivery is %+v, %v", st, err)
	}
	released := store.Outcome{Ref: at(2), From: store.Retrying, To: store.Delivered}
	if err := e.outcomes(ctx, "a", nil, released); err != nil {
		return err
	}
	if st, err := e.Store.Delivery(ctx, at(2)); err != nil || st.Key != 0 {
		return fmt.Errorf("what is delivered keeps its key: %+v, %v", st, err)
	}
	return all(from(store.Park(9), store.Ref{}, 1, 4), e.wantCountsListed(ctx))
}

func oldest(ctx context.Context, e *Env) error {
	none := func(lane string) error {
		if r, err := e.Store.Oldest(ctx, lane); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("the oldest of %s is %s, %v", lane, r, err)
		}
		return nil
	}
	want := func(n uint64) error {
		r, err := e.Store.Oldest(ctx, "a")
		if err != nil || r != at(n) {
			return fmt.Errorf("the oldest is %s, %v, want that of position %d", r, err, n)
		}
		return nil
	}
	if err := all(none("a"), e.post(ctx, 3, "a"), want(1)); err != nil {
		return err
	}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(3)}, e.delivered(at(1)), e.retrying(at(2), time.Hour)); err != nil {
		return err
	}
	if err := all(want(2), e.Crash(ctx), want(2)); err != nil {
		return err
	}
	dead := e.dead(at(2), store.Retrying)
	if err := all(e.outcomes(ctx, "a", nil, dead), want(3), e.outcomes(ctx, "a", &store.Cursor{Low: at(4)}, e.delivered(at(3)))); err != nil {
		return err
	}
	return all(none("a"), none("other"))
}

func cursorForward(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 6, "a"); err != nil {
		return err
	}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(3), Above: []store.Ref{at(4)}}, e.delivered(at(1)), e.delivered(at(2)), e.delivered(at(4))); err != nil {
		return err
	}
	for _, c := range []store.Cursor{
		{Low: at(1)}, {Low: at(2), Above: []store.Ref{at(2), at(4)}}, {Low: at(3)}, {},
	} {
		if err := wantErr(fmt.Sprintf("cursor %+v", c), e.outcomes(ctx, "a", &c), store.ErrOutOfOrder); err != nil {
			return err
		}
	}
	return all(e.wantPostings(ctx, "a", 0, 10, 3, 5, 6), e.Reopen(ctx), e.wantPostings(ctx, "a", 0, 10, 3, 5, 6))
}

func cursorHonest(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 5, "a", "b"); err != nil {
		return err
	}
	for _, c := range []store.Cursor{
		{Low: at(2)}, {Low: at(6)}, {Low: at(100)}, {Low: at(1), Above: []store.Ref{at(3)}},
	} {
		if err := wantErr(fmt.Sprintf("cursor %+v without outcomes", c), e.outcomes(ctx, "a", &c), store.ErrOutOfOrder); err != nil {
			return err
		}
	}
	if err := all(
		wantErr("one outcome, two settled", e.outcomes(ctx, "a", &store.Cursor{Low: at(3)}, e.delivered(at(1))), store.ErrOutOfOrder),
		wantErr("an outcome, not settled", e.outcomes(ctx, "a", &store.Cursor{Low: at(1)}, e.delivered(at(1))), store.ErrOutOfOrder),
		wantErr("an outcome of another lane's", e.outcomes(ctx, "a", nil, e.delivered(at(1).Next())), store.ErrOutOfOrder),
		e.outcomes(ctx, "a", nil, e.delivered(at(3)), e.retrying(at(5), time.Hour)), // settles what it names
		e.wantPostings(ctx, "a", 0, 10, 1, 2, 4), e.wantCountsListed(ctx),
		// All before the next of the lane, and the same again.
		e.outcomes(ctx, "a", &store.Cursor{Low: at(1).Next(), Above: []store.Ref{at(3), at(5)}}, e.delivered(at(1))),
		e.outcomes(ctx, "a", &store.Cursor{Low: at(2), Above: []store.Ref{at(3), at(5)}}),
	); err != nil {
		return err
	}
	return all(e.wantPostings(ctx, "a", 0, 10, 2, 4), e.Crash(ctx), e.wantPostings(ctx, "a", 0, 10, 2, 4),
		e.wantCounts(ctx, "a", store.Counts{Waiting: 2, Delivered: 2, Retrying: 1}), e.wantCountsListed(ctx))
}

func idleFree(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 1, "busy"); err != nil {
		return err
	}
	check := func() error {
		l, err := e.Store.Lane(ctx, "idle")
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(l, store.Lane{Name: "idle"}) {
			return fmt.Errorf("an idle lane is %+v", l)
		}
		lanes, err := e.Store.Lanes(ctx)
		return all(err, equal("lanes", len(lanes), 1), e.wantPostings(ctx, "idle", 0, 5), e.wantRetries(ctx, "idle", 5))
	}
	refused := e.outcomes(ctx, "idle", &store.Cursor{Low: at(1)})
	return all(check(), wantErr("outcomes of an idle lane", refused, store.ErrOutOfOrder), check(), e.Reopen(ctx), check())
}

// age lets time pass until everything stored so far is older than d, with the
// log going on, so that no store holds it for the present.
func (e *Env) age(ctx context.Context, d time.Duration) error {
	e.Pass(d + 2*time.Hour)
	before := e.Store.Last()
	if err := e.append(ctx, 1, "later"); err != nil {
		return err
	}
	_, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{routing(before+1, "later")}})
	return err
}

// retain runs retention until nothing is left to do.
func (e *Env) retain(ctx context.Context) (store.Expired, error) {
	var total store.Expired
	for range 5 {
		x, err := e.Store.Expire(ctx, e.Now())
		if err != nil {
			return total, err
		}
		total.Events += x.Events
		total.DeadLetters += x.DeadLetters
		total.Aged += x.Aged
		by := 0
		for name, n := range x.AgedBy {
			if name == "" || n < 1 {
				return total, fmt.Errorf("%d deliveries of the lane %q ended by age", n, name)
			}
			by += n
		}
		if by != x.Aged {
			return total, fmt.Errorf("%d deliveries ended by age, and by lane %v", x.Aged, x.AgedBy)
		}
	}
	return total, nil
}

func retentionTakes(ctx context.Context, e *Env) error {
	if _, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: e.Given("old", "s"), Dedupe: time.Hour}}}); err != nil {
		return err
	}
	if _, err := e.commit(ctx, &store.Record{Routings: []*store.Routing{routing(1, "a")}}); err != nil {
		return err
	}
	if err := e.post(ctx, 3, "a"); err != nil {
		return err
	}
	cancel := store.Outcome{Ref: at(4), From: store.Waiting, To: store.Cancelled}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(5)}, e.delivered(at(1)), e.delivered(at(2)), e.retrying(at(3), time.Hour), cancel); err != nil {
		return err
	}
	ok := e.delivered(at(3))
	ok.From = store.Retrying
	if err := e.outcomes(ctx, "a", nil, ok); err != nil {
		return err
	}
	if x, err := e.retain(ctx); err != nil || x.Events != 0 {
		return fmt.Errorf("retention took %d young events, error %v", x.Events, err)
	}
	if err := e.age(ctx, Retention); err != nil {
		return err
	}
	x, err := e.retain(ctx)
	if err := all(err, equal("events taken", x.Events, 4)); err != nil {
		return err
	}
	check := func() error {
		for p := range uint64(4) {
			_, eventErr := e.Store.Event(ctx, p+1)
			_, routingErr := e.Store.Routing(ctx, p+1)
			_, deliveryErr := e.Store.Delivery(ctx, at(p+1))
			if err := all(wantErr("event", eventErr, store.ErrNotFound), wantErr("routing", routingErr, store.ErrNotFound), wantErr("delivery", deliveryErr, store.ErrNotFound)); err != nil {
				return err
			}
		}
		_, idErr := e.Store.FindEvent(ctx, "old", "")
		events, err := e.Store.Events(ctx, 1, 10)
		return all(err, equal("events left", len(events), 1), wantErr("id", idErr, store.ErrNotFound),
			equal("last", e.Store.Last(), 5), equal("progress", e.Store.Progress(), 5),
			e.wantEvents(ctx, store.EventQuery{}, 5), e.wantEvents(ctx, store.EventQuery{Type: "posted"}),
			e.wantListed(ctx, store.DeliveryQuery{}, 5), e.wantListed(ctx, store.DeliveryQuery{Destination: "a"}),
			e.wantCounts(ctx, "a", store.Counts{}), e.wantCountsListed(ctx), e.wantPostings(ctx, "a", 0, 10))
	}
	if err := all(check(), e.Crash(ctx), check()); err != nil {
		return err
	}
	return all(e.post(ctx, 1, "a"), equal("last", e.Store.Last(), 6), e.wantPostings(ctx, "a", 0, 10, 6), e.wantCountsListed(ctx))
}

func retentionKeeps(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 6, "a", "b"); err != nil {
		return err
	}
	b := func(p uint64) store.Ref { return store.Ref{Position: p, Index: 1} }
	if err := all(
		e.outcomes(ctx, "a", &store.Cursor{Low: at(7)}, e.delivered(at(1)), e.delivered(at(2)), e.retrying(at(3), 48*time.Hour), e.dead(at(4), store.Waiting), e.delivered(at(5)), e.delivered(at(6))),
		e.outcomes(ctx, "b", &store.Cursor{Low: b(1).Next(), Above: []store.Ref{b(3), b(4), b(5)}}, e.delivered(b(1)), e.delivered(b(3)), e.delivered(b(4)), e.delivered(b(5))),
	); err != nil {
		return err
	}
	before, err := e.Store.Event(ctx, 2)
	if err != nil {
		return err
	}
	if err := e.age(ctx, Retention); err != nil {
		return err
	}
	x, err := e.retain(ctx)
	if err := all(err, equal("events taken", x.Events, 2)); err != nil {
		return err
	}
	check := func() error {
		kept, err := e.Store.Event(ctx, 2)
		if err != nil {
			return fmt.Errorf("an event that is waited for: %w", err)
		}
		if !reflect.DeepEqual(kept, before) {
			return fmt.Errorf("it came back as %+v, was %+v", kept, before)
		}
		if _, err := e.Store.Routing(ctx, 2); err != nil {
			return fmt.Errorf("its routing: %w", err)
		}
		return all(
			e.wantPostings(ctx, "b", 0, 10, 2, 6), e.wantRetries(ctx, "a", 5, 3),
			e.wantState(ctx, b(2), store.Waiting, 0), e.wantState(ctx, at(3), store.Retrying, 1), e.wantState(ctx, at(4), store.Dead, 1),
			e.wantEvents(ctx, store.EventQuery{Type: "posted"}, 6, 4, 3, 2),
			e.wantListed(ctx, store.DeliveryQuery{State: store.Waiting, Type: "posted"}, 6, 2),
			e.wantListed(ctx, store.DeliveryQuery{State: store.Dead}, 4),
			e.wantCountsListed(ctx))
	}
	if err := all(check(), e.Crash(ctx), check()); err != nil {
		return err
	}
	// What was kept can be worked on.
	ok := e.delivered(at(3))
	ok.From = store.Retrying
	manual := store.Outcome{Ref: at(4), From: store.Dead, To: store.Retrying, Due: e.Now()}
	if err := all(
		e.outcomes(ctx, "a", nil, ok, manual),
		e.outcomes(ctx, "b", &store.Cursor{Low: at(7)}, e.delivered(b(2)), e.retrying(b(6), time.Hour)),
		e.wantState(ctx, b(2), store.Delivered, 1), e.wantState(ctx, at(3), store.Delivered, 2),
		e.wantCountsListed(ctx), e.Reopen(ctx), e.wantCountsListed(ctx),
		e.wantRetries(ctx, "a", 5, 4), e.wantRetries(ctx, "b", 5, 6), e.wantPostings(ctx, "b", 0, 10),
	); err != nil {
		return err
	}
	// And goes when it is finished.
	last := e.delivered(at(4))
	last.From = store.Retrying
	end := e.delivered(b(6))
	end.From = store.Retrying
	if err := all(e.outcomes(ctx, "a", nil, last), e.outcomes(ctx, "b", nil, end), e.age(ctx, Retention)); err != nil {
		return err
	}
	if _, err := e.retain(ctx); err != nil {
		return err
	}
	return all(e.wantEvents(ctx, store.EventQuery{Type: "posted"}), e.wantCounts(ctx, "a", store.Counts{}), e.wantCounts(ctx, "b", store.Counts{}), e.wantCountsListed(ctx))
}

func retentionAges(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 4, "a"); err != nil {
		return err
	}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(1), Above: []store.Ref{at(2), at(3)}}, e.retrying(at(2), time.Hour), e.dead(at(3), store.Waiting)); err != nil {
		return err
	}
	if err := e.age(ctx, MaxAge); err != nil {
		return err
	}
	x, err := e.retain(ctx)
	if err := all(err, equal("aged", x.Aged, 3), equal("dead letters", x.DeadLetters, 1)); err != nil {
		return err
	}
	check := func() error {
		for _, p := range []uint64{1, 2, 4} {
			st, err := e.Store.Delivery(ctx, at(p))
			if err := all(err, equal("state", st.State, store.Dead), equal("reason", st.Reason, store.ReasonExpired)); err != nil {
				return err
			}
		}
		_, gone := e.Store.Delivery(ctx, at(3))
		return all(wantErr("a dead letter that is too old", gone, store.ErrNotFound),
			e.wantPostings(ctx, "a", 0, 10), e.wantRetries(ctx, "a", 5), e.wantCounts(ctx, "a", store.Counts{Dead: 3}), e.wantCountsListed(ctx))
	}
	if err := all(check(), e.Crash(ctx), check(), e.age(ctx, DeadAge)); err != nil {
		return err
	}
	x, err = e.retain(ctx)
	return all(err, equal("dead letters", x.DeadLetters, 3), e.wantEvents(ctx, store.EventQuery{Type: "posted"}), e.wantCounts(ctx, "a", store.Counts{}), e.wantCountsListed(ctx))
}

func listEvents(ctx context.Context, e *Env) error {
	types := []string{"order.created", "order.paid", "user.created"}
	for i := range 12 {
		ev := e.Event(types[i%3])
		ev.Source, ev.Tenant = fmt.Sprint("s", i%2), fmt.Sprint("t", i%4)
		if _, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: ev}}}); err != nil {
			return err
		}
		e.Pass(20 * time.Minute)
	}
	when := func(i int) time.Time { return Start.Add(time.Duration(i) * 20 * time.Minute) }
	return all(
		e.wantEvents(ctx, store.EventQuery{}, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1),
		e.wantEvents(ctx, store.EventQuery{Type: "order.paid"}, 11, 8, 5, 2),
		e.wantEvents(ctx, store.EventQuery{Type: "order.*"}, 11, 10, 8, 7, 5, 4, 2, 1),
		e.wantEvents(ctx, store.EventQuery{Type: "*.created", Source: "s0"}, 9, 7, 3, 1),
		e.wantEvents(ctx, store.EventQuery{Type: "*"}, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1),
		e.wantEvents(ctx, store.EventQuery{Type: "order"}),
		e.wantEvents(ctx, store.EventQuery{Tenant: "t1"}, 10, 6, 2),
		e.wantEvents(ctx, store.EventQuery{Since: when(9)}, 12, 11, 10),
		e.wantEvents(ctx, store.EventQuery{Until: when(2)}, 2, 1),
		e.wantEvents(ctx, store.EventQuery{Since: when(3), Until: when(6)}, 6, 5, 4),
		e.wantEvents(ctx, store.EventQuery{Type: "order.paid", Since: when(3), Until: when(9)}, 8, 5),
		e.wantEvents(ctx, store.EventQuery{Until: Start}),
		e.wantFound(ctx, store.EventSearch{EventQuery: store.EventQuery{Type: "order.paid", Since: when(3), Until: when(9)}}, 8, 5),
	)
}

func searchEvents(ctx context.Context, e *Env) error {
	for i := range 12 {
		ev := e.Event([]string{"x", "y"}[i%2])
		ev.Subject = fmt.Sprint("Customer-", i%3)
		ev.Data = []byte(fmt.Sprintf(`{"mail": "ada%d@Example.com", "note": "grün"}`, i%4))
		lanes := []string{"a", "b", "a"}[:1+i%3]
		if _, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: ev}}, Routings: []*store.Routing{routing(uint64(i+1), lanes...)}}); err != nil {
			return err
		}
		e.Pass(20 * time.Minute)
	}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(4)}, e.delivered(at(1)), e.dead(at(2), store.Waiting), e.retrying(at(3), time.Hour), e.delivered(store.Ref{Position: 3, Index: 2})); err != nil {
		return err
	}
	in := func(typ string) store.EventQuery { return store.EventQuery{Type: typ} }
	return all(
		e.wantFound(ctx, store.EventSearch{Text: "ADA1@example"}, 10, 6, 2),
		e.wantFound(ctx, store.EventSearch{Text: "grün", EventQuery: in("x")}, 11, 9, 7, 5, 3, 1),
		e.wantFound(ctx, store.EventSearch{Text: "customer-2"}, 12, 9, 6, 3),
		e.wantFound(ctx, store.EventSearch{Text: "customer-2", EventQuery: store.EventQuery{Since: Start.Add(2 * time.Hour)}}, 12, 9),
		e.wantFound(ctx, store.EventSearch{Text: "nobody"}),
		e.wantFound(ctx, store.EventSearch{Destination: "a"}, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1),
		e.wantFound(ctx, store.EventSearch{Destination: "b"}, 12, 11, 9, 8, 6, 5, 3, 2),
		e.wantFound(ctx, store.EventSearch{Destination: "b", Text: "ada2"}, 11, 3),
		e.wantFound(ctx, store.EventSearch{Destination: "b", EventQuery: in("y")}, 12, 8, 6, 2),
		e.wantFound(ctx, store.EventSearch{Destination: "none"}),
		e.wantFound(ctx, store.EventSearch{Destination: "a", State: store.Delivered}, 3, 1),
		e.wantFound(ctx, store.EventSearch{State: store.Dead}, 2),
		e.wantFound(ctx, store.EventSearch{State: store.Retrying, Destination: "a"}, 3),
		e.wantFound(ctx, store.EventSearch{State: store.Retrying, Destination: "b"}),
		e.wantFound(ctx, store.EventSearch{State: store.Waiting, EventQuery: in("x")}, 11, 9, 7, 5, 3),
		e.wantFound(ctx, store.EventSearch{State: store.Cancelled}),
	)
}

func listDeliveries(ctx context.Context, e *Env) error {
	for i := range 12 {
		ev := e.Event([]string{"x", "y"}[i%2])
		ev.Source, ev.Tenant = fmt.Sprint("s", i%3), fmt.Sprint("t", i%4)
		lanes := []string{"a"}
		if i%2 == 0 {
			lanes = append(lanes, "b")
		}
		if _, err := e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: ev}}, Routings: []*store.Routing{routing(uint64(i+1), lanes...)}}); err != nil {
			return err
		}
		e.Pass(20 * time.Minute)
	}
	if err := e.outcomes(ctx, "a", &store.Cursor{Low: at(7), Above: []store.Ref{at(9)}},
		e.delivered(at(6)), e.delivered(at(1)), e.retrying(at(2), time.Hour), e.dead(at(3), store.Waiting), e.delivered(at(4)), e.retrying(at(5), time.Minute), e.dead(at(9), store.Waiting)); err != nil {
		return err
	}
	// Delivered later than what came after it.
	late := e.delivered(at(2))
	late.From = store.Retrying
	if err := e.outcomes(ctx, "a", nil, late); err != nil {
		return err
	}
	when := func(i int) time.Time { return Start.Add(time.Duration(i) * 20 * time.Minute) }
	q := func(state store.State) store.DeliveryQuery {
		return store.DeliveryQuery{Destination: "a", State: state}
	}
	return all(
		e.wantListed(ctx, q(""), 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1),
		e.wantListed(ctx, q(store.Waiting), 12, 11, 10, 8, 7),
		e.wantListed(ctx, q(store.Delivered), 6, 4, 2, 1),
		e.wantListed(ctx, q(store.Dead), 9, 3),
		e.wantListed(ctx, q(store.Retrying), 5),
		e.wantListed(ctx, q(store.Cancelled)),
		e.wantListed(ctx, q(store.Sending)),
		e.wantListed(ctx, store.DeliveryQuery{Destination: "none"}),
		e.wantListed(ctx, store.DeliveryQuery{Destination: "b"}, 11, 9, 7, 5, 3, 1),
		e.wantListed(ctx, store.DeliveryQuery{}, 12, 11, 11, 10, 9, 9, 8, 7, 7, 6, 5, 5, 4, 3, 3, 2, 1, 1),
		e.wantListed(ctx, store.DeliveryQuery{State: store.Waiting}, 12, 11, 11, 10, 9, 8, 7, 7, 5, 3, 1),
		e.wantListed(ctx, store.DeliveryQuery{State: store.Dead}, 9, 3),
		e.wantListed(ctx, store.DeliveryQuery{State: store.Delivered}, 6, 4, 2, 1),
		e.wantListed(ctx, store.DeliveryQuery{Type: "y"}, 12, 10, 8, 6, 4, 2),
		e.wantListed(ctx, store.DeliveryQuery{Type: "x", State: store.Waiting}, 11, 11, 9, 7, 7, 5, 3, 1),
		e.wantListed(ctx, store.DeliveryQuery{Type: "x", Destination: "a", State: store.Dead}, 9, 3),
		e.wantListed(ctx, store.DeliveryQuery{Destination: "a", Source: "s0"}, 10, 7, 4, 1),
		e.wantListed(ctx, store.DeliveryQuery{Destination: "a", Tenant: "t3"}, 12, 8, 4),
		e.wantListed(ctx, store.DeliveryQuery{Destination: "a", Since: when(9)}, 12, 11, 10),
		e.wantListed(ctx, store.DeliveryQuery{Destination: "a", Until: when(3), State: store.Delivered}, 2, 1),
		e.wantListed(ctx, store.DeliveryQuery{Since: when(3), Until: when(5)}, 5, 5, 4),
	)
}

func listRefused(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 3, "a"); err != nil {
		return err
	}
	events := func(p store.Page) error {
		_, _, err := e.Store.ListEvents(ctx, store.EventQuery{Page: p})
		return err
	}
	deliveries := func(p store.Page) error {
		_, _, err := e.Store.ListDeliveries(ctx, store.DeliveryQuery{Page: p})
		return err
	}
	for _, limit := range []int{-1, 0, 1001} {
		if events(store.Page{Limit: limit}) == nil || deliveries(store.Page{Limit: limit}) == nil {
			return fmt.Errorf("a limit of %d is taken", limit)
		}
	}
	for _, cursor := range []string{"x", "AAAA", "!", "ZGx2Xw"} {
		if err := all(
			wantErr("cursor "+cursor, events(store.Page{Limit: 1, Cursor: cursor}), store.ErrCursor),
			wantErr("cursor "+cursor, deliveries(store.Page{Limit: 1, Cursor: cursor}), store.ErrCursor),
		); err != nil {
			return err
		}
	}
	return all(events(store.Page{Limit: 1000}), deliveries(store.Page{Limit: 1}))
}

func documents(ctx context.Context, e *Env) error {
	put := func(kind, name string, value []byte) error {
		_, err := e.commit(ctx, &store.Record{Documents: []store.Document{{Kind: kind, Name: name, Value: value}}})
		return err
	}
	large := bytes.Repeat([]byte("long"), 400<<10)
	if err := all(put("w", "b", []byte("2")), put("w", "a", []byte("1")), put("w", "abc", large), put("ww", "a", []byte("3")), put("w", "gone", []byte("x")), put("w", "gone", nil), put("w", "never", nil), put("w", "empty", []byte{})); err != nil {
		return err
	}
	if err := e.Crash(ctx); err != nil {
		return err
	}
	list, err := e.Store.Documents(ctx, "w")
	if err != nil {
		return err
	}
	var names []string
	for _, d := range list {
		names = append(names, d.Kind+d.Name)
	}
	if err := equalList("documents", names, []string{"wa", "wabc", "wb", "wempty"}); err != nil {
		return err
	}
	for _, from := range []struct {
		name string
		max  int
		want string
	}{
		{"", 10, "a b abc empty"}, {"", 2, "a b"}, {"a", 10, "a b abc empty"}, {"aa", 10, "abc empty"}, {"abc", 1, "abc"}, {"b", 3, "b abc empty"},
		{"zzzz", 10, "empty"}, {"zzzzz", 10, ""}, {"a", 0, ""},
	} {
		list, err := e.Store.DocumentsFrom(ctx, "w", from.name, from.max)
		if err != nil {
			return err
		}
		var names []string
		for _, d := range list {
			if d.Name == "abc" && !bytes.Equal(d.Value, large) {
				return errors.New("a large document in a list is not what was stored")
			}
			names = append(names, d.Name)
		}
		if err := equal("documents from "+from.name, strings.Join(names, " "), from.want); err != nil {
			return err
		}
	}
	got, err := e.Store.Document(ctx, "w", "abc")
	if err := all(err, equal("a large document", bytes.Equal(got, large), true)); err != nil {
		return err
	}
	if err := put("w", "abc", []byte("short")); err != nil {
		return err
	}
	got, err = e.Store.Document(ctx, "w", "abc")
	_, gone := e.Store.Document(ctx, "w", "gone")
	return all(err, equal("a document that got shorter", string(got), "short"), wantErr("a deleted document", gone, store.ErrNotFound))
}

func full(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 2, "a"); err != nil {
		return err
	}
	e.SetFree(MinFree - 1)
	refused := &store.Record{Events: []store.NewEvent{{Event: e.Event("t")}}}
	_, err := e.commit(ctx, refused)
	if err := all(
		wantErr("an event on a full disk", err, store.ErrFull), wantErr("health", e.Store.Err(), store.ErrFull),
		e.outcomes(ctx, "a", &store.Cursor{Low: at(2)}, e.delivered(at(1))),
		equal("last", e.Store.Last(), 2),
	); err != nil {
		return err
	}
	e.SetFree(MinFree)
	_, err = e.commit(ctx, refused)
	return all(err, e.Store.Err(), equal("last", e.Store.Last(), 3))
}

func closed(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 1, "a"); err != nil {
		return err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	_, err := e.commit(over, &store.Record{Events: []store.NewEvent{{Event: e.Event("t")}}})
	if err := wantErr("a context that has ended", err, context.Canceled); err != nil {
		return err
	}
	if err := all(e.Store.Close(), e.Store.Close()); err != nil {
		return err
	}
	_, err = e.commit(ctx, &store.Record{Events: []store.NewEvent{{Event: e.Event("t")}}})
	return all(wantErr("commit", err, store.ErrClosed), wantErr("health", e.Store.Err(), store.ErrClosed))
}

func invalid(ctx context.Context, e *Env) error {
	if err := e.post(ctx, 1, "a"); err != nil {
		return err
	}
	one := routing(2, "a")
	delivery := func(change func(*store.Delivery)) *store.Record {
		r := *one
		d := one.Deliveries[0]
		change(&d)
		r.Deliveries = []store.Delivery{d}
		return &store.Record{Routings: []*store.Routing{&r}}
	}
	outcome := func(change func(*store.Outcome)) *store.Record {
		o := e.delivered(at(1))
		change(&o)
		return &store.Record{Outcomes: []store.LaneOutcomes{{Lane: "a", Outcomes: []store.Outcome{o}, Cursor: &store.Cursor{Low: at(2)}}}}
	}
	noID := e.Event("t")
	noID.ID = ""
	for name, r := range map[string]*store.Record{
		"no event":            {Events: []store.NewEvent{{}}},
		"no id":               {Events: []store.NewEvent{{Event: noID}}},
		"no routing":          {Routings: []*store.Routing{nil}},
		"no lane":             delivery(func(d *store.Delivery) { d.Lane = "" }),
		"no such match":       delivery(func(d *store.Delivery) { d.Match = 1 }),
		"no such content":     delivery(func(d *store.Delivery) { d.Content = 0 }),
		"dead and due":        delivery(func(d *store.Delivery) { d.Dead, d.Due = store.ReasonRouting, e.Now() }),
		"again without a due": {Routings: []*store.Routing{{Position: 1, Again: true, Matches: one.Matches, Deliveries: one.Deliveries}}},
		"from delivered":      outcome(func(o *store.Outcome) { o.From = store.Delivered }),
		"to waiting":          outcome(func(o *store.Outcome) { o.To = store.Waiting }),
		"to sending":          outcome(func(o *store.Outcome) { o.To = store.Sending }),
		"retry at no time":    outcome(func(o *store.Outcome) { o.To = store.Retrying }),
		"dead for no reason":  outcome(func(o *store.Outcome) { o.To = store.Dead }),
		"outcomes of no lane": {Outcomes: []store.LaneOutcomes{{Cursor: &store.Cursor{Low: at(2)}}}},
		"cursor out of order": {Outcomes: []store.LaneOutcomes{{Lane: "a", Cursor: &store.Cursor{Low: at(1), Above: []store.Ref{at(1), at(1)}}}}},
		"document of no kind": {Documents: []store.Document{{Name: "n", Value: []byte("v")}}},
	} {
		if _, err := e.commit(ctx, r); err == nil {
			return fmt.Errorf("%s: it was taken", name)
		}
	}
	return all(equal("last", e.Store.Last(), 1), e.wantPostings(ctx, "a", 0, 10, 1))
}
