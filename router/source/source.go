// Package source makes events of requests. It knows neither the HTTP server nor
// the store: what goes in is a [Request], what comes out are events that are
// ready to be stored, or a problem for the client.
//
// Invariants:
//   - A request is verified on its raw bytes before anything else looks at it.
//   - Bodies are never decompressed.
//   - Data holds the producer's own bytes. Nothing of an event shares memory
//     with the request.
//   - Credentials are neither stored nor seen by expressions.
//   - Every error is a *problem.Problem.
package source

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/source/verify"
)

// reservedPrefix begins the types of the router's own events.
const reservedPrefix = "weir."

// Source is one way in. It is immutable and safe for concurrent use.
type Source struct {
	name, path       string
	native, verified bool
	scheme           verify.Scheme
	credentials      []string
	typ, id, subject *expr.Program
	dedupe           time.Duration
}

// New returns the source that c describes. Errors name the attribute that is
// wrong.
func New(c *config.Source) (*Source, error) {
	secrets := make([]string, len(c.Verify.Secrets))
	for i, s := range c.Verify.Secrets {
		secrets[i] = s.Reveal()
	}
	scheme, err := verify.New(c.Verify.Kind, verify.Options{
		Secrets:   secrets,
		Header:    c.Verify.Header,
		Algorithm: c.Verify.Algorithm,
		Encoding:  c.Verify.Encoding,
		Prefix:    c.Verify.Prefix,
	})
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", c.Name, err)
	}
	s := &Source{
		name: c.Name, path: c.Path, scheme: scheme, credentials: scheme.Credentials(),
		verified: c.Verify.Kind != "none",
		typ:      c.Type, id: c.ID, subject: c.Subject, dedupe: c.Dedupe,
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

// Name is that of the source block.
func (s *Source) Name() string { return s.name }

// Path is that of the URL behind which the source answers.
func (s *Source) Path() string { return s.path }

// Verified says whether the source knows its producers by itself.
func (s *Source) Verified() bool { return s.verified }

// Dedupe is how long the ids of producers are remembered.
func (s *Source) Dedupe() time.Duration { return s.dedupe }

// Accept verifies a request and makes its events, which own all their memory.
// An error is always a *problem.Problem, with one of the codes that
// docs/sources.md lists.
func (s *Source) Accept(r *Request) ([]*event.Event, error) {
	// Through a variable of its own: a nil *Problem in an error is not nil.
	if p := s.scheme.Verify(&verify.Request{Header: r.Header, Query: r.Query, Body: r.Body, Time: r.Received}); p != nil {
		return nil, p
	}
	if encoding := strings.TrimSpace(r.header("content-encoding")); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, problem.New(http.StatusUnsupportedMediaType, "unsupported_encoding",
			"the body has Content-Encoding %q; send it as it is, Weir does not decompress", clip(encoding))
	}
	header, err := s.kept(r.Header)
	if err != nil {
		return nil, err
	}
	e := &event.Event{
		Source:   s.name,
		Received: r.Received.UTC(),
		Header:   header,
	}
	e.Time = e.Received
	if s.native {
		err = s.acceptNative(e, r)
	} else {
		err = s.acceptRaw(e, r)
	}
	if err != nil {
		return nil, err
	}
	if err := s.evaluate(e, r); err != nil {
		return nil, err
	}
	if e.ID == "" {
		e.ID = event.NewID(e.Received)
	}
	if strings.HasPrefix(e.Type, reservedPrefix) {
		return nil, problem.New(http.StatusBadRequest, "reserved_type",
			"the type %q begins with %q, which only the router's own events do", e.Type, reservedPrefix)
	}
	return []*event.Event{e}, nil
}

// evaluate lets the source's expressions decide over what the format found.
// The texts that they give are copies, whatever they come from.
func (s *Source) evaluate(e *event.Event, r *Request) error {
	if s.typ == nil && s.id == nil && s.subject == nil {
		return nil
	}
	in := &expr.Input{Header: e.Header, Query: r.Query}
	// The whole body, of the native format too: the envelope is what was sent.
	contentType := e.ContentType
	if view, ok := event.View(contentType, r.Body); ok {
		in.Body = view
	}
	if s.typ != nil {
		v, err := s.typ.String(in)
		if err != nil {
			return failed("type", err)
		}
		if err := event.CheckType(v); err != nil {
			return failed("type", fmt.Errorf("the type %q %w", clip(v), err))
		}
		e.Type = v
	}
	if s.id != nil {
		v, err := s.id.String(in)
		if err != nil {
			return failed("id", err)
		}
		if len(v) > event.MaxOriginID {
			return failed("id", fmt.Errorf("the id has %d bytes, more than %d", len(v), event.MaxOriginID))
		}
		if v != "" { // an empty one says that this request has none
			setOriginID(e, v)
		}
	}
	if s.subject != nil {
		v, err := s.subject.String(in)
		if err != nil {
			return failed("subject", err)
		}
		if err := event.CheckSubject(v); err != nil {
			return failed("subject", fmt.Errorf("the subject %w", err))
		}
		e.Subject = v
	}
	return nil
}

func failed(attribute string, err error) *problem.Problem {
	return problem.New(http.StatusUnprocessableEntity, "expression_failed",
		"the source's expression for %s failed: %s", attribute, err).With("attribute", attribute)
}

// setOriginID takes an id that may be any text: one that does not fit is
// hashed, and kept beside.
func setOriginID(e *event.Event, id string) {
	e.Given = true
	e.ID, e.OriginID = id, ""
	if !event.ValidID(id) {
		e.ID, e.OriginID = event.HashID(id), id
	}
}

// clip keeps what is quoted from a request short.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
