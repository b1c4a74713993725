package plugins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
	"github.com/weirhq/weir/plugins/meter"
	"github.com/weirhq/weir/router/event"
)

// instance is one copy of a module with its memory. It belongs to one goroutine
// at a time.
type instance struct {
	plugin    *Plugin
	mod       api.Module
	filter    api.Function
	transform api.Function
	command   api.Function // of the stdio ABI
	ctx       context.Context
	linear    *linearMemory
	globals   []api.MutableGlobal
	fuel      api.MutableGlobal
	reserve   api.MutableGlobal
	stop      api.MutableGlobal // by which the watchdog ends a call
	spent     meterage
	watchdog  watchdog
	call      call // what is going on
	stack     [4]uint64
	stderr    tail
	stdin     bytes.Reader
	stdout    outputBuffer
	clock     clock
	random    random
	// state is what the instance is put back to. It is nil where it can't be.
	state       *snapshot
	restorePart func(from, to int)
	fewest      int // pages that were put back, since the pages were last forgotten
	restores    int
	// broken says that a call failed in a way that left the guest anyhow.
	broken bool
	exit   *sys.ExitError // by which the last call ended, if it did so
	uses   int
	// counted is the memory that the plugin counts for it, under its lock.
	counted int64
	// started are the lines that were logged before the first event.
	started []Log
}

type instanceKey struct{}

// instanceOf returns the instance whose guest called an import.
func instanceOf(ctx context.Context) *instance { return ctx.Value(instanceKey{}).(*instance) }

// make makes an instance that is ready for an event. The first one runs
// _initialize, weir_init and the warm-up; where their outcome can be copied, the
// others are copies. On an error nothing is left behind.
func (p *Plugin) make() (*instance, error) {
	i := &instance{plugin: p}
	i.ctx = context.WithValue(context.Background(), instanceKey{}, i)
	p.mu.Lock()
	state := p.state
	p.live[i] = struct{}{}
	p.mu.Unlock()
	if err := i.make(state); err != nil {
		i.close()
		return nil, err
	}
	return i, nil
}

func (i *instance) make(state *snapshot) error {
	p := i.plugin
	if err := i.instantiate(); err != nil {
		return err
	}
	if state != nil {
		return i.become(state)
	}
	if !p.stdio {
		if err := i.initialize(); err != nil {
			return err
		}
		i.started = i.call.logs
		if p.warm {
			if err := i.warmUp(); err != nil {
				return err
			}
		}
	}
	if p.build.volatile != "" {
		return nil
	}
	state = takeSnapshot(i.linear.region[:i.linear.size], i.globals)
	state.ticks = i.clock.ticks
	p.mu.Lock()
	if p.state == nil {
		p.state = state
	}
	state = p.state // the same, but for who made it first
	p.mu.Unlock()
	i.keep(state)
	return nil
}

// become makes a new instance what the snapshot has.
func (i *instance) become(s *snapshot) error {
	if more := s.size - i.linear.size; more > 0 {
		if _, ok := i.mod.Memory().Grow(uint32(more / pageSize)); !ok {
			return fmt.Errorf("plugin %q: a memory of %d bytes can't be had", i.plugin.name, s.size)
		}
	}
	memory := i.linear.region[:i.linear.size]
	wipe(memory)
	s.fill(memory)
	for n, g := range i.globals {
		g.Set(s.globals[n])
	}
	i.keep(s)
	return nil
}

// keep makes s what the instance, which is in that state, is put back to.
func (i *instance) keep(s *snapshot) {
	i.state = s
	i.restorePart = func(from, to int) { s.restore(i.linear.region, from, to) }
	if !i.plugin.reuse && s.size > smallMemory {
		i.linear.watch()
	}
}

// warmUpError is a failed warm-up. It says nothing about other events, but an
// instance that trapped can't be used.
type warmUpError struct{ cause error }

func (e *warmUpError) Error() string { return fmt.Sprintf("warm-up: %v", e.cause) }
func (e *warmUpError) Unwrap() error { return e.cause }

