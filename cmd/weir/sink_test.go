package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// sinkRun is the command under way, with what it prints.
type sinkRun struct {
	lines *bufio.Scanner
	stop  context.CancelFunc
	ended chan error
}

func startSink(t *testing.T, g *globals, args ...string) *sinkRun {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	c := newSink(g)
	c.SilenceUsage, c.SilenceErrors = true, true
	c.SetArgs(args)
	c.SetOut(w)
	c.SetErr(w)
	run := &sinkRun{lines: bufio.NewScanner(r), stop: cancel, ended: make(chan error, 1)}
	go func() {
		run.ended <- c.ExecuteContext(ctx)
		w.Close()
	}()
	t.Cleanup(cancel)
	return run
}

func (s *sinkRun) line(t *testing.T) string {
	t.Helper()
	if !s.lines.Scan() {
		t.Fatalf("printed no more: %v", <-s.ended)
	}
	return s.lines.Text()
}

func postEmpty(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Error(err)
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func TestSink(t *testing.T) {
	s := startSink(t, &globals{}, "--status", "201", "--fail", "1")
	first := s.line(t)
	url, ok := strings.CutPrefix(first, "sink listens on ")
	if !ok || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("printed %q", first)
	}
	status := make(chan int)
	for _, want := range []int{503, 201} {
		go func() { status <- postEmpty(t, url) }()
		if line := s.line(t); !strings.Contains(line, "unchecked") || !strings.Contains(line, "2 B") {
			t.Errorf("printed %q", line)
		}
		if got := <-status; got != want {
			t.Errorf("answered %d, want %d", got, want)
		}
	}
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

func TestSinkChecksSignatures(t *testing.T) {
	t.Setenv("WEIR_SINK_SECRET", "from the environment")
	s := startSink(t, &globals{output: "json"})
	url := strings.TrimSuffix(strings.TrimPrefix(s.line(t), `{"url":"`), `"}`)
	status := make(chan int)
	go func() { status <- postEmpty(t, url) }()
	if line := s.line(t); !strings.Contains(line, `"verified":false`) || !strings.Contains(line, `"status":401`) {
		t.Errorf("printed %q", line)
	}
	if got := <-status; got != 401 {
		t.Errorf("answered %d", got)
	}
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

func TestSinkErrors(t *testing.T) {
	for _, args := range [][]string{{"--addr", "0.0.0.0:0"}, {"--status", "42"}, {"--fail", "-1"}, {"argument"}, {"--log", "/nowhere/log"}} {
		s := startSink(t, &globals{}, args...)
		if s.lines.Scan() {
			t.Errorf("%v: printed %q", args, s.lines.Text())
		}
		if err := <-s.ended; err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
