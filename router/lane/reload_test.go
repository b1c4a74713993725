package lane

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/store"
)

// late gives what it has read of the retries only after a while, as a busy disk
// does.
type late struct {
	store.Store
	by time.Duration
}

func (s *late) Retries(ctx context.Context, lane string, max int) ([]store.Retry, error) {
	list, err := s.Store.Retries(ctx, lane, max)
	time.Sleep(s.by)
	return list, err
}

// once fails the first try of each delivery, and tells of any that is sent again
// after it was delivered, or twice at a time.
type once struct {
	t  *testing.T
	mu sync.Mutex
	// state is 1 while a try runs and 2 after one has succeeded.
	state map[store.Ref]int
}

func (o *once) try(_ context.Context, w *Work) Result {
	if w.Number == 1 {
		return failed("status")
	}
	o.mu.Lock()
	if s := o.state[w.Ref]; s != 0 {
		o.t.Errorf("%v is sent again in state %d", w.Ref, s)
	}
	o.state[w.Ref] = 1
	o.mu.Unlock()
	time.Sleep(time.Millisecond)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state[w.Ref] = 2
	return Result{OK: true}
}

func (o *once) done() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, s := range o.state {
		if s == 2 {
			n++
		}
	}
	return n
}

// What is read of the retries while an outcome is committed is old when it
// arrives: a delivery that has succeeded meanwhile must not be sent again.
func TestSlowReadsSendNothingAgain(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(&late{st, 50 * time.Millisecond}, Options{})
	o := &once{t: t, state: map[store.Ref]int{}}
	add(t, s, "crm", policy(8, 0, 1, 1), o.try)
	const events = 300
	for _, r := range post(t, st, events, "crm") {
		s.Posted(r)
	}
	await(t, "all", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == events
	})
	closeSet(t, s)
}

// A retry by hand that meets the one by schedule must not send twice.
func TestRetryByHandMeetsTheSchedule(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	o := &once{t: t, state: map[store.Ref]int{}}
	add(t, s, "crm", policy(4, 0, 600*time.Millisecond, time.Millisecond), o.try)
	const events = 100
	routings := post(t, st, events, "crm")
	s.Start()
	await(t, "the first tries", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Retrying == events
	})
	byHand := 0
	for o.done() < events {
		for _, r := range routings {
			d := status(t, st, store.Ref{Position: r.Position})
			if d.State == store.Retrying && time.Until(d.Due) < 20*time.Millisecond && s.Retry(context.Background(), d) == nil {
				byHand++
			}
		}
	}
	await(t, "all outcomes", func() bool {
		l, err := st.Lane(context.Background(), "crm")
		return err == nil && l.Counts.Delivered == events
	})
	closeSet(t, s)
	t.Logf("%d of %d retries were taken by hand", byHand, events)
}

// A reload that lowers the concurrency is obeyed while there is a backlog.
func TestConcurrencyCanBeLowered(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	var running, most, tries atomic.Int64
	try := func(context.Context, *Work) Result {
		n := running.Add(1)
		defer running.Add(-1)
		tries.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(2 * time.Millisecond)
		return Result{OK: true}
	}
	add(t, s, "crm", policy(16, 0), try)
	post(t, st, 400, "crm")
	s.Start()
	await(t, "many at once", func() bool { return most.Load() > 8 })
	if err := s.Put("crm", policy(1, 0), try, nil); err != nil {
		t.Fatal(err)
	}
	await(t, "those in flight to end", func() bool { return running.Load() <= 1 })
	most.Store(0)
	before := tries.Load()
	await(t, "some more", func() bool { return tries.Load() > before+10 })
	if n := most.Load(); n > 1 {
		t.Errorf("%d tries at once, after the concurrency was lowered to 1", n)
	}
	closeSet(t, s)
}

// What the old policy or the old receiver asked to wait for, the new one need
// not.
func TestPutForgetsOldWaits(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	add(t, s, "delayed", policy(2, time.Hour), func(context.Context, *Work) Result { return Result{OK: true} })
	var asked atomic.Bool
	add(t, s, "held", policy(1, 0), func(context.Context, *Work) Result {
		asked.Store(true)
		r := failed("status")
		r.Hold, r.RetryAfter = true, time.Hour
		return r
	})
	for _, r := range post(t, st, 1, "delayed", "held") {
		s.Posted(r)
	}
	await(t, "the answer that asks for an hour", func() bool {
		l, err := st.Lane(context.Background(), "held")
		return err == nil && l.Counts.Retrying == 1
	})
	for _, name := range []string{"delayed", "held"} {
		if err := s.Put(name, policy(2, 0), func(context.Context, *Work) Result { return Result{OK: true} }, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range post(t, st, 1, "delayed", "held") {
		s.Posted(r)
	}
	for name, want := range map[string]uint64{"delayed": 2, "held": 1} {
		await(t, name, func() bool {
			l, err := st.Lane(context.Background(), name)
			return err == nil && l.Counts.Delivered == want
		})
	}
	closeSet(t, s)
}

// What an attempt uses is not freed under it, though the set is closing.
func TestNothingIsFreedWhileItIsUsed(t *testing.T) {
	st := openStore(t, t.TempDir())
	s := NewSet(st, Options{})
	in, finish := make(chan struct{}), make(chan struct{})
	var freed atomic.Bool
	add(t, s, "crm", policy(1, 0), func(context.Context, *Work) Result {
		close(in)
		<-finish
		if freed.Load() {
			t.Error("freed while it is used")
		}
		return Result{OK: true}
	})
	s.Posted(post(t, st, 1, "crm")[0])
	<-in
	closed := make(chan struct{})
	go func() {
		closeSet(t, s)
		close(closed)
	}()
	await(t, "the set to be closing", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.closed
	})
	s.Idle("crm", func() { freed.Store(true) })
	close(finish)
	<-closed
	if !freed.Load() {
		t.Error("never freed")
	}
}
