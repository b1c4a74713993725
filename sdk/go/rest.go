//go:build !tinygo

package weir

import "runtime"

// rest lets the garbage collector's goroutines run. A reactor returns to the
// host without doing so, and its heap would grow to the limit.
func rest() { runtime.Gosched() }
