package main

import (
	"time"

	"github.com/weirhq/weir/router/config"
)

// watchEvery is how often the files are looked at. Looking costs some microseconds
// a file, and unlike the kernel's notices it works for links that are swapped, for
// files in folders that come and go, and on every file system.
const watchEvery = 500 * time.Millisecond

// watch tells when the files of a configuration have changed. It belongs to one
// goroutine.
type watch struct {
	read config.Inputs // as they were when they were last read
	last config.Inputs // as they were at the last look
}

func (w *watch) reset(read config.Inputs) { w.read, w.last = read, read }

// due looks, and reports whether something has changed since the files were read
// and has stayed as it is since the last look: whoever writes them may not be
// through.
func (w *watch) due() bool {
	now := w.read.Now()
	settled := now.Equal(w.last)
	w.last = now
	return settled && !now.Equal(w.read)
}
