package interop

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/sign"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

type received struct {
	header http.Header
	body   string
}

// deliver sends body as a delivery and returns what the receiver got.
func deliver(t *testing.T, secret, body string) received {
	t.Helper()
	return deliverAs(t, body, &config.Destination{Secret: config.Secret(secret)})
}

// deliverAs sends body as c says.
func deliverAs(t *testing.T, body string, c *config.Destination) received {
	t.Helper()
	got := make(chan received, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- received{r.Header, string(b)}
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.Name, c.URL, c.Parsed, c.Timeout, c.Concurrency = "crm", server.URL, u, 10*time.Second, 1
	s, err := attempt.Open(c, attempt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	o := s.Send(t.Context(), &attempt.Delivery{
		WebhookID: "msg_p5jXN8AQM9LWM0D4loKWxJek", EventType: "order.created", Number: 1,
		Body: []byte(body), ContentType: "application/json", Time: time.Now(),
	})
	if !o.OK {
		t.Fatalf("outcome is %+v", o)
	}
	return <-got
}

// Svix's package looks for Svix's header names first, and takes the standard ones.
func TestStandardWebhooksAndSvixTakeOurDeliveries(t *testing.T) {
	var questions []question
	var want []bool
	for _, body := range bodies {
		r := deliver(t, secret, body)
		headers := map[string]string{}
		for _, name := range []string{sign.HeaderID, sign.HeaderTimestamp, sign.HeaderStandard} {
			headers[name] = r.header.Get(name)
		}
		other := map[string]string{}
		for k, v := range headers {
			other[k] = v
		}
		other[sign.HeaderID] = "msg_another"
		for _, ask := range []string{"standardVerify", "svixVerify"} {
			questions = append(questions,
				question{"ask": ask, "secret": secret, "body": r.body, "headers": headers},
				question{"ask": ask, "secret": secret, "body": r.body + " ", "headers": headers},
				question{"ask": ask, "secret": secret, "body": r.body, "headers": other},
				question{"ask": ask, "secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "body": r.body, "headers": headers},
			)
			want = append(want, true, false, false, false)
		}
	}
	for i, a := range ask(t, questions) {
		if a.OK != want[i] {
			t.Errorf("%v: took it: %v (%s)", questions[i], a.OK, a.Error)
		}
	}
}

// While a secret is rotated each receiver's library takes the header with its own
// one, whatever else is in it.
func TestReceiversTakeEachSecret(t *testing.T) {
	const (
		private  = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
		public   = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
		stranger = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
		old      = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	)
	var questions []question
	var want []bool
	for _, body := range bodies {
		for _, c := range []*config.Destination{
			{Secret: secret, PreviousSecrets: []config.Secret{old}},
			{Sign: []config.Sign{{Scheme: "ed25519", Keys: []config.Secret{private}}, {Scheme: "standard", Secrets: []config.Secret{secret, old}}}},
		} {
			r := deliverAs(t, body, c)
			headers := map[string]string{}
			for _, name := range []string{sign.HeaderID, sign.HeaderTimestamp, sign.HeaderStandard} {
				headers[name] = r.header.Get(name)
			}
			questions = append(questions,
				question{"ask": "standardVerify", "secret": secret, "body": r.body, "headers": headers},
				question{"ask": "standardVerify", "secret": old, "body": r.body, "headers": headers},
				question{"ask": "standardVerify", "secret": "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=", "body": r.body, "headers": headers},
				question{"ask": "ed25519Verify", "key": public, "body": r.body, "headers": headers},
				question{"ask": "ed25519Verify", "key": public, "body": r.body + " ", "headers": headers},
				question{"ask": "ed25519Verify", "key": stranger, "body": r.body, "headers": headers},
			)
			want = append(want, true, true, false, len(c.Sign) > 0, false, false)
		}
	}
	for i, a := range ask(t, questions) {
		if a.OK != want[i] {
			t.Errorf("%v: took it: %v (%s)", questions[i], a.OK, a.Error)
		}
	}
}

func TestOctokitTakesXWebhookSignature(t *testing.T) {
	var questions []question
	var want []bool
	for _, body := range bodies {
		r := deliver(t, secret, body)
		signature := r.header.Get(sign.HeaderHMAC)
		questions = append(questions,
			question{"ask": "githubVerify", "secret": secret, "body": r.body, "signature": signature},
			question{"ask": "githubVerify", "secret": secret, "body": r.body + " ", "signature": signature},
			question{"ask": "githubVerify", "secret": strings.TrimPrefix(secret, "whsec_"), "body": r.body, "signature": signature},
		)
		want = append(want, true, false, false)
	}
	for i, a := range ask(t, questions) {
		if a.OK != want[i] {
			t.Errorf("%v: took it: %v", questions[i], a.OK)
		}
	}
}
