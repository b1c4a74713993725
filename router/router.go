// Package router is Weir's engine: it takes events in, stores each durably,
// matches it against routes, passes it through plugins and delivers it, each
// destination behind its own queue. The program weir is a thin shell around it;
// another Go program can embed it, see the example of [New].
//
// An event's whole way is engine.Accept (ingest), routing.Reader (routes and
// plugins), lane.Set (queues and retries) and attempt.Sender (one try); New wires
// them.
package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/archive"
	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/metrics"
	"github.com/weirhq/weir/router/replay"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
	"github.com/weirhq/weir/router/stream"
	"github.com/weirhq/weir/router/tracing"
	"github.com/weirhq/weir/router/webhook"
)

// Options of a router. The zero value is that of a quiet embedded one.
type Options struct {
	// Logger gets one line per thing that an operator acts on. Nil: none.
	Logger hclog.Logger
	// CacheDir keeps compiled plugins between starts. Empty: they are compiled at
	// each start.
	CacheDir string
	// Stdout is where destinations with the URL "stdout:" write. Nil: os.Stdout.
	Stdout io.Writer
	// Inspect opens the store for questions only: no plugin is loaded but to
	// explain what it did, and nothing is routed or sent until another router
	// opens it.
	Inspect bool
	// Load reads the configuration again, for POST /api/reload. Nil: it is refused
	// there, and only [Router.Reload] reloads. Its error should be a
	// [*problem.Problem] that says what is wrong.
	Load func() (*config.Config, error)
	// Starting is told what Open is doing, and of the plugins how many of all are
	// compiled; all is 0 for what has no parts. Several goroutines call it, and wait
	// for it. Nil: the log says how far the plugins are, once that takes long.
	Starting func(what string, done, all int)
}

// Router is a running router. Its methods may be called from any goroutine.
type Router struct {
	// config is the one that the router was started with; see setup for the one
	// that runs.
	config  *config.Config
	log     hclog.Logger
	inspect bool
	store   store.Store
	// space is the free space of its disk, and that below which it refuses events.
	space func() (free, least int64, err error)
	host  *plugins.Host
	// cacheDir is for the host, past has tables of configurations that do not run.
	cacheDir string
	past     *past
	// archive keeps the configurations that routed what is stored, encrypted with
	// keys, which are nil where there is none.
	archive *archive.Archive
	keys    *webhook.Keyring
	tracer  *tracing.Tracer // nil where nothing is traced
	stdout  io.Writer
	loader  func() (*config.Config, error)
	// starting is [Options.Starting], or nil.
	starting func(what string, done, all int)
	lanes    *lane.Set
	reader   *routing.Reader
	replays  *replay.Set
	health   health
	// conditions tells of those that could not be evaluated.
	conditions conditions

	listeners listeners
	stream    *stream.Hub
	metrics   *metrics.Metrics
	// tally counts what sources take and refuse, outcomes is for producers that
	// wait for what becomes of their events.
	tally    source.Tally
	outcomes outcomes
	// backlog knows how old what waits is, where many lanes wait.
	backlog backlog
	// states knows in which state lanes are, where they are many.
	states laneStates
	// registered is what routing knows of the webhooks.
	registered routing.Webhooks
	webhooks   *webhooks
	book       *stats.Book

	setup      atomic.Pointer[setup]
	lastReload atomic.Pointer[api.LastReload] // nil: there was none
	reloading  sync.Mutex
	// life ends when Close begins, so that a reload does not wait then.
	life    context.Context
	endLife context.CancelFunc

	stopReader context.CancelFunc
	owned      sync.WaitGroup // the reader, retention and the HTTP server

	mu sync.Mutex
	// front is what server.listen answers, back what server.admin does, where it is
	// another address.
	front, back door
	closed      bool
	ended       chan struct{} // closed when Close is through
	closeErr    error

	// opening is held by Open. Until opened is set, only what Make has made may be
	// used; early are the tokens then, and phase says what is being done.
	opening sync.Mutex
	opened  atomic.Bool
	early   *api.Keys
	phase   atomic.Pointer[string]
}

