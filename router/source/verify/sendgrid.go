package verify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/problem"
)

const (
	sendgridHeader = "X-Twilio-Email-Event-Webhook-Signature"
	sendgridTime   = "X-Twilio-Email-Event-Webhook-Timestamp"
)

func init() {
	register(Preset{Kind: "sendgrid", Needs: []string{"secrets"}, Takes: []string{"tolerance"}, new: newSendGrid})
}

// sendgrid is ECDSA (P-256, SHA-256) over timestamp and body run together, DER
// in base64. Its secrets are public keys, as SendGrid shows them.
type sendgrid struct {
	keys      []*ecdsa.PublicKey
	private   *ecdsa.PrivateKey
	tolerance time.Duration
}

func newSendGrid(o Options) (Scheme, error) {
	if _, err := keys(o.Secrets); err != nil {
		return nil, err
	}
	s := &sendgrid{tolerance: o.Tolerance}
	for i, secret := range o.Secrets {
		public, private, err := parseECDSA(secret)
		if err != nil {
			return nil, fmt.Errorf("secrets: number %d is no ECDSA key of the curve P-256: a public key is base64, or PEM", i+1)
		}
		if i == 0 {
			s.private = private
		}
		s.keys = append(s.keys, public)
	}
	return s, nil
}

// parseECDSA takes a public key, or a private one, which also signs.
func parseECDSA(secret string) (*ecdsa.PublicKey, *ecdsa.PrivateKey, error) {
	var der []byte
	if block, _ := pem.Decode([]byte(secret)); block != nil {
		der = block.Bytes
	} else {
		var err error
		if der, err = decodeBase64(strings.Join(strings.Fields(secret), "")); err != nil {
			return nil, nil, err
		}
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		if public, ok := key.(*ecdsa.PublicKey); ok && public.Curve == elliptic.P256() {
			return public, nil, nil
		}
	}
	private, err := x509.ParseECPrivateKey(der)
	if err != nil {
		key, _ := x509.ParsePKCS8PrivateKey(der)
		private, _ = key.(*ecdsa.PrivateKey)
	}
	if private == nil || private.Curve != elliptic.P256() {
		return nil, nil, errors.New("not a key of P-256")
	}
	return &private.PublicKey, private, nil
}

func (s *sendgrid) Verify(r *Request) *problem.Problem {
	value, ok := r.value(sendgridHeader)
	if !ok || value == "" {
		return missing(sendgridHeader)
	}
	text, ok := r.value(sendgridTime)
	if !ok || text == "" {
		return refuse("timestamp_missing", "the request has no %s header", sendgridTime)
	}
	given, err := decodeBase64(value)
	if err != nil || len(given) == 0 || len(given) > maxECDSA {
		return malformed(sendgridHeader, "base64 of an ECDSA signature")
	}
	at, ok := parseSeconds(text)
	if !ok {
		return malformedTime("the " + sendgridTime + " header")
	}
	digest := sendgridDigest(text, r.Body)
	match := false
	for _, key := range s.keys {
		match = ecdsa.VerifyASN1(key, digest, given) || match
	}
	if !match {
		return refuse("signature_mismatch", "the %s header does not match the body under any key of this source", sendgridHeader)
	}
	return checkTime(r, at, s.tolerance)
}

// maxECDSA is the longest signature of P-256: two numbers of 33 bytes, framed.
const maxECDSA = 72

func sendgridDigest(timestamp string, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte(timestamp))
	h.Write(body)
	return h.Sum(nil)
}

func (s *sendgrid) Sign(r *Request) error {
	if s.private == nil {
		return errors.New("SendGrid's key is a public one and can't sign; give a private one of P-256, base64 or PEM, and its public key to the source")
	}
	text := strconv.FormatInt(r.Time.Unix(), 10)
	signature, err := ecdsa.SignASN1(rand.Reader, s.private, sendgridDigest(text, r.Body))
	if err != nil {
		return fmt.Errorf("sign as sendgrid: %w", err)
	}
	r.set("x-twilio-email-event-webhook-timestamp", text)
	r.set("x-twilio-email-event-webhook-signature", base64.StdEncoding.EncodeToString(signature))
	return nil
}

func (s *sendgrid) Credentials() []string { return nil }
