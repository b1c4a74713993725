package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// kind of the documents.
const kind = "replay"

// Bounds of one step and of what is kept.
const (
	stepEvents = 128
	stepBytes  = 1 << 20
	// maxRunning is how many replays may be unfinished, maxEnded how many of those
	// that have ended are remembered.
	maxRunning = 100
	maxEnded   = 100
	// countFor is how long one count of a dry run takes at most.
	countFor = 20 * time.Second
	pause    = time.Second
)

// ErrTooMany says that too many replays are unfinished.
var ErrTooMany = fmt.Errorf("%d replays are unfinished", maxRunning)

// Status of a replay.
type Status string

// The status of a replay. One that runs may wait for those before it.
const (
	Running   Status = "running"
	Done      Status = "done"
	Cancelled Status = "cancelled"
)

// State is a replay, and its document.
type State struct {
	ID string `json:"id"`
	Ask
	// Rate is how many events a second are replayed, 0 for as many as can be.
	Rate    int       `json:"rate,omitempty"`
	Status  Status    `json:"status"`
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
	// First and Last bound the positions of the log that are looked at, both
	// included; Next is the one that comes next.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Next  uint64 `json:"next"`
	Counts
}

// Counts are what a replay has made.
type Counts struct {
	// Events that were delivered again, and Deliveries of them.
	Events     int `json:"events"`
	Deliveries int `json:"deliveries"`
	// Skipped counts deliveries whose destination is not there any more, Failed
	// routes whose plugin failed and events that could not be stored.
	Skipped int `json:"skipped"`
	Failed  int `json:"failed"`
}

func (c *Counts) add(r Redelivery) {
	c.Skipped += r.Skipped
	c.Failed += r.Failed
	if r.Routing != nil {
		c.Events++
		c.Deliveries += len(r.Routing.Deliveries)
	}
}

// Options of a set.
type Options struct {
	Store store.Store
	// Decide says what of an event is delivered again by the replay of an id, and
	// changes nothing.
	Decide func(ctx context.Context, e *event.Event, ask *Ask, id string) (Redelivery, error)
	// Committed is told of each routing of an event once it is on disk.
	Committed func(*event.Event, *store.Routing)
	// Refresh makes the lanes read the store, where it has more than they were told.
	Refresh func()
	Log     hclog.Logger
}

// Set is the bulk replays of a router. Its methods may be called from any
// goroutine; Run from one.
type Set struct {
	Options
	more chan struct{} // a replay was started

	mu     sync.Mutex
	states map[string]State
	// doubt has the replays of which a commit has left it open what is stored.
	doubt map[string]bool
	// stop ends the step that is being made, of the replay of an id.
	stop   context.CancelFunc
	making string
}

// Open reads the replays of a store. Those that had not ended go on with Run.
func Open(ctx context.Context, o Options) (*Set, error) {
	s := &Set{Options: o, more: make(chan struct{}, 1), states: map[string]State{}, doubt: map[string]bool{}}
	docs, err := o.Store.Documents(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("read the replays: %w", err)
	}
	for _, d := range docs {
		var st State
		if err := json.Unmarshal(d.Value, &st); err != nil {
			return nil, fmt.Errorf("read the replay %s: %w", d.Name, err)
		}
		s.states[d.Name] = st
	}
	return s, nil
}

// span gives the positions that ask is about, of what is routed by now. There are
// none where first is after last.
func (s *Set) span(ctx context.Context, ask *Ask) (first, last uint64, err error) {
	newest := func(before time.Time) (uint64, error) {
		q := store.EventQuery{Until: before, Page: store.Page{Limit: 1}}
		for {
			events, next, err := s.Store.ListEvents(ctx, q)
			if err == nil && len(events) > 0 {
				return events[0].Position, nil
			}
			if err != nil || next == "" {
				return 0, err
			}
			q.Cursor = next
		}
	}
	first, last = 1, s.Store.Progress()
	if !ask.Since.IsZero() {
		before, err := newest(ask.Since)
		if err != nil {
			return 0, 0, err
		}
		first = before + 1
	}
	if !ask.Until.IsZero() {
		end, err := newest(ask.Until)
		if err != nil {
			return 0, 0, err
		}
		last = min(last, end)
	}
	return first, last, nil
}

