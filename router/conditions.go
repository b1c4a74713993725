package router

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/event"
)

// conditions tells an operator of events for which the condition of a route, or the
// filter of a webhook, could not be evaluated: the first, and then one a minute for
// each, so that there is an event to look at.
type conditions struct {
	mu   sync.Mutex
	told map[string]*doubt // by route, or by id of a webhook
}

// doubt is when one was told of last, and how many events there were since.
type doubt struct {
	at time.Time
	n  int
}

const (
	doubtEvery = time.Minute
	// doubtsMost bounds memory: webhooks may be many, and come and go.
	doubtsMost = 1000
)

// failed notes that the condition of a route could not be evaluated for an event.
func (c *conditions) failed(log hclog.Logger, route string, e *event.Event, err error, now time.Time) {
	log.Debug("a condition could not be evaluated, so the route does not match", "route", route, "event", e.ID, "error", err)
	if n := c.tell(route, now); n > 0 {
		log.Warn("a route passes over events, as its condition can't be evaluated; to see the term: weir explain EVENT --source SOURCE",
			"route", route, "event", e.ID, "source", e.Source, "error", err, "events", n)
	}
}

// tell counts an event, and gives how many there were since the last time that the log
// had one of the route, or 0 where it has to wait.
func (c *conditions) tell(route string, now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	recent := func(d *doubt) bool { since := now.Sub(d.at); return since >= 0 && since < doubtEvery }
	d := c.told[route]
	if d == nil {
		if len(c.told) >= doubtsMost {
			for name, other := range c.told {
				if !recent(other) {
					delete(c.told, name)
				}
			}
		}
		if len(c.told) >= doubtsMost {
			return 0
		}
		if c.told == nil {
			c.told = map[string]*doubt{}
		}
		c.told[route] = &doubt{at: now}
		return 1
	}
	d.n++
	if recent(d) {
		return 0
	}
	n := d.n
	d.at, d.n = now, 0
	return n
}
