package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// volume is a file system of a fixed size, on a loop device, and a file by which
// another program takes its space.
type volume struct {
	mount  string
	filler *os.File
}

func newVolume(ctx context.Context, dir string, size int64) (*volume, error) {
	image, v := filepath.Join(dir, "image"), &volume{mount: filepath.Join(dir, "mnt")}
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, size), os.Mkdir(v.mount, 0o700)); err != nil {
		return nil, err
	}
	if err := makeExt4(ctx, image); err != nil {
		return nil, err
	}
	if err := command(ctx, "mount", "-t", "ext4", "-o", "loop", image, v.mount); err != nil {
		return nil, err
	}
	var err error
	v.filler, err = os.Create(filepath.Join(v.mount, "filler"))
	return v, err
}

func (v *volume) free() (int64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(v.mount, &s)
	return int64(s.Bavail) * s.Bsize, err
}

// leave takes space until no more than left bytes are free. 0 is the last byte.
func (v *volume) leave(left int64) error {
	info, err := v.filler.Stat()
	if err != nil {
		return err
	}
	at := info.Size()
	for step := int64(1 << 30); step >= 4096; {
		free, err := v.free()
		if err != nil {
			return err
		}
		n := min(step, free-left)
		if n < 4096 {
			if left > 0 || free == 0 {
				return nil
			}
			n = 4096
		}
		switch err := unix.Fallocate(int(v.filler.Fd()), 0, at, n); {
		case err == nil:
			at += n
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("taking space: %w", err)
		}
	}
	return nil
}

// giveBack frees what leave has taken.
func (v *volume) giveBack() error { return v.filler.Truncate(0) }

func (v *volume) close(ctx context.Context) error {
	return errors.Join(v.filler.Close(), eventually(ctx, 10*time.Second, "the file system to be unmounted", func() (bool, error) {
		return unix.Unmount(v.mount, 0) == nil, nil
	}))
}

// proveFull fills the disk while events come in. From min_free on they are
// refused, then another program takes the last byte; nothing crashes, a restart
// on the full disk ends well or with a message, and everything goes on when
// there is space again.
func proveFull(ctx context.Context, t *trial) (saw string, err error) {
	const minFree = 320 << 20
	v, err := newVolume(ctx, t.dir, 2<<30)
	if err != nil {
		return "", fmt.Errorf("a file system of our own: %w", err)
	}
	defer func() {
		t.end()
		err = errors.Join(err, v.close(context.WithoutCancel(ctx)))
	}()
	l := newLedger(filepath.Base(t.dir))
	rec, err := startReceiver(l, always)
	if err != nil {
		return "", err
	}
	defer rec.stop()
	// Much waits while the disk is full.
	rec.delay.Store(int64(50 * time.Millisecond))
	w, err := t.router(rec.destination("slow") + route("slow", "slow", []string{"slow"}))
	if err != nil {
		return "", err
	}
	w.store, w.minFree = filepath.Join(v.mount, "data"), "320MiB"
	want := func(kind string, _ uint64) []string { return []string{kind} }
	if err := w.start(ctx); err != nil {
		return "", err
	}
	refused, restarts := int64(0), 0
	patience := 30 * time.Second
	if t.broken() {
		patience = 6 * time.Second
	}
	rounds := t.times(2, 6, 1)
	for round := range rounds {
		what := traffic{producers: 16, kinds: []string{"slow"}, size: sizes(50, 3000), patient: true}
		left := int64(minFree - 1<<20)
		if round%3 == 1 { // the events themselves cross the line
			what.size, left = sizes(60_000, 150_000), minFree+8<<20
			what.producers = 8
		}
		p := produce(l, w, what)
		err := func() error {
			defer p.stop()
			if err := pause(ctx, 500*time.Millisecond); err != nil {
				return err
			}
			if err := v.leave(left); err != nil {
				return err
			}
			err := eventually(ctx, patience, "507", func() (bool, error) { return p.full.Load() > 0, w.mustLive() })
			if errors.Is(err, errLate) {
				free, _ := v.free()
				return violated("%d MiB are free, min_free is %d MiB, and events are still accepted", free>>20, minFree>>20)
			}
			if err != nil {
				return err
			}
			before := l.tally().deliveries
			err = eventually(ctx, 10*time.Second, "a delivery", func() (bool, error) {
				return l.tally().deliveries > before || l.missing(want).count == 0, w.mustLive()
			})
			if errors.Is(err, errLate) {
				return violated("events are refused, and nothing of what waits is delivered any more")
			}
			if err != nil {
				return err
			}
			if err := v.leave(0); err != nil {
				return err
			}
			if err := pause(ctx, 1500*time.Millisecond); err != nil {
				return err
			}
			if err := w.mustLive(); err != nil {
				return err
			}
			if round%2 == 1 {
				restarts++
				w.kill()
				if err := startFull(ctx, w, false); err != nil {
					return err
				}
				// And once more with room for a log, where it has to run.
				w.kill()
				if err := v.giveBack(); err != nil {
					return err
				}
				if err := v.leave(logSpace); err != nil {
					return err
				}
				if err := startFull(ctx, w, true); err != nil {
					return err
				}
			}
			if err := v.giveBack(); err != nil {
				return err
			}
			if !w.alive() {
				if err := startAgain(ctx, w); err != nil {
					return err
				}
			}
			answered := p.answered.Load()
			err = eventually(ctx, 30*time.Second, "events to be accepted again", func() (bool, error) {
				return p.answered.Load() > answered, w.mustLive()
			})
			if errors.Is(err, errLate) {
				return violated("there is space again, and events are still refused:\n%s", w.lastWords(10))
			}
			return err
		}()
		refused += p.full.Load()
		if err != nil {
			return "", err
		}
	}
	rec.delay.Store(0)
	if err := settle(ctx, w, l, want, time.Minute, false); err != nil {
		return "", err
	}
	if err := w.stop(30 * time.Second); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d times full, %d restarts there; %s, %d refused with 507", rounds, restarts, l.tally(), refused), nil
}

// logSpace is what a start needs for a log, and for some blocks beside it.
const logSpace = 80 << 20

// missingSpace is how a start says how much is missing.
var missingSpace = regexp.MustCompile(`needs up to \d+ MiB of free space and there are \d+ MiB`)

// startFull starts the router on a full disk: it runs, or it says what is missing.
// With must it has to run.
func startFull(ctx context.Context, w *weir, must bool) error {
	if err := w.launch(); err != nil {
		return err
	}
	err := w.answers(ctx, 15*time.Second, func(ready bool) bool { return true })
	if why := w.crash(false); why != "" {
		return violated("started on a full disk, %s", why)
	}
	if errors.Is(err, errEnded) && (must || !missingSpace.MatchString(w.words())) {
		return violated("started on a disk with room for no more than a log (%t), it ends, or does not say what is missing:\n%s", must, w.lastWords(10))
	}
	if must {
		return err
	}
	if errors.Is(err, errEnded) || errors.Is(err, errLate) { // late: not ready, because it is full
		return nil
	}
	return err
}
