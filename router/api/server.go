// Package api is the router's HTTP side: ingest, the API over the store, and
// the checks on who may ask. It holds no state of its own. Answers are JSON,
// errors are problem details with a stable code.
//
// Fiber's buffers are reused when a handler returns: what outlives it is copied.
package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/hashicorp/go-hclog"
	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/stream"
	"github.com/weirhq/weir/router/webhook"
)

// Engine is the router that the API speaks for.
type Engine interface {
	// Source is the one that takes requests at a path, nil where none does.
	Source(path string) *source.Source
	// Accept stores what a source has taken and returns when it is on disk.
	Accept(ctx context.Context, s *source.Source, taken source.Taken) ([]store.Accepted, error)
	// Keys are the tokens that open the router now; nil: none is needed.
	Keys() *Keys
	// Follow begins to watch what events lead to that are accepted next. The error
	// is a problem where too many watch already.
	Follow() (Watch, error)
	// Traces reports whether the traceparent of a request is of use.
	Traces() bool
	// Tally counts what sources take and refuse.
	Tally() *source.Tally
	// Metrics is what Prometheus reads, in the format that an Accept header asks
	// for, with its content type.
	Metrics(accept string) (text []byte, contentType string, err error)
	// Opened reports whether the engine is open. Until it is, only Ready and Keys may
	// be asked.
	Opened() bool
	// Ready is nil when events are taken and delivered, else why not.
	Ready() error
	// Store to look things up in.
	Store() store.Store
	// Table that events are routed by now.
	Table() *routing.Table
	// Sending reports whether a delivery is being tried.
	Sending(lane string, r store.Ref) bool
	// InFlight gives those of a lane that are, or of all lanes where it has no name.
	InFlight(lane string) []store.Ref
	// Config is the configuration that runs, its secrets masked.
	Config() *Config
	// Reload takes over the configuration's files as they are now. With orphan it
	// goes on where deliveries wait for a destination that would be gone. The
	// error is a problem where the configuration is refused; the old one goes on.
	Reload(ctx context.Context, orphan bool) (*Reloaded, error)
	// Plugins are those of the configuration, in its order.
	Plugins() []Plugin
	// Stats are counts and latencies over time.
	Stats() *stats.Book
	// Waiting says what waits for each destination for which something does.
	Waiting(ctx context.Context) (map[string]Waiting, error)
	// Stream tells what happens.
	Stream() *stream.Hub
	// RetryDelivery makes a delivery due now and returns it as it is then.
	RetryDelivery(ctx context.Context, r store.Ref) (*store.DeliveryStatus, error)
	// Webhooks are the registered ones.
	Webhooks() *webhook.Registry
	// WebhookState is that of one's lane, and why it is disabled where it is.
	WebhookState(ctx context.Context, id string) (state, why string, err error)
	// TestWebhook sends a test event to one and returns the attempt.
	TestWebhook(ctx context.Context, id string) (*TestResult, error)
	// CancelDelivery ends a delivery that is not, and returns it as it is then.
	CancelDelivery(ctx context.Context, r store.Ref) (*store.DeliveryStatus, error)
	// MoveDeliveries retries or cancels those dead letters, and skips those that are
	// none any more.
	MoveDeliveries(ctx context.Context, refs []store.Ref, to store.State) (*Moved, error)
	// MoveDead retries or cancels dead letters by a filter, whose limit is the most
	// of them, 0 for any number. It returns after a bounded time.
	MoveDead(ctx context.Context, q store.DeliveryQuery, to store.State) (*Moved, error)
	Destinations
	Replays
	Routes
	Pulls
	Explains
}

// Part is what of the HTTP side an application answers.
type Part int

// The parts.
const (
	// Whole answers everything.
	Whole Part = iota
	// IngestOnly answers what sources take.
	IngestOnly
	// AdminOnly answers the rest.
	AdminOnly
)

