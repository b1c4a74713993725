package attempt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/router/attempt/guard"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
)

func init() {
	register("http", openHTTP)
	register("https", openHTTP)
}

// httpSender posts deliveries in HTTP/1.1. It keeps connections of its own: a
// receiver that misbehaves uses up no other's.
//
// The exchange is our own, in request.go, conn.go and answer.go. net/http's
// client hands each POST between three goroutines and allocates a hundred times.
// fasthttp's is as cheap as this one, but no context cuts it short, it needs a
// buffer of MaxHeader for each answer, keeps nothing of a body beyond its limit,
// writes the whole request before it looks for an answer, takes a body that was
// reset in the middle for a whole one, and uses a connection again on which
// something has come that nobody asked for.
//
// A successful attempt on a kept connection starts no goroutine, but for a body
// beyond maxJoined.
type httpSender struct {
	host    string // for messages
	address string // of the receiver: host and port
	url     *url.URL
	guard   *guard.Guard // nil: it may point anywhere

	tls          bool
	serverName   string
	roots        *x509.CertPool // nil: the system's
	certificates []tls.Certificate
	proxy        *proxy // nil: none

	prelude    []byte
	fields     []event.Field // of the destination, with canonical names
	forward    []string      // patterns of the event's headers
	tokens     *tokens       // nil: what authorizes is among the fields, if anything
	compressed bool
	signers    []sign.Signer
	signatures []string // headers of signers that are not reserved

	timeout time.Duration // 0: none
	idle    idle
	http2   *http2Client // nil: HTTP/1.1 only
}

func openHTTP(c *config.Destination, o Options) (Sender, error) {
	if c.Parsed.Host == "" {
		return nil, errors.New("the URL has no host")
	}
	s := &httpSender{
		host: c.Parsed.Host, url: c.Parsed, guard: o.Guard, tls: c.Parsed.Scheme == "https",
		timeout: c.Timeout, forward: c.ForwardHeaders, compressed: c.Compress, idle: idle{most: max(c.Concurrency, 1)},
	}
	var err error
	if s.signers, err = Signers(c); err != nil {
		return nil, err
	}
	if len(o.Signers) > 0 {
		s.signers = o.Signers
	}
	for _, x := range c.Sign {
		s.signatures = append(s.signatures, x.Header)
	}
	if s.address, err = address(c.Parsed); err != nil {
		return nil, errors.New("the URL's host is no name")
	}
	if err := s.trust(c.TLS); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if err := s.through(c); err != nil {
		return nil, err
	}
	forwarded := s.proxy.forwards(s)
	if s.prelude, err = prelude(c.Parsed, forwarded); err != nil {
		return nil, err
	}
	if forwarded && s.proxy.authorization != "" {
		s.prelude = appendField(s.prelude, "Proxy-Authorization", s.proxy.authorization)
	}
	for _, f := range c.Headers {
		// What only plugins must not set, the configuration may.
		if event.ReservedHeader(f.Name) && !strings.EqualFold(f.Name, "authorization") || s.signs(f.Name) {
			return nil, fmt.Errorf("headers: %q is set by Weir itself", f.Name)
		}
		if err := checkField(f.Name, f.Value); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		s.fields = append(s.fields, event.Field{Name: http.CanonicalHeaderKey(f.Name), Value: f.Value})
	}
	if err := s.authorize(c); err != nil {
		return nil, err
	}
	if c.HTTP2 && s.tls {
		s.http2 = newHTTP2(s, c.Concurrency)
	}
	return s, nil
}

// trust takes over what a destination says of TLS.
func (s *httpSender) trust(t *config.ClientTLS) error {
	host, _, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	s.serverName = host
	if t == nil {
		return nil
	}
	if t.ServerName != "" {
		s.serverName = t.ServerName
	}
	if s.roots, s.certificates, err = credentials(t); err != nil {
		return err
	}
	return nil
}

// credentials reads the PEM of a tls block: nil for the system's roots.
func credentials(t *config.ClientTLS) (roots *x509.CertPool, own []tls.Certificate, err error) {
	if len(t.CA) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(t.CA) {
			return nil, nil, errors.New("no certificate in ca")
		}
	}
	if len(t.Cert) > 0 {
		pair, err := tls.X509KeyPair(t.Cert, []byte(t.Key.Reveal()))
		if err != nil {
			return nil, nil, errors.New("cert and key do not belong together")
		}
		own = []tls.Certificate{pair}
	}
	return roots, own, nil
}

