package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Compare commits the same random records, good and bad ones, to a system and to
// the model, opens both anew in between, and compares what they answer. The same
// seed gives the same records.
func Compare(ctx context.Context, f Factory, seed uint64, records int) error {
	return compareWith(ctx, f, seed, func(c *comparison) error {
		if err := c.steps(ctx, records); err != nil {
			return err
		}
		return c.compare(ctx)
	})
}

// CompareRetention applies retention after random records, and checks that all
// that is unfinished is as the model has it without retention, and that counts
// are what listing finds.
func CompareRetention(ctx context.Context, f Factory, seed uint64, records int) error {
	return compareWith(ctx, f, seed, func(c *comparison) error {
		if err := c.steps(ctx, records); err != nil {
			return err
		}
		// All is routed, or the log could not be cut.
		for c.model.Store.Progress() < c.model.Store.Last() {
			r := &store.Record{Routings: []*store.Routing{c.routing(c.model.Store.Progress() + 1)}}
			for _, e := range []*Env{c.real, c.model} {
				if _, err := e.Store.Commit(ctx, r); err != nil {
					return err
				}
			}
		}
		before, err := c.real.Store.Events(ctx, 1, 1<<20)
		if err != nil {
			return err
		}
		c.real.Pass(Retention + 2*time.Hour)
		taken, err := c.real.retain(ctx)
		if err != nil {
			return err
		}
		check := func() error {
			left, err := c.real.Store.Events(ctx, 1, 1<<20)
			if err != nil {
				return err
			}
			if taken.Events == 0 || len(left)+taken.Events != len(before) {
				return fmt.Errorf("%d events, %d taken, %d left", len(before), taken.Events, len(left))
			}
			for _, e := range left {
				if err := c.real.wantAlike(ctx, e.Position); err != nil {
					return err
				}
			}
			return all(c.compareUnfinished(ctx), c.real.wantCountsListed(ctx))
		}
		return all(check(), c.real.Crash(ctx), check())
	})
}

func compareWith(ctx context.Context, f Factory, seed uint64, run func(c *comparison) error) (err error) {
	sys, err := f()
	if err != nil {
		return err
	}
	model, err := NewMemory()()
	if err != nil {
		return err
	}
	c := &comparison{
		rnd:  rand.New(rand.NewPCG(seed, 1)),
		real: &Env{sys: sys, now: Start, free: 1 << 40}, model: &Env{sys: model, now: Start, free: 1 << 40},
	}
	defer func() {
		for _, e := range []*Env{c.real, c.model} {
			if e.Store != nil {
				err = errors.Join(err, e.Store.Close())
			}
			err = errors.Join(err, e.sys.Remove())
		}
	}()
	if err := all(c.real.Open(ctx), c.model.Open(ctx)); err != nil {
		return err
	}
	if err := run(c); err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	return nil
}

