// Package lane sends deliveries. Each destination has a lane: a queue of its
// own that sends, retries on its schedule and waits, and never slows another.
//
// # Invariants
//
//   - A delivery is in the hands of at most one worker of its lane.
//   - What is taken from the store stays in it until its outcome is committed: a
//     crash sends it again, with the same webhook-id and the same bytes.
//   - The cursor that a lane commits never passes a posting whose outcome is not
//     in the same record or an earlier one.
//   - A lane holds a bounded number of deliveries in memory, however many wait.
//   - A lane with nothing to do has no goroutine. One that only waits for a due
//     time has a timer.
//   - A posting is sent before its routing is committed only where all before it
//     in the lane have been taken; its outcome is committed after the routing.
//   - A lane that is paused, disabled or held begins no attempt, and one whose
//     breaker is open begins one each cooldown. Such a probe, and an answer with
//     Retry-After, use up nothing of a delivery's schedule.
//   - Of an ordered lane a delivery begins only when all before it of its key have
//     ended, over restarts and crashes too; what waits for that is in the store.
//   - That a lane is paused or disabled is on disk before Pause, Disable or Resume
//     return, and with the outcome that disabled it: no start undoes it.
//
// # Goroutines
//
// A [Set] owns all of them: the recorder, which commits the outcomes of all lanes
// together; the workers, at most as many per lane as its concurrency, which leave
// it when it has nothing ready, some of them to wait for another lane; and after a
// reload one for each replaced Try, which ends with the last call of it. Set.Close
// waits for them.
package lane

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

const (
	// window bounds how far a lane runs ahead of its oldest unsettled posting,
	// and so the size of the cursor.
	window = 8192
	// fetch is how many postings a lane reads at a time.
	fetch = 256
	// unflushed bounds the outcomes that wait in memory for the store: past it
	// the lane pauses.
	unflushed = 4096
	// recheck bounds every timer, so that a clock that jumps is noticed.
	recheck = 30 * time.Second
)

// Work is one delivery to be tried.
type Work struct {
	Ref      store.Ref
	Event    *event.Event
	Routing  *store.Routing
	Delivery *store.Delivery
	// Number of the attempt, from 1.
	Number int
	// Last: the schedule has no further try after this one.
	Last bool
}

// Result is how a try ended.
type Result struct {
	// OK ends the delivery as delivered.
	OK bool
	// Attempt is recorded; its Number is set by the lane.
	Attempt store.Attempt
	// Dead, where set, ends the delivery without further tries.
	Dead store.Reason
	// Gone says that the receiver wants no more deliveries at all (410): the
	// destination is to be disabled.
	Gone bool
	// RetryAfter is what the receiver asked for, 0 when it did not. Such a try
	// costs no attempt. Hold makes the whole lane wait for it.
	RetryAfter time.Duration
	Hold       bool
	// Blameless says that a failure tells nothing of the receiver.
	Blameless bool
	// Again, on success, is committed together with the outcome, and the
	// delivery then ends as cancelled, with Note: a route that was run again.
	Again *store.Routing
	Note  string
	// Reply is an event that is stored together with the outcome.
	Reply *event.Event
	// Cancelled ends the delivery as cancelled, with Note: nothing was tried.
	Cancelled bool
}

// Try sends one delivery. It is called by several goroutines at once. When ctx
// ends it returns soon; its result is then thrown away and the delivery is tried
// again later.
type Try func(ctx context.Context, w *Work) Result

// Policy is what a lane does with results.
type Policy struct {
	// Schedule is the delay before each attempt; its length is the most attempts.
	Schedule []time.Duration
	// Jitter multiplies each delay by 1 ± Jitter.
	Jitter float64
	// Concurrency is the most tries at once.
	Concurrency int
	// Dead is the reason given when the schedule is used up.
	Dead store.Reason
	// Rate bounds how many attempts begin in a second, 0: not at all. Burst is how
	// many of them may begin at once.
	Rate  float64
	Burst int
	// Breaker stops the lane while its attempts fail.
	Breaker Breaker
	// DisableAfter disables the lane once it had no success for that long, and ten
	// attempts have failed; 0 never.
	DisableAfter time.Duration
	// Pull leaves what is posted where it is: receivers fetch it, see [Set.Settle].
	Pull bool
	// Order of deliveries, nil for none.
	Order *Order
	// MaxAge ends deliveries whose event was received longer ago, 0 none.
	MaxAge time.Duration
}

