package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/problem"
)

const (
	stripeHeader = "Stripe-Signature"
	stripeForm   = "t=<seconds> and v1=<64 hex digits>, parted by commas"
)

func init() {
	register(Preset{Kind: "stripe", Needs: []string{"secrets"}, Takes: []string{"tolerance"}, new: newStripe})
}

// stripe is HMAC-SHA256 over t.body, as v1=hex beside t. The key is the whole
// secret: whsec_ is part of it. While a secret rolls there are several v1; v0 is
// for test events and proves nothing.
type stripe struct {
	keys      [][]byte
	tolerance time.Duration
}

func newStripe(o Options) (Scheme, error) {
	k, err := keys(o.Secrets)
	if err != nil {
		return nil, err
	}
	return &stripe{keys: k, tolerance: o.Tolerance}, nil
}

func (s *stripe) Verify(r *Request) *problem.Problem {
	value, ok := r.value(stripeHeader)
	if !ok || value == "" {
		return missing(stripeHeader)
	}
	var text string
	var given [][]byte
	others, broken := false, false
	for part := range strings.SplitSeq(value, ",") {
		name, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case !ok, name == "t" && text != "", len(given) == maxSignatures:
			return malformed(stripeHeader, stripeForm)
		case name == "t":
			text = v
		case name == "v1":
			// Beside one that holds, what is none does no harm.
			if b, ok := unhex(v, sha256.Size); ok {
				given = append(given, b)
			} else {
				broken = true
			}
		default:
			others = true
		}
	}
	if text == "" {
		return refuse("timestamp_missing", "the %s header has no t=<seconds>", stripeHeader)
	}
	at, ok := parseSeconds(text)
	if !ok {
		return malformedTime("t in the " + stripeHeader + " header")
	}
	if given == nil {
		if others && !broken {
			return refuse("signature_unsupported", "the %s header has no v1 signature", stripeHeader)
		}
		return malformed(stripeHeader, stripeForm)
	}
	if !anyMAC(sha256.New, s.keys, given, []byte(text), dot, r.Body) {
		return mismatch(stripeHeader)
	}
	return checkTime(r, at, s.tolerance)
}

func (s *stripe) Sign(r *Request) error {
	text := strconv.FormatInt(r.Time.Unix(), 10)
	r.set("stripe-signature", "t="+text+",v1="+hex.EncodeToString(sum(sha256.New, s.keys[0], []byte(text), dot, r.Body)))
	return nil
}

func (s *stripe) Credentials() []string { return nil }
