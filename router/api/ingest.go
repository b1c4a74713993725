package api

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/source/verify"
	"github.com/weirhq/weir/router/store"
)

// Watch waits for what events lead to.
type Watch interface {
	// Wait returns what each of the events at positions led to, in their order,
	// and true when all of that has ended; false when ctx ended first.
	Wait(ctx context.Context, positions []uint64) ([][]*store.DeliveryStatus, bool, error)
	Close()
}

// maxWait is the longest that a producer may wait.
const maxWait = 30 * time.Second

// shortcut answers what plainly is an event, which nearly all requests of a busy router
// are, without the way through Fiber's routes; next answers the rest. The steps are
// those of Fiber's way, and so are the answers: a request that could be read in another
// way goes that one.
func (s *server) shortcut(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		src := s.plainly(ctx)
		if src == nil {
			next(ctx)
			return
		}
		if err := s.event(ctx, src); err != nil {
			if err = s.fail(ctx, err); err != nil {
				ctx.Error(http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			}
		}
	}
}

// plainly is the source that a request is for, nil where it takes more than a look at
// its target and its Host to know.
func (s *server) plainly(ctx *fasthttp.RequestCtx) *source.Source {
	h := &ctx.Request.Header
	if !h.IsPost() || !nameAndPort(utils.UnsafeString(h.Host())) || !s.engine.Opened() {
		return nil
	}
	// A path of the configuration has no query, so this target has none.
	return s.engine.Source(utils.UnsafeString(h.RequestURI()))
}

// event answers a request for a source.
func (s *server) event(ctx *fasthttp.RequestCtx, src *source.Source) error {
	body, err := s.body(ctx)
	defer body.giveBack()
	if err == nil {
		err = s.guard(ctx, utils.UnsafeString(ctx.Request.Header.Host()))
	}
	if err == nil {
		_, err = s.tallied(ctx, src, utils.UnsafeString(ctx.Request.Header.RequestURI()))
	}
	body.done = true
	return err
}

// ingest takes what is for a source, and answers only when it is on disk.
func (s *server) ingest(c *fiber.Ctx) error {
	if c.Method() != fiber.MethodPost && c.Method() != fiber.MethodGet {
		return c.Next()
	}
	src := s.engine.Source(c.Path())
	if src == nil {
		return c.Next()
	}
	done, err := s.tallied(c.Context(), src, c.Path())
	if err != nil || done {
		return err
	}
	return c.Next()
}

// tallied is take; a refusal is counted.
func (s *server) tallied(ctx *fasthttp.RequestCtx, src *source.Source, path string) (bool, error) {
	whole := false
	defer func() {
		if !whole { // it panicked, see guarded
			s.engine.Tally().Refused(src.Name(), codeInternal, s.now()) // guarded logs it
		}
	}()
	done, err := s.take(ctx, src, path)
	whole = true
	if err != nil {
		p := s.problem(ctx, err)
		s.refused(src, p)
		return true, p
	}
	return done, nil
}

// refused counts what a source refuses. Now and then the log has it, with nothing of
// the request itself, which may hold secrets.
func (s *server) refused(src *source.Source, p *problem.Problem) {
	if n, tell := s.engine.Tally().Refused(src.Name(), p.Code, s.now()); tell {
		s.log.Warn("a source refuses requests", "source", src.Name(), "reason", p.Code, "status", p.Status, "refused", n)
	}
}

// take reports whether the request was one for the source.
func (s *server) take(ctx *fasthttp.RequestCtx, src *source.Source, path string) (bool, error) {
	r := requests.Get().(*source.Request)
	defer release(r)
	s.fill(r, ctx, path)
	challenge, err := src.Handshake(r)
	if err != nil {
		return true, err
	}
	if challenge != nil {
		// What comes from the request must not be taken for a page.
		ctx.Response.Header.SetCanonical(contentTypeOptions, noSniff)
		send(ctx, challenge)
		return true, nil
	}
	if r.Method != fiber.MethodPost {
		return false, nil
	}
	// After the handshake, to which providers bring no token.
	if err := s.mayIngest(ctx, src); err != nil {
		return true, err
	}
	wait, err := waitFor(r, src)
	if err != nil {
		return true, err
	}
	taken, err := src.Accept(r)
	if err != nil {
		return true, err
	}
	if s.engine.Traces() {
		taken.Traceparent, taken.Tracestate = traceOf(&ctx.Request.Header)
	}
	var watch Watch
	if wait > 0 {
		if watch, err = s.engine.Follow(); err != nil {
			return true, err
		}
		defer watch.Close()
	}
	accepted, err := s.engine.Accept(ctx, src, taken)
	if err != nil {
		return true, err
	}
	if watch != nil {
		return true, s.answerWaiting(ctx, watch, wait, taken.Batch, accepted)
	}
	if reply := src.Reply(); reply != nil {
		send(ctx, reply)
		return true, nil
	}
	answerAccepted(ctx, taken.Batch, accepted)
	return true, nil
}

// traceOf gives the headers that carry a trace. Of tracestate there may be several
// (W3C Trace Context, section 3.3.1).
func traceOf(h *fasthttp.RequestHeader) (traceparent, tracestate string) {
	if traceparent = string(h.Peek("traceparent")); traceparent != "" {
		tracestate = string(bytes.Join(h.PeekAll("tracestate"), []byte(",")))
	}
	return traceparent, tracestate
}

