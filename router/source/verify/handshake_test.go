package verify

import (
	"net/url"
	"strings"
	"testing"
)

// Each is asked as its provider documents it. The vector of crc is by Python's
// hmac module.
func TestHandshakes(t *testing.T) {
	long := strings.Repeat("x", 1025)
	for _, tt := range []struct {
		kind, query, header string
		code                string
		contentType, body   string
	}{
		{"meta", "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=secret", "", "", "text/plain; charset=utf-8", "1158201444"},
		{"meta", "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=Secret", "", "challenge_refused", "", ""},
		{"meta", "hub.mode=unsubscribe&hub.challenge=1158201444&hub.verify_token=secret", "", "challenge_refused", "", ""},
		{"meta", "hub.mode=subscribe&hub.verify_token=secret", "", "challenge_missing", "", ""},
		{"meta", "", "", "challenge_missing", "", ""},
		{"crc", "crc_token=9b4507b3-9040-4669-9ca3-6b94edb50553", "", "", "application/json", `{"response_token":"sha256=CCaF7JoinKrx7/LQHWSmMC3gluNLvmLge86rnkkUiTg="}`},
		{"crc", "", "", "challenge_missing", "", ""},
		{"crc", "crc_token=" + long, "", "challenge_too_large", "", ""},
		{"dropbox", "challenge=%3Cscript%3E", "", "", "text/plain; charset=utf-8", "<script>"},
		{"dropbox", "challenge=" + long, "", "challenge_too_large", "", ""},
		{"dropbox", "", "", "challenge_missing", "", ""},
		{"okta", "", `a"b`, "", "application/json", `{"verification":"a\"b"}`},
		{"okta", "", "", "challenge_missing", "", ""},
	} {
		query, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		r := &Request{Query: query, Header: fields("X-Okta-Verification-Challenge", tt.header)}
		a, p := FindHandshake(tt.kind).Answer(r, "secret")
		switch {
		case tt.code != "":
			if p == nil || p.Code != tt.code || a != nil || p.Status != 400 && p.Status != 403 {
				t.Errorf("%s?%.60s: %+v, %v", tt.kind, tt.query, a, p)
			}
		case p != nil || a.Status != 200 || a.ContentType != tt.contentType || a.Body != tt.body:
			t.Errorf("%s?%s: %+v, %v", tt.kind, tt.query, a, p)
		}
	}
	if got := strings.Join(Handshakes(), " "); got != "crc dropbox meta okta" {
		t.Errorf("kinds are %s", got)
	}
}
