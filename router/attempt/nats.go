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
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirhq/weir/router/config"
)

func init() { register("nats", openNATS) }

// natsSender publishes deliveries to one subject, with the headers that a POST
// would have. It makes one connection, at its first attempt, and another one at
// the next attempt after that was lost: nothing is tried behind the schedule's
// back.
//
// Where a stream of JetStream keeps the subject, a delivery is done when the
// stream has it; Nats-Msg-Id is the webhook-id, so that the stream keeps it once.
// Else it is done when the server has it, whoever listens.
type natsSender struct {
	maker   *httpSender // makes the headers
	host    string      // for messages
	server  string
	subject string
	stream  string // "true", "false", or "" to find out
	options []nats.Option
	timeout time.Duration

	// gate holds one token: who has it may use what follows. To wait for it ends
	// with the attempt's time, which a connection may take whole.
	gate    chan struct{}
	conn    *nats.Conn
	js      jetstream.JetStream
	streams bool      // whether a stream keeps the subject
	asked   time.Time // when that was found out
	closed  bool
}

// streamsAgain is how long the answer holds whether a stream keeps the subject.
const streamsAgain = time.Minute

func openNATS(c *config.Destination, _ Options) (Sender, error) {
	u := c.Parsed
	if u.Host == "" {
		return nil, errors.New("the URL has no host")
	}
	s := &natsSender{
		gate: make(chan struct{}, 1),
		host: u.Host, subject: strings.TrimPrefix(u.Path, "/"), stream: u.Query().Get("jetstream"), timeout: c.Timeout,
		server: (&url.URL{Scheme: "nats", Host: u.Host}).String(),
	}
	if s.subject == "" {
		return nil, errors.New("the URL has no subject")
	}
	// The head of a request is that of the same destination over HTTP.
	over := *c
	over.Parsed, over.Auth, over.TLS = &url.URL{Scheme: "http", Host: u.Host, Path: "/"}, nil, nil
	over.Direct, over.Proxy, over.HTTP2, over.Compress = true, nil, false, false
	maker, err := openHTTP(&over, Options{})
	if err != nil {
		return nil, err
	}
	s.maker, _ = maker.(*httpSender)
	s.options = []nats.Option{nats.Name(UserAgent), nats.NoReconnect(), nats.DontRandomize()}
	if err := s.authorize(c); err != nil {
		return nil, err
	}
	if c.TLS != nil {
		roots, own, err := credentials(c.TLS)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		name := c.TLS.ServerName
		if name == "" {
			name = u.Hostname()
		}
		s.options = append(s.options, nats.Secure(&tls.Config{ServerName: name, RootCAs: roots, Certificates: own}))
	}
	return s, nil
}

func (s *natsSender) authorize(c *config.Destination) error {
	switch {
	case c.Auth == nil && c.Parsed.User == nil:
	case c.Auth == nil:
		if password, ok := c.Parsed.User.Password(); ok {
			s.options = append(s.options, nats.UserInfo(c.Parsed.User.Username(), password))
		} else {
			s.options = append(s.options, nats.Token(c.Parsed.User.Username()))
		}
	case c.Auth.Kind == "basic":
		s.options = append(s.options, nats.UserInfo(c.Auth.Username, c.Auth.Password.Reveal()))
	case c.Auth.Kind == "bearer":
		s.options = append(s.options, nats.Token(c.Auth.Token.Reveal()))
	default:
		return fmt.Errorf("auth: NATS has no %q", c.Auth.Kind)
	}
	return nil
}

func (s *natsSender) Close() error {
	s.gate <- struct{}{}
	defer s.leave()
	s.closed = true
	if s.conn != nil {
		s.conn.Close()
	}
	return s.maker.Close()
}

func (s *natsSender) Send(ctx context.Context, d *Delivery) Outcome {
	o := Outcome{Started: time.Now().UTC()}
	timed := ctx
	if s.timeout > 0 {
		var cancel context.CancelFunc
		timed, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	err := s.send(timed, d, &o)
	o.Latency = time.Since(o.Started)
	if err == nil {
		o.OK = true
		return o
	}
	o.Reason = s.reason(ctx, err)
	o.Error = s.explain(&o, err)
	return o
}

func (s *natsSender) send(ctx context.Context, d *Delivery, o *Outcome) error {
	message, err := s.message(d)
	if err != nil {
		return errRequest{err}
	}
	conn, js, err := s.ready(ctx, o)
	if err != nil {
		return err
	}
	if js != nil {
		_, err := js.PublishMsg(ctx, message, jetstream.WithMsgID(d.WebhookID), jetstream.WithRetryAttempts(0))
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			s.forget() // the stream is gone since: ask again
		}
		return err
	}
	if err := conn.PublishMsg(message); err != nil {
		return err
	}
	if err := conn.FlushWithContext(ctx); err != nil {
		return err
	}
	return conn.LastError() // such as a permission that it lacks
}

