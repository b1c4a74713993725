package attempt

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
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
	tls     bool
	roots   *x509.CertPool // nil: the system's
	proxy   *proxy         // nil: none
	prelude []byte
	fields  []event.Field // of the destination, with canonical names
	timeout time.Duration // 0: none
	signers []sign.Signer
	idle    idle
}

func openHTTP(c *config.Destination, o Options) (Sender, error) {
	if c.Parsed.Host == "" {
		return nil, errors.New("the URL has no host")
	}
	signers, err := sign.ForSecret(c.Secret.Reveal())
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if len(o.Signers) > 0 {
		signers = o.Signers
	}
	s := &httpSender{
		host: c.Parsed.Host, url: c.Parsed, guard: o.Guard, tls: c.Parsed.Scheme == "https",
		timeout: c.Timeout, signers: signers, idle: idle{most: max(c.Concurrency, 1)},
	}
	if s.address, err = address(c.Parsed); err != nil {
		return nil, errors.New("the URL's host is no name")
	}
	if s.guard == nil { // this destination is the operator's own
		if s.proxy, err = environmentProxy(c.Parsed); err != nil {
			return nil, err
		}
	}
	forwarded := s.proxy.forwards(s)
	if s.prelude, err = prelude(c.Parsed, forwarded); err != nil {
		return nil, err
	}
	if forwarded && s.proxy.authorization != "" {
		s.prelude = appendField(s.prelude, "Proxy-Authorization", s.proxy.authorization)
	}
	authorized := false
	for _, f := range c.Headers {
		authorization := strings.EqualFold(f.Name, "authorization")
		// What only plugins must not set, the configuration may.
		if event.ReservedHeader(f.Name) && !authorization {
			return nil, fmt.Errorf("headers: %q is set by Weir itself", f.Name)
		}
		if err := checkField(f.Name, f.Value); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		authorized = authorized || authorization
		s.fields = append(s.fields, event.Field{Name: http.CanonicalHeaderKey(f.Name), Value: f.Value})
	}
	if c.Parsed.User != nil && !authorized {
		s.fields = append(s.fields, event.Field{Name: "Authorization", Value: basic(c.Parsed.User)})
	}
	return s, nil
}

func (s *httpSender) Close() error {
	s.idle.close()
	return nil
}

func (s *httpSender) Send(ctx context.Context, d *Delivery) Outcome {
	o := Outcome{Started: time.Now().UTC()}
	x := newExchange()
	defer x.free()
	if err := s.request(x, d); err != nil {
		o.Reason, o.Error = ReasonConfig, err.Error()
		return o
	}
	err := s.try(ctx, x, &o)
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

// try sends what x holds. A receiver may close a kept connection just when it is
// used again: then, as long as nothing of an answer has come, the request is sent
// once more, on a new connection.
func (s *httpSender) try(ctx context.Context, x *exchange, o *Outcome) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	var deadline time.Time
	if s.timeout > 0 {
		deadline = o.Started.Add(s.timeout)
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
			c.interrupt()
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
