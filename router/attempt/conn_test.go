package attempt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// counted serves each request of each connection by f, until f says that the
// connection ends, and counts both. Connections are numbered from 1, and so are
// the requests of each.
type counted struct {
	connections, requests atomic.Int64
	address               string
}

func serveCounted(t testing.TB, f func(c net.Conn, connection, request int64) bool) *counted {
	t.Helper()
	s := &counted{}
	s.address = raw(t, func(c net.Conn) {
		connection := s.connections.Add(1)
		r := bufio.NewReader(c)
		for request := int64(1); ; request++ {
			if _, _, err := readRequest(r); err != nil {
				return
			}
			s.requests.Add(1)
			if !f(c, connection, request) {
				return
			}
		}
	})
	return s
}

func (s *counted) want(t *testing.T, requests, connections int64) {
	t.Helper()
	if r, c := s.requests.Load(), s.connections.Load(); r != requests || c != connections {
		t.Errorf("%d requests on %d connections, want %d on %d", r, c, requests, connections)
	}
}

func openSender(t testing.TB, target string) *httpSender {
	t.Helper()
	return open(t, destination(t, target)).(*httpSender)
}

func mustSend(t *testing.T, s Sender) Outcome {
	t.Helper()
	o := s.Send(t.Context(), delivery())
	if !o.OK || string(o.Body) != "ok" {
		t.Fatalf("outcome is %+v", o)
	}
	return o
}

// A request that fails on a kept connection is sent once more, on a new one, and
// only where nothing of an answer came and there is time.
func TestResend(t *testing.T) {
	tests := []struct {
		name                  string
		serve                 func(c net.Conn, connection, request int64) bool
		want                  Outcome
		requests, connections int64
	}{
		{"one more", func(c net.Conn, connection, request int64) bool {
			return (connection == 2 || request == 1) && write(c, okAnswer)
		}, Outcome{OK: true, Status: 200}, 3, 2},
		{"once only", func(c net.Conn, connection, request int64) bool {
			return connection == 1 && request == 1 && write(c, okAnswer)
		}, Outcome{Reason: ReasonReset}, 3, 2},
		{"not after the beginning of an answer", func(c net.Conn, connection, request int64) bool {
			if connection == 1 && request == 2 {
				write(c, "HTTP/1.1 2")
				return false
			}
			return write(c, okAnswer)
		}, Outcome{Reason: ReasonReset}, 2, 1},
		{"not after an interim answer", func(c net.Conn, connection, request int64) bool {
			if connection == 1 && request == 2 {
				write(c, "HTTP/1.1 103 Early Hints\r\n\r\n")
				return false
			}
			return write(c, okAnswer)
		}, Outcome{Reason: ReasonReset}, 2, 1},
		{"not when the time is over", func(c net.Conn, connection, request int64) bool {
			if connection == 1 && request == 2 {
				hang(c)
				return false
			}
			return write(c, okAnswer)
		}, Outcome{Reason: ReasonTimeout}, 2, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := serveCounted(t, tt.serve)
			s := openSender(t, "http://"+server.address)
			mustSend(t, s)
			if tt.want.Reason == ReasonTimeout {
				s.timeout = 100 * time.Millisecond
			}
			if o := s.Send(t.Context(), delivery()); o.OK != tt.want.OK || o.Status != tt.want.Status || o.Reason != tt.want.Reason ||
				tt.want.Reason == ReasonTimeout && !strings.Contains(o.Error, "waiting for the answer") {
				t.Errorf("outcome is %+v, want %+v", o, tt.want)
			}
			server.want(t, tt.requests, tt.connections)
		})
	}
}