// message is a delivery with its headers, under the names that HTTP has them by.
func (s *natsSender) message(d *Delivery) (*nats.Msg, error) {
	x := newExchange()
	defer x.free()
	if err := s.maker.request(x, d, ""); err != nil {
		return nil, err
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(x.out[:x.headSize])))
	if err != nil {
		return nil, fmt.Errorf("the headers are malformed: %w", err)
	}
	r.Header.Del("Content-Length")
	return &nats.Msg{Subject: s.subject, Header: nats.Header(r.Header), Data: d.Body}, nil
}

// ready returns a connection, and JetStream where a stream keeps the subject.
func (s *natsSender) ready(ctx context.Context, o *Outcome) (*nats.Conn, jetstream.JetStream, error) {
	select {
	case s.gate <- struct{}{}:
		defer s.leave()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if s.closed {
		return nil, nil, nats.ErrConnectionClosed
	}
	if s.conn == nil || s.conn.IsClosed() || s.conn.LastError() != nil {
		if s.conn != nil {
			s.conn.Close()
			s.conn = nil
		}
		if err := s.connect(ctx, o); err != nil {
			return nil, nil, err
		}
	}
	switch s.stream {
	case "true":
		return s.conn, s.js, nil
	case "false":
		return s.conn, nil, nil
	}
	if time.Since(s.asked) >= streamsAgain {
		if err := s.ask(ctx); err != nil {
			return nil, nil, err
		}
	}
	if s.streams {
		return s.conn, s.js, nil
	}
	return s.conn, nil, nil
}

// ask finds out whether a stream keeps the subject. Callers have the gate.
func (s *natsSender) ask(ctx context.Context) error {
	_, err := s.js.StreamNameBySubject(ctx, s.subject)
	switch {
	case err == nil:
		s.streams = true
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrJetStreamNotEnabled),
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		s.streams = false
	default:
		return fmt.Errorf("ask for a stream: %w", err)
	}
	s.asked = time.Now()
	return nil
}

func (s *natsSender) forget() {
	s.gate <- struct{}{}
	defer s.leave()
	s.asked = time.Time{}
}

func (s *natsSender) leave() { <-s.gate }

// connect makes the connection. Callers have the gate.
func (s *natsSender) connect(ctx context.Context, o *Outcome) error {
	limit := connectTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	if limit <= 0 {
		return context.DeadlineExceeded
	}
	began := time.Now()
	watch := &stopwatch{}
	options := append(s.options[:len(s.options):len(s.options)], nats.Timeout(limit), nats.SetCustomDialer(natsDialer{watch.trace(ctx)}))
	conn, err := nats.Connect(s.server, options...)
	o.Phases = watch.phases()
	if err != nil {
		if time.Since(began) >= limit {
			return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
		}
		return err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return err
	}
	s.conn, s.js, s.asked = conn, js, time.Time{}
	return nil
}

// natsDialer dials for one connection: an attempt that is cut short ends it.
type natsDialer struct{ ctx context.Context }

func (d natsDialer) Dial(network, address string) (net.Conn, error) {
	return dialer.DialContext(d.ctx, network, address)
}

// reason puts an error into one of the classes. ctx is the caller's, without the
// timeout.
func (s *natsSender) reason(ctx context.Context, err error) string {
	var answered *jetstream.APIError
	var request errRequest
	switch {
	case errors.As(err, &request):
		return ReasonConfig
	case ctx.Err() != nil:
		return ReasonStopped
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return ReasonTimeout
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrPermissionViolation), errors.Is(err, nats.ErrAccountAuthExpired):
		return ReasonAuth
	case errors.Is(err, nats.ErrMaxPayload):
		return ReasonTooLarge
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted), isTLS(err):
		return ReasonTLS
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders), errors.As(err, &answered):
		return ReasonStatus
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrStaleConnection), errors.Is(err, io.EOF):
		return ReasonReset
	case errors.Is(err, nats.ErrBadHeaderMsg), errors.Is(err, nats.ErrHeadersNotSupported), errors.Is(err, nats.ErrBadSubject):
		return ReasonConfig
	}
	return s.maker.reason(ctx, err, connecting)
}

// explain says for people what went wrong.
func (s *natsSender) explain(o *Outcome, err error) string {
	var answered *jetstream.APIError
	switch {
	case o.Reason == ReasonStopped:
		return "the router stopped before the server had it"
	case o.Reason == ReasonTimeout:
		return "no answer in time from " + s.host
	case errors.As(err, &answered):
		return "JetStream at " + s.host + " did not take it: " + shorten(answered.Description) + " (" + strconv.Itoa(answered.Code) + ")"
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return "no stream at " + s.host + " keeps the subject " + s.subject
	case o.Reason == ReasonConfig:
		return err.Error()
	}
	return s.host + ": " + shorten(strings.ToValidUTF8(err.Error(), "?"))
}
