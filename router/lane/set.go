package lane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// flushEvery is how long outcomes are gathered before they are committed, and
// so the most that a crash can repeat.
const flushEvery = 100 * time.Millisecond

// Observer is told of each outcome, in the goroutine of the worker. It must not
// block.
type Observer func(lane string, w *Work, r *Result, o *store.Outcome)

// Set is all the lanes of a router.
type Set struct {
	store   store.Store
	log     hclog.Logger
	now     func() time.Time
	watch   Observer
	ctx     context.Context // ends when attempts in flight must stop
	cancel  context.CancelFunc
	running sync.WaitGroup // the workers
	cache   cache

	mu      sync.Mutex
	lanes   map[string]*lane
	stopped bool // no new tries
	closed  bool

	dirtyMu  sync.Mutex
	dirty    []*lane
	signal   chan struct{}
	recorder chan struct{} // closed when the recorder has ended
	finish   chan struct{} // closed when the recorder shall end
}

// Options of a Set. The zero value is usable.
type Options struct {
	Logger   hclog.Logger
	Now      func() time.Time
	Observer Observer
}

// NewSet returns a set without lanes over st. Close ends it.
func NewSet(st store.Store, o Options) *Set {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Set{
		store: st, log: o.Logger, now: o.Now, watch: o.Observer, ctx: ctx, cancel: cancel,
		lanes: map[string]*lane{}, signal: make(chan struct{}, 1),
		recorder: make(chan struct{}), finish: make(chan struct{}),
	}
	go s.recordOutcomes()
	return s
}

// Add makes the lane of a destination known. It reads the lane's cursor and
// sends nothing until Wake or Start. A name can be added once.
func (s *Set) Add(ctx context.Context, name string, p Policy, try Try) error {
	if len(p.Schedule) == 0 || p.Concurrency < 1 {
		return fmt.Errorf("lane %s: the policy needs a schedule and a concurrency", name)
	}
	if p.Dead == "" {
		p.Dead = store.ReasonAttempts
	}
	l := &lane{name: name, set: s, policy: p, try: try}
	if err := l.open(ctx); err != nil {
		return fmt.Errorf("lane %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes[name] != nil {
		return fmt.Errorf("lane %s: added twice", name)
	}
	s.lanes[name] = l
	return nil
}

// Start wakes every lane, so that what waited before goes on.
func (s *Set) Start() {
	for _, l := range s.all() {
		l.wake(true, true)
	}
}

// Refresh makes every lane read again what waits for it: retention has ended
// some of it by age.
func (s *Set) Refresh() {
	for _, l := range s.all() {
		l.refresh()
	}
}

// all is a copy: a lane's lock may be held while the set's is taken, never the
// other way round.
func (s *Set) all() []*lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*lane, 0, len(s.lanes))
	for _, l := range s.lanes {
		all = append(all, l)
	}
	return all
}

// Wake tells lanes that routing r was committed.
func (s *Set) Wake(r *store.Routing) {
	if r.Again {
		s.cache.forget(r.Position)
	}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if d.Dead != "" {
			continue
		}
		if l := s.get(d.Lane); l != nil {
			l.wake(d.Due.IsZero(), !d.Due.IsZero())
		}
	}
}

func (s *Set) get(name string) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lanes[name]
}

// Sending reports whether a delivery is in a worker's hands, or its outcome is
// not committed yet.
func (s *Set) Sending(lane string, r store.Ref) bool {
	l := s.get(lane)
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy[r]
}

// ErrSending says that a delivery is being tried at this moment.
var ErrSending = errors.New("the delivery is being sent")

// Retry makes a delivery that is retrying, dead or cancelled due now, with its
// whole schedule before it. It is out of order. The set may be closed: then the
// next router sends it.
func (s *Set) Retry(ctx context.Context, d *store.DeliveryStatus) error {
	l := s.get(d.Delivery.Lane)
	if l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.busy[d.Ref] {
			return ErrSending
		}
	}
	_, err := s.store.Commit(ctx, &store.Record{Outcomes: []store.LaneOutcomes{{
		Lane: d.Delivery.Lane,
		Outcomes: []store.Outcome{{
			Ref: d.Ref, From: d.State, To: store.Retrying, Due: s.now(), Note: "retried by hand",
		}},
	}}})
	if err == nil && l != nil {
		l.stale = true
		l.start()
	}
	return err
}

// begin counts a new worker, unless the set is stopping.
func (s *Set) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.running.Add(1)
	return true
}

func (s *Set) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

func (s *Set) observe(lane string, w *Work, r *Result, o *store.Outcome) {
	if s.watch != nil {
		s.watch(lane, w, r, o)
	}
}

