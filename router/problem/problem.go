// Package problem is the error that a client of the HTTP API sees: RFC 9457
// problem details with a stable code.
package problem

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// ContentType is the media type of a problem (RFC 9457, section 3).
const ContentType = "application/problem+json"

// Problem is an error with an HTTP status and a code that clients may rely on.
// Detail is for people: it says what is wrong and how to mend it, and never
// holds a secret.
type Problem struct {
	Status int
	Code   string
	Detail string
	// RetryAfter, in seconds, is sent as a header where it is positive.
	RetryAfter int
	// Extra members of the answer, such as the place in a document.
	Extra map[string]any
}

// New returns a problem whose detail is formatted as by fmt.Sprintf.
func New(status int, code, format string, args ...any) *Problem {
	return &Problem{Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// With returns p with one more member in its answer.
func (p *Problem) With(name string, value any) *Problem {
	if p.Extra == nil {
		p.Extra = map[string]any{}
	}
	p.Extra[name] = value
	return p
}

// MarshalJSON gives the problem details object.
func (p *Problem) MarshalJSON() ([]byte, error) {
	m := map[string]any{}
	for k, v := range p.Extra {
		m[k] = v
	}
	m["type"] = "about:blank"
	m["title"] = http.StatusText(p.Status)
	m["status"] = p.Status
	m["code"] = p.Code
	if p.Detail != "" {
		m["detail"] = p.Detail
	}
	return json.Marshal(m)
}
