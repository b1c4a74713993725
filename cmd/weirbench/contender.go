package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// bench is one run of the program.
type bench struct {
	out             io.Writer
	self, weir, dir string
	turn            time.Duration
	rounds, waiting int
	// of the row that runs
	receiver   *process
	contenders []*contender
	sets       int // handed out
	starts     int
}

// contender is the router or a reference under load.
type contender struct {
	*process
	name, dir string
	from, to  int // its sets at the receiver
	next      uint64
	accepted  uint64
	apart     uint64 // of accepted: not counted at its sets
	file      string // what a reference appends to
	router    bool
	paired    bool // an event leads to one delivery, whatever the number of sets
	turns     []turn
}

// turn is what one turn of a contender showed.
type turn struct {
	loaded
	delivered  uint64        // arrivals while the load lasted
	drained    time.Duration // from the start of the load to the last arrival
	cpu        time.Duration // of the contender, until all was delivered
	cpuLoad    time.Duration // of the bench
	cpuReceive time.Duration
	written    int64
	// Shares of all cores: used by the kernel and by other programs, and taken
	// by the machine below this one.
	others, stolen float64
}

func (t turn) acceptedRate() float64 { return float64(t.accepted) / t.took.Seconds() }

// loadedRate is deliveries a second while the load lasted.
func (t turn) loadedRate() float64 { return float64(t.delivered) / t.took.Seconds() }

// wholeRate is events a second from the first one sent to the last one delivered.
func (t turn) wholeRate() float64 { return float64(t.accepted) / t.drained.Seconds() }

// cpuPerEvent is in microseconds.
func (t turn) cpuPerEvent() float64 {
	return float64(t.cpu.Microseconds()) / float64(max(t.accepted, 1))
}

// due is how many deliveries are to arrive at its sets.
func (c *contender) due() uint64 {
	if c.paired {
		return c.accepted - c.apart
	}
	return c.accepted * uint64(c.to-c.from)
}

func (c *contender) median(f func(turn) float64) float64 {
	values := make([]float64, len(c.turns))
	for i, t := range c.turns {
		values[i] = f(t)
	}
	return median(values)
}

// runRow starts a receiver, runs the row, and ends all that it has started.
func (b *bench) runRow(ctx context.Context, r row) (lines []Line, err error) {
	b.sets, b.contenders = 0, nil
	defer func() {
		for _, c := range b.contenders {
			err = joinKill(err, c.process)
		}
		err = joinKill(err, b.receiver)
		b.receiver = nil
	}()
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if b.receiver, err = launch(b.dir, r.name+"-receiver", address, b.self, "receiver", "-address", address); err != nil {
		return nil, err
	}
	if err := b.receiver.ready(ctx, ""); err != nil {
		return nil, err
	}
	lines, err = r.run(ctx, b)
	for i := range lines {
		lines[i].Row = r.name
	}
	return lines, err
}

func joinKill(err error, p *process) error {
	if p == nil {
		return err
	}
	if dead := p.kill(); err == nil {
		err = dead
	}
	return err
}

// folder makes a new folder for a contender.
func (b *bench) folder(name string) (string, error) {
	b.starts++
	dir := filepath.Join(b.dir, fmt.Sprintf("%02d-%s", b.starts, strings.ToLower(strings.Fields(name)[0])))
	return dir, os.MkdirAll(dir, 0o700)
}

// urls hands out n sets of the receiver.
func (b *bench) urls(n int) (from, to int, urls []string) {
	from = b.sets
	for range n {
		urls = append(urls, fmt.Sprintf("http://%s/%d", b.receiver.address, b.sets))
		b.sets++
	}
	return from, b.sets, urls
}

