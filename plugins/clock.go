package plugins

import (
	"crypto/sha256"
	"math/rand/v2"
	"time"

	"github.com/tetratelabs/wazero/sys"
)

// clock is the time that a guest sees. The wall clock stands still during a call
// but for what the guest sleeps, which takes no real time. The monotonic clock
// goes on by a microsecond each time it is read, since runtimes divide by its
// differences and a loop that waits for it should end. Both follow from what the
// guest does, never from the machine.
type clock struct {
	wall  time.Time
	ticks int64 // nanoseconds
}

func (c *clock) walltime() (sec int64, nsec int32) {
	return c.wall.Unix(), int32(c.wall.Nanosecond())
}

func (c *clock) nanotime() int64 {
	c.ticks += int64(time.Microsecond)
	return c.ticks
}

func (c *clock) nanosleep(ns int64) {
	if ns > 0 {
		c.ticks += ns
		c.wall = c.wall.Add(time.Duration(ns))
	}
}

// resolution of both clocks, in nanoseconds.
const resolution = sys.ClockResolution(time.Microsecond)

// random is the guest's random source. Every use of the same seed gives the same
// bytes.
type random struct{ source rand.ChaCha8 }

func (r *random) seed(s string) { r.source.Seed(sha256.Sum256([]byte(s))) }

func (r *random) Read(p []byte) (int, error) { return r.source.Read(p) }
