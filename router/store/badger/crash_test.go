package badger_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
)

// crashPath makes the test binary a process that commits until it is killed.
const crashPath = "WEIR_TEST_COMMIT_TO"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashPath); path != "" {
		if err := commitForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if path := os.Getenv(fullPath); path != "" {
		if err := commitWhileFull(path); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// commitForEver has many goroutines commit events, routings and outcomes, and
// prints a line for each that was acknowledged, after it was.
func commitForEver(path string) error {
	ctx := context.Background()
	s, err := badger.Open(ctx, badger.Options{Path: path})
	if err != nil {
		return err
	}
	lines := make(chan string)
	errs := make(chan error, 1)
	fail := func(err error) {
		select {
		case errs <- err:
		default:
		}
	}
	for range 8 {
		go func() {
			for {
				res, err := s.Commit(ctx, &store.Record{Events: []store.NewEvent{{Event: crashEvent()}, {Event: crashEvent()}}})
				if err != nil {
					fail(err)
					return
				}
				for _, a := range res.Events {
					lines <- fmt.Sprintf("event %d %s", a.Position, a.ID)
				}
			}
		}()
	}
	go func() { fail(route(ctx, s, lines)) }()
	go func() { fail(settle(ctx, s, lines)) }()
	for {
		select {
		case err := <-errs:
			return err
		case l := <-lines:
			fmt.Println(l)
		}
	}
}

func crashEvent() *event.Event {
	now := time.Now()
	id := event.NewID(now)
	return &event.Event{ID: id, Type: "crash", Source: "s", Time: now, Received: now, Data: bytes.Repeat([]byte(id[:1]), 1+rand.IntN(3000))}
}

func route(ctx context.Context, s *badger.Store, lines chan<- string) error {
	for p := s.Progress() + 1; ; p++ {
		if err := s.Wait(ctx, p-1); err != nil {
			return err
		}
		_, err := s.Commit(ctx, &store.Record{Routings: []*store.Routing{{
			Position: p, Matches: []store.Match{{Route: "r"}}, Deliveries: []store.Delivery{{Lane: "a", Content: -1}, {Lane: fmt.Sprint("b", p%3), Content: -1}},
		}}})
		if err != nil {
			return err
		}
		lines <- fmt.Sprintf("routed %d", p)
	}
}

// settle delivers every posting of lane a but each fifth, which it leaves to be
// retried.
func settle(ctx context.Context, s *badger.Store, lines chan<- string) error {
	l, err := s.Lane(ctx, "a")
	if err != nil {
		return err
	}
	low := l.Cursor.Low
	for {
		ps, err := s.Postings(ctx, "a", low, 50)
		if err != nil {
			return err
		}
		if len(ps) == 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		lo := store.LaneOutcomes{Lane: "a"}
		for _, p := range ps {
			o := store.Outcome{Ref: p.Ref, From: store.Waiting, To: store.Delivered, Attempt: &store.Attempt{Number: 1, Started: time.Now(), Status: 200}}
			if p.Ref.Position%5 == 0 {
				o.To, o.Due = store.Retrying, time.Now().Add(time.Hour)
			}
			lo.Outcomes = append(lo.Outcomes, o)
			low = p.Ref.Next()
		}
		lo.Cursor = &store.Cursor{Low: low}
		if _, err := s.Commit(ctx, &store.Record{Outcomes: []store.LaneOutcomes{lo}}); err != nil {
			return err
		}
		lines <- fmt.Sprintf("settled %d", low.Position)
	}
}

// TestKilled kills a process that commits, again and again on the same folder,
// and checks that all it acknowledged is there, and nothing in halves.
func TestKilled(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	path := t.TempDir()
	acknowledged := map[uint64]string{}
	var routed, settled uint64
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashPath+"="+path)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := 200 + rand.IntN(3000)
		seen := 0
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var position uint64
			var id string
			switch kind, rest, _ := strings.Cut(lines.Text(), " "); kind {
			case "event":
				if _, err := fmt.Sscan(rest, &position, &id); err == nil {
					acknowledged[position] = id
				}
			case "routed":
				if _, err := fmt.Sscan(rest, &position); err == nil {
					routed = max(routed, position)
				}
			case "settled":
				if _, err := fmt.Sscan(rest, &position); err == nil {
					settled = max(settled, position)
				}
			}
			if seen++; seen == stop {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || seen < stop {
			t.Fatalf("round %d: it ended by itself after %d lines, error %v: %s", round, seen, err, stderr.String())
		}
		checkKilled(t, path, acknowledged, routed, settled)
	}
	if settled == 0 || routed == 0 || len(acknowledged) == 0 {
		t.Errorf("nothing was shown: %d events, routed to %d, settled to %d", len(acknowledged), routed, settled)
	}
}

func checkKilled(t *testing.T, path string, acknowledged map[uint64]string, routed, settled uint64) {
	t.Helper()
	ctx := t.Context()
	s, err := badger.Open(ctx, badger.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if s.Progress() < routed {
		t.Errorf("progress is %d, and %d was acknowledged", s.Progress(), routed)
	}
	found := 0
	for next := uint64(1); next <= s.Last(); {
		events, err := s.Events(ctx, next, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			t.Fatalf("no event at %d of %d", next, s.Last())
		}
		for _, e := range events {
			if e.Position != next {
				t.Fatalf("position %d follows %d", e.Position, next-1)
			}
			if id, ok := acknowledged[next]; ok {
				found++
				if id != e.ID {
					t.Errorf("position %d has event %s, and %s was acknowledged", next, e.ID, id)
				}
			}
			next++
		}
	}
	if found != len(acknowledged) {
		t.Errorf("%d of %d acknowledged events are there", found, len(acknowledged))
	}
	l, err := s.Lane(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if l.Cursor.Low.Position < settled {
		t.Errorf("the cursor is at %d, and %d was acknowledged", l.Cursor.Low.Position, settled)
	}
	ps, err := s.Postings(ctx, "a", store.Ref{}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	ys, err := s.Retries(ctx, "a", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	c := l.Counts
	if uint64(len(ps)) != c.Waiting || uint64(len(ys)) != c.Retrying || c.Waiting+c.Retrying+c.Delivered != s.Progress() {
		t.Errorf("%d postings and %d retries, counts %+v, progress %d", len(ps), len(ys), c, s.Progress())
	}
}
