package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// reloadPairs are the two pairs of lanes that configurations send to in turns.
var reloadPairs = [][]string{{"one", "two"}, {"three", "four"}}

// reloadTime bounds the short form.
const reloadTime = 8 * time.Second

// reloadBlocks is a configuration of the proof. What an event met shows in where
// it arrives and in which format, both fixed when it is routed.
func reloadBlocks(rec *receiver, module string, version int) string {
	format := "envelope"
	if version/2%2 == 1 {
		format = "raw"
	}
	blocks := fmt.Sprintf("plugin \"p\" {\n  wasm = %q\n  memory = \"%dMiB\"\n}\n", module, 16+version/8%2)
	for _, pair := range reloadPairs {
		for _, lane := range pair {
			blocks += rec.destination(lane, fmt.Sprintf("format = %q", format), fmt.Sprintf("headers = { \"x-version\" = \"%d\" }", version))
		}
	}
	var through []string
	if version/4%2 == 1 {
		through = []string{"through = [plugin.p]"}
	}
	return blocks + route("all", "*", reloadPairs[version%2], through...)
}

// proveReload changes the configuration every 100 ms under load. Nothing is lost,
// and each event is routed whole by one configuration.
func proveReload(ctx context.Context, t *trial) (string, error) {
	l := newLedger(filepath.Base(t.dir))
	rec, err := startReceiver(l, func(_ string, number uint64, before int) int {
		if number%19 == 0 && before == 0 {
			return 503 // its next attempt meets another configuration
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
	w, err := t.router(reloadBlocks(rec, module, 0))
	if err != nil {
		return "", err
	}
	if err := w.start(ctx); err != nil {
		return "", err
	}
	p := produce(l, w, traffic{producers: 8, kinds: []string{"github.push", "a", "b"}, size: sizes(50, 1500), pause: 2 * time.Millisecond})
	reloads := t.times(60, 300, 20)
	version := 0
	for end := time.Now().Add(reloadTime); version < reloads && err == nil; {
		if t.short && time.Now().After(end) {
			break // the machine is busy
		}
		version++
		w.blocks = reloadBlocks(rec, module, version)
		began := time.Now()
		if err = w.configure(); err != nil {
			break
		}
		if version%2 == 0 {
			err = w.cmd.Process.Signal(syscall.SIGHUP)
		} else if e := w.reload(); e != nil {
			err = violated("reload %d: %v", version, e)
		}
		if err == nil {
			err = pause(ctx, max(0, 100*time.Millisecond-time.Since(began)))
		}
	}
	p.stop()
	if err != nil {
		return "", err
	}
	patience := 30 * time.Second
	if t.broken() {
		patience = 3 * time.Second
	}
	if refused, what := p.refusals(); refused > 0 {
		return "", violated("%d events were refused meanwhile: %s", refused, what)
	}
	if err := settle(ctx, w, l, l.wholePair, patience, false); err != nil {
		return "", err
	}
	if v := l.mixedFormats(); v.count > 0 {
		return "", v.err()
	}
	return fmt.Sprintf("%d reloads; %s", version, l.tally()), nil
}

// wholePair is where an event must be: wherever it has arrived first, it must be
// at both lanes of that pair, and at no other. The ledger is locked by those that
// ask.
func (l *ledger) wholePair(kind string, number uint64) []string {
	for _, pair := range reloadPairs {
		if slices.ContainsFunc(pair, func(lane string) bool { return l.lanes[lane][number] != nil }) {
			return pair
		}
	}
	if kind == "github.push" && filtered(number) {
		return nil // the plugin may have dropped it
	}
	return reloadPairs[0]
}

// mixedFormats finds events of which the lanes of a pair got different formats.
func (l *ledger) mixedFormats() violations {
	l.mu.Lock()
	defer l.mu.Unlock()
	var v violations
	for _, pair := range reloadPairs {
		for number, r := range l.lanes[pair[0]] {
			if other := l.lanes[pair[1]][number]; other != nil && other.raw != r.raw {
				v.addf("event %d (%s) came to %s and to %s in different formats, of two configurations", number, l.accepted[number], pair[0], pair[1])
			}
		}
	}
	return v
}
