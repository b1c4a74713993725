package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// hanging compares a router of which a tenth of the destinations never answer
// with one of which all do. What counts are the deliveries of the others, which
// are the same ones at both.
func hanging(ctx context.Context, b *bench) ([]Line, error) {
	const destinations = 1000
	type program struct {
		*contender
		loaded, timed []turn
	}
	var programs []*program
	for _, x := range []struct{ name, aside string }{{"Weir with none hanging", "/apart"}, {"Weir with 100 hanging", "/stall"}} {
		c, err := b.route(ctx, x.name, setup{paired: destinations, concurrency: fanWorkers, aside: x.aside})
		if err != nil {
			return nil, err
		}
		programs = append(programs, &program{contender: c})
	}
	none, some := programs[0], programs[1]
	full := load{connections: few, period: b.turn, types: destinations, apart: isAside}
	first := full
	first.limit = 2 * destinations // a connection for each; does not count
	for _, p := range programs {
		if _, err := b.take(ctx, p.contender, first); err != nil {
			return nil, err
		}
	}
	for range b.rounds {
		for _, p := range programs {
			t, err := b.take(ctx, p.contender, full)
			if err != nil {
				return nil, err
			}
			p.loaded = append(p.loaded, t)
			fmt.Fprintf(b.out, "  %-22s %8.0f healthy deliveries/s while loaded\n", p.name, t.loadedRate())
		}
	}
	whole := func(t turn) float64 { return float64(t.accepted-t.apart) / t.drained.Seconds() }
	none.turns, some.turns = none.loaded, some.loaded
	lines := []Line{
		atLeast("healthy ones, start to end", "deliveries/s", some.median(whole), "none hanging", none.median(whole), 1/1.25),
		only("healthy ones, while loaded", "deliveries/s", some.median(turn.loadedRate), "none hanging", none.median(turn.loadedRate)),
	}

	slow := full
	slow.rate, slow.timed = none.median(whole)/5, true
	fmt.Fprintf(b.out, "  a fifth of the rate with none hanging is %.0f events/s\n", slow.rate)
	quantiles := map[*program][2][]float64{}
	for range b.rounds {
		for _, p := range programs {
			t, err := b.take(ctx, p.contender, slow)
			if err != nil {
				return lines, err
			}
			arrived, err := times(b.receiver.address, p.from, t.first, t.first+uint64(len(t.sent)))
			if err != nil {
				return lines, err
			}
			var took []float64
			for n, at := range arrived {
				if t.sent[n] > 0 && at > 0 && !isAside(t.first+uint64(n)) {
					took = append(took, float64(at-t.sent[n])/float64(time.Millisecond))
				}
			}
			q := quantiles[p]
			q[0], q[1] = append(q[0], quantile(took, 0.5)), append(q[1], quantile(took, 0.99))
			quantiles[p] = q
			fmt.Fprintf(b.out, "  %-22s p50 %.2f ms, p99 %.2f ms of the healthy ones\n", p.name, q[0][len(q[0])-1], q[1][len(q[1])-1])
		}
	}
	// Without attempts that hang there is nothing to compare.
	text, err := fetch("http://" + b.receiver.address + "/stalled")
	if err != nil {
		return lines, err
	}
	stalled, err := strconv.Atoi(string(text))
	if err != nil || stalled < destinations/10 {
		return lines, fmt.Errorf("%s attempts hung, fewer than one a destination that hangs: %w", text, errors.Join(err, some.alive()))
	}
	fmt.Fprintf(b.out, "  %d attempts hung\n", stalled)
	return append(lines,
		only("healthy ones, sent to received, p50", "ms", median(quantiles[some][0]), "none hanging", median(quantiles[none][0])),
		atMost("healthy ones, sent to received, p99", "ms", median(quantiles[some][1]), "none hanging", median(quantiles[none][1]), 1.25)), nil
}
