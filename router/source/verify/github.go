package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
)

// GitHub's headers, as it writes them. The first is the one that counts; the
// second is the old one by SHA-1, which GitHub sends beside it.
const (
	githubHeader    = "X-Hub-Signature-256"
	githubOldHeader = "X-Hub-Signature"
	githubPrefix    = "sha256="
)

func init() { register("github", newGitHub) }

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
	value, ok := r.value("x-hub-signature-256")
	if !ok || value == "" {
		if _, old := r.value("x-hub-signature"); old {
			return refuse("signature_unsupported",
				"the request is signed with SHA-1 only (%s), which can be forged; set a secret so that %s is sent too",
				githubOldHeader, githubHeader)
		}
		return missing(githubHeader)
	}
	digits, ok := strings.CutPrefix(value, githubPrefix)
	given, err := hex.DecodeString(digits)
	if !ok || err != nil || len(given) != sha256.Size {
		return malformed(githubHeader, "sha256= and 64 hex digits")
	}
	if !anyHMAC(sha256.New, s.keys, r.Body, given) {
		return mismatch(githubHeader)
	}
	return nil
}

func (s *github) Sign(r *Request) []event.Field {
	mac := hmac.New(sha256.New, s.keys[0])
	mac.Write(r.Body)
	return []event.Field{{Name: "x-hub-signature-256", Value: githubPrefix + hex.EncodeToString(mac.Sum(nil))}}
}

func (s *github) Credentials() []string { return nil }