// record puts a lane on the recorder's list.
func (s *Set) record(l *lane) {
	s.dirtyMu.Lock()
	s.dirty = append(s.dirty, l)
	s.dirtyMu.Unlock()
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// recordOutcomes is the recorder: one record for all lanes that have outcomes.
func (s *Set) recordOutcomes() {
	defer close(s.recorder)
	for {
		select {
		case <-s.signal:
		case <-s.finish:
			s.flush()
			return
		}
		select {
		case <-time.After(flushEvery):
		case <-s.finish:
		}
		s.flush()
	}
}

// flush commits what the lanes have gathered.
func (s *Set) flush() {
	s.dirtyMu.Lock()
	lanes := s.dirty
	s.dirty = nil
	s.dirtyMu.Unlock()
	if len(lanes) == 0 {
		return
	}
	r := &store.Record{}
	for _, l := range lanes {
		outcomes, routings := l.collect()
		r.Outcomes = append(r.Outcomes, outcomes)
		r.Routings = append(r.Routings, routings...)
	}
	err := s.commit(r)
	if errors.Is(err, store.ErrOutOfOrder) {
		err = s.commitApart(r)
	}
	if err != nil {
		s.log.Error("outcomes are not recorded; their deliveries will be repeated", "error", err)
		return
	}
	for i, l := range lanes {
		l.committed(r.Outcomes[i].Outcomes)
	}
	for _, routing := range r.Routings {
		s.Wake(routing)
	}
}

// commit tries until it succeeds, the store is closed, the record does not fit
// the state, or the set has to end: outcomes that find no room wait in memory,
// and their lanes pause.
func (s *Set) commit(r *store.Record) error {
	for try := 0; ; try++ {
		_, err := s.store.Commit(context.Background(), r)
		if err == nil || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrOutOfOrder) {
			return err
		}
		if try == 0 {
			s.log.Error("cannot record outcomes, trying again; they will be repeated if the router stops now", "error", err)
		}
		select {
		case <-s.finish:
			if try >= 3 {
				return err
			}
		case <-time.After(time.Second):
		}
	}
}

// commitApart is for a record that does not fit the state, because a delivery
// was ended by age while it was being sent: everything else of the record is
// still to be kept, in as few commits as it takes. An outcome that does not fit
// by itself is told and given up.
func (s *Set) commitApart(r *store.Record) error {
	for _, l := range r.Outcomes {
		var parts []store.LaneOutcomes
		first := store.LaneOutcomes{Lane: l.Lane, Cursor: l.Cursor} // stays with its cursor
		for _, o := range l.Outcomes {
			if o.From == store.Waiting {
				first.Outcomes = append(first.Outcomes, o)
			} else {
				parts = append(parts, store.LaneOutcomes{Lane: l.Lane, Outcomes: []store.Outcome{o}})
			}
		}
		err := s.commitPart(first, r.Routings)
		if errors.Is(err, store.ErrOutOfOrder) {
			for _, o := range first.Outcomes {
				parts = append(parts, store.LaneOutcomes{Lane: l.Lane, Outcomes: []store.Outcome{o}})
			}
			parts = append(parts, store.LaneOutcomes{Lane: l.Lane, Cursor: l.Cursor})
		} else if err != nil {
			return err
		}
		for _, part := range parts {
			err := s.commitPart(part, r.Routings)
			if errors.Is(err, store.ErrOutOfOrder) {
				s.log.Warn("a delivery has changed its state while it was sent; this outcome is not recorded",
					"destination", l.Lane, "outcomes", len(part.Outcomes), "error", err)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// commitPart commits part of a lane's outcomes with the routings that belong to
// them.
func (s *Set) commitPart(part store.LaneOutcomes, routings []*store.Routing) error {
	r := &store.Record{Outcomes: []store.LaneOutcomes{part}}
	for _, o := range part.Outcomes {
		for _, routing := range routings {
			if part.Lane == store.RoutingLane && o.To == store.Cancelled && routing.Position == o.Ref.Position {
				r.Routings = append(r.Routings, routing)
			}
		}
	}
	return s.commit(r)
}

// Stop begins no more tries; those in flight go on. Close does it too.
func (s *Set) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

// Close lets attempts in flight finish until ctx ends, then cuts them short;
// what was not tried stays in the store. It returns when everything has ended
// and the outcomes are committed.
func (s *Set) Close(ctx context.Context) error {
	s.Stop()
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if already {
		<-s.recorder
		return nil
	}
	idle := make(chan struct{})
	go func() {
		s.running.Wait()
		close(idle)
	}()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = fmt.Errorf("attempts were cut short: %w", ctx.Err())
		s.cancel()
		<-idle
	}
	s.cancel()
	for _, l := range s.all() {
		l.mu.Lock()
		if l.timer != nil {
			l.timer.Stop()
		}
		l.mu.Unlock()
	}
	close(s.finish)
	<-s.recorder
	return err
}

// load reads an event and what routing decided for it, from memory where lanes
// share it.
func (s *Set) load(ctx context.Context, position uint64) (*event.Event, *store.Routing, error) {
	return s.cache.load(ctx, s.store, position)
}
