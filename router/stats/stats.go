// Package stats counts what happens to events and deliveries, by time, event type
// and destination, so that a question about the last week is answered without
// reading the log.
//
// Invariants:
//  1. Exact. Counts, those of what went along routes ([Flow]) too, are committed in
//     the record of what they count, so after any crash they say neither more nor
//     less than the store does. Only quantiles are estimates, within [Accuracy].
//  2. Cheap to write. A record gets one small document with what it adds, however
//     many series there are; once in a while these are folded into the documents
//     of their slots, and deleted, in one record.
//  3. Bounded. A slot has at most [MaxSeries] series; what is beyond counts under
//     [Other], so totals stay exact. Slots older than what [Windows] need are
//     deleted.
//  4. Time is that of the outcome. A clock that jumps puts counts into the slots
//     that it names, and loses none.
package stats

import (
	"time"
)

// Accuracy is the relative error of a quantile at most.
const Accuracy = 0.01

// MaxSeries bounds the series of one slot.
const MaxSeries = 1000

// maxNames is how many bytes of names a slot has, about, from where on types count under
// [Other], too.
const maxNames = 64 << 10

// Other is the type, or the destination, of series that found no room.
const Other = "(other)"

// MaxTenantSeries bounds those of a slot that have a tenant; what is beyond counts
// without one.
const MaxTenantSeries = MaxSeries / 4

// Key names a series. Destination is empty for what belongs to an event as such,
// before any destination, and Tenant where the event has none.
type Key struct {
	Type, Destination, Tenant string
}

// Observation is one thing to count.
type Observation struct {
	// At is when it happened.
	At time.Time
	Key

	// Event: an event was routed; the other fields do not matter then.
	Event bool

	// Tried: there was an attempt, the first of its delivery unless Retry. Reason
	// is its error class, empty on success, and Latency its duration.
	Tried, Retry bool
	Reason       string
	Latency      time.Duration

	// End is how the delivery ended, if it did, and SinceReceived the time from
	// its event's arrival to the success, unless that is Unmeasured.
	End           End
	SinceReceived time.Duration
	Unmeasured    bool
}

// End of a delivery.
type End uint8

// The ends. NotEnded is none: it is waiting or retrying.
const (
	NotEnded End = iota
	Delivered
	Dead
	Cancelled
)

// Counts of a series or of several added up.
type Counts struct {
	// Events counts those of the type that were routed.
	Events uint64
	// Delivered, Dead and Cancelled count deliveries by how they ended.
	Delivered, Dead, Cancelled uint64
	// Attempts counts all, Retries those that were not the first of their
	// delivery.
	Attempts, Retries uint64
	// Failures counts failed attempts by reason.
	Failures map[string]uint64
}

// SuccessRate is the part of the deliveries that ended, but for the cancelled
// ones, that were delivered: 0 to 1. ok is false where none ended.
func (c *Counts) SuccessRate() (rate float64, ok bool) {
	ended := c.Delivered + c.Dead
	if ended == 0 {
		return 0, false
	}
	return float64(c.Delivered) / float64(ended), true
}

// Failed counts the failed attempts.
func (c *Counts) Failed() uint64 {
	var n uint64
	for _, k := range c.Failures {
		n += k
	}
	return n
}

func (c *Counts) add(o *Counts) {
	c.Events += o.Events
	c.Delivered += o.Delivered
	c.Dead += o.Dead
	c.Cancelled += o.Cancelled
	c.Attempts += o.Attempts
	c.Retries += o.Retries
	for reason, n := range o.Failures {
		c.fail(reason, n)
	}
}

func (c *Counts) fail(reason string, n uint64) {
	if c.Failures == nil {
		c.Failures = map[string]uint64{}
	}
	c.Failures[reason] += n
}

// resolution is a width of slots and how many of them are kept.
type resolution struct {
	width time.Duration
	keep  int
}

// resolutions are from fine to coarse. Each keeps a little more than the longest
// window that it answers, since a window begins inside a slot.
var resolutions = []resolution{
	{time.Minute, 62},
	{15 * time.Minute, 98},
	{time.Hour, 170},
}

// MaxWindow is the longest time that can be asked about.
const MaxWindow = 7 * 24 * time.Hour

// resolutionFor is the finest one that still has a window's beginning.
func resolutionFor(window time.Duration) int {
	for i, r := range resolutions {
		if window <= time.Duration(r.keep-2)*r.width {
			return i
		}
	}
	return len(resolutions) - 1
}
