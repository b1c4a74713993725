package attempt

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// conn is a connection of a sender. One attempt at a time has it; between
// attempts it is in idle. It holds no buffer, so waiting costs little.
type conn struct {
	socket net.Conn
	stream net.Conn // what HTTP is spoken on: socket, or TLS over it
	// interrupt closes the socket, from any goroutine: whatever reads or writes
	// ends at once, and nobody can use the connection again.
	interrupt func()
	heeds     <-chan struct{} // of the context whose end interrupts, nil for none
	unheed    func() bool
	private   bool            // nothing of an answer's body is kept
	kept      bool            // a request before has been answered on it
	since     time.Time       // when it began to wait
	control   syscall.RawConn // of the socket; nil where it has none
	look      func(fd uintptr)
	seen      sight // what look saw last
	one       [1]byte
	question  question
}

// sight is what has come on a connection on which nothing is asked.
type sight int

const (
	quiet  sight = iota // nothing, as it should be
	spoke               // bytes that are no answer to anything
	closed              // the end, or an error
)

func newConn(socket net.Conn) *conn {
	c := &conn{socket: socket, stream: socket}
	// The error of closing what is given up anyway changes nothing.
	c.interrupt = func() { _ = socket.Close() }
	c.look = func(fd uintptr) { c.seen = glance(fd, c.one[:]) }
	if s, ok := socket.(syscall.Conn); ok {
		// An error is met again by who uses the socket.
		c.control, _ = s.SyscallConn()
	}
	c.question.step = c.step
	if c.control != nil && asks {
		c.question.socket = socket
	}
	return c
}

// heed makes the end of ctx interrupt the connection, until another context is
// heeded: the attempts of a lane share one, and to begin and end that for each costs
// more than making its request. It gives false where an interrupt is on its way.
func (c *conn) heed(ctx context.Context) bool {
	done := ctx.Done()
	if done == c.heeds {
		return true
	}
	if c.unheed != nil && !c.unheed() {
		return false
	}
	c.heeds, c.unheed = done, nil
	if done != nil {
		c.unheed = context.AfterFunc(ctx, c.interrupt)
	}
	return true
}

// drop gives the connection up.
func (c *conn) drop() {
	if c.unheed != nil {
		c.unheed()
	}
	c.interrupt()
}

// check looks what has come on a connection on which nothing is asked, without
// waiting. The connection may be used only when it is quiet: the next answer
// would begin with what came.
func (c *conn) check() sight {
	if c.stream != c.socket {
		// Some of it may be in the TLS layer's buffer. A deadline that has passed
		// keeps it from going on to the socket.
		if err := c.socket.SetReadDeadline(past); err != nil {
			return closed
		}
		n, err := c.stream.Read(c.one[:])
		switch {
		case n > 0:
			return spoke
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return closed
		}
	}
	if c.control == nil {
		return quiet
	}
	if err := c.control.Control(c.look); err != nil {
		return closed
	}
	return c.seen
}

var past = time.Unix(1, 0)

// errGone is a kept connection on which nothing was sent, since it is of no use any
// more.
var errGone = errors.New("the connection that was kept is gone")

// errUnasked is a receiver that spoke first.
var errUnasked = errors.New("something came before the request was sent")

// exchange is one request and its answer. Attempts take it from a pool: it holds
// the buffers.
type exchange struct {
	out   []byte // head of the request, and a small body behind it
	apart []byte // a larger body: the delivery's own slice, or that of zipped
	// headSize is how much of out is the head, and sent all of the body.
	headSize int
	sent     []byte
	zipped   bytes.Buffer // of a compressed body
	reader
	written chan error // of capacity 1: how writing a larger body ended

	stage        stage
	came         bool // the first byte of an answer
	private      bool // nothing of an answer is to be told
	wrote, first time.Time
	phases       Phases
}

// stage is how far an attempt came.
type stage int

const (
	connecting stage = iota
	handshaking
	connected
)

