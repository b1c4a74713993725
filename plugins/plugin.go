package plugins

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// The defaults of a [Spec].
const (
	DefaultMemory   = 32 << 20
	DefaultDeadline = time.Second
	DefaultPool     = 2
)

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
	// Deadline is the wall-clock time for one event. 0 means one second. The
	// start of an instance may take ten times as long.
	Deadline time.Duration
	// Pool is how many instances are kept ready. 0 means 2.
	Pool int
}

// Plugin is a loaded module. It is safe for concurrent use.
type Plugin struct {
	name     string
	info     *Info
	config   []byte
	memory   int64
	deadline time.Duration
	warm     bool // instances bear the warm-up
	host     *Host
	logger   hclog.Logger
	runtime  wazero.Runtime
	compiled wazero.CompiledModule

	ctx    context.Context // ends when calls are to be cut off
	cancel context.CancelFunc
	// stopping ends the filler, the one goroutine of the plugin.
	stopping context.Context
	stop     context.CancelFunc
	filler   sync.WaitGroup
	ready    chan *instance
	// slots bounds the calls at once, and so the instances: one a call, those
	// ready, and one in the filler's hand.
	slots chan struct{}

	closing sync.Once
	closed  error
}

// Load checks and compiles a module, makes one instance, and runs weir_init and
// the warm-up. A module that can't be used gives an error that says why and what
// to do; [*Error] where its own code failed.
func (h *Host) Load(ctx context.Context, s Spec) (*Plugin, error) {
	p := &Plugin{
		name: s.Name, config: s.Config, memory: s.Memory, deadline: s.Deadline,
		host: h, logger: h.logger.With("plugin", s.Name), warm: true,
	}
	if p.memory == 0 {
		p.memory = DefaultMemory
	}
	p.memory -= p.memory % pageSize
	if p.memory < pageSize || p.memory > maxMemory {
		return nil, fmt.Errorf("plugin %q: memory must be 64KiB to 4GiB, not %d bytes", s.Name, s.Memory)
	}
	if p.deadline == 0 {
		p.deadline = DefaultDeadline
	}
	if p.deadline < 0 || s.Pool < 0 {
		return nil, fmt.Errorf("plugin %q: deadline and pool must not be negative", s.Name)
	}
	if s.Pool == 0 {
		s.Pool = DefaultPool
	}
	if p.config == nil {
		p.config = []byte("null")
	} else if err := rawjson.Valid(p.config); err != nil {
		return nil, fmt.Errorf("plugin %q: config is not one JSON value: %w", s.Name, err)
	}
	var err error
	if p.info, err = Inspect(s.Wasm); err != nil {
		return nil, fmt.Errorf("plugin %q: %w", s.Name, err)
	}
	if p.info.MemoryMin > p.memory {
		return nil, fmt.Errorf("plugin %q: the module needs %d bytes of memory to start and may use %d: raise its `memory`", s.Name, p.info.MemoryMin, p.memory)
	}
	if err := h.begin(); err != nil {
		return nil, fmt.Errorf("plugin %q: %w", s.Name, err)
	}
	defer h.loading.Done()
	p.ready = make(chan *instance, s.Pool)
	p.slots = make(chan struct{}, max(s.Pool, 2*runtime.GOMAXPROCS(0)))
	// Nothing of the caller's context: it may belong to a request, and a plugin
	// outlives it.
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.stopping, p.stop = context.WithCancel(p.ctx)
	p.runtime = h.newRuntime(p.ctx, p.memory)
	first, err := p.prepare(ctx, s.Wasm)
	if err != nil {
		p.cancel()
		return nil, errors.Join(err, p.free(ctx))
	}
	for _, l := range first.started { // the same for every instance
		p.logger.Log(l.hclogLevel(), l.Text, "function", exportInit)
	}
	h.add(p)
	p.ready <- first
	p.filler.Go(p.fill)
	return p, nil
}

