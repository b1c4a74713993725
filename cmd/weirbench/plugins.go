package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/event"
)

// transforms measures the plugin host by itself, in this process.
func transforms(ctx context.Context, b *bench) (lines []Line, err error) {
	h, err := plugins.NewHost(ctx, plugins.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	m := &event.Message{
		ID: "evt_1", Type: "order.paid", Source: "events", Time: time.Unix(1700000000, 0).UTC(), Received: time.Unix(1700000000, 0).UTC(),
		ContentType: "application/json", Data: order,
	}
	want, err := nativePaths(m)
	if err != nil {
		return nil, err
	}
	paths := &called{name: "native Go, by path", call: func() error { _, err := nativePaths(m); return err }}
	maps := &called{name: "native Go, encoding/json", call: func() error { _, err := nativeJSON(m); return err }}
	all := []*called{paths, maps}
	type measured struct {
		guest
		pure, reuse *called
		plugin      *plugins.Plugin
	}
	var list []*measured
	for _, g := range guests {
		wasm, err := g.build(ctx, b)
		if err != nil {
			return nil, err
		}
		x := &measured{guest: g}
		for _, isolation := range []plugins.Isolation{plugins.Reuse, plugins.Pure} {
			p, err := h.Load(ctx, plugins.Spec{Name: "bench-" + g.lang, Wasm: wasm, Isolation: isolation, Deadline: time.Minute})
			if err != nil {
				return nil, err
			}
			call := func() error {
				r, err := p.Run(ctx, m, "r")
				if err == nil && (len(r.Messages) != 1 || !bytes.Equal(r.Messages[0].Data, want.Data)) {
					err = fmt.Errorf("%s gave %d messages, or another one than native Go", g.title, len(r.Messages))
				}
				return err
			}
			c := &called{name: fmt.Sprintf("%s, %s", g.title, isolation), call: call}
			all = append(all, c)
			if isolation == plugins.Pure {
				x.pure, x.plugin = c, p
			} else {
				x.reuse = c
			}
		}
		list = append(list, x)
	}
	if err := b.callAll(all); err != nil {
		return nil, err
	}
	lines = append(lines, only("native Go, encoding/json into maps", "µs/call", maps.median(), "by path", paths.median()))
	for _, x := range list {
		lines = append(lines, atMost(x.title+", a call", "µs/call", x.reuse.median(), "native Go", paths.median(), x.most))
	}
	for _, x := range list {
		added := max(0, x.pure.median()-x.reuse.median())
		if !x.large {
			lines = append(lines, atMost(x.title+", purity adds", "µs/call", added, "a call", x.reuse.median(), x.guest.pure))
			continue
		}
		pages := x.plugin.Stats().Restored
		lines = append(lines, under(fmt.Sprintf("%s, purity adds, %d pages put back", x.title, pages), "µs/call", added, float64(15+pages)))
	}
	for _, x := range list {
		lines = append(lines, under(x.title+", allocations beside the result", "a call", max(0, x.pure.allocations-resultAllocations), 0))
	}
	return lines, nil
}

// resultAllocations are the result, its one message and that message's data.
const resultAllocations = 3

// called is something that is called again and again.
type called struct {
	name        string
	call        func() error
	rounds      []float64 // µs a call
	allocations float64
}

func (c *called) median() float64 { return median(c.rounds) }

// batch is how many calls are timed together, and batches how many of those are a
// round, whose figure is the median. What counts is the CPU time of this process,
// so that what others do to the machine meanwhile counts little.
const (
	batch   = 50
	batches = 41
	turns   = 5 // for each of the bench's rounds
)

// callAll lets all take turns.
func (b *bench) callAll(all []*called) error {
	for _, c := range all {
		for range 500 { // the first ones do not count
			if err := c.call(); err != nil {
				return err
			}
		}
		var err error
		if c.allocations, err = allocations(c.call); err != nil {
			return err
		}
	}
	for range b.rounds * turns {
		for _, c := range all {
			var took []float64
			for range batches {
				began, err := ownCPU()
				if err != nil {
					return err
				}
				for range batch {
					if err := c.call(); err != nil {
						return err
					}
				}
				ended, err := ownCPU()
				if err != nil {
					return err
				}
				took = append(took, float64((ended-began).Nanoseconds())/batch/1000)
			}
			c.rounds = append(c.rounds, median(took))
		}
	}
	for _, c := range all {
		fmt.Fprintf(b.out, "  %-28s %7.2f µs a call, %.1f allocations\n", c.name, c.median(), c.allocations)
	}
	return nil
}

const (
	pluginBlocks = 1000
	blockGuests  = 10
)

// manyBlocks measures what a router takes for many plugin blocks that share few
// modules, with an event through each of them.
func manyBlocks(ctx context.Context, b *bench) ([]Line, error) {
	dir, err := b.folder("modules")
	if err != nil {
		return nil, err
	}
	g := guestOf("go")
	for n := range blockGuests {
		other := g
		other.source = strings.ReplaceAll(g.source, `"hidden"`, fmt.Sprintf("%q", fmt.Sprint("hidden-", n)))
		other.source = strings.ReplaceAll(other.source, "m.Float(\"total\") < 100", "m.Float(\"total\") < 0")
		wasm, err := other.build(ctx, b)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("m%d.wasm", n)), wasm, 0o600); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	c, err := b.route(ctx, "Weir with plugins", setup{paired: pluginBlocks, concurrency: 1, through: func(i int) (block string, names string) {
		return fmt.Sprintf("plugin \"p%d\" {\n  wasm = %q\n}\n", i, filepath.Join(dir, fmt.Sprintf("m%d.wasm", i%blockGuests))), fmt.Sprintf("plugin.p%d", i)
	}})
	if err != nil {
		return nil, err
	}
	started := time.Since(began)
	w := newWatch(c.process)
	defer w.end()
	if _, err := b.take(ctx, c, load{connections: few, period: time.Minute, limit: 5 * pluginBlocks, types: pluginBlocks}); err != nil {
		return nil, err
	}
	text, err := fetch("http://" + c.address + "/api/plugins")
	if err != nil {
		return nil, err
	}
	var list struct {
		Plugins []struct{ Calls uint64 } `json:"plugins"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	idle := 0
	for _, p := range list.Plugins {
		if p.Calls == 0 {
			idle++
		}
	}
	if len(list.Plugins) != pluginBlocks || idle > 0 {
		return nil, fmt.Errorf("of %d plugins %d had no event", len(list.Plugins), idle)
	}
	peak := quantile(w.take(), 1)
	rss, err := c.resident()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(b.out, "  ready after %.1f s, RssAnon at most %.0f MiB, resident %.0f MiB\n", started.Seconds(), peak, rss)
	return []Line{
		under(fmt.Sprintf("RssAnon, %d plugin blocks of %d modules", pluginBlocks, blockGuests), "MiB", peak, 1024),
		under(fmt.Sprintf("resident memory, %d plugin blocks of %d modules", pluginBlocks, blockGuests), "MiB", rss, 1024),
		only("start with them, compiled the first time", "s", started.Seconds(), "", 0),
	}, nil
}

func guestOf(lang string) guest {
	for _, g := range guests {
		if g.lang == lang {
			return g
		}
	}
	panic("no guest in " + lang)
}

// forwarding measures the whole router with a filter and a transform of the Go
// SDK against the router without.
func forwarding(ctx context.Context, b *bench) ([]Line, error) {
	dir, err := b.folder("modules")
	if err != nil {
		return nil, err
	}
	for name, source := range map[string]string{"filter": filterSource, "transform": transformSource} {
		g := guestOf("go")
		g.source = source
		wasm, err := g.build(ctx, b)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".wasm"), wasm, 0o600); err != nil {
			return nil, err
		}
	}
	plain, err := b.route(ctx, "Weir without plugins", setup{destinations: 1, concurrency: workers})
	if err != nil {
		return nil, err
	}
	through := map[string]*contender{}
	for _, isolation := range []string{"reuse", "pure"} {
		s := setup{destinations: 1, concurrency: workers, through: func(int) (block, names string) {
			for _, name := range []string{"filter", "transform"} {
				block += fmt.Sprintf("plugin %q {\n  wasm = %q\n  isolation = %q\n}\n", name, filepath.Join(dir, name+".wasm"), isolation)
			}
			return block, "plugin.filter, plugin.transform"
		}}
		if through[isolation], err = b.route(ctx, "Weir with plugins, "+isolation, s); err != nil {
			return nil, err
		}
	}
	if err := b.play(ctx, load{connections: few, period: b.turn}, plain, through["reuse"], through["pure"]); err != nil {
		return nil, err
	}
	var lines []Line
	for _, x := range []struct {
		isolation string
		least     float64
	}{{"reuse", 0.7}, {"pure", 0.5}} {
		c := through[x.isolation]
		lines = append(lines,
			atLeast("forwarding through a Go filter and transform, "+x.isolation, "events/s", c.median(turn.wholeRate), "without", plain.median(turn.wholeRate), x.least),
			only("CPU, "+x.isolation, "µs/event", c.median(turn.cpuPerEvent), "without", plain.median(turn.cpuPerEvent)))
	}
	return lines, nil
}

// The receiver knows an event by its sequence number, which both leave alone.
const filterSource = `package main

import weir "github.com/weirhq/weir/sdk/go"

func main() {}

//go:wasmexport weir_filter
func filter() int32 {
	return weir.Filter(func(m *weir.Message) (bool, error) { return m.Int("seq") > 0, nil })
}
`

const transformSource = `package main

import weir "github.com/weirhq/weir/sdk/go"

func main() {}

//go:wasmexport weir_transform
func transform() int32 {
	return weir.Transform(func(m *weir.Message) error {
		m.Remove("pad")
		return m.Set("seen", m.String("field_00"))
	})
}
`

// allocations is how many a call makes.
func allocations(call func() error) (float64, error) {
	var err error
	n := testing.AllocsPerRun(500, func() { err = errors.Join(err, call()) })
	return n, err
}