// reference starts R1 (neither), R2 (append), R3 (destinations) or R4 (both).
func (b *bench) reference(ctx context.Context, name string, appends bool, destinations, workers int) (*contender, error) {
	dir, err := b.folder(name)
	if err != nil {
		return nil, err
	}
	c := &contender{name: name, dir: dir}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args := []string{"reference", "-address", address}
	if appends {
		c.file = filepath.Join(dir, "log")
		args = append(args, "-file", c.file)
	}
	var urls []string
	c.from, c.to, urls = b.urls(destinations)
	if destinations > 0 {
		args = append(args, "-to", strings.Join(urls, ","), "-workers", fmt.Sprint(workers))
	}
	if c.process, err = launch(dir, name, address, b.self, args...); err != nil {
		return nil, err
	}
	b.contenders = append(b.contenders, c)
	return c, c.ready(ctx, "")
}

// setup is the router's configuration in a row.
type setup struct {
	destinations int
	concurrency  int
	routes       int    // with more than one, each takes a type of its own
	paired       int    // so many destinations, each with a route and a type of its own, and all with one set
	registered   int    // as paired, but registered over the API
	aside        string // where those of the paired ones post that are not counted, see isAside
	none         bool   // no route matches
	url          string // of the only destination, instead of the receiver's
	timeout      string
	// through gives the plugin blocks of a route and the list of their names, nil
	// where routes have none.
	through func(route int) (blocks, names string)
}

func (s setup) hcl(address string, urls []string) string {
	var w strings.Builder
	fmt.Fprintf(&w, "server {\n  listen = %q\n}\n", address)
	fmt.Fprintf(&w, "store \"badger\" {\n  path = \"data\"\n}\nlog {\n  level = \"warn\"\n}\n")
	if s.timeout != "" {
		fmt.Fprintf(&w, "defaults {\n  timeout = %q\n}\n", s.timeout)
	}
	if s.paired > 0 {
		s.pairs(&w, urls[0])
		return w.String()
	}
	if s.registered > 0 {
		fmt.Fprintf(&w, "defaults {\n  concurrency = %d\n}\nwebhooks {\n  allow_http = true\n  allow_networks = [\"127.0.0.0/8\"]\n  limit = %d\n}\n", s.concurrency, s.registered)
		return w.String()
	}
	var names []string
	for i, url := range urls {
		names = append(names, fmt.Sprintf("destination.d%d", i))
		fmt.Fprintf(&w, "destination \"d%d\" {\n  url = %q\n  secret = %q\n  concurrency = %d\n}\n", i, url, secret, s.concurrency)
	}
	for i := range max(s.routes, 1) {
		events := "bench.*"
		switch {
		case s.none:
			events = "other.*"
		case s.routes > 1:
			events = fmt.Sprintf("bench.t%0*d", typeDigits, i)
		}
		s.route(&w, i, events, strings.Join(names, ", "))
	}
	return w.String()
}

func (s setup) route(w *strings.Builder, n int, events, to string) {
	through := ""
	if s.through != nil {
		blocks, names := s.through(n)
		w.WriteString(blocks)
		through = "  through = [" + names + "]\n"
	}
	fmt.Fprintf(w, "route \"r%d\" {\n  events = [%q]\n%s  to = [%s]\n}\n", n, events, through, to)
}

const secret = "whsec_YS1zZWNyZXQtb2YtdGhlLWJlbmNobWFyaw=="

// pairs writes destinations that have a route and a type each. All post to url,
// but for those that are aside, where there is such a path.
func (s setup) pairs(w *strings.Builder, url string) {
	for i := range s.paired {
		to := url
		if s.aside != "" && isAside(uint64(i)) {
			to = url[:strings.LastIndexByte(url, '/')] + s.aside
		}
		fmt.Fprintf(w, "destination \"d%d\" {\n  url = %q\n  secret = %q\n  concurrency = %d\n}\n", i, to, secret, s.concurrency)
		s.route(w, i, fmt.Sprintf("bench.t%0*d", typeDigits, i), fmt.Sprintf("destination.d%d", i))
	}
}