// limiter is what holds the lane to its rate.
func (p *Policy) limiter() *rate.Limiter {
	if p.Rate <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(p.Rate), max(p.Burst, 1))
}

// delay before the attempt after tries have been used up, with jitter.
func (p *Policy) delay(tries int) time.Duration {
	d := p.Schedule[tries]
	return time.Duration(float64(d) * (1 + p.Jitter*(2*rand.Float64()-1)))
}

// lane is one destination's queue in memory. mu guards everything below it.
type lane struct {
	name string
	set  *Set

	mu      sync.Mutex
	try     *handle
	policy  Policy
	idle    bool // its destination is not configured: nothing is sent
	workers int
	queued  bool // it waits in the set's line for a worker; the set's mu guards it
	timer   *time.Timer
	wakeAt  time.Time // when timer fires, zero when it is not set
	held    time.Time // nothing is sent before
	early   time.Time // no first attempt is made before
	moved   time.Time // when an attempt ended last
	health  health
	order   order
	limit   *rate.Limiter // nil where the policy has no rate
	pledged int           // of the limit, taken and not spent
	trying  int           // attempts in flight
	telling bool          // a notice waits for its time

	next      store.Ref     // postings before it have been taken
	reach     uint64        // position of the newest posting taken
	ahead     []posting     // known and not taken yet
	covered   store.Ref     // postings before it have been taken or are in ahead
	skipped   store.Ref     // those before it that are not covered are to be read from the store
	more      bool          // the store may have postings that were not read
	taken     []taken       // taken postings from the oldest unsettled one on
	above     []store.Ref   // settled by an earlier run, at or after its low mark
	returned  []job         // taken, could not be tried, to be tried again
	retries   []store.Retry // read and not taken yet, by due time
	stale     bool          // the store may have retries that were not read
	busy      map[store.Ref]bool
	turn      bool // whose turn it is when retries and postings are both ready
	dirty     bool // it is in the recorder's list
	outcomes  []store.Outcome
	routings  []*store.Routing
	events    []*event.Event // notices, to be stored with the outcomes
	changed   bool           // health is to be stored
	saved     chan struct{}  // closed when all that is gathered is on disk, nil where nobody waits
	saving    chan struct{}  // the same for what is being committed
	inCommit  int            // outcomes that the recorder is committing
	reading   bool
	arrived   chan struct{} // closed when something is posted, nil where nobody waits
	readError error
}

// handle is a Try with the calls that are running, so that what it uses can be
// freed when it is replaced.
type handle struct {
	try   Try
	calls sync.WaitGroup
}

type taken struct {
	ref     store.Ref
	settled bool
}

type job struct {
	posting
	retry    bool
	tries    int
	attempts int
	probe    bool   // by an open breaker
	key      uint64 // of the order whose head it is, 0 for none
	claims   bool   // its key is not known yet, and no other posting is taken
	pledged  bool   // it has taken one of the rate
	// failures counts how often it could not be loaded; it is not tried again
	// before notBefore.
	failures  int
	notBefore time.Time
}

// open reads the lane's cursor. Nothing is sent yet.
func (l *lane) open(ctx context.Context) error {
	state, err := l.set.store.Lane(ctx, l.name)
	if err != nil {
		return err
	}
	l.next, l.covered = state.Cursor.Low, state.Cursor.Low
	l.above = state.Cursor.Above
	l.limit = l.policy.limiter()
	if l.health, err = l.set.healthOf(ctx, l.name); err != nil {
		return err
	}
	l.more, l.stale = true, true
	l.busy = map[store.Ref]bool{}
	if state.Counts.Retrying > 0 {
		return l.order.recover(ctx, l.set.store, l.name, l.policy.Order != nil || l.idle)
	}
	l.order.keys = map[uint64]*keyState{}
	return nil
}

