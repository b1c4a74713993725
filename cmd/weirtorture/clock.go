package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// wallClock is the file by which a router's wall clock is set, see build.go.
type wallClock struct{ file *os.File }

func newWallClock(dir string) (*wallClock, error) {
	f, err := os.Create(filepath.Join(dir, "clock"))
	if err != nil {
		return nil, err
	}
	c := &wallClock{f}
	return c, c.set(0)
}

// set puts the wall clock off by d.
func (c *wallClock) set(d time.Duration) error {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], uint64(int64(d/time.Second)))
	_, err := c.file.WriteAt(b[:], 0)
	return err
}

// jumps are how far the clock is off, in turns: forwards, back, before its start,
// and right again.
var jumps = []time.Duration{time.Hour, 0, -time.Hour, 0}

const (
	// clockPatience is how long a delivery may take after a jump. The schedule of
	// retries is below two seconds.
	clockPatience = 15 * time.Second
	// stormTime: three retries, due 600 ms after one another, come this soon only
	// when more than one wait was skipped. A jump may skip one.
	stormTime = 750 * time.Millisecond
)

// proveClock sets the clock forwards and back while deliveries wait for their
// retries. All arrive, soon, and the schedule is kept.
func proveClock(ctx context.Context, t *trial) (string, error) {
	clock, err := newWallClock(t.dir)
	if err != nil {
		return "", err
	}
	defer clock.file.Close()
	l := newLedger(filepath.Base(t.dir))
	rec, err := startReceiver(l, func(_ string, number uint64, before int) int {
		if number%5 == 0 && before < 3 {
			return 503
		}
		return 200
	})
	if err != nil {
		return "", err
	}
	defer rec.stop()
	// A jump makes all retries due at once, and each fails three times: more in a
	// row than the breaker lets through by default.
	w, err := t.router(fmt.Sprintf("destination \"plain\" {\n  url = \"%s/plain\"\n  retry {\n    schedule = [\"0s\", \"600ms\", \"600ms\", \"600ms\", \"1s\", \"5s\", \"10s\"]\n  }\n  breaker {\n    failures = 10000\n  }\n}\n", rec.base) + route("plain", "*", []string{"plain"}))
	if err != nil {
		return "", err
	}
	w.env = append(w.env, clockVariable+"="+clock.file.Name())
	if err := w.start(ctx); err != nil {
		return "", err
	}
	want := func(string, uint64) []string { return []string{"plain"} }
	var v violations
	rounds := t.times(1, 4, 1)
	was := time.Duration(0)
	for range rounds {
		for _, off := range jumps {
			p := produce(l, w, traffic{producers: 4, kinds: []string{"plain"}, size: sizes(50, 1000), pause: 5 * time.Millisecond})
			err := pause(ctx, 700*time.Millisecond)
			if err == nil {
				err = clock.set(off)
			}
			if err == nil {
				err = pause(ctx, 700*time.Millisecond)
			}
			p.stop()
			if err != nil {
				return "", err
			}
			if refused, what := p.refusals(); refused > 0 {
				v.addf("%d events were refused when the clock went from %s to %s: %s", refused, was, off, what)
			}
			err = eventually(ctx, clockPatience, "all deliveries", func() (bool, error) { return l.missing(want).count == 0, w.mustLive() })
			if errors.Is(err, errLate) {
				missing := l.missing(want)
				v.addf("%s after the clock went from %s to %s, %d deliveries have not arrived, such as: %s", clockPatience, was, off, missing.count, missing.texts[0])
			} else if err != nil {
				return "", err
			}
			v.add(l.storm())
			if v.count > 0 {
				return "", v.err()
			}
			was = off
		}
	}
	if err := settle(ctx, w, l, want, 20*time.Second, false); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d jumps of an hour; %s", rounds*len(jumps), l.tally()), nil
}

// storm finds deliveries whose retries did not wait.
func (l *ledger) storm() violations {
	l.mu.Lock()
	defer l.mu.Unlock()
	var v violations
	for lane, byNumber := range l.lanes {
		for number, r := range byNumber {
			switch took := r.last.Sub(r.first); {
			case number%5 == 0 && r.tries >= 4 && took < stormTime:
				v.addf("event %d (%s) was tried %d times at %s within %s", number, l.accepted[number], r.tries, lane, took.Round(time.Millisecond))
			case r.tries > 6:
				v.addf("event %d (%s) was tried %d times at %s, and the fourth was taken", number, l.accepted[number], r.tries, lane)
			}
		}
	}
	return v
}
