package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// killings are the moments at which the router dies. Each makes it busy with one
// thing, and the kill comes at a random time.
var killings = []struct {
	name  string
	what  traffic
	least time.Duration // after the start
	most  time.Duration
	// reloading: the configuration changes all the time.
	reloading bool
	// stalled: the receiver answers slowly, so that much is in flight.
	stalled bool
}{
	{name: "ingest", what: traffic{producers: 32, kinds: []string{"none"}, size: sizes(50, 1500)}, least: 10 * time.Millisecond, most: 250 * time.Millisecond},
	{name: "routing", what: traffic{producers: 24, kinds: []string{"github.push"}, size: sizes(50, 1500)}, least: 10 * time.Millisecond, most: 300 * time.Millisecond},
	{name: "delivery", what: traffic{producers: 16, kinds: []string{"plain", "both"}, size: sizes(50, 1500)}, least: 50 * time.Millisecond, most: 400 * time.Millisecond, stalled: true},
	// Each start turns the log of the one before into a table, and five of them are
	// compacted: fewer tables than starts are left.
	{name: "compaction", what: traffic{producers: 8, kinds: []string{"none", "plain"}, size: sizes(50_000, 250_000)}, least: 200 * time.Millisecond, most: 600 * time.Millisecond},
	{name: "reload", what: traffic{producers: 12, kinds: []string{"plain", "github.push"}, size: sizes(50, 1500)}, least: 20 * time.Millisecond, most: 300 * time.Millisecond, reloading: true},
	{name: "start", what: traffic{producers: 8, kinds: []string{"both"}, size: sizes(50, 1500)}, least: 0, most: 0},
}

// killRoutes says where the events of the kill proof go.
func killRoutes(kind string, number uint64) []string {
	switch kind {
	case "plain":
		return []string{"plain"}
	case "github.push":
		if filtered(number) {
			return nil
		}
		return []string{"through"}
	case "both":
		return []string{"plain", "second"}
	}
	return nil
}

// proveKill kills the router again and again on the same store.
func proveKill(ctx context.Context, t *trial) (string, error) {
	l := newLedger(filepath.Base(t.dir))
	rec, err := startReceiver(l, func(lane string, number uint64, before int) int {
		if number%13 == 0 && before == 0 {
			return 503
		}
		return 200
	})
	if err != nil {
		return "", err
	}
	defer rec.stop()
	module, err := examplePlugin(t)
	if err != nil {
		return "", err
	}
	blocks := func(version int) string {
		return fmt.Sprintf("plugin \"p\" {\n  wasm = %q\n}\n", module) +
			rec.destination("plain", fmt.Sprintf("headers = { \"x-version\" = \"%d\" }", version)) + rec.destination("second") + rec.destination("through") +
			route("plain", "plain", []string{"plain"}) + route("both", "both", []string{"plain", "second"}) +
			// The plugin looks at events of this type.
			route("through", "github.push", []string{"through"}, "through = [plugin.p]")
	}
	w, err := t.router(blocks(0))
	if err != nil {
		return "", err
	}
	rounds := t.times(24, 100, 60)
	for round := range rounds {
		k := killings[round%len(killings)]
		rec.delay.Store(0)
		if k.stalled {
			rec.delay.Store(int64(20 * time.Millisecond))
		}
		k.what.patient = round%2 == 0
		if k.name == "start" {
			// Killed before it is ready, then once more under load.
			if err := w.launch(); err != nil {
				return "", err
			}
			if err := pause(ctx, time.Duration(rand.IntN(120))*time.Millisecond); err != nil {
				return "", err
			}
			w.kill()
			if crash := w.crash(true); crash != "" {
				return "", violated("while it started, %s", crash)
			}
		}
		if err := startAgain(ctx, w); err != nil {
			return "", err
		}
		p := produce(l, w, k.what)
		var reloads sync.WaitGroup
		stop := make(chan struct{})
		if k.reloading {
			reloads.Go(func() {
				for version := round * 1000; ; version++ {
					select {
					case <-stop:
						return
					default:
					}
					w.blocks = blocks(version)
					if w.configure() == nil {
						_ = w.reload() // the router may be dead by now
					}
				}
			})
		}
		err := pause(ctx, k.least+time.Duration(rand.Int64N(int64(k.most-k.least+time.Millisecond))))
		w.kill()
		close(stop)
		p.stop()
		reloads.Wait()
		if err != nil {
			return "", err
		}
		if crash := w.crash(true); crash != "" {
			return "", violated("in round %d (%s) %s", round, k.name, crash)
		}
		if v := l.found(); v.count > 0 {
			return "", v.err()
		}
		// A defect should not take longer to see than need be.
		if t.broken() && round%3 == 2 {
			if err := startAgain(ctx, w); err != nil {
				return "", err
			}
			if err := settle(ctx, w, l, killRoutes, 2*time.Second, false); err != nil {
				return "", err
			}
			w.kill()
		}
	}
	rec.delay.Store(0)
	if err := startAgain(ctx, w); err != nil {
		return "", err
	}
	if err := settle(ctx, w, l, killRoutes, time.Minute, false); err != nil {
		return "", err
	}
	sum := l.tally()
	if sum.accepted < rounds*20 {
		return "", fmt.Errorf("only %d events were accepted in %d rounds: this proves little", sum.accepted, rounds)
	}
	if err := w.stop(30 * time.Second); err != nil {
		return "", err
	}
	tables, err := filepath.Glob(filepath.Join(w.store, "*.sst"))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d kills; %s; %d starts left %d tables", rounds, sum, w.starts, len(tables)), nil
}

// startAgain starts a router that was killed. It has to start.
func startAgain(ctx context.Context, w *weir) error {
	err := w.start(ctx)
	switch {
	case errors.Is(err, errEnded) || errors.Is(err, errLate):
		return violated("after a kill the router does not start: %v", err)
	case err != nil:
		return err
	}
	return nil
}

// examplePlugin returns the path of a built example, a filter.
func examplePlugin(t *trial) (string, error) {
	path := filepath.Join(t.root, "examples/plugins/github-default-branch/github-default-branch.wasm")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not built: run make plugins", strings.TrimPrefix(path, t.root+"/"))
	} else if err != nil {
		return "", err
	}
	return path, nil
}