func write(c net.Conn, text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

// A larger body is sent again whole, too.
func TestResendsLargeBody(t *testing.T) {
	d := delivery()
	d.Body = bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	var connections atomic.Int64
	var got []byte
	address := raw(t, func(c net.Conn) {
		connection := connections.Add(1)
		r := bufio.NewReader(c)
		for request := 1; ; request++ {
			_, body, err := readRequest(r)
			if err != nil || connection == 1 && request == 2 {
				return
			}
			got = body
			write(c, okAnswer)
		}
	})
	s := openSender(t, "http://"+address)
	mustSend(t, s)
	if o := s.Send(t.Context(), d); !o.OK || !bytes.Equal(got, d.Body) || connections.Load() != 2 {
		t.Errorf("outcome is %+v, %d bytes arrived on connection %d", o, len(got), connections.Load())
	}
}

// What a receiver sends beyond its answer must not become the answer to the next
// delivery.
func TestConnectionWithLeftoversIsNotUsedAgain(t *testing.T) {
	const lie = "HTTP/1.1 410 Gone\r\nContent-Length: 3\r\n\r\nlie"
	tests := map[string]struct{ answer, late string }{
		"with the answer":         {okAnswer + lie, ""},
		"a byte with the answer":  {okAnswer + "H", lie[1:]},
		"after the answer":        {okAnswer, lie},
		"after no content":        {"HTTP/1.1 204 No Content\r\n\r\n", lie},
		"behind the last chunk":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + lie, ""},
		"more than the length":    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n", ""},
		"a request's time is out": {okAnswer, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"},
	}
	large := delivery()
	large.Body = bytes.Repeat([]byte("x"), 2*maxJoined)
	for name, tt := range tests {
		for _, of := range []struct {
			secure bool
			next   *Delivery
		}{{false, delivery()}, {false, large}, {true, delivery()}} {
			t.Run(fmt.Sprintf("%s, TLS %v, %d bytes", name, of.secure, len(of.next.Body)), func(t *testing.T) {
				goOn := make(chan struct{})
				var connections atomic.Int64
				serve := func(c net.Conn, r *bufio.Reader) {
					first := connections.Add(1) == 1
					for {
						if _, _, err := readRequest(r); err != nil {
							return
						}
						if !first {
							write(c, okAnswer)
							continue
						}
						write(c, tt.answer)
						select {
						case <-goOn:
						case <-t.Context().Done():
							return
						}
						write(c, tt.late)
						goOn <- struct{}{}
					}
				}
				s := rawSender(t, of.secure, serve)
				if o := s.Send(t.Context(), delivery()); !o.OK {
					t.Fatalf("first: %+v", o)
				}
				waiting := s.idle.conns
				goOn <- struct{}{}
				<-goOn
				if tt.late != "" && len(waiting) > 0 {
					arrived(t, waiting[0])
				}
				if o := s.Send(t.Context(), of.next); !o.OK || string(o.Body) != "ok" {
					t.Errorf("next: %+v", o)
				}
				if n := connections.Load(); n != 2 {
					t.Errorf("%d connections", n)
				}
			})
		}
	}
}

// A socket that takes a request in pieces gets it whole all the same.
func TestSocketTakesARequestInPieces(t *testing.T) {
	d := delivery()
	d.Body = bytes.Repeat([]byte("0123456789abcdef"), 900)
	var got atomic.Value
	s := openSender(t, "http://"+raw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			_, body, err := readRequest(r)
			if err != nil {
				return
			}
			got.Store(body)
			write(c, okAnswer)
		}
	}))
	mustSend(t, s)
	c := s.idle.conns[0]
	if err := c.socket.(*net.TCPConn).SetWriteBuffer(1); err != nil { // the kernel's least
		t.Fatal(err)
	}
	for range 3 {
		if o := s.Send(t.Context(), d); !o.OK || !bytes.Equal(got.Load().([]byte), d.Body) {
			t.Fatalf("%+v, %d bytes arrived", o, len(got.Load().([]byte)))
		}
	}
	if len(s.idle.conns) != 1 || s.idle.conns[0] != c {
		t.Error("the connection is not used again")
	}
}

// The end of a context closes the connections that its attempts have used, and no
// other's; what is given up is not held by the context any more.
func TestContextsOfKeptConnections(t *testing.T) {
	server := serveCounted(t, func(c net.Conn, _, _ int64) bool { return write(c, okAnswer) })
	s := openSender(t, "http://"+server.address)
	one, endOne := context.WithCancel(t.Context())
	two, endTwo := context.WithCancel(t.Context())
	defer endTwo()
	send := func(ctx context.Context) {
		t.Helper()
		if o := s.Send(ctx, delivery()); !o.OK {
			t.Errorf("outcome is %+v", o)
		}
	}
	send(one)
	send(one)
	send(two)
	endOne() // the connection is of two's attempt
	send(two)
	server.want(t, 4, 1)
	endTwo()
	mustSend(t, s)
	server.want(t, 5, 2)
	c := s.idle.conns[0]
	hangUp(c)
	if c.unheed() {
		t.Error("the context still holds it")
	}
}

