package router

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// serving starts a router with a listener and returns its address.
func serving(t *testing.T, hcl string, o Options) (*Router, string) {
	t.Helper()
	r := start(t, t.TempDir(), hcl, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	t.Cleanup(func() {
		shut(t, r)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	await(t, "the server", func() bool { return r.Ready() == nil })
	return r, "http://" + l.Addr().String()
}

// sse is a stream of server-sent events.
type sse struct {
	t   *testing.T
	res *http.Response
	in  *bufio.Scanner
}

func openStream(t *testing.T, url, after string) *sse {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s, %s", res.Status, res.Header.Get("Content-Type"))
	}
	s := &sse{t: t, res: res, in: bufio.NewScanner(res.Body)}
	s.line() // retry: the stream is open
	return s
}

func (s *sse) line() string {
	s.t.Helper()
	if !s.in.Scan() {
		s.t.Fatalf("the stream has ended: %v", s.in.Err())
	}
	return s.in.Text()
}

// next is the next event with data.
func (s *sse) next(into any) (id, name string) {
	s.t.Helper()
	var data string
	for {
		line := s.line()
		switch key, value, _ := strings.Cut(line, ": "); {
		case line == "" && data != "":
			if err := json.Unmarshal([]byte(data), into); err != nil {
				s.t.Fatal(err)
			}
			return id, name
		case key == "id":
			id = value
		case key == "event":
			name = value
		case key == "data":
			data = value
		}
	}
}

func TestStreamTellsEventsAndAttempts(t *testing.T) {
	r, base := serving(t, toStdout+`
route "orders" {
  events = ["order.*"]
  to     = [destination.out]
}`, Options{Stdout: &safeBuffer{}})
	all := openStream(t, base+"/api/stream", "")
	attempts := openStream(t, base+"/api/stream?kinds=attempt&events=order.*&destination=out", "")
	publish(t, r, "user.seen", "one")
	publish(t, r, "order.paid", "two")

	var id string
	seen := map[string]int{}
	for range 5 { // an event, its attempt, an event, its two attempts
		var told struct {
			api.StreamAttempt
			Routes, Destinations []string
		}
		var name string
		id, name = all.next(&told)
		seen[name+" "+told.EventID]++
		if name == "event" && told.EventID == "two" && (strings.Join(told.Routes, " ") != "all orders" || len(told.Destinations) != 1) {
			t.Errorf("it tells %+v", told)
		}
	}
	if want := map[string]int{"event one": 1, "event two": 1, "attempt one": 1, "attempt two": 2}; len(seen) != len(want) || seen["attempt two"] != 2 || seen["attempt one"] != 1 {
		t.Errorf("told %v, want %v", seen, want)
	}
	for range 2 {
		var a api.StreamAttempt
		if _, name := attempts.next(&a); name != "attempt" || a.EventID != "two" || a.Outcome != "delivered" || a.State != "delivered" || a.Destination != "out" || a.Number != 1 {
			t.Errorf("it tells %s %+v", name, a)
		}
	}

	all.res.Body.Close()
	publish(t, r, "user.seen", "three")
	again := openStream(t, base+"/api/stream?kinds=event", id)
	var e api.StreamEvent
	if again.next(&e); e.EventID != "three" {
		t.Errorf("resumed at %s, want three", e.EventID)
	}
	var missed api.StreamMissed
	if _, name := openStream(t, base+"/api/stream", "abc-7").next(&missed); name != "missed" || missed.Count != 0 {
		t.Errorf("%s %+v after an unknown id", name, missed)
	}
}

// A listener keeps no router from stopping, and a bad question is refused.
func TestStreamEnds(t *testing.T) {
	r, base := serving(t, toStdout, Options{Stdout: &safeBuffer{}})
	s := openStream(t, base+"/api/stream", "")
	for _, bad := range []string{"?kinds=events", "?kind=event"} {
		res, err := http.Get(base + "/api/stream" + bad)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 400 {
			t.Errorf("%s: %s", bad, res.Status)
		}
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for s.in.Scan() {
	}
	if err := s.in.Err(); err != nil {
		t.Errorf("the stream was torn: %v", err)
	}
}