func (c *comparison) steps(ctx context.Context, records int) error {
	for i := range records {
		if err := c.step(ctx, i); err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	if c.good < records/4 || c.bad == 0 {
		return fmt.Errorf("%d good records and %d bad ones show little", c.good, c.bad)
	}
	return nil
}

// compareUnfinished compares what waits, is retried or is dead.
func (c *comparison) compareUnfinished(ctx context.Context) error {
	for _, lane := range laneNames {
		err := all(
			both(c, "postings of "+lane, func(e *Env) ([]store.Posting, error) { return e.Store.Postings(ctx, lane, store.Ref{}, 1<<20) }),
			both(c, "number of retries of "+lane, func(e *Env) (int, error) {
				ys, err := e.Store.Retries(ctx, lane, 1<<20)
				return len(ys), err
			}),
		)
		if err != nil {
			return err
		}
		for _, s := range []store.State{store.Waiting, store.Retrying, store.Dead} {
			var refs []store.Ref
			err := both(c, fmt.Sprintf("%s of %s", s, lane), func(e *Env) (list []store.Ref, err error) {
				refs, err = e.list(ctx, store.DeliveryQuery{Destination: lane, State: s}, 50)
				return refs, err
			})
			if err != nil {
				return err
			}
			for _, r := range refs {
				if err := both(c, "delivery "+r.String(), func(e *Env) (*store.DeliveryStatus, error) { return e.Store.Delivery(ctx, r) }); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

type comparison struct {
	rnd         *rand.Rand
	real, model *Env
	good, bad   int
}

var laneNames = []string{"a", "b", "c", "longer-name", store.RoutingLane}

func (c *comparison) step(ctx context.Context, i int) error {
	d := time.Duration(c.rnd.IntN(600)) * time.Second
	c.real.Pass(d)
	c.model.Pass(d)
	r := &store.Record{}
	last, progress := c.model.Store.Last(), c.model.Store.Progress()
	for range c.rnd.IntN(4) {
		r.Events = append(r.Events, c.event())
	}
	for range c.rnd.IntN(3) {
		if progress < last || c.one(20) {
			progress++
			r.Routings = append(r.Routings, c.routing(progress))
		}
	}
	if progress > 0 && c.one(6) {
		r.Routings = append(r.Routings, c.again(1+c.rnd.Uint64N(progress)))
	}
	if c.one(2) {
		lo, err := c.outcomes(ctx, laneNames[c.rnd.IntN(len(laneNames))])
		if err != nil {
			return err
		}
		r.Outcomes = append(r.Outcomes, lo)
	}
	if c.one(4) {
		d := store.Document{Kind: "k", Name: fmt.Sprint(c.rnd.IntN(5))}
		if !c.one(3) {
			d.Value = fmt.Appendf(nil, "v%d", i)
		}
		r.Documents = append(r.Documents, d)
	}
	got, gotErr := c.real.Store.Commit(ctx, r)
	want, wantErr := c.model.Store.Commit(ctx, r)
	if errors.Is(gotErr, store.ErrOutOfOrder) != errors.Is(wantErr, store.ErrOutOfOrder) || (gotErr == nil) != (wantErr == nil) {
		return fmt.Errorf("commit of %+v: got error %v, want %v", r, gotErr, wantErr)
	}
	if gotErr == nil {
		c.good++
	} else {
		c.bad++
	}
	if !slices.Equal(got.Events, want.Events) {
		return fmt.Errorf("answers: got %v, want %v", got.Events, want.Events)
	}
	switch {
	case c.one(60):
		if err := all(c.real.Crash(ctx), c.model.Crash(ctx)); err != nil {
			return err
		}
	case c.one(60):
		if err := all(c.real.Reopen(ctx), c.model.Reopen(ctx)); err != nil {
			return err
		}
	case !c.one(15):
		return nil
	}
	return c.compare(ctx)
}

func (c *comparison) one(in int) bool { return c.rnd.IntN(in) == 0 }

func (c *comparison) event() store.NewEvent {
	e := c.model.Event(fmt.Sprintf("t%d.%d", c.rnd.IntN(3), c.rnd.IntN(3)))
	e.Source = fmt.Sprint("s", c.rnd.IntN(2))
	e.Tenant = []string{"", "t"}[c.rnd.IntN(2)]
	e.Received = e.Received.Add(-time.Duration(c.rnd.IntN(1000)) * time.Second)
	if c.one(3) {
		e.ID, e.Given = fmt.Sprint("id", c.rnd.IntN(20)), true
	}
	return store.NewEvent{Event: e, Dedupe: time.Duration(c.rnd.IntN(3)) * time.Hour}
}

func (c *comparison) routing(position uint64) *store.Routing {
	r := &store.Routing{Position: position, Config: "abcd", Matches: []store.Match{{Route: "r1"}, {Route: "r2"}}}
	for range c.rnd.IntN(3) {
		r.Contents = append(r.Contents, store.Content{Type: fmt.Sprint("c", len(r.Contents)), Data: []byte("content")})
	}
	for i := range c.rnd.IntN(5) {
		d := store.Delivery{Match: c.rnd.IntN(2), N: i, Content: c.rnd.IntN(len(r.Contents)+1) - 1, Lane: laneNames[c.rnd.IntN(4)]}
		switch {
		case c.one(8):
			d.Due = c.model.Now().Add(time.Minute)
		case c.one(10):
			d.Dead, d.Lane, d.Error = store.ReasonRouting, store.RoutingLane, "broken"
		}
		r.Deliveries = append(r.Deliveries, d)
	}
	return r
}

func (c *comparison) again(position uint64) *store.Routing {
	r := c.routing(position)
	r.Again = true
	r.Matches[1].Version = c.rnd.Uint64N(3)
	for i := range r.Deliveries {
		if d := &r.Deliveries[i]; d.Dead == "" {
			d.Due = c.model.Now().Add(time.Duration(c.rnd.IntN(100)) * time.Minute)
		}
	}
	return r
}

// outcomes makes outcomes that mostly follow.
func (c *comparison) outcomes(ctx context.Context, lane string) (store.LaneOutcomes, error) {
	lo := store.LaneOutcomes{Lane: lane}
	l, err := c.model.Store.Lane(ctx, lane)
	if err != nil {
		return lo, err
	}
	ps, err := c.model.Store.Postings(ctx, lane, store.Ref{}, 12)
	if err != nil {
		return lo, err
	}
	cursor := store.Cursor{Low: l.Cursor.Low, Above: slices.Clone(l.Cursor.Above)}
	for _, p := range ps {
		if c.one(3) {
			continue
		}
		lo.Outcomes = append(lo.Outcomes, c.outcome(p.Ref, store.Waiting, 1))
		if !c.one(50) { // else the cursor forgets it
			cursor.Above = append(cursor.Above, p.Ref)
		}
	}
	slices.SortFunc(cursor.Above, compareRefs)
	if left := slices.IndexFunc(ps, func(p store.Posting) bool { return !slices.Contains(cursor.Above, p.Ref) }); left >= 0 {
		cursor.Low = ps[left].Ref
	} else if n := len(cursor.Above); n > 0 && len(ps) < 12 {
		cursor.Low = cursor.Above[n-1].Next()
	}
	if c.one(40) {
		cursor.Low = store.Ref{Position: c.rnd.Uint64N(c.model.Store.Last() + 3)}
	}
	cursor.Above = slices.DeleteFunc(cursor.Above, func(r store.Ref) bool { return r.Less(cursor.Low) })
	lo.Cursor = &cursor
	for _, s := range []store.State{store.Retrying, store.Dead, store.Cancelled} {
		page, _, err := c.model.Store.ListDeliveries(ctx, store.DeliveryQuery{Destination: lane, State: s, Page: store.Page{Limit: 20}})
		if err != nil {
			return lo, err
		}
		for _, st := range page {
			if c.one(3) {
				from := s
				if c.one(50) {
					from = store.Retrying
				}
				lo.Outcomes = append(lo.Outcomes, c.outcome(st.Ref, from, len(st.Attempts)+1))
			}
		}
	}
	return lo, nil
}

func (c *comparison) outcome(r store.Ref, from store.State, n int) store.Outcome {
	o := store.Outcome{Ref: r, From: from, To: store.Delivered, Tries: n}
	if !c.one(5) {
		o.Attempt = c.model.attempt(n, 200+c.rnd.IntN(300))
	}
	switch k := c.rnd.IntN(6); {
	case k == 0 || from == store.Cancelled:
		o.To, o.Due = store.Retrying, c.model.Now().Add(time.Duration(c.rnd.IntN(5000))*time.Second)
	case k == 1 && from != store.Dead:
		o.To, o.Reason, o.Note = store.Dead, store.ReasonAttempts, "note"
	case k == 2:
		o.To = store.Cancelled
	}
	return o
}

// both gives what the two say, for comparing.
func both[T any](c *comparison, what string, ask func(e *Env) (T, error)) error {
	got, err := ask(c.real)
	want, wantErr := ask(c.model)
	if (err == nil) != (wantErr == nil) || errors.Is(err, store.ErrNotFound) != errors.Is(wantErr, store.ErrNotFound) {
		return fmt.Errorf("%s: got error %v, want %v", what, err, wantErr)
	}
	if none(got) && none(want) {
		return nil // nil or empty, both say nothing
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s: got %+v, want %+v", what, got, want)
	}
	return nil
}

func none(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Slice && r.Len() == 0
}

func (c *comparison) compare(ctx context.Context) error {
	err := all(
		both(c, "last", func(e *Env) (uint64, error) { return e.Store.Last(), nil }),
		both(c, "progress", func(e *Env) (uint64, error) { return e.Store.Progress(), nil }),
		both(c, "lanes", func(e *Env) ([]store.Lane, error) {
			lanes, err := e.Store.Lanes(ctx)
			slices.SortFunc(lanes, func(a, b store.Lane) int { return strings.Compare(a.Name, b.Name) })
			for i := range lanes {
				if len(lanes[i].Cursor.Above) == 0 {
					lanes[i].Cursor.Above = nil
				}
			}
			return lanes, err
		}),
		both(c, "events", func(e *Env) ([]*event.Event, error) { return e.Store.Events(ctx, 1, 1<<20) }),
		both(c, "documents", func(e *Env) ([]store.Document, error) { return e.Store.Documents(ctx, "k") }),
		both(c, "documents from", func(e *Env) ([]store.Document, error) { return e.Store.DocumentsFrom(ctx, "k", "1", 3) }),
	)
	if err != nil {
		return err
	}
	for _, lane := range laneNames {
		from := store.Ref{Position: c.rnd.Uint64N(c.model.Store.Last() + 1), Index: uint32(c.rnd.IntN(2))}
		err := all(
			both(c, "postings of "+lane, func(e *Env) ([]store.Posting, error) { return e.Store.Postings(ctx, lane, store.Ref{}, 1<<20) }),
			both(c, "some postings of "+lane, func(e *Env) ([]store.Posting, error) { return e.Store.Postings(ctx, lane, from, 3) }),
			both(c, "retries of "+lane, func(e *Env) ([]store.Retry, error) {
				ys, err := e.Store.Retries(ctx, lane, 1<<20)
				slices.SortStableFunc(ys, func(a, b store.Retry) int { return a.Due.Compare(b.Due) })
				return ys, err
			}),
		)
		if err != nil {
			return err
		}
	}
	return c.compareLists(ctx)
}

func (c *comparison) compareLists(ctx context.Context) error {
	states := append([]store.State{""}, states...)
	for range 6 {
		q := store.DeliveryQuery{State: states[c.rnd.IntN(len(states))]}
		ev := store.EventQuery{}
		if c.one(2) {
			q.Destination = laneNames[c.rnd.IntN(len(laneNames))]
		}
		if c.one(2) {
			q.Type = []string{"t1.2", "t*", "*.1"}[c.rnd.IntN(3)]
		}
		if c.one(4) {
			q.Source = "s1"
		}
		if c.one(4) {
			q.Since = Start.Add(time.Duration(c.rnd.IntN(40)) * time.Hour)
		}
		if c.one(4) {
			q.Until = Start.Add(time.Duration(c.rnd.IntN(80)) * time.Hour)
		}
		ev.Type, ev.Source, ev.Since, ev.Until = q.Type, q.Source, q.Since, q.Until
		limit := 1 + c.rnd.IntN(30)
		var found []store.Ref
		err := all(
			both(c, fmt.Sprintf("deliveries of %+v by %d", q, limit), func(e *Env) ([]store.Ref, error) {
				refs, err := e.list(ctx, q, limit)
				found = refs
				return refs, err
			}),
			both(c, fmt.Sprintf("events of %+v by %d", ev, limit), func(e *Env) ([]uint64, error) { return e.listEvents(ctx, ev, limit) }),
		)
		if err != nil {
			return err
		}
		for _, r := range found {
			if !c.one(10) {
				continue
			}
			err := all(
				both(c, "delivery "+r.String(), func(e *Env) (*store.DeliveryStatus, error) { return e.Store.Delivery(ctx, r) }),
				both(c, "deliveries of the event", func(e *Env) ([]*store.DeliveryStatus, error) { return e.Store.Deliveries(ctx, r.Position) }),
				both(c, "routing", func(e *Env) (*store.Routing, error) {
					routing, err := e.Store.Routing(ctx, r.Position)
					if err != nil {
						return nil, err
					}
					plain := *routing
					plain.Again = false
					return &plain, nil
				}),
			)
			if err != nil {
				return err
			}
		}
	}
	id := fmt.Sprint("id", c.rnd.IntN(20))
	return both(c, "events of "+id, func(e *Env) ([]*event.Event, error) { return e.Store.FindEvent(ctx, id, "") })
}
