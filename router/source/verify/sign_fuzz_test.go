package verify

import (
	"bytes"
	"testing"
	"time"
)

// FuzzSign signs any body under any secret by every scheme that signs: what a
// scheme signed it takes, and nothing that differs in one byte.
func FuzzSign(f *testing.F) {
	f.Add("secret", []byte(`{"a":1}`), 3, byte(1))
	f.Add("\xff\x00", []byte{}, 0, byte(0))
	f.Add("é", []byte("Hello, World!"), -1, byte(255))
	f.Fuzz(func(t *testing.T, secret string, body []byte, at int, flip byte) {
		if secret == "" {
			return
		}
		for _, kind := range []string{"github", "hmac"} {
			for _, encoding := range []string{"hex", "base64"} {
				o := Options{Secrets: []string{secret, "another"}}
				if kind == "hmac" {
					o.Header, o.Encoding, o.Prefix = "X-Sig", encoding, "v="
				}
				s, err := New(kind, o)
				if err != nil {
					t.Fatal(err)
				}
				r := &Request{Body: body, Time: time.Unix(1700000000, 0)}
				if err := s.Sign(r); err != nil {
					t.Fatal(err)
				}
				if p := s.Verify(r); p != nil {
					t.Fatalf("%s: its own signature %v of %q is refused: %v", kind, r.Header, body, p)
				}
				other := bytes.Clone(body)
				if i := at % (len(body) + 1); flip != 0 && i >= 0 && i < len(body) {
					other[i] ^= flip
				} else {
					other = append(other, flip)
				}
				if p := s.Verify(&Request{Header: r.Header, Body: other, Time: r.Time}); p == nil || p.Status != 401 {
					t.Fatalf("%s: the signature of %q is taken for %q: %v", kind, body, other, p)
				}
				own := r.Header[0].Value
				value := []byte(own)
				if i := at % len(value); flip != 0 && i >= 0 && r.Header[0].Value[i] != '=' {
					value[i] ^= flip
				} else {
					return
				}
				r.Header[0].Value = string(value)
				// Hex is read in both cases, and base64 with loose last bits.
				if p := s.Verify(r); p == nil && !bytes.EqualFold(value, []byte(own)) && encoding == "hex" {
					t.Fatalf("%s: %q is taken for %q", kind, value, body)
				}
			}
		}
	})
}
