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
	// Body is as it came over the wire.
	Body []byte
	// Time is when the request was received, or is sent.
	Time time.Time
}

// value returns the first header called name, in any case.
func (r *Request) value(name string) (string, bool) {
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// Scheme is one way in which providers prove who they are.
type Scheme interface {
	// Verify returns nil for a request that proves itself, else a problem whose
	// code tells why not: signature_missing, signature_malformed,
	// signature_unsupported or signature_mismatch, all with status 401.
	Verify(r *Request) *problem.Problem
	// Sign returns the headers with which the provider would send r, by the
	// first secret.
	Sign(r *Request) []event.Field
	// Credentials names the headers, in lower case, whose values are secrets
	// themselves and must not be stored. Signatures are not.
	Credentials() []string
}

// Options are the attributes of a verify block.
type Options struct {
	// Secrets are all accepted; the first one signs.
	Secrets []string
	// Header, Algorithm, Encoding and Prefix are those of hmac.
	Header    string
	Algorithm string
	Encoding  string
	Prefix    string
}

// presets is filled by the init functions of this package's files only.
var presets = map[string]func(Options) (Scheme, error){}

func register(kind string, make func(Options) (Scheme, error)) { presets[kind] = make }

// Kinds returns the names of the presets in order.
func Kinds() []string {
	var kinds []string
	for k := range presets {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// New returns the scheme of a preset. An empty kind is "none". Errors name the
// attribute that is wrong and never hold a secret.
func New(kind string, o Options) (Scheme, error) {
	if kind == "" {
		kind = "none"
	}
	make, ok := presets[kind]
	if !ok {
		return nil, fmt.Errorf("verify %q is not known; there are %s", kind, strings.Join(Kinds(), ", "))
	}
	s, err := make(o)
	if err != nil {
		return nil, fmt.Errorf("verify %q: %w", kind, err)
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