// warmUp runs the event that every instance sees first. What the plugin answers
// does not count, but an instance that trapped is no use.
func (i *instance) warmUp() error {
	_, err := i.run(&event.Message{
		ID: "evt_warmup", Type: "weir.warmup", Source: "weir",
		Time: time.Unix(0, 0).UTC(), Received: time.Unix(0, 0).UTC(),
		ContentType: "application/json", Data: []byte("{}"),
	}, "")
	i.call.end()
	var e *Error
	switch {
	case !errors.As(err, &e):
		return err
	case !i.broken:
		return nil
	}
	return &warmUpError{err}
}

// instantiate makes the module's copy and runs its start section.
func (i *instance) instantiate() error {
	p := i.plugin
	i.clock.wall = time.Unix(0, 0)
	i.random.seed(p.info.SHA256)
	i.call.begin(stageInit, nil, "")
	i.spent = meterage{budget: DefaultInitFuel}
	var err error
	if i.linear, err = newLinearMemory(int(p.memory)); err != nil {
		return fmt.Errorf("plugin %q: %w", p.name, err)
	}
	config := wazero.NewModuleConfig().
		WithName(""). // any number of instances at once
		WithStartFunctions().
		WithStderr(&i.stderr).
		WithWalltime(i.clock.walltime, resolution).
		WithNanotime(i.clock.nanotime, resolution).
		WithNanosleep(i.clock.nanosleep).
		WithRandSource(&i.random)
	if p.stdio {
		config = config.WithStdin(&i.stdin).WithStdout(&i.stdout).WithArgs(p.name)
	}
	i.mod, err = p.build.runtime.InstantiateModule(experimental.WithMemoryAllocator(i.ctx, i.linear), p.build.compiled, config)
	if err != nil {
		err = i.initFault("start", err, nil)
		// The engine leaves nothing of the instance to read its fuel from.
		if e, ok := errors.AsType[*Error](err); ok && strings.Contains(e.Text, "unreachable") {
			e.Text += fmt.Sprintf(" (it trapped, or is out of fuel: a start section may use %d units)", int64(DefaultInitFuel))
		}
		return err
	}
	i.fuel = i.mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal)
	i.reserve = i.mod.ExportedGlobal(meter.ReserveGlobal).(api.MutableGlobal)
	i.stop = i.mod.ExportedGlobal(meter.StopGlobal).(api.MutableGlobal)
	for _, name := range p.build.globals {
		i.globals = append(i.globals, i.mod.ExportedGlobal(name).(api.MutableGlobal))
	}
	i.filter = i.mod.ExportedFunction(exportFilter)
	i.transform = i.mod.ExportedFunction(exportTransform)
	i.command = i.mod.ExportedFunction(exportCommand)
	return nil
}

// initialize runs all that comes between the start section and the first event.
func (i *instance) initialize() error {
	p := i.plugin
	start, _ := i.used()
	i.spent = meterage{budget: p.initFuel}
	i.setFuel(p.initFuel - start)
	if start > p.initFuel {
		return i.newError(ClassFuel, "start", i.outOfFuel("start"))
	}
	for _, name := range []string{"_initialize", exportInit} {
		f := i.mod.ExportedFunction(name)
		if f == nil {
			continue
		}
		i.watchdog.begin(i.stop, time.Now(), 10*p.deadline)
		err := f.CallWithStack(i.ctx, i.stack[:])
		reason := i.watchdog.end()
		if _, over := i.used(); err == nil && over {
			err = errFuel
		}
		if err != nil {
			return i.initFault(name, err, reason)
		}
		if name != exportInit {
			continue
		}
		switch code := int32(uint32(i.stack[0])); {
		case code < 0:
			return i.newError(ClassInit, exportInit, i.call.failure(exportInit, code))
		case code > 0:
			return i.newError(ClassInit, exportInit, fmt.Sprintf("%s returned %d, where 0 means fine", exportInit, code))
		}
	}
	return nil
}

// initFault is fault with a class that says when it happened, where the class
// would not say more.
func (i *instance) initFault(function string, err, reason error) error {
	err = i.fault(function, err, reason)
	var e *Error
	if errors.As(err, &e) && (e.Class == ClassTrap || e.Class == ClassExit) {
		e.Class = ClassInit
		e.Text = function + ": " + e.Text
	}
	return err
}