// Options of the server.
type Options struct {
	// MaxBody is the largest request body in bytes.
	MaxBody int
	// Part is what of it is answered.
	Part Part
	// Connections is how many may be open at a time, 2048 when 0.
	Connections int
	// Bodies is how many bytes of bodies may be in memory at a time, 64 MiB when 0,
	// but always one of MaxBody.
	Bodies int
	// AnyHost answers without keys whatever Host says, for a router that is meant
	// to be open.
	AnyHost bool
	// Pages are the dashboard; nil for none.
	Pages  Pages
	Logger hclog.Logger
	Now    func() time.Time
}

// Timeouts of connections: fasthttp has none by itself, and a slow client would
// hold its connection for ever.
const (
	readTimeout  = 30 * time.Second
	writeTimeout = 60 * time.Second
	idleTimeout  = 2 * time.Minute
	// maxConnections bounds memory, as maxBodies does. Further ones are answered 503
	// at once.
	maxConnections = 2048
	// politeness is how much beyond max_body is read all the same: a client whose
	// connection is closed while it still sends may not see why.
	politeness = 8 << 20
)

type server struct {
	engine  Engine
	anyHost bool
	maxBody int
	pages   Pages
	// ingests says that what sources take is answered here.
	ingests bool
	// sessions is nil where there are no pages to sign in at.
	sessions *sessions
	log      hclog.Logger
	now      func() time.Time
	bodies   *bodies
	// rehearsing has room for the explanations that run plugins at a time.
	rehearsing chan struct{}
}

