// Command weirbench measures the router against programs that do less: bare
// handlers and forwarders, which are the limit of the machine and not rivals.
// Router and reference run side by side on loopback, take turns under the same
// load, and what counts is the ratio of their medians: absolute figures don't
// travel.
//
// Nothing that it measures is worth anything if events were lost, so every row
// compares what was accepted with what arrived or is stored. It ends with 1 when
// something was lost, doubled or refused, or a process died, and never because a
// target is missed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		// The references and the receiver are this program again.
		switch os.Args[1] {
		case "reference":
			exit(reference(os.Args[2:]))
		case "receiver":
			exit(receive(os.Args[2:]))
		}
	}
	b := &bench{out: os.Stdout}
	var row, out string
	flag.StringVar(&row, "row", "", "the only row to run: "+strings.Join(rowNames(), ", "))
	flag.StringVar(&out, "out", "out", "folder for bench.json and bench.svg")
	flag.StringVar(&b.weir, "weir", "bin/weir", "the router's program")
	flag.DurationVar(&b.turn, "turn", 3*time.Second, "how long one turn of one program is")
	flag.IntVar(&b.rounds, "rounds", 3, "how many turns each program has")
	flag.IntVar(&b.waiting, "waiting", 100_000, "how many events wait in the rows start and memory")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	exit(run(ctx, b, row, out))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "weirbench: "+err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, b *bench, only, out string) error {
	if b.rounds < 1 || b.turn <= 0 || b.waiting < 5 {
		return fmt.Errorf("-rounds, -turn and -waiting must be positive, -waiting at least 5")
	}
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.weir, err = filepath.Abs(b.weir); err != nil {
		return err
	}
	if _, err := os.Stat(b.weir); err != nil {
		return fmt.Errorf("%w: build it with make build", err)
	}
	if b.dir, err = os.MkdirTemp("", "weirbench-"); err != nil {
		return err
	}
	report := &Report{Machine: machine(), Started: time.Now().UTC().Truncate(time.Second),
		Turn: b.turn.String(), Rounds: b.rounds, NotMeasured: notMeasured}
	var failed error
	for _, r := range chosen {
		fmt.Fprintf(b.out, "%s: %s\n", r.name, r.what)
		lines, err := b.runRow(ctx, r)
		report.Lines = append(report.Lines, lines...)
		if err != nil {
			failed = fmt.Errorf("row %s: %w (logs in %s)", r.name, err, b.dir)
			break
		}
	}
	fmt.Fprintf(b.out, "\n%s\n%s", report.Machine, report.Table())
	for _, what := range notMeasured {
		fmt.Fprintf(b.out, "not measured yet: %s\n", what)
	}
	if err := report.Write(out); err != nil {
		return err
	}
	if failed == nil {
		failed = os.RemoveAll(b.dir)
	}
	return failed
}