// rawSender is a sender to a server whose connections serve owns, over TLS or
// not.
func rawSender(t *testing.T, secure bool, serve func(net.Conn, *bufio.Reader)) *httpSender {
	t.Helper()
	if !secure {
		return openSender(t, "http://"+raw(t, func(c net.Conn) { serve(c, bufio.NewReader(c)) }))
	}
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	config := server.TLS.Clone()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	server.Close()
	address := raw(t, func(c net.Conn) {
		over := tls.Server(&packed{Conn: c}, config)
		defer over.Close()
		serve(over, bufio.NewReader(over))
	})
	s := openSender(t, "https://"+address)
	s.roots = pool
	return s
}

// arrived waits until something can be read from a connection's socket.
func arrived(t *testing.T, c *conn) {
	t.Helper()
	for n := 0; n <= 0; {
		err := c.control.Control(func(fd uintptr) {
			n, _, _ = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		})
		if err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

// packed is a socket that sends what is written as one piece, when told.
type packed struct {
	net.Conn
	on   bool
	text []byte
}

func (p *packed) Write(b []byte) (int, error) {
	if p.on {
		p.text = append(p.text, b...)
		return len(b), nil
	}
	return p.Conn.Write(b)
}

// A second record may have come with the first: then it is nowhere but in the
// TLS layer's buffer.
func TestLeftoversInsideOfTLS(t *testing.T) {
	var connections atomic.Int64
	s := rawSender(t, true, func(c net.Conn, r *bufio.Reader) {
		first := connections.Add(1) == 1
		socket := c.(*tls.Conn).NetConn().(*packed)
		for {
			if _, _, err := readRequest(r); err != nil {
				return
			}
			socket.on = true
			write(c, okAnswer)
			if first {
				write(c, "HTTP/1.1 410 Gone\r\nContent-Length: 3\r\n\r\nlie")
			}
			socket.on = false
			if _, err := socket.Write(socket.text); err != nil {
				t.Error(err)
			}
			socket.text = nil
		}
	})
	mustSend(t, s)
	mustSend(t, s)
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// An earlier attempt's deadline must not end the next one.
func TestDeadlineOfAnEarlierAttempt(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Minute} {
		server := serveCounted(t, func(c net.Conn, _, _ int64) bool { return write(c, okAnswer) })
		s := openSender(t, "http://"+server.address)
		s.timeout = timeout
		mustSend(t, s)
		if err := s.idle.conns[0].socket.SetDeadline(past); err != nil {
			t.Fatal(err)
		}
		mustSend(t, s)
		server.want(t, 2, 1)
	}
}

// stopsAt is a socket that ends a context just when the last byte of an answer
// has been read.
type stopsAt struct {
	net.Conn
	cancel context.CancelFunc
}

func (c *stopsAt) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.cancel()
	return n, err
}

// The interrupt of an attempt that ended well all the same would hit the next
// one on its connection.
func TestConnectionOfACancelledAttemptIsNotUsedAgain(t *testing.T) {
	server := serveCounted(t, func(c net.Conn, _, _ int64) bool { return write(c, okAnswer) })
	s := openSender(t, "http://"+server.address)
	mustSend(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	c := s.idle.conns[0]
	c.stream = &stopsAt{c.socket, cancel}
	c.socket = c.stream
	if o := s.Send(ctx, delivery()); !o.OK {
		t.Errorf("the answer was whole: %+v", o)
	}
	if n := len(s.idle.conns); n != 0 {
		t.Errorf("%d connections wait", n)
	}
	mustSend(t, s)
	server.want(t, 3, 2)
}

// What an outcome holds is its own.
func TestKeptBodyOutlivesTheAttempt(t *testing.T) {
	answers := map[string]func(text string) string{
		"sized": func(s string) string {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
		},
		"chunked": func(s string) string {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(s), s)
		},
		"closed": func(s string) string { return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + s },
	}
	for name, answer := range answers {
		first, second := strings.Repeat("a", 100), strings.Repeat("b", 100)
		var text atomic.Value
		server := serveCounted(t, func(c net.Conn, _, _ int64) bool { write(c, answer(text.Load().(string))); return name != "closed" })
		s := openSender(t, "http://"+server.address)
		text.Store(first)
		one := s.Send(t.Context(), delivery())
		text.Store(second)
		two := s.Send(t.Context(), delivery())
		if string(one.Body) != first || string(two.Body) != second {
			t.Errorf("%s: kept %q and %q", name, one.Body, two.Body)
		}
	}
}

// A receiver may answer before it has the whole body, and read no more.
func TestEarlyAnswer(t *testing.T) {
	d := delivery()
	d.Body = bytes.Repeat([]byte("x"), 16<<20) // more than the sockets' buffers
	for name, answer := range map[string]string{
		"keeps open":     "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno",
		"says it closes": "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
		"closes":         "HTTP/1.1 413 Too Large\r\n\r\nno",
	} {
		done := make(chan struct{})
		address := raw(t, func(c net.Conn) {
			if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
				t.Error(err)
			}
			write(c, answer)
			if name != "keeps open" {
				c.(*net.TCPConn).CloseWrite()
			}
			<-done
		})
		s := openSender(t, "http://"+address)
		if o := s.Send(t.Context(), d); o.Status != 413 || o.Reason != ReasonStatus || string(o.Body) != "no" {
			t.Errorf("%s: %+v", name, o)
		}
		if n := len(s.idle.conns); n != 0 {
			t.Errorf("%s: a connection with half a request on it waits", name)
		}
		close(done)
	}
}

