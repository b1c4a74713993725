package verify

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/weirhq/weir/router/problem"
)

func init() {
	register(Preset{Kind: "basic", Needs: []string{"username"}, Takes: []string{"password", "secrets"}, new: newBasic})
}

// basic is Authorization: Basic and a user with one of several passwords (RFC
// 7617).
type basic struct {
	user      secretTexts
	passwords secretTexts
}

func newBasic(o Options) (Scheme, error) {
	if o.Username == "" || strings.Contains(o.Username, ":") {
		return nil, errors.New("username: one without a colon is needed")
	}
	if len(o.Secrets) == 0 {
		return nil, errors.New("password: it is needed, or secrets, which are several")
	}
	user, err := newSecretTexts([]string{o.Username})
	if err != nil {
		return nil, err
	}
	passwords, err := newSecretTexts(o.Secrets)
	if err != nil {
		return nil, err
	}
	return &basic{user: user, passwords: passwords}, nil
}

func (s *basic) Verify(r *Request) *problem.Problem {
	value, p := authorization(r, "Basic")
	if p != nil {
		return p
	}
	decoded, err := decodeBase64(value)
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return refuse("credentials_malformed", "the Authorization header is not Basic and base64 of user:password")
	}
	// Both are compared, whatever the first one gives.
	known, right := s.user.match(user), s.passwords.match(password)
	if !known || !right {
		return refuse("credentials_mismatch", "the Authorization header has another user or password than this source")
	}
	return nil
}

func (s *basic) Sign(r *Request) error {
	r.set("authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(s.user.first+":"+s.passwords.first)))
	return nil
}

func (s *basic) Credentials() []string { return []string{"authorization"} }
