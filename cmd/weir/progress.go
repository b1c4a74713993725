package main

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
)

// progress shows how far long work is, where somebody watches it. It is not safe
// for concurrent use.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress starts a bar of so many steps on w, or shows nothing where w is no
// terminal.
func newProgress(w io.Writer, steps int, what string) *progress {
	f, ok := w.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) {
		return &progress{}
	}
	return &progress{progressbar.NewOptions(steps, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(50e6))}
}

// step says that one more step is done.
func (p *progress) step() {
	if p.bar != nil {
		_ = p.bar.Add(1) // a terminal that is gone is no failure of the work
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
