// Package source makes events of requests. It knows neither the HTTP server nor
// the store: what goes in is a [Request], what comes out are events that are
// ready to be stored, or a problem for the client.
//
// Invariants:
//   - A request is verified on its raw bytes before anything else looks at it.
//   - Bodies are never decompressed.
//   - Data holds the producer's own bytes. It may be a part of the request's body;
//     nothing else of an event shares memory with the request.
//   - Credentials are neither stored nor seen by expressions.
//   - Of a request all events are taken, or none.
//   - Every error is a *problem.Problem.
package source

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/source/verify"
)

// reservedPrefix begins the types of the router's own events.
const reservedPrefix = "weir."

// Source is one way in. It is safe for concurrent use.
type Source struct {
	name, path               string
	native                   bool
	preset                   *verify.Preset
	scheme                   verify.Scheme
	credentials              []string
	publicURL                string
	typ, id, subject, tenant *expr.Program
	dedupe                   time.Duration
	signed                   verify.Signed // nil where signatures are not remembered
	schema                   *config.BodySchema
	rate                     *config.Rate
	limiter                  *rate.Limiter
	keep                     []string
	reply                    *verify.Answer
	handshake                *config.Handshake
}

// Taken is what a request was made into.
type Taken struct {
	// Events own all their memory but for Data, which may be a part of the request's
	// body: who keeps it longer than the request lasts copies it. A batch may have none.
	Events []*event.Event
	// Batch says that the request held a list, so that it is answered by one.
	Batch bool
	// Signature is what the request was signed with, where the source remembers
	// signatures. A request of the same one is a duplicate.
	Signature []byte
	// Traceparent and Tracestate are the request's, where somebody has looked:
	// sources don't.
	Traceparent, Tracestate string
}

// New returns the source that c describes. Errors name the attribute that is
// wrong.
func New(c *config.Source) (*Source, error) {
	options := c.Verify.Options()
	scheme, err := verify.New(c.Verify.Kind, options)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", c.Name, err)
	}
	s := &Source{
		name: c.Name, path: c.Path, preset: verify.Find(c.Verify.Kind), scheme: scheme, credentials: scheme.Credentials(),
		publicURL: c.PublicURL, typ: c.Type, id: c.ID, subject: c.Subject, tenant: c.Tenant, dedupe: c.Dedupe,
		schema: c.Schema, rate: c.Rate, keep: c.KeepHeaders, reply: c.Reply, handshake: c.Handshake,
	}
	if s.preset.URL && s.publicURL == "" {
		return nil, fmt.Errorf("source %q: verify %q needs the server's public_url", c.Name, c.Verify.Kind)
	}
	if c.DedupeSignature {
		if s.signed, _ = scheme.(verify.Signed); s.signed == nil {
			return nil, fmt.Errorf("source %q: dedupe_signature does not go with verify %q", c.Name, c.Verify.Kind)
		}
	}
	if c.Rate != nil {
		s.limiter = rate.NewLimiter(rate.Limit(float64(c.Rate.Count)/c.Rate.Per.Seconds()), c.Rate.Count)
	}
	switch c.Format {
	case config.SourceNative:
		s.native = true
	case config.SourceRaw, "":
	default:
		return nil, fmt.Errorf("source %q: format %q is not known", c.Name, c.Format)
	}
	return s, nil
}

// Inherit goes on with what old has counted for its rate, so that a reload does
// not give a producer its rate twice. It is called before s takes requests.
func (s *Source) Inherit(old *Source) {
	if old != nil && s.rate != nil && old.rate != nil && *s.rate == *old.rate {
		s.limiter = old.limiter
	}
}

// Name is that of the source block.
func (s *Source) Name() string { return s.name }

// Path is that of the URL behind which the source answers.
func (s *Source) Path() string { return s.path }

// Dedupe is how long the ids of producers are remembered.
func (s *Source) Dedupe() time.Duration { return s.dedupe }

// Native reports whether the source takes Weir's own formats.
func (s *Source) Native() bool { return s.native }

// Verified reports whether the source asks its producers to prove who they are.
func (s *Source) Verified() bool { return s.preset.Kind != "none" }

// Reply is the static answer to requests that were taken, nil where it is JSON
// with the events' ids.
func (s *Source) Reply() *verify.Answer { return s.reply }

// Methods are those that its path takes, as the header Allow lists them.
func (s *Source) Methods() string {
	if s.handshake != nil {
		return http.MethodGet + ", " + http.MethodPost
	}
	return http.MethodPost
}

// Handshake answers a provider's challenge. Both results are nil where the request
// is none.
func (s *Source) Handshake(r *Request) (*verify.Answer, error) {
	if r.Method != http.MethodPost {
		if s.handshake == nil || r.Method != http.MethodGet {
			return nil, nil
		}
		signable := s.signable(r)
		answer, p := verify.FindHandshake(s.handshake.Kind).Answer(&signable, s.handshake.Secret.Reveal())
		if p != nil {
			return nil, p
		}
		return answer, nil
	}
	if s.preset.Challenge == nil {
		return nil, nil
	}
	answer := s.preset.Challenge(r.Body)
	if answer == nil {
		return nil, nil
	}
	signable := s.signable(r)
	if p := s.scheme.Verify(&signable); p != nil {
		return nil, p
	}
	return answer, nil
}

// signable is the part of a request that can be signed.
func (s *Source) signable(r *Request) verify.Request {
	v := verify.Request{Header: r.Header, Query: r.Query, Body: r.Body, Time: r.Received}
	if s.preset.URL {
		v.URL = s.publicURL + r.Path
		if r.RawQuery != "" {
			v.URL += "?" + r.RawQuery
		}
	}
	return v
}

// Accept verifies a request and makes its events. An error is always a
// *problem.Problem, with one of the codes that docs/sources.md lists.
func (s *Source) Accept(r *Request) (Taken, error) {
	m := makings.Get().(*making)
	defer m.release()
	m.begin(s, r)
	// Through a variable of its own: a nil *Problem in an error is not nil.
	if p := s.scheme.Verify(&m.signable); p != nil {
		return Taken{}, p
	}
	if encoding := strings.TrimSpace(r.header("content-encoding")); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return Taken{}, problem.New(http.StatusUnsupportedMediaType, "unsupported_encoding",
			"the body has Content-Encoding %q; send it as it is, Weir does not decompress", clip(encoding))
	}
	var err error
	if m.header, err = s.kept(r.Header); err != nil {
		return Taken{}, err
	}
	m.stored = s.stored(m.header)
	if s.native {
		err = m.native()
	} else {
		err = m.raw()
	}
	if err != nil {
		return Taken{}, err
	}
	if p := s.limit(r.Received, len(m.taken.Events)); p != nil {
		return Taken{}, p
	}
	if s.signed != nil {
		m.taken.Signature = s.signed.Signature(&m.signable)
	}
	return m.taken, nil
}

// limit counts events against the source's rate.
func (s *Source) limit(now time.Time, n int) *problem.Problem {
	if s.limiter == nil || n == 0 {
		return nil
	}
	// A batch of more than passes at once must still get through some time.
	reservation := s.limiter.ReserveN(now, min(n, s.limiter.Burst()))
	wait := reservation.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	reservation.CancelAt(now)
	p := problem.New(http.StatusTooManyRequests, "rate_limited", "this source takes %d events each %s; try again later", s.rate.Count, s.rate.Per)
	p.RetryAfter = int((wait + time.Second - 1) / time.Second)
	return p
}

// clip keeps what is quoted from a request short.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