// route starts a router with an empty store.
func (b *bench) route(ctx context.Context, name string, s setup) (*contender, error) {
	dir, err := b.folder(name)
	if err != nil {
		return nil, err
	}
	c := &contender{name: name, dir: dir, router: true, paired: s.paired+s.registered > 0}
	var urls []string
	c.from, c.to, urls = b.urls(max(s.destinations, min(s.paired+s.registered, 1)))
	if s.url != "" {
		urls = []string{s.url}
	}
	b.contenders = append(b.contenders, c)
	if err := b.serve(c, s, urls); err != nil {
		return nil, err
	}
	if err := c.ready(ctx, "/readyz"); err != nil {
		return nil, err
	}
	if s.registered == 0 {
		return c, nil
	}
	return c, s.register(ctx, c.address, urls[0])
}

// register registers the webhooks of a row, each with a type of its own.
func (s setup) register(ctx context.Context, address, url string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fanWorkers)
	for i := range s.registered {
		group.Go(func() error {
			body := fmt.Sprintf(`{"url":%q,"events":["bench.t%0*d"],"secret":%q}`, url, typeDigits, i, secret)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/api/webhooks", strings.NewReader(body))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, res.Body)
			if res.StatusCode != http.StatusCreated {
				err = errors.Join(err, fmt.Errorf("a registration was answered %s", res.Status))
			}
			return errors.Join(err, res.Body.Close())
		})
	}
	return group.Wait()
}

// serve starts c's router on the store that it has.
func (b *bench) serve(c *contender, s setup, urls []string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	config := filepath.Join(c.dir, "router.hcl")
	if err := os.WriteFile(config, []byte(s.hcl(address, urls)), 0o600); err != nil {
		return err
	}
	p, err := launch(c.dir, c.name, address, b.weir, "serve", "-c", config)
	if err != nil {
		return err
	}
	c.process = p
	return nil
}

// play lets the contenders take turns, after one short turn each that does not
// count.
func (b *bench) play(ctx context.Context, l load, all ...*contender) error {
	warm := l
	warm.period, warm.timed = min(l.period, time.Second), false
	for _, c := range all {
		c.turns = nil
		if _, err := b.take(ctx, c, warm); err != nil {
			return err
		}
	}
	for range b.rounds {
		for _, c := range all {
			t, err := b.take(ctx, c, l)
			if err != nil {
				return err
			}
			c.turns = append(c.turns, t)
			fmt.Fprintf(b.out, "  %-22s %8.0f accepted/s", c.name, t.acceptedRate())
			if c.to > c.from {
				fmt.Fprintf(b.out, "  %8.0f deliveries/s while loaded  %8.0f events/s in all", t.loadedRate(), t.wholeRate())
			}
			fmt.Fprintf(b.out, "  %6.1f µs CPU an event (load %.1f, receiver %.1f; others %.0f %%, stolen %.0f %% of the cores)\n", t.cpuPerEvent(),
				perEvent(t.cpuLoad, t.accepted), perEvent(t.cpuReceive, t.accepted), t.others*100, t.stolen*100)
		}
	}
	return nil
}

func perEvent(d time.Duration, events uint64) float64 {
	return float64(d.Microseconds()) / float64(max(events, 1))
}

// settle is longer than the router gathers outcomes.
const settle = 400 * time.Millisecond

// take gives c one turn and waits until all that it accepted is delivered.
func (b *bench) take(ctx context.Context, c *contender, l load) (turn, error) {
	var t turn
	arrived, err := counts(b.receiver.address, c.from, c.to)
	if err != nil {
		return t, err
	}
	before, err := b.usages(c)
	if err != nil {
		return t, err
	}
	spent, err := coreTimes()
	if err != nil {
		return t, err
	}
	start := time.Now()
	t.loaded = drive(ctx, "http://"+c.address+"/events", &c.next, l)
	if err := ctx.Err(); err != nil {
		return t, err
	}
	if t.refused > 0 {
		return t, fmt.Errorf("%s refused %d events: %s", c.name, t.refused, t.problem)
	}
	now, err := counts(b.receiver.address, c.from, c.to)
	if err != nil {
		return t, err
	}
	t.delivered = now.Arrivals - arrived.Arrivals
	c.accepted += t.accepted
	c.apart += t.loaded.apart
	if err := b.drain(ctx, c); err != nil {
		return t, err
	}
	t.drained = time.Since(start)
	if err := pause(ctx, settle); err != nil {
		return t, err
	}
	after, err := b.usages(c)
	if err != nil {
		return t, err
	}
	t.cpu, t.cpuLoad, t.cpuReceive = after[0].cpu-before[0].cpu, after[1].cpu-before[1].cpu, after[2].cpu-before[2].cpu
	spentAfter, err := coreTimes()
	if err != nil {
		return t, err
	}
	all := float64(spentAfter.all - spent.all)
	t.others = max(0, ratio(float64(spentAfter.busy-spent.busy-t.cpu-t.cpuLoad-t.cpuReceive), all))
	t.stolen = ratio(float64(spentAfter.stolen-spent.stolen), all)
	t.written = after[0].written - before[0].written
	return t, b.intact(c)
}

