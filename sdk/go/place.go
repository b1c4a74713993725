//go:build !tinygo

package weir

import (
	"path"
	"runtime"
	"strconv"
	"strings"
)

// place says where the panic that is being recovered came from, such as
// " (main.go:12)": the first function on the stack that is neither the runtime's
// nor this package's.
func place() string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	own, panicked := "", false
	for {
		f, more := frames.Next()
		switch {
		case own == "":
			own = f.Function[:strings.LastIndexByte(f.Function, '.')+1] // this function's package
		case f.Function == "runtime.gopanic":
			panicked = true
		case panicked && !strings.HasPrefix(f.Function, "runtime.") && !strings.HasPrefix(f.Function, own):
			return " (" + path.Base(f.File) + ":" + strconv.Itoa(f.Line) + ")"
		}
		if !more {
			return ""
		}
	}
}