// prepare compiles the module and makes the first instance.
func (p *Plugin) prepare(ctx context.Context, wasm []byte) (*instance, error) {
	if _, err := wasi_snapshot_preview1.Instantiate(p.ctx, p.runtime); err != nil {
		return nil, fmt.Errorf("plugin %q: WASI: %w", p.name, err)
	}
	if err := instantiateImports(p.ctx, p.runtime); err != nil {
		return nil, fmt.Errorf("plugin %q: imports: %w", p.name, err)
	}
	var err error
	if p.compiled, err = p.runtime.CompileModule(compiling(ctx), wasm); err != nil {
		return nil, fmt.Errorf("plugin %q: the module is damaged or uses what is not supported: %w", p.name, err)
	}
	i, err := p.newInstance(ctx, true)
	var warmUp *warmUpError
	if !errors.As(err, &warmUp) {
		return i, err
	}
	p.logger.Warn("the warm-up event failed: instances start without it", "error", err)
	p.warm = false
	return p.newInstance(ctx, false)
}

// Name returns the plugin's name.
func (p *Plugin) Name() string { return p.name }

// Build returns the SHA-256 of the module in hex.
func (p *Plugin) Build() string { return p.info.SHA256 }

// Info returns what the module has.
func (p *Plugin) Info() *Info { return p.info }

// Run takes a message, on its way along a route, through the plugin. It never
// changes m. The error is an [*Error] where the plugin failed, else it wraps
// ctx's error or [ErrClosed].
func (p *Plugin) Run(ctx context.Context, m *event.Message, route string) (*Result, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("plugin %q: waiting for a free instance: %w", p.name, ctx.Err())
	case <-p.stopping.Done():
		return nil, fmt.Errorf("plugin %q: %w", p.name, ErrClosed)
	}
	defer func() { <-p.slots }()
	i, err := p.take(ctx)
	if err != nil {
		return nil, err
	}
	defer i.close()
	r, err := i.run(ctx, m, route)
	p.report(i.call, m)
	return r, err
}

// take returns an instance that nobody used.
func (p *Plugin) take(ctx context.Context) (*instance, error) {
	if p.stopping.Err() != nil { // Run may have had the choice
		return nil, fmt.Errorf("plugin %q: %w", p.name, ErrClosed)
	}
	select {
	case i := <-p.ready:
		return i, nil
	default:
		return p.newInstance(ctx, p.warm)
	}
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

// fill keeps the pool full until the plugin is closed.
func (p *Plugin) fill() {
	for {
		i, err := p.newInstance(p.stopping, p.warm)
		if p.stopping.Err() != nil {
			if err == nil {
				i.close()
			}
			return
		}
		if err != nil {
			// A call that needs an instance makes one and gets the error, so
			// this one is told and no more.
			p.logger.Error("making an instance ahead of need failed", "error", err)
			select {
			case <-time.After(time.Second):
				continue
			case <-p.stopping.Done():
				return
			}
		}
		select {
		case p.ready <- i:
		case <-p.stopping.Done():
			i.close()
			return
		}
	}
}

// Close waits for the calls that are running, until ctx ends and they are cut
// off, and frees the plugin. Later calls get [ErrClosed]. Closing again does
// nothing and returns what the first time did.
func (p *Plugin) Close(ctx context.Context) error {
	p.closing.Do(func() {
		p.stop()
		cutOff := context.AfterFunc(ctx, p.cancel)
		for range cap(p.slots) {
			p.slots <- struct{}{}
		}
		p.filler.Wait()
		cutOff()
		p.cancel()
		close(p.ready)
		for i := range p.ready {
			i.close()
		}
		p.host.forget(p)
		if err := p.free(ctx); err != nil {
			p.closed = fmt.Errorf("plugin %q: closing: %w", p.name, err)
		}
	})
	return p.closed
}

// free closes the runtime, and the compiled code apart: where a cache is shared,
// the runtime leaves it there. Other plugins of the same module keep it alive.
func (p *Plugin) free(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var err error
	if p.compiled != nil {
		err = p.compiled.Close(ctx)
	}
	return errors.Join(err, p.runtime.Close(ctx))
}
