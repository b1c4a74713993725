package main

import (
	"io"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far long work is, where somebody watches it. It is not safe
// for concurrent use.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress starts a bar of so many steps on w, -1 where nobody knows how many,
// or shows nothing where w is no terminal.
func newProgress(w io.Writer, steps int, what string) *progress {
	t := terminalOf(w)
	if t.width == 0 {
		return &progress{}
	}
	return &progress{progressbar.NewOptions(steps, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionSetWidth(max(1, min(30, t.width/3))), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(50e6))}
}

// step says that one more step is done.
func (p *progress) step() {
	if p.bar != nil {
		_ = p.bar.Add(1) // a terminal that is gone is no failure of the work
	}
}

// stepTo says how many steps are done in all.
func (p *progress) stepTo(n int) {
	if p.bar != nil {
		_ = p.bar.Set(n)
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
