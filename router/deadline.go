package router

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// deadlineSlack is how much earlier than asked for a deadline may come. The server
// asks for 30 seconds at the least.
const deadlineSlack = 3 * time.Second

// patient is a listener whose connections move their deadlines only when they have to.
// The server asks for three new deadlines with each request, and each moves a timer of
// the runtime's, though nearly every request comes in one read and none of them is ever
// late.
type patient struct{ net.Listener }

func (p patient) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newPatientConn(c), nil
}

// patientConn is a connection of a patient listener. It may be used as any net.Conn.
type patientConn struct {
	net.Conn
	read, write deadline
}

func newPatientConn(c net.Conn) *patientConn {
	p := &patientConn{Conn: c}
	p.read.set, p.write.set = c.SetReadDeadline, c.SetWriteDeadline
	return p
}

func (c *patientConn) Read(b []byte) (int, error) {
	c.read.begin()
	defer c.read.end()
	if err := c.read.apply(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *patientConn) Write(b []byte) (int, error) {
	c.write.begin()
	defer c.write.end()
	if err := c.write.apply(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *patientConn) SetReadDeadline(t time.Time) error { return c.read.want(t) }

func (c *patientConn) SetWriteDeadline(t time.Time) error { return c.write.want(t) }

func (c *patientConn) SetDeadline(t time.Time) error {
	if err := c.read.want(t); err != nil {
		return err
	}
	return c.write.want(t)
}

// deadline is one of a connection. What is wanted is made true when it begins to
// matter: before a call that may wait, and while one waits.
type deadline struct {
	set     func(time.Time) error
	wanted  atomic.Int64 // nanoseconds since 1970; 0 is none
	actual  atomic.Int64
	waiting atomic.Int32 // calls that may wait
	mu      sync.Mutex   // held to change actual
}

func (d *deadline) begin() { d.waiting.Add(1) }
func (d *deadline) end()   { d.waiting.Add(-1) }

func (d *deadline) want(t time.Time) error {
	var at int64
	if !t.IsZero() {
		at = max(t.UnixNano(), 1)
	}
	d.wanted.Store(at)
	// Whoever begins to wait now sees what is wanted, or is seen here.
	if d.waiting.Load() == 0 {
		return nil
	}
	return d.apply()
}

func (d *deadline) apply() error {
	if d.holds(d.wanted.Load()) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.wanted.Load()
	if d.holds(at) {
		return nil
	}
	var t time.Time
	if at != 0 {
		t = time.Unix(0, at)
	}
	if err := d.set(t); err != nil {
		return err
	}
	d.actual.Store(at)
	return nil
}

// holds reports whether the actual deadline will do for one at a time: it is never
// later, and hardly earlier.
func (d *deadline) holds(at int64) bool {
	actual := d.actual.Load()
	if at == 0 || actual == 0 {
		return at == actual
	}
	return actual <= at && at-actual <= int64(deadlineSlack)
}
