package routing

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// worthHelp is how long a batch must be expected to take before others are woken
// for it: waking one and handing over costs some microseconds, and the events of a
// plugin that is quick take no more.
const worthHelp = 200 * time.Microsecond

// crew goes through the events of a batch side by side: its owner, and helpers
// that sleep between batches. They are not made anew for each event, since a stack
// that has to grow for every plugin's call costs as much as the call.
type crew struct {
	helpers sync.WaitGroup
	tasks   chan *task // to those that sleep
	count   int
	// pace is what one event took of late, over all who were at it.
	pace time.Duration
}

// task is one batch.
type task struct {
	n    int64
	next atomic.Int64 // the first that nobody has begun
	do   func(i int) error
	busy sync.WaitGroup // helpers

	mu  sync.Mutex
	err error // the first
}

// begin starts helpers.
func (c *crew) begin(helpers int) {
	c.count, c.tasks = helpers, make(chan *task)
	c.pace = worthHelp // until it is known
	for range helpers {
		c.helpers.Go(func() {
			for t := range c.tasks {
				for t.one() {
				}
				t.busy.Done()
			}
		})
	}
}

// end ends the helpers and waits for them. No batch may be under way.
func (c *crew) end() {
	close(c.tasks)
	c.helpers.Wait()
}

// each calls do for 0 to n-1 and returns when all calls have. After an error no
// call begins that had not. Only the crew's owner may call it.
func (c *crew) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &task{n: int64(n)}
	t.do = func(i int) error {
		err := do(ctx, i)
		if err != nil {
			cancel()
		}
		return err
	}
	began := time.Now()
	hands := 1
	if c.pace*time.Duration(n) > worthHelp {
		hands += c.wake(t)
	}
	for t.one() {
		if hands == 1 && time.Since(began) > worthHelp { // slower than those before
			hands += c.wake(t)
		}
	}
	t.busy.Wait()
	took := time.Since(began) * time.Duration(hands) / time.Duration(n)
	c.pace += (took - c.pace) / 8
	return t.err
}

// wake puts those to a task that sleep, as far as there is something for them, and
// returns how many.
func (c *crew) wake(t *task) int {
	woken := 0
	for left := t.n - t.next.Load() - 1; woken < c.count && int64(woken) < left; woken++ {
		t.busy.Add(1)
		select {
		case c.tasks <- t:
		default: // all others are on their way back to sleep
			t.busy.Done()
			return woken
		}
	}
	return woken
}

// one does the next that nobody has begun, and reports whether there was one.
func (t *task) one() bool {
	i := t.next.Add(1) - 1
	if i >= t.n {
		return false
	}
	if err := t.do(int(i)); err != nil {
		t.mu.Lock()
		if t.err == nil {
			t.err = err
		}
		t.mu.Unlock()
		t.next.Store(t.n)
	}
	return true
}
