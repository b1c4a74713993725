// Package receiver is a receiver for development and tests: it takes
// deliveries, checks their signatures, keeps a log of what arrived, and answers
// as it is told. It listens on loopback only.
//
// Invariants: what arrived is in the log file before it is answered, so that a
// router that was killed can be compared with it; a line of the log is written
// whole.
package receiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/sign"
)

// tolerance is how far webhook-timestamp may be from now.
const tolerance = 5 * time.Minute

// Options say how a receiver answers. The zero value answers 200 at once on a
// free port.
type Options struct {
	// Addr is host:port; the host must be a loopback address.
	Addr string
	// Secret checks signatures, and PublicKey (whpk_...) those by Ed25519; both
	// empty: nothing is checked. What does not match, or lacks a signature that
	// Sign names, is answered 401.
	Secret    string
	PublicKey string
	// Sign are the schemes that there must be a signature of: "hmac", "standard",
	// "ed25519". Empty: those that the destination's secret stands for, hmac alone
	// with a Header of one's own, ed25519 alone with nothing but a PublicKey.
	Sign []string
	// Header is that of the scheme hmac, X-Webhook-Signature when empty. In one of
	// another name the signature may be hex or base64, behind any prefix.
	Header string
	// Status of the answer, 200 when 0.
	Status int
	// Delay before each answer.
	Delay time.Duration
	// Fail is how many attempts of each delivery are answered 503 first.
	Fail int
	// Log is a file to which one JSON object is appended for each arrival.
	Log string
	// Arrived, where not nil, is called for each arrival before it is answered,
	// from several goroutines.
	Arrived func(Arrival)
}

// Receiver is a running receiver.
type Receiver struct {
	options  Options
	hmac     []*sign.HMAC   // none without a secret
	standard *sign.Standard // nil without secret and key
	listener net.Listener
	server   *fasthttp.Server
	served   chan struct{} // closed when serving has ended
	serveErr error         // why; read after served
	stop     chan struct{} // closed by Close: delays end
	closing  sync.Once

	mu       sync.Mutex
	log      *os.File
	attempts map[string]int // by webhook-id, only where Fail is set
	count    int
}

// Start listens and serves until Close.
func Start(o Options) (*Receiver, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Status == 0 {
		o.Status = http.StatusOK
	}
	if o.Status < 200 || o.Status > 599 {
		return nil, fmt.Errorf("status %d can't be answered; 200 to 599 can", o.Status)
	}
	if err := loopback(o.Addr); err != nil {
		return nil, err
	}
	r := &Receiver{options: o, served: make(chan struct{}), stop: make(chan struct{}), attempts: map[string]int{}}
	if err := r.verifiers(); err != nil {
		return nil, err
	}
	if o.Log != "" {
		f, err := os.OpenFile(o.Log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the log: %w", err)
		}
		r.log = f
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), r.closeLog())
	}
	r.listener = l
	r.server = &fasthttp.Server{
		Handler:               r.handle,
		Name:                  "weir-sink",
		NoDefaultDate:         true,
		MaxRequestBodySize:    maxBody,
		ReadTimeout:           time.Minute, // of one request, idling included
		WriteTimeout:          time.Minute,
		CloseOnShutdown:       true,
		NoDefaultContentType:  true,
		SecureErrorLogMessage: true,
		Logger:                quiet{},
	}
	go func() {
		defer close(r.served)
		r.serveErr = r.server.Serve(l)
	}()
	return r, nil
}

// verifiers makes what signatures are checked by.
func (r *Receiver) verifiers() (err error) {
	o := &r.options
	for _, scheme := range o.Sign {
		if !slices.Contains([]string{"hmac", "standard", "ed25519"}, scheme) {
			return fmt.Errorf("there is no scheme %q; there are hmac, standard and ed25519", scheme)
		}
	}
	if len(o.Sign) == 0 {
		switch {
		case o.Secret != "" && o.Header != "":
			o.Sign = []string{"hmac"}
		case o.Secret != "":
			o.Sign = []string{"hmac", "standard"}
		default:
			o.Sign = []string{"ed25519"}
		}
	}
	if o.Header == "" {
		o.Header = sign.HeaderHMAC
	}
	if o.Secret == "" && o.PublicKey == "" {
		return nil
	}
	var secrets []string
	if o.Secret != "" {
		secrets = []string{o.Secret}
		r.hmac = []*sign.HMAC{sign.NewHMAC(o.Secret)}
		if !strings.EqualFold(o.Header, sign.HeaderHMAC) {
			r.hmac = []*sign.HMAC{sign.NewHMACIn(sign.HMACForm{}, o.Secret), sign.NewHMACIn(sign.HMACForm{Base64: true}, o.Secret)}
		}
	}
	if r.standard, err = sign.NewStandard(secrets...); err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	if o.PublicKey != "" {
		if err := r.standard.AddPublicKeys(o.PublicKey); err != nil {
			return fmt.Errorf("public key: %w", err)
		}
	}
	return nil
}

