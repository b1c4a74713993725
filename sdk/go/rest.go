//go:build !tinygo

package weir

import "runtime"

// The collector gets its turn after so many calls, or sooner after so many bytes
// that were read: an event that is small leaves little garbage, and a turn takes as
// long as a small filter.
const (
	restCalls = 4
	restBytes = 4 << 10
)

var calls int // since the last turn

// rest lets the garbage collector's goroutines run now and then. A reactor returns
// to the host without doing so, and its heap would grow to the limit.
func rest() {
	if calls++; calls >= restCalls || taken >= restBytes {
		calls, taken = 0, 0
		runtime.Gosched()
	}
}
