package attempt

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// question is an exchange on a connection without TLS, up to the first bytes of the
// answer, in the fewest system calls: look whether something came that nobody asked
// for, write, wait, read. Package net tries to read before it waits, which never
// succeeds here: the request has just gone.
//
// It looks and writes in one turn of the poller, after that has forgotten what was
// ready before: so whatever comes after the look ends the wait.
type question struct {
	socket net.Conn // whose stream may be asked; nil where this is not possible
	step   func(fd uintptr) bool

	due    bool // it is to be asked, by the first read
	state  questionState
	out    []byte
	in     []byte
	n      int   // written, then read
	err    error // of reading
	wrote  time.Time
	failed error // of writing
}

type questionState int

const (
	toLook questionState = iota
	toRead
	hasRead
)

// asks reports whether exchanges on the connection are questions.
func (c *conn) asks() bool { return c.question.socket != nil && c.stream == c.question.socket }

// ask sends the request on c and reads the answer, as run.
func (x *exchange) ask(c *conn, o *Outcome) (keep bool, err error) {
	q := &c.question
	q.due, q.state, q.out, q.failed = true, toLook, x.out, nil
	x.reset(c)
	keep, err = x.read(o)
	if x.wrote = q.wrote; q.failed != nil {
		keep = false
		if err != nil {
			err = errors.Join(err, q.failed)
		}
	}
	q.out, q.in, q.err = nil, nil, nil
	return keep, err
}

// Read reads the answer. The first call writes the request before.
func (c *conn) Read(b []byte) (int, error) {
	q := &c.question
	if !q.due {
		return c.stream.Read(b)
	}
	q.due, q.in, q.n = false, b, 0
	err := c.control.Read(q.step)
	switch {
	case err != nil:
		return 0, err
	case q.state == hasRead:
		return q.n, q.err
	case c.seen == spoke && !c.kept:
		return 0, errUnasked
	case c.seen != quiet && c.kept:
		return 0, errGone
	}
	// The socket did not take it whole. There may be an answer all the same, such
	// as 413.
	_, q.failed = c.stream.Write(q.out[q.n:])
	q.wrote = time.Now()
	return c.stream.Read(b)
}

// answer is what a read of the socket gave.
func (c *conn) answer(n int, err error) {
	q := &c.question
	q.state, q.n, q.err = hasRead, max(n, 0), nil
	switch {
	case err != nil:
		q.err = &net.OpError{
			Op: "read", Net: "tcp", Source: c.socket.LocalAddr(), Addr: c.socket.RemoteAddr(), Err: os.NewSyscallError("read", err),
		}
	case n == 0:
		q.err = io.EOF
	}
}
