package verify

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/weirhq/weir/router/problem"
)

// Shopify's header, and its newer name.
const (
	shopifyHeader = "X-Shopify-Hmac-SHA256"
	shopifyNewer  = "Shopify-Hmac-SHA256"
)

func init() { register(Preset{Kind: "shopify", Needs: []string{"secrets"}, new: newShopify}) }

// shopify is HMAC-SHA256 over the body in base64. The key is the app's client
// secret as it is shown.
type shopify struct{ keys [][]byte }

func newShopify(o Options) (Scheme, error) {
	k, err := keys(o.Secrets)
	if err != nil {
		return nil, err
	}
	return &shopify{keys: k}, nil
}

func (s *shopify) given(r *Request) (value string, given []byte, ok bool) {
	value, _ = r.value(shopifyHeader)
	if value == "" {
		value, _ = r.value(shopifyNewer)
	}
	given, ok = decodeSized(decodeBase64, value, sha256.Size)
	return value, given, ok
}

func (s *shopify) Verify(r *Request) *problem.Problem {
	value, given, ok := s.given(r)
	switch {
	case value == "":
		return missing(shopifyHeader)
	case !ok:
		return malformed(shopifyHeader, "base64 of 32 bytes")
	case !anyMAC(sha256.New, s.keys, [][]byte{given}, r.Body):
		return mismatch(shopifyHeader)
	}
	return nil
}

func (s *shopify) Signature(r *Request) []byte {
	_, given, _ := s.given(r)
	return given
}

func (s *shopify) Sign(r *Request) error {
	r.set("x-shopify-hmac-sha256", base64.StdEncoding.EncodeToString(sum(sha256.New, s.keys[0], r.Body)))
	return nil
}

func (s *shopify) Credentials() []string { return nil }
