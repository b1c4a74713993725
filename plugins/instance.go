package plugins

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/weirhq/weir/router/event"
)

// instance is one copy of a module with its memory. It belongs to one goroutine
// at a time.
type instance struct {
	plugin *Plugin
	mod    api.Module
	ctx    context.Context // carries the instance to the imports
	call   *call           // what is going on; never nil while guest code runs
	stderr tail
	clock  clock
	random random
	// started are the lines that were logged before the first event.
	started []Log
}

type instanceKey struct{}

// instanceOf returns the instance whose guest called an import.
func instanceOf(ctx context.Context) *instance { return ctx.Value(instanceKey{}).(*instance) }

// newInstance makes an instance, runs _initialize and weir_init, and warms it up
// where the plugin bears that. On an error nothing is left behind.
func (p *Plugin) newInstance(ctx context.Context, warm bool) (*instance, error) {
	i := &instance{plugin: p, call: newCall(stageInit, nil, "")}
	i.ctx = context.WithValue(p.ctx, instanceKey{}, i)
	i.clock.wall = time.Unix(0, 0)
	i.random.seed(p.info.SHA256)
	if err := i.start(ctx); err != nil {
		i.close()
		return nil, err
	}
	i.started = i.call.logs
	if warm {
		if err := i.warmUp(ctx); err != nil {
			i.close()
			return nil, err
		}
	}
	return i, nil
}

// warmUpError is a failed warm-up. It says nothing about other events, but an
// instance that trapped can't be used.
type warmUpError struct{ cause error }

func (e *warmUpError) Error() string { return fmt.Sprintf("warm-up: %v", e.cause) }
func (e *warmUpError) Unwrap() error { return e.cause }

// warmUp runs the event that every instance sees first. What the plugin answers
// does not count, but an instance that trapped is no use.
func (i *instance) warmUp(ctx context.Context) error {
	_, err := i.run(ctx, &event.Message{
		ID: "evt_warmup", Type: "weir.warmup", Source: "weir",
		Time: time.Unix(0, 0).UTC(), Received: time.Unix(0, 0).UTC(),
		ContentType: "application/json", Data: []byte("{}"),
	}, "")
	var e *Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Class == ClassPlugin, e.Class == ClassBadResult:
		return nil
	}
	return &warmUpError{err}
}

// start instantiates the module and runs all that comes before the first event.
func (i *instance) start(ctx context.Context) error {
	// As fuel: ten times as much for the start as for a call.
	deadline := 10 * i.plugin.deadline
	limited, cancel := i.limit(ctx, deadline)
	defer cancel()
	mod, err := i.plugin.runtime.InstantiateModule(limited, i.plugin.compiled, wazero.NewModuleConfig().
		WithName(""). // any number of instances at once
		WithStartFunctions().
		WithStderr(&i.stderr).
		WithWalltime(i.clock.walltime, resolution).
		WithNanotime(i.clock.nanotime, resolution).
		WithNanosleep(i.clock.nanosleep).
		WithRandSource(&i.random))
	if err != nil {
		return i.initFault(ctx, limited, "start", err, deadline)
	}
	i.mod = mod
	if f := mod.ExportedFunction("_initialize"); f != nil {
		if _, err := f.Call(limited); err != nil {
			return i.initFault(ctx, limited, "_initialize", err, deadline)
		}
	}
	f := mod.ExportedFunction(exportInit)
	if f == nil {
		return nil
	}
	results, err := f.Call(limited)
	if err != nil {
		return i.initFault(ctx, limited, exportInit, err, deadline)
	}
	switch code := int32(results[0]); {
	case code < 0:
		return i.newError(ClassInit, exportInit, i.call.failure(exportInit, code))
	case code > 0:
		return i.newError(ClassInit, exportInit, fmt.Sprintf("%s returned %d, where 0 means fine", exportInit, code))
	}
	return nil
}

// initFault is fault with a class that says when it happened, where the class
// would not say more.
func (i *instance) initFault(ctx, limited context.Context, function string, err error, deadline time.Duration) error {
	err = i.fault(ctx, limited, function, err, deadline)
	var e *Error
	if errors.As(err, &e) && (e.Class == ClassTrap || e.Class == ClassExit) {
		e.Class = ClassInit
		e.Text = function + ": " + e.Text
	}
	return err
}

// limit returns a context for calls of the guest that ends with ctx, with the
// plugin, or after d.
func (i *instance) limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	limited, cancel := context.WithTimeout(i.ctx, d)
	stop := context.AfterFunc(ctx, cancel)
	return limited, func() {
		stop()
		cancel()
	}
}

// run takes one message through the plugin's functions.
func (i *instance) run(ctx context.Context, m *event.Message, route string) (*Result, error) {
	i.clock.wall = m.Received
	i.random.seed(m.ID)
	i.stderr.reset()
	c := newCall(stageFilter, m, route)
	i.call = c
	limited, cancel := i.limit(ctx, i.plugin.deadline)
	defer cancel()
	r := &Result{}
	if i.plugin.info.Filter {
		code, err := i.invoke(ctx, limited, exportFilter)
		if err != nil {
			return nil, err
		}
		switch code {
		case 0:
			r.Filter = Drop
		case 1:
			r.Filter = Keep
			r.Messages = []*event.Message{m}
		default:
			return nil, i.newError(ClassBadResult, exportFilter, fmt.Sprintf("%s returned %d: 1 means keep, 0 drop", exportFilter, code))
		}
	}
	if i.plugin.info.Transform && r.Filter != Drop {
		c.stage = stageTransform
		code, err := i.invoke(ctx, limited, exportTransform)
		if err != nil {
			return nil, err
		}
		if code > 2 {
			return nil, i.newError(ClassBadResult, exportTransform, fmt.Sprintf("%s returned %d: 0 means the message as it stands, 1 none, 2 the emitted ones", exportTransform, code))
		}
		if code != 2 && len(c.results) > 0 {
			return nil, i.newError(ClassBadResult, exportTransform, fmt.Sprintf("%s returned %d after emit: 2 means the emitted ones", exportTransform, code))
		}
		switch code {
		case 0:
			r.Transform, r.Messages = Same, []*event.Message{m}
			if c.changed {
				r.Transform, r.Messages = Changed, []*event.Message{c.copy()}
			}
		case 1:
			r.Transform, r.Messages = Dropped, nil
		case 2:
			r.Transform, r.Messages = Emitted, c.results
		}
	}
	r.Logs = c.logs
	r.Duration = time.Since(c.started)
	return r, nil
}

// invoke calls one export and turns every failure into an error.
func (i *instance) invoke(ctx, limited context.Context, function string) (int32, error) {
	results, err := i.mod.ExportedFunction(function).Call(limited)
	if err != nil {
		return 0, i.fault(ctx, limited, function, err, i.plugin.deadline)
	}
	code := int32(results[0])
	if code < 0 {
		return 0, i.newError(ClassPlugin, function, i.call.failure(function, code))
	}
	return code, nil
}

// close frees the instance. An instance that is not closed stays in the
// runtime's list.
func (i *instance) close() {
	if i.mod == nil {
		return
	}
	if err := i.mod.Close(context.Background()); err != nil {
		i.plugin.logger.Warn("closing an instance failed", "error", err)
	}
}
