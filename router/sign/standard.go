package sign

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrTimestamp says that a request's webhook-timestamp is malformed or further
// from now than the tolerance, in the past or in the future.
var ErrTimestamp = errors.New("the timestamp is malformed, or too far from now")

const (
	standardPrefix = "whsec_"
	versionPrefix  = "v1,"
)

// Standard is the scheme of Standard Webhooks: one signature for each secret, in
// their order and parted by spaces, over id.timestamp.body. That of a secret is v1
// and the base64 of HMAC-SHA256. The key of one that begins with whsec_ is the
// rest, decoded from base64; of any other its literal bytes.
type Standard struct {
	entries []entry
	starts  sync.Pool // of *[]byte, to allocate none each time
}

// entry is one signature of webhook-signature.
type entry interface {
	// appendSigned appends the signature with its version. start is all that is
	// signed before the body.
	appendSigned(b, start, body []byte) []byte
	// matches says whether given, with its version, signs the same.
	matches(given, start, body []byte) bool
}

// NewStandard returns the scheme for some secrets. It fails for one that begins
// with whsec_ and does not go on with base64; the error does not show it.
func NewStandard(secrets ...string) (*Standard, error) {
	s := &Standard{}
	for _, secret := range secrets {
		key, err := standardKey(secret)
		if err != nil {
			return nil, err
		}
		s.entries = append(s.entries, &symmetric{macs{key: key}})
	}
	return s, nil
}

func standardKey(secret string) ([]byte, error) {
	encoded, decode := strings.CutPrefix(secret, standardPrefix)
	if !decode {
		return []byte(secret), nil
	}
	key, err := decodeBase64(encoded)
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("a secret that begins with %s must go on with base64", standardPrefix)
	}
	return key, nil
}

// decodeBase64 takes both forms: generators differ in whether they pad.
func decodeBase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return base64.RawStdEncoding.DecodeString(s)
	}
	return b, nil
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
	start, ok := s.starts.Get().(*[]byte)
	if !ok {
		start = new([]byte)
	}
	defer s.starts.Put(start)
	*start = append(append((*start)[:0], m.ID...), '.')
	*start = append(strconv.AppendInt(*start, m.Time.Unix(), 10), '.')
	return append(s.appendEntries(b, *start, m.Body), "\r\n"...)
}

// Signature returns the value of webhook-signature.
func (s *Standard) Signature(m Message) string {
	return s.signature(m.ID, strconv.FormatInt(m.Time.Unix(), 10), m.Body)
}

func (s *Standard) signature(id, timestamp string, body []byte) string {
	return string(s.appendEntries(nil, []byte(id+"."+timestamp+"."), body))
}

func (s *Standard) appendEntries(b, start, body []byte) []byte {
	for i, e := range s.entries {
		if i > 0 {
			b = append(b, ' ')
		}
		b = e.appendSigned(b, start, body)
	}
	return b
}

// Verify checks the three headers against a body. Of several signatures, parted
// by spaces, one must match one of the secrets or keys; those of other versions
// are passed over. A tolerance of 0 leaves the timestamp's age unchecked.
func (s *Standard) Verify(id, timestamp, signatures string, body []byte, now time.Time, tolerance time.Duration) error {
	if id == "" || timestamp == "" || signatures == "" {
		return ErrMissing
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: not a number of seconds", ErrTimestamp)
	}
	start := []byte(id + "." + timestamp + ".")
	match, n := false, 0
	for given := range strings.SplitSeq(signatures, " ") {
		if n++; n > maxSignatures {
			break
		}
		for _, e := range s.entries {
			if e.matches([]byte(given), start, body) {
				match = true
			}
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

// maxSignatures bounds the work that a stranger's header can ask for.
const maxSignatures = 32

// symmetric is v1: HMAC-SHA256 under a secret.
type symmetric struct{ macs macs }

func (s *symmetric) appendSigned(b, start, body []byte) []byte {
	mac := s.macs.take()
	defer s.macs.give(mac)
	mac.hash.Write(start)
	mac.hash.Write(body)
	return base64.StdEncoding.AppendEncode(append(b, versionPrefix...), mac.end())
}

func (s *symmetric) matches(given, start, body []byte) bool {
	return hmac.Equal(given, s.appendSigned(nil, start, body))
}
