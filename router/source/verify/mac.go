package verify

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// maxSignatures is how many signatures of one header are looked at: while a
// secret rolls there are two.
const maxSignatures = 16

// sum is the HMAC of parts, one after another.
func sum(h func() hash.Hash, key []byte, parts ...[]byte) []byte {
	mac := hmac.New(h, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

// anyMAC reports whether one of given is the HMAC of parts under one of the keys.
// All are tried, so that the time does not tell which one matched.
func anyMAC(h func() hash.Hash, keys, given [][]byte, parts ...[]byte) bool {
	match := false
	for _, key := range keys {
		want := sum(h, key, parts...)
		for _, g := range given {
			if hmac.Equal(want, g) {
				match = true
			}
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

// decodeSized decodes a signature that has size bytes.
func decodeSized(decode func(string) ([]byte, error), s string, size int) ([]byte, bool) {
	b, err := decode(s)
	return b, err == nil && len(b) == size
}

func unhex(s string, size int) ([]byte, bool) { return decodeSized(hex.DecodeString, s, size) }
