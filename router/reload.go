package router

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/attempt/guard"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/store"
)

// setup is what a configuration became. It is replaced as a whole by a reload,
// and never changed.
type setup struct {
	config *config.Config
	loaded time.Time
	// sources by path; publisher is source events without its verify, because an
	// embedding program is no stranger. imagined makes events that are not sent.
	sources             map[string]*source.Source
	publisher, imagined *source.Source
	plugins             map[string]*loadedPlugin
	senders             map[string]attempt.Sender
	// keys open the HTTP side; nil where none is needed.
	keys *api.Keys
	// guard is for registered webhooks, and registered what routing knows of them.
	guard      *guard.Guard
	registered *routing.Webhooks
	// takesOwn: some route takes the router's own events.
	takesOwn bool
}

// source finds one by its name, nil where there is none.
func (s *setup) source(name string) *source.Source {
	for _, src := range s.sources {
		if src.Name() == name {
			return src
		}
	}
	return nil
}

// prepare makes a setup of c. It takes over from old what has not changed. When
// it fails, nothing of it is left, and old is as it was.
func (r *Router) prepare(ctx context.Context, c *config.Config, old *setup) (*setup, error) {
	s := &setup{config: c, loaded: time.Now().UTC(), sources: map[string]*source.Source{}, plugins: map[string]*loadedPlugin{}, senders: map[string]attempt.Sender{}, guard: guardOf(c), registered: &r.registered}
	s.takesOwn = slices.ContainsFunc(c.Routes, func(x *config.Route) bool { return slices.Contains(x.From, event.SourceWeir) })
	for _, x := range c.Sources {
		src, err := source.New(x)
		if err != nil {
			return nil, err
		}
		if old != nil {
			src.Inherit(old.source(x.Name))
		}
		s.sources[src.Path()] = src
		if x.Name == "events" {
			s.sources["/events"] = src
			trusted := *x
			trusted.Verify, trusted.DedupeSignature = config.Verify{Kind: "none"}, false
			if s.publisher, err = source.New(&trusted); err != nil {
				return nil, err
			}
			trusted.Rate = nil
			if s.imagined, err = source.New(&trusted); err != nil {
				return nil, err
			}
		}
	}
	if r.inspect {
		return s, nil
	}
	if s.keys = api.NewKeys(c.Server.Keys); r.keepsKeys(c) {
		s.keys = old.keys
	}
	if err := r.loadPlugins(ctx, s, old); err != nil {
		return nil, errors.Join(err, s.discard(old))
	}
	for _, d := range c.Destinations {
		if d.Kind == "pull" {
			continue // its receiver comes by itself
		}
		if was := old.destination(d.Name); was != nil && sameDestination(was, d) {
			s.senders[d.Name] = old.senders[d.Name]
			continue
		}
		sender, err := attempt.Open(d, attempt.Options{Stdout: r.stdout})
		if err != nil {
			return nil, errors.Join(err, s.discard(old))
		}
		s.senders[d.Name] = sender
	}
	return s, nil
}

func (s *setup) plugin(name string) *config.Plugin {
	if s == nil {
		return nil
	}
	return s.config.Plugin(name)
}

func (s *setup) destination(name string) *config.Destination {
	if s == nil {
		return nil
	}
	return s.config.Destination(name)
}

