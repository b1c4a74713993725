package attempt

import (
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

	"github.com/weirhq/weir/router/attempt/sign"
	"github.com/weirhq/weir/router/config"
)

func init() {
	register("http", openHTTP)
	register("https", openHTTP)
}

// Headers of the protocol besides those of package sign.
const (
	headerEvent   = "X-Webhook-Event"
	headerAttempt = "X-Webhook-Attempt"
	headerReplay  = "X-Webhook-Replay"
)

// httpSender posts deliveries. It keeps connections of its own: a receiver that
// misbehaves uses up no other's.
type httpSender struct {
	url           *url.URL // without user and password
	host          string   // for messages
	authorization string   // of the URL's user, or empty
	header        http.Header
	timeout       time.Duration
	signers       []sign.Signer
	transport     *http.Transport
}

func openHTTP(c *config.Destination, _ Options) (Sender, error) {
	if c.Parsed.Host == "" {
		return nil, errors.New("the URL has no host")
	}
	signers, err := sign.ForSecret(c.Secret.Reveal())
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	target := *c.Parsed
	target.User, target.Fragment = nil, ""
	s := &httpSender{
		url: &target, host: target.Host, header: http.Header{},
		timeout: c.Timeout, signers: signers,
	}
	if u := c.Parsed.User; u != nil {
		password, _ := u.Password()
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(u.Username(), password)
		s.authorization = r.Header.Get("Authorization")
	}
	for _, f := range c.Headers {
		if reserved(f.Name) {
			return nil, fmt.Errorf("headers: %q is set by Weir itself", f.Name)
		}
		if err := checkField(f.Name, f.Value); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		s.header.Add(f.Name, f.Value)
	}
	concurrency := max(c.Concurrency, 1)
	s.transport = &http.Transport{
		// Of the environment: this destination is the operator's own.
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:           concurrency,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: MaxHeader,
		DisableCompression:     true,
		// HTTP/1.1 only: an empty map is how net/http is told so.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	return s, nil
}

func (s *httpSender) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

func (s *httpSender) Send(ctx context.Context, d *Delivery) Outcome {
	o := Outcome{Started: time.Now().UTC()}
	request, err := s.request(d)
	if err != nil {
		o.Reason, o.Error = ReasonConfig, err.Error()
		return o
	}
	timed := ctx
	if s.timeout > 0 {
		var cancel context.CancelFunc
		timed, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	watch := &stopwatch{}
	// The transport alone: a client would follow redirects, and puts the whole
	// URL into its errors.
	response, err := s.transport.RoundTrip(request.WithContext(watch.trace(timed)))
	if err == nil {
		o.Status = response.StatusCode
		var whole bool
		o.Body, whole, err = readBody(response.Body)
		if err == nil {
			o.settle(response, whole)
		}
	}
	o.Latency = time.Since(o.Started)
	o.Phases = watch.phases()
	if err != nil {
		o.Reason = s.reason(ctx, err, watch)
		o.Error = s.explain(&o, err, watch)
	}
	return o
}

// request builds the request of an attempt. What the protocol sets comes last,
// so that it wins over what destination and plugins set.
func (s *httpSender) request(d *Delivery) (*http.Request, error) {
	body := bytes.NewReader(d.Body)
	r := &http.Request{
		Method: http.MethodPost, URL: s.url, Host: s.url.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        make(http.Header, len(s.header)+len(d.Header)+12),
		ContentLength: int64(len(d.Body)),
		Body:          io.NopCloser(body),
		GetBody: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(d.Body)), nil
		},
	}
	if len(d.Body) == 0 {
		r.Body = http.NoBody
	}
	for name, values := range s.header {
		r.Header[name] = values
	}
	if s.authorization != "" && r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", s.authorization)
	}
	for i, f := range d.Header {
		if reserved(f.Name) || strings.EqualFold(f.Name, "authorization") {
			continue // the plugin host refuses these already
		}
		if err := checkField(f.Name, f.Value); err != nil {
			return nil, fmt.Errorf("set by a plugin: %w", err)
		}
		name := http.CanonicalHeaderKey(f.Name)
		if !setBefore(d, i) {
			delete(r.Header, name) // the plugin's hides the destination's
		}
		r.Header[name] = append(r.Header[name], f.Value)
	}
	for _, f := range [...]struct{ name, value string }{
		{"Content-Type", d.ContentType},
		{headerEvent, d.EventType},
		{headerReplay, d.Replay},
		{sign.HeaderID, d.WebhookID},
	} {
		if f.value == "" {
			continue
		}
		if err := checkField(f.name, f.value); err != nil {
			return nil, err
		}
		r.Header.Set(f.name, f.value)
	}
	r.Header.Set("User-Agent", UserAgent)
	r.Header.Set(headerAttempt, strconv.Itoa(d.Number))
	r.Header.Set(sign.HeaderTimestamp, strconv.FormatInt(d.Time.Unix(), 10))
	for _, signer := range s.signers {
		signer.Sign(r.Header, sign.Message{ID: d.WebhookID, Time: d.Time, Body: d.Body})
	}
	// A receiver may close a kept connection just when it is used again. With
	// this key net/http sends the request once more, on another connection, when
	// it failed on a kept one before any answer. An empty list sends no header.
	if _, ok := r.Header["Idempotency-Key"]; !ok {
		r.Header["Idempotency-Key"] = []string{}
	}
	return r, nil
}

