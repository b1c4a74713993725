package lane

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// handClock is a clock that a test moves.
type handClock struct{ at atomic.Int64 }

func newHandClock() *handClock {
	c := &handClock{}
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *handClock) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *handClock) pass(d time.Duration) { c.at.Add(int64(d)) }

func stateOf(t *testing.T, s *Set, name string) Status {
	t.Helper()
	st, err := s.Status(context.Background(), name, true)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// receiver is a Try that a test makes fail.
type receiver struct {
	mu     sync.Mutex
	answer Result
	got    map[store.Ref]int // attempts
	ok     map[store.Ref]int
	total  int
}

func newReceiver(answer Result) *receiver {
	return &receiver{answer: answer, got: map[store.Ref]int{}, ok: map[store.Ref]int{}}
}

func (r *receiver) try(_ context.Context, w *Work) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	r.got[w.Ref]++
	if r.answer.OK {
		r.ok[w.Ref]++
	}
	return r.answer
}

func (r *receiver) set(answer Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *receiver) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

func counts(t *testing.T, st store.Store, lane string) store.Counts {
	t.Helper()
	l, err := st.Lane(context.Background(), lane)
	if err != nil {
		t.Fatal(err)
	}
	return l.Counts
}

// The breaker opens after so many failures in a row, lets one attempt go each
// cooldown, which costs nothing of a schedule, and closes by one success.
func TestBreaker(t *testing.T) {
	st := openStore(t, t.TempDir())
	clock := newHandClock()
	s := NewSet(st, Options{Now: clock.now})
	r := newReceiver(failed("status"))
	p := policy(1, 0)
	p.Breaker = Breaker{Failures: 3, Cooldown: time.Minute}
	add(t, s, "crm", p, r.try)
	for _, routing := range post(t, st, 20, "crm") {
		s.Posted(routing)
	}
	await(t, "the breaker to open", func() bool { return stateOf(t, s, "crm").State == Open })
	if n := r.attempts(); n != 3 {
		t.Fatalf("open after %d attempts, want 3", n)
	}
	wake := func() { s.get("crm").wake(true, true) }
	for i := 4; i <= 8; i++ {
		clock.pass(59 * time.Second)
		wake()
		clock.pass(time.Second)
		wake()
		await(t, "a probe", func() bool { return r.attempts() >= i })
		await(t, "its end", func() bool { return stateOf(t, s, "crm").Sending == 0 })
		if n := r.attempts(); n != i {
			t.Fatalf("%d attempts after %d cooldowns, want %d", n, i-3, i)
		}
	}
	await(t, "the outcomes", func() bool { return counts(t, st, "crm").Waiting+counts(t, st, "crm").Retrying == 17 })
	if c := counts(t, st, "crm"); c.Dead != 3 {
		t.Errorf("%+v: only the three before it opened are dead, no probe", c)
	}
	if until := stateOf(t, s, "crm").Until; !until.After(clock.now()) {
		t.Errorf("the next probe is at %s, and it is %s", until, clock.now())
	}
	r.set(Result{OK: true})
	clock.pass(time.Minute)
	wake()
	await(t, "all that waited", func() bool { return counts(t, st, "crm").Delivered == 17 })
	if st := stateOf(t, s, "crm"); st.State != Active || st.Failures != 0 {
		t.Errorf("after a success: %+v", st)
	}
	closeSet(t, s)
}

// An open breaker is open after a restart too, and probes at once.
func TestBreakerOutlivesRestart(t *testing.T) {
	st := openStore(t, t.TempDir())
	p := policy(4, 0)
	p.Breaker = Breaker{Failures: 2, Cooldown: time.Hour}
	r := newReceiver(failed("refused"))
	s := NewSet(st, Options{})
	add(t, s, "crm", p, r.try)
	for _, routing := range post(t, st, 30, "crm") {
		s.Posted(routing)
	}
	await(t, "the breaker to open", func() bool { return stateOf(t, s, "crm").State == Open && stateOf(t, s, "crm").Sending == 0 })
	closeSet(t, s)
	before := r.attempts()
	s = NewSet(st, Options{})
	add(t, s, "crm", p, r.try)
	s.Start()
	await(t, "one probe", func() bool { return r.attempts() == before+1 && stateOf(t, s, "crm").Sending == 0 })
	s.get("crm").wake(true, true)
	closeSet(t, s)
	if n := r.attempts(); n != before+1 {
		t.Errorf("%d attempts by the second run, want one", n-before)
	}
}

