package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"

	"github.com/weirhq/weir/router"
	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/source/verify"
)

const publicURL = "https://hooks.example.com"

// The key pair was made by openssl for this test.
const (
	privateKey = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgupTID1l5SzKhqUNDm5Y6V6EbF/OnNKFEnEFFhXUBR3ehRANCAARICIwvyJKJw9fU/ifxgFtCVoSEeiHHRwj9Z8kqb6fh9dFuv4FMhrdaL871OcsO8g9P+38apjTdamHCVw/0Aqag"
	publicKey  = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESAiML8iSicPX1P4n8YBbQlaEhHohx0cI/WfJKm+n4fXRbr+BTIa3Wi/O9TnLDvIPT/t/GqY03WphwlcP9AKmoA=="
)

func open(t *testing.T, kind string, secrets ...string) *source.Source {
	t.Helper()
	c := &config.Source{Name: "s", Path: "/in/s", PublicURL: publicURL, Verify: config.Verify{Kind: kind}}
	for _, s := range secrets {
		c.Verify.Secrets = append(c.Verify.Secrets, config.Secret(s))
	}
	s, err := source.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(headers map[string]string, contentType, body, rawQuery string, at time.Time) *source.Request {
	r := &source.Request{
		Method: http.MethodPost, Path: "/in/s", RawQuery: rawQuery, ContentType: contentType, Body: []byte(body), Received: at,
		Header: []event.Field{{Name: "Content-Type", Value: contentType}},
	}
	r.Query, _ = url.ParseQuery(rawQuery)
	for name, value := range headers {
		r.Header = append(r.Header, event.Field{Name: name, Value: value})
	}
	return r
}

// want tells what a source must say to a request: "" that it takes it.
func want(t *testing.T, what string, s *source.Source, r *source.Request, code string) {
	t.Helper()
	taken, err := s.Accept(r)
	if code == "" {
		if err != nil || len(taken.Events) != 1 || !bytes.Equal(taken.Events[0].Data, r.Body) {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if p, ok := err.(*problem.Problem); !ok || p.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// Providers' libraries sign, we verify.
func TestWeTakeWhatProvidersSign(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	for _, tt := range []struct {
		ask, kind     string
		secret, other string
		timed         bool
	}{
		{"github", "github", "It's a Secret to Everybody", "another", false},
		{"stripe", "stripe", "whsec_test_secret", "whsec_another", true},
		{"standard", "standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZXM=", true},
		{"svix", "standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZXM=", true},
		{"twilioBody", "twilio", "12345", "another", false},
	} {
		t.Run(tt.ask, func(t *testing.T) {
			var questions []question
			for _, body := range bodies {
				questions = append(questions, question{"ask": tt.ask, "secret": tt.secret, "body": body, "timestamp": now.Unix(), "url": publicURL + "/in/s"})
			}
			for i, a := range ask(t, questions) {
				_, query, _ := strings.Cut(a.URL, "?")
				signed := func(body string, at time.Time) *source.Request {
					return request(a.Headers, "application/json", body, query, at)
				}
				want(t, "as signed", open(t, tt.kind, tt.secret), signed(bodies[i], now), "")
				want(t, "while the secret rolls", open(t, tt.kind, tt.other, tt.secret), signed(bodies[i], now), "")
				want(t, "another secret", open(t, tt.kind, tt.other), signed(bodies[i], now), "signature_mismatch")
				want(t, "another body", open(t, tt.kind, tt.secret), signed(bodies[i]+" ", now), "signature_mismatch")
				stale, future := "", ""
				if tt.timed {
					stale, future = "timestamp_too_old", "timestamp_in_future"
				}
				want(t, "later", open(t, tt.kind, tt.secret), signed(bodies[i], now.Add(time.Hour)), stale)
				want(t, "earlier", open(t, tt.kind, tt.secret), signed(bodies[i], now.Add(-time.Hour)), future)
			}
		})
	}
}

func TestWeTakeTwiliosForms(t *testing.T) {
	var questions []question
	for _, query := range []string{"", "?foo=1&bar=2"} {
		questions = append(questions, question{
			"ask": "twilioForm", "secret": "12345", "url": publicURL + "/in/s" + query,
			"parameters": map[string]any{"To": "+18005551212", "Body": "ünï & code=1", "MediaUrl": []string{"b", "a", "b"}, "Empty": ""},
		})
	}
	for i, a := range ask(t, questions) {
		_, query, _ := strings.Cut(questions[i]["url"].(string), "?")
		const form = "application/x-www-form-urlencoded"
		want(t, "as signed", open(t, "twilio", "12345"), request(a.Headers, form, a.Body, query, time.Now()), "")
		want(t, "one more", open(t, "twilio", "12345"), request(a.Headers, form, a.Body+"&x=1", query, time.Now()), "signature_mismatch")
		want(t, "another query", open(t, "twilio", "12345"), request(a.Headers, form, a.Body, query+"&x", time.Now()), "signature_mismatch")
	}
}

// Some libraries only verify: they and we take the same bytes.
func TestProvidersTakeWhatWeSign(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct{ ask, kind, secret, theirs string }{
		{"slackVerify", "slack", "8f742231b10e8888abcd99yyyzzz85a5", "8f742231b10e8888abcd99yyyzzz85a5"},
		{"shopifyVerify", "shopify", "hush", "hush"},
		{"sendgridVerify", "sendgrid", privateKey, publicKey},
	} {
		t.Run(tt.ask, func(t *testing.T) {
			scheme, err := verify.New(tt.kind, verify.Options{Secrets: []string{tt.secret}})
			if err != nil {
				t.Fatal(err)
			}
			var questions []question
			var signed []map[string]string
			for _, body := range bodies {
				r := &verify.Request{Body: []byte(body), Time: now}
				if tt.kind == "shopify" { // it asks for these too
					r.Header = []event.Field{
						{Name: "x-shopify-topic", Value: "orders/create"}, {Name: "x-shopify-shop-domain", Value: "a.myshopify.com"},
						{Name: "x-shopify-api-version", Value: "2026-07"}, {Name: "x-shopify-webhook-id", Value: "1"}, {Name: "x-shopify-event-id", Value: "1"},
					}
				}
				if err := scheme.Sign(r); err != nil {
					t.Fatal(err)
				}
				headers := map[string]string{}
				for _, f := range r.Header {
					headers[f.Name] = f.Value
				}
				signed = append(signed, headers)
				for _, body := range []string{body, body + " "} {
					questions = append(questions, question{
						"ask": tt.ask, "secret": tt.theirs, "body": body, "headers": headers,
						"signature": headers["x-twilio-email-event-webhook-signature"], "timestamp": headers["x-twilio-email-event-webhook-timestamp"],
					})
				}
			}
			for i, a := range ask(t, questions) {
				body, code := questions[i]["body"].(string), ""
				if i%2 == 1 {
					code = "signature_mismatch"
				}
				if a.OK != (code == "") {
					t.Errorf("%q: the library says %v %s", body, a.OK, a.Error)
				}
				want(t, body, open(t, tt.kind, tt.theirs), request(signed[i/2], "application/json", body, "", now), code)
			}
		})
	}
}

// client leaves no idle connections, which a router that stops waits for.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// serve runs a router and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	c, report := config.Parse("router.hcl", []byte("store \"badger\" {\n  min_free = \"1MiB\"\n}\n"), config.Options{Dir: t.TempDir()})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	r, err := router.New(t.Context(), c, router.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// stored asks for an event by its id.
func stored(t *testing.T, server, id string) api.Event {
	t.Helper()
	res, err := client.Get(server + "/api/events/" + url.PathEscape(id))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var e api.Event
	if err := json.Unmarshal(body, &e); err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: %s %s", id, res.Status, body)
	}
	return e
}

// sent is one CloudEvent and how it must be stored.
type sent struct {
	id, contentType string
	data            any    // for the JavaScript SDK
	wire            []byte // for the Go SDK
	stored          string // in binary mode
}

// cloudSource has an escape of its own, which no SDK escapes again.
const cloudSource = "/shop/%C3%BC"

var cloudEvents = []sent{
	{"json", "application/json", map[string]any{"total": 1.5, "name": "ü"}, []byte(`{"name":"ü","total":1.5}`), `{"total":1.5,"name":"ü"}`},
	{"text", "text/plain", "hello €", []byte("hello €"), `"hello €"`},
	{"xml", "text/xml", "<a>1</a>", []byte("<a>1</a>"), `"<a>1</a>"`},
	// Without its quotes under a JSON type, in binary mode.
	{"bare", "application/json", "hello", []byte(`"hello"`), `"hello"`},
}

func checkStored(t *testing.T, server, mode string, s sent) {
	t.Helper()
	e := stored(t, server, mode+"-"+s.id)
	var got, want any
	if err := json.Unmarshal(e.Data, &got); err != nil {
		t.Errorf("%s %s: data %s: %v", mode, s.id, e.Data, err)
		return
	}
	if err := json.Unmarshal([]byte(s.stored), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) || e.Type != "com.example.paid" || e.Subject != "cart 7" || e.Time.UTC().Format(time.RFC3339) != "2024-01-01T12:00:00Z" {
		t.Errorf("%s %s is stored as %+v, data %s", mode, s.id, e, e.Data)
	}
	var header map[string]string
	if err := json.Unmarshal(e.Header, &header); err != nil {
		t.Fatal(err)
	}
	if header["ce-source"] != cloudSource || header["ce-traceparent"] != "00-ab" || header["ce-priority"] != "3" || header["ce-id"] != "" {
		t.Errorf("%s %s has the headers %v", mode, s.id, header)
	}
}

func TestJavaScriptSDK(t *testing.T) {
	server := serve(t)
	var questions []question
	var events []any
	attributes := func(mode string, s sent) map[string]any {
		return map[string]any{
			"id": mode + "-" + s.id, "source": cloudSource, "type": "com.example.paid", "subject": "cart 7", "time": "2024-01-01T12:00:00.000Z",
			"datacontenttype": s.contentType, "traceparent": "00-ab", "priority": 3, "data": s.data,
		}
	}
	for _, s := range cloudEvents {
		for _, mode := range []string{"structured", "binary"} {
			questions = append(questions, question{"ask": mode, "url": server + "/events", "event": attributes(mode, s)})
		}
		events = append(events, attributes("batched", s))
	}
	questions = append(questions, question{"ask": "batched", "url": server + "/events", "events": events})
	for i, a := range ask(t, questions) {
		if !strings.Contains(a.Body, `"accepted"`) {
			t.Errorf("%v was answered %s", questions[i], a.Body)
		}
	}
	for _, s := range cloudEvents {
		for _, mode := range []string{"structured", "binary", "batched"} {
			checkStored(t, server, mode, s)
		}
	}
}

func TestGoSDK(t *testing.T) {
	server := serve(t)
	sdk, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(server+"/events"), cloudevents.WithRoundTripper(client.Transport))
	if err != nil {
		t.Fatal(err)
	}
	var batch []cloudevents.Event
	for _, s := range cloudEvents {
		for _, mode := range []string{"structured", "binary", "batched"} {
			e := cloudevents.NewEvent()
			e.SetID(mode + "-" + s.id)
			e.SetSource(cloudSource)
			e.SetType("com.example.paid")
			e.SetSubject("cart 7")
			e.SetTime(time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC))
			e.SetExtension("traceparent", "00-ab")
			e.SetExtension("priority", 3)
			if err := e.SetData(s.contentType, s.wire); err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			switch mode {
			case "structured":
				ctx = binding.WithForceStructured(ctx)
			case "binary":
				ctx = binding.WithForceBinary(ctx)
			default:
				batch = append(batch, e)
				continue
			}
			if result := sdk.Send(ctx, e); cloudevents.IsUndelivered(result) || !cloudevents.IsACK(result) {
				t.Errorf("%s %s: %v", mode, s.id, result)
			}
		}
	}
	body, err := json.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Post(server+"/events", cloudevents.ApplicationCloudEventsBatchJSON, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 202 || strings.Count(string(answer), "accepted") != len(batch) {
		t.Errorf("the batch was answered %s %s", res.Status, answer)
	}
	for _, s := range cloudEvents {
		for _, mode := range []string{"structured", "binary", "batched"} {
			checkStored(t, server, mode, s)
		}
	}
	// The same again is known, and an SDK takes that for delivered.
	e := cloudevents.NewEvent()
	e.SetID("binary-text")
	e.SetSource(cloudSource)
	e.SetType("com.example.paid")
	if result := sdk.Send(t.Context(), e); !cloudevents.IsACK(result) {
		t.Error(result)
	}
}