// setBefore reports whether an earlier field of the plugins has the name of
// field i.
func setBefore(d *Delivery, i int) bool {
	for _, f := range d.Header[:i] {
		if strings.EqualFold(f.Name, d.Header[i].Name) {
			return true
		}
	}
	return false
}

// reserved reports whether a header is the protocol's or the connection's.
func reserved(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "content-type", "content-length", "user-agent", "host",
		"connection", "keep-alive", "proxy-connection", "proxy-authorization",
		"transfer-encoding", "te", "trailer", "upgrade", "expect":
		return true
	}
	return strings.HasPrefix(name, "webhook-") || strings.HasPrefix(name, "x-webhook-")
}

// checkField refuses what would break out of a header line. It does not show
// the value, which may be a credential.
func checkField(name, value string) error {
	if name == "" {
		return errors.New("a header has no name")
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; !tokenChar(c) {
			return fmt.Errorf("%q is no name of a header", name)
		}
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value of the header %q holds a control character", name)
		}
	}
	return nil
}

// tokenChar reports whether c may stand in a header's name (RFC 9110, token).
func tokenChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// readBody reads to the end of an answer, or to the limit: then whole is false
// and the connection is closed rather than used again.
func readBody(r io.ReadCloser) (kept []byte, whole bool, err error) {
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(r, MaxKeptBody)); err != nil {
		return b.Bytes(), false, errors.Join(errBody{err}, r.Close())
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, MaxReadBody-MaxKeptBody+1))
	if err != nil {
		return b.Bytes(), false, errors.Join(errBody{err}, r.Close())
	}
	// Closing after the answer is known can't change it.
	_ = r.Close()
	return b.Bytes(), n <= MaxReadBody-MaxKeptBody, nil
}

// settle decides by a whole answer.
func (o *Outcome) settle(r *http.Response, whole bool) {
	o.OK = r.StatusCode >= 200 && r.StatusCode < 300
	switch {
	case !o.OK:
		o.Reason = ReasonStatus
		o.Error = "the receiver answered " + strings.TrimSpace(strconv.Itoa(r.StatusCode)+" "+http.StatusText(r.StatusCode))
		if r.StatusCode >= 300 && r.StatusCode < 400 {
			o.Error += "; redirects are not followed"
		}
	case !whole:
		o.Reason = ReasonTooLarge
	}
	o.Gone = r.StatusCode == http.StatusGone
	o.RetryAfter = retryAfter(r.Header.Get("Retry-After"), time.Now())
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
