package verify

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/problem"
)

// Prefixes of Standard Webhooks: of a shared secret, of a pair's public and
// private key, and of their signatures.
const (
	standardShared  = "whsec_"
	standardPublic  = "whpk_"
	standardPrivate = "whsk_"
	standardMAC     = "v1,"
	standardPair    = "v1a,"
)

// standardFamilies are the names of the three headers, and those by which Svix
// had them first.
var standardFamilies = [...][3]string{
	{"webhook-id", "webhook-timestamp", "webhook-signature"},
	{"svix-id", "svix-timestamp", "svix-signature"},
}

func init() {
	register(Preset{Kind: "standard", Needs: []string{"secrets"}, Takes: []string{"tolerance"}, new: newStandard})
}

// standard is Standard Webhooks: v1, and the base64 of HMAC-SHA256 over
// id.timestamp.body, or v1a, and that of an Ed25519 signature.
type standard struct {
	keys      []standardKey
	tolerance time.Duration
}

// standardKey is one secret. public and private are those of a pair.
type standardKey struct {
	shared  []byte
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

func newStandard(o Options) (Scheme, error) {
	if _, err := keys(o.Secrets); err != nil {
		return nil, err
	}
	s := &standard{tolerance: o.Tolerance}
	for i, secret := range o.Secrets {
		key, err := parseStandard(secret)
		if err != nil {
			return nil, fmt.Errorf("secrets: number %d: %w", i+1, err)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

func parseStandard(secret string) (standardKey, error) {
	for _, prefix := range []string{standardShared, standardPublic, standardPrivate} {
		encoded, ok := strings.CutPrefix(secret, prefix)
		if !ok {
			continue
		}
		key, err := decodeBase64(encoded)
		if err != nil || len(key) == 0 {
			return standardKey{}, fmt.Errorf("what begins with %s must go on with base64", prefix)
		}
		switch {
		case prefix == standardShared:
			return standardKey{shared: key}, nil
		case prefix == standardPublic && len(key) == ed25519.PublicKeySize:
			return standardKey{public: key}, nil
		case prefix == standardPrivate && len(key) == ed25519.SeedSize:
			key = ed25519.NewKeyFromSeed(key)
		case prefix != standardPrivate || len(key) != ed25519.PrivateKeySize:
			return standardKey{}, fmt.Errorf("what begins with %s is no Ed25519 key", prefix)
		}
		private := ed25519.PrivateKey(key)
		return standardKey{private: private, public: private.Public().(ed25519.PublicKey)}, nil
	}
	return standardKey{shared: []byte(secret)}, nil
}

func (s *standard) Verify(r *Request) *problem.Problem {
	names := standardFamilies[0]
	if _, ok := r.value(names[2]); !ok {
		if _, ok := r.value(standardFamilies[1][2]); ok {
			names = standardFamilies[1]
		}
	}
	id, _ := r.value(names[0])
	text, _ := r.value(names[1])
	value, _ := r.value(names[2])
	switch {
	case value == "":
		return missing(names[2])
	case id == "":
		return missing(names[0])
	case text == "":
		return refuse("timestamp_missing", "the request has no %s header", names[1])
	}
	at, ok := parseSeconds(text)
	if !ok {
		return malformedTime("the " + names[1] + " header")
	}
	var macs, pairs [][]byte
	others, broken := false, false
	for part := range strings.FieldsSeq(value) {
		if len(macs)+len(pairs) == maxSignatures {
			return malformed(names[2], standardForm)
		}
		list, size := &macs, sha256.Size
		encoded, known := strings.CutPrefix(part, standardMAC)
		if !known {
			list, size = &pairs, ed25519.SignatureSize
			if encoded, known = strings.CutPrefix(part, standardPair); !known {
				if !strings.Contains(part, ",") {
					return malformed(names[2], standardForm)
				}
				others = true
				continue
			}
		}
		// Beside one that holds, what is none does no harm.
		if b, ok := decodeSized(decodeBase64, encoded, size); ok {
			*list = append(*list, b)
		} else {
			broken = true
		}
	}
	if macs == nil && pairs == nil {
		if others && !broken {
			return refuse("signature_unsupported", "the %s header has no v1 or v1a signature", names[2])
		}
		return malformed(names[2], standardForm)
	}
	message := standardMessage(id, text, r.Body)
	match := false
	for _, key := range s.keys {
		if key.match(message, macs, pairs) {
			match = true
		}
	}
	if !match {
		return mismatch(names[2])
	}
	return checkTime(r, at, s.tolerance)
}

const standardForm = "v1,<base64>, several parted by spaces"

func standardMessage(id, timestamp string, body []byte) []byte {
	b := make([]byte, 0, len(id)+len(timestamp)+len(body)+2)
	b = append(append(b, id...), '.')
	b = append(append(b, timestamp...), '.')
	return append(b, body...)
}

func (k *standardKey) match(message []byte, macs, pairs [][]byte) bool {
	match := false
	if k.shared != nil {
		want := sum(sha256.New, k.shared, message)
		for _, given := range macs {
			match = hmac.Equal(want, given) || match
		}
		return match
	}
	for _, given := range pairs {
		match = ed25519.Verify(k.public, message, given) || match
	}
	return match
}

// Sign keeps a webhook-id that is there, and makes one else.
func (s *standard) Sign(r *Request) error {
	names := standardFamilies[0]
	id, _ := r.value(names[0])
	if id == "" {
		id = "msg_" + rand.Text()
		r.set(names[0], id)
	}
	text := strconv.FormatInt(r.Time.Unix(), 10)
	r.set(names[1], text)
	key, message := s.keys[0], standardMessage(id, text, r.Body)
	var signature string
	switch {
	case key.shared != nil:
		signature = standardMAC + base64.StdEncoding.EncodeToString(sum(sha256.New, key.shared, message))
	case key.private != nil:
		signature = standardPair + base64.StdEncoding.EncodeToString(ed25519.Sign(key.private, message))
	default:
		return errors.New("a public key can't sign; give the private one (whsk_...)")
	}
	r.set(names[2], signature)
	return nil
}

func (s *standard) Credentials() []string { return nil }
