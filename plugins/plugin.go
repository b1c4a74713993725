package plugins

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// The defaults of a [Spec].
const (
	DefaultMemory   = 32 << 20
	DefaultDeadline = time.Second
	DefaultPool     = 2
)

// Isolation says what an event may see of those before it.
type Isolation string

// The isolations.
const (
	// Pure: nothing.
	Pure Isolation = "pure"
	// Reuse: whatever an earlier event left in the instance that it meets. It
	// saves putting the instance back.
	Reuse Isolation = "reuse"
)

// ABI is how a module and the host speak.
type ABI string

// The ABIs.
const (
	// ABIWeir is section by section that of docs/abi.md.
	ABIWeir ABI = "weir"
	// ABIStdio is a WASI command that reads the message on stdin and writes
	// messages on stdout.
	ABIStdio ABI = "stdio"
)

// An instance that is used again is replaced after so many events.
const manyUses = 10_000

// Spec says what to load. Name and Wasm are needed.
type Spec struct {
	// Name is that of the plugin block.
	Name string
	// Wasm is the module.
	Wasm []byte
	// Config is what the plugin reads as its config: one JSON value, nil when
	// unset.
	Config []byte
	// Memory is the most that an instance may use, in bytes, rounded down to
	// pages of 64 KiB. 0 means 32 MiB.
	Memory int64
	// Fuel is for one message, in units, beside [FuelPerByte] for each byte of
	// its data. 0 means [DefaultFuel].
	Fuel int64
	// InitFuel is for the start of an instance, in units. 0 means
	// [DefaultInitFuel].
	InitFuel int64
	// Deadline is the wall-clock time for one message. 0 means one second. The
	// start of an instance may take ten times as long.
	Deadline time.Duration
	// Pool is how many instances are kept for events at once. 0 means 2.
	Pool int
	// Isolation is [Pure] where it is empty.
	Isolation Isolation
	// ABI is [ABIWeir] where it is empty.
	ABI ABI
}

// Plugin is a loaded module. It is safe for concurrent use.
type Plugin struct {
	name     string
	info     *Info
	config   []byte
	memory   int64
	fuel     int64
	initFuel int64
	deadline time.Duration
	pool     int
	reuse    bool
	stdio    bool
	warm     bool // instances bear the warm-up
	trial    error
	host     *Host
	logger   hclog.Logger
	build    *build

	// stopping ends the filler, the one goroutine of the plugin.
	stopping context.Context
	stop     context.CancelFunc
	filler   sync.WaitGroup
	wanted   chan struct{} // tells the filler to look
	// slots bounds the calls at once, and so the instances.
	slots chan struct{}
	// called is when Run was last called, in nanoseconds since 1970.
	called atomic.Int64
	tally  tally
	// restored is how many pages were put back after the last call.
	restored atomic.Int64

	mu    sync.Mutex
	ready []*instance
	live  map[*instance]struct{} // all that are not closed
	state *snapshot              // nil until there is one, and while nothing is held
	held  int64                  // bytes of live and state
	idle  atomic.Bool            // it lost its instances until the next call

	closing sync.Once
	closed  error
}

// Load checks, rewrites and compiles a module, makes one instance, and runs
// weir_init and the warm-up. A module that can't be used gives an error that says
// why and what to do; [*Error] where its own code failed. Plugins of the same
// module and memory share what is compiled.
func (h *Host) Load(ctx context.Context, s Spec) (*Plugin, error) {
	p, err := h.newPlugin(s)
	if err != nil {
		return nil, fmt.Errorf("plugin %q: %w", s.Name, err)
	}
	if err := h.begin(); err != nil {
		return nil, fmt.Errorf("plugin %q: %w", s.Name, err)
	}
	defer h.loading.Done()
	key := buildKey{sha256: p.info.SHA256, pages: uint32(p.memory / pageSize)}
	if p.build, err = h.acquire(ctx, key, s.Wasm); err != nil {
		return nil, fmt.Errorf("plugin %q: %w", s.Name, err)
	}
	// Nothing of the caller's context: it may belong to a request, and a plugin
	// outlives it.
	p.stopping, p.stop = context.WithCancel(context.Background())
	first, err := p.first()
	if err != nil {
		p.stop()
		p.abandon()
		return nil, errors.Join(err, h.release(p.build))
	}
	for _, l := range first.started { // the same for every instance
		p.logger.Log(l.hclogLevel(), l.Text, "function", exportInit)
	}
	p.called.Store(time.Now().UnixNano())
	p.tally.begin(time.Now().UTC())
	h.add(p)
	h.hold(p.give(first))
	p.filler.Go(p.fill)
	return p, nil
}

