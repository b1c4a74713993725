package verify

import (
	"crypto/sha1" // for providers that sign with nothing better
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/problem"
)

func init() {
	register(Preset{
		Kind: "hmac", Needs: []string{"secrets", "header"},
		Takes: []string{"algorithm", "encoding", "prefix", "timestamp_header", "tolerance"}, new: newHMAC,
	})
}

// hmacScheme is HMAC over the body, in a header of the operator's choice. With a
// timestamp header it is over the header's text, a dot and the body.
type hmacScheme struct {
	keys      [][]byte
	header    string
	prefix    string
	hash      func() hash.Hash
	encode    func([]byte) string
	decode    func(string) ([]byte, error)
	want      string
	timestamp string
	tolerance time.Duration
}

func newHMAC(o Options) (Scheme, error) {
	k, err := keys(o.Secrets)
	if err != nil {
		return nil, err
	}
	if o.Header == "" {
		return nil, errors.New("header: the name of the header that carries the signature is needed")
	}
	if strings.EqualFold(o.Header, o.TimestampHeader) {
		return nil, errors.New("timestamp_header: the time is in another header than the signature")
	}
	s := &hmacScheme{keys: k, header: o.Header, prefix: o.Prefix, timestamp: o.TimestampHeader, tolerance: o.Tolerance}
	switch o.Algorithm {
	case "", "sha256":
		s.hash = sha256.New
	case "sha1":
		s.hash = sha1.New
	case "sha512":
		s.hash = sha512.New
	default:
		return nil, fmt.Errorf("algorithm: %q is not known; there are sha256, sha512, sha1", o.Algorithm)
	}
	switch o.Encoding {
	case "", "hex":
		s.encode, s.decode, s.want = hex.EncodeToString, hex.DecodeString, "hex"
	case "base64":
		s.encode, s.decode, s.want = base64.StdEncoding.EncodeToString, decodeBase64, "base64"
	default:
		return nil, fmt.Errorf("encoding: %q is not known; there are hex, base64", o.Encoding)
	}
	if o.Prefix != "" {
		s.want = fmt.Sprintf("%q and %s", o.Prefix, s.want)
	}
	return s, nil
}

func (s *hmacScheme) Verify(r *Request) *problem.Problem {
	value, ok := r.value(s.header)
	if !ok || value == "" {
		return missing(s.header)
	}
	given, ok := s.given(value)
	if !ok {
		return malformed(s.header, s.want+" of the right length")
	}
	if s.timestamp == "" {
		if !anyMAC(s.hash, s.keys, [][]byte{given}, r.Body) {
			return mismatch(s.header)
		}
		return nil
	}
	text, ok := r.value(s.timestamp)
	if !ok || text == "" {
		return refuse("timestamp_missing", "the request has no %s header", s.timestamp)
	}
	at, ok := parseSeconds(text)
	if !ok {
		return malformedTime("the " + s.timestamp + " header")
	}
	if !anyMAC(s.hash, s.keys, [][]byte{given}, []byte(text), dot, r.Body) {
		return mismatch(s.header)
	}
	return checkTime(r, at, s.tolerance)
}

var dot = []byte{'.'}

func (s *hmacScheme) given(value string) ([]byte, bool) {
	text, ok := strings.CutPrefix(value, s.prefix)
	given, good := decodeSized(s.decode, text, s.hash().Size())
	return given, ok && good
}

func (s *hmacScheme) Signature(r *Request) []byte {
	value, _ := r.value(s.header)
	given, _ := s.given(value)
	return given
}

func (s *hmacScheme) Sign(r *Request) error {
	name := strings.ToLower(s.header)
	if s.timestamp == "" {
		r.set(name, s.prefix+s.encode(sum(s.hash, s.keys[0], r.Body)))
		return nil
	}
	text := strconv.FormatInt(r.Time.Unix(), 10)
	r.set(strings.ToLower(s.timestamp), text)
	r.set(name, s.prefix+s.encode(sum(s.hash, s.keys[0], []byte(text), dot, r.Body)))
	return nil
}

func (s *hmacScheme) Credentials() []string { return nil }
