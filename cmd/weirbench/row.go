package main

import (
	"context"
	"fmt"
	"time"
)

// row is one thing to measure. Its run starts the contenders that it needs.
type row struct {
	name, what string
	run        func(context.Context, *bench) ([]Line, error)
}

// rows are in the order of the table.
var rows = []row{
	{"ingest", "durable ingest alone, no route matches", ingest},
	{"deliver", "one route, one destination, signed, stored, delivered, recorded", deliver},
	{"fanout", "fan-out to 10 destinations", fanout},
	{"latency", "from ingest answered to receiver has it, at a tenth of the top rate", latency},
	{"disk", "bytes written to disk, ingest to delivered", disk},
	{"routes", "10,000 routes on distinct types against 10", routes},
	{"destinations", "10,000 destinations and routes, each event matching one of them, against 10", destinations},
	{"webhooks", "10,000 registered webhooks, each event matching one of them, against 10", webhooks},
	{"hanging", "1,000 destinations, one of 10 of them hanging until timeout", hanging},
	{"start", "from the start of the process to the first delivery, with events waiting", start},
	{"memory", "anonymous resident memory with events waiting for a dead destination", memory},
	{"transform", "one transform through get and set, in five languages, against native Go", transforms},
	{"forward", "the whole router with a Go filter and transform, against the router without", forwarding},
	{"blocks", "1,000 plugin blocks that share 10 modules", manyBlocks},
	{"retention", "weeks of retention passing, with the clock injected", retention},
}

// notMeasured are figures that Weir is to reach and that a run of all rows does
// not have.
var notMeasured = []string{
	"1 and 5 million events waiting, but by hand: ROW=memory ARGS='-waiting 5000000', ROW=start ARGS='-waiting 1000000'",
}