func TestPauseOutlivesRestart(t *testing.T) {
	st := openStore(t, t.TempDir())
	r := newReceiver(Result{OK: true})
	ctx := context.Background()
	s := NewSet(st, Options{})
	add(t, s, "crm", policy(4, 0), r.try)
	if err := s.Pause(ctx, "crm"); err != nil {
		t.Fatal(err)
	}
	for _, routing := range post(t, st, 5, "crm") {
		s.Posted(routing)
	}
	closeSet(t, s)
	s = NewSet(st, Options{})
	add(t, s, "crm", policy(4, 0), r.try)
	s.Start()
	if got := stateOf(t, s, "crm"); got.State != Paused || got.Since.IsZero() {
		t.Errorf("after a restart: %+v", got)
	}
	closeSet(t, s)
	if n := r.attempts(); n != 0 {
		t.Errorf("%d attempts by a paused lane", n)
	}
	// A set without lanes, as a command without a router has it, resumes it.
	s = NewSet(st, Options{})
	if err := s.Resume(ctx, "crm"); err != nil {
		t.Fatal(err)
	}
	closeSet(t, s)
	s = NewSet(st, Options{})
	add(t, s, "crm", policy(4, 0), r.try)
	s.Start()
	await(t, "what waited", func() bool { return counts(t, st, "crm").Delivered == 5 })
	closeSet(t, s)
	if docs, err := st.Documents(ctx, kindLane); err != nil || len(docs) != 0 {
		t.Errorf("a lane that is well keeps %v, %v", docs, err)
	}
}

// 410 disables with the reason, together with the outcome; resume enables.
func TestGoneDisables(t *testing.T) {
	st := openStore(t, t.TempDir())
	gone := failed("status")
	gone.Dead, gone.Gone = store.ReasonGone, true
	gone.Attempt.Status = 410
	r := newReceiver(gone)
	var told []NoticeKind
	var mu sync.Mutex
	s := NewSet(st, Options{Notify: func(n *Notice) *event.Event {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, n.Kind)
		return nil
	}})
	add(t, s, "crm", policy(1, 0, 0), r.try)
	for _, routing := range post(t, st, 5, "crm") {
		s.Posted(routing)
	}
	await(t, "the lane to be disabled", func() bool { return stateOf(t, s, "crm").State == Disabled })
	closeSet(t, s)
	s = NewSet(st, Options{})
	add(t, s, "crm", policy(1, 0, 0), r.try)
	s.Start()
	if got := stateOf(t, s, "crm"); got.State != Disabled || got.Why == "" {
		t.Errorf("after a restart: %+v", got)
	}
	if n := r.attempts(); n != 1 {
		t.Errorf("%d attempts, want the one that was answered 410", n)
	}
	if c := counts(t, st, "crm"); c.Dead != 1 || c.Waiting != 4 {
		t.Errorf("%+v", c)
	}
	r.set(Result{OK: true})
	if err := s.Resume(context.Background(), "crm"); err != nil {
		t.Fatal(err)
	}
	await(t, "what waited", func() bool { return counts(t, st, "crm").Delivered == 4 })
	closeSet(t, s)
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 2 || told[0] != NoticeDisabled || told[1] != NoticeDead {
		t.Errorf("told %v, want once that it is disabled, and that the delivery is dead", told)
	}
}

