package routing

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func newCrew(t *testing.T, helpers int) *crew {
	c := &crew{}
	c.begin(helpers)
	t.Cleanup(c.end)
	return c
}

func TestCrewDoesEachOnce(t *testing.T) {
	for _, helpers := range []int{0, 3} {
		c := newCrew(t, helpers)
		for _, n := range []int{1, 2, 100} {
			times := make([]atomic.Int32, n)
			c.pace = time.Second // as if each were slow
			if err := c.each(context.Background(), n, func(_ context.Context, i int) error {
				times[i].Add(1)
				runtime.Gosched()
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for i := range times {
				if got := times[i].Load(); got != 1 {
					t.Errorf("%d helpers: %d of %d was done %d times", helpers, i, n, got)
				}
			}
		}
	}
}

// What is slow is done side by side.
func TestCrewHelps(t *testing.T) {
	c := newCrew(t, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var met atomic.Bool
	for !met.Load() { // the helper may be on its way back to sleep
		if ctx.Err() != nil {
			t.Fatal("two calls of a slow batch were never under way at once")
		}
		c.pace = time.Second
		var at atomic.Int32
		if err := c.each(ctx, 2, func(context.Context, int) error {
			at.Add(1)
			defer at.Add(-1)
			for range 1000 {
				if at.Load() == 2 {
					met.Store(true)
					break
				}
				runtime.Gosched()
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// Nobody is woken for what the owner does anyway.
func TestCrewIsLeftAsleep(t *testing.T) {
	c := &crew{count: 1, tasks: make(chan *task, 1)} // whoever is woken is seen here
	if woken := c.wake(&task{n: 1}); woken != 0 || len(c.tasks) > 0 {
		t.Error("a helper was woken for nothing")
	}
}

func TestCrewStopsAtAnError(t *testing.T) {
	c := newCrew(t, 1)
	bad := errors.New("bad")
	done := 0
	err := (&crew{}).each(context.Background(), 10, func(ctx context.Context, i int) error {
		done++
		if i == 3 {
			return bad
		}
		return nil
	})
	if !errors.Is(err, bad) || done != 4 {
		t.Errorf("%d calls, error %v; want 4, and the error of the last", done, err)
	}
	// The others are told.
	c.pace = time.Second
	if err := c.each(context.Background(), 2, func(ctx context.Context, i int) error {
		if i == 0 {
			return bad
		}
		<-ctx.Done()
		return ctx.Err()
	}); !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
}
