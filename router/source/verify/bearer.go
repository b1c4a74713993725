package verify

import (
	"strings"

	"github.com/weirhq/weir/router/problem"
)

func init() { register(Preset{Kind: "bearer", Needs: []string{"secrets"}, new: newBearer}) }

// bearer is Authorization: Bearer and a secret (RFC 6750).
type bearer struct{ secrets secretTexts }

func newBearer(o Options) (Scheme, error) {
	s, err := newSecretTexts(o.Secrets)
	if err != nil {
		return nil, err
	}
	return &bearer{secrets: s}, nil
}

func (s *bearer) Verify(r *Request) *problem.Problem {
	value, p := authorization(r, "Bearer")
	if p == nil && !s.secrets.match(value) {
		p = refuse("credentials_mismatch", "the Authorization header has none of this source's secrets")
	}
	return p
}

// authorization returns what follows the scheme's name.
func authorization(r *Request, scheme string) (string, *problem.Problem) {
	value, ok := r.value("authorization")
	if !ok || value == "" {
		return "", refuse("credentials_missing", "the request has no Authorization header")
	}
	name, rest, _ := strings.Cut(value, " ")
	if rest = strings.TrimLeft(rest, " "); !strings.EqualFold(name, scheme) || rest == "" {
		return "", refuse("credentials_malformed", "the Authorization header is not %s and credentials", scheme)
	}
	return rest, nil
}

func (s *bearer) Sign(r *Request) error {
	r.set("authorization", "Bearer "+s.secrets.first)
	return nil
}

func (s *bearer) Credentials() []string { return []string{"authorization"} }
