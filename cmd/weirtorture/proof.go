package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// proof is one hostile test. It runs once against each of its defects, where it
// must find a violation, and then against the router itself, where it must not.
type proof struct {
	name, what string
	// defects are those of the store's build with the tag weirdefect.
	defects []string
	// needs says why the proof can't run here, nil when it can.
	needs func() error
	// crashes: with a defect the router may crash.
	crashes bool
	// clock: the router is one whose clock can be set.
	clock bool
	// run returns a violations error when the router broke its word, any other
	// error when the proof could not be carried out, and else what it saw.
	run func(ctx context.Context, t *trial) (string, error)
}

func proofs() []proof {
	return []proof{
		{name: "kill", what: "kill -9 under load", defects: []string{"early", "twice", "forget"}, run: proveKill},
		{name: "power", what: "the power is cut under load", defects: []string{"nosync"}, needs: canCutPower, run: provePower},
		{name: "full", what: "the disk is full to the last byte", defects: []string{"unguarded"}, crashes: true, needs: canMount, run: proveFull},
		{name: "damage", what: "files of the store are damaged", defects: []string{"drop", "alter"}, run: proveDamage},
		{name: "receivers", what: "receivers that misbehave", defects: []string{"mislabel", "hoard"}, run: proveReceivers},
		{name: "producers", what: "producers that misbehave", defects: []string{"stall", "hoard"}, run: proveProducers},
		{name: "reload", what: "a reload every 100 ms under load", defects: []string{"mixed", "swallow"}, run: proveReload},
		// Last: its router takes long to build the first time.
		{name: "clock", what: "the clock jumps by an hour, both ways", defects: []string{"storm"}, clock: true, run: proveClock},
	}
}

// trial is one run of a proof against one router.
type trial struct {
	dir    string
	binary string
	defect string
	root   string // of the repository
	rounds int    // 0: as many as the form has
	short  bool
	weirs  []*weir
}

// broken: the router under test has a defect, and a violation is expected.
func (t *trial) broken() bool { return t.defect != "" }

// times is how often to do something: the number of the short or of the long form,
// what -rounds says, or, against a defect, up to as many as it may take to show.
func (t *trial) times(short, long, defective int) int {
	switch {
	case t.broken():
		return defective
	case t.rounds > 0:
		return t.rounds
	case t.short:
		return short
	}
	return long
}

// seconds is how long to do something, by the same measure. A round is a second.
func (t *trial) seconds(short, long, defective int) int { return t.times(short, long, defective) }

// router is a router to be configured and started. It is killed when the trial
// ends.
func (t *trial) router(blocks string) (*weir, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	w := &weir{binary: t.binary, dir: t.dir, store: filepath.Join(t.dir, "data"), address: address, minFree: "16MiB", blocks: blocks}
	if t.broken() {
		w.env = []string{"WEIR_DEFECT=" + t.defect}
	}
	t.weirs = append(t.weirs, w)
	return w, nil
}

func (t *trial) end() {
	for _, w := range t.weirs {
		w.kill()
	}
}

// suite runs proofs and prints a line for each.
type suite struct {
	root, dir string
	rounds    int
	short     bool
	weir      string // a binary given by the user
	keep      bool
	builder   *builder
	failed    bool
}

// proofTime bounds the run of one proof in the short form, and against a defect in
// any, so that a router that hangs is told.
const proofTime = 3 * time.Minute

func (s *suite) prove(ctx context.Context, p proof, required bool) {
	if p.needs != nil {
		if err := p.needs(); err != nil {
			s.printf(p.name, "not run", 0, "%v", err)
			s.failed = s.failed || required
			return
		}
	}
	if err := s.await(ctx, p); err != nil {
		s.fail(p, "build", 0, err)
		return
	}
	for _, defect := range p.defects {
		began := time.Now()
		_, err := s.try(ctx, p, defect)
		took := time.Since(began)
		var v *violations
		switch {
		case errors.As(err, &v):
			s.printf(p.name, "defect "+defect, took, "seen, as it must be: %s", firstLine(v.texts[0]))
		case err != nil:
			s.fail(p, "defect "+defect, took, err)
			return
		default:
			s.fail(p, "defect "+defect, took, errors.New("this proof can't fail: a router with this defect passes it"))
			return
		}
	}
	began := time.Now()
	saw, err := s.try(ctx, p, "")
	took := time.Since(began)
	if err != nil {
		s.fail(p, "FAILED", took, err)
		return
	}
	s.printf(p.name, "held", took, "%s", saw)
}

// await waits for the routers that a proof needs. Only those with a clock take
// long, the first time, and count for themselves.
func (s *suite) await(ctx context.Context, p proof) error {
	began := time.Now()
	for _, broken := range []bool{false, true} {
		if !broken && !p.clock && s.weir != "" {
			continue
		}
		if _, err := s.builder.get(ctx, broken, p.clock); err != nil {
			return err
		}
	}
	if took := time.Since(began); took > time.Second {
		s.printf(p.name, "build", took, "a router of its own")
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func (s *suite) printf(name, result string, took time.Duration, format string, args ...any) {
	fmt.Printf("%-10s %-18s %6.1fs  %s\n", name, result, took.Seconds(), fmt.Sprintf(format, args...))
}

func (s *suite) fail(p proof, result string, took time.Duration, err error) {
	s.failed = true
	s.printf(p.name, result, took, "FAILED: %s", strings.ReplaceAll(err.Error(), "\n", "\n    "))
}

// try runs a proof once. The folder is kept when the proof did not end as it
// should.
func (s *suite) try(ctx context.Context, p proof, defect string) (string, error) {
	limit := proofTime
	if !s.short && defect == "" {
		limit = 0
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	t := &trial{defect: defect, root: s.root, rounds: s.rounds, short: s.short, binary: s.weir}
	var err error
	if defect != "" || p.clock || t.binary == "" {
		t.binary = s.builder.start(ctx, defect != "", p.clock).path // prove has waited for it
	}
	if t.dir, err = os.MkdirTemp(s.dir, strings.TrimSuffix(p.name+"-"+defect, "-")+"-"); err != nil {
		return "", err
	}
	saw, err := p.run(ctx, t)
	t.end()
	if err != nil && ctx.Err() != nil { // no violation: the proof was cut short
		return "", fmt.Errorf("%w: %v\nkept in %s", context.Cause(ctx), err, t.dir)
	}
	if defect != "" && !p.crashes {
		for _, w := range t.weirs {
			if w.done == nil {
				continue
			}
			if why := w.crash(true); why != "" {
				return "", fmt.Errorf("with its defect the router crashed, which proves nothing: %s", why)
			}
		}
	}
	var v *violations
	if expected := err == nil || defect != "" && errors.As(err, &v); expected && !s.keep {
		return saw, errors.Join(err, os.RemoveAll(t.dir))
	}
	if err != nil && defect == "" {
		// Whoever looks at it needs what the router said, and where it is.
		if errors.As(err, &v) {
			v.texts = append(v.texts, "kept in "+t.dir)
			v.count++
		} else {
			err = fmt.Errorf("%w\nkept in %s", err, t.dir)
		}
	}
	return saw, err
}
