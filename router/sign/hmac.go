package sign

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
)

// ErrMissing says that a request carries no signature of the scheme, and
// ErrMismatch that none of those it carries is by the secret.
var (
	ErrMissing  = errors.New("no signature")
	ErrMismatch = errors.New("the signature does not match")
)

// DefaultHMACPrefix stands before the signature in X-Webhook-Signature.
const DefaultHMACPrefix = "sha256="

// HMAC is the scheme of X-Webhook-Signature: sha256= and the lower-case hex of
// HMAC-SHA256 over the body. The key is the secret's literal bytes, a whsec_
// prefix included. Header, encoding and prefix may be others.
type HMAC struct {
	header string // in canonical spelling
	prefix string
	base64 bool
	macs   macs
}

// HMACForm is how a signature is written.
type HMACForm struct {
	// Header is its name, X-Webhook-Signature where it is empty.
	Header string
	// Base64 says that the signature is in base64 (RFC 4648, section 4), with
	// padding, and not in lower-case hex.
	Base64 bool
	// Prefix stands before it.
	Prefix string
}

// NewHMAC returns the scheme for a secret, in the form of X-Webhook-Signature.
func NewHMAC(secret string) *HMAC {
	return NewHMACIn(HMACForm{Prefix: DefaultHMACPrefix}, secret)
}

// NewHMACIn returns the scheme for a secret, in a form of one's own.
func NewHMACIn(f HMACForm, secret string) *HMAC {
	if f.Header == "" {
		f.Header = HeaderHMAC
	}
	return &HMAC{
		header: http.CanonicalHeaderKey(f.Header), prefix: f.Prefix, base64: f.Base64, macs: macs{key: []byte(secret)},
	}
}

// Sign sets the header.
func (s *HMAC) Sign(h http.Header, m Message) {
	h.Set(s.header, s.Signature(m.Body))
}

// AppendField appends the line of the header.
func (s *HMAC) AppendField(b []byte, m Message) []byte {
	b = append(append(b, s.header...), ": "...)
	return append(s.appendSignature(b, m.Body), "\r\n"...)
}

// Signature returns the header's value for a body.
func (s *HMAC) Signature(body []byte) string { return string(s.appendSignature(nil, body)) }

func (s *HMAC) appendSignature(b, body []byte) []byte {
	mac := s.macs.take()
	defer s.macs.give(mac)
	mac.hash.Write(body)
	b = append(b, s.prefix...)
	if s.base64 {
		return base64.StdEncoding.AppendEncode(b, mac.end())
	}
	return hex.AppendEncode(b, mac.end())
}

// Verify checks the header's value. It returns ErrMissing for an empty one and
// ErrMismatch for any that is not the body's.
func (s *HMAC) Verify(value string, body []byte) error {
	if value == "" {
		return ErrMissing
	}
	if !hmac.Equal([]byte(value), []byte(s.Signature(body))) {
		return ErrMismatch
	}
	return nil
}
