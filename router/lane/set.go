package lane

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
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
	notify  func(*Notice) *event.Event
	ctx     context.Context // ends when attempts in flight must stop
	cancel  context.CancelFunc
	running sync.WaitGroup // the workers that have a lane
	pool    sync.WaitGroup // the workers
	freeing sync.WaitGroup // those that wait to free what a replaced Try used
	cache   cache

	offered     atomic.Int64  // bytes of offered postings that lanes hold
	offeredMany int           // as the constant; tests put a smaller one here
	progress    chan struct{} // the store's progress has grown

	mu          sync.Mutex
	lanes       map[string]*lane
	employed    int               // workers that have a lane
	workersMost int               // as the constant; tests put a smaller one here
	line        []*lane           // lanes that wait for a worker, the one that waits longest first
	scarce      atomic.Bool       // there is a line
	waiting     []worker          // without a lane, the one that waits longest first
	stopped     atomic.Bool       // no new tries; it is set under mu
	healths     map[string]health // as they were at the start, nil when not read
	started     atomic.Bool
	closed      bool
	ended       bool // no worker runs any more, nor will

	dirtyMu  sync.Mutex
	dirty    []*lane
	told     []*event.Event // that no lane has, to be stored
	signal   chan struct{}
	recorder chan struct{} // closed when the recorder has ended
	finish   chan struct{} // closed when the recorder shall end
}

// Options of a Set. The zero value is usable.
type Options struct {
	Logger hclog.Logger
	// Now is the clock of schedules. It should not go back; nil is the wall clock
	// that does not.
	Now      func() time.Time
	Observer Observer
	// Notify is told of a lane's changes, and may give an event that says so; it is
	// stored together with what caused it. It must not block.
	Notify func(*Notice) *event.Event
}