// Start begins a replay of what is routed by now. It is on disk when Start returns.
func (s *Set) Start(ctx context.Context, ask Ask, rate int) (State, error) {
	first, last, err := s.span(ctx, &ask)
	if err != nil {
		return State{}, err
	}
	now := time.Now().UTC()
	st := State{ID: NewID(now, ask.NewIDs), Ask: ask, Rate: rate, Status: Running, Created: now, First: first, Last: last, Next: first}
	st.end(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	record := &store.Record{}
	running, ended := 0, []State{}
	for _, x := range s.states {
		if x.Status == Running {
			running++
		} else {
			ended = append(ended, x)
		}
	}
	if running >= maxRunning {
		return State{}, ErrTooMany
	}
	slices.SortFunc(ended, func(a, b State) int { return a.Ended.Compare(b.Ended) })
	for len(ended) > maxEnded {
		record.Documents = append(record.Documents, store.Document{Kind: kind, Name: ended[0].ID})
		ended = ended[1:]
	}
	if err := s.commit(record, st); err != nil {
		if !s.doubt[st.ID] || s.reread(st.ID) != nil {
			return State{}, err
		}
	}
	for _, d := range record.Documents {
		if d.Value == nil {
			delete(s.states, d.Name)
		}
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return st, nil
}

// end makes a replay that has come to its end done.
func (st *State) end(now time.Time) {
	if st.Next > st.Last {
		st.Status, st.Ended = Done, now
	}
}

// commit makes st true together with a record. The context is none, so that a
// commit is not left in doubt. Callers hold mu.
func (s *Set) commit(r *store.Record, st State) error {
	b, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("encode the replay %s: %w", st.ID, err)
	}
	r.Documents = append(r.Documents, store.Document{Kind: kind, Name: st.ID, Value: b})
	if _, err := s.Store.Commit(context.Background(), r); err != nil {
		s.doubt[st.ID] = !refused(err)
		return err
	}
	s.states[st.ID] = st
	return nil
}

// refused says that nothing of a record was stored.
func refused(err error) bool {
	for _, known := range []error{store.ErrFull, store.ErrBusy, store.ErrClosed, store.ErrTooLarge, store.ErrOutOfOrder} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// unfit says that a record was refused because of what is in it.
func unfit(err error) bool {
	return errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrOutOfOrder)
}

// errDoubt is given until the document is read again.
var errDoubt = errors.New("it is not known what the last commit has left")

// Cancel ends a replay: what it has made goes on. It gives [store.ErrNotFound], and
// one that has ended as it is.
func (s *Set) Cancel(id string) (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.states[id]
	if !ok {
		return State{}, store.ErrNotFound
	}
	if st.Status != Running {
		return st, nil
	}
	if s.doubt[id] {
		if err := s.reread(id); err != nil {
			return State{}, err
		}
		if st = s.states[id]; st.Status != Running {
			return st, nil
		}
	}
	st.Status, st.Ended = Cancelled, time.Now().UTC()
	if err := s.commit(&store.Record{}, st); err != nil {
		return State{}, err
	}
	if s.making == id && s.stop != nil {
		s.stop()
	}
	return st, nil
}

// reread takes over what the store has of a replay. Callers hold mu.
func (s *Set) reread(id string) error {
	b, err := s.Store.Document(context.Background(), kind, id)
	if err != nil {
		return fmt.Errorf("read the replay %s: %w", id, err)
	}
	var st State
	if err := json.Unmarshal(b, &st); err != nil {
		return fmt.Errorf("read the replay %s: %w", id, err)
	}
	if s.states[id].Next < st.Next { // the commit was made after all
		s.Refresh()
	}
	s.states[id], s.doubt[id] = st, false
	return nil
}

// Get gives a replay, or [store.ErrNotFound].
func (s *Set) Get(id string) (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.states[id]
	if !ok {
		return State{}, store.ErrNotFound
	}
	return st, nil
}

// All gives the replays, newest first.
func (s *Set) All() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.states), func(a, b State) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
	})
}

// oldest is the replay that is to be gone on with.
func (s *Set) oldest() (st State, ok bool) {
	all := s.All()
	for _, x := range slices.Backward(all) {
		if x.Status == Running {
			return x, true
		}
	}
	return State{}, false
}