// through picks the proxy: the destination's own, or that of the environment where
// the destination is the operator's.
func (s *httpSender) through(c *config.Destination) (err error) {
	switch {
	case c.Proxy != nil:
		if s.proxy, err = newProxy(c.Proxy); err != nil {
			return fmt.Errorf("proxy: there is %w", err)
		}
	case s.guard == nil && !c.Direct:
		s.proxy, err = environmentProxy(c.Parsed)
	}
	return err
}

func (s *httpSender) Close() error {
	s.idle.close()
	if s.http2 != nil {
		s.http2.close()
	}
	if s.tokens != nil {
		s.tokens.release()
	}
	return nil
}

func (s *httpSender) Send(ctx context.Context, d *Delivery) Outcome {
	o := Outcome{Started: time.Now().UTC()}
	x := newExchange()
	defer x.free()
	var deadline time.Time
	if s.timeout > 0 {
		deadline = o.Started.Add(s.timeout)
	}
	err := s.attempt(ctx, x, d, deadline, &o)
	o.Latency = time.Since(o.Started)
	o.Phases = x.phases
	if err != nil {
		o.Reason = s.reason(ctx, err, x.stage)
		if s.guard != nil {
			err = anonymous(err, x.private)
		}
		o.Error = s.explain(&o, err, x.stage)
	}
	return o
}

// attempt sends a delivery: once, or where the receiver does not take the token,
// once more with a new one.
func (s *httpSender) attempt(ctx context.Context, x *exchange, d *Delivery, deadline time.Time, o *Outcome) error {
	for first := true; ; first = false {
		token, authorization := "", ""
		if s.tokens != nil {
			var err error
			if token, authorization, err = s.tokens.get(ctx, deadline); err != nil {
				return err
			}
		}
		if err := s.request(x, d, authorization); err != nil {
			return errRequest{err}
		}
		var err error
		if s.http2 != nil {
			err = s.http2.try(ctx, x, deadline, o)
		} else {
			err = s.try(ctx, x, deadline, o)
		}
		if err != nil || s.tokens == nil || o.Status != http.StatusUnauthorized || !first {
			return err
		}
		s.tokens.drop(token)
		*o = Outcome{Started: o.Started}
	}
}

// errRequest is a delivery that can't be made into a request.
type errRequest struct{ err error }

func (e errRequest) Error() string { return e.err.Error() }
func (e errRequest) Unwrap() error { return e.err }

// try sends what x holds. A receiver may close a kept connection just when it is
// used again: then, as long as nothing of an answer has come, the request is sent
// once more, on a new connection.
func (s *httpSender) try(ctx context.Context, x *exchange, deadline time.Time, o *Outcome) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := s.idle.take()
	for {
		if c == nil {
			if c, err = s.dial(ctx, deadline, x); err != nil {
				return err
			}
		}
		keep, err := x.run(ctx, c, deadline, o)
		if keep {
			s.idle.give(c)
		} else {
			c.drop()
		}
		if errors.Is(err, errGone) {
			c = s.idle.take()
			continue
		}
		stale := err != nil && c.kept && !x.came && ctx.Err() == nil && !errors.Is(err, os.ErrDeadlineExceeded)
		if !stale {
			return err
		}
		c = nil
	}
}

// cutBetweenCharacters drops the beginning of a character at the end of b, where
// all before it is UTF-8. Other bytes stay as they are.
func cutBetweenCharacters(b []byte) []byte {
	for size := 1; size < utf8.UTFMax && size <= len(b); size++ {
		start := len(b) - size
		if !utf8.RuneStart(b[start]) {
			continue
		}
		if !utf8.FullRune(b[start:]) && utf8.Valid(b[:start]) {
			return b[:start]
		}
		break
	}
	return b
}

// settle decides by a whole answer.
func (o *Outcome) settle(a answer, whole bool) {
	o.OK = a.status >= 200 && a.status < 300
	switch {
	case !o.OK:
		o.Reason = ReasonStatus
		o.Error = "the receiver answered " + status(a.status)
		if a.status >= 300 && a.status < 400 {
			o.Error += "; redirects are not followed"
		}
	case !whole:
		o.Reason = ReasonTooLarge
	}
	o.Gone = a.status == http.StatusGone
	if a.retryAfter != "" {
		o.RetryAfter = retryAfter(a.retryAfter, time.Now())
	}
}

// retryAfter reads both forms of the header: seconds, and a date.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	var wait time.Duration
	if digits(value) {
		n, err := strconv.Atoi(value)
		if err != nil || n > int(MaxRetryAfter/time.Second) {
			return MaxRetryAfter
		}
		wait = time.Duration(n) * time.Second
	} else {
		at, err := http.ParseTime(value)
		if err != nil {
			return 0
		}
		wait = at.Sub(now)
	}
	return min(max(wait, 0), MaxRetryAfter)
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
