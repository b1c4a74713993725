// Package interop holds no code of the router: its tests check signatures
// against npm packages that receivers and GitHub's users have. They need
// `make deps` first.
package interop

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/source/verify"
)

const (
	secret       = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	githubSecret = "It's a Secret to Everybody"
)

// bodies are what encoders disagree about.
var bodies = []string{
	`{"test": 2432232314}`,
	"{\n  \"n\": 12345678901234567890,\t\"f\": 1.0\n}\n",
	`{"text":"zażółć 🎉 \u0000 \ud83c\udf89","event":"ünïcode"}`,
	`[]`,
}

type question map[string]any

type answer struct {
	OK        bool
	Error     string
	Signature string
}

// ask puts all questions to one run of Node.
func ask(t *testing.T, questions []question) []answer {
	t.Helper()
	if _, err := os.Stat("node_modules/standardwebhooks"); err != nil {
		t.Fatalf("the npm packages are not installed; run `make deps` first: %v", err)
	}
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "interop.mjs")
	node.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	node.Stderr = &stderr
	output, err := node.Output()
	if err != nil {
		t.Fatalf("node (run `make deps` first): %v\n%s", err, stderr.String())
	}
	var answers []answer
	if err := json.Unmarshal(output, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

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

func TestStandardWebhooksTakesOurDeliveries(t *testing.T) {
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
		questions = append(questions,
			question{"ask": "standard", "secret": secret, "body": r.body, "headers": headers},
			question{"ask": "standard", "secret": secret, "body": r.body + " ", "headers": headers},
			question{"ask": "standard", "secret": secret, "body": r.body, "headers": other},
			question{"ask": "standard", "secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "body": r.body, "headers": headers},
		)
		want = append(want, true, false, false, false)
	}
	for i, a := range ask(t, questions) {
		if a.OK != want[i] {
			t.Errorf("%v: took it: %v (%s)", questions[i], a.OK, a.Error)
		}
	}
}

// While a secret is rotated each receiver's library takes the header with its own
// one, whatever else is in it.
func TestStandardWebhooksTakesEachSecret(t *testing.T) {
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
				question{"ask": "standard", "secret": secret, "body": r.body, "headers": headers},
				question{"ask": "standard", "secret": old, "body": r.body, "headers": headers},
				question{"ask": "standard", "secret": "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=", "body": r.body, "headers": headers},
				question{"ask": "ed25519", "key": public, "body": r.body, "headers": headers},
				question{"ask": "ed25519", "key": public, "body": r.body + " ", "headers": headers},
				question{"ask": "ed25519", "key": stranger, "body": r.body, "headers": headers},
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

func TestWeTakeWhatOctokitSigns(t *testing.T) {
	var questions []question
	for _, body := range bodies {
		questions = append(questions, question{"ask": "githubSign", "secret": githubSecret, "body": body})
	}
	s, err := source.New(&config.Source{Name: "github", Verify: config.Verify{Kind: "github", Secrets: []config.Secret{githubSecret}}})
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := verify.New("github", verify.Options{Secrets: []string{githubSecret}})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range ask(t, questions) {
		body := []byte(bodies[i])
		r := &source.Request{
			Header:      []event.Field{{Name: "x-hub-signature-256", Value: a.Signature}},
			ContentType: "application/json", Body: body, Received: time.Now(),
		}
		taken, err := s.Accept(r)
		if err != nil || len(taken.Events) != 1 || !bytes.Equal(taken.Events[0].Data, body) {
			t.Errorf("%s signed %s: %v", a.Signature, body, err)
		}
		own := &verify.Request{Body: body}
		if err := scheme.Sign(own); err != nil || own.Header[0].Value != a.Signature {
			t.Errorf("we sign %v, octokit %s: %v", own.Header, a.Signature, err)
		}
		r.Body = append(bytes.Clone(body), ' ')
		if _, err := s.Accept(r); err == nil {
			t.Errorf("%s is taken for another body", a.Signature)
		}
	}
}

func TestWeTakeWhatStandardWebhooksSigns(t *testing.T) {
	now := time.Now()
	var questions []question
	for _, body := range bodies {
		questions = append(questions, question{"ask": "standardSign", "secret": secret, "id": "msg_1", "timestamp": now.Unix(), "body": body})
	}
	s, err := sign.NewStandard(secret)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range ask(t, questions) {
		timestamp := strconv.FormatInt(now.Unix(), 10)
		if err := s.Verify("msg_1", timestamp, a.Signature, []byte(bodies[i]), now, time.Minute); err != nil {
			t.Errorf("%s: %v", a.Signature, err)
		}
		if err := s.Verify("msg_1", timestamp, a.Signature, []byte(bodies[i]+" "), now, time.Minute); err == nil {
			t.Errorf("%s is taken for another body", a.Signature)
		}
	}
}