// usages are those of c, of the bench itself and of the receiver.
func (b *bench) usages(c *contender) (u [3]usage, err error) {
	for i, pid := range []int{c.cmd.Process.Pid, os.Getpid(), b.receiver.cmd.Process.Pid} {
		if u[i], err = usageOf(pid); err != nil {
			return u, fmt.Errorf("%w: %w", err, c.alive())
		}
	}
	return u, nil
}

// stalled is how long nothing may arrive before what is missing counts as lost.
const stalled = 30 * time.Second

// drain waits until everything that c accepted has arrived at every destination.
func (b *bench) drain(ctx context.Context, c *contender) error {
	want := c.due()
	for last, since := uint64(0), time.Now(); ; {
		now, err := counts(b.receiver.address, c.from, c.to)
		if err != nil {
			return err
		}
		if now.Distinct >= want {
			return nil
		}
		if now.Distinct != last {
			last, since = now.Distinct, time.Now()
		}
		if time.Since(since) > stalled {
			return fmt.Errorf("%s lost %d of %d deliveries", c.name, want-now.Distinct, want)
		}
		if err := c.alive(); err != nil {
			return err
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// intact compares what c accepted with what arrived.
func (b *bench) intact(c *contender) error {
	if err := c.alive(); err != nil {
		return err
	}
	now, err := counts(b.receiver.address, c.from, c.to)
	if err != nil {
		return err
	}
	want := c.due()
	if now.Distinct != want || now.Arrivals != want || now.Malformed != 0 {
		return fmt.Errorf("%s accepted events for %d deliveries: %d arrived, %d different ones, %d that are none of ours",
			c.name, want, now.Arrivals, now.Distinct, now.Malformed)
	}
	return nil
}

// stored compares what c accepted with what it has on disk, after a kill -9.
func (b *bench) stored(ctx context.Context, c *contender, s setup) error {
	if err := c.kill(); err != nil {
		return err
	}
	if !c.router {
		info, err := os.Stat(c.file)
		if err != nil {
			return err
		}
		if want := int64(c.accepted) * (recordHead + eventSize); info.Size() != want {
			return fmt.Errorf("%s accepted %d events and has %d bytes instead of %d", c.name, c.accepted, info.Size(), want)
		}
		return nil
	}
	if err := b.serve(c, s, []string{"http://127.0.0.1:1/"}); err != nil {
		return err
	}
	if err := c.ready(ctx, "/readyz"); err != nil {
		return err
	}
	ids := map[string]bool{}
	listed, cursor := uint64(0), ""
	for {
		text, err := fetch("http://" + c.address + "/api/events?limit=1000&cursor=" + cursor)
		if err != nil {
			return err
		}
		var list struct {
			Events []struct {
				ID string `json:"id"`
			} `json:"events"`
			Next string `json:"next"`
		}
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
		for _, e := range list.Events {
			listed++
			ids[e.ID] = true
		}
		if cursor = list.Next; cursor == "" {
			break
		}
	}
	if listed != c.accepted || uint64(len(ids)) != c.accepted {
		return fmt.Errorf("%s accepted %d events and lists %d with %d ids after a kill", c.name, c.accepted, listed, len(ids))
	}
	return nil
}
