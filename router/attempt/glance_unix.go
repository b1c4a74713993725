//go:build unix

package attempt

import (
	"errors"
	"syscall"
)

// glance tells what has come on a socket, without waiting. A byte that came is
// lost: the connection is of no more use then.
func glance(fd uintptr, one []byte) sight {
	for {
		n, err := syscall.Read(int(fd), one)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return quiet
		case n > 0:
			return spoke
		default:
			return closed
		}
	}
}
