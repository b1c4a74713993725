// Package verify checks that a request comes from who it says. Each preset has
// a file of its own that registers it, with its vectors beside it.
//
// Invariants: only the raw bytes of a body are checked; every secret is tried,
// and comparing takes the same time whatever differs; a refusal says nothing
// about the secrets. A Scheme is safe for concurrent use.
package verify

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
)

// Request is what a scheme may look at. Nothing of it is kept.
type Request struct {
	// Header holds the fields of the request, with names in any case.
	Header []event.Field
	Query  url.Values
	// URL is the address that the provider called, with its query. It is empty
	// where the router does not know its own address, see [Preset.URL].
	URL string
	// Body is as it came over the wire.
	Body []byte
	// Time is when the request was received, or is sent.
	Time time.Time
}

// value returns the first header called name, in any case.
func (r *Request) value(name string) (string, bool) {
	for _, f := range r.Header {
		if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// set adds a header, in place of what there was.
func (r *Request) set(name, value string) {
	r.Header = slices.DeleteFunc(r.Header, func(f event.Field) bool { return strings.EqualFold(f.Name, name) })
	r.Header = append(r.Header, event.Field{Name: name, Value: value})
}

// Scheme is one way in which providers prove who they are.
type Scheme interface {
	// Verify returns nil for a request that proves itself, else a problem whose
	// code tells why not, see Reasons.
	Verify(r *Request) *problem.Problem
	// Sign adds to r what the provider would add to prove itself, by the first
	// secret: headers, and where the preset says so, a part of body or URL.
	Sign(r *Request) error
	// Credentials names the headers, in lower case, whose values are secrets
	// themselves and must not be stored. Signatures are not.
	Credentials() []string
}

// Signed is a scheme whose signature stays good for ever, because no time is
// signed: whoever has seen a request can send it again.
type Signed interface {
	// Signature returns what a request that was verified is signed with, decoded,
	// so that two spellings of it are one.
	Signature(r *Request) []byte
}

// Reasons are the codes of the problems that a [Scheme] gives.
var Reasons = []string{
	"signature_missing", "signature_malformed", "signature_unsupported", "signature_mismatch",
	"timestamp_missing", "timestamp_malformed", "timestamp_too_old", "timestamp_in_future",
	"credentials_missing", "credentials_malformed", "credentials_mismatch",
}

// DefaultTolerance is how far a signed time may be from now, either way.
const DefaultTolerance = 5 * time.Minute

// Options are the attributes of a verify block.
type Options struct {
	// Secrets are all accepted; the first one signs.
	Secrets []string
	// Tolerance of a signed time; 0 means [DefaultTolerance].
	Tolerance time.Duration
	// Header is that of hmac and token; the others are those of hmac.
	Header          string
	Algorithm       string
	Encoding        string
	Prefix          string
	TimestampHeader string
	// Username is that of basic; its passwords are the secrets.
	Username string
}

// Answer is what a provider is told. It is static.
type Answer struct {
	Status      int
	ContentType string
	Body        string
}

// Preset is one kind of verify block.
type Preset struct {
	Kind string
	// Needs are the attributes that the block must have, and Takes those that it
	// may have. The names are secrets, tolerance, header, algorithm, encoding,
	// prefix, timestamp_header, username and password.
	Needs, Takes []string
	// URL says that the address is signed, so that the router has to know it.
	URL bool
	// Answer to an event that was taken; nil is 202 with its id as JSON.
	Answer *Answer
	// Challenge answers a signed request that only asks whether the address is
	// the operator's own, nil where it is an event. It may be nil.
	Challenge func(body []byte) *Answer

	// new makes the scheme. Its errors begin with the attribute that is wrong.
	new func(Options) (Scheme, error)
}

// presets is filled by the init functions of this package's files only.
var presets = map[string]*Preset{}

func register(p Preset) { presets[p.Kind] = &p }

// Kinds returns the names of the presets in order.
func Kinds() []string {
	var kinds []string
	for k := range presets {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// Find returns a preset, nil where there is none of that kind. An empty kind is
// "none".
func Find(kind string) *Preset {
	if kind == "" {
		kind = "none"
	}
	return presets[kind]
}

// Timed reports whether a time is signed, so that a captured request can't be
// sent again later. For hmac it depends on timestamp_header.
func (p *Preset) Timed(o Options) bool {
	return slices.Contains(p.Takes, "tolerance") && (p.Kind != "hmac" || o.TimestampHeader != "")
}

// New returns the scheme of a preset. An empty kind is "none". Errors name the
// attribute that is wrong and never hold a secret.
func New(kind string, o Options) (Scheme, error) {
	p := Find(kind)
	if p == nil {
		return nil, fmt.Errorf("verify %q is not known; there are %s", kind, strings.Join(Kinds(), ", "))
	}
	if o.Tolerance == 0 {
		o.Tolerance = DefaultTolerance
	}
	s, err := p.new(o)
	if err != nil {
		return nil, fmt.Errorf("verify %q: %w", p.Kind, err)
	}
	return s, nil
}

// keys returns the secrets as bytes. An empty one would let anybody in.
func keys(secrets []string) ([][]byte, error) {
	if len(secrets) == 0 {
		return nil, errors.New("secrets: at least one is needed")
	}
	list := make([][]byte, len(secrets))
	for i, s := range secrets {
		if s == "" {
			return nil, fmt.Errorf("secrets: number %d is empty", i+1)
		}
		list[i] = []byte(s)
	}
	return list, nil
}

func refuse(code, format string, args ...any) *problem.Problem {
	return problem.New(http.StatusUnauthorized, code, format, args...)
}

func missing(header string) *problem.Problem {
	return refuse("signature_missing", "the request has no %s header", header)
}

func malformed(header, want string) *problem.Problem {
	return refuse("signature_malformed", "the %s header is not %s", header, want)
}

func mismatch(header string) *problem.Problem {
	return refuse("signature_mismatch", "the %s header does not match the body under any secret of this source", header)
}
