package verify

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"

	"github.com/weirhq/weir/router/problem"
)

func init() { register(Preset{Kind: "token", Needs: []string{"secrets", "header"}, new: newToken}) }

// token is a secret that a header carries as it is.
type token struct {
	secrets secretTexts
	header  string
}

func newToken(o Options) (Scheme, error) {
	s, err := newSecretTexts(o.Secrets)
	if err != nil {
		return nil, err
	}
	if o.Header == "" {
		return nil, errors.New("header: the name of the header that carries the secret is needed")
	}
	return &token{secrets: s, header: o.Header}, nil
}

func (s *token) Verify(r *Request) *problem.Problem {
	value, ok := r.value(s.header)
	switch {
	case !ok || value == "":
		return refuse("credentials_missing", "the request has no %s header", s.header)
	case !s.secrets.match(value):
		return refuse("credentials_mismatch", "the %s header is none of this source's secrets", s.header)
	}
	return nil
}

func (s *token) Sign(r *Request) error {
	r.set(strings.ToLower(s.header), s.secrets.first)
	return nil
}

func (s *token) Credentials() []string { return []string{strings.ToLower(s.header)} }

// secretTexts are secrets that are sent as they are. They are compared by their
// hashes, so that the time does not tell how long they are.
type secretTexts struct {
	first  string
	hashes [][sha256.Size]byte
}

func newSecretTexts(secrets []string) (secretTexts, error) {
	if _, err := keys(secrets); err != nil {
		return secretTexts{}, err
	}
	t := secretTexts{first: secrets[0]}
	for _, s := range secrets {
		t.hashes = append(t.hashes, sha256.Sum256([]byte(s)))
	}
	return t, nil
}

func (t *secretTexts) match(value string) bool {
	given := sha256.Sum256([]byte(value))
	match := 0
	for i := range t.hashes {
		match |= subtle.ConstantTimeCompare(t.hashes[i][:], given[:])
	}
	return match == 1
}
