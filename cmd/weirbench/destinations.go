package main

import (
	"context"
	"fmt"
	"time"
)

// isAside says which of many paired destinations, and of their events, are not
// counted: one of ten.
func isAside(n uint64) bool { return n%10 == 9 }

const (
	// idleTime is how long the CPU of a router without work is watched.
	idleTime = 10 * time.Second
	// idleNoise is by how much two idle routers may differ for other reasons, in
	// milliseconds a second: a collection of garbage, the kernel's ticks of 10 ms.
	idleNoise = 5
)

func destinations(ctx context.Context, b *bench) ([]Line, error) {
	return manyLanes(ctx, b, "destinations", func(n int) setup { return setup{paired: n, concurrency: fanWorkers} })
}

// webhooks is as destinations, but that all are registered over the API.
func webhooks(ctx context.Context, b *bench) ([]Line, error) {
	return manyLanes(ctx, b, "webhooks", func(n int) setup { return setup{registered: n, concurrency: fanWorkers} })
}

// manyLanes compares routers with 10 and with 10,000 receivers, of which each event
// is for one.
func manyLanes(ctx context.Context, b *bench, what string, of func(n int) setup) ([]Line, error) {
	type program struct {
		*contender
		types int
		idle  float64
	}
	var programs []*program
	for _, n := range []int{10, 10_000} {
		c, err := b.route(ctx, fmt.Sprintf("Weir with %d", n), of(n))
		if err != nil {
			return nil, err
		}
		programs = append(programs, &program{contender: c, types: n})
	}
	small, large := programs[0], programs[1]
	// Below what both can take: a queue would measure something else.
	l := load{connections: few, period: b.turn, rate: 2000}
	for _, p := range programs {
		// The first turn does not count. Every destination has an event in it, and so
		// its first connection.
		if _, err := b.take(ctx, p.contender, load{connections: few, period: time.Minute, limit: 10_000, types: p.types}); err != nil {
			return nil, err
		}
	}
	for range b.rounds {
		for _, p := range programs {
			l.types = p.types
			t, err := b.take(ctx, p.contender, l)
			if err != nil {
				return nil, err
			}
			p.turns = append(p.turns, t)
			fmt.Fprintf(b.out, "  %-22s %6.1f µs CPU a delivery\n", p.name, t.cpuPerEvent())
		}
	}
	for _, p := range programs {
		if err := b.quiet(ctx, p.contender); err != nil {
			return nil, err
		}
		before, err := usageOf(p.cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		if err := pause(ctx, idleTime); err != nil {
			return nil, err
		}
		after, err := usageOf(p.cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		p.idle = (after.cpu - before.cpu).Seconds() * 1000 / idleTime.Seconds()
		fmt.Fprintf(b.out, "  %-22s %6.1f ms CPU a second while idle\n", p.name, p.idle)
	}
	return []Line{
		atMost("CPU a delivery, 10,000 "+what, "µs/delivery", large.median(turn.cpuPerEvent), "10", small.median(turn.cpuPerEvent), 1.5),
		only("idle CPU, 10,000 "+what, "ms/s", large.idle, "10", small.idle).within(small.idle+idleNoise, fmt.Sprintf("≤ + %d ms/s", idleNoise)),
	}, nil
}