// verify checks the signatures of a request, those that must be there and those
// that are.
func (r *Receiver) verify(header func(string) string, body []byte, now time.Time) error {
	var errs []error
	given := header(r.options.Header)
	if slices.Contains(r.options.Sign, "hmac") || given != "" && len(r.hmac) > 0 {
		errs = append(errs, naming(r.options.Header, r.verifyHMAC(given, body)))
	}
	signed := header(sign.HeaderStandard)
	if signed != "" || slices.Contains(r.options.Sign, "standard") || slices.Contains(r.options.Sign, "ed25519") {
		errs = append(errs, naming(sign.HeaderStandard,
			r.standard.Verify(header(sign.HeaderID), header(sign.HeaderTimestamp), signed, body, now, tolerance)))
	}
	return errors.Join(errs...)
}

func (r *Receiver) verifyHMAC(given string, body []byte) error {
	if given == "" || len(r.hmac) == 0 {
		return sign.ErrMissing
	}
	if strings.EqualFold(r.options.Header, sign.HeaderHMAC) {
		return r.hmac[0].Verify(given, body)
	}
	for _, h := range r.hmac {
		// Behind a prefix: what is compared is as long as a signature is.
		size := len(h.Signature(body))
		if h.Verify(given[max(len(given)-size, 0):], body) == nil {
			return nil
		}
	}
	return sign.ErrMismatch
}

// plain undoes gzip, up to the size that a request may have. What can't be undone
// stays as it came.
func plain(encoding string, body []byte) []byte {
	if encoding != "gzip" {
		return body
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	b, err := io.ReadAll(io.LimitReader(z, maxBody))
	if err != nil {
		return body
	}
	return b
}

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 20

// quiet drops fasthttp's log lines about connections that end early.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q is not host:port: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("address %q is not loopback; this receiver is for development", addr)
}

// URL is where the receiver listens, such as http://127.0.0.1:41234.
func (r *Receiver) URL() string { return "http://" + r.listener.Addr().String() }

// Count is how many deliveries arrived.
func (r *Receiver) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// Done is closed when serving has ended, by Close or by an error.
func (r *Receiver) Done() <-chan struct{} { return r.served }

// Close ends it: answers under way are finished until ctx ends. It returns what
// went wrong, also what ended serving before.
func (r *Receiver) Close(ctx context.Context) error {
	var err error
	r.closing.Do(func() {
		close(r.stop)
		err = ignoreClosed(r.server.ShutdownWithContext(ctx))
		// The server knows its listener only once it serves.
		err = errors.Join(err, ignoreClosed(r.listener.Close()))
		<-r.served
		r.mu.Lock()
		defer r.mu.Unlock()
		err = errors.Join(err, ignoreClosed(r.serveErr), r.closeLog())
	})
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (r *Receiver) closeLog() error {
	if r.log == nil {
		return nil
	}
	f := r.log
	r.log = nil
	return f.Close()
}

func (r *Receiver) handle(c *fasthttp.RequestCtx) {
	if !c.IsPost() {
		c.Response.Header.Set("Allow", "POST")
		answer(c, http.StatusMethodNotAllowed, "deliveries are POSTed here\n")
		return
	}
	a := r.arrival(c)
	if err := r.keep(&a); err != nil {
		answer(c, http.StatusInternalServerError, "the log can't be written: "+err.Error()+"\n")
		return
	}
	if r.options.Arrived != nil {
		r.options.Arrived(a)
	}
	if r.options.Delay > 0 {
		t := time.NewTimer(r.options.Delay)
		select {
		case <-t.C:
		case <-r.stop:
			t.Stop()
		}
	}
	answer(c, a.Status, http.StatusText(a.Status)+"\n")
}

func answer(c *fasthttp.RequestCtx, status int, text string) {
	c.SetStatusCode(status)
	c.SetContentType("text/plain; charset=utf-8")
	c.SetBodyString(text)
}

// arrival reads a delivery. It copies what it keeps: fasthttp uses its buffers
// again.
func (r *Receiver) arrival(c *fasthttp.RequestCtx) Arrival {
	header := func(name string) string { return string(c.Request.Header.Peek(name)) }
	body := c.Request.Body() // as it came: that is what is signed
	shown := plain(header("Content-Encoding"), body)
	a := Arrival{
		Time:      time.Now().UTC(),
		Event:     header("X-Webhook-Event"),
		WebhookID: header(sign.HeaderID),
		Replay:    header("X-Webhook-Replay"),
		Bytes:     len(shown),
		Body:      string(shown),
		Signature: SignatureUnchecked,
	}
	a.Attempt, _ = strconv.Atoi(header("X-Webhook-Attempt")) // 0 where it is none
	if r.standard != nil {
		a.Signature = SignatureVerified
		if err := r.verify(header, body, a.Time); err != nil {
			a.Signature = SignatureBad
			a.Problem = strings.ReplaceAll(err.Error(), "\n", "; ")
		}
	}
	return a
}

func naming(header string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", header, err)
}

// keep decides the answer and writes the log.
func (r *Receiver) keep(a *Arrival) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	a.Status = r.options.Status
	if r.options.Fail > 0 {
		r.attempts[a.WebhookID]++
		if r.attempts[a.WebhookID] <= r.options.Fail {
			a.Status = http.StatusServiceUnavailable
		}
	}
	if a.Signature == SignatureBad {
		a.Status = http.StatusUnauthorized
	}
	if r.log == nil {
		return nil
	}
	_, err := r.log.Write(a.appendJSON(nil))
	return err
}
