package router

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/tracing"
)

// loadedPlugin is a plugin block as it runs.
type loadedPlugin struct {
	plugin *plugins.Plugin
	shadow *plugins.Shadow // nil where the block has none
	hold   *routing.Hold
}

func (l *loadedPlugin) close(ctx context.Context) error {
	var errs []error
	if l.shadow != nil {
		errs = append(errs, l.shadow.Close(ctx))
	}
	return errors.Join(append(errs, l.plugin.Close(ctx))...)
}

// loaded is what the routes need of it.
func (l *loadedPlugin) loaded() routing.Loaded {
	r := routing.Loaded{Plugin: l.plugin, Hold: l.hold}
	if l.shadow != nil {
		r.Shadow = l.shadow
	}
	return r
}

// slowLoading is when an operator is told how far the loading of plugins is.
const slowLoading = time.Second

// loadPlugins loads the plugins of s, but for those that old has, as many at once
// as there are cores. The error is that of the first block that has one.
func (r *Router) loadPlugins(ctx context.Context, s, old *setup) error {
	var missing []*config.Plugin
	for _, p := range s.config.Plugins {
		if was := old.plugin(p.Name); was != nil && samePlugin(was, p) {
			s.plugins[p.Name] = old.plugins[p.Name]
		} else {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var done atomic.Int64
	r.compiling(0, len(missing))
	telling := make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() { r.tellLoading(len(missing), &done, telling) })
	loaded := make([]*loadedPlugin, len(missing))
	errs := make([]error, len(missing))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	for i, p := range missing {
		slots <- struct{}{}
		workers.Go(func() {
			defer func() { <-slots }()
			loaded[i], errs[i] = r.loadPlugin(ctx, p)
			if errs[i] == nil {
				errs[i] = worse(old, loaded[i], p)
			}
			r.compiling(int(done.Add(1)), len(missing))
		})
	}
	workers.Wait()
	close(telling)
	teller.Wait()
	for i, l := range loaded {
		if l != nil {
			s.plugins[missing[i].Name] = l
		}
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// worse is an error where a build fails on the warm-up event and the one that runs
// under its name does not: then the new one is broken, and not just a plugin that
// makes nothing of an empty event.
func worse(old *setup, is *loadedPlugin, p *config.Plugin) error {
	if old == nil {
		return nil
	}
	was := old.plugins[p.Name]
	if was == nil || was.plugin.Trial() != nil || is.plugin.Trial() == nil {
		return nil
	}
	return fmt.Errorf("plugin %s (%s): the new build fails where the one that runs does not: %w", p.Name, p.Path, is.plugin.Trial())
}

// compiling tells who asks a router that is not open.
func (r *Router) compiling(done, all int) {
	r.begin(fmt.Sprintf("plugins are being compiled, %d of %d are", done, all), done, all)
}

// tellLoading logs how far the loading is, once it takes long. Who is told of the
// start needs no log of it.
func (r *Router) tellLoading(all int, done *atomic.Int64, over <-chan struct{}) {
	if r.starting != nil && !r.opened.Load() {
		return
	}
	tick := time.NewTicker(slowLoading)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.log.Info("compiling plugins", "done", done.Load(), "of", all)
		case <-over:
			return
		}
	}
}

func (r *Router) loadPlugin(ctx context.Context, p *config.Plugin) (*loadedPlugin, error) {
	plugin, err := r.host.Load(ctx, routing.Spec(p))
	if err != nil {
		return nil, fmt.Errorf("plugin %s (%s): %w", p.Name, p.Path, err)
	}
	if why := plugin.Volatile(); why != "" && p.Isolation != string(plugins.Reuse) {
		r.log.Warn("each event gets an instance of its own, which is slow, since the plugin's state can't be put back", "plugin", p.Name, "why", why)
	}
	l := &loadedPlugin{plugin: plugin, hold: &routing.Hold{Changed: func(fault error) {
		if fault == nil {
			r.log.Info("the plugin works again", "plugin", p.Name)
			return
		}
		r.log.Error("the plugin is held: it failed many times in a row; its routes' events wait, and it is tried again from time to time",
			"plugin", p.Name, "build", plugin.Build(), "error", fault)
		r.lanes.Tell(r.ownEvent(toldHeld, "", p.Name, "", time.Now(), toldPlugin{Plugin: p.Name, Build: plugin.Build(), Error: fault.Error()}, tracing.Delivery{}))
	}}}
	if p.Shadow == nil {
		return l, nil
	}
	shadow, err := r.host.Load(ctx, routing.ShadowSpec(p))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("shadow of plugin %s (%s): %w", p.Name, p.Shadow.Path, err), plugin.Close(ctx))
	}
	l.shadow = plugins.NewShadow(shadow)
	return l, nil
}

// pluginStatus says of each plugin block what its build did.
func (s *setup) pluginStatus() []api.Plugin {
	list := make([]api.Plugin, 0, len(s.config.Plugins))
	for _, p := range s.config.Plugins {
		status := api.Plugin{
			Name: p.Name, Wasm: p.Path, Build: p.SHA256, Status: "not_loaded", Isolation: p.Isolation, OnError: string(p.OnError),
			Routes: []string{}, Filters: map[string]uint64{}, Transforms: map[string]uint64{}, Errors: map[string]uint64{},
		}
		for _, r := range s.config.Routes {
			if slices.ContainsFunc(r.Through, func(through *config.Plugin) bool { return through.Name == p.Name }) {
				status.Routes = append(status.Routes, r.Name)
			}
		}
		status.Webhooks = slices.ContainsFunc(s.config.Webhooks.Plugins, func(allowed *config.Plugin) bool { return allowed.Name == p.Name })
		if l := s.plugins[p.Name]; l != nil {
			l.tell(&status)
		}
		list = append(list, status)
	}
	return list
}

// tell fills in what a loaded plugin did.
func (l *loadedPlugin) tell(status *api.Plugin) {
	stats := l.plugin.Stats()
	status.Status, status.Kind = "active", string(l.plugin.Info().Kind)
	status.Since, status.Calls, status.Fuel = &stats.Since, stats.Calls, stats.Fuel
	status.Instances, status.Memory, status.Slow = stats.Instances, stats.Memory, l.plugin.Volatile()
	for verdict, n := range stats.Filters {
		status.Filters[string(verdict)] = n
	}
	for verdict, n := range stats.Transforms {
		status.Transforms[string(verdict)] = n
	}
	for class, n := range stats.Errors {
		status.Errors[string(class)] = n
	}
	if stats.Calls > 0 {
		status.MeanMS = float64(stats.Duration) / float64(stats.Calls) / float64(time.Millisecond)
	}
	if held, ok := l.hold.Held(); ok {
		status.Status = "held"
		status.Held = &api.PluginHeld{Fault: held.Fault, Since: held.Since.UTC(), Until: held.Until.UTC(), TurnedAway: held.TurnedAway}
	}
	if l.shadow != nil {
		seen := l.shadow.Stats()
		status.Shadow = &seen
	}
}
