// Command weirtorture proves that the router loses nothing: it starts the built
// binary as a child, drives it over HTTP, does to it what a machine may do to a
// process (kill -9, a power cut, a full disk, damaged files, a clock that jumps,
// peers that misbehave), and compares the receivers' own log with what was
// answered 202.
//
// # What holds for every proof
//
//   - An event counts as accepted when its answer, 202, has been read, and never
//     before.
//   - Each proof runs first against routers that are broken on purpose (the build
//     tag weirdefect). A proof that such a router passes fails the program.
//   - A violation names the events, and the folder with the store, the
//     configuration and the router's logs is kept.
//   - Whatever is mounted is mounted in a mount namespace of its own: when the
//     program ends in whatever way, it is gone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if code, again := apart(ctx); again {
		os.Exit(code)
	}
	ok, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// shortTime is a bound for machines that are slow and busy; alone, on two cores,
// the short form takes less than half of it.
const shortTime = 6 * time.Minute

func run(ctx context.Context, args []string) (ok bool, err error) {
	f := flag.NewFlagSet("weirtorture", flag.ContinueOnError)
	only := f.String("proof", "", "names of the `proofs` to run, separated by commas; all")
	require := f.String("require", "", "names of `proofs` that must not be left out where they can't run")
	rounds := f.Int("rounds", 0, "`rounds` of each proof, such as 300 kills; without it, kill has 100, power 40, full 6")
	short := f.Bool("short", false, "the short form, which is part of make test: about 3 minutes in all")
	binary := f.String("weir", "", "`path` of the router to test; it is built")
	keep := f.Bool("keep", false, "keep all folders")
	root := f.String("root", "", "`folder` of the repository; that of the current module")
	if err := f.Parse(args); err != nil {
		return false, err
	}
	if *short && *rounds > 0 {
		return false, errors.New("-short and -rounds exclude each other")
	}
	all := proofs()
	chosen, err := choose(all, *only)
	if err != nil {
		return false, err
	}
	required, err := choose(all, *require)
	if err != nil {
		return false, err
	}
	if *root == "" {
		out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
		if err != nil {
			return false, fmt.Errorf("go env GOMOD: %w", err)
		}
		*root = filepath.Dir(strings.TrimSpace(string(out)))
	}
	dir, err := os.MkdirTemp("", "weir-torture-")
	if err != nil {
		return false, err
	}
	s := &suite{root: *root, dir: dir, rounds: *rounds, short: *short, weir: *binary, keep: *keep, builder: &builder{root: *root, dir: dir}}
	defer func() {
		s.builder.wait()
		if !s.failed && !s.keep && err == nil {
			err = os.RemoveAll(dir)
		}
	}()
	if s.weir != "" {
		if s.weir, err = filepath.Abs(s.weir); err != nil {
			return false, err
		}
	}
	if *short {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, shortTime, errors.New("the short form takes too long"))
		defer cancel()
	}
	began := time.Now()
	if err := s.build(ctx, chosen); err != nil {
		return false, err
	}
	if took := time.Since(began); took > time.Second {
		s.printf("build", "", took, "the router, and one that can be broken")
	}
	began = time.Now()
	for _, p := range chosen {
		s.prove(ctx, p, *require != "" && slices.ContainsFunc(required, func(r proof) bool { return r.name == p.name }))
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	s.printf("all", map[bool]string{false: "held", true: "FAILED"}[s.failed], time.Since(began), "")
	return !s.failed, nil
}

// build makes the routers that the proofs need. Those with a clock are made in
// the background, meanwhile the other proofs run.
func (s *suite) build(ctx context.Context, chosen []proof) error {
	plain := slices.ContainsFunc(chosen, func(p proof) bool { return !p.clock })
	if plain {
		if s.weir == "" {
			if _, err := s.builder.get(ctx, false, false); err != nil {
				return err
			}
		}
		if _, err := s.builder.get(ctx, true, false); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(chosen, func(p proof) bool { return p.clock }) {
		s.builder.start(ctx, false, true)
	}
	return nil
}

func choose(all []proof, names string) ([]proof, error) {
	if names == "" {
		return all, nil
	}
	var chosen []proof
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(p proof) bool { return p.name == name })
		if i < 0 {
			known := make([]string, len(all))
			for i, p := range all {
				known[i] = p.name
			}
			return nil, fmt.Errorf("there is no proof %q; there are %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