// wake says that there may be work in the store: postings, or retries.
func (l *lane) wake(postings, retries bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.more = l.more || postings
	l.stale = l.stale || retries
	l.announce()
	l.start()
}

// announce tells those that wait for something to come. Callers hold mu.
func (l *lane) announce() {
	if l.arrived != nil {
		close(l.arrived)
		l.arrived = nil
	}
}

// Arrived gives a channel that is closed when something is posted to a lane.
func (s *Set) Arrived(name string) <-chan struct{} {
	l := s.get(name)
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.arrived == nil {
		l.arrived = make(chan struct{})
	}
	return l.arrived
}

// refresh forgets what was read and not taken.
func (l *lane) refresh() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	l.stale = true
	l.start()
}

// start adds a worker where one more may find work. Callers hold mu.
func (l *lane) start() {
	if l.policy.Pull {
		return
	}
	if l.workers < l.policy.Concurrency && l.set.employ(l) {
		l.workers++
	}
}

// work is what a worker does for the lane: it takes what is ready until nothing
// is.
func (l *lane) work() {
	for first := true; ; first = false {
		l.mu.Lock()
		var j job
		ok := l.workers <= l.policy.Concurrency && (first || !l.yield()) // a reload may have lowered it
		if ok {
			j, ok = l.take()
		}
		if !ok {
			l.workers--
			l.mu.Unlock()
			return
		}
		// One policy and one Try for the whole attempt, whatever a reload brings.
		h, policy := l.try, l.policy
		h.calls.Add(1)
		l.trying++
		if len(l.ahead) > 0 || len(l.retries) > 0 || len(l.order.freed) > 0 || l.more || l.stale {
			l.start()
		}
		l.mu.Unlock()
		l.do(j, h.try, &policy)
		h.calls.Done()
		l.done(j)
	}
}

// done ends what a job has taken of the lane.
func (l *lane) done(j job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trying--
	if j.probe {
		l.health.probed = false
		l.start()
	}
}

// take gives the next delivery that is ready. Callers hold mu. When it gives
// none it has set a timer, or something else will wake the lane.
func (l *lane) take() (job, bool) {
	if l.idle || l.set.stopped.Load() || len(l.outcomes)+l.inCommit >= unflushed {
		return job{}, false // the recorder wakes the lane when it has committed
	}
	now := l.set.now()
	ok, probe := l.gate(now)
	if !ok {
		return job{}, false
	}
	if l.limit != nil {
		// What other workers have taken and not spent yet is not there any more.
		if missing := float64(1+l.pledged) - l.limit.TokensAt(now); missing > 0 {
			l.sleep(time.Duration(missing / l.policy.Rate * float64(time.Second)))
			return job{}, false
		}
		l.pledged++ // before choose, which may let go of mu
	}
	pledged := l.limit != nil
	j, ok := l.choose(now, probe)
	if !ok {
		if pledged {
			l.pledged--
		}
		return j, false
	}
	j.pledged = pledged
	if j.probe {
		l.health.probed = true
	}
	return j, true
}

// choose gives the next delivery whose time has come.
func (l *lane) choose(now time.Time, probe bool) (j job, ok bool) {
	defer func() { j.probe = ok && probe }()
	if j, ok := l.takeReturned(now); ok {
		return j, true
	}
	for l.stale || len(l.ahead) == 0 && l.more || l.order.wantChain() != 0 {
		if l.reading {
			return job{}, false // the worker that reads goes on
		}
		var err error
		if key := l.order.wantChain(); key != 0 {
			err = l.readChain(key)
		} else {
			err = l.read()
		}
		if err != nil {
			if l.readError == nil || l.readError.Error() != err.Error() {
				l.set.log.Error("cannot read the lane from the store, trying again", "destination", l.name, "error", err)
			}
			l.readError = err
			l.sleep(time.Second)
			return job{}, false
		}
		l.readError = nil
	}
	if ok, probe = l.gate(now); !ok || l.idle { // since it was read
		return job{}, false
	}
	if j, ok := l.takeFreed(); ok {
		return j, true
	}
	l.turn = !l.turn
	if l.turn {
		if j, ok := l.takeRetry(now); ok {
			return j, true
		}
		return l.takePosting(now)
	}
	if j, ok := l.takePosting(now); ok {
		return j, true
	}
	return l.takeRetry(now)
}

