package verify

import (
	"crypto/hmac"
	"crypto/sha1" // for providers that sign with nothing better
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
)

func init() { register("hmac", newHMAC) }

// hmacScheme is HMAC over the body, in a header of the operator's choice.
type hmacScheme struct {
	keys   [][]byte
	header string // as written in the configuration, for messages
	field  string // in lower case
	prefix string
	hash   func() hash.Hash
	encode func([]byte) string
	decode func(string) ([]byte, error)
	want   string
}

func newHMAC(o Options) (Scheme, error) {
	k, err := keys(o.Secrets)
	if err != nil {
		return nil, err
	}
	if o.Header == "" {
		return nil, errors.New("header: the name of the header that carries the signature is needed")
	}
	s := &hmacScheme{keys: k, header: o.Header, field: strings.ToLower(o.Header), prefix: o.Prefix}
	switch o.Algorithm {
	case "", "sha256":
		s.hash = sha256.New
	case "sha1":
		s.hash = sha1.New
	case "sha512":
		s.hash = sha512.New
	default:
		return nil, fmt.Errorf("algorithm %q is not known; there are sha256, sha512, sha1", o.Algorithm)
	}
	switch o.Encoding {
	case "", "hex":
		s.encode, s.decode, s.want = hex.EncodeToString, hex.DecodeString, "hex"
	case "base64":
		s.encode, s.decode, s.want = base64.StdEncoding.EncodeToString, decodeBase64, "base64"
	default:
		return nil, fmt.Errorf("encoding %q is not known; there are hex, base64", o.Encoding)
	}
	if o.Prefix != "" {
		s.want = fmt.Sprintf("%q and %s", o.Prefix, s.want)
	}
	return s, nil
}

func (s *hmacScheme) Verify(r *Request) *problem.Problem {
	value, ok := r.value(s.field)
	if !ok || value == "" {
		return missing(s.header)
	}
	text, ok := strings.CutPrefix(value, s.prefix)
	given, err := s.decode(text)
	if !ok || err != nil || len(given) != s.hash().Size() {
		return malformed(s.header, s.want+" of the right length")
	}
	if !anyHMAC(s.hash, s.keys, r.Body, given) {
		return mismatch(s.header)
	}
	return nil
}

func (s *hmacScheme) Sign(r *Request) []event.Field {
	mac := hmac.New(s.hash, s.keys[0])
	mac.Write(r.Body)
	return []event.Field{{Name: s.field, Value: s.prefix + s.encode(mac.Sum(nil))}}
}

func (s *hmacScheme) Credentials() []string { return nil }

// anyHMAC reports whether given is the HMAC of body under one of the keys. All
// keys are tried, so that the time does not tell which one matched.
func anyHMAC(h func() hash.Hash, keys [][]byte, body, given []byte) bool {
	match := false
	for _, key := range keys {
		mac := hmac.New(h, key)
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), given) {
			match = true
		}
	}
	return match
}

// decodeBase64 takes base64 with its padding or without.
func decodeBase64(s string) ([]byte, error) {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return nil, fmt.Errorf("decode base64: %w", err)
	}
	return b, nil
}
