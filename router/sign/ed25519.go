package sign

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

const (
	privatePrefix    = "whsk_"
	publicPrefix     = "whpk_"
	asymmetricPrefix = "v1a,"
)

// AddKeys makes the scheme sign by private keys too: v1a and the base64 of the
// Ed25519 signature (RFC 8032). A key is whsk_ and the base64 of its seed of 32
// bytes, or of the seed with the public key behind it, 64 bytes. The error does
// not show a key. It must be called before the scheme is used.
func (s *Standard) AddKeys(keys ...string) error {
	for _, text := range keys {
		encoded, ok := strings.CutPrefix(text, privatePrefix)
		if !ok {
			return fmt.Errorf("a private key begins with %s", privatePrefix)
		}
		b, err := decodeBase64(encoded)
		if err != nil || len(b) != ed25519.SeedSize && len(b) != ed25519.PrivateKeySize {
			return fmt.Errorf("after %s stands the base64 of %d or %d bytes", privatePrefix, ed25519.SeedSize, ed25519.PrivateKeySize)
		}
		key := ed25519.NewKeyFromSeed(b[:ed25519.SeedSize])
		if len(b) == ed25519.PrivateKeySize && !bytes.Equal(key, b) {
			return fmt.Errorf("the second half of what stands after %s is not the public key of the first", privatePrefix)
		}
		public, _ := key.Public().(ed25519.PublicKey)
		s.entries = append(s.entries, &asymmetric{private: key, public: public})
	}
	return nil
}

// AddPublicKeys makes the scheme verify by public keys too: whpk_ and the base64
// of 32 bytes. It can't sign by them. It must be called before the scheme is
// used.
func (s *Standard) AddPublicKeys(keys ...string) error {
	for _, text := range keys {
		encoded, ok := strings.CutPrefix(text, publicPrefix)
		if !ok {
			return fmt.Errorf("a public key begins with %s", publicPrefix)
		}
		b, err := decodeBase64(encoded)
		if err != nil || len(b) != ed25519.PublicKeySize {
			return fmt.Errorf("after %s stands the base64 of %d bytes", publicPrefix, ed25519.PublicKeySize)
		}
		s.entries = append(s.entries, &asymmetric{public: b})
	}
	return nil
}

// PublicKey returns the public key, as receivers are given it, of a private one.
func PublicKey(private string) (string, error) {
	var s Standard
	if err := s.AddKeys(private); err != nil {
		return "", err
	}
	a, _ := s.entries[0].(*asymmetric)
	return publicPrefix + base64.StdEncoding.EncodeToString(a.public), nil
}

// asymmetric is v1a: Ed25519.
type asymmetric struct {
	private ed25519.PrivateKey // nil: it only verifies
	public  ed25519.PublicKey
}

func (a *asymmetric) appendSigned(b, start, body []byte) []byte {
	if a.private == nil {
		return b
	}
	// The whole message is hashed twice: it has to be in one piece.
	signed := ed25519.Sign(a.private, append(bytes.Clone(start), body...))
	return base64.StdEncoding.AppendEncode(append(b, asymmetricPrefix...), signed)
}

func (a *asymmetric) matches(given, start, body []byte) bool {
	encoded, ok := bytes.CutPrefix(given, []byte(asymmetricPrefix))
	if !ok {
		return false
	}
	signed, err := base64.StdEncoding.DecodeString(string(encoded))
	return err == nil && ed25519.Verify(a.public, append(bytes.Clone(start), body...), signed)
}