// Without a success for disable_after, and not before ten attempts.
func TestDisableAfter(t *testing.T) {
	st := openStore(t, t.TempDir())
	clock := newHandClock()
	s := NewSet(st, Options{Now: clock.now})
	r := newReceiver(failed("status"))
	p := policy(1, 0)
	p.DisableAfter = time.Hour
	add(t, s, "crm", p, r.try)
	one := func() {
		t.Helper()
		n := r.attempts()
		s.Posted(post(t, st, 1, "crm")[0])
		await(t, "the attempt", func() bool { return r.attempts() == n+1 && stateOf(t, s, "crm").Sending == 0 })
	}
	for range 5 {
		one()
	}
	clock.pass(2 * time.Hour)
	for i := 6; i <= 10; i++ {
		if got := stateOf(t, s, "crm").State; got != Failing {
			t.Fatalf("%s after %d attempts", got, i-1)
		}
		one()
	}
	if got := stateOf(t, s, "crm"); got.State != Disabled {
		t.Errorf("after ten attempts in two hours: %+v", got)
	}
	closeSet(t, s)
}

// Retry-After of 429 and 503 holds the lane, and costs no attempt.
func TestHeld(t *testing.T) {
	st := openStore(t, t.TempDir())
	clock := newHandClock()
	s := NewSet(st, Options{Now: clock.now})
	busy := failed("status")
	busy.Hold, busy.RetryAfter = true, time.Hour
	r := newReceiver(busy)
	p := policy(1, 0)
	p.Breaker = Breaker{Failures: 1, Cooldown: time.Second}
	add(t, s, "crm", p, r.try)
	for _, routing := range post(t, st, 5, "crm") {
		s.Posted(routing)
	}
	await(t, "the lane to be held", func() bool { return stateOf(t, s, "crm").State == Held })
	r.set(Result{OK: true})
	clock.pass(time.Hour)
	s.get("crm").wake(true, true)
	await(t, "all", func() bool { return counts(t, st, "crm").Delivered == 5 })
	closeSet(t, s)
}

// No more attempts begin than the rate lets pass, whatever the concurrency.
func TestRate(t *testing.T) {
	st := openStore(t, t.TempDir())
	clock := newHandClock()
	s := NewSet(st, Options{Now: clock.now})
	r := newReceiver(Result{OK: true})
	p := policy(8, 0)
	p.Rate, p.Burst = 10, 2
	add(t, s, "crm", p, r.try)
	for _, routing := range post(t, st, 30, "crm") {
		s.Posted(routing)
	}
	want := 2
	for range 10 {
		await(t, "what the rate lets pass", func() bool {
			s.get("crm").wake(true, true)
			return r.attempts() >= want && stateOf(t, s, "crm").Sending == 0
		})
		if n := r.attempts(); n != want {
			t.Fatalf("%d attempts, want %d", n, want)
		}
		clock.pass(200 * time.Millisecond)
		want += 2
	}
	closeSet(t, s)
}

// A delivery that is older than max_age is dead, and is not sent.
func TestMaxAge(t *testing.T) {
	st := openStore(t, t.TempDir())
	clock := newHandClock()
	s := NewSet(st, Options{Now: clock.now})
	r := newReceiver(failed("status"))
	p := policy(1, 0, time.Minute, time.Minute)
	p.MaxAge = 90 * time.Second
	add(t, s, "crm", p, r.try)
	routing := post(t, st, 1, "crm")[0]
	s.Posted(routing)
	ref := store.Ref{Position: routing.Position}
	for i := 1; i <= 2; i++ {
		await(t, "the attempt", func() bool { return len(status(t, st, ref).Attempts) == i })
		clock.pass(time.Minute)
		s.get("crm").wake(true, true)
	}
	await(t, "its end", func() bool { return status(t, st, ref).State == store.Dead })
	if d := status(t, st, ref); d.Reason != store.ReasonExpired || len(d.Attempts) != 2 {
		t.Errorf("%s after %d attempts", d.Reason, len(d.Attempts))
	}
	closeSet(t, s)
}

