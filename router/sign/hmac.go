package sign

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
)

// ErrMissing says that a request carries no signature of the scheme, and
// ErrMismatch that none of those it carries is by the secret.
var (
	ErrMissing  = errors.New("no signature")
	ErrMismatch = errors.New("the signature does not match")
)

const hmacPrefix = "sha256="

// HMAC is the scheme of X-Webhook-Signature: sha256= and the lower-case hex of
// HMAC-SHA256 over the body. The key is the secret's literal bytes, a whsec_
// prefix included.
type HMAC struct{ macs macs }

// NewHMAC returns the scheme for a secret.
func NewHMAC(secret string) *HMAC { return &HMAC{macs: macs{key: []byte(secret)}} }

// Sign sets X-Webhook-Signature.
func (s *HMAC) Sign(h http.Header, m Message) {
	h.Set(HeaderHMAC, s.Signature(m.Body))
}

// AppendField appends the line of X-Webhook-Signature.
func (s *HMAC) AppendField(b []byte, m Message) []byte {
	b = append(b, HeaderHMAC+": "...)
	return append(s.appendSignature(b, m.Body), "\r\n"...)
}

// Signature returns the header's value for a body.
func (s *HMAC) Signature(body []byte) string { return string(s.appendSignature(nil, body)) }

func (s *HMAC) appendSignature(b, body []byte) []byte {
	mac := s.macs.take()
	defer s.macs.give(mac)
	mac.hash.Write(body)
	return hex.AppendEncode(append(b, hmacPrefix...), mac.end())
}

// Verify checks the value of X-Webhook-Signature. It returns ErrMissing for an
// empty one and ErrMismatch for any that is not the body's.
func (s *HMAC) Verify(value string, body []byte) error {
	if value == "" {
		return ErrMissing
	}
	if !strings.HasPrefix(value, hmacPrefix) ||
		!hmac.Equal([]byte(value), []byte(s.Signature(body))) {
		return ErrMismatch
	}
	return nil
}
