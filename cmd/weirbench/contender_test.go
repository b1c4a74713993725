package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// serving gives a bench whose receiver runs in this process.
func serving(t *testing.T) *bench {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newReceiver()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &bench{receiver: &process{address: l.Addr().String()}}
}

func post(t *testing.T, url string, body []byte) {
	t.Helper()
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	req.Header.SetMethod(fasthttp.MethodPost)
	req.SetRequestURI(url)
	req.SetBody(body)
	req.SetConnectionClose()
	if err := fasthttp.Do(req, res); err != nil || res.StatusCode() != fasthttp.StatusOK {
		t.Fatalf("%s: %d, %v", url, res.StatusCode(), err)
	}
}

// The check of a row finds what was lost, doubled or is none of ours, at any of
// the destinations.
func TestIntactFindsWhatIsWrong(t *testing.T) {
	b := serving(t)
	for name, c := range map[string]struct {
		arrivals [2][]uint64 // the numbers that arrive at two destinations
		garbage  bool
		ok       bool
	}{
		"all":     {arrivals: [2][]uint64{{0, 1, 2}, {2, 1, 0}}, ok: true},
		"lost":    {arrivals: [2][]uint64{{0, 1, 2}, {0, 1}}},
		"doubled": {arrivals: [2][]uint64{{0, 1, 2, 2}, {0, 1, 2}}},
		"both":    {arrivals: [2][]uint64{{0, 1, 1}, {0, 1, 2}}},
		"strange": {arrivals: [2][]uint64{{0, 1, 2}, {0, 1}}, garbage: true},
	} {
		contestant := &contender{process: &process{done: make(chan struct{})}, name: name, accepted: 3}
		from, to, urls := b.urls(2)
		contestant.from, contestant.to = from, to
		for i, numbers := range c.arrivals {
			for _, n := range numbers {
				post(t, urls[i], newEventBody().fill(n, 1))
			}
		}
		if c.garbage {
			post(t, urls[1], []byte("garbage"))
		}
		if err := b.intact(contestant); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A reference whose file is too short for what it accepted has lost something.
func TestStoredFindsAShortFile(t *testing.T) {
	b := &bench{}
	file := filepath.Join(t.TempDir(), "log")
	a, err := newAppender(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) {
		if err := a.append(newEventBody().fill(n, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for accepted, want := range map[uint64]bool{3: true, 4: false, 2: false} {
		c := &contender{process: endless(t), name: "R2", file: file, accepted: accepted}
		if err := b.stored(context.Background(), c, setup{}); (err == nil) != want {
			t.Errorf("%d accepted: %v", accepted, err)
		}
	}
}

// endless is a process that ends only when it is killed.
func endless(t *testing.T) *process {
	t.Helper()
	p, err := launch(t.TempDir(), "endless", "", "sleep", "3600")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A process that ends by itself is told with its last words.
func TestAliveTellsTheEnd(t *testing.T) {
	p, err := launch(t.TempDir(), "short", "", "sh", "-c", "echo last words; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if err := p.alive(); err == nil || !strings.Contains(err.Error(), "last words") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
}

// Producers post every event once, and count what is refused.
func TestDrive(t *testing.T) {
	b := serving(t)
	from, to, urls := b.urls(1)
	var next uint64
	// The receiver answers 200, which is not how an event is accepted.
	got := drive(context.Background(), urls[0], &next, load{connections: 4, period: time.Hour, limit: 100})
	seen, err := counts(b.receiver.address, from, to)
	if err != nil {
		t.Fatal(err)
	}
	if got.accepted != 0 || got.refused != 100 || got.problem == "" || seen != (Counts{Arrivals: 100, Distinct: 100}) || next < 100 {
		t.Errorf("%+v, receiver %+v, next %d", got, seen, next)
	}
}

func TestConfigurationOfARow(t *testing.T) {
	text := setup{concurrency: 8, routes: 2, timeout: "5m"}.hcl("127.0.0.1:1", []string{"http://127.0.0.1:2/0"})
	for _, want := range []string{`events = ["bench.t00000"]`, `events = ["bench.t00001"]`, `timeout = "5m"`, "concurrency = 8", "to = [destination.d0]"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// Paired destinations have a route and a type each; those aside post elsewhere.
func TestPairs(t *testing.T) {
	text := setup{concurrency: 8, paired: 20, aside: "/stall"}.hcl("127.0.0.1:1", []string{"http://127.0.0.1:2/3"})
	if n := strings.Count(text, `url = "http://127.0.0.1:2/3"`); n != 18 {
		t.Errorf("%d destinations with the set's URL", n)
	}
	if n := strings.Count(text, `url = "http://127.0.0.1:2/stall"`); n != 2 {
		t.Errorf("%d destinations aside", n)
	}
	if !strings.Contains(text, "events = [\"bench.t00019\"]\n  to = [destination.d19]") {
		t.Errorf("no route to the last destination in\n%s", text)
	}
	if strings.Contains(setup{paired: 20}.hcl("127.0.0.1:1", []string{"http://127.0.0.1:2/3"}), "stall") {
		t.Error("destinations are aside that should not be")
	}
}

// What is apart is not expected at the sets, and all else once.
func TestDue(t *testing.T) {
	if n := (&contender{accepted: 10, from: 2, to: 5}).due(); n != 30 {
		t.Errorf("fan-out: %d", n)
	}
	if n := (&contender{accepted: 10, apart: 3, from: 2, to: 3, paired: true}).due(); n != 7 {
		t.Errorf("paired: %d", n)
	}
}

func TestDriveCountsApart(t *testing.T) {
	accepting := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(fasthttp.StatusAccepted) }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- accepting.Serve(l) }()
	t.Cleanup(func() {
		if err := accepting.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	var next uint64
	got := drive(t.Context(), "http://"+l.Addr().String()+"/", &next, load{connections: 4, period: time.Hour, limit: 100, apart: isAside})
	if got.accepted != 100 || got.apart != 10 {
		t.Errorf("got %+v", got)
	}
}

// The receiver answers for destinations aside, and counts none of it at a set.
func TestReceiverAside(t *testing.T) {
	b := serving(t)
	from, to, _ := b.urls(3)
	post(t, "http://"+b.receiver.address+"/apart", newEventBody().fill(1, 1))
	if c, err := counts(b.receiver.address, from, to); err != nil || c != (Counts{}) {
		t.Errorf("got %+v, error %v", c, err)
	}
}

// The watch sees the memory of a process while it lives.
func TestWatch(t *testing.T) {
	p := endless(t)
	w := newWatch(p)
	deadline := time.After(time.Minute)
	var seen []float64
	for len(seen) == 0 {
		select {
		case <-deadline:
			t.Fatal("no sample")
		case <-time.After(time.Millisecond):
			seen = w.take()
		}
	}
	w.end()
	if err := p.kill(); err != nil {
		t.Fatal(err)
	}
	if seen[0] <= 0 {
		t.Errorf("samples %v", seen)
	}
}
