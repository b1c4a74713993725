package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

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

// ingest takes what is for a source, and answers only when it is on disk. A
// refusal is counted.
func (s *server) ingest(c *fiber.Ctx) error {
	if c.Method() != fiber.MethodPost && c.Method() != fiber.MethodGet {
		return c.Next()
	}
	src := s.engine.Source(c.Path())
	if src == nil {
		return c.Next()
	}
	done, err := s.take(c, src)
	if err != nil {
		p := s.problem(c, err)
		s.engine.Tally().Refused(src.Name(), p.Code)
		return p
	}
	if !done {
		return c.Next()
	}
	return nil
}

// take reports whether the request was one for the source.
func (s *server) take(c *fiber.Ctx, src *source.Source) (bool, error) {
	r := s.request(c)
	challenge, err := src.Handshake(r)
	if err != nil {
		return true, err
	}
	if challenge != nil {
		// What comes from the request must not be taken for a page.
		c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
		return true, send(c, challenge)
	}
	if r.Method != fiber.MethodPost {
		return false, nil
	}
	// After the handshake, to which providers bring no token.
	if err := s.mayIngest(c, src); err != nil {
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
		taken.Traceparent = c.Get("traceparent")
	}
	var watch Watch
	if wait > 0 {
		if watch, err = s.engine.Follow(); err != nil {
			return true, err
		}
		defer watch.Close()
	}
	accepted, err := s.engine.Accept(c.Context(), src, taken)
	if err != nil {
		return true, err
	}
	if watch != nil {
		return true, s.answerWaiting(c, watch, wait, taken.Batch, accepted)
	}
	if reply := src.Reply(); reply != nil {
		return true, send(c, reply)
	}
	answerAccepted(c, taken.Batch, accepted)
	return true, nil
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
func send(c *fiber.Ctx, a *verify.Answer) error {
	if a.ContentType != "" {
		c.Context().Response.Header.SetContentType(a.ContentType)
	}
	c.Status(a.Status)
	return c.SendString(a.Body)
}

func answerTo(a *store.Accepted) Accepted {
	answer := Accepted{EventID: a.ID, Status: "accepted", Differs: a.Differs}
	if a.Duplicate {
		answer.Status = "duplicate"
	}
	return answer
}

func answerAccepted(c *fiber.Ctx, batch bool, accepted []store.Accepted) {
	b := make([]byte, 0, 32+96*len(accepted))
	if batch {
		b = append(b, `{"events":[`...)
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
	c.Context().Response.Header.SetContentType(fiber.MIMEApplicationJSON)
	c.Context().Response.SetBodyRaw(b)
	c.Status(http.StatusAccepted)
}

// answerWaiting answers with what the events led to: 200 where all of it has
// ended, 202 when time is up.
func (s *server) answerWaiting(c *fiber.Ctx, watch Watch, wait time.Duration, batch bool, accepted []store.Accepted) error {
	// The watch itself ends with the router; fasthttp's context knows no more.
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	positions := make([]uint64, len(accepted))
	for i := range accepted {
		positions[i] = accepted[i].Position
	}
	results, ended, err := watch.Wait(ctx, positions)
	if err != nil {
		// The events are stored: a problem would say that they are not.
		s.log.Error("cannot tell what events led to", "error", err)
		answerAccepted(c, batch, accepted)
		return nil
	}
	list := make([]Outcome, len(accepted))
	for i := range accepted {
		list[i] = Outcome{Accepted: answerTo(&accepted[i]), Deliveries: []Delivery{}}
		for _, d := range results[i] {
			list[i].Deliveries = append(list[i].Deliveries, s.delivery(d))
		}
	}
	c.Status(http.StatusAccepted)
	if ended {
		c.Status(http.StatusOK)
	}
	if batch {
		return c.JSON(OutcomeList{Events: list})
	}
	return c.JSON(list[0])
}

// request holds the connection's own buffers: the source copies what it keeps.
// The body is the raw one: Fiber's own accessor would decompress it unbounded.
func (s *server) request(c *fiber.Ctx) *source.Request {
	r := &source.Request{
		Method: c.Method(), Path: c.Path(), ContentType: c.Get(fiber.HeaderContentType),
		Body: c.Request().Body(), Received: s.now().UTC(), Header: make([]event.Field, 0, 16),
	}
	c.Request().Header.VisitAll(func(name, value []byte) {
		r.Header = append(r.Header, event.Field{Name: utils.UnsafeString(name), Value: utils.UnsafeString(value)})
	})
	if query := c.Request().URI().QueryString(); len(query) > 0 {
		r.RawQuery = utils.UnsafeString(query)
		// What can't be parsed is left out, as net/http does.
		r.Query, _ = url.ParseQuery(string(query))
	}
	return r
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
