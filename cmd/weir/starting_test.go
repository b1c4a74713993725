package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// screen is what a terminal shows of what was written to it: a line goes back to its
// begin and is emptied by eraseLine.
func screen(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		parts := strings.Split(line, eraseLine)
		lines = append(lines, parts[len(parts)-1])
	}
	return strings.Join(lines, "\n")
}

// The line stays below the log, goes on with the start and away at its end.
func TestStarting(t *testing.T) {
	var out bytes.Buffer
	s := newStarting(&out, 60)
	looks := func(want string) {
		t.Helper()
		if got := screen(out.String()); got != want {
			t.Errorf("the terminal has %q, want %q", got, want)
		}
	}
	s.tell("the store recovers", 0, 0)
	fmt.Fprintln(s, "a quick start's log")
	looks("a quick start's log\n")
	s.show()
	looks("a quick start's log\nthe store recovers")
	s.tell("plugins", 3, 10)
	s.tell("plugins", 2, 10) // two tell at once
	looks("a quick start's log\ncompiling plugins 3 of 10  " + strings.Repeat("█", 9) + strings.Repeat("░", 21))
	fmt.Fprintln(s, "another line")
	looks("a quick start's log\nanother line\ncompiling plugins 3 of 10  " + strings.Repeat("█", 9) + strings.Repeat("░", 21))
	s.end()
	fmt.Fprintln(s, "ready")
	s.show() // the timer, too late
	s.tell("plugins", 4, 10)
	looks("a quick start's log\nanother line\nready\n")

	out.Reset()
	narrow := newStarting(&out, 20)
	narrow.tell("plugins", 10, 10)
	narrow.show()
	looks("compiling plugins …")
}

// Where nobody watches, nothing is added to the log.
func TestStartingInAFile(t *testing.T) {
	var out bytes.Buffer
	s := newStarting(&out, 0)
	if s.teller() != nil {
		t.Error("the router tells of its start, and the log has no word of it")
	}
	fmt.Fprintln(s, "ready")
	s.end()
	if out.String() != "ready\n" {
		t.Errorf("the log is %q", out.String())
	}
}

// Workers tell while the log is written.
func TestStartingConcurrently(t *testing.T) {
	var out bytes.Buffer
	s := newStarting(&out, 80)
	s.show()
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() { s.tell("plugins", i+1, 10) })
		all.Go(func() { fmt.Fprintln(s, "a line of the log") })
	}
	all.Wait()
	s.end()
	if got := screen(out.String()); got != strings.Repeat("a line of the log\n", 10) {
		t.Errorf("the terminal has %q", got)
	}
}
