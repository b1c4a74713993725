package routing

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/plugins"
)

// When a plugin is held. One that misses its deadline holds up the reader, so few
// of those are enough; the other faults cost an instance each.
const (
	holdAfterMissed = 3
	holdAfterFaults = 20
	holdFor         = 10 * time.Second
)

// Hold keeps a plugin that fails again and again from burning the machine and
// from holding up the routes of others. While it is held, the events of its
// routes wait in the lane of routing, where nothing of them is lost. After a
// while one event is let through to try it. It is safe for concurrent use.
//
// What counts are faults that break an instance: a trap, an exit, a limit. A
// plugin that refuses an event by its own decision does its work.
type Hold struct {
	// Changed is told when the plugin is held, with the fault that it is held
	// for, and with nil when it works again. Nil: nobody is told.
	Changed func(fault error)

	mu      sync.Mutex
	missed  int
	faults  int
	held    bool
	since   time.Time
	until   time.Time
	probing bool
	last    string // fault
	turned  uint64 // calls that it did not let through
}

// errHeld is a fault of the host: trying again later can help.
var errHeld = errors.New("it is held, because it failed many times in a row")

// Holding is how a plugin is held.
type Holding struct {
	// Fault is the last that it had, Since the time of the first for which it is
	// held.
	Fault string
	Since time.Time
	// Until is when it is tried again.
	Until time.Time
	// TurnedAway counts the calls that were not made since then. Their events
	// wait in the lane of routing.
	TurnedAway uint64
}

// Held says how the plugin is held; ok is false where it is not.
func (h *Hold) Held() (holding Holding, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Holding{Fault: h.last, Since: h.since, Until: h.until, TurnedAway: h.turned}, h.held
}

// check says whether the plugin may be called now. Of the calls after a hold one
// is let through, and the others wait for what it says.
func (h *Hold) check(plugin string, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.held {
		return nil
	}
	if now.Before(h.until) || h.probing {
		h.turned++
		return fmt.Errorf("plugin %q: %w: %s", plugin, errHeld, h.last)
	}
	h.probing = true
	return nil
}

// observe is told how a call ended.
func (h *Hold) observe(err error, now time.Time) {
	held, changed := h.count(err, now)
	if !changed || h.Changed == nil {
		return
	}
	if !held {
		err = nil
	}
	h.Changed(err)
}

// count returns whether the plugin is held, and whether that is new.
func (h *Hold) count(err error, now time.Time) (held, changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = false
	e, failed := errors.AsType[*plugins.Error](err)
	switch {
	case err != nil && !failed:
		return h.held, false // the caller gave up: it says nothing of the plugin
	case !failed || !e.Broke():
		was := h.held
		h.missed, h.faults, h.turned, h.held, h.last = 0, 0, 0, false, ""
		return false, was
	}
	h.faults++
	if e.Class == plugins.ClassDeadline {
		h.missed++
	} else {
		h.missed = 0
	}
	was := h.held
	if was || h.missed >= holdAfterMissed || h.faults >= holdAfterFaults {
		h.held, h.until, h.last = true, now.Add(holdFor), e.Text
		if !was {
			h.since = now
		}
	}
	return h.held, h.held && !was
}