func rowNames() []string {
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

func choose(only string) ([]row, error) {
	if only == "" {
		return rows, nil
	}
	for _, r := range rows {
		if r.name == only {
			return []row{r}, nil
		}
	}
	return nil, fmt.Errorf("there is no row %q; rows are %v", only, rowNames())
}

const (
	few  = 64
	many = 256
	// workers is how many posts are in flight for the only destination, and
	// fanWorkers for each of several, at router and reference alike.
	workers    = 64
	fanWorkers = 16
)

func ingest(ctx context.Context, b *bench) ([]Line, error) {
	r1, err := b.reference(ctx, "R1 bare handler", false, 0, 0)
	if err != nil {
		return nil, err
	}
	r2, err := b.reference(ctx, "R2 fsynced append", true, 0, 0)
	if err != nil {
		return nil, err
	}
	s := setup{destinations: 1, concurrency: workers, none: true}
	weir, err := b.route(ctx, "Weir", s)
	if err != nil {
		return nil, err
	}
	weir.from, weir.to = 0, 0 // nothing is delivered
	var lines []Line
	for _, c := range []struct {
		connections int
		target      float64
	}{{few, 0.7}, {many, 0.6}} {
		if err := b.play(ctx, load{connections: c.connections, period: b.turn}, r1, r2, weir); err != nil {
			return lines, err
		}
		what := fmt.Sprintf("ingest, %d connections", c.connections)
		lines = append(lines,
			atLeast(what, "events/s", weir.median(turn.acceptedRate), "R2", r2.median(turn.acceptedRate), c.target),
			only(what, "events/s", weir.median(turn.acceptedRate), "R1", r1.median(turn.acceptedRate)),
			only(what+", CPU", "µs/event", weir.median(turn.cpuPerEvent), "R2", r2.median(turn.cpuPerEvent)))
	}
	for _, c := range []*contender{r2, weir} {
		if err := b.stored(ctx, c, s); err != nil {
			return lines, err
		}
	}
	return lines, nil
}

func deliver(ctx context.Context, b *bench) ([]Line, error) {
	r4, err := b.reference(ctx, "R4 append and forward", true, 1, workers)
	if err != nil {
		return nil, err
	}
	weir, err := b.route(ctx, "Weir", setup{destinations: 1, concurrency: workers})
	if err != nil {
		return nil, err
	}
	if err := b.play(ctx, load{connections: few, period: b.turn}, r4, weir); err != nil {
		return nil, err
	}
	return []Line{
		atLeast("delivered while loaded", "events/s", weir.median(turn.loadedRate), "R4", r4.median(turn.loadedRate), 0.6),
		only("accepted and delivered, start to end", "events/s", weir.median(turn.wholeRate), "R4", r4.median(turn.wholeRate)),
		atMost("CPU, one destination", "µs/event", weir.median(turn.cpuPerEvent), "R4", r4.median(turn.cpuPerEvent), 2),
	}, nil
}

func fanout(ctx context.Context, b *bench) ([]Line, error) {
	const destinations = 10
	r3, err := b.reference(ctx, "R3 forwarder", false, destinations, fanWorkers)
	if err != nil {
		return nil, err
	}
	weir, err := b.route(ctx, "Weir", setup{destinations: destinations, concurrency: fanWorkers})
	if err != nil {
		return nil, err
	}
	// A number of events, since the router takes them faster than anything can
	// deliver ten times as many.
	l := load{connections: few, period: b.turn * 10, limit: uint64(5000 * b.turn.Seconds())}
	if err := b.play(ctx, l, r3, weir); err != nil {
		return nil, err
	}
	rate := func(t turn) float64 { return t.wholeRate() * destinations }
	cpu := func(t turn) float64 { return t.cpuPerEvent() / destinations }
	return []Line{
		atLeast("fan-out to 10", "deliveries/s", weir.median(rate), "R3", r3.median(rate), 0.6),
		only("fan-out to 10, CPU", "µs/delivery", weir.median(cpu), "R3", r3.median(cpu)),
	}, nil
}

func latency(ctx context.Context, b *bench) ([]Line, error) {
	r4, err := b.reference(ctx, "R4 append and forward", true, 1, workers)
	if err != nil {
		return nil, err
	}
	weir, err := b.route(ctx, "Weir", setup{destinations: 1, concurrency: workers})
	if err != nil {
		return nil, err
	}
	top, err := b.take(ctx, weir, load{connections: few, period: b.turn})
	if err != nil {
		return nil, err
	}
	l := load{connections: few, period: b.turn, rate: top.wholeRate() / 10, timed: true}
	fmt.Fprintf(b.out, "  a tenth of the top rate is %.0f events/s\n", l.rate)
	if err := b.play(ctx, l, r4, weir); err != nil {
		return nil, err
	}
	// For each contender p50 and p99, from the answer and from the request on.
	var figures [2][4]float64
	for i, c := range []*contender{r4, weir} {
		var rounds [4][]float64
		for _, t := range c.turns {
			arrived, err := times(b.receiver.address, c.from, t.first, t.first+uint64(len(t.sent)))
			if err != nil {
				return nil, err
			}
			var answered, sent []float64
			for n, at := range arrived {
				if t.answered[n] > 0 && at > 0 {
					// Negative where the receiver had it before the answer came.
					answered = append(answered, float64(at-t.answered[n])/float64(time.Millisecond))
					sent = append(sent, float64(at-t.sent[n])/float64(time.Millisecond))
				}
			}
			for k, v := range []float64{quantile(answered, 0.5), quantile(answered, 0.99), quantile(sent, 0.5), quantile(sent, 0.99)} {
				rounds[k] = append(rounds[k], v)
			}
		}
		for k := range rounds {
			figures[i][k] = median(rounds[k])
		}
	}
	r, w := figures[0], figures[1]
	return []Line{
		atMost("answered to received, p50", "ms", w[0], "R4", r[0], 3),
		atMost("answered to received, p99", "ms", w[1], "R4", r[1], 5),
		only("sent to received, p50", "ms", w[2], "R4", r[2]),
		only("sent to received, p99", "ms", w[3], "R4", r[3]),
	}, nil
}

func routes(ctx context.Context, b *bench) ([]Line, error) {
	small, err := b.route(ctx, "Weir with 10 routes", setup{destinations: 1, concurrency: workers, routes: 10})
	if err != nil {
		return nil, err
	}
	large, err := b.route(ctx, "Weir with 10000", setup{destinations: 1, concurrency: workers, routes: 10_000})
	if err != nil {
		return nil, err
	}
	// Both get the same rate, below what they can take: a queue would measure
	// something else. Numbers go on from turn to turn, so all types have their turn.
	l := load{connections: few, period: b.turn, rate: 3000}
	for _, c := range []struct {
		*contender
		types int
	}{{small, 10}, {large, 10_000}} {
		c.turns = nil
		l.types = c.types
		if _, err := b.take(ctx, c.contender, l); err != nil { // the first turn does not count
			return nil, err
		}
	}
	for range b.rounds {
		for _, c := range []*contender{small, large} {
			l.types = 10
			if c == large {
				l.types = 10_000
			}
			t, err := b.take(ctx, c, l)
			if err != nil {
				return nil, err
			}
			c.turns = append(c.turns, t)
			fmt.Fprintf(b.out, "  %-22s %6.1f µs CPU an event\n", c.name, t.cpuPerEvent())
		}
	}
	return []Line{atMost("CPU an event with 10,000 routes", "µs/event",
		large.median(turn.cpuPerEvent), "10 routes", small.median(turn.cpuPerEvent), 1.5)}, nil
}

func start(ctx context.Context, b *bench) ([]Line, error) {
	s := setup{destinations: 1, concurrency: 1, timeout: "5m", url: "http://" + b.receiver.address + "/hang"}
	var empty, full []float64
	for range b.rounds {
		// With nothing stored, the first delivery is of an event that comes as soon
		// as it is taken.
		c, err := b.route(ctx, "Weir empty", setup{destinations: 1, concurrency: workers})
		if err != nil {
			return nil, err
		}
		first := drive(ctx, "http://"+c.address+"/events", &c.next, load{connections: 1, period: time.Minute, limit: 1})
		if first.refused > 0 {
			return nil, fmt.Errorf("%s refused its first event: %s", c.name, first.problem)
		}
		at, err := b.firstArrival(ctx, c)
		if err != nil {
			return nil, err
		}
		empty = append(empty, at)
		if err := c.kill(); err != nil {
			return nil, err
		}

		// The events wait behind one that hangs, until a kill.
		if c, err = b.route(ctx, "Weir waiting", s); err != nil {
			return nil, err
		}
		if err := fillUp(ctx, c, b.waiting); err != nil {
			return nil, err
		}
		if err := b.quiet(ctx, c); err != nil {
			return nil, err
		}
		if err := c.kill(); err != nil {
			return nil, err
		}
		url := fmt.Sprintf("http://%s/%d", b.receiver.address, c.from)
		if err := b.serve(c, setup{concurrency: workers}, []string{url}); err != nil {
			return nil, err
		}
		if at, err = b.firstArrival(ctx, c); err != nil {
			return nil, err
		}
		full = append(full, at)
		fmt.Fprintf(b.out, "  first delivery after %.3f s with an empty store, %.3f s with %d waiting\n",
			empty[len(empty)-1], at, b.waiting)
		if err := b.drain(ctx, c); err != nil {
			return nil, err
		}
		if err := b.intact(c); err != nil {
			return nil, err
		}
		if err := c.kill(); err != nil {
			return nil, err
		}
	}
	figure, reference := median(full), median(empty)
	line := only(fmt.Sprintf("start to first delivery, %d waiting", b.waiting), "s", figure, "empty store", reference)
	return []Line{line.within(3*reference+2, "≤ 3 × + 2 s")}, nil
}

// firstArrival is when c's first delivery arrived, in seconds after its process
// was started.
func (b *bench) firstArrival(ctx context.Context, c *contender) (float64, error) {
	for deadline := time.Now().Add(5 * time.Minute); ; {
		now, err := counts(b.receiver.address, c.from, c.to)
		if err != nil {
			return 0, err
		}
		if now.Distinct > 0 {
			break
		}
		if err := c.alive(); err != nil {
			return 0, err
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("%s delivered nothing in time", c.name)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
	// The first event need not be the first to arrive.
	earliest := int64(0)
	const some = 2 * workers
	all, err := times(b.receiver.address, c.from, 0, some)
	if err != nil {
		return 0, err
	}
	for _, at := range all {
		if at > 0 && (earliest == 0 || at < earliest) {
			earliest = at
		}
	}
	if earliest == 0 {
		return 0, fmt.Errorf("%s delivered none of its first %d events first", c.name, some)
	}
	return time.Unix(0, earliest).Sub(c.started).Seconds(), nil
}

// quiet waits until c has used next to no CPU for a second.
func (b *bench) quiet(ctx context.Context, c *contender) error {
	for deadline := time.Now().Add(5 * time.Minute); ; {
		before, err := usageOf(c.cmd.Process.Pid)
		if err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
		after, err := usageOf(c.cmd.Process.Pid)
		if err != nil {
			return err
		}
		if after.cpu-before.cpu <= 5*clockTick {
			return c.alive()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not quiet %v after its load", c.name, 5*time.Minute)
		}
	}
}
