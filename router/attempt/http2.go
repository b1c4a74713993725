package attempt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"
)

// http2Client does the exchanges of a sender with net/http's transport, which
// speaks HTTP/2 where the receiver agrees to it in the handshake, and else
// HTTP/1.1. Connections are made as for HTTP/1.1: by the same dialer, guard and
// proxies. It costs some times what an exchange of our own costs, and shares one
// connection among all attempts at a time.
type http2Client struct {
	sender    *httpSender
	transport *http.Transport
}

// pingAfter is how long a connection may be silent before it is asked whether it
// is still there.
const pingAfter = 15 * time.Second

func newHTTP2(s *httpSender, concurrency int) *http2Client {
	h := &http2Client{sender: s}
	h.transport = &http.Transport{
		DialTLSContext:         h.dial,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    max(concurrency, 1),
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: MaxHeader,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
	}
	return h
}

func (h *http2Client) close() { h.transport.CloseIdleConnections() }

// noted is the connection below TLS, with what its making has shown.
type noted struct {
	net.Conn
	watch   *stopwatch
	private bool
}

// errDial is a connection that could not be made.
type errDial struct {
	err     error
	stage   stage
	private bool
}

func (e errDial) Error() string { return e.err.Error() }
func (e errDial) Unwrap() error { return e.err }

func (h *http2Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var x exchange
	c, err := h.sender.dial(ctx, time.Time{}, &x)
	if err != nil {
		return nil, errDial{err, x.stage, x.private}
	}
	return c.stream, nil
}

// try sends what x holds, as [httpSender.try].
func (h *http2Client) try(ctx context.Context, x *exchange, deadline time.Time, o *Outcome) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	x.stage = connecting
	t := &exchangeTrace{x: x}
	request, err := h.request(httptrace.WithClientTrace(ctx, t.hooks()), x)
	if err != nil {
		return errRequest{err}
	}
	answer, err := h.transport.RoundTrip(request)
	t.end()
	if err != nil {
		var failed errDial
		if errors.As(err, &failed) {
			x.stage, x.private = failed.stage, failed.private
			return failed.err
		}
		return plainHTTP2(err)
	}
	err = h.read(x, answer, o)
	if closing := answer.Body.Close(); err == nil {
		err = closing
	}
	if x.private {
		o.Body = nil
	}
	return plainHTTP2(err)
}

// request makes net/http's form of the request in x. Its body is a copy: the
// transport may read it after an early answer.
func (h *http2Client) request(ctx context.Context, x *exchange) (*http.Request, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(x.out[:x.headSize])))
	if err != nil {
		return nil, fmt.Errorf("the request is malformed: %w", err)
	}
	u := *h.sender.url
	u.User, u.Fragment = nil, ""
	body := bytes.Clone(x.sent)
	r = r.WithContext(ctx)
	r.URL, r.RequestURI = &u, ""
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return r, nil
}

func (h *http2Client) read(x *exchange, a *http.Response, o *Outcome) error {
	o.Status = a.StatusCode
	if a.StatusCode == http.StatusSwitchingProtocols {
		return errSwitched
	}
	x.reset(a.Body)
	body, whole, err := x.body(answer{length: untilClose})
	o.Body = body
	if err != nil {
		return err
	}
	o.settle(answer{status: a.StatusCode, retryAfter: a.Header.Get("Retry-After")}, whole)
	return nil
}

// plainHTTP2 puts what the transport says into the errors that reasons are made
// of: it exports few of its own.
func plainHTTP2(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "response header list larger"), strings.Contains(text, "server response headers exceeded"):
		return errHead
	case strings.Contains(text, "stream error"), strings.Contains(text, "GOAWAY"), strings.Contains(text, "server closed"),
		strings.Contains(text, "client connection lost"), strings.Contains(text, "http2: client conn"):
		return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return err
}

// exchangeTrace notes the phases of an exchange. The transport may call it after
// the exchange has ended.
type exchangeTrace struct {
	mu           sync.Mutex
	x            *exchange // nil once it has ended
	wrote, first time.Time
}

func (t *exchangeTrace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			t.note(func(x *exchange) {
				x.stage = connected
				over, ok := info.Conn.(*tls.Conn)
				if !ok {
					return
				}
				n, ok := over.NetConn().(*noted)
				if !ok {
					return
				}
				x.private = n.private
				if !info.Reused {
					x.phases = n.watch.phases()
				}
			})
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { t.note(func(*exchange) { t.wrote = time.Now() }) },
		GotFirstResponseByte: func() { t.note(func(*exchange) { t.first = time.Now() }) },
	}
}

func (t *exchangeTrace) note(f func(*exchange)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.x != nil {
		f(t.x)
	}
}

func (t *exchangeTrace) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first.After(t.wrote) && !t.wrote.IsZero() {
		t.x.phases.FirstByte = t.first.Sub(t.wrote)
	}
	t.x = nil
}