// waitFor reads ?wait of a source whose query is not the provider's.
func waitFor(r *source.Request, src *source.Source) (time.Duration, error) {
	if !src.Native() || src.Reply() != nil || !r.Query.Has("wait") {
		return 0, nil
	}
	d, err := config.ParseDuration(r.Query.Get("wait"))
	if err != nil || d <= 0 || d > maxWait {
		return 0, problem.New(http.StatusBadRequest, "bad_wait", "wait is a time span such as 5s, at most %s", maxWait)
	}
	return d, nil
}

// send answers with fixed bytes.
func send(ctx *fasthttp.RequestCtx, a *verify.Answer) {
	if a.ContentType != "" {
		ctx.Response.Header.SetContentType(a.ContentType)
	}
	ctx.SetStatusCode(a.Status)
	ctx.Response.SetBodyString(a.Body)
}

func answerTo(a *store.Accepted) Accepted {
	answer := Accepted{EventID: a.ID, Status: "accepted", Differs: a.Differs}
	if a.Duplicate {
		answer.Status = "duplicate"
	}
	return answer
}

func answerAccepted(ctx *fasthttp.RequestCtx, batch bool, accepted []store.Accepted) {
	var few [256]byte
	b := few[:0]
	if batch {
		b = append(make([]byte, 0, 32+96*len(accepted)), `{"events":[`...)
	}
	for i := range accepted {
		if i > 0 {
			b = append(b, ',')
		}
		a := answerTo(&accepted[i])
		b = a.appendJSON(b)
	}
	if batch {
		b = append(b, `]}`...)
	}
	ctx.Response.Header.SetContentType(fiber.MIMEApplicationJSON)
	ctx.Response.SetBody(b)
	ctx.SetStatusCode(http.StatusAccepted)
}

// answerWaiting answers with what the events led to: 200 where all of it has
// ended, 202 when time is up.
func (s *server) answerWaiting(ctx *fasthttp.RequestCtx, watch Watch, wait time.Duration, batch bool, accepted []store.Accepted) error {
	// The watch itself ends with the router; fasthttp's context knows no more.
	waiting, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	positions := make([]uint64, len(accepted))
	for i := range accepted {
		positions[i] = accepted[i].Position
	}
	results, ended, err := watch.Wait(waiting, positions)
	if err != nil {
		// The events are stored: a problem would say that they are not.
		s.log.Error("cannot tell what events led to", "error", err)
		answerAccepted(ctx, batch, accepted)
		return nil
	}
	list := make([]Outcome, len(accepted))
	for i := range accepted {
		list[i] = Outcome{Accepted: answerTo(&accepted[i]), Deliveries: []Delivery{}}
		for _, d := range results[i] {
			list[i].Deliveries = append(list[i].Deliveries, s.delivery(d))
		}
	}
	ctx.SetStatusCode(http.StatusAccepted)
	if ended {
		ctx.SetStatusCode(http.StatusOK)
	}
	var answer any = OutcomeList{Events: list}
	if !batch {
		answer = list[0]
	}
	body, err := marshal(answer)
	if err != nil {
		return err
	}
	ctx.Response.Header.SetContentType(fiber.MIMEApplicationJSON)
	ctx.Response.SetBodyRaw(body)
	return nil
}

// requests are used again, with their lists of headers.
var requests = sync.Pool{New: func() any { return &source.Request{Header: make([]event.Field, 0, 16)} }}

// release ends the use of one of requests.
func release(r *source.Request) {
	if cap(r.Header) > source.MaxHeaders {
		return
	}
	header := r.Header[:0]
	clear(r.Header) // it points into the connection's buffers
	*r = source.Request{Header: header}
	requests.Put(r)
}

// request is what a source sees of a request, see fill.
func (s *server) request(ctx *fasthttp.RequestCtx) *source.Request {
	r := &source.Request{Header: make([]event.Field, 0, 16)}
	s.fill(r, ctx, pathOf(ctx))
	return r
}

// fill gives r the connection's own buffers: the source copies what it keeps. The body
// is the raw one: Fiber's own accessor would decompress it unbounded. The path is the
// request's.
func (s *server) fill(r *source.Request, ctx *fasthttp.RequestCtx, path string) {
	h := &ctx.Request.Header
	r.Method, r.Path = utils.UnsafeString(ctx.Method()), path
	r.ContentType = utils.UnsafeString(h.ContentType())
	r.Body, r.Received = ctx.Request.Body(), s.now().UTC()
	h.VisitAll(func(name, value []byte) {
		r.Header = append(r.Header, event.Field{Name: utils.UnsafeString(name), Value: utils.UnsafeString(value)})
	})
	if len(path) == len(h.RequestURI()) {
		return // there is nothing but the path
	}
	if query := ctx.Request.URI().QueryString(); len(query) > 0 {
		r.RawQuery = utils.UnsafeString(query)
		// What can't be parsed is left out, as net/http does.
		r.Query, _ = url.ParseQuery(string(query))
	}
}

// Outcome answers an event whose producer waited.
type Outcome struct {
	Accepted
	// Deliveries are all that the event led to: those that have ended, and when
	// time is up also those that have not.
	Deliveries []Delivery `json:"deliveries"`
}

// OutcomeList answers a batch whose producer waited.
type OutcomeList struct {
	Events []Outcome `json:"events"`
}
