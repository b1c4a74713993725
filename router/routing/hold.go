package routing

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/plugins"
)

// A plugin that misses its deadline this often in a row is held for that long:
// the reader must not wait out its deadline for event after event.
const (
	holdAfter = 3
	holdFor   = 10 * time.Second
)

// hold keeps a plugin that misses its deadlines from holding up the routes of
// others. While it is held, the events of its routes wait in the lane of
// routing, where it is tried apart from the reader. It is safe for concurrent
// use.
type hold struct {
	mu     sync.Mutex
	missed int
	until  time.Time
}

// errHeld is a fault of the host: trying again later can help.
var errHeld = errors.New("it is held, because it missed its deadline several times in a row")

// check says whether the plugin may be called now. After a hold it lets calls
// through again, and the first miss holds it anew.
func (h *hold) check(plugin string, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.until) {
		return fmt.Errorf("plugin %q: %w", plugin, errHeld)
	}
	return nil
}

// observe is told how a call ended.
func (h *hold) observe(err error, now time.Time) {
	var e *plugins.Error
	late := errors.As(err, &e) && e.Class == plugins.ClassDeadline
	h.mu.Lock()
	defer h.mu.Unlock()
	if !late {
		h.missed = 0
		return
	}
	h.missed++
	if h.missed >= holdAfter {
		h.until = now.Add(holdFor)
	}
}