// run takes one message through the plugin's functions.
func (i *instance) run(m *event.Message, route string) (*Result, error) {
	i.uses++
	i.clock.wall = m.Received
	if i.state != nil && !i.plugin.reuse {
		i.clock.ticks = i.state.ticks
	}
	i.random.seed(m.ID)
	i.stderr.reset()
	c := &i.call
	c.begin(stageFilter, m, route)
	i.refuel(i.plugin.fuel + FuelPerByte*int64(len(m.Data)))
	i.watchdog.begin(i.stop, c.started, i.plugin.deadline)
	r := &Result{}
	var err error
	if i.plugin.stdio {
		err = i.runCommand(r)
	} else {
		err = i.runFunctions(r)
	}
	if reason := i.watchdog.end(); err == nil && reason != nil {
		// It ended by itself just then, and would trap at its next charge.
		i.broken = true
		err = i.ended(reason, c.stage.function())
	}
	if err != nil {
		return nil, err
	}
	r.Fuel, _ = i.used()
	r.Logs = c.logs
	r.Duration = time.Since(c.started)
	return r, nil
}

func (i *instance) runFunctions(r *Result) error {
	c := &i.call
	if i.plugin.info.Filter {
		code, err := i.invoke(i.filter, exportFilter)
		if err != nil {
			return err
		}
		switch code {
		case 0:
			r.Filter = Drop
		case 1:
			r.Filter = Keep
			r.only(c.input)
		default:
			return i.newError(ClassBadResult, exportFilter, fmt.Sprintf("%s returned %d: 1 means keep, 0 drop", exportFilter, code))
		}
	}
	if !i.plugin.info.Transform || r.Filter == Drop {
		return nil
	}
	c.stage = stageTransform
	code, err := i.invoke(i.transform, exportTransform)
	if err != nil {
		return err
	}
	if code > 2 {
		return i.newError(ClassBadResult, exportTransform, fmt.Sprintf("%s returned %d: 0 means the message as it stands, 1 none, 2 the emitted ones", exportTransform, code))
	}
	if code != 2 && len(c.results) > 0 {
		return i.newError(ClassBadResult, exportTransform, fmt.Sprintf("%s returned %d after emit: 2 means the emitted ones", exportTransform, code))
	}
	switch code {
	case 0:
		if c.changed {
			r.Transform = Changed
			r.only(c.copy())
		} else {
			r.Transform = Same
			r.only(c.input)
		}
	case 1:
		r.Transform, r.Messages = Dropped, nil
	case 2:
		r.Transform, r.Messages = Emitted, c.results
	}
	return nil
}

// invoke calls one export and turns every failure into an error.
func (i *instance) invoke(f api.Function, name string) (int32, error) {
	if err := i.enter(f, name); err != nil {
		return 0, err
	}
	code := int32(uint32(i.stack[0]))
	if code < 0 {
		return 0, i.newError(ClassPlugin, name, i.call.failure(name, code))
	}
	return code, nil
}

// enter runs guest code.
func (i *instance) enter(f api.Function, name string) error {
	err := f.CallWithStack(i.ctx, i.stack[:])
	if err == nil {
		if _, over := i.used(); !over {
			return nil
		}
		err = errFuel // the last of it was taken by the host
	}
	reason := i.watchdog.end()
	i.broken = true
	i.exit = nil
	errors.As(err, &i.exit)
	return i.fault(name, err, reason)
}

// fit puts the instance back after an event and reports whether it can be used
// for another.
func (i *instance) fit() bool {
	switch {
	case i.broken, i.plugin.build.volatile != "" && !i.plugin.reuse:
		return false
	case i.plugin.reuse:
		// A guest that grows is started anew before it meets its limit.
		grown := i.state != nil && int64(i.linear.size-i.state.size) > i.plugin.memory/2
		return i.uses < manyUses && !grown
	}
	return i.restore() == nil
}

// close frees the instance. An instance that is not closed stays in the
// runtime's list.
func (i *instance) close() {
	i.plugin.mu.Lock()
	delete(i.plugin.live, i)
	i.plugin.mu.Unlock()
	if i.mod != nil {
		if err := i.mod.Close(context.Background()); err != nil {
			i.plugin.logger.Warn("closing an instance failed", "error", err)
		}
	}
	if i.linear != nil {
		i.linear.Free()
	}
}