// newPlugin checks a spec and fills in its defaults.
func (h *Host) newPlugin(s Spec) (*Plugin, error) {
	p := &Plugin{
		name: s.Name, config: s.Config, memory: s.Memory, fuel: s.Fuel, initFuel: s.InitFuel,
		deadline: s.Deadline, pool: s.Pool, reuse: s.Isolation == Reuse, stdio: s.ABI == ABIStdio,
		host: h, logger: h.logger.With("plugin", s.Name), warm: true,
		wanted: make(chan struct{}, 1), live: map[*instance]struct{}{},
	}
	if p.memory == 0 {
		p.memory = DefaultMemory
	}
	p.memory -= p.memory % pageSize
	if p.memory < pageSize || p.memory > maxMemory {
		return nil, fmt.Errorf("memory must be 64KiB to 4GiB, not %d bytes", s.Memory)
	}
	if p.deadline == 0 {
		p.deadline = DefaultDeadline
	}
	if p.fuel == 0 {
		p.fuel = DefaultFuel
	}
	if p.initFuel == 0 {
		p.initFuel = DefaultInitFuel
	}
	if p.deadline < 0 || s.Pool < 0 {
		return nil, errors.New("deadline and pool must not be negative")
	}
	if p.fuel < 0 || p.fuel > MaxFuel || p.initFuel < 0 || p.initFuel > MaxFuel {
		return nil, fmt.Errorf("fuel and init_fuel must be 1 to %d units", int64(MaxFuel))
	}
	if p.pool == 0 {
		p.pool = DefaultPool
	}
	p.slots = make(chan struct{}, max(p.pool, 2*runtime.GOMAXPROCS(0)))
	if s.Isolation != "" && s.Isolation != Pure && s.Isolation != Reuse {
		return nil, fmt.Errorf("unknown isolation %q: use %q or %q", s.Isolation, Pure, Reuse)
	}
	if s.Isolation == Reuse && s.ABI == ABIStdio {
		return nil, errors.New("isolation \"reuse\" can't be had with abi \"stdio\": a command begins anew for each event")
	}
	if p.config == nil {
		p.config = []byte("null")
	} else if err := rawjson.Valid(p.config); err != nil {
		return nil, fmt.Errorf("config is not one JSON value: %w", err)
	}
	var err error
	switch s.ABI {
	case "", ABIWeir:
		p.info, err = Inspect(s.Wasm)
	case ABIStdio:
		p.info, err = InspectStdio(s.Wasm)
	default:
		return nil, fmt.Errorf("unknown abi %q: use %q or %q", s.ABI, ABIWeir, ABIStdio)
	}
	if err != nil {
		return nil, err
	}
	if p.info.MemoryMin > p.memory {
		return nil, fmt.Errorf("the module needs %d bytes of memory to start and may use %d: raise its `memory`", p.info.MemoryMin, p.memory)
	}
	return p, nil
}

// first makes the first instance, and finds out whether the plugin bears the
// warm-up.
func (p *Plugin) first() (*instance, error) {
	i, err := p.make()
	var warmUp *warmUpError
	if !errors.As(err, &warmUp) {
		return i, err
	}
	p.logger.Warn("the warm-up event failed: instances start without it", "error", err)
	p.warm, p.trial = false, err
	return p.make()
}

// Trial returns how the module failed on the warm-up event, an [*Error], or nil where
// it bore that. What it answered does not count.
func (p *Plugin) Trial() error { return p.trial }

// Name returns the plugin's name.
func (p *Plugin) Name() string { return p.name }

// Build returns the SHA-256 of the module in hex.
func (p *Plugin) Build() string { return p.info.SHA256 }

// Info returns what the module has.
func (p *Plugin) Info() *Info { return p.info }

// Volatile says why every event needs an instance of its own, which is slower:
// the module has state that can't be put back. It is empty where instances are
// used again.
func (p *Plugin) Volatile() string { return p.build.volatile }

// Run takes a message, on its way along a route, through the plugin. It never
// changes m. The error is an [*Error] where the plugin failed, else it wraps
// ctx's error or [ErrClosed]. ctx ends the waiting for an instance; a call that
// has begun is bounded by the plugin's fuel and deadline.
func (p *Plugin) Run(ctx context.Context, m *event.Message, route string) (*Result, error) {
	return p.run(ctx, m, route, true)
}

// Rehearse is as Run, for who only wants to know what it gives: the call is
// neither counted nor logged.
func (p *Plugin) Rehearse(ctx context.Context, m *event.Message, route string) (*Result, error) {
	return p.run(ctx, m, route, false)
}

func (p *Plugin) run(ctx context.Context, m *event.Message, route string, told bool) (*Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("plugin %q: %w", p.name, err)
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("plugin %q: waiting for a free instance: %w", p.name, ctx.Err())
	case <-p.stopping.Done():
		return nil, fmt.Errorf("plugin %q: %w", p.name, ErrClosed)
	}
	defer func() { <-p.slots }()
	i, err := p.take()
	if err != nil {
		if told {
			p.tally.count(nil, err)
		}
		return nil, err
	}
	r, err := i.run(m, route)
	if told {
		p.tally.count(r, err)
		p.report(&i.call, m)
	}
	i.call.end()
	p.host.hold(p.back(i))
	return r, err
}