// New opens the store, compiles the plugins and starts to route and deliver what
// the store holds. Close ends it.
func New(ctx context.Context, c *config.Config, o Options) (*Router, error) {
	r := Make(c, o)
	if err := r.Open(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Make is the first half of New, and [Router.Open] the second, for a program whose
// addresses are to answer in between: what [Router.Serve] serves says of a router
// that is not open that it is not ready, and why, and asks for all else to be sent
// again later. Other methods than Serve, ServeAdmin, Handler, AdminHandler, Ready and
// Close are for a router that is open. Close ends it in either state.
func Make(c *config.Config, o Options) *Router {
	r := &Router{
		config: c, log: o.Logger, inspect: o.Inspect, stdout: o.Stdout, cacheDir: o.CacheDir, loader: o.Load, starting: o.Starting,
		stream: stream.NewHub(nil), ended: make(chan struct{}), early: api.NewKeys(c.Server.Keys),
	}
	if r.log == nil {
		r.log = hclog.NewNullLogger()
	}
	r.health.log = r.log
	r.metrics = r.newMetrics()
	r.past = newPast()
	r.life, r.endLife = context.WithCancel(context.Background())
	r.begin("the router is starting", 0, 0)
	return r
}

// Open opens the store, compiles the plugins and starts to route and deliver what the
// store holds. It is called once. After an error, also when Close came meanwhile,
// nothing is open any more.
func (r *Router) Open(ctx context.Context) error {
	if err := r.tryOpen(ctx); err != nil {
		return errors.Join(err, r.Close(context.Background()))
	}
	return nil
}

func (r *Router) tryOpen(ctx context.Context) error {
	r.opening.Lock()
	defer r.opening.Unlock()
	if err := r.life.Err(); err != nil {
		return fmt.Errorf("the router was closed: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(r.life, cancel)
	if err := r.open(ctx, Options{Inspect: r.inspect, CacheDir: r.cacheDir}); err != nil {
		cancel()
		return err
	}
	if !stop() {
		return errors.New("the router was closed while it was being opened")
	}
	r.opened.Store(true)
	return nil
}

// begin tells what the router does before it is open, and how much of all is done,
// where that has parts.
func (r *Router) begin(phase string, done, all int) {
	r.phase.Store(&phase)
	if r.starting != nil && !r.opened.Load() {
		r.starting(phase, done, all)
	}
}

// open wires an event's way, from the end to the beginning, so that each part
// finds the next one ready.
func (r *Router) open(ctx context.Context, o Options) error {
	c := r.config
	r.begin("the store is being opened, and recovers where it was not closed", 0, 0)
	st, err := badger.Open(ctx, badger.Options{
		Path: c.Store.Path, Retention: c.Store.Retention, MaxAge: c.Store.MaxAge, MinFree: c.Store.MinFree,
		Logger: r.log.Named("store"), Synced: r.metrics.Synced, Aged: r.aged,
	})
	if err != nil {
		return fmt.Errorf("open the store at %s: %w", c.Store.Path, err)
	}
	r.store, r.space = st, st.Space
	if r.book, err = stats.Open(ctx, st, stats.Options{Logger: r.log.Named("stats")}); err != nil {
		return err
	}

	if err := r.openArchive(ctx, c); err != nil {
		return err
	}

	if !o.Inspect {
		if r.tracer, err = tracing.Open(ctx, c.Tracing, strings.TrimPrefix(attempt.UserAgent, "Weir/"), r.log.Named("tracing")); err != nil {
			return err
		}
		r.host, err = plugins.NewHost(ctx, plugins.Options{CacheDir: o.CacheDir, Logger: r.log.Named("plugin")})
		if err != nil {
			return fmt.Errorf("start the plugin host: %w", err)
		}
	}
	current, err := r.prepare(ctx, c, nil)
	if err != nil {
		return err
	}
	r.setup.Store(current)
	if err := r.listeners.open(ctx, st); err != nil {
		return fmt.Errorf("read the listeners: %w", err)
	}
	r.running(current)
	r.reader = routing.NewReader(st, current.table(), r.log.Named("routing"), taker{r}, ledger{r.book})
	r.lanes = lane.NewSet(counted{st, r.book, r.countByHand}, lane.Options{Logger: r.log.Named("delivery"), Observer: r.observe, Notify: r.notify})
	if err := r.openReplays(ctx); err != nil {
		return err
	}
	if err := r.openWebhooks(ctx, c); err != nil || o.Inspect {
		return err
	}
	for _, d := range c.Destinations {
		if err := r.lanes.Add(ctx, d.Name, r.policyOf(d), r.replying(d, r.send(d.Name, current.senders[d.Name]))); err != nil {
			return err
		}
	}
	// The run by the reader was the first of the schedule.
	again := lane.Policy{Schedule: routing.HostFaults[1:], Jitter: 0.1, Concurrency: 2, Dead: store.ReasonRouting}
	if err := r.lanes.Add(ctx, store.RoutingLane, again, r.routeAgain); err != nil {
		return err
	}
	if err := r.addOrphans(ctx); err != nil {
		return err
	}
	if err := r.resume(ctx, c); err != nil {
		return err
	}
	r.lanes.Start()

	readerCtx, stop := context.WithCancel(context.Background())
	r.stopReader = stop
	r.owned.Go(func() { r.reader.Run(readerCtx) })
	r.owned.Go(func() { r.retain(readerCtx) })
	r.owned.Go(func() { r.webhooks.bury(readerCtx) })
	r.owned.Go(func() { r.book.Run(readerCtx, r.waits) })
	r.owned.Go(func() { r.replays.Run(readerCtx) })
	return nil
}

// aged counts what retention ends in a lane, in the record that ends it. Nothing is
// ended before the router is open.
func (r *Router) aged(lane string, ended []store.Outcome, of func(position uint64) (*event.Event, error)) (store.Document, func()) {
	return ledger{r.book}.Aged(lane, ended, of)
}

// observe tells of an attempt to all who want to know, see [lane.Observer].
func (r *Router) observe(destination string, w *lane.Work, result *lane.Result, o *store.Outcome) {
	r.health.observe(destination, w, result, o)
	r.countAttempt(destination, w, result, o)
	r.outcomes.observe(destination, w, result, o)
	if o.Attempt == nil { // ended by age
		return
	}
	if r.tracer.On() {
		r.tracer.Attempted(w.Event, tracing.Attempt{
			Ref: w.Ref, Route: w.Routing.Matches[w.Delivery.Match].Route, Destination: destination, Replay: w.Delivery.Replay,
			Attempt: o.Attempt, OK: result.OK, To: o.To, Reply: result.Reply, Again: result.Again,
		})
	}
	r.tellAttempt(destination, w, result, o)
}

// addOrphans adds the lanes whose destination the configuration has no more, and
// tells of them: they keep what waits, and nothing is sent.
func (r *Router) addOrphans(ctx context.Context) error {
	lanes, err := r.store.Lanes(ctx)
	if err != nil {
		return fmt.Errorf("read the lanes: %w", err)
	}
	for _, l := range lanes {
		if l.Name != store.RoutingLane && r.config.Destination(l.Name) == nil && !r.lanes.Known(l.Name) {
			if err := r.lanes.AddOrphan(ctx, l.Name); err != nil {
				return err
			}
		}
		waiting := l.Counts.Waiting + l.Counts.Retrying
		if waiting > 0 && l.Name != store.RoutingLane && r.config.Destination(l.Name) == nil && r.webhooks.hook(l.Name) == nil {
			r.log.Warn("deliveries wait for a destination that is not configured; they go on when its name returns",
				"destination", l.Name, "waiting", waiting)
		}
	}
	return nil
}

// send makes the tries of one destination.
func (r *Router) send(name string, sender attempt.Sender) lane.Try {
	return func(ctx context.Context, w *lane.Work) lane.Result {
		route := w.Routing.Matches[w.Delivery.Match].Route
		m := w.Routing.Message(w.Event, w.Delivery)
		scratch := attempt.NewScratch()
		defer scratch.Free()
		body, contentType, attributes := scratch.Body(config.Format(w.Delivery.Format), m, w.Delivery.N, w.Delivery.Several)
		scratch.Delivery = attempt.Delivery{
			WebhookID: w.Delivery.WebhookID(w.Event.Position, w.Event.ID, route),
			EventType: m.Type, Number: w.Number,
			Body: body, ContentType: contentType, Attributes: attributes,
			Header: m.SetHeader, EventHeader: m.Header, Time: time.Now(), Replay: w.Delivery.Replay,
			Traceparent: r.tracer.Traceparent(w.Event, w.Ref, w.Number, w.Delivery.Replay), Tracestate: r.tracer.Tracestate(w.Event),
		}
		out := sender.Send(ctx, &scratch.Delivery)
		result := lane.Result{
			OK: out.OK, RetryAfter: out.RetryAfter, Hold: out.Status == 429 || out.Status == 503,
			Blameless: out.Reason == attempt.ReasonConfig,
			Attempt: store.Attempt{
				Started: out.Started, Latency: out.Latency,
				DNS: out.Phases.DNS, Connect: out.Phases.Connect, TLS: out.Phases.TLS, FirstByte: out.Phases.FirstByte,
				Status: out.Status, Reason: out.Reason, Error: out.Error, Body: out.Body,
			},
		}
		if out.Gone {
			result.Dead, result.Gone = store.ReasonGone, true
		}
		return result
	}
}

// routeAgain is the try of the lane of routing: it runs a route that failed once
// more, by the current configuration.
func (r *Router) routeAgain(ctx context.Context, w *lane.Work) lane.Result {
	started := time.Now()
	name := w.Routing.Matches[w.Delivery.Match].Route
	r.archive.RoutedAgain()
	again, err := r.reader.RouteAgain(ctx, w.Event, name, started, w.Last)
	result := lane.Result{OK: err == nil, Again: again, Blameless: true, Attempt: store.Attempt{Started: started, Latency: time.Since(started)}}
	if err != nil {
		result.Attempt.Reason, result.Attempt.Error = attempt.ReasonPlugin, err.Error()
		if errors.Is(err, routing.ErrNoRoute) {
			result.Attempt.Reason = attempt.ReasonNoRoute
		}
		if !routing.HostFault(err) {
			result.Dead = store.ReasonRouting
		}
		return result
	}
	result.Note = "the route was run again"
	return result
}

// retain applies retention once an hour, or more often where it is short.
func (r *Router) retain(ctx context.Context) {
	every := min(time.Hour, max(r.config.Store.Retention/24, time.Minute), max(r.config.Store.MaxAge/10, time.Second))
	var expired store.Expired
	var err error
	gone := true // perhaps in the time before this start
	for next := time.Now(); ; {
		expired, err = store.Expired{}, nil
		if now := time.Now(); !now.Before(next) {
			next = now.Add(every)
			expired, err = r.store.Expire(ctx, now)
		}
		if expired.Aged > 0 {
			r.lanes.Refresh()
		}
		for name, n := range expired.AgedBy {
			if name != store.RoutingLane {
				r.tellOverflow(name, n)
				for range n {
					r.countByHand(name, store.Dead)
				}
			}
		}
		if err == nil && next.After(time.Now()) {
			_, err = r.archive.Prune(ctx)
			if gone = gone || expired.Events > 0; err == nil && gone {
				_, err = r.webhooks.registry.Prune(ctx)
				gone = err != nil
			}
		}
		if err == nil {
			err = r.expireLanes(ctx)
		}
		if err == nil {
			err = r.listeners.prune(ctx, time.Now())
		}
		switch {
		case errors.Is(err, store.ErrClosed) || ctx.Err() != nil:
			return
		case err != nil:
			r.log.Error("retention failed; it is tried again", "error", err)
		case expired.Events+expired.Aged+expired.DeadLetters > 0:
			r.log.Info("retention", "events", expired.Events, "deliveries_expired", expired.Aged, "dead_letters_removed", expired.DeadLetters)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(time.Until(next), r.laneAges())):
		}
	}
}

// laneAges is how long the ages of what waits in lanes need not be looked at.
func (r *Router) laneAges() time.Duration {
	wait := time.Minute // listeners live by the minute
	for _, d := range r.setup.Load().config.Destinations {
		if age := r.maxAge(d); age > 0 {
			wait = min(wait, max(age/10, time.Second))
		}
	}
	return wait
}

// maxAge is how old what waits for a destination becomes, 0 where the store's
// own retention finds it soon enough.
func (r *Router) maxAge(d *config.Destination) time.Duration {
	own, most := d.Lane.MaxAge, r.config.Store.MaxAge
	if most < config.DefaultMaxAge && (own == 0 || own > most) {
		return most
	}
	return own
}

// expireLanes ends what is older than max_age, wherever it is:
// a lane that sends nothing has no other to end it.
func (r *Router) expireLanes(ctx context.Context) error {
	for _, d := range r.setup.Load().config.Destinations {
		age := r.maxAge(d)
		if age == 0 {
			continue
		}
		events, _, err := r.store.ListEvents(ctx, store.EventQuery{Until: r.lanes.Now().Add(-age), Page: store.Page{Limit: 1}})
		if err != nil {
			return err
		}
		if len(events) == 0 {
			continue
		}
		n, err := r.lanes.End(ctx, d.Name, store.Ref{Position: events[0].Position + 1}, store.Dead, "it could not be delivered within max_age")
		if n > 0 {
			r.log.Warn("deliveries have ended by age before they could be sent", "destination", d.Name, "deliveries", n)
			r.tellOverflow(d.Name, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// taker is the router as its reader of the log sees it.
type taker struct{ *Router }

// Decided lets the lanes send what is decided for an event.
func (t taker) Decided(e *event.Event, d *routing.Decision, early bool) {
	t.outcomes.decided(e, d.Routing)
	t.tracer.Routed(e, d.Routing)
	t.lanes.Offer(e, d.Routing, early)
}

// Committed tells the lanes that they may record it, and the log what an operator
// acts on.
func (t taker) Committed(e *event.Event, d *routing.Decision) {
	r := t.Router
	r.lanes.Posted(d.Routing)
	r.tellRouted(e, d)
	r.countRouted(e, d)
	for route, err := range d.Failed {
		r.conditions.failed(r.log, route, e, err, time.Now())
	}
	for _, m := range d.Routing.Matches {
		for _, v := range m.Plugins {
			if v.Class != "" && !failedRoute(d.Routing, m.Route) {
				r.log.Warn("a plugin failed, and its on_error says to go on without it", "route", m.Route, "plugin", v.Plugin,
					"event", e.ID, "type", e.Type, "class", v.Class, "error", v.Error)
			}
		}
	}
	for i := range d.Routing.Deliveries {
		delivery := &d.Routing.Deliveries[i]
		if delivery.Lane != store.RoutingLane {
			continue
		}
		ref := store.Ref{Position: e.Position, Index: uint32(i)}
		route := d.Routing.Matches[delivery.Match].Route
		if delivery.Dead != "" {
			r.log.Error("a plugin failed, so the route delivers nothing of this event; after mending it: weir deliveries retry "+ref.String(),
				"route", route, "event", e.ID, "type", e.Type, "error", delivery.Error)
		} else {
			r.log.Warn("a plugin could not run, the route is tried again", "route", route, "event", e.ID, "next", delivery.Due.UTC().Format(time.RFC3339), "error", delivery.Error)
		}
	}
	if !r.log.IsDebug() {
		return
	}
	r.log.Debug("routed", "event", e.ID, "type", e.Type, "routes", len(d.Routing.Matches), "deliveries", len(d.Routing.Deliveries))
}

// Dead gives events that tell of dead letters of routing.
func (t taker) Dead(e *event.Event, r *store.Routing) []store.NewEvent { return t.routedDead(e, r) }

// failedRoute reports whether a route's failure is in the lane of routing.
func failedRoute(r *store.Routing, route string) bool {
	for i := range r.Deliveries {
		if d := &r.Deliveries[i]; d.Lane == store.RoutingLane && r.Matches[d.Match].Route == route {
			return true
		}
	}
	return false
}

// Ready is nil when events are taken and delivered, else it says why not.
func (r *Router) Ready() error {
	r.mu.Lock()
	listening, closed := r.front.listener != nil, r.closed
	r.mu.Unlock()
	switch {
	case closed:
		return errors.New("the router is stopping")
	case !r.opened.Load():
		return errors.New(*r.phase.Load())
	case r.inspect:
		return errors.New("the store is open for questions only")
	case !listening:
		return errors.New("the listener is not up")
	}
	return r.store.Err()
}

// Close stops taking events, stops routing, lets attempts in flight finish until
// ctx ends, and closes the store. What was not sent stays in the store. A second
// call waits for the first and returns the same.
func (r *Router) Close(ctx context.Context) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		<-r.ended
		return r.closeErr
	}
	r.closed = true
	doors := []door{r.front, r.back}
	r.mu.Unlock()
	defer close(r.ended)
	r.endLife()
	r.opening.Lock() // an Open that is under way gives up
	opened := r.opened.Load()
	r.opening.Unlock()
	if !opened {
		return r.closeUnopened(ctx, doors)
	}

	r.lanes.Stop()
	r.stream.Close() // the server waits for those who listen
	var errs []error
	for _, d := range doors {
		errs = append(errs, d.close(ctx))
	}
	// A reload under way finishes, those that come later see that it is closed.
	// Not before the server has stopped: it waits for a reload that was asked for
	// over HTTP.
	r.reloading.Lock()
	defer r.reloading.Unlock()
	if r.stopReader != nil {
		r.stopReader()
	}
	r.owned.Wait()
	if err := r.lanes.Close(ctx); err != nil {
		errs = append(errs, err)
	}
	if !r.inspect {
		// So that the next start has less to read.
		if err := r.book.Fold(context.WithoutCancel(ctx)); err != nil {
			r.log.Debug("statistics are folded at the next start", "error", err)
		}
	}
	r.tracer.Close(ctx)
	if !r.inspect && r.reader.Settled() {
		errs = append(errs, r.archive.Close(context.WithoutCancel(ctx)))
	}
	r.closeErr = errors.Join(append(errs, r.release())...)
	return r.closeErr
}

// closeUnopened is Close of a router that is not open.
func (r *Router) closeUnopened(ctx context.Context, doors []door) error {
	var errs []error
	for _, d := range doors {
		errs = append(errs, d.close(ctx))
	}
	r.closeErr = errors.Join(append(errs, r.release())...)
	r.owned.Wait()
	return r.closeErr
}

// release closes what open has opened.
func (r *Router) release() error {
	var errs []error
	if r.lanes != nil {
		errs = append(errs, r.lanes.Close(context.Background()))
	}
	if r.stopReader != nil {
		r.stopReader()
		r.owned.Wait()
	}
	if s := r.setup.Load(); s != nil {
		errs = append(errs, s.discard(nil))
	}
	if r.webhooks != nil {
		errs = append(errs, r.webhooks.close())
	}
	r.tracer.Close(context.Background())
	r.past.close()
	if r.host != nil {
		errs = append(errs, r.host.Close(context.Background()))
	}
	if r.store != nil {
		errs = append(errs, r.store.Close())
	}
	return errors.Join(errs...)
}