// read fills ahead and retries from the store where they are empty and the
// store may have more. It lets go of mu meanwhile: whoever wakes the lane must
// not wait for the disk.
func (l *lane) read() error {
	ctx := l.set.ctx
	wantPostings, wantRetries := len(l.ahead) == 0 && l.more, l.stale
	next, busy, posted := l.next, len(l.busy), l.set.store.Progress()
	// Cleared first: what a wake sets while the store is read is not lost.
	l.more, l.stale = l.more && !wantPostings, false
	l.reading = true
	l.mu.Unlock()
	var postings []store.Posting
	var retries []store.Retry
	var err error
	if wantPostings {
		postings, err = l.set.store.Postings(ctx, l.name, next, fetch)
	}
	if wantRetries && err == nil {
		// Those that are busy are still in the store, at its head.
		retries, err = l.set.store.Retries(ctx, l.name, fetch+busy)
	}
	l.mu.Lock()
	l.reading = false
	if err != nil {
		l.more, l.stale = l.more || wantPostings, l.stale || wantRetries
		return err
	}
	if wantPostings {
		for _, p := range postings { // behind what was put back meanwhile
			if _, settled := slices.BinarySearchFunc(l.above, p.Ref, compare); settled || p.Ref.Less(l.next) {
				continue // by hand, meanwhile
			}
			l.ahead = append(l.ahead, posting{ref: p.Ref})
			l.covered = p.Ref.Next()
		}
		if len(postings) == fetch {
			l.more = true
		} else if all := (store.Ref{Position: posted + 1}); l.covered.Less(all) {
			l.covered = all
		}
	}
	if wantRetries {
		l.retries = l.retries[:0]
		for _, r := range retries {
			if _, parked := store.Parked(r.Due); !parked && !l.busy[r.Ref] {
				l.retries = append(l.retries, r)
			}
		}
	}
	return nil
}

// takeReturned gives a delivery that could not be loaded before, when its time
// has come.
func (l *lane) takeReturned(now time.Time) (job, bool) {
	for i, j := range l.returned {
		if !now.Before(j.notBefore) {
			l.returned = slices.Delete(l.returned, i, i+1)
			return j, true
		}
		l.sleep(j.notBefore.Sub(now))
	}
	return job{}, false
}

func (l *lane) takePosting(now time.Time) (job, bool) {
	if len(l.ahead) == 0 || len(l.taken) >= window || !l.mayClaim() {
		return job{}, false
	}
	if now.Before(l.early) {
		l.sleep(l.early.Sub(now))
		return job{}, false
	}
	p := l.ahead[0]
	l.ahead[0] = posting{}
	l.ahead = l.ahead[1:]
	ref := p.ref
	if !ref.Less(l.next) {
		l.next, l.reach = ref.Next(), ref.Position
	}
	l.taken = slices.Insert(l.taken, l.find(ref), taken{ref: ref}) // at the end, but for one that was put back
	l.busy[ref] = true
	if l.policy.Order == nil {
		return job{posting: p}, true
	}
	l.order.claiming, l.order.claim = true, ref
	return job{posting: p, claims: true}, true
}

func (l *lane) takeRetry(now time.Time) (job, bool) {
	for len(l.retries) > 0 && l.busy[l.retries[0].Ref] { // it is retried by hand
		l.retries = l.retries[1:]
		l.stale = true
	}
	if len(l.retries) == 0 {
		return job{}, false
	}
	r := l.retries[0]
	if wait := r.Due.Sub(now); wait > 0 {
		l.sleep(wait)
		return job{}, false
	}
	l.retries = l.retries[1:]
	if len(l.retries) == 0 {
		l.stale = true // there may be more than were read
	}
	l.busy[r.Ref] = true
	if r.Key != 0 {
		l.order.lead(r.Key, r.Ref)
	}
	return job{posting: posting{ref: r.Ref}, retry: true, key: r.Key, tries: r.Tries, attempts: r.Attempts}, true
}

