package lane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

func openStore(t *testing.T, dir string) store.Store {
	t.Helper()
	st, err := badger.Open(context.Background(), badger.Options{Path: dir, Retention: 24 * time.Hour, MaxAge: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// post stores n events and routes each to the lanes. It returns the positions.
func post(t *testing.T, st store.Store, n int, lanes ...string) []*store.Routing {
	t.Helper()
	var all []*store.Routing
	for range n {
		now := time.Now()
		result, err := st.Commit(context.Background(), &store.Record{Events: []store.NewEvent{{Event: &event.Event{
			ID: event.NewID(now), Type: "test", Source: "events", Time: now, Received: now, ContentType: "application/json", Data: []byte(`{}`),
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		r := &store.Routing{Position: result.Events[0].Position, Config: "c", Matches: []store.Match{{Route: "r"}}}
		for _, l := range lanes {
			r.Deliveries = append(r.Deliveries, store.Delivery{Lane: l, Content: -1})
		}
		if _, err := st.Commit(context.Background(), &store.Record{Routings: []*store.Routing{r}}); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func status(t *testing.T, st store.Store, r store.Ref) *store.DeliveryStatus {
	t.Helper()
	d, err := st.Delivery(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func policy(concurrency int, schedule ...time.Duration) Policy {
	return Policy{Schedule: schedule, Concurrency: concurrency}
}

func add(t *testing.T, s *Set, name string, p Policy, try Try) {
	t.Helper()
	if err := s.Add(context.Background(), name, p, try); err != nil {
		t.Fatal(err)
	}
}

func closeSet(t *testing.T, s *Set) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func failed(reason string) Result {
	return Result{Attempt: store.Attempt{Reason: reason, Status: 500, Error: "it said no"}}
}

func TestRetryUntilAccepted(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	var numbers []int
	add(t, s, "crm", policy(1, 0, 1, 1, 1, 1), func(_ context.Context, w *Work) Result {
		numbers = append(numbers, w.Number)
		if len(numbers) < 5 {
			return failed("status")
		}
		return Result{OK: true, Attempt: store.Attempt{Status: 200}}
	})
	r := post(t, st, 1, "crm")[0]
	s.Posted(r)
	ref := store.Ref{Position: r.Position}
	await(t, "the delivery", func() bool { return status(t, st, ref).State == store.Delivered })
	closeSet(t, s)
	d := status(t, st, ref)
	if len(d.Attempts) != 5 || fmt.Sprint(numbers) != "[1 2 3 4 5]" {
		t.Errorf("attempts %v recorded as %+v", numbers, d.Attempts)
	}
	for i, a := range d.Attempts {
		if a.Number != i+1 || (a.Reason == "") != (i == 4) {
			t.Errorf("attempt %d is recorded as %+v", i+1, a)
		}
	}
	l, err := st.Lane(context.Background(), "crm")
	if err != nil || l.Counts != (store.Counts{Delivered: 1}) {
		t.Errorf("counts %+v, %v", l.Counts, err)
	}
}

func TestDeadThenRetriedByHand(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	var accept atomic.Bool
	add(t, s, "crm", policy(2, 0, 1), func(context.Context, *Work) Result {
		if accept.Load() {
			return Result{OK: true}
		}
		return failed("status")
	})
	r := post(t, st, 1, "crm")[0]
	s.Posted(r)
	ref := store.Ref{Position: r.Position}
	await(t, "the dead letter", func() bool { return status(t, st, ref).State == store.Dead })
	d := status(t, st, ref)
	if d.Reason != store.ReasonAttempts || len(d.Attempts) != 2 {
		t.Errorf("reason %q after %d attempts, want attempts after 2", d.Reason, len(d.Attempts))
	}
	accept.Store(true)
	await(t, "the retry to be taken", func() bool { return s.Retry(context.Background(), d) == nil })
	await(t, "the delivery", func() bool { return status(t, st, ref).State == store.Delivered })
	closeSet(t, s)
	if d := status(t, st, ref); len(d.Attempts) != 3 || d.Attempts[2].Number != 3 {
		t.Errorf("attempts are not counted on: %+v", d.Attempts)
	}
}

func TestGoneIsDeadAtOnce(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	add(t, s, "crm", policy(1, 0, 1, 1), func(context.Context, *Work) Result {
		r := failed("status")
		r.Dead = store.ReasonGone
		return r
	})
	r := post(t, st, 1, "crm")[0]
	s.Posted(r)
	ref := store.Ref{Position: r.Position}
	await(t, "the dead letter", func() bool { return status(t, st, ref).State == store.Dead })
	closeSet(t, s)
	if d := status(t, st, ref); d.Reason != store.ReasonGone || len(d.Attempts) != 1 {
		t.Errorf("%s after %d attempts", d.Reason, len(d.Attempts))
	}
}

// A slow lane must not slow another, and no lane may exceed its concurrency.
func TestLanesAreApart(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	var inFlight, most, fast atomic.Int64
	block := make(chan struct{})
	add(t, s, "slow", policy(3, 0), func(context.Context, *Work) Result {
		n := inFlight.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-block
		inFlight.Add(-1)
		return Result{OK: true}
	})
	add(t, s, "fast", policy(2, 0), func(context.Context, *Work) Result {
		fast.Add(1)
		return Result{OK: true}
	})
	for _, r := range post(t, st, 50, "slow", "fast") {
		s.Posted(r)
	}
	await(t, "the fast lane to be empty while the slow one hangs", func() bool { return fast.Load() == 50 })
	await(t, "the slow lane to be full", func() bool { return inFlight.Load() == 3 })
	close(block)
	await(t, "the slow lane to be empty", func() bool {
		l, err := st.Lane(context.Background(), "slow")
		return err == nil && l.Counts.Delivered == 50
	})
	closeSet(t, s)
	if most.Load() != 3 {
		t.Errorf("%d tries at once, want the concurrency, 3", most.Load())
	}
}

// Attempts that a stop cuts short are not recorded, and their deliveries are
// tried by the next run, each of them, none that was delivered again.
func TestStopHandsBack(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	s := NewSet(st, Options{})
	var done sync.Map
	add(t, s, "crm", policy(4, 0, time.Hour), func(ctx context.Context, w *Work) Result {
		if w.Ref.Position%2 == 0 {
			<-ctx.Done() // a receiver that hangs
			return failed("stopped")
		}
		done.Store(w.Ref, true)
		return Result{OK: true}
	})
	routings := post(t, st, 9, "crm")
	for _, r := range routings {
		s.Posted(r)
	}
	await(t, "the lane to hang", func() bool {
		n := 0
		for _, r := range routings {
			if s.Sending("crm", store.Ref{Position: r.Position}) {
				n++
			}
		}
		return n == 4
	})
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(cut); !errors.Is(err, context.Canceled) {
		t.Errorf("Close gave %v, want to be told that attempts were cut short", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	st = openStore(t, dir)
	s = NewSet(st, Options{})
	var again sync.Map
	add(t, s, "crm", policy(4, 0), func(_ context.Context, w *Work) Result {
		if _, before := done.Load(w.Ref); before {
			t.Errorf("%v was delivered and recorded, and is sent again", w.Ref)
		}
		if w.Number != 1 {
			t.Errorf("%v: attempt %d, want 1: what was cut short does not count", w.Ref, w.Number)
		}
		again.Store(w.Ref, true)
		return Result{OK: true}
	})
	s.Start()
	await(t, "everything to be delivered", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == 9
	})
	closeSet(t, s)
	for _, r := range routings {
		ref := store.Ref{Position: r.Position}
		_, a := done.Load(ref)
		_, b := again.Load(ref)
		if a == b {
			t.Errorf("%v: sent before %v, after %v", ref, a, b)
		}
	}
}

// The cursor must not pass a posting that has no outcome, or a crash loses it.
func TestCursorWaitsForTheOldest(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	block := make(chan struct{})
	routings := post(t, st, 20, "crm")
	oldest := store.Ref{Position: routings[0].Position}
	add(t, s, "crm", policy(2, 0), func(_ context.Context, w *Work) Result {
		if w.Ref == oldest {
			<-block
		}
		return Result{OK: true}
	})
	s.Start()
	await(t, "the others to be recorded", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == 19
	})
	l, err := st.Lane(context.Background(), "crm")
	if err != nil {
		t.Fatal(err)
	}
	if oldest.Less(l.Cursor.Low) || l.Cursor.Settled(oldest) {
		t.Errorf("the cursor %+v has passed %v, which has no outcome", l.Cursor, oldest)
	}
	postings, err := st.Postings(context.Background(), "crm", store.Ref{}, 100)
	if err != nil || len(postings) != 1 || postings[0].Ref != oldest {
		t.Errorf("a router that starts now finds %v, %v, want only %v", postings, err, oldest)
	}
	close(block)
	await(t, "the oldest", func() bool { return status(t, st, oldest).State == store.Delivered })
	closeSet(t, s)
}

// Retry-After is a floor, costs no attempt, and holds the lane where asked.
func TestRetryAfter(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	var tries atomic.Int64
	add(t, s, "crm", policy(1, 0), func(context.Context, *Work) Result {
		if tries.Add(1) < 4 {
			r := failed("status")
			r.RetryAfter, r.Hold = 20*time.Millisecond, true
			return r
		}
		return Result{OK: true}
	})
	r := post(t, st, 1, "crm")[0]
	s.Posted(r)
	ref := store.Ref{Position: r.Position}
	await(t, "the delivery, though its schedule has one attempt", func() bool { return status(t, st, ref).State == store.Delivered })
	closeSet(t, s)
	d := status(t, st, ref)
	if len(d.Attempts) != 4 {
		t.Fatalf("%d attempts recorded", len(d.Attempts))
	}
	for i := 1; i < 4; i++ {
		if d.Attempts[i].Started.Sub(d.Attempts[i-1].Started) < 20*time.Millisecond {
			t.Errorf("attempt %d came before the time that the receiver asked for", i+1)
		}
	}
}

// failing refuses outcomes while it is told to.
type failing struct {
	store.Store
	fail atomic.Bool
}

func (f *failing) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	if f.fail.Load() && len(r.Outcomes) > 0 {
		return store.Result{}, errors.New("no space left on device")
	}
	return f.Store.Commit(ctx, r)
}

// While the store takes no outcomes they wait in memory to a bound, then the
// lane pauses; when it takes them again everything is delivered once.
func TestPausesWhileOutcomesFindNoRoom(t *testing.T) {
	st := &failing{Store: openStore(t, t.TempDir())}
	st.fail.Store(true)
	s := NewSet(st, Options{})
	var sent atomic.Int64
	add(t, s, "crm", policy(4, 0), func(context.Context, *Work) Result {
		sent.Add(1)
		return Result{OK: true}
	})
	const events = 12
	for _, r := range post(t, st, events, "crm") {
		s.Posted(r)
	}
	await(t, "the attempts", func() bool { return sent.Load() == events })
	st.fail.Store(false)
	await(t, "the outcomes", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == events
	})
	closeSet(t, s)
	if sent.Load() != events {
		t.Errorf("%d sent, want each of %d once", sent.Load(), events)
	}
}

func TestUnflushedOutcomesAreBounded(t *testing.T) {
	l := &lane{set: &Set{now: time.Now}, inCommit: unflushed}
	l.policy = policy(1, 0)
	if j, ok := l.take(); ok {
		t.Errorf("took %v with %d outcomes waiting for the store", j, unflushed)
	}
}

func TestFirstDelay(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	const delay = 60 * time.Millisecond
	add(t, s, "crm", policy(1, delay), func(context.Context, *Work) Result { return Result{OK: true} })
	r := post(t, st, 1, "crm")[0]
	s.Posted(r)
	ref := store.Ref{Position: r.Position}
	await(t, "the delivery", func() bool { return status(t, st, ref).State == store.Delivered })
	closeSet(t, s)
	d := status(t, st, ref)
	if early := d.Received.Add(delay).Sub(d.Attempts[0].Started); early > 0 {
		t.Errorf("the first attempt came %s before its delay had passed", early)
	}
}

func TestPolicyIsChecked(t *testing.T) {
	s := NewSet(openStore(t, t.TempDir()), Options{})
	defer closeSet(t, s)
	for _, p := range []Policy{{Concurrency: 1}, {Schedule: []time.Duration{0}}} {
		if err := s.Add(context.Background(), "crm", p, nil); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
	add(t, s, "crm", policy(1, 0), nil)
	if err := s.Add(context.Background(), "crm", policy(1, 0), nil); err == nil {
		t.Error("a lane was added twice")
	}
}

func TestJitterStaysInItsBounds(t *testing.T) {
	p := Policy{Schedule: []time.Duration{0, 100 * time.Second}, Jitter: 0.1}
	low, high := p.delay(1), p.delay(1)
	for range 1000 {
		d := p.delay(1)
		low, high = min(low, d), max(high, d)
		if d < 90*time.Second || d > 110*time.Second {
			t.Fatalf("%s is not within 100s ± 10%%", d)
		}
	}
	if high-low < 5*time.Second {
		t.Errorf("delays lie between %s and %s: that is no jitter", low, high)
	}
	if d := p.delay(0); d != 0 {
		t.Errorf("0s became %s", d)
	}
}

// An outcome that no longer fits the state must not keep the others from being
// recorded.
func TestOneBadOutcomeSpoilsNoOther(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	routings := post(t, st, 6, "crm")
	ended := store.Ref{Position: routings[2].Position}
	var tries atomic.Int64
	add(t, s, "crm", policy(1, 0, 1), func(_ context.Context, w *Work) Result {
		tries.Add(1)
		if w.Ref != ended {
			return Result{OK: true}
		}
		if w.Number == 1 {
			return failed("status")
		}
		// It ends by another hand while it is being sent.
		if _, err := st.Commit(context.Background(), &store.Record{Outcomes: []store.LaneOutcomes{{Lane: "crm", Outcomes: []store.Outcome{
			{Ref: ended, From: store.Retrying, To: store.Dead, Reason: store.ReasonExpired},
		}}}}); err != nil {
			t.Error(err)
		}
		return Result{OK: true}
	})
	s.Start()
	await(t, "the others", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == 5 && l.Counts.Dead == 1
	})
	more := post(t, st, 3, "crm")
	for _, r := range more {
		s.Posted(r)
	}
	await(t, "what comes later", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == 8
	})
	closeSet(t, s)
	if d := status(t, st, ended); d.State != store.Dead || d.Reason != store.ReasonExpired {
		t.Errorf("it is %s %s", d.State, d.Reason)
	}
}

// What retention ended by age while it waited must not be sent any more.
func TestAgedDeliveriesAreNotSent(t *testing.T) {
	var hours atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(hours.Load()) * time.Hour) }
	st, err := badger.Open(context.Background(), badger.Options{Path: t.TempDir(), Retention: 24 * time.Hour, MaxAge: 24 * time.Hour, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s := NewSet(st, Options{Now: now})
	release := make(chan struct{})
	var sent atomic.Int64
	add(t, s, "crm", policy(1, 0), func(context.Context, *Work) Result {
		sent.Add(1)
		<-release
		return Result{OK: true}
	})
	for _, r := range post(t, st, 5, "crm") {
		s.Posted(r)
	}
	await(t, "the first to be in flight", func() bool { return sent.Load() == 1 })
	hours.Store(49)
	expired, err := st.Expire(context.Background(), now())
	if err != nil || expired.Aged == 0 {
		t.Fatalf("%+v, %v", expired, err)
	}
	s.Refresh()
	close(release)
	fresh := post(t, st, 1, "crm")[0]
	s.Posted(fresh)
	await(t, "what came later", func() bool {
		return status(t, st, store.Ref{Position: fresh.Position}).State == store.Delivered
	})
	closeSet(t, s)
	if n := sent.Load(); n != 2 {
		t.Errorf("%d were sent, want the one that was in flight and the fresh one", n)
	}
}

// A lane that was told to wait an hour must not go on because a later answer
// asks for less.
func TestHoldIsNotShortened(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	var tries atomic.Int64
	both := make(chan struct{})
	add(t, s, "crm", policy(2, 0), func(_ context.Context, w *Work) Result {
		n := tries.Add(1)
		if n == 2 {
			close(both)
		}
		<-both
		r := failed("status")
		r.Hold, r.RetryAfter = true, time.Hour
		if n == 2 {
			time.Sleep(50 * time.Millisecond) // after the other
			r.RetryAfter = time.Millisecond
		}
		return r
	})
	for _, r := range post(t, st, 6, "crm") {
		s.Posted(r)
	}
	await(t, "both answers to be recorded", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Retrying == 2
	})
	time.Sleep(300 * time.Millisecond) // time enough to be wrong
	closeSet(t, s)
	if n := tries.Load(); n != 2 {
		t.Errorf("%d tries though the receiver asked for an hour", n)
	}
}

// While the store is slow to read for one lane, whoever wakes it must not wait:
// it is the one reader of the log.
func TestPostedDoesNotWaitForTheDisk(t *testing.T) {
	st := &slow{Store: openStore(t, t.TempDir()), reading: make(chan struct{}), release: make(chan struct{})}
	s := NewSet(st, Options{})
	add(t, s, "crm", policy(2, 0), func(context.Context, *Work) Result { return Result{OK: true} })
	routings := post(t, st, 3, "crm")
	s.Posted(routings[0])
	<-st.reading
	woken := make(chan struct{})
	go func() {
		s.Posted(routings[1])
		s.Posted(routings[2])
		close(woken)
	}()
	select {
	case <-woken:
	case <-time.After(time.Minute):
		t.Error("waking a lane waits for its read")
	}
	close(st.release)
	await(t, "all three", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == 3
	})
	closeSet(t, s)
}

type slow struct {
	store.Store
	once             sync.Once
	reading, release chan struct{}
}

func (s *slow) Postings(ctx context.Context, lane string, from store.Ref, max int) ([]store.Posting, error) {
	list, err := s.Store.Postings(ctx, lane, from, max)
	s.once.Do(func() {
		close(s.reading)
		<-s.release
	})
	return list, err
}

// With a first delay, deliveries that are put back must neither be lost, nor
// doubled, nor keep the cursor back.
func TestFirstDelayWithManyWorkers(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	var sent sync.Map
	add(t, s, "crm", policy(8, 40*time.Millisecond), func(_ context.Context, w *Work) Result {
		if _, twice := sent.LoadOrStore(w.Ref, true); twice {
			t.Errorf("%v was sent twice", w.Ref)
		}
		return Result{OK: true}
	})
	const events = 60
	var last store.Ref
	for _, r := range post(t, st, events, "crm") {
		s.Posted(r)
		last = store.Ref{Position: r.Position}
	}
	await(t, "all of them", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == events && last.Less(l.Cursor.Low)
	})
	closeSet(t, s)
}

// Many lanes, random failures and restarts: nothing may be left waiting, and
// nothing may be sent again after its outcome was recorded.
func TestStress(t *testing.T) {
	dir := t.TempDir()
	names := make([]string, 20)
	for i := range names {
		names[i] = fmt.Sprintf("lane-%d", i)
	}
	const rounds, perRound = 4, 60
	for round := range rounds {
		st := openStore(t, dir)
		s := NewSet(st, Options{})
		for i, name := range names {
			add(t, s, name, policy(1+i%4, 0, 1, 1, 1, 1, 1, 1, 1), func(_ context.Context, w *Work) Result {
				if (w.Ref.Position*7+uint64(i)*13+uint64(w.Number))%5 == 0 && w.Number < 5 {
					return failed("status")
				}
				return Result{OK: true}
			})
		}
		s.Start()
		for _, r := range post(t, st, perRound, names...) {
			s.Posted(r)
		}
		if round == rounds-1 {
			for _, name := range names {
				await(t, name+" to be empty", func() bool {
					l, err := st.Lane(context.Background(), name)
					return err == nil && l.Counts == (store.Counts{Delivered: rounds * perRound})
				})
			}
		}
		closeSet(t, s)
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Receivers that answer with large error pages must not make a record that the
// store can't take: nothing of any lane would be recorded any more.
func TestLargeAnswersStopNothing(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	page := make([]byte, 16<<10)
	add(t, s, "bad", policy(64, 0, 1, 1, 1, 1, 1), func(context.Context, *Work) Result {
		r := failed("status")
		r.Attempt.Body = page
		return r
	})
	add(t, s, "good", policy(4, 0), func(context.Context, *Work) Result { return Result{OK: true} })
	const events = 160
	for _, r := range post(t, st, events, "bad", "good") {
		s.Posted(r)
	}
	await(t, "the good lane to be empty", func() bool {
		l, err := st.Lane(context.Background(), "good")
		return err == nil && l.Counts.Delivered == events
	})
	await(t, "the bad lane to be dead", func() bool {
		l, err := st.Lane(context.Background(), "bad")
		return err == nil && l.Counts.Dead == events
	})
	closeSet(t, s)
}

// tooLarge refuses records of more than a few outcomes, or with large bodies.
type tooLarge struct {
	store.Store
	most, body int
}

func (f *tooLarge) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	n := 0
	for _, l := range r.Outcomes {
		n += len(l.Outcomes)
		for _, o := range l.Outcomes {
			if o.Attempt != nil && len(o.Attempt.Body) > f.body {
				return store.Result{}, store.ErrTooLarge
			}
		}
	}
	if n > f.most {
		return store.Result{}, store.ErrTooLarge
	}
	return f.Store.Commit(ctx, r)
}

func TestOutcomesAreCommittedInPieces(t *testing.T) {
	st := &tooLarge{Store: openStore(t, t.TempDir()), most: 3, body: 100}
	s := NewSet(st, Options{})
	add(t, s, "crm", policy(16, 0), func(_ context.Context, w *Work) Result {
		return Result{OK: true, Attempt: store.Attempt{Status: 200, Body: make([]byte, w.Ref.Position*20)}}
	})
	const events = 30
	routings := post(t, st, events, "crm")
	for _, r := range routings {
		s.Posted(r)
	}
	await(t, "all outcomes", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == events
	})
	closeSet(t, s)
	for i, r := range routings {
		d := status(t, st, store.Ref{Position: r.Position})
		if len(d.Attempts) != 1 || d.Attempts[0].Status != 200 {
			t.Errorf("delivery %d: %+v", i, d.Attempts)
		} else if n := len(d.Attempts[0].Body); n != 0 && r.Position*20 > 100 {
			t.Errorf("delivery %d: a body of %d bytes that the store does not take", i, n)
		}
	}
}

// damaged fails to read one event.
type damaged struct {
	store.Store
	position uint64
}

func (f *damaged) Event(ctx context.Context, position uint64) (*event.Event, error) {
	if position == f.position {
		return nil, errors.New("row e of position 2 is damaged")
	}
	return f.Store.Event(ctx, position)
}

// One delivery that can't be loaded must not keep the others of its lane
// waiting, and must stay visible.
func TestOneDamagedEventStopsNothing(t *testing.T) {
	st := &damaged{Store: openStore(t, t.TempDir())}
	s := NewSet(st, Options{})
	add(t, s, "crm", policy(1, 0), func(context.Context, *Work) Result { return Result{OK: true} })
	const events = 50
	routings := post(t, st, events, "crm")
	st.position = routings[1].Position
	for _, r := range routings {
		s.Posted(r)
	}
	bad := store.Ref{Position: st.position}
	await(t, "the others", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == events-1
	})
	await(t, "the damaged one to make way", func() bool { return status(t, st.Store, bad).State == store.Retrying })
	closeSet(t, s)
	l, err := st.Lane(context.Background(), "crm")
	if err != nil || !bad.Less(l.Cursor.Low) {
		t.Errorf("the cursor stands at %+v, %v", l.Cursor, err)
	}
	if d := status(t, st.Store, bad); len(d.Attempts) != 0 || d.Note == "" {
		t.Errorf("it is recorded as %+v", d)
	}
}

// A reload replaces a lane's Try while attempts are in flight: they finish by
// the old one, which is freed only then, and what comes later uses the new one.
func TestPutAndIdle(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	inOld, finishOld, freed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var old, fresh atomic.Int64
	add(t, s, "crm", policy(1, 0), func(context.Context, *Work) Result {
		close(inOld)
		<-finishOld
		old.Add(1)
		return Result{OK: true}
	})
	routings := post(t, st, 3, "crm")
	s.Start()
	<-inOld
	put := func() {
		if err := s.Put("crm", policy(2, 0), func(context.Context, *Work) Result {
			fresh.Add(1)
			return Result{OK: true}
		}, func() { close(freed) }); err != nil {
			t.Fatal(err)
		}
	}
	put()
	await(t, "the others by the new one", func() bool { return fresh.Load() == 2 })
	select {
	case <-freed:
		t.Error("the old Try was freed while a call of it ran")
	default:
	}
	close(finishOld)
	<-freed
	await(t, "all three", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == uint64(len(routings))
	})

	s.Idle("crm", nil)
	waiting := post(t, st, 2, "crm")
	for _, r := range waiting {
		s.Posted(r)
	}
	time.Sleep(200 * time.Millisecond) // time enough to be wrong
	if n := fresh.Load(); n != 2 {
		t.Errorf("an idle lane has sent %d", n-2)
	}
	freed = make(chan struct{})
	put()
	await(t, "it to go on", func() bool { return fresh.Load() == 4 })
	closeSet(t, s)
	select {
	case <-freed:
	default:
		t.Error("Close did not wait for the old Try to be freed")
	}
	if err := s.Put("nobody", policy(1, 0), nil, nil); err == nil {
		t.Error("a lane was put that was never added")
	}
}
