package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
)

// slowStart is how long a start takes until somebody who watches is shown how far it
// is.
const slowStart = time.Second

// starting shows on a terminal how far a router's start is, on a line below the log,
// which is written through it. It is safe for concurrent use.
type starting struct {
	w io.Writer
	// width is that of the terminal in columns, 0 where it is none: nothing is shown
	// there.
	width int

	mu        sync.Mutex
	what      string
	done, all int
	// showing: the line is on the screen. over: the start is, or has failed.
	showing, over bool
	timer         *time.Timer
}

func newStarting(w io.Writer, width int) *starting { return &starting{w: w, width: width} }

// teller takes what the router says of its start; nil where nobody watches.
func (s *starting) teller() func(what string, done, all int) {
	if s.width == 0 {
		return nil
	}
	s.timer = time.AfterFunc(slowStart, s.show)
	return s.tell
}

func (s *starting) tell(what string, done, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == all {
		done = max(done, s.done) // several tell at once
	}
	s.what, s.done, s.all = what, done, all
	if s.showing {
		s.draw()
	}
}

// show begins to show the line, unless the start has ended.
func (s *starting) show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.showing = true
		s.draw()
	}
}

// end takes the line away.
func (s *starting) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.showing {
		s.put(eraseLine)
	}
	s.showing, s.over = false, true
}

// Write writes lines of the log above.
func (s *starting) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.showing {
		return s.w.Write(line)
	}
	s.put(eraseLine)
	n, err := s.w.Write(line)
	s.draw()
	return n, err
}

// eraseLine goes back to the line's begin and empties it (ECMA-48, EL).
const eraseLine = "\r\x1b[K"

// barWidth is that of the bar, in columns.
const barWidth = 30

func (s *starting) draw() {
	text := s.what
	if s.all > 0 {
		full := barWidth * s.done / s.all
		text = fmt.Sprintf("compiling plugins %d of %d  %s%s", s.done, s.all, strings.Repeat("█", full), strings.Repeat("░", barWidth-full))
	}
	s.put(eraseLine + runewidth.Truncate(text, s.width-1, "…"))
}

func (s *starting) put(text string) {
	_, _ = io.WriteString(s.w, text) // a terminal that is gone keeps no router from starting
}
