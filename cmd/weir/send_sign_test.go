package main

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/source/verify"
)

// The key pair was made by openssl for this test.
const (
	sendPrivateKey = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgupTID1l5SzKhqUNDm5Y6V6EbF/OnNKFEnEFFhXUBR3ehRANCAARICIwvyJKJw9fU/ifxgFtCVoSEeiHHRwj9Z8kqb6fh9dFuv4FMhrdaL871OcsO8g9P+38apjTdamHCVw/0Aqag"
	sendPublicKey  = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESAiML8iSicPX1P4n8YBbQlaEhHohx0cI/WfJKm+n4fXRbr+BTIa3Wi/O9TnLDvIPT/t/GqY03WphwlcP9AKmoA=="
)

// Whatever provider send plays, a source of that preset takes it.
func TestSendSignsAsEachProvider(t *testing.T) {
	own := map[string]struct {
		flags  []string
		secret string
		o      verify.Options
	}{
		"basic":    {nil, "user:pass", verify.Options{Username: "user", Secrets: []string{"pass"}}},
		"sendgrid": {nil, sendPrivateKey, verify.Options{Secrets: []string{sendPublicKey}}},
		"standard": {[]string{"--id", "msg_7"}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", verify.Options{Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}},
		"shopify":  {[]string{"--type", "orders/paid", "--id", "1"}, "s", verify.Options{Secrets: []string{"s"}}},
		"gitlab":   {[]string{"--type", "Push Hook"}, "s", verify.Options{Secrets: []string{"s"}}},
	}
	for _, kind := range verify.Kinds() {
		if slices.Contains([]string{"none", "hmac", "token"}, kind) {
			continue // these take their header from the configuration, see TestSendAsProvider
		}
		t.Run(kind, func(t *testing.T) {
			tt := own[kind]
			if tt.secret == "" {
				tt.secret, tt.o.Secrets = "s", []string{"s"}
			}
			gw := newGateway(t, 202, accepted)
			args := append([]string{"--source", "shop", "--sign", kind, "--secret", tt.secret, "--data", `{"a":1}`}, tt.flags...)
			if out, err := runSend(t, &globals{server: gw.url}, "", args...); err != nil {
				t.Fatal(out, err)
			}
			r := &verify.Request{Body: []byte(gw.body), Time: time.Now(), URL: defaultServer + gw.path}
			if gw.query != "" {
				r.URL += "?" + gw.query
				r.Query, _ = url.ParseQuery(gw.query)
			}
			for name, values := range gw.header {
				r.Header = append(r.Header, event.Field{Name: name, Value: values[0]})
			}
			s, err := verify.New(kind, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if p := s.Verify(r); p != nil {
				t.Errorf("refused: %v", p)
			}
		})
	}
}
