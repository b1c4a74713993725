package attempt

import (
	"sync"
	"time"
)

// idleTimeout is how long a connection waits for the next attempt.
const idleTimeout = 90 * time.Second

// idle holds the connections of a sender that wait. It needs no goroutine, and
// while none waits no timer either: there may be 10,000 senders.
type idle struct {
	most int // more are closed

	mu     sync.Mutex
	conns  []*conn     // the one that waits longest first
	timer  *time.Timer // nil while none waits
	closed bool
}

// take returns the connection that waits shortest, and nil where none waits. Nothing
// has come on it, or the exchange looks itself.
func (i *idle) take() *conn {
	for {
		c := i.pop()
		if c == nil || c.asks() || c.check() == quiet {
			return c
		}
		c.drop()
	}
}

func (i *idle) pop() *conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	last := len(i.conns) - 1
	if last < 0 {
		return nil
	}
	c := i.conns[last]
	i.conns[last] = nil
	i.conns = i.conns[:last]
	return c
}

// give keeps a connection for the next attempt.
func (i *idle) give(c *conn) {
	c.kept, c.since = true, time.Now()
	if !i.push(c) {
		hangUp(c)
	}
}

func (i *idle) push(c *conn) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || len(i.conns) >= i.most {
		return false
	}
	i.conns = append(i.conns, c)
	if i.timer == nil {
		i.timer = time.AfterFunc(idleTimeout, func() { i.sweep(time.Now()) })
	}
	return true
}

// sweep closes what has waited too long, and what the receiver closed.
func (i *idle) sweep(now time.Time) {
	for _, c := range i.expired(now) {
		hangUp(c)
	}
}

func (i *idle) expired(now time.Time) []*conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	var gone, kept []*conn
	for _, c := range i.conns {
		if now.Sub(c.since) >= idleTimeout || c.check() != quiet {
			gone = append(gone, c)
		} else {
			kept = append(kept, c)
		}
	}
	i.conns = kept
	if len(kept) == 0 {
		i.timer = nil
	} else {
		i.timer.Reset(idleTimeout - now.Sub(kept[0].since))
	}
	return gone
}

// close closes all that wait, and what is given later.
func (i *idle) close() {
	i.mu.Lock()
	conns := i.conns
	i.conns, i.closed = nil, true
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
	i.mu.Unlock()
	for _, c := range conns {
		hangUp(c)
	}
}

// hangUp ends a connection that nobody uses, by TLS's own farewell where there
// is TLS. Its error changes nothing.
func hangUp(c *conn) {
	if c.unheed != nil {
		c.unheed()
	}
	_ = c.stream.Close()
}
