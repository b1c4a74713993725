package receiver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/sign"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func start(t *testing.T, o Options) *Receiver {
	t.Helper()
	r, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, r) })
	return r
}

func stop(t *testing.T, r *Receiver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func sender(t *testing.T, r *Receiver, secret string) attempt.Sender {
	t.Helper()
	u, err := url.Parse(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	s, err := attempt.Open(&config.Destination{
		Name: "sink", URL: r.URL(), Parsed: u, Secret: config.Secret(secret), Timeout: 10 * time.Second, Concurrency: 4,
	}, attempt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func delivery(id string, number int) *attempt.Delivery {
	return &attempt.Delivery{
		WebhookID: id, EventType: "order.created", Number: number,
		Body: []byte(`{"a":1}`), ContentType: "application/json", Time: time.Now(),
	}
}

// line is one of the log, read as somebody else would.
type line struct {
	Time       time.Time `json:"time"`
	Event      string    `json:"event"`
	WebhookID  string    `json:"webhook_id"`
	Attempt    int       `json:"attempt"`
	Verified   bool      `json:"verified"`
	Status     int       `json:"status"`
	Bytes      int       `json:"bytes"`
	BodySHA256 string    `json:"body_sha256"`
	Body       *string   `json:"body"`
	BodyBase64 []byte    `json:"body_base64"`
}

func lines(t *testing.T, path string) []line {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []line
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	for {
		var l line
		if err := d.Decode(&l); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
}

func TestVerifiesAndLogs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	var mu sync.Mutex
	var printed []string
	r := start(t, Options{Secret: secret, Log: path, Arrived: func(a Arrival) {
		mu.Lock()
		defer mu.Unlock()
		printed = append(printed, a.String())
	}})
	if o := sender(t, r, secret).Send(t.Context(), delivery("msg_1", 2)); !o.OK {
		t.Fatalf("outcome is %+v", o)
	}
	// Before the answer: it is there by now.
	got := lines(t, path)
	if len(got) != 1 {
		t.Fatalf("%d lines", len(got))
	}
	sum := sha256.Sum256([]byte(`{"a":1}`))
	l := got[0]
	if l.Time.IsZero() || l.Event != "order.created" || l.WebhookID != "msg_1" || l.Attempt != 2 || !l.Verified ||
		l.Status != 200 || l.Bytes != 7 || l.BodySHA256 != hex.EncodeToString(sum[:]) || l.Body == nil || *l.Body != `{"a":1}` {
		t.Errorf("logged %+v", l)
	}
	for name, s := range map[string]string{"another": "another secret", "none": ""} {
		if o := sender(t, r, s).Send(t.Context(), delivery("msg_"+name, 1)); o.OK || o.Status != 401 {
			t.Errorf("secret %s: %+v", name, o)
		}
	}
	for _, l := range lines(t, path)[1:] {
		if l.Verified || l.Status != 401 {
			t.Errorf("logged %+v", l)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(printed) != 3 || r.Count() != 3 {
		t.Fatalf("printed %q, counted %d", printed, r.Count())
	}
	for _, want := range []string{"order.created", "msg_1", "attempt 2", "7 B", "verified", "answer 200"} {
		if !strings.Contains(printed[0], want) {
			t.Errorf("%q lacks %q", printed[0], want)
		}
	}
	for _, p := range printed[1:] {
		if !strings.Contains(p, "BAD SIGNATURE") || !strings.Contains(p, "answer 401") || strings.Contains(p, "verified") {
			t.Errorf("printed %q", p)
		}
	}
}

// Each of the two signatures counts by itself.
func TestOneGoodSignatureIsNotEnough(t *testing.T) {
	r := start(t, Options{Secret: secret})
	good := http.Header{}
	signers, err := sign.ForSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signers {
		s.Sign(good, sign.Message{ID: "msg_1", Time: time.Now(), Body: []byte(`{"a":1}`)})
	}
	for name, want := range map[string]int{
		"nothing": 200, sign.HeaderHMAC: 401, sign.HeaderStandard: 401, sign.HeaderTimestamp: 401, sign.HeaderID: 401,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL(), strings.NewReader(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = good.Clone()
		request.Header.Del(name)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("without %s: %d, want %d", name, response.StatusCode, want)
		}
	}
}

func TestFailsFirstAttemptsOfEachDelivery(t *testing.T) {
	r := start(t, Options{Fail: 2, Status: 202})
	s := sender(t, r, "")
	var got []int
	for _, id := range []string{"msg_1", "msg_2", "msg_1", "msg_1", "msg_2", "msg_2"} {
		got = append(got, s.Send(t.Context(), delivery(id, 1)).Status)
	}
	for i, want := range []int{503, 503, 503, 202, 503, 202} {
		if got[i] != want {
			t.Fatalf("answered %v", got)
		}
	}
}

func TestWithoutSecretNothingIsVerified(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	r := start(t, Options{Log: path})
	if o := sender(t, r, secret).Send(t.Context(), delivery("msg_1", 1)); !o.OK {
		t.Fatalf("outcome is %+v", o)
	}
	if l := lines(t, path)[0]; l.Verified {
		t.Errorf("logged %+v", l)
	}
}

func TestStrangers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	arrivals := make(chan Arrival, 8)
	r := start(t, Options{Log: path, Arrived: func(a Arrival) { arrivals <- a }})
	response, err := http.Get(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed || r.Count() != 0 {
		t.Errorf("GET: %d, counted %d", response.StatusCode, r.Count())
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/any/path", strings.NewReader("\xff\x00"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Webhook-Event", "\x1b[31mred\xc3\xa9")
	request.Header.Set("X-Webhook-Attempt", "many")
	if response, err = http.DefaultTransport.RoundTrip(request); err == nil {
		response.Body.Close()
		t.Fatal("net/http sends control characters now; send them by hand")
	}
	request.Header.Set("X-Webhook-Event", "a\u202eb")
	request.Body = io.NopCloser(strings.NewReader("\xff\x00"))
	if response, err = http.DefaultTransport.RoundTrip(request); err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	l := lines(t, path)
	if len(l) != 1 || l[0].Body != nil || !bytes.Equal(l[0].BodyBase64, []byte("\xff\x00")) || l[0].Attempt != 0 {
		t.Errorf("logged %+v", l)
	}
	if s := (<-arrivals).String(); strings.ContainsRune(s, '\u202e') || !strings.Contains(s, "-  attempt 0") {
		t.Errorf("printed %q", s)
	}
}

func TestDelayEndsWithTheReceiver(t *testing.T) {
	arrived := make(chan struct{})
	r := start(t, Options{Delay: time.Hour, Arrived: func(Arrival) { close(arrived) }})
	done := make(chan attempt.Outcome, 1)
	s := sender(t, r, "")
	go func() { done <- s.Send(context.Background(), delivery("msg_1", 1)) }()
	<-arrived
	stop(t, r)
	if o := <-done; !o.OK {
		t.Errorf("outcome is %+v", o)
	}
}

func TestStartErrors(t *testing.T) {
	for name, o := range map[string]Options{
		"everywhere":   {Addr: ":0"},
		"any address":  {Addr: "0.0.0.0:0"},
		"other host":   {Addr: "example.com:80"},
		"no port":      {Addr: "127.0.0.1"},
		"status":       {Status: 99},
		"interim":      {Status: 103},
		"secret":       {Secret: "whsec_?"},
		"log's folder": {Log: filepath.Join(t.TempDir(), "none", "log")},
	} {
		if r, err := Start(o); err == nil {
			stop(t, r)
			t.Errorf("%s: started", name)
		}
	}
	r := start(t, Options{})
	if again, err := Start(Options{Addr: strings.TrimPrefix(r.URL(), "http://")}); err == nil {
		stop(t, again)
		t.Error("two listen on one address")
	}
}

func TestManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl")
	r := start(t, Options{Secret: secret, Log: path})
	s := sender(t, r, secret)
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 50 {
				if o := s.Send(t.Context(), delivery("msg_1", 1)); !o.OK {
					t.Errorf("outcome is %+v", o)
				}
			}
		}()
	}
	all.Wait()
	if n := len(lines(t, path)); n != 400 || r.Count() != 400 {
		t.Errorf("%d lines, counted %d", n, r.Count())
	}
}
