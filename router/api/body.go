package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/problem"
)

const (
	// freeBody is how much of a body fasthttp itself reads before the handler. So
	// much per connection is not counted.
	freeBody = 8 << 10
	// maxBodies bounds the bytes of bodies in memory at a time, of all connections
	// together: without it each of them could hold max_body.
	maxBodies = 64 << 20
	// pooledBody is the largest buffer that is used again.
	pooledBody = 64 << 10
)

// bodies reads the bodies of requests. fasthttp leaves that to the handler, so
// that memory is asked for before it is taken, and as bytes arrive: who only
// claims a large body holds nothing.
type bodies struct {
	max    int
	budget int64
	held   atomic.Int64
	pool   sync.Pool // of *[]byte
}

func newBodies(maxBody, budget int) *bodies {
	b := &bodies{max: maxBody, budget: max(int64(budget), int64(maxBody))}
	b.pool.New = func() any {
		buffer := make([]byte, 0, freeBody)
		return &buffer
	}
	return b
}

var errNoRoom = errors.New("too many bodies at a time")

// read is the first handler of each request. The body that those after it see
// holds until they return.
func (s *server) read(c *fiber.Ctx) error {
	body, err := s.body(c.Context())
	defer body.giveBack()
	if err == nil {
		err = c.Next()
	}
	body.done = true
	return err
}

// lent is what the body of a request holds. The zero value holds nothing.
type lent struct {
	bodies *bodies
	buffer *[]byte
	held   int64
	// done says that nobody reads the body any more. After a panic somebody may.
	done bool
}

// giveBack ends the use of the body.
func (l *lent) giveBack() {
	if l.bodies == nil {
		return
	}
	l.bodies.held.Add(-l.held)
	if l.done && cap(*l.buffer) <= pooledBody {
		l.bodies.pool.Put(l.buffer)
	}
}

// body reads the body of a request. It can be asked for until what it holds is given
// back, which the caller does where there is an error, too.
func (s *server) body(ctx *fasthttp.RequestCtx) (lent, error) {
	request := &ctx.Request
	if !request.IsBodyStream() {
		return lent{}, nil
	}
	l := lent{bodies: s.bodies, buffer: s.bodies.pool.Get().(*[]byte)}
	taken, held, err := s.bodies.take((*l.buffer)[:0], ctx.RequestBodyStream(), request.Header.ContentLength())
	*l.buffer, l.held = taken[:0], held
	if err != nil {
		// What is left of the body must not be taken for the next request.
		ctx.SetConnectionClose()
		err = bodyProblem(err)
		if ctx.IsPost() && s.engine.Opened() {
			if src := s.engine.Source(pathOf(ctx)); src != nil {
				s.refused(src, s.problem(ctx, err))
			}
		}
		return l, err
	}
	request.SetBodyRaw(taken)
	return l, nil
}

// take reads a body into buffer. length is what the client claims, negative where
// it does not say. held is what the caller has to give back.
func (b *bodies) take(buffer []byte, stream io.Reader, length int) (body []byte, held int64, err error) {
	if length > b.max {
		return buffer, 0, discard(stream, fiber.ErrRequestEntityTooLarge)
	}
	// A used buffer may be a large one.
	if held = int64(max(cap(buffer)-freeBody, 0)); b.held.Add(held) > b.budget && held > 0 {
		b.held.Add(-held)
		buffer, held = make([]byte, 0, freeBody), 0
	}
	for {
		if len(buffer) == cap(buffer) {
			size := 2 * cap(buffer)
			if length >= 0 {
				size = min(size, length+1) // one more, to see the end
			}
			size = min(size, b.max+1)
			grown := int64(size - cap(buffer))
			if b.held.Add(grown) > b.budget {
				b.held.Add(-grown)
				return buffer, held, discard(stream, errNoRoom)
			}
			held += grown
			buffer = append(make([]byte, 0, size), buffer...)
		}
		n, err := stream.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		switch {
		case len(buffer) > b.max:
			return buffer, held, discard(stream, fiber.ErrRequestEntityTooLarge)
		case errors.Is(err, io.EOF):
			return buffer, held, nil
		case err != nil:
			return buffer, held, err
		}
	}
}

// discard reads on for a while: a client whose connection is closed while it
// still sends may not see why. It returns why.
func discard(stream io.Reader, why error) error {
	if _, err := io.CopyN(io.Discard, stream, politeness); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return why
}

func bodyProblem(err error) error {
	var timeout net.Error
	var fe *fiber.Error
	switch {
	case errors.As(err, &fe):
		return err
	case errors.Is(err, errNoRoom):
		p := problem.New(http.StatusServiceUnavailable, "busy", "too many requests with large bodies at a time, try again")
		p.RetryAfter = 1
		return p
	case errors.As(err, &timeout) && timeout.Timeout():
		return fiber.ErrRequestTimeout
	}
	return problem.New(http.StatusBadRequest, "bad_request", "the body ended too early, or its chunks are malformed")
}
