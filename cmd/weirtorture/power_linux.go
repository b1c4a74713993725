package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"
)

// provePower cuts the power under load, again and again. After each cut the disk
// holds what was flushed and an arbitrary part of the rest; the file system
// replays its journal, the router is started on it, and everything that was
// answered 202 before the cut must be there.
func provePower(ctx context.Context, t *trial) (saw string, err error) {
	d, err := newDisk(ctx, t.dir, 1<<30)
	if err != nil {
		return "", fmt.Errorf("a disk of our own: %w", err)
	}
	defer func() {
		t.end() // nobody may use it any more
		err = errors.Join(err, d.close(context.WithoutCancel(ctx)))
	}()
	l := newLedger(filepath.Base(t.dir))
	rec, err := startReceiver(l, func(_ string, number uint64, before int) int {
		if number%17 == 0 && before == 0 {
			return 503
		}
		return 200
	})
	if err != nil {
		return "", err
	}
	defer rec.stop()
	w, err := t.router(rec.destination("plain") + route("plain", "plain", []string{"plain"}))
	if err != nil {
		return "", err
	}
	w.store = filepath.Join(d.mount, "data")
	want := func(kind string, _ uint64) []string {
		if kind == "plain" {
			return []string{"plain"}
		}
		return nil
	}
	rounds := t.times(8, 40, 8)
	lost := 0
	for round := range rounds {
		if err := w.start(ctx); err != nil {
			if errors.Is(err, errEnded) || errors.Is(err, errLate) {
				return "", violated("after power cut %d the store does not open: %v", round, err)
			}
			return "", err
		}
		if round > 0 {
			_, v, err := w.listed(ctx, l)
			if err != nil {
				return "", violated("after power cut %d the events can't be listed: %v", round, err)
			}
			if v.count > 0 {
				return "", v.err()
			}
		}
		what := traffic{producers: 16, kinds: []string{"plain", "none"}, size: sizes(50, 2000), patient: true}
		if round%3 == 2 {
			what.producers, what.size = 6, sizes(50_000, 200_000) // enough to begin new files
		}
		p := produce(l, w, what)
		err := pause(ctx, time.Duration(100+rand.IntN(500))*time.Millisecond)
		l.seal(true)
		d.cut()
		w.kill()
		p.stop()
		if err != nil {
			return "", err
		}
		if crash := w.crash(true); crash != "" {
			return "", violated("%s", crash)
		}
		n, err := d.back(ctx, round%keepKinds)
		if err != nil {
			return "", violated("after power cut %d the file system can't be mounted: %v", round, err)
		}
		lost += n
		l.seal(false)
	}
	if err := startAgain(ctx, w); err != nil {
		return "", err
	}
	if err := settle(ctx, w, l, want, time.Minute, true); err != nil {
		return "", err
	}
	sum := l.tally()
	if sum.accepted < rounds*20 {
		return "", fmt.Errorf("only %d events were accepted in %d rounds: this proves little", sum.accepted, rounds)
	}
	if err := w.stop(30 * time.Second); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d power cuts; %s; %d flushes, %d writes were in the disk's cache", rounds, sum, d.flushes, lost), nil
}