// Whatever is cancelled, whenever, is not delivered, and all else is, once; the
// store agrees with itself, and a restart changes nothing.
func TestCancelWhileSending(t *testing.T) {
	st := openStore(t, t.TempDir())
	ctx := context.Background()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := newReceiver(Result{OK: true})
	var slow atomic.Int64
	try := func(ctx context.Context, w *Work) Result {
		if slow.Add(1)%3 == 0 {
			time.Sleep(time.Millisecond) // so that some are in flight
		}
		if w.Number == 1 && w.Ref.Position%5 == 0 {
			return failed("status")
		}
		return r.try(ctx, w)
	}
	s := NewSet(st, Options{})
	add(t, s, "crm", policy(4, 0, 10*time.Millisecond, 0), try)
	routings := post(t, st, 400, "crm")
	cancelled := map[store.Ref]bool{}
	for i, routing := range routings {
		s.Posted(routing)
		if i%100 == 99 {
			closeSet(t, s)
			s = NewSet(st, Options{})
			add(t, s, "crm", policy(4, 0, 10*time.Millisecond, 0), try)
			s.Start()
		}
		d := status(t, st, store.Ref{Position: routings[rnd.IntN(len(routings))].Position})
		if d.State == store.Delivered || d.State == store.Cancelled || rnd.IntN(2) == 0 {
			continue
		}
		switch err := s.CancelDelivery(ctx, d); {
		case err == nil:
			cancelled[d.Ref] = true
		case errors.Is(err, ErrSending), errors.Is(err, store.ErrOutOfOrder):
		default:
			t.Fatal(err)
		}
	}
	await(t, "all", func() bool {
		c := counts(t, st, "crm")
		return c.Delivered+c.Cancelled == 400
	})
	closeSet(t, s)
	if len(cancelled) == 0 {
		t.Fatal("nothing was cancelled")
	}
	for _, routing := range routings {
		ref := store.Ref{Position: routing.Position}
		d := status(t, st, ref)
		if cancelled[ref] != (d.State == store.Cancelled) || r.ok[ref] != 1 && !cancelled[ref] || cancelled[ref] && r.ok[ref] != 0 {
			t.Errorf("seed %d: %s, cancelled %v, is %s and was delivered %d times", seed, ref, cancelled[ref], d.State, r.ok[ref])
		}
	}
}

// Empty cancels all that waits and is retrying, with lanes and without, and leaves
// what is in flight.
func TestEmpty(t *testing.T) {
	for _, running := range []bool{true, false} {
		st := openStore(t, t.TempDir())
		ctx := context.Background()
		s := NewSet(st, Options{})
		block, started := make(chan struct{}), make(chan struct{}, 1)
		add(t, s, "crm", policy(1, 0, time.Hour), func(_ context.Context, w *Work) Result {
			if w.Ref.Position <= 3 {
				return failed("status") // is retrying then
			}
			select {
			case started <- struct{}{}:
			default:
			}
			<-block
			return Result{OK: true}
		})
		for _, routing := range post(t, st, 2500, "crm") {
			s.Posted(routing)
		}
		<-started
		await(t, "the retries", func() bool { return counts(t, st, "crm").Retrying == 3 })
		want := store.Counts{Cancelled: 2499, Delivered: 1}
		if !running {
			want = store.Counts{Cancelled: 2496 + 3, Delivered: 1}
			close(block)
			if err := s.Pause(ctx, "crm"); err != nil {
				t.Fatal(err)
			}
			closeSet(t, s)
			c := counts(t, st, "crm")
			want = store.Counts{Cancelled: 2500 - c.Delivered, Delivered: c.Delivered}
			s = NewSet(st, Options{})
		}
		n, err := s.Empty(ctx, "crm", "emptied")
		if err != nil || n != int(want.Cancelled) {
			t.Errorf("running %v: %d cancelled, %v, want %d", running, n, err, want.Cancelled)
		}
		if running {
			close(block)
		}
		await(t, "the counts", func() bool { return counts(t, st, "crm") == want })
		closeSet(t, s)
		if got := counts(t, st, "crm"); got != want {
			t.Errorf("running %v: %+v, want %+v", running, got, want)
		}
	}
}
