package plugins

import (
	"errors"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// stopped is the stop of a guest that is to trap.
const stopped = -1

// errDeadline says that a call took longer than its deadline.
var errDeadline = errors.New("deadline")

// watchdog ends a call that takes too long by its stop (see package meter), at the
// end of its slice of fuel. Fuel ends nearly all endless work before; this is for
// what is slow on a machine that is too busy, or for what costs the host more than it
// charges. It costs a call two settings of a timer.
type watchdog struct {
	mu      sync.Mutex
	timer   *time.Timer
	stop    api.MutableGlobal
	running bool
	limit   time.Duration
	until   time.Time
	reason  error // why the running call was ended
}

// begin starts the clock for a call.
func (w *watchdog) begin(stop api.MutableGlobal, now time.Time, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop, w.running, w.reason, w.limit, w.until = stop, true, nil, d, now.Add(d)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.late)
	} else {
		w.timer.Reset(d)
	}
}

// end stops the clock and returns why the call was ended, nil where it was not.
func (w *watchdog) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.running = false
	return w.reason
}

// late runs when the timer goes off, possibly for a call that is over.
func (w *watchdog) late() {
	if w.due() {
		w.cut(errDeadline)
	}
}

func (w *watchdog) due() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running && !time.Now().Before(w.until)
}

// cut ends the running call, if there is one.
func (w *watchdog) cut(reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		return
	}
	if w.reason == nil {
		w.reason = reason
	}
	w.stop.Set(api.EncodeI64(stopped))
}
