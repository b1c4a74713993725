//go:build unix

package attempt

import (
	"errors"
	"syscall"
	"time"
)

// asks: a socket can be read and written by its descriptor.
const asks = true

// step is a turn of the poller: false lets it wait until something can be read.
func (c *conn) step(fd uintptr) bool {
	q := &c.question
	if q.state == toLook {
		if c.seen = glance(fd, c.one[:]); c.seen != quiet {
			return true
		}
		n, err := syscall.Write(int(fd), q.out)
		q.n = max(n, 0)
		if err != nil || n < len(q.out) {
			return true // as package net does it
		}
		q.state, q.wrote = toRead, time.Now()
		return false
	}
	for {
		n, err := syscall.Read(int(fd), q.in)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return false
		default:
			c.answer(n, err)
			return true
		}
	}
}