// discard closes what s has and keep does not.
func (s *setup) discard(keep *setup) error {
	var errs []error
	for name, p := range s.plugins {
		if keep == nil || keep.plugins[name] != p {
			errs = append(errs, p.close(context.Background()))
		}
	}
	for name, sender := range s.senders {
		if keep == nil || keep.senders[name] != sender {
			errs = append(errs, sender.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *setup) table() *routing.Table {
	loaded := map[string]routing.Loaded{}
	for name, p := range s.plugins {
		loaded[name] = p.loaded()
	}
	return routing.NewTable(s.config, loaded).WithWebhooks(s.registered)
}

// Reload takes over another configuration without losing an event or stopping a
// stream: an event is routed whole by the old one or by the new one. What can't
// change while the router runs (the server's addresses, store, log) is told as needs_restart. A
// destination that is gone keeps its lane, and nothing is sent to it; while
// something waits there, Reload refuses with a problem unless orphan is set. When
// it returns an error the old configuration goes on.
func (r *Router) Reload(ctx context.Context, c *config.Config, orphan bool) (*api.Reloaded, error) {
	done, err := r.takeOver(ctx, c, orphan)
	r.noteReload(err)
	return done, err
}

// ReloadFiles reads the configuration again, by Options.Load, and takes it over as
// Reload does.
func (r *Router) ReloadFiles(ctx context.Context, orphan bool) (*api.Reloaded, error) {
	if r.loader == nil || r.inspect {
		return nil, problem.New(http.StatusConflict, "not_reloadable", "this router does not run from files that could be read again")
	}
	c, err := r.loader()
	if err != nil {
		r.noteReload(err)
		return nil, err
	}
	return r.Reload(ctx, c, orphan)
}

// noteReload keeps how the last reload ended, for who asks.
func (r *Router) noteReload(err error) {
	last := &api.LastReload{Time: time.Now().UTC(), Result: "applied"}
	if err != nil {
		last.Result, last.Reason = "refused", err.Error()
		var p *problem.Problem
		if errors.As(err, &p) {
			last.Reason = p.Detail
		}
	}
	r.lastReload.Store(last)
	r.metrics.Reloaded(err == nil)
}

func (r *Router) takeOver(ctx context.Context, c *config.Config, orphan bool) (*api.Reloaded, error) {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("reload: the router is closed: %w", store.ErrClosed)
	}
	old := r.setup.Load()
	changes, err := r.changes(ctx, old.config, c)
	if err != nil {
		return nil, err
	}
	if !orphan {
		if err := refuseOrphans(changes); err != nil {
			return nil, err
		}
	}
	s, err := r.prepare(ctx, c, old)
	if err != nil {
		return nil, problem.New(http.StatusUnprocessableEntity, "config_rejected", "%v", err)
	}
	var added []string
	refuse := func(err error) (*api.Reloaded, error) {
		for _, name := range added {
			r.lanes.Idle(name, nil)
		}
		return nil, errors.Join(err, s.discard(old))
	}
	// New lanes first, so that what the new routes post finds them; those that are
	// gone last, when no route posts to them any more.
	for _, d := range c.Destinations {
		if r.lanes.Known(d.Name) {
			continue
		}
		if err := r.lanes.Add(ctx, d.Name, r.policyOf(d), r.replying(d, r.send(d.Name, s.senders[d.Name]))); err != nil {
			return refuse(err)
		}
		added = append(added, d.Name)
	}
	if err := r.archive.Prepare(ctx, c); err != nil {
		return refuse(err)
	}
	// The last thing that can fail: it records the configuration before the first
	// event is routed by it.
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	if err := r.reader.Swap(waiting, s.table(), func(last uint64) error { return r.archive.Begin(ctx, c, last) }); err != nil {
		return refuse(err)
	}
	r.setup.Store(s)
	r.running(s)
	for _, d := range c.Destinations {
		if s.senders[d.Name] == old.senders[d.Name] && old.destination(d.Name) != nil {
			continue
		}
		if err := r.lanes.Put(d.Name, r.policyOf(d), r.replying(d, r.send(d.Name, s.senders[d.Name])), r.freeing(old, d.Name)); err != nil {
			return nil, err // the configuration was checked: this can't be
		}
	}
	for _, d := range old.config.Destinations {
		if c.Destination(d.Name) == nil {
			r.lanes.Idle(d.Name, r.freeing(old, d.Name))
		}
	}
	r.states.forget()
	r.webhooks.reconfigure(old.config, c)
	for name, p := range old.plugins {
		if s.plugins[name] != p {
			if err := p.close(ctx); err != nil {
				r.log.Warn("an old build of a plugin did not close well", "plugin", name, "error", err)
			}
		}
	}
	r.log.Info("configuration reloaded", "config", c.Hash[:12], "sources", len(c.Sources), "routes", len(c.Routes),
		"destinations", len(c.Destinations), "plugins", len(c.Plugins))
	if blocks := needRestart(changes); len(blocks) > 0 {
		r.log.Warn("what has changed in these blocks comes with a restart only", "blocks", strings.Join(blocks, ", "))
	}
	return &api.Reloaded{Config: c.Hash, Changes: changes}, nil
}

func needRestart(changes []api.Change) []string {
	var blocks []string
	for _, c := range changes {
		if c.Result == "needs_restart" {
			blocks = append(blocks, c.Block)
		}
	}
	return blocks
}

// freeing closes the sender that a destination had, nil where it had none.
func (r *Router) freeing(old *setup, name string) func() {
	sender := old.senders[name]
	if sender == nil { // also of a pull destination
		return nil
	}
	return func() {
		if err := sender.Close(); err != nil {
			r.log.Warn("an old destination did not close well", "destination", name, "error", err)
		}
	}
}

func (r *Router) policyOf(d *config.Destination) lane.Policy {
	p := lane.Policy{
		Schedule: d.Schedule, Jitter: d.Jitter, Concurrency: d.Concurrency,
		Breaker:      lane.Breaker{Failures: d.Lane.BreakerFailures, Cooldown: d.Lane.BreakerCooldown},
		DisableAfter: d.Lane.DisableAfter, MaxAge: r.maxAge(d),
	}
	p.Pull = d.Kind == "pull"
	switch by := d.Lane.OrderBy; {
	case d.Lane.OrderAll:
		p.Order = &lane.Order{Whole: true}
	case by != nil:
		p.Order = &lane.Order{Key: func(m *event.Message) (string, bool) {
			key, err := by.String(expr.NewInput(m))
			return key, err == nil
		}}
	}
	if rate := d.Lane.Rate; rate.Count > 0 {
		p.Rate = float64(rate.Count) / rate.Per.Seconds()
		// What 20 ms let pass at once, so that timers need not be that exact.
		p.Burst = max(1, int(p.Rate/50))
	}
	return p
}

func refuseOrphans(changes []api.Change) error {
	text := ""
	for _, c := range changes {
		if c.Waiting > 0 {
			what := "deliveries wait"
			if c.Waiting == 1 {
				what = "delivery waits"
			}
			text += fmt.Sprintf("%d %s for %s, which would be gone. ", c.Waiting, what, c.Block)
		}
	}
	if text == "" {
		return nil
	}
	return problem.New(http.StatusConflict, "would_orphan", "%sThey stay in the store and go on when its name returns; reload with --orphan to go on.", text)
}

// changes says of every block what a reload from a to b does.
func (r *Router) changes(ctx context.Context, a, b *config.Config) ([]api.Change, error) {
	var out []api.Change
	fixed := func(block string, same bool) {
		result := "unchanged"
		if !same {
			result = "needs_restart"
		}
		out = append(out, api.Change{Block: block, Result: result})
	}
	// These are still as they were at the start.
	out = append(out, api.Change{Block: "server", Result: r.serverChange(a, b)})
	fixed("store", r.config.Store == b.Store)
	fixed("log", r.config.Log == b.Log)
	fixed("metrics", r.config.Metrics == b.Metrics)
	fixed("tracing", reflect.DeepEqual(r.config.Tracing, b.Tracing))
	out = append(out, compare("source", a.Sources, b.Sources, func(x *config.Source) string { return x.Name }, sameSource)...)
	out = append(out, compare("plugin", a.Plugins, b.Plugins, func(x *config.Plugin) string { return x.Name }, samePlugin)...)
	lanes := compare("destination", a.Destinations, b.Destinations, func(x *config.Destination) string { return x.Name }, sameDestination)
	for i := range lanes {
		if lanes[i].Result != "removed" {
			continue
		}
		l, err := r.store.Lane(ctx, lanes[i].Block[len("destination."):])
		if err != nil {
			return nil, err
		}
		lanes[i].Waiting = l.Counts.Waiting + l.Counts.Retrying
	}
	out = append(out, lanes...)
	out = append(out, compare("route", a.Routes, b.Routes, func(x *config.Route) string { return x.Name }, sameRoute)...)
	switch none := (hcl.Range{}); {
	case !sameWebhooks(&a.Webhooks, &b.Webhooks):
		out = append(out, api.Change{Block: "webhooks", Result: "applied"})
	case b.Webhooks.Range != none:
		out = append(out, api.Change{Block: "webhooks", Result: "unchanged"})
	}
	return out, nil
}

// serverChange says what becomes of the server block: who may ask is taken over,
// where the router listens is not.
func (r *Router) serverChange(a, b *config.Config) string {
	running, now := r.config.Server, b.Server
	for _, s := range []*config.Server{&running, &now} {
		s.Keys, s.PublicURL = nil, ""
		if s.TLS != nil {
			s.TLS = &config.TLS{} // the certificate is taken over
		}
	}
	switch {
	case !reflect.DeepEqual(running, now) || r.keepsKeys(b):
		return "needs_restart"
	case !reflect.DeepEqual(a.Server, b.Server):
		return "applied"
	}
	return "unchanged"
}

// keepsKeys says whether the tokens that run stay: without any, the address that
// the router listens on would be open to everybody.
func (r *Router) keepsKeys(c *config.Config) bool {
	running := &r.config.Server
	return len(c.Server.Keys) == 0 && len(running.Keys) > 0 && running.Exposed() && !running.Insecure
}

// compare says what became of each block of one type, in order of name.
func compare[T any](kind string, a, b []*T, name func(*T) string, same func(a, b *T) bool) []api.Change {
	was := map[string]*T{}
	for _, x := range a {
		was[name(x)] = x
	}
	var out []api.Change
	for _, x := range b {
		result := "applied"
		if old := was[name(x)]; old != nil && same(old, x) {
			result = "unchanged"
		}
		delete(was, name(x))
		out = append(out, api.Change{Block: kind + "." + name(x), Result: result})
	}
	for n := range was {
		out = append(out, api.Change{Block: kind + "." + n, Result: "removed"})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Block < out[j].Block })
	return out
}

// sameDestination compares two blocks but for the place where they are written,
// as its siblings below do.
func sameDestination(a, b *config.Destination) bool {
	x, y := *a, *b
	x.Range, y.Range = hcl.Range{}, hcl.Range{}
	return reflect.DeepEqual(x, y)
}

func sameWebhooks(a, b *config.Webhooks) bool {
	x, y := *a, *b
	x.Range, y.Range, x.Plugins, y.Plugins = hcl.Range{}, hcl.Range{}, nil, nil
	x.Destination.Range, y.Destination.Range = hcl.Range{}, hcl.Range{}
	return reflect.DeepEqual(x, y) && slices.EqualFunc(a.Plugins, b.Plugins, func(a, b *config.Plugin) bool { return a.Name == b.Name })
}

func samePlugin(a, b *config.Plugin) bool {
	x, y := *a, *b
	x.Range, y.Range = hcl.Range{}, hcl.Range{}
	x.Wasm, y.Wasm = nil, nil // their digests are there
	x.Shadow, y.Shadow = nil, nil
	return (a.Shadow == nil) == (b.Shadow == nil) && (a.Shadow == nil || a.Shadow.SHA256 == b.Shadow.SHA256) &&
		reflect.DeepEqual(x, y)
}

func sameSource(a, b *config.Source) bool {
	if !sameText(a.Type, b.Type) || !sameText(a.ID, b.ID) || !sameText(a.Subject, b.Subject) {
		return false
	}
	x, y := *a, *b
	x.Range, y.Range = hcl.Range{}, hcl.Range{}
	x.Type, x.ID, x.Subject = nil, nil, nil
	y.Type, y.ID, y.Subject = nil, nil, nil
	return reflect.DeepEqual(x, y)
}

func sameRoute(a, b *config.Route) bool {
	if !sameText(a.When, b.When) || len(a.Through) != len(b.Through) || len(a.To) != len(b.To) {
		return false
	}
	for i := range a.Through {
		if a.Through[i].Name != b.Through[i].Name {
			return false
		}
	}
	for i := range a.To {
		if a.To[i].Name != b.To[i].Name {
			return false
		}
	}
	return a.Name == b.Name && a.Fallback == b.Fallback && reflect.DeepEqual(a.From, b.From) && reflect.DeepEqual(a.Events, b.Events)
}

func sameText(a, b *expr.Program) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Source() == b.Source()
}
