// Command tour shows Weir do its whole job on real input: it starts the router
// with the repository's router.hcl and three receivers, sends GitHub's own
// examples of its webhooks, signed as GitHub signs, and tells what becomes of
// them. At the end it compares what the router's API says with what the
// receivers wrote down themselves.
//
// It is what "make run" runs. With -once it ends by itself, and fails when the
// two differ.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	t := &tour{out: os.Stdout}
	flag.StringVar(&t.weir, "weir", "bin/weir", "the program to run")
	flag.StringVar(&t.config, "config", "router.hcl", "the router's configuration")
	flag.StringVar(&t.payloads, "payloads", "examples/tour/node_modules/@octokit/webhooks-examples/api.github.com/index.json", "GitHub's examples")
	flag.StringVar(&t.dir, "dir", ".run", "where logs go")
	flag.BoolVar(&t.once, "once", false, "end when everything is delivered, and fail when API and receivers differ")
	flag.BoolVar(&t.free, "free-ports", false, "use free ports and a store of its own instead of those in the configuration")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	if err := t.run(ctx); err != nil && !(errors.Is(err, context.Canceled) && ctx.Err() != nil) {
		fmt.Fprintln(os.Stderr, "tour:", err)
		cancel()
		os.Exit(1)
	}
}

// limit bounds how long the deliveries may take in all.
const limit = 2 * time.Minute

func (t *tour) run(ctx context.Context) error {
	payloads, err := readPayloads(t.payloads)
	if err != nil {
		return err
	}
	if err := t.setUp(); err != nil {
		return err
	}
	defer t.stop()
	if err := t.start(ctx); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- t.send(bounded, payloads) }()
	seen, err := t.watch(bounded, len(payloads), sent)
	if err != nil {
		return err
	}
	t.sayRefusals()
	same, err := t.compare(seen)
	if err != nil {
		return err
	}
	if !same {
		return errors.New("the router's API and the receivers' logs differ, see the table above")
	}
	if t.once {
		return nil
	}
	t.say("")
	t.say("The router runs at %s until Ctrl-C. In another terminal:", t.address)
	t.say("  %s deliveries ls --destination tickets --limit 5", t.weir)
	t.say("  %s explain %s", t.weir, seen.example())
	t.say("  %s send --type order.paid --data '{\"total\": 120}'", t.weir)
	return t.wait(ctx)
}
