package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/rawjson"
)

const (
	slackHeader = "X-Slack-Signature"
	slackTime   = "X-Slack-Request-Timestamp"
	slackPrefix = "v0="
)

func init() {
	register(Preset{
		Kind: "slack", Needs: []string{"secrets"}, Takes: []string{"tolerance"},
		// Slack shows what a slash command's answer holds to the user.
		Answer: &Answer{Status: http.StatusOK}, Challenge: slackChallenge, new: newSlack,
	})
}

// slack is HMAC-SHA256 over v0:timestamp:body, as v0=hex.
type slack struct {
	keys      [][]byte
	tolerance time.Duration
}

func newSlack(o Options) (Scheme, error) {
	k, err := keys(o.Secrets)
	if err != nil {
		return nil, err
	}
	return &slack{keys: k, tolerance: o.Tolerance}, nil
}

func (s *slack) Verify(r *Request) *problem.Problem {
	value, ok := r.value(slackHeader)
	if !ok || value == "" {
		return missing(slackHeader)
	}
	text, ok := r.value(slackTime)
	if !ok || text == "" {
		return refuse("timestamp_missing", "the request has no %s header", slackTime)
	}
	digits, ok := strings.CutPrefix(value, slackPrefix)
	given, good := unhex(digits, sha256.Size)
	if !ok || !good {
		return malformed(slackHeader, "v0= and 64 hex digits")
	}
	at, ok := parseSeconds(text)
	if !ok {
		return malformedTime("the " + slackTime + " header")
	}
	if !anyMAC(sha256.New, s.keys, [][]byte{given}, slackText(text), r.Body) {
		return mismatch(slackHeader)
	}
	return checkTime(r, at, s.tolerance)
}

func slackText(timestamp string) []byte { return []byte("v0:" + timestamp + ":") }

func (s *slack) Sign(r *Request) error {
	text := strconv.FormatInt(r.Time.Unix(), 10)
	r.set("x-slack-request-timestamp", text)
	r.set("x-slack-signature", slackPrefix+hex.EncodeToString(sum(sha256.New, s.keys[0], slackText(text), r.Body)))
	return nil
}

func (s *slack) Credentials() []string { return nil }

// slackChallenge answers url_verification, which Slack sends when an address is
// entered. It is no event.
func slackChallenge(body []byte) *Answer {
	if !bytes.Contains(body, []byte("url_verification")) || rawjson.Valid(body) != nil {
		return nil
	}
	kind, _ := rawjson.Key(body, "type")
	if !rawjson.EqualString(kind, "url_verification") {
		return nil
	}
	value, _ := rawjson.Key(body, "challenge")
	challenge, ok := rawjson.Unquote(value)
	if !ok || len(challenge) > maxChallenge {
		return nil
	}
	return Plain(challenge)
}

// maxChallenge bounds what is sent back to who asks.
const maxChallenge = 1024

// Plain answers a challenge with a text.
func Plain(text string) *Answer {
	return &Answer{Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: text}
}