// New returns the application; the caller serves it and shuts it down.
func New(e Engine, o Options) *fiber.App {
	s := &server{engine: e, anyHost: o.AnyHost, log: o.Logger, now: o.Now, maxBody: o.MaxBody, ingests: o.Part != AdminOnly}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.rehearsing = make(chan struct{}, rehearsals)
	s.bodies = newBodies(o.MaxBody, cmp.Or(o.Bodies, maxBodies))
	app := fiber.New(fiber.Config{
		AppName:               "Weir",
		DisableStartupMessage: true,
		// See bodies. A form of several parts is kept as it came, not parsed and
		// printed again.
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		BodyLimit:                    o.MaxBody + politeness,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		// Paths have one spelling: /API is nothing.
		CaseSensitive: true,
		// Room for all the headers that a source may keep, and some.
		ReadBufferSize: 32 << 10,
		Concurrency:    cmp.Or(o.Connections, maxConnections),
		JSONEncoder:    marshal,
		ErrorHandler:   func(c *fiber.Ctx, err error) error { return s.fail(c.Context(), err) },
	})
	app.Use(s.read)
	app.Use(func(c *fiber.Ctx) error {
		if err := s.guard(c.Context(), utils.UnsafeString(c.Request().Host())); err != nil {
			return err
		}
		return c.Next()
	})
	app.Use(s.opened)

	if o.Part != IngestOnly {
		app.Get("/healthz", s.healthz)
		app.Get("/readyz", s.readyz)
	}
	if s.ingests {
		// Sources come and go with a reload, so their paths are looked up.
		app.Use(s.ingest)
		app.All("/in/:source", func(c *fiber.Ctx) error {
			if src := s.engine.Source(c.Path()); src != nil {
				return otherMethod(c, src)
			}
			return problem.New(http.StatusNotFound, "unknown_source", "no source takes %s %s", c.Method(), c.Path())
		})
	}
	if s.ingests {
		app.Server().Handler = s.shortcut(app.Server().Handler)
	}
	app.Server().Handler = s.guarded(app.Server().Handler)
	if o.Part == IngestOnly {
		app.Use(s.nothing)
		return app
	}
	if s.pages = o.Pages; s.pages != nil {
		s.sessions = newSessions()
		s.pages.MountPublic(app)
		app.Get("/login", func(c *fiber.Ctx) error { return s.pages.SignIn(c, http.StatusOK, "", OwnPath(c.Query("next"))) })
		app.Post("/login", s.signIn)
		app.Post("/logout", s.signOut)
	}

	// What is below needs a token, whatever it is and whether it exists or not.
	app.Use(s.authorize)
	app.Get("/metrics", s.metrics)
	app.Get("/openapi.json", s.openapi)
	api := app.Group("/api", jsonBody)
	api.Get("/events", s.listEvents)
	api.Get("/events/:id", s.showEvent)
	api.Get("/events/:id/deliveries", s.eventDeliveries)
	api.Get("/events/:id/explain", s.explainEvent)
	api.Post("/events/:id/replay", s.replayEvent)
	api.Post("/explain", s.explainUnsent)
	api.Get("/deliveries", s.listDeliveries)
	api.Get("/deliveries/:id", s.showDelivery)
	api.Post("/deliveries/:id/retry", s.retryDelivery)
	api.Post("/deliveries/:id/cancel", s.cancelDelivery)
	api.Get("/dead-letters", s.listDeadLetters)
	api.Post("/dead-letters/retry", s.retryDeadLetters)
	api.Post("/dead-letters/cancel", s.cancelDeadLetters)
	api.Get("/pull/:name", s.pull)
	api.Post("/pull/:name/ack", s.acknowledge)
	api.Post("/listeners", s.listen)
	api.Post("/replays", s.startReplay)
	api.Get("/replays", s.listReplays)
	api.Get("/replays/:id", s.showReplay)
	api.Delete("/replays/:id", s.cancelReplay)
	api.Get("/destinations", s.listDestinations)
	api.Get("/destinations/:name", s.showDestination)
	api.Post("/destinations/:name/pause", s.pauseDestination)
	api.Post("/destinations/:name/resume", s.resumeDestination)
	api.Post("/destinations/:name/recover", s.recoverDestination)
	api.Post("/destinations/:name/cancel", s.cancelDestination)
	api.Get("/routes", s.listRoutes)
	api.Get("/plugins", s.listPlugins)
	api.Get("/plugins/:name", s.showPlugin)
	api.Get("/stats", s.stats)
	api.Get("/stream", s.stream)
	api.Post("/webhooks", s.createWebhook)
	api.Get("/webhooks", s.listWebhooks)
	api.Get("/webhooks/:id", s.showWebhook)
	api.Patch("/webhooks/:id", s.updateWebhook)
	api.Delete("/webhooks/:id", s.deleteWebhook)
	api.Post("/webhooks/:id/test", s.testWebhook)
	api.Post("/webhooks/:id/rotate", s.rotateWebhook)
	api.Post("/webhooks/:id/pause", s.pauseWebhook(s.engine.PauseDestination))
	api.Post("/webhooks/:id/resume", s.pauseWebhook(s.engine.ResumeDestination))
	api.Post("/reload", s.reload)
	api.Get("/config", s.config)

	if s.pages != nil {
		// Forms say what they are by their type, as those of other sites do. This is no
		// route: of a path that takes no forms it is told which methods it takes.
		app.Use("/ui", func(c *fiber.Ctx) error {
			if c.Method() == fiber.MethodPost && !sameOrigin(c.Context()) {
				return foreignForm()
			}
			return c.Next()
		})
		s.pages.Mount(app)
	}
	app.Use(s.nothing)
	return app
}

// opened asks to come again later while the router is not open, but for who asks
// about that.
func (s *server) opened(c *fiber.Ctx) error {
	if s.engine.Opened() || c.Path() == "/healthz" || c.Path() == "/readyz" {
		return c.Next()
	}
	p := problem.New(http.StatusServiceUnavailable, "starting", "the router is starting; /readyz says what it waits for")
	p.RetryAfter = 1
	return p
}

// nothing answers what no route took: 405 where one takes other methods (RFC 9110,
// section 15.5.6).
func (s *server) nothing(c *fiber.Ctx) error {
	if s.ingests {
		if src := s.engine.Source(c.Path()); src != nil {
			return otherMethod(c, src)
		}
	}
	// After its last route Fiber looks whether the path is there with other methods,
	// and says in Allow with which.
	if err := c.Next(); errors.Is(err, fiber.ErrMethodNotAllowed) {
		return err
	}
	return problem.New(http.StatusNotFound, "not_found", "there is nothing at %s %s", c.Method(), c.Path())
}

// otherMethod answers one that the path of a source does not take.
func otherMethod(c *fiber.Ctx, src *source.Source) error {
	c.Set(fiber.HeaderAllow, src.Methods())
	return fiber.ErrMethodNotAllowed
}