func TestWaitingConnections(t *testing.T) {
	server := serveCounted(t, func(c net.Conn, _, _ int64) bool { return write(c, okAnswer) })
	s := openSender(t, "http://"+server.address)
	s.idle.most = 2
	var held []*conn
	for range 3 { // three at a time
		x := newExchange()
		c, err := s.dial(t.Context(), time.Time{}, x)
		if err != nil {
			t.Fatal(err)
		}
		x.free()
		held = append(held, c)
	}
	for _, c := range held {
		s.idle.give(c)
	}
	if n := len(s.idle.conns); n != 2 {
		t.Fatalf("%d connections wait, want 2", n)
	}
	if held[2].check() != closed {
		t.Error("one too many stays open")
	}
	now := time.Now()
	held[0].since = now.Add(-idleTimeout)
	s.idle.sweep(now)
	if n := len(s.idle.conns); n != 1 || held[0].check() != closed || held[1].check() != quiet || s.idle.timer == nil {
		t.Fatalf("%d connections wait after the first one's time, want 1", n)
	}
	s.idle.sweep(now.Add(idleTimeout))
	if n := len(s.idle.conns); n != 0 || held[1].check() != closed || s.idle.timer != nil {
		t.Fatalf("%d connections wait after all their time, or a timer runs", n)
	}
	mustSend(t, s)
	c := s.idle.conns[0]
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c.check() != closed || s.idle.timer != nil {
		t.Error("something is held after Close")
	}
	mustSend(t, s) // a straggler
	if n := len(s.idle.conns); n != 0 || s.idle.timer != nil {
		t.Errorf("%d connections wait after Close", n)
	}
}

func TestSweepDropsWhatTheReceiverClosed(t *testing.T) {
	gone := make(chan struct{})
	server := serveCounted(t, func(c net.Conn, _, _ int64) bool {
		write(c, okAnswer)
		<-gone
		return false
	})
	s := openSender(t, "http://"+server.address)
	mustSend(t, s)
	c := s.idle.conns[0]
	s.idle.sweep(time.Now())
	if len(s.idle.conns) != 1 {
		t.Fatal("a connection that may be used is dropped")
	}
	close(gone)
	for c.check() != closed {
		time.Sleep(time.Millisecond)
	}
	s.idle.sweep(time.Now())
	if len(s.idle.conns) != 0 || s.idle.timer != nil {
		t.Error("a connection that the receiver closed still waits")
	}
}

