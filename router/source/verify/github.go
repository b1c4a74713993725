package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/weirhq/weir/router/problem"
)

// GitHub's headers, as it writes them. The first is the one that counts; the
// second is the old one by SHA-1, which GitHub sends beside it.
const (
	githubHeader    = "X-Hub-Signature-256"
	githubOldHeader = "X-Hub-Signature"
	githubPrefix    = "sha256="
)

func init() { register(Preset{Kind: "github", Needs: []string{"secrets"}, new: newGitHub}) }

// github is HMAC-SHA256 over the body in lower-case hex, after sha256=.
type github struct{ keys [][]byte }

func newGitHub(o Options) (Scheme, error) {
	k, err := keys(o.Secrets)
	if err != nil {
		return nil, err
	}
	return &github{keys: k}, nil
}

func (s *github) Verify(r *Request) *problem.Problem {
	value, ok := r.value(githubHeader)
	if !ok || value == "" {
		if _, old := r.value(githubOldHeader); old {
			return refuse("signature_unsupported",
				"the request is signed with SHA-1 only (%s), which can be forged; set a secret so that %s is sent too",
				githubOldHeader, githubHeader)
		}
		return missing(githubHeader)
	}
	given, ok := githubGiven(value)
	if !ok {
		return malformed(githubHeader, "sha256= and 64 hex digits")
	}
	if !anyMAC(sha256.New, s.keys, [][]byte{given}, r.Body) {
		return mismatch(githubHeader)
	}
	return nil
}

func githubGiven(value string) ([]byte, bool) {
	digits, ok := strings.CutPrefix(value, githubPrefix)
	given, good := unhex(digits, sha256.Size)
	return given, ok && good
}

func (s *github) Signature(r *Request) []byte {
	value, _ := r.value(githubHeader)
	given, _ := githubGiven(value)
	return given
}

func (s *github) Sign(r *Request) error {
	r.set("x-hub-signature-256", githubPrefix+hex.EncodeToString(sum(sha256.New, s.keys[0], r.Body)))
	return nil
}

func (s *github) Credentials() []string { return nil }
