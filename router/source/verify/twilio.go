package verify

import (
	"crypto/sha1" // it is what Twilio signs with
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
)

const (
	twilioHeader = "X-Twilio-Signature"
	twilioBody   = "bodySHA256"
)

func init() {
	register(Preset{
		Kind: "twilio", Needs: []string{"secrets"}, URL: true, new: newTwilio,
		// Twilio takes the answer for instructions: these say to do nothing.
		Answer: &Answer{Status: http.StatusOK, ContentType: "text/xml", Body: "<Response/>"},
	})
}

// twilio is HMAC-SHA1 in base64 over the address, followed by the form's
// parameters in order of their names, each name and value run together. Other
// bodies are signed through bodySHA256 in the query.
type twilio struct{ keys [][]byte }

func newTwilio(o Options) (Scheme, error) {
	k, err := keys(o.Secrets)
	if err != nil {
		return nil, err
	}
	return &twilio{keys: k}, nil
}

func (s *twilio) Verify(r *Request) *problem.Problem {
	value, ok := r.value(twilioHeader)
	if !ok || value == "" {
		return missing(twilioHeader)
	}
	given, ok := decodeSized(decodeBase64, value, sha1.Size)
	if !ok {
		return malformed(twilioHeader, "base64 of 20 bytes")
	}
	parameters, p := twilioParameters(r)
	if p != nil {
		return p
	}
	match := false
	for _, address := range addresses(r.URL) {
		if anyMAC(sha1.New, s.keys, [][]byte{given}, []byte(address), parameters) {
			match = true
		}
	}
	if !match {
		return refuse("signature_mismatch",
			"the %s header does not match the request under any secret of this source; the address is signed too, and by server.public_url it is %s",
			twilioHeader, withoutQuery(r.URL))
	}
	return nil
}

// twilioParameters returns what of the body is signed, in the form in which it is.
func twilioParameters(r *Request) ([]byte, *problem.Problem) {
	if digest := r.Query.Get(twilioBody); digest != "" {
		given, ok := unhex(digest, sha256.Size)
		if !ok {
			return nil, malformed(twilioHeader, "beside "+twilioBody+" of 64 hex digits in the address")
		}
		if want := sha256.Sum256(r.Body); subtle.ConstantTimeCompare(want[:], given) != 1 {
			return nil, refuse("signature_mismatch", "%s in the address does not match the body", twilioBody)
		}
		return nil, nil
	}
	if len(r.Body) == 0 {
		return nil, nil
	}
	contentType, _ := r.value("content-type")
	if !event.IsForm(contentType) {
		return nil, refuse("signature_unsupported", "the body is not a form, and the address has no %s that would sign it", twilioBody)
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		return nil, refuse("signature_malformed", "the body is not a form, so its signature can't be checked")
	}
	return formText(form), nil
}

func formText(form url.Values) []byte {
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	var text []byte
	for _, name := range names {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) { // as Twilio's own libraries do
			text = append(append(text, name...), v...)
		}
	}
	return text
}

// addresses returns the ways in which Twilio may have written the address: it
// leaves the scheme's own port out for some products and not for others.
func addresses(address string) []string {
	list := []string{address}
	u, err := url.Parse(address)
	if err != nil {
		return list
	}
	port := ":443"
	if u.Scheme == "http" {
		port = ":80"
	}
	begin := u.Scheme + "://" + u.Host
	rest, ok := strings.CutPrefix(address, begin)
	if !ok {
		return list
	}
	if host, has := strings.CutSuffix(u.Host, port); has {
		return append(list, u.Scheme+"://"+host+rest)
	}
	if u.Port() == "" {
		return append(list, begin+port+rest)
	}
	return list
}

func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}

// Sign also adds bodySHA256 to the address of a request whose body is no form.
func (s *twilio) Sign(r *Request) error {
	contentType, _ := r.value("content-type")
	if r.Query.Get(twilioBody) == "" && len(r.Body) > 0 && !event.IsForm(contentType) {
		digest := sha256.Sum256(r.Body)
		join := "?"
		if strings.Contains(r.URL, "?") {
			join = "&"
		}
		r.URL += join + twilioBody + "=" + hex.EncodeToString(digest[:])
		query := url.Values{twilioBody: {hex.EncodeToString(digest[:])}}
		for name, values := range r.Query {
			query[name] = values
		}
		r.Query = query
	}
	parameters, p := twilioParameters(r)
	if p != nil {
		return fmt.Errorf("sign as twilio: %s", p.Detail)
	}
	r.set("x-twilio-signature", base64.StdEncoding.EncodeToString(sum(sha1.New, s.keys[0], []byte(r.URL), parameters)))
	return nil
}

func (s *twilio) Credentials() []string { return nil }
