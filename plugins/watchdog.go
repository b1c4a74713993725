package plugins

import (
	"errors"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// errDeadline says that a call took longer than its deadline.
var errDeadline = errors.New("deadline")

// watchdog ends a call that takes too long by taking its fuel. Fuel ends nearly
// all endless work before; this is for what is slow on a machine that is too busy,
// or for what costs the host more than it charges. It costs a call two settings
// of a timer.
type watchdog struct {
	mu      sync.Mutex
	timer   *time.Timer
	fuel    api.MutableGlobal
	running bool
	limit   time.Duration
	until   time.Time
	reason  error // why the running call was ended
}

// begin starts the clock for a call.
func (w *watchdog) begin(fuel api.MutableGlobal, now time.Time, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fuel, w.running, w.reason, w.limit, w.until = fuel, true, nil, d, now.Add(d)
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

// late runs when the timer goes off, possibly for a call that is over. The guest
// may write its fuel back at the same moment as it is taken, so it is taken until
// the guest has noticed.
func (w *watchdog) late() {
	for w.due() && w.drain(errDeadline) {
		time.Sleep(time.Millisecond)
	}
}

func (w *watchdog) due() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running && !time.Now().Before(w.until)
}

// drain takes the fuel of the running call, if there is one.
func (w *watchdog) drain(reason error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.running {
		return false
	}
	if w.reason == nil {
		w.reason = reason
	}
	w.fuel.Set(api.EncodeI64(exhausted))
	return true
}