const (
	// maxJoined is up to which size in bytes head and body are one write. Any
	// socket takes that much at once, so that nothing can be answered before
	// it is written.
	maxJoined = 16 << 10
	// maxPooled bounds the buffers that are kept between attempts.
	maxPooled = 64 << 10
	// lateWrite is how long a written body may take to be known as such after
	// its answer.
	lateWrite = 50 * time.Millisecond
)

var exchanges = sync.Pool{New: func() any {
	return &exchange{reader: reader{in: bufio.NewReaderSize(nil, 4<<10)}, written: make(chan error, 1)}
}}

func newExchange() *exchange { return exchanges.Get().(*exchange) }

// free gives it back. Nobody may use it, or what it refers to, any more.
func (x *exchange) free() {
	if cap(x.out) > maxPooled || x.zipped.Cap() > maxPooled || cap(x.long) > maxPooled || cap(x.value) > maxPooled {
		return
	}
	x.in.Reset(nil)
	x.out, x.apart, x.sent = x.out[:0], nil, nil
	x.stage, x.came, x.private, x.phases = connecting, false, false, Phases{}
	exchanges.Put(x)
}

// run sends the request on c and reads the answer, until the deadline, if there
// is one, or until ctx ends. It reports whether c can take another request.
func (x *exchange) run(ctx context.Context, c *conn, deadline time.Time, o *Outcome) (keep bool, err error) {
	x.stage = connected
	// Also where there is none: an earlier attempt's would still count.
	if err := c.socket.SetDeadline(deadline); err != nil {
		return false, err
	}
	// Not before the deadline is set: where c is closed, it stays so.
	if !c.heed(ctx) {
		return false, errGone
	}
	switch {
	case x.apart == nil && c.asks():
		keep, err = x.ask(c, o)
	case c.kept && c.asks() && c.check() != quiet: // of the others idle has looked
		return false, errGone
	case !c.kept && c.stream == c.socket && c.check() == spoke: // after a handshake it may be TLS's own
		return false, errUnasked
	case x.apart != nil:
		x.reset(c.stream)
		keep, err = x.both(c, o)
	default:
		x.reset(c.stream)
		// Where writing fails there may be an answer all the same, such as 413.
		_, failed := c.stream.Write(x.out)
		x.wrote = time.Now()
		if keep, err = x.read(o); err != nil {
			err = errors.Join(err, failed)
		}
		keep = keep && failed == nil
	}
	if ctx.Err() != nil { // the interrupt is on its way
		keep = false
	}
	if x.private = c.private; x.private {
		o.Body = nil
	}
	if x.first.After(x.wrote) { // an answer may come before the request is out
		x.phases.FirstByte = x.first.Sub(x.wrote)
	}
	return keep, err
}

// both writes a larger body while the answer is read: it may come early, from a
// receiver that does not read on.
func (x *exchange) both(c *conn, o *Outcome) (keep bool, err error) {
	var wrote time.Time
	go func() {
		parts := net.Buffers{x.out, x.apart}
		_, err := parts.WriteTo(c.stream)
		wrote = time.Now()
		x.written <- err
	}()
	keep, err = x.read(o)
	if keep {
		late := time.NewTimer(lateWrite)
		defer late.Stop()
		select {
		case failed := <-x.written:
			x.wrote = wrote
			return failed == nil, err
		case <-late.C:
		}
	}
	c.interrupt()
	failed := <-x.written // the body is the caller's: nobody may read it after this
	x.wrote = wrote
	if err != nil {
		err = errors.Join(err, failed)
	}
	return false, err
}

// read reads the answer and settles the outcome by it.
func (x *exchange) read(o *Outcome) (keep bool, err error) {
	x.came, x.first = false, time.Time{}
	if _, err := x.in.Peek(1); err != nil {
		return false, err
	}
	x.came, x.first = true, time.Now()
	a, err := x.head()
	if err != nil {
		return false, err
	}
	o.Status = a.status
	if a.status == http.StatusSwitchingProtocols {
		return false, errSwitched
	}
	body, whole, err := x.body(a)
	o.Body = body
	if err != nil {
		return false, err
	}
	o.settle(a, whole)
	// What came behind the answer would be taken for the next one.
	return a.keep && whole && x.in.Buffered() == 0, nil
}
