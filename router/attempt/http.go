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
	"unicode/utf8"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
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
		// What only plugins must not set, the configuration may.
		if event.ReservedHeader(f.Name) && !strings.EqualFold(f.Name, "authorization") {
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
		err = s.read(timed, response, &o)
	}
	o.Latency = time.Since(o.Started)
	o.Phases = watch.phases()
	if err != nil {
		o.Reason = s.reason(ctx, err, watch)
		o.Error = s.explain(&o, err, watch)
	}
	return o
}

// read reads the answer's body within the time that is left. After 101 that body
// is the connection itself, which nobody asked for and no context ends.
func (s *httpSender) read(ctx context.Context, response *http.Response, o *Outcome) error {
	if response.StatusCode == http.StatusSwitchingProtocols {
		return errors.Join(errSwitched, response.Body.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = response.Body.Close() })
	defer stop()
	body, whole, err := readBody(response.Body)
	o.Body = body
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, ctx.Err())
		}
		return err
	}
	o.settle(response, whole)
	return nil
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
		// The plugin host refuses these already: sending without what a plugin
		// meant to send would hide that it did not.
		if event.ReservedHeader(f.Name) {
			return nil, fmt.Errorf("set by a plugin: the header %q is reserved", f.Name)
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

// checkField refuses what would not arrive as it is. It does not show the value,
// which may be a credential.
func checkField(name, value string) error {
	switch {
	case name == "":
		return errors.New("a header has no name")
	case !event.ValidHeaderName(name):
		return fmt.Errorf("%q is no name of a header", name)
	case !event.ValidHeaderValue(value):
		return fmt.Errorf("the value of the header %q holds what a header can't, such as a control character", name)
	}
	return nil
}

// readBody reads to the end of an answer, or to the limit: then whole is false
// and the connection is closed rather than used again.
func readBody(r io.ReadCloser) (kept []byte, whole bool, err error) {
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(r, MaxKeptBody)); err != nil {
		return b.Bytes(), false, errors.Join(errBody{err}, r.Close())
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, MaxReadBody-MaxKeptBody+1))
	kept = b.Bytes()
	if n > 0 {
		kept = cutBetweenCharacters(kept)
	}
	if err != nil {
		return kept, false, errors.Join(errBody{err}, r.Close())
	}
	// Closing after the answer is known can't change it.
	_ = r.Close()
	return kept, n <= MaxReadBody-MaxKeptBody, nil
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