// take returns an instance for one event.
func (p *Plugin) take() (*instance, error) {
	if p.stopping.Err() != nil { // Run may have had the choice
		return nil, fmt.Errorf("plugin %q: %w", p.name, ErrClosed)
	}
	p.idle.Store(false)
	p.called.Store(time.Now().UnixNano())
	p.mu.Lock()
	if n := len(p.ready); n > 0 {
		i := p.ready[n-1]
		p.ready = p.ready[:n-1]
		p.mu.Unlock()
		if p.build.volatile != "" {
			p.look()
		}
		return i, nil
	}
	p.mu.Unlock()
	return p.make()
}

// look wakes the filler.
func (p *Plugin) look() {
	select {
	case p.wanted <- struct{}{}:
	default:
	}
}

// back takes an instance back after an event, or closes it. It returns how many
// more bytes are held than before.
func (p *Plugin) back(i *instance) int64 {
	if !i.fit() {
		i.close()
		p.look()
		return 0
	}
	return p.give(i)
}

// give makes an instance ready, or closes it where there are enough. It returns
// how many more bytes the plugin holds than the host knows of.
func (p *Plugin) give(i *instance) int64 {
	p.mu.Lock()
	keep := len(p.ready) < p.pool && p.stopping.Err() == nil
	i.counted = int64(i.linear.size)
	if keep {
		p.ready = append(p.ready, i)
	}
	p.mu.Unlock()
	if !keep {
		i.close()
	}
	return p.count()
}

// count returns how many bytes more the plugin holds than it last told.
func (p *Plugin) count() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := int64(0)
	for i := range p.live {
		held += i.counted
	}
	if p.state != nil {
		held += p.state.bytes()
	}
	more := held - p.held
	p.held = held
	return more
}

// report writes what the plugin logged to the host's log.
func (p *Plugin) report(c *call, m *event.Message) {
	for _, l := range c.logs {
		p.logger.Log(l.hclogLevel(), l.Text, "event", m.ID)
	}
	if c.lostLogs > 0 {
		p.logger.Warn("the plugin logged more than is kept", "event", m.ID, "lost", c.lostLogs)
	}
}

// ahead is how many instances the filler keeps ready: those of a module that
// needs a new one for each event, or one in place of one that was lost.
func (p *Plugin) ahead() int {
	if p.build.volatile != "" {
		return p.pool
	}
	return 1
}

// fill makes instances ahead of need until the plugin is closed.
func (p *Plugin) fill() {
	for {
		select {
		case <-p.wanted:
		case <-p.stopping.Done():
			return
		}
		for !p.idle.Load() && p.stopping.Err() == nil && p.short() {
			i, err := p.make()
			if err == nil {
				p.host.hold(p.give(i))
				continue
			}
			// A call that needs an instance makes one and gets the error, so
			// this one is told and no more.
			p.logger.Error("making an instance ahead of need failed", "error", err)
			select {
			case <-time.After(time.Second):
			case <-p.stopping.Done():
				return
			}
		}
	}
}

func (p *Plugin) short() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready) < p.ahead()
}

// resting reports whether there is nothing to take from the plugin.
func (p *Plugin) resting() bool { return p.idle.Load() }

// rest closes the instances that wait and forgets the snapshot, unless a call is
// running. The next call makes them anew, the same as they were. It returns how
// many bytes that freed.
func (p *Plugin) rest() int64 {
	p.idle.Store(true)
	p.mu.Lock()
	ready := p.ready
	p.ready = nil
	if len(p.live) == len(ready) {
		p.state = nil
	}
	p.mu.Unlock()
	for _, i := range ready {
		i.close()
	}
	return -p.count()
}

// Close waits for the calls that are running, until ctx ends and they are cut
// off, and frees the plugin. Later calls get [ErrClosed]. Closing again does
// nothing and returns what the first time did.
func (p *Plugin) Close(ctx context.Context) error {
	p.closing.Do(func() {
		p.stop()
		over := make(chan struct{})
		var cutter sync.WaitGroup
		cutter.Go(func() { p.cutOff(ctx, over) })
		for range cap(p.slots) {
			p.slots <- struct{}{}
		}
		p.filler.Wait()
		close(over)
		cutter.Wait()
		p.host.forget(p)
		p.abandon()
		if err := p.host.release(p.build); err != nil {
			p.closed = fmt.Errorf("plugin %q: closing: %w", p.name, err)
		}
	})
	return p.closed
}

// cutOff ends calls from the end of ctx on, until over is closed.
func (p *Plugin) cutOff(ctx context.Context, over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-ctx.Done():
	}
	for {
		p.mu.Lock()
		for i := range p.live {
			i.watchdog.cut(ErrClosed)
		}
		p.mu.Unlock()
		select {
		case <-over:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// abandon closes all instances. No call is running.
func (p *Plugin) abandon() {
	p.mu.Lock()
	live := make([]*instance, 0, len(p.live))
	for i := range p.live {
		live = append(live, i)
	}
	p.ready, p.state = nil, nil
	p.mu.Unlock()
	for _, i := range live {
		i.close()
	}
	p.host.hold(p.count())
}
