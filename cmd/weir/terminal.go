package main

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminal is what a writer can do beside taking text. The zero value is that of
// a file or a pipe.
type terminal struct {
	// width is how many columns it has, 0 where it is no terminal.
	width int
	// colour: it is a terminal, and nobody has asked for none
	// (https://no-color.org).
	colour bool
}

func terminalOf(w io.Writer) terminal {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return terminal{}
	}
	t := terminal{width: 80, colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		t.width = width
	}
	return t
}

// The styles of a terminal (ECMA-48, select graphic rendition).
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint gives text a style; "" is none.
func (t terminal) paint(style, text string) string {
	if !t.colour || style == "" || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// toneOf is the colour of a state, or of a text that begins with one.
func toneOf(text string) string {
	word, _, _ := strings.Cut(text, " ")
	switch strings.TrimRight(word, ",:") {
	case "active", "delivered", "done", "✓":
		return green
	case "dead", "failing", "open", "disabled", "failed", "attempts", "gone", "expired", "routing", "✗":
		return red
	case "waiting", "sending", "retrying", "held", "paused", "orphaned", "running":
		return yellow
	}
	return ""
}