// sleep wakes the lane after d at the latest. Callers hold mu.
func (l *lane) sleep(d time.Duration) {
	d = min(max(d, time.Millisecond), recheck)
	at := time.Now().Add(d)
	if !l.wakeAt.IsZero() && l.wakeAt.Before(at) {
		return
	}
	l.wakeAt = at
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.alarm)
		return
	}
	l.timer.Reset(d)
}

func (l *lane) alarm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeAt = time.Time{}
	if l.telling {
		l.telling = false
		if events := l.set.eventsOf(l.tell(l.set.now())); l.changed || len(events) > 0 {
			l.events = append(l.events, events...)
			l.report()
		}
	}
	l.start()
}

// report puts the lane on the recorder's list. Callers hold mu.
func (l *lane) report() {
	if !l.dirty {
		l.dirty = true
		l.set.record(l)
	}
}

// do tries one delivery and hands its outcome to the recorder.
func (l *lane) do(j job, try Try, policy *Policy) {
	ctx := l.set.ctx
	w := &Work{Ref: j.ref, Number: j.attempts + 1, Last: j.tries+1 >= len(policy.Schedule)}
	e, routing, err := l.content(ctx, j.posting)
	if err == nil && int(j.ref.Index) >= len(routing.Deliveries) {
		// What was kept may be from before a further routing.
		l.set.cache.forget(j.ref.Position)
		if e, routing, err = l.set.load(ctx, j.ref.Position); err == nil && int(j.ref.Index) >= len(routing.Deliveries) {
			err = errors.New("the delivery is not among those of its event")
		}
	}
	if err != nil {
		l.spend(j, false)
		l.giveBack(j, err)
		return
	}
	w.Event, w.Routing, w.Delivery = e, routing, &routing.Deliveries[j.ref.Index]
	started := l.set.now()
	if ready := e.Received.Add(policy.Schedule[0]); !j.retry && policy.Schedule[0] > 0 && started.Before(ready) {
		l.spend(j, false)
		l.tooEarly(j, ready)
		return
	}
	if policy.MaxAge > 0 && started.Sub(e.Received) > policy.MaxAge {
		l.spend(j, false)
		l.expire(j, w)
		return
	}
	if j.claims && policy.Order != nil && !l.claimKey(&j, policy.Order.key(e, routing, w.Delivery)) {
		l.spend(j, false)
		return
	}
	l.spend(j, true)
	result := try(ctx, w)
	if ctx.Err() != nil && !result.OK {
		l.giveBack(j, nil) // cut short by the shutdown, not by the receiver
		return
	}
	result.Attempt.Number = w.Number
	if result.Attempt.Started.IsZero() {
		result.Attempt.Started = started
	}
	l.finish(j, w, &result, policy)
}

// loadFailures is how often a delivery is loaded in vain before it makes way for
// others, and loadAgain when it is tried again then.
const (
	loadFailures = 3
	loadAgain    = 5 * time.Minute
)