// Run makes replays, one after another, until ctx ends.
func (s *Set) Run(ctx context.Context) {
	told := false
	for ctx.Err() == nil {
		st, ok := s.oldest()
		if !ok {
			select {
			case <-ctx.Done():
			case <-s.more:
			}
			continue
		}
		err := s.run(ctx, st.ID)
		switch {
		case err == nil:
			told = false
			continue
		case errors.Is(err, store.ErrClosed) || ctx.Err() != nil:
			return
		case !told:
			told = true
			s.Log.Error("a replay stands still, trying again every second", "replay", st.ID, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// run goes on with a replay until it has ended or something fails.
func (s *Set) run(ctx context.Context, id string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.mu.Lock()
	s.stop, s.making = stop, id
	var err error
	if s.doubt[id] {
		err = s.reread(id)
	}
	st := s.states[id]
	s.mu.Unlock()
	if err != nil {
		return err
	}
	var limit *rate.Limiter
	most := stepEvents
	if st.Rate > 0 {
		most = min(max(st.Rate/10, 1), stepEvents)
		limit = rate.NewLimiter(rate.Limit(st.Rate), most)
	}
	var ahead []*event.Event
	for events := most; ; events = min(2*events, most) {
		if st, err = s.Get(id); err != nil || st.Status != Running {
			return err
		}
		// Ingest is refused then: what is replayed would take the last space.
		if err := s.Store.Err(); err != nil {
			return err
		}
		for {
			ahead, err = s.step(ctx, st, events, limit, ahead)
			if !unfit(err) || events == 1 {
				break
			}
			events = 1 // one event is too large, or retention has just taken it
		}
		if cancelled, _ := s.Get(id); cancelled.Status != Running {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// step makes the next routings of a replay, of so many events at most. ahead is what
// was read of the log; it gives that again, or what it has read.
func (s *Set) step(ctx context.Context, st State, most int, limit *rate.Limiter, ahead []*event.Event) ([]*event.Event, error) {
	list := ahead
	for len(list) > 0 && list[0].Position < st.Next {
		list = list[1:]
	}
	if len(list) == 0 {
		var err error
		if list, err = s.Store.Events(ctx, st.Next, stepEvents); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
	}
	record, size := &store.Record{}, 0
	var of []*event.Event // of the routings
	if len(list) == 0 {
		st.Next = st.Last + 1
	}
	for _, e := range list {
		if e.Position > st.Last {
			st.Next = st.Last + 1
			break
		}
		if len(record.Routings) == most || size > stepBytes {
			break
		}
		st.Next = e.Position + 1
		if !st.takes(e) {
			continue
		}
		r, err := s.Decide(ctx, e, &st.Ask, st.ID)
		if errors.Is(err, store.ErrNotFound) {
			continue // retention has just taken it
		}
		if err != nil {
			return list, fmt.Errorf("replay %s: %w", e.ID, err)
		}
		if r.Failed > 0 {
			s.Log.Warn("a plugin failed, so a route delivers nothing of the event again", "replay", st.ID, "event", e.ID)
		}
		st.add(r)
		if r.Routing != nil {
			record.Routings, of = append(record.Routings, r.Routing), append(of, e)
			size += r.Routing.Size()
		}
	}
	if limit != nil && len(record.Routings) > 0 {
		if err := limit.WaitN(ctx, len(record.Routings)); err != nil {
			return list, err
		}
	}
	st.end(time.Now().UTC())
	return list, s.advance(record, of, st)
}

// advance commits a step, whose routings are of events, unless the replay was cancelled
// meanwhile.
func (s *Set) advance(r *store.Record, of []*event.Event, st State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.states[st.ID]
	if before.Status != Running {
		return nil
	}
	if s.doubt[st.ID] {
		return errDoubt
	}
	if len(r.Routings) == 0 && st.Status == Running {
		s.states[st.ID] = st // a crash looks at them once more, and that is all
		return nil
	}
	err := s.commit(r, st)
	if unfit(err) && len(r.Routings) == 1 {
		s.Log.Warn("an event is not replayed, because what it has led to is too large, or retention has taken it", "replay", st.ID,
			"position", r.Routings[0].Position, "error", err)
		st.Events, st.Deliveries, st.Failed = before.Events, before.Deliveries, st.Failed+1
		r = &store.Record{}
		err = s.commit(r, st)
	}
	if err != nil {
		return err
	}
	for i, routing := range r.Routings {
		s.Committed(of[i], routing)
	}
	if st.Status == Done {
		s.Log.Info("a replay is done", "replay", st.ID, "events", st.Events, "deliveries", st.Deliveries, "skipped", st.Skipped, "failed", st.Failed)
	}
	return nil
}

// Count says what a replay would make, and changes nothing. It takes a bounded
// time; whole is false where that was not enough.
func (s *Set) Count(ctx context.Context, ask Ask) (c Counts, whole bool, err error) {
	next, last, err := s.span(ctx, &ask)
	if err != nil {
		return c, false, err
	}
	for end := time.Now().Add(countFor); next <= last; {
		list, err := s.Store.Events(ctx, next, stepEvents)
		if err != nil || len(list) == 0 {
			return c, err == nil, err
		}
		for _, e := range list {
			if e.Position > last {
				return c, true, nil
			}
			if next = e.Position + 1; !ask.takes(e) {
				continue
			}
			r, err := s.Decide(ctx, e, &ask, "")
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return c, false, err
			}
			c.add(r)
		}
		if next <= last && time.Now().After(end) {
			return c, false, nil
		}
	}
	return c, true, nil
}