// NewSet returns a set without lanes over st. Close ends it.
func NewSet(st store.Store, o Options) *Set {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Now == nil {
		o.Now = newClock(newestReceived(st)).now
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Set{
		store: st, log: o.Logger, now: o.Now, watch: o.Observer, notify: o.Notify, ctx: ctx, cancel: cancel,
		lanes: map[string]*lane{}, signal: make(chan struct{}, 1),
		recorder: make(chan struct{}), finish: make(chan struct{}), progress: make(chan struct{}, 1),
		offeredMany: offeredMany, workersMost: workersMost,
	}
	go s.recordOutcomes()
	return s
}

// newestReceived is when the newest event was received, zero where there is none.
func newestReceived(st store.Store) time.Time {
	e, err := st.Event(context.Background(), st.Last())
	if err != nil {
		return time.Time{} // it is gone, or can't be read: that is told by who needs it
	}
	return e.Received
}

// Add makes the lane of a destination known. It reads the lane's cursor and
// sends nothing until Posted or Start. A name can be added once.
func (s *Set) Add(ctx context.Context, name string, p Policy, try Try) error {
	p, err := p.complete(name)
	if err != nil {
		return err
	}
	return s.add(ctx, &lane{name: name, set: s, policy: p, try: &handle{try: try}})
}

// AddOrphan makes a lane known whose destination is not configured: it sends
// nothing until Put, and can be emptied.
func (s *Set) AddOrphan(ctx context.Context, name string) error {
	return s.add(ctx, &lane{name: name, set: s, try: &handle{}, idle: true})
}

func (s *Set) add(ctx context.Context, l *lane) error {
	name := l.name
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

// healthOf gives what is kept of a lane. All are read at once, when the first is
// asked for: at a start there may be ten thousand.
func (s *Set) healthOf(ctx context.Context, name string) (health, error) {
	s.mu.Lock()
	known := s.healths
	s.mu.Unlock()
	if known == nil {
		all, err := healths(ctx, s.store, s.now())
		if err != nil {
			return health{}, err
		}
		s.mu.Lock()
		s.healths = all
		s.mu.Unlock()
		known = all
	}
	if s.started.Load() {
		return readHealth(ctx, s.store, name, s.now())
	}
	return known[name], nil
}

func (p Policy) complete(name string) (Policy, error) {
	if p.Pull {
		p.Schedule, p.Concurrency = []time.Duration{0}, 1
	}
	if len(p.Schedule) == 0 || p.Concurrency < 1 {
		return p, fmt.Errorf("lane %s: the policy needs a schedule and a concurrency", name)
	}
	if p.Dead == "" {
		p.Dead = store.ReasonAttempts
	}
	return p, nil
}

// Known reports whether a lane was added.
func (s *Set) Known(name string) bool { return s.get(name) != nil }

// Put gives a lane that was added another policy and Try, and lets it go on.
// Attempts in flight finish by the old ones. free, where not nil, is called once
// no call of the old Try runs any more.
func (s *Set) Put(name string, p Policy, try Try, free func()) error {
	l := s.get(name)
	if l == nil {
		return fmt.Errorf("lane %s: put before it was added", name)
	}
	p, err := p.complete(name)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old := l.try
	l.try, l.policy, l.idle = &handle{try: try}, p, false
	// The receiver that asked for time may be another now, and the first delay too.
	l.held, l.early = time.Time{}, time.Time{}
	if l.health.failures > 0 {
		l.health.reset()
		l.changed = true
		l.report()
	}
	l.limit = p.limiter()
	l.more, l.stale = true, true
	l.start()
	l.mu.Unlock()
	s.release(old, free)
	return nil
}

// Idle lets a lane send nothing until Put: its destination is not configured any
// more. What waits stays in the store.
func (s *Set) Idle(name string, free func()) {
	l := s.get(name)
	if l == nil {
		return
	}
	l.mu.Lock()
	l.idle = true
	l.forget()
	old := l.try
	l.try = &handle{try: old.try} // no call runs by it while the lane is idle
	l.mu.Unlock()
	s.release(old, free)
}

// release calls free when a handle is not in use any more. Close waits for it.
func (s *Set) release(h *handle, free func()) {
	s.mu.Lock()
	ended := s.ended
	if !ended {
		s.freeing.Add(1)
	}
	s.mu.Unlock()
	if ended {
		if free != nil {
			free()
		}
		return
	}
	go func() {
		defer s.freeing.Done()
		h.calls.Wait()
		if free != nil {
			free()
		}
	}()
}

// Start wakes every lane, so that what waited before goes on.
func (s *Set) Start() {
	s.started.Store(true)
	s.mu.Lock()
	s.healths = map[string]health{} // from now on each is read
	s.mu.Unlock()
	for _, l := range s.all() {
		l.wake(true, true)
	}
}

// Refresh makes every lane read again what waits for it: retention has ended
// some of it by age.
func (s *Set) Refresh() {
	for _, l := range s.all() {
		if err := l.recheck(s.ctx); err != nil {
			s.log.Error("cannot find out what retention has ended of a lane", "destination", l.name, "error", err)
		}
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

// InFlight gives the deliveries of a lane of which Sending holds, or those of all
// lanes where name is empty.
func (s *Set) InFlight(name string) []store.Ref {
	var refs []store.Ref
	for _, l := range s.all() {
		if name != "" && l.name != name {
			continue
		}
		l.mu.Lock()
		refs = slices.AppendSeq(refs, maps.Keys(l.busy))
		l.mu.Unlock()
	}
	return refs
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
	s.wakeRecorder()
}

func (s *Set) wakeRecorder() {
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

// recordBytes is about how large a record of outcomes may be. One that is too
// large for the store all the same is committed in pieces.
const recordBytes = 1 << 20

// flush commits what the lanes have gathered, in records of bounded size.
func (s *Set) flush() {
	s.dirtyMu.Lock()
	lanes, told := s.dirty, s.told
	s.dirty, s.told = nil, nil
	s.dirtyMu.Unlock()
	if len(told) > 0 {
		if err := s.commit(&store.Record{Events: newEvents(told)}); err != nil {
			s.log.Error("events of the router are not stored", "events", len(told), "error", err)
		}
	}
	for len(lanes) > 0 {
		var all []gathered
		size, until := 0, uint64(0)
		for len(all) < len(lanes) && size < recordBytes {
			g := lanes[len(all)].collect()
			if g.outcomes != nil {
				until = max(until, g.until)
				for i := range g.outcomes.Outcomes {
					size += outcomeBytes(&g.outcomes.Outcomes[i])
				}
			}
			for _, e := range g.events {
				size += e.Size()
			}
			size += 64
			all = append(all, g)
		}
		if s.awaitPosted(until) {
			s.flushRecord(all)
		} else {
			s.log.Error("outcomes are not recorded, because routing could not be; their deliveries will be repeated")
		}
		lanes = lanes[len(all):]
	}
}

// outcomeBytes is about what an outcome takes in the store: the row of a
// delivery that is not done at its first try holds its earlier attempts, too.
func outcomeBytes(o *store.Outcome) int {
	size := 256
	if a := o.Attempt; a != nil {
		size += (len(a.Body) + len(a.Error)) * max(1, a.Number)
	}
	return size
}

// ownDedupe is how long the ids of events are remembered that follow from what a
// crash could repeat.
const ownDedupe = 24 * time.Hour

func newEvents(list []*event.Event) []store.NewEvent {
	events := make([]store.NewEvent, 0, len(list))
	for _, e := range list {
		x := store.NewEvent{Event: e}
		if e.Given {
			x.Dedupe = ownDedupe
		}
		events = append(events, x)
	}
	return events
}

func (s *Set) flushRecord(all []gathered) {
	r := &store.Record{}
	for _, g := range all {
		if g.outcomes != nil {
			r.Outcomes = append(r.Outcomes, *g.outcomes)
		}
		r.Routings = append(r.Routings, g.routings...)
		if g.document != nil {
			r.Documents = append(r.Documents, *g.document)
		}
		r.Events = append(r.Events, newEvents(g.events)...)
	}
	err := s.commit(r)
	if inPieces(err) {
		err = s.commitApart(r)
	}
	if err != nil {
		s.log.Error("outcomes are not recorded; their deliveries will be repeated", "error", err)
		return
	}
	for _, g := range all {
		g.lane.committed(g.outcomes)
	}
	for _, routing := range r.Routings {
		s.Posted(routing)
	}
}

// inPieces says that an error may be about a part of the record only.
func inPieces(err error) bool {
	return errors.Is(err, store.ErrOutOfOrder) || errors.Is(err, store.ErrTooLarge)
}

// commit tries until it succeeds, the store is closed, the record can't be
// stored as it is, or the set has to end: outcomes that find no room wait in
// memory, and their lanes pause.
func (s *Set) commit(r *store.Record) error {
	for try := 0; ; try++ {
		_, err := s.store.Commit(context.Background(), r)
		if errors.Is(err, store.ErrFull) && len(r.Events) > 0 {
			// Replies are kept, so that their deliveries do not end without them.
			replies := slices.DeleteFunc(slices.Clone(r.Events), func(e store.NewEvent) bool { return e.Event.Source != event.SourceReply })
			if len(replies) < len(r.Events) {
				s.log.Warn("the disk has no room for the router's own events, they are dropped", "events", len(r.Events)-len(replies))
				r.Events = replies
				continue
			}
		}
		if err == nil || errors.Is(err, store.ErrClosed) || inPieces(err) {
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

// commitApart is for a record that is too large, or does not fit the state
// because a delivery was ended by age while it was being sent: everything else
// of it is still to be kept.
func (s *Set) commitApart(r *store.Record) error {
	if len(r.Events)+len(r.Documents) > 0 {
		if err := s.commit(&store.Record{Events: r.Events, Documents: r.Documents}); err != nil && !inPieces(err) {
			return err
		}
	}
	for _, l := range r.Outcomes {
		if err := s.commitPart(l.Lane, l.Outcomes, r.Routings); err != nil {
			return err
		}
		if l.Cursor == nil {
			continue
		}
		// Each outcome has settled its own posting; the cursor makes that short.
		err := s.commit(&store.Record{Outcomes: []store.LaneOutcomes{{Lane: l.Lane, Cursor: l.Cursor}}})
		if err != nil && !inPieces(err) {
			return err
		}
	}
	return nil
}

// commitPart commits a lane's outcomes, in halves where they can't be committed
// together. One that can't be committed by itself is told and given up.
func (s *Set) commitPart(lane string, outcomes []store.Outcome, routings []*store.Routing) error {
	if len(outcomes) == 0 {
		return nil
	}
	r := &store.Record{Outcomes: []store.LaneOutcomes{{Lane: lane, Outcomes: outcomes}}}
	for _, o := range outcomes {
		for _, routing := range routings {
			if lane == store.RoutingLane && o.To == store.Cancelled && routing.Position == o.Ref.Position {
				r.Routings = append(r.Routings, routing)
			}
		}
	}
	err := s.commit(r)
	if !inPieces(err) {
		return err
	}
	if half := len(outcomes) / 2; half > 0 {
		if err := s.commitPart(lane, outcomes[:half], routings); err != nil {
			return err
		}
		return s.commitPart(lane, outcomes[half:], routings)
	}
	o := outcomes[0]
	if errors.Is(err, store.ErrTooLarge) && o.Attempt != nil && len(o.Attempt.Body) > 0 {
		bare := *o.Attempt // the outcome matters more than what the receiver said
		bare.Body = nil
		o.Attempt = &bare
		return s.commitPart(lane, []store.Outcome{o}, routings)
	}
	s.log.Warn("an outcome is not recorded: the delivery has changed its state while it was sent, or does not fit",
		"destination", lane, "delivery", o.Ref.String(), "outcome", o.To, "error", err)
	return nil
}

// Stop begins no more tries; those in flight go on. Close does it too.
func (s *Set) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped.Store(true)
	for _, w := range s.waiting {
		close(w)
	}
	s.waiting = nil
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
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.pool.Wait()
	for _, l := range s.all() {
		l.mu.Lock()
		if l.timer != nil {
			l.timer.Stop()
		}
		l.mu.Unlock()
	}
	close(s.finish)
	<-s.recorder
	s.freeing.Wait()
	return err
}

// load reads an event and what routing decided for it, from memory where lanes
// share it.
func (s *Set) load(ctx context.Context, position uint64) (*event.Event, *store.Routing, error) {
	return s.cache.load(ctx, s.store, position)
}
