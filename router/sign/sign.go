// Package sign makes and checks the signatures that a receiver gets. Each
// scheme has a file of its own: hmac.go for X-Webhook-Signature and what else is
// like it, standard.go for Standard Webhooks, ed25519.go for its asymmetric keys.
//
// Secrets are held as they were configured and never appear in an error or in
// a header. All comparisons take the same time whatever differs.
package sign

import (
	"net/http"
	"time"
)

// Names of the headers that carry signatures and what they cover.
const (
	HeaderHMAC      = "X-Webhook-Signature"
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderStandard  = "webhook-signature"
)

// Message is what one attempt signs.
type Message struct {
	// ID is the webhook-id: the same for each attempt of a delivery.
	ID string
	// Time is that of the attempt; whole seconds of it are signed.
	Time time.Time
	// Body is sent, and signed, byte for byte: where it is compressed, as
	// compressed.
	Body []byte
}

// Signer adds the signature of one scheme to a request. It is safe for
// concurrent use.
type Signer interface {
	// Sign sets the scheme's headers, and those that the signature covers.
	Sign(h http.Header, m Message)
	// AppendField appends the header that holds the signature to the head of a
	// request, as a line that ends in CR LF. What else the signature covers is
	// the caller's to write. It allocates nothing when b has room, but for
	// ed25519.
	AppendField(b []byte, m Message) []byte
}

// ForSecret returns the signers that a destination's secret stands for: hmac
// and standard. The previous ones, which receivers may still have, sign
// webhook-signature too: X-Webhook-Signature has room for one signature only. An
// empty secret gives none.
func ForSecret(secret string, previous ...string) ([]Signer, error) {
	if secret == "" {
		return nil, nil
	}
	standard, err := NewStandard(append([]string{secret}, previous...)...)
	if err != nil {
		return nil, err
	}
	return []Signer{NewHMAC(secret), standard}, nil
}