// spend is called for each job that was taken, when it is sent or turns out not to
// be: then it takes nothing of the rate.
func (l *lane) spend(j job, sent bool) {
	if !j.pledged {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pledged--
	if sent && l.limit != nil {
		l.limit.AllowN(l.set.now(), 1)
	}
}

// expire ends a delivery by its age.
func (l *lane) expire(j job, w *Work) {
	o := store.Outcome{
		Ref: j.ref, From: store.Waiting, To: store.Dead, Tries: j.tries, Reason: store.ReasonExpired, Type: w.Event.Type, Tenant: w.Event.Tenant, Received: w.Event.Received,
		Note: "it could not be delivered within max_age",
	}
	if j.retry {
		o.From = store.Retrying
	}
	l.set.observe(l.name, w, &Result{}, &o)
	l.mu.Lock()
	l.unclaim(j)
	l.mu.Unlock()
	l.add(j, o, nil, l.set.eventsOf(dead(nil, l, w, &o))...)
}

// dead adds a notice of a delivery that is.
func dead(notices []Notice, l *lane, w *Work, o *store.Outcome) []Notice {
	if o.To != store.Dead || w.Event.Source == event.SourceWeir {
		return notices
	}
	return append(notices, Notice{Kind: NoticeDead, Destination: l.name, At: l.set.now(), Work: w, Outcome: o})
}

// giveBack keeps a delivery that could not be tried for later. At first nothing
// is recorded, and in the store it is where it was. One that can't be loaded
// again and again, as from a damaged row, becomes a retry, so that the cursor
// can pass it.
func (l *lane) giveBack(j job, err error) {
	now := l.set.now()
	if l.set.ctx.Err() != nil {
		return // the store has it
	}
	if err == nil {
		err = errors.New("the attempt was cut short")
	}
	j.failures++
	l.set.log.Error("cannot load a delivery, trying again", "destination", l.name, "delivery", j.ref.String(), "error", err)
	if j.failures < loadFailures {
		l.mu.Lock()
		defer l.mu.Unlock()
		j.notBefore = now.Add(time.Second)
		l.returned = append(l.returned, j)
		l.sleep(time.Second)
		return
	}
	o := store.Outcome{
		Ref: j.ref, From: store.Waiting, To: store.Retrying, Tries: j.tries, Key: j.key, Due: now.Add(loadAgain),
		Note: "cannot be loaded: " + err.Error(),
	}
	l.mu.Lock()
	l.unclaim(j)
	l.mu.Unlock()
	if j.retry {
		o.From = store.Retrying
	}
	l.add(j, o, nil)
}

// tooEarly puts back a posting whose first delay has not passed. Those behind it
// came later, so nothing is ready before it.
func (l *lane) tooEarly(j job, ready time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.find(j.ref)
	l.taken = slices.Delete(l.taken, i, i+1)
	delete(l.busy, j.ref)
	l.unclaim(j)
	// Other workers may have put back others.
	i = sort.Search(len(l.ahead), func(i int) bool { return !l.ahead[i].ref.Less(j.ref) })
	l.ahead = slices.Insert(l.ahead, i, j.posting)
	if l.early.IsZero() || ready.Before(l.early) || !l.set.now().Before(l.early) {
		l.early = ready
	}
}

// hold makes the whole lane wait. A later answer never shortens it. Callers hold
// mu.
func (l *lane) hold(until time.Time) {
	if until.After(l.held) {
		l.held = until
	}
}

// finish turns a result into an outcome.
func (l *lane) finish(j job, w *Work, result *Result, policy *Policy) {
	now := l.set.now()
	o := store.Outcome{Ref: j.ref, From: store.Waiting, Attempt: &result.Attempt, Tries: j.tries + 1, Note: result.Note, Type: w.Event.Type, Tenant: w.Event.Tenant, Received: w.Event.Received}
	if j.retry {
		o.From = store.Retrying
	}
	if result.Cancelled {
		o.To, o.Attempt, o.Tries = store.Cancelled, nil, j.tries
		l.add(j, o, nil)
		return
	}
	switch {
	case result.OK && result.Again != nil:
		o.To = store.Cancelled
	case result.OK:
		o.To = store.Delivered
	case result.Dead != "":
		o.To, o.Reason = store.Dead, result.Dead
	case result.RetryAfter > 0 || j.probe:
		o.To, o.Tries = store.Retrying, j.tries
		o.Due = now.Add(max(result.RetryAfter, policy.delay(min(j.tries+1, len(policy.Schedule)-1))))
	case o.Tries >= len(policy.Schedule):
		o.To, o.Reason = store.Dead, policy.Dead
	default:
		o.To, o.Due = store.Retrying, now.Add(policy.delay(o.Tries))
	}
	if o.To == store.Retrying {
		o.Key = j.key
	}
	l.set.observe(l.name, w, result, &o)
	l.mu.Lock()
	l.moved = now
	notices := l.judge(now, w, result, policy)
	l.mu.Unlock()
	events := l.set.eventsOf(dead(notices, l, w, &o))
	if result.Reply != nil {
		events = append(events, result.Reply)
	}
	l.add(j, o, result.Again, events...)
}

// add hands an outcome to the recorder.
func (l *lane) add(j job, o store.Outcome, again *store.Routing, events ...*event.Event) {
	l.mu.Lock()
	if !j.retry {
		l.settle(j.ref)
	}
	if o.To != store.Retrying {
		l.order.free(j.key, j.ref)
	}
	l.set.dropOffer(j.offer)
	l.outcomes = append(l.outcomes, o)
	l.events = append(l.events, events...)
	if again != nil {
		l.routings = append(l.routings, again)
	}
	l.report()
	l.mu.Unlock()
}

// find is the place of a reference among the taken postings, which are in order.
func (l *lane) find(ref store.Ref) int {
	return sort.Search(len(l.taken), func(i int) bool { return !l.taken[i].ref.Less(ref) })
}

// settle marks a taken posting, and forgets the settled ones at the front.
func (l *lane) settle(ref store.Ref) {
	i := l.find(ref)
	if i < len(l.taken) && l.taken[i].ref == ref {
		l.taken[i].settled = true
	}
	n := 0
	for n < len(l.taken) && l.taken[n].settled {
		n++
	}
	l.taken = l.taken[n:]
}

// cursor is what may be committed now. Callers hold mu.
func (l *lane) cursor() *store.Cursor {
	c := &store.Cursor{Low: l.next}
	if len(l.taken) > 0 {
		c.Low = l.taken[0].ref
	}
	if len(l.ahead) > 0 && l.ahead[0].ref.Less(c.Low) {
		c.Low = l.ahead[0].ref // it was put back
	}
	for _, t := range l.taken {
		if t.settled {
			c.Above = append(c.Above, t.ref)
		}
	}
	keep := l.above[:0]
	for _, r := range l.above {
		if !r.Less(c.Low) {
			keep = append(keep, r)
		}
	}
	l.above = keep
	if len(keep) > 0 {
		c.Above = append(c.Above, keep...)
		sort.Slice(c.Above, func(i, j int) bool { return c.Above[i].Less(c.Above[j]) })
	}
	return c
}

// gathered is what a lane hands to the recorder. The cursor holds once the
// routing at the position until is committed.
type gathered struct {
	lane     *lane
	outcomes *store.LaneOutcomes // nil where there are none
	routings []*store.Routing
	events   []*event.Event
	document *store.Document // its health, where that has changed
	until    uint64
}

// collect hands everything that is not committed yet to the recorder.
func (l *lane) collect() gathered {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := gathered{lane: l, routings: l.routings, events: l.events, until: l.reach}
	if len(l.outcomes) > 0 {
		g.outcomes = &store.LaneOutcomes{Lane: l.name, Outcomes: l.outcomes, Cursor: l.cursor()}
	}
	if l.changed {
		d, err := l.health.document(l.name)
		if err != nil {
			l.set.log.Error("cannot encode the state of a lane", "destination", l.name, "error", err)
		} else {
			g.document = &d
		}
	}
	l.inCommit = len(l.outcomes)
	l.saving = l.saved
	l.outcomes, l.routings, l.events, l.changed, l.saved, l.dirty = nil, nil, nil, false, nil, false
	return g
}

// committed is told what of the lane is on disk now.
func (l *lane) committed(outcomes *store.LaneOutcomes) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inCommit = 0
	if l.saving != nil {
		close(l.saving)
		l.saving = nil
	}
	if outcomes == nil {
		l.start()
		return
	}
	if l.reading {
		l.stale = true // what is being read may be from before this commit
	}
	for _, o := range outcomes.Outcomes {
		delete(l.busy, o.Ref)
		if o.To != store.Retrying {
			continue
		}
		if key, parked := store.Parked(o.Due); !parked {
			l.stale = true
		} else if k := l.order.keys[key]; k != nil {
			k.fresh--
		}
	}
	l.start()
}
