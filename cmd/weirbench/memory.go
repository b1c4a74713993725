package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// watch samples the anonymous memory of a process until it is stopped.
type watch struct {
	stop    chan struct{}
	done    sync.WaitGroup
	mu      sync.Mutex
	samples []float64 // MiB
}

func newWatch(p *process) *watch {
	w := &watch{stop: make(chan struct{})}
	w.done.Go(func() {
		for {
			if bytes, err := p.anonymous(); err == nil { // else it has ended, which others tell
				w.mu.Lock()
				w.samples = append(w.samples, float64(bytes)/(1<<20))
				w.mu.Unlock()
			}
			select {
			case <-w.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return w
}

// take gives the samples since the last time.
func (w *watch) take() []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.samples
	w.samples = nil
	return s
}

func (w *watch) end() {
	close(w.stop)
	w.done.Wait()
}

// afterwards is how long memory is watched when the load is over.
const afterwards = 10 * time.Second

func memory(ctx context.Context, b *bench) ([]Line, error) {
	dead, err := freeAddress() // nobody listens there
	if err != nil {
		return nil, err
	}
	s := setup{destinations: 1, concurrency: 16, url: "http://" + dead + "/"}
	weir, err := b.route(ctx, "Weir", s)
	if err != nil {
		return nil, err
	}
	w := newWatch(weir.process)
	// The second figures are with five times as many as the first.
	var filling, after, rest [2]float64
	stored := 0
	for i, n := range []int{b.waiting / 5, b.waiting} {
		w.take()
		began := time.Now()
		err := fillUp(ctx, weir, n-stored)
		if err != nil {
			w.end()
			return nil, err
		}
		filling[i] = quantile(w.take(), 1)
		took := time.Since(began)
		stored = n
		// First attempts fail as fast as they are made, and then all wait.
		if err := pause(ctx, afterwards); err != nil {
			w.end()
			return nil, err
		}
		seen := w.take()
		after[i] = quantile(seen, 1)
		if len(seen) > 0 {
			rest[i] = seen[len(seen)-1]
		}
		fmt.Fprintf(b.out, "  %d waiting: at most %.0f MiB in the %s of the load, %.0f MiB in the 10 s after it, %.0f MiB at their end\n",
			n, filling[i], took.Round(100*time.Millisecond), after[i], rest[i])
	}
	w.end()
	// And a router that finds them all there when it starts.
	if err := weir.kill(); err != nil {
		return nil, err
	}
	if err := b.serve(weir, s, []string{s.url}); err != nil {
		return nil, err
	}
	w = newWatch(weir.process)
	defer w.end()
	if err := weir.ready(ctx, "/readyz"); err != nil {
		return nil, err
	}
	if err := pause(ctx, afterwards); err != nil {
		return nil, err
	}
	started := quantile(w.take(), 1)
	fmt.Fprintf(b.out, "  %d waiting: at most %.0f MiB in the 10 s after a start\n", b.waiting, started)
	peak := [2]float64{max(filling[0], after[0]), max(filling[1], after[1])}
	few, all := fmt.Sprintf("%d waiting", b.waiting/5), fmt.Sprintf("%d waiting", b.waiting)
	return []Line{
		under("RssAnon, "+few, "MiB", peak[0], 400),
		under("RssAnon, "+all, "MiB", peak[1], 400),
		atMost("RssAnon, "+all, "MiB", peak[1], few, peak[0], 1.3),
		only("RssAnon while they come, "+all, "MiB", filling[1], few, filling[0]),
		only("RssAnon 10 s later, "+all, "MiB", rest[1], few, rest[0]),
		under("RssAnon after a start, "+all, "MiB", started, 400),
	}, weir.alive()
}