func TestTLSConnectionsAreKept(t *testing.T) {
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || r.TLS == nil {
			t.Errorf("%s", r.Proto)
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.EnableHTTP2 = true // it is not asked for
	server.StartTLS()
	t.Cleanup(server.Close)
	s := openSender(t, strings.Replace(server.URL, "127.0.0.1", "example.com", 1))
	s.roots = x509.NewCertPool()
	s.roots.AddCert(server.Certificate())
	s.address = server.Listener.Addr().String() // whose address the certificate has, too
	first := mustSend(t, s)
	if first.Phases.TLS <= 0 || first.Phases.Connect <= 0 || first.Phases.FirstByte <= 0 {
		t.Errorf("first: %+v", first.Phases)
	}
	d := delivery()
	d.Body = bytes.Repeat([]byte("x"), 1<<20)
	if o := s.Send(t.Context(), d); !o.OK || o.Phases.TLS != 0 || o.Phases.Connect != 0 {
		t.Errorf("second: %+v", o)
	}
	mustSend(t, s)
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	other := openSender(t, strings.Replace(server.URL, "127.0.0.1", "localhost", 1))
	other.roots = s.roots
	if o := other.Send(t.Context(), delivery()); o.Reason != ReasonTLS || !strings.Contains(o.Error, "localhost") {
		t.Errorf("another host's certificate: %+v", o)
	}
}

// All addresses of a name are tried: this one may have an IPv6 one first, where
// nobody listens.
func TestNameIsResolved(t *testing.T) {
	server := serveCounted(t, func(c net.Conn, _, _ int64) bool { return write(c, okAnswer) })
	_, port, err := net.SplitHostPort(server.address)
	if err != nil {
		t.Fatal(err)
	}
	if o := mustSend(t, openSender(t, "http://localhost:"+port)); o.Phases.DNS <= 0 || o.Phases.Connect <= 0 {
		t.Errorf("phases are %+v", o.Phases)
	}
}

// Whatever an attempt waits for, the end of its context ends it.
func TestCancelInterrupts(t *testing.T) {
	large := delivery()
	large.Body = bytes.Repeat([]byte("x"), 16<<20)
	tests := map[string]struct {
		d      *Delivery
		scheme string
		serve  func(c net.Conn)
	}{
		"the answer":    {delivery(), "http", func(c net.Conn) { readRequest(bufio.NewReader(c)) }},
		"the head":      {delivery(), "http", answering("HTTP/1.1 200 OK\r\nA: ")},
		"the body":      {delivery(), "http", answering("HTTP/1.1 200 OK\r\n\r\nx")},
		"writing":       {large, "http", func(c net.Conn) { io.ReadFull(c, make([]byte, 100)) }},
		"the handshake": {delivery(), "https", func(c net.Conn) { io.ReadFull(c, make([]byte, 1)) }},
	}
	for name, tt := range tests {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		address := raw(t, func(c net.Conn) {
			tt.serve(c)
			cancel()
			<-done
		})
		c := destination(t, tt.scheme+"://"+address)
		c.Timeout = 0
		if o := open(t, c).Send(ctx, tt.d); o.OK || o.Reason != ReasonStopped {
			t.Errorf("%s: %+v", name, o)
		}
		close(done)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server := serveCounted(t, func(c net.Conn, _, _ int64) bool { return write(c, okAnswer) })
	s := openSender(t, "http://"+server.address)
	for range 3 {
		if o := s.Send(ctx, delivery()); o.Reason != ReasonStopped {
			t.Errorf("ended before: %+v", o)
		}
		mustSend(t, s)
	}
	server.want(t, 3, 1)
}

// A receiver that speaks first answers nothing.
func TestAnswerBeforeTheRequest(t *testing.T) {
	s := openSender(t, "http://"+raw(t, func(c net.Conn) { write(c, okAnswer); hang(c) }))
	x := newExchange()
	defer x.free()
	c, err := s.dial(t.Context(), time.Time{}, x)
	if err != nil {
		t.Fatal(err)
	}
	defer c.interrupt()
	arrived(t, c)
	var o Outcome
	keep, err := x.run(t.Context(), c, time.Time{}, &o)
	if keep || o.OK || s.reason(t.Context(), err, x.stage) != ReasonProtocol || !strings.Contains(s.explain(&o, err, x.stage), "before it had the request") {
		t.Errorf("kept %v, %+v, %v", keep, o, err)
	}
}
