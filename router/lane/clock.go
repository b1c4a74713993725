package lane

import (
	"sync"
	"time"
)

// clock is the wall clock, but for one thing: it never goes back. Where the wall
// clock is set back, time goes on from where it was, so that what was due in a
// minute is due in a minute. Where it is set forward, that is time passing. It
// begins at the newest event's time at least, which a clock that was ahead has
// given it: schedules count from there.
type clock struct {
	mu    sync.Mutex
	start time.Time // with Go's monotonic reading
	base  time.Time // what the clock said at start
}

func newClock(least time.Time) *clock {
	now := time.Now()
	c := &clock{start: now, base: now.Round(0)}
	if least.After(c.base) {
		c.base = least
	}
	return c
}

func (c *clock) now() time.Time { return c.at(time.Now()) }

// at is the clock's time at a reading of time.Now.
func (c *clock) at(reading time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := reading.Sub(c.start)
	wall := reading.Round(0)
	now := c.base.Add(passed)
	if wall.After(now) {
		c.base = wall.Add(-passed)
		now = wall
	}
	return now
}