// fail turns every error into a problem. What is not one of ours is logged and
// told without its text.
func (s *server) fail(ctx *fasthttp.RequestCtx, err error) error {
	p := s.problem(ctx, err)
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if p.RetryAfter > 0 {
		ctx.Response.Header.Set(fiber.HeaderRetryAfter, strconv.Itoa(p.RetryAfter))
	}
	secure(ctx)
	ctx.SetContentType(problem.ContentType)
	ctx.SetStatusCode(p.Status)
	ctx.Response.SetBodyRaw(body)
	return nil
}

func (s *server) problem(ctx *fasthttp.RequestCtx, err error) *problem.Problem {
	var p *problem.Problem
	var fe *fiber.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &fe):
		switch fe.Code {
		case http.StatusRequestEntityTooLarge:
			return problem.New(fe.Code, "body_too_large", "the body is larger than max_body, which is %d bytes", s.maxBody)
		case http.StatusMethodNotAllowed:
			return problem.New(fe.Code, "method_not_allowed", "%s is not allowed at %s", ctx.Method(), pathOf(ctx))
		case http.StatusRequestTimeout:
			return problem.New(fe.Code, "request_timeout", "the request did not arrive within %s", readTimeout)
		case http.StatusRequestHeaderFieldsTooLarge:
			return problem.New(fe.Code, "headers_too_large", "the headers are too large")
		}
		// fasthttp's own text may repeat the request's headers.
		return problem.New(fe.Code, strings.ReplaceAll(strings.ToLower(http.StatusText(fe.Code)), " ", "_"), "the request is malformed")
	case errors.Is(err, store.ErrFull):
		return problem.New(http.StatusInsufficientStorage, "disk_full", "the disk has too little free space (see store.min_free); nothing is lost, try again later")
	case errors.Is(err, store.ErrBusy):
		p := problem.New(http.StatusServiceUnavailable, "busy", "the store cannot keep up, try again")
		p.RetryAfter = 1
		return p
	case errors.Is(err, store.ErrClosed) || errors.Is(err, stream.ErrClosed):
		p := problem.New(http.StatusServiceUnavailable, "stopping", "the router is stopping, try again")
		p.RetryAfter = 5
		return p
	case errors.Is(err, store.ErrTooLarge):
		return problem.New(http.StatusRequestEntityTooLarge, "body_too_large", "the event is larger than the store takes")
	case errors.Is(err, store.ErrCursor):
		return problem.New(http.StatusBadRequest, "bad_cursor", "the cursor is malformed: give what the page before gave as next")
	case errors.Is(err, store.ErrNotFound):
		return problem.New(http.StatusNotFound, "not_found", "there is nothing at %s", pathOf(ctx))
	}
	s.log.Error("request failed", "method", string(ctx.Method()), "path", strings.Clone(pathOf(ctx)), "error", err)
	p = problem.New(http.StatusServiceUnavailable, "store_failed", "the router could not do this; its log says why")
	p.RetryAfter = 5
	return p
}

// pathOf is the path of a request as it was sent, as Fiber has it. Like what header
// gives it holds until the request is answered.
func pathOf(ctx *fasthttp.RequestCtx) string {
	return utils.UnsafeString(ctx.Request.URI().PathOriginal())
}

// header is the value of a request's first header of a name, empty where there is none.
func header(ctx *fasthttp.RequestCtx, name string) string {
	return utils.UnsafeString(ctx.Request.Header.Peek(name))
}

// marshal is JSON with <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

func (s *server) healthz(c *fiber.Ctx) error {
	secure(c.Context())
	return c.JSON(Health{Status: "ok"})
}

func (s *server) readyz(c *fiber.Ctx) error {
	secure(c.Context())
	if err := s.engine.Ready(); err != nil {
		health := Health{Status: "not ready"}
		if s.known(c) {
			health.Reason = err.Error()
		}
		return c.Status(http.StatusServiceUnavailable).JSON(health)
	}
	return c.JSON(Health{Status: "ready"})
}
