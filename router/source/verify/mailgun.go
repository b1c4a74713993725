package verify

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/rawjson"
)

func init() {
	register(Preset{
		Kind: "mailgun", Needs: []string{"secrets"}, Takes: []string{"tolerance"},
		Answer: &Answer{Status: http.StatusOK}, new: newMailgun,
	})
}

// mailgun is HMAC-SHA256 in hex over timestamp and token run together. All three
// are in the body: in its member "signature" or, where it is a form, in fields
// of their own. The rest of the body is not signed.
type mailgun struct {
	keys      [][]byte
	tolerance time.Duration
}

func newMailgun(o Options) (Scheme, error) {
	k, err := keys(o.Secrets)
	if err != nil {
		return nil, err
	}
	return &mailgun{keys: k, tolerance: o.Tolerance}, nil
}

// Verify refuses with 406: Mailgun tries again after every other status.
func (s *mailgun) Verify(r *Request) *problem.Problem {
	p := s.verify(r)
	if p != nil {
		p.Status = http.StatusNotAcceptable
	}
	return p
}

func (s *mailgun) verify(r *Request) *problem.Problem {
	timestamp, token, signature := mailgunParts(r)
	switch {
	case signature == "":
		return refuse("signature_missing", `the body has no "signature" with timestamp, token and signature`)
	case timestamp == "":
		return refuse("timestamp_missing", "the signature in the body has no timestamp")
	case token == "":
		return refuse("signature_malformed", "the signature in the body has no token")
	}
	given, ok := unhex(signature, sha256.Size)
	if !ok {
		return refuse("signature_malformed", "the signature in the body is not 64 hex digits")
	}
	at, ok := parseSeconds(timestamp)
	if !ok {
		return malformedTime("the timestamp in the body")
	}
	if !anyMAC(sha256.New, s.keys, [][]byte{given}, []byte(timestamp), []byte(token)) {
		return refuse("signature_mismatch", "the signature in the body does not match its timestamp and token under any secret of this source")
	}
	return checkTime(r, at, s.tolerance)
}

func mailgunParts(r *Request) (timestamp, token, signature string) {
	contentType, _ := r.value("content-type")
	if event.IsForm(contentType) {
		form, err := url.ParseQuery(string(r.Body))
		if err != nil {
			return "", "", ""
		}
		return form.Get("timestamp"), form.Get("token"), form.Get("signature")
	}
	if rawjson.Valid(r.Body) != nil {
		return "", "", ""
	}
	block, ok := rawjson.Key(r.Body, "signature")
	if !ok || rawjson.KindOf(block) != rawjson.Object {
		return "", "", ""
	}
	text := func(name string) string {
		v, ok := rawjson.Key(block, name)
		if !ok {
			return ""
		}
		if s, ok := rawjson.Unquote(v); ok {
			return s
		}
		if rawjson.KindOf(v) == rawjson.Number {
			return string(v)
		}
		return ""
	}
	return text("timestamp"), text("token"), text("signature")
}

// Signature makes dedupe_signature possible: within the tolerance whoever saw a
// request can send another body with its signature.
func (s *mailgun) Signature(r *Request) []byte {
	_, _, signature := mailgunParts(r)
	given, _ := unhex(signature, sha256.Size)
	return given
}

// Sign puts the member "signature" into the body, which must be an object.
func (s *mailgun) Sign(r *Request) error {
	if rawjson.Valid(r.Body) != nil || rawjson.KindOf(r.Body) != rawjson.Object {
		return errors.New("Mailgun's signature is in the body, which must be a JSON object")
	}
	timestamp, token := strconv.FormatInt(r.Time.Unix(), 10), rand.Text()
	signature := hex.EncodeToString(sum(sha256.New, s.keys[0], []byte(timestamp), []byte(token)))
	value := `{"timestamp":"` + timestamp + `","token":"` + token + `","signature":"` + signature + `"}`
	body, err := rawjson.Set(r.Body, rawjson.Path{rawjson.Name("signature")}, []byte(value))
	if err != nil {
		return err
	}
	r.Body = body
	return nil
}

func (s *mailgun) Credentials() []string { return nil }
