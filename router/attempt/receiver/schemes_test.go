package receiver

import (
	"bytes"
	"net/url"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
)

// The sink takes what Weir sends by each scheme, and nothing that is signed
// otherwise.
func TestSchemes(t *testing.T) {
	const (
		private = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
		public  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	)
	standard := config.Sign{Scheme: "standard", Secrets: []config.Secret{"a", "b"}}
	hmac := config.Sign{Scheme: "hmac", Secrets: []config.Secret{"a"}, Header: "X-Hub-Signature-256", Encoding: "base64", Prefix: "v1="}
	ed25519 := config.Sign{Scheme: "ed25519", Keys: []config.Secret{private}}
	for _, c := range []struct {
		name    string
		options Options
		sign    []config.Sign
		status  int
	}{
		{"standard", Options{Secret: "b", Sign: []string{"standard"}}, []config.Sign{standard}, 200},
		{"standard by another secret", Options{Secret: "c", Sign: []string{"standard"}}, []config.Sign{standard}, 401},
		{"standard where both are wanted", Options{Secret: "a"}, []config.Sign{standard}, 401},
		{"hmac", Options{Secret: "a", Header: "x-hub-signature-256"}, []config.Sign{hmac}, 200},
		{"hmac by another secret", Options{Secret: "c", Header: "x-hub-signature-256"}, []config.Sign{hmac}, 401},
		{"hmac elsewhere", Options{Secret: "a", Header: "x-signature"}, []config.Sign{hmac}, 401},
		{"ed25519", Options{PublicKey: public}, []config.Sign{ed25519}, 200},
		{"ed25519 missing", Options{PublicKey: public}, []config.Sign{standard}, 401},
		{"all", Options{Secret: "a", PublicKey: public, Header: "x-hub-signature-256", Sign: []string{"hmac", "standard", "ed25519"}}, []config.Sign{standard, hmac, ed25519}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			arrived := make(chan Arrival, 1)
			c.options.Arrived = func(a Arrival) { arrived <- a }
			r, err := Start(c.options)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := r.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}()
			u, err := url.Parse(r.URL())
			if err != nil {
				t.Fatal(err)
			}
			s, err := attempt.Open(&config.Destination{
				Name: "d", URL: r.URL(), Parsed: u, Sign: c.sign, Compress: true, Timeout: time.Minute, Concurrency: 1, Direct: true,
			}, attempt.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			body := bytes.Repeat([]byte(`{"a":1}`), 1000)
			o := s.Send(t.Context(), &attempt.Delivery{WebhookID: "msg_1", EventType: "a", Number: 1, Body: body, ContentType: "application/json", Time: time.Now()})
			a := <-arrived
			if o.Status != c.status || (a.Signature == SignatureVerified) != (c.status == 200) {
				t.Errorf("answered %d: %s", o.Status, a)
			}
			if a.Body != string(body) {
				t.Error("the compressed body is not shown as it was")
			}
		})
	}
	for _, o := range []Options{{PublicKey: private}, {Secret: "a", Sign: []string{"rsa"}}} {
		if r, err := Start(o); err == nil {
			t.Errorf("%+v is taken", o)
			r.Close(t.Context())
		}
	}
}
