package sign

import (
	"crypto/hmac"
	"crypto/sha256"
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
type HMAC struct{ key []byte }

// NewHMAC returns the scheme for a secret.
func NewHMAC(secret string) *HMAC { return &HMAC{key: []byte(secret)} }

// Sign sets X-Webhook-Signature.
func (s *HMAC) Sign(h http.Header, m Message) {
	h.Set(HeaderHMAC, s.Signature(m.Body))
}

// Signature returns the header's value for a body.
func (s *HMAC) Signature(body []byte) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(body)
	return hmacPrefix + hex.EncodeToString(mac.Sum(nil))
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
