package sign

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ErrTimestamp says that a request's webhook-timestamp is malformed or further
// from now than the tolerance, in the past or in the future.
var ErrTimestamp = errors.New("the timestamp is malformed, or too far from now")

const (
	standardPrefix = "whsec_"
	versionPrefix  = "v1,"
)

// Standard is the scheme of Standard Webhooks: v1, and the base64 of
// HMAC-SHA256 over id.timestamp.body. The key of a secret that begins with
// whsec_ is the rest, decoded from base64; of any other its literal bytes.
type Standard struct{ macs macs }

// NewStandard returns the scheme for a secret. It fails for one that begins
// with whsec_ and does not go on with base64; the error does not show it.
func NewStandard(secret string) (*Standard, error) {
	encoded, decode := strings.CutPrefix(secret, standardPrefix)
	if !decode {
		return &Standard{macs: macs{key: []byte(secret)}}, nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil { // generators differ in whether they pad
		key, err = base64.RawStdEncoding.DecodeString(encoded)
	}
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("a secret that begins with %s must go on with base64", standardPrefix)
	}
	return &Standard{macs: macs{key: key}}, nil
}

// Sign sets webhook-id, webhook-timestamp and webhook-signature.
func (s *Standard) Sign(h http.Header, m Message) {
	h.Set(HeaderID, m.ID)
	h.Set(HeaderTimestamp, strconv.FormatInt(m.Time.Unix(), 10))
	h.Set(HeaderStandard, s.Signature(m))
}

// AppendField appends the line of webhook-signature. The caller writes those of
// webhook-id and webhook-timestamp.
func (s *Standard) AppendField(b []byte, m Message) []byte {
	b = append(b, "Webhook-Signature: "...)
	mac := s.macs.take()
	defer s.macs.give(mac)
	mac.text = append(append(mac.text, m.ID...), '.')
	mac.text = append(strconv.AppendInt(mac.text, m.Time.Unix(), 10), '.')
	return append(mac.appendStandard(b, m.Body), "\r\n"...)
}

// Signature returns the value of webhook-signature.
func (s *Standard) Signature(m Message) string {
	return s.signature(m.ID, strconv.FormatInt(m.Time.Unix(), 10), m.Body)
}

func (s *Standard) signature(id, timestamp string, body []byte) string {
	mac := s.macs.take()
	defer s.macs.give(mac)
	mac.text = append(append(append(append(mac.text, id...), '.'), timestamp...), '.')
	return string(mac.appendStandard(nil, body))
}

// appendStandard appends the signature over m's text and a body.
func (m *mac) appendStandard(b, body []byte) []byte {
	m.hash.Write(m.text)
	m.hash.Write(body)
	return base64.StdEncoding.AppendEncode(append(b, versionPrefix...), m.end())
}

// Verify checks the three headers against a body. Of several signatures, parted
// by spaces, one must match; those of other versions are passed over. A
// tolerance of 0 leaves the timestamp's age unchecked.
func (s *Standard) Verify(id, timestamp, signatures string, body []byte, now time.Time, tolerance time.Duration) error {
	if id == "" || timestamp == "" || signatures == "" {
		return ErrMissing
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: not a number of seconds", ErrTimestamp)
	}
	want := []byte(s.signature(id, timestamp, body))
	match := false
	for given := range strings.SplitSeq(signatures, " ") {
		if hmac.Equal([]byte(given), want) {
			match = true
		}
	}
	if !match {
		return ErrMismatch
	}
	// After the signature: a stranger learns nothing from the clock.
	if tolerance > 0 && now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return ErrTimestamp
	}
	return nil
}
