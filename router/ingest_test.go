package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/source/verify"
)

// oneShot leaves no idle connections, which a router that stops waits for.
var oneShot = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// listening serves a router and returns its address.
func listening(t *testing.T, r *Router) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	t.Cleanup(func() {
		shut(t, r)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

type answered struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, method, url, body string, header ...event.Field) answered {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range header {
		req.Header.Set(f.Name, f.Value)
	}
	res, err := oneShot.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{res.StatusCode, res.Header, string(b)}
}

// signed signs a JSON body as a provider would.
func signed(t *testing.T, kind, address string, o verify.Options, body string, header ...event.Field) *verify.Request {
	t.Helper()
	r := &verify.Request{
		Header: append([]event.Field{{Name: "content-type", Value: "application/json"}}, header...),
		Body:   []byte(body), URL: address, Time: time.Now(),
	}
	s, err := verify.New(kind, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sign(r); err != nil {
		t.Fatal(err)
	}
	return r
}

const manySources = `
server {
  public_url = "https://hooks.example.com"
}
store "badger" {
  min_free = "1MiB"
}
source "mail" {
  verify "mailgun" {
    secrets = ["secret"]
  }
  id = body["event-data"].id
}
source "sms" {
  verify "twilio" {
    secrets = ["secret"]
  }
}
source "chat" {
  verify "slack" {
    secrets = ["secret"]
  }
  id = body.event_id
}
source "pay" {
  verify "stripe" {
    secrets = ["secret"]
  }
  id = body.id
}
source "code" {
  dedupe_signature = true
  verify "github" {
    secrets = ["secret"]
  }
  id = header["x-github-delivery"]
}
source "meta" {
  verify "hmac" {
    secrets = ["secret"]
    header  = "x-hub-signature-256"
    prefix  = "sha256="
  }
  handshake "meta" {
    verify_token = "mine"
  }
  reply {
    status       = 200
    content_type = "application/xml"
    body         = "<ok/>"
  }
}
source "form" {
  reply {
    status = 204
  }
}
source "slow" {
  rate = "2/h"
}
source "orders" {
  format = "native"
  schema = "order.json"
}
`

const orderSchema = `{"type":"object","required":["id"],"properties":{"lines":{"type":"array","items":{"type":"object","required":["sku"]}}}}`

func many(t *testing.T) (*Router, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "order.json"), []byte(orderSchema), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, dir, manySources, Options{})
	return r, listening(t, r)
}

// Each provider gets the answer that it wants, a duplicate the same one, and a
// stranger none.
func TestAnswersToProviders(t *testing.T) {
	r, server := many(t)
	secret := verify.Options{Secrets: []string{"secret"}}
	for _, tt := range []struct {
		source, kind, body  string
		status              int
		contentType, answer string
		refused             int
	}{
		{"mail", "mailgun", `{"event-data":{"id":"m1"}}`, 200, "", "", 406},
		{"sms", "twilio", `{"a":1}`, 200, "text/xml", "<Response/>", 401},
		{"chat", "slack", `{"event_id":"c1"}`, 200, "", "", 401},
		{"pay", "stripe", `{"id":"p1"}`, 202, "application/json", `"event_id":"p1"`, 401},
		{"meta", "github", `{"id":"x"}`, 200, "application/xml", "<ok/>", 401}, // Meta signs as GitHub does
	} {
		t.Run(tt.source, func(t *testing.T) {
			own := "https://hooks.example.com/in/" + tt.source
			for range 2 {
				q := signed(t, tt.kind, own, secret, tt.body)
				got := ask(t, "POST", server+"/in/"+tt.source+strings.TrimPrefix(q.URL, own), string(q.Body), q.Header...)
				if got.status != tt.status || !strings.HasPrefix(got.header.Get("Content-Type"), tt.contentType) || !strings.Contains(got.body, tt.answer) || tt.answer == "" && got.body != "" {
					t.Errorf("answered %d %s %q", got.status, got.header.Get("Content-Type"), got.body)
				}
			}
			q := signed(t, tt.kind, own, verify.Options{Secrets: []string{"wrong"}}, tt.body)
			got := ask(t, "POST", server+"/in/"+tt.source+strings.TrimPrefix(q.URL, own), string(q.Body), q.Header...)
			if got.status != tt.refused || !strings.Contains(got.body, `"code":"signature_mismatch"`) || strings.Contains(got.body, "secret\"") {
				t.Errorf("a stranger was answered %d %q", got.status, got.body)
			}
		})
	}
	counts := map[string]uint64{}
	for _, c := range r.tally.Counts() {
		if c.Repeated {
			c.Reason = "again"
		}
		counts[c.Source+" "+c.Reason] = c.N
	}
	if counts["mail "] != 1 || counts["mail again"] != 1 || counts["mail signature_mismatch"] != 1 || counts["sms signature_mismatch"] != 1 {
		t.Errorf("counted %v", counts)
	}
}

func TestHandshakes(t *testing.T) {
	r, server := many(t)
	const query = "/in/meta?hub.mode=subscribe&hub.challenge=%3Cb%3E&hub.verify_token="
	if got := ask(t, "GET", server+query+"mine", ""); got.status != 200 || got.body != "<b>" ||
		!strings.HasPrefix(got.header.Get("Content-Type"), "text/plain") || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("answered %+v", got)
	}
	if got := ask(t, "GET", server+query+"yours", ""); got.status != 403 || strings.Contains(got.body, "mine") {
		t.Errorf("answered %+v", got)
	}
	if got := ask(t, "GET", server+"/in/pay", ""); got.status != 405 || got.header.Get("Allow") != "POST" {
		t.Errorf("answered %+v", got)
	}
	const challenge = `{"type":"url_verification","challenge":"abc","token":"t"}`
	q := signed(t, "slack", "", verify.Options{Secrets: []string{"secret"}}, challenge)
	if got := ask(t, "POST", server+"/in/chat", challenge, q.Header...); got.status != 200 || got.body != "abc" {
		t.Errorf("answered %+v", got)
	}
	if got := ask(t, "POST", server+"/in/chat", challenge); got.status != 401 {
		t.Errorf("unsigned: answered %+v", got)
	}
	if n := r.store.Last(); n != 0 {
		t.Errorf("%d events are stored", n)
	}
}

// A captured request is known again under another id, across a restart too.
func TestDedupeSignature(t *testing.T) {
	_, server := many(t)
	q := signed(t, "github", "", verify.Options{Secrets: []string{"secret"}}, `{"a":1}`)
	for i, want := range []string{`{"event_id":"first","status":"accepted"}`, `{"event_id":"first","status":"duplicate"}`} {
		id := event.Field{Name: "X-GitHub-Delivery", Value: []string{"first", "second"}[i]}
		if got := ask(t, "POST", server+"/in/code", string(q.Body), append(q.Header, id)...); got.status != 202 || got.body != want {
			t.Errorf("answered %+v, want %s", got, want)
		}
	}
	q.Header[1].Value = strings.ToUpper(q.Header[1].Value[:7]) + strings.ToUpper(q.Header[1].Value[7:])
	q.Header[1].Value = "sha256=" + q.Header[1].Value[7:]
	id := event.Field{Name: "X-GitHub-Delivery", Value: "third"}
	if got := ask(t, "POST", server+"/in/code", string(q.Body), append(q.Header, id)...); !strings.Contains(got.body, `"duplicate"`) {
		t.Errorf("in another spelling: answered %+v", got)
	}
}

// A form of several parts is kept as it came.
func TestMultipartIsKept(t *testing.T) {
	r, server := many(t)
	body := "--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=x\r\n\r\nfile\r\n--b--\r\nepilogue"
	got := ask(t, "POST", server+"/in/form", body, event.Field{Name: "content-type", Value: "multipart/form-data; boundary=b"})
	if got.status != 204 || got.body != "" {
		t.Errorf("answered %+v", got)
	}
	e, err := r.store.Event(t.Context(), 1)
	if err != nil || string(e.Data) != body {
		t.Errorf("stored %q, %v", e.Data, err)
	}
}

func TestRate(t *testing.T) {
	r, server := many(t)
	for i, want := range []int{202, 202, 429} {
		got := ask(t, "POST", server+"/in/slow", "x")
		if got.status != want || (want == 429) != (got.header.Get("Retry-After") != "") || want == 429 && !strings.Contains(got.body, `"rate_limited"`) {
			t.Errorf("request %d: answered %+v", i, got)
		}
	}
	// A reload gives no second helping.
	dir := r.config.Dir
	if _, err := r.Reload(t.Context(), parse(t, dir, strings.Replace(manySources, `body         = "<ok/>"`, `body         = "<fine/>"`, 1)), false); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, "POST", server+"/in/slow", "x"); got.status != 429 {
		t.Errorf("after a reload: answered %+v", got)
	}
}

func TestSchema(t *testing.T) {
	r, server := many(t)
	json := event.Field{Name: "content-type", Value: "application/json"}
	for body, want := range map[string]string{
		`{"event":"a","data":{"id":1}}`: "",
		`{"event":"a","data":{}}`:       `"pointer":""`,
		`[{"event":"a","data":{"id":1}},{"event":"a","data":{"id":1,"lines":[{"sku":1},{}]}}]`: `"pointer":"/lines/1"`,
		`{"event":"a","data":7}`: `"pointer":""`,
	} {
		got := ask(t, "POST", server+"/in/orders", body, json)
		if want == "" {
			if got.status != 202 {
				t.Errorf("%s: answered %+v", body, got)
			}
			continue
		}
		if got.status != 422 || !strings.Contains(got.body, `"code":"schema"`) || !strings.Contains(got.body, want) {
			t.Errorf("%s: answered %+v, want %s", body, got, want)
		}
		if strings.HasPrefix(body, "[") && !strings.Contains(got.body, `"index":1`) {
			t.Errorf("%s: answered %+v", body, got)
		}
	}
	if n := r.store.Last(); n != 1 {
		t.Errorf("%d events are stored", n)
	}
}

func TestBatchAnswers(t *testing.T) {
	_, server := many(t)
	json := event.Field{Name: "content-type", Value: "application/json"}
	got := ask(t, "POST", server+"/events", `[{"event":"a","data":1,"event_id":"1"},{"event":"a","data":1,"event_id":"1"},{"event":"a","data":2,"event_id":"1"}]`, json)
	const want = `{"events":[{"event_id":"1","status":"accepted"},{"event_id":"1","status":"duplicate"},{"event_id":"1","status":"duplicate","differs":true}]}`
	if got.status != 202 || got.body != want {
		t.Errorf("answered %+v", got)
	}
	if got := ask(t, "POST", server+"/events", `[]`, json); got.status != 202 || got.body != `{"events":[]}` {
		t.Errorf("an empty batch was answered %+v", got)
	}
	body := "[" + strings.TrimSuffix(strings.Repeat(`{"event":"a","data":"`+strings.Repeat("x", 1000)+`"},`, 1000), ",") + "]"
	if got := ask(t, "POST", server+"/events", body, json); got.status != 202 || strings.Count(got.body, "accepted") != 1000 {
		t.Errorf("a thousand of a kilobyte were answered %d %.200s", got.status, got.body)
	}
}

// waitRouter has receivers that answer, refuse, or hang.
func waitRouter(t *testing.T) (string, func(), *atomic.Int64) {
	t.Helper()
	release := make(chan struct{})
	var calls atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		switch r.URL.Path {
		case "/ok":
			fmt.Fprint(w, "thanks")
		case "/gone":
			w.WriteHeader(410)
		case "/hang":
			<-release
		}
	}))
	t.Cleanup(receiver.Close)
	done := sync.OnceFunc(func() { close(release) })
	t.Cleanup(done)
	hcl := fmt.Sprintf(`
store "badger" {
  min_free = "1MiB"
}
destination "ok" {
  url = "%[1]s/ok"
}
destination "also" {
  url = "%[1]s/ok"
}
destination "gone" {
  url = "%[1]s/gone"
}
destination "hang" {
  url     = "%[1]s/hang"
  timeout = "1m"
}
route "ok" {
  events = ["both", "ok"]
  to     = [destination.ok]
}
route "gone" {
  events = ["both"]
  to     = [destination.gone]
}
route "twice" {
  events = ["twice"]
  to     = [destination.ok, destination.also]
}
route "hang" {
  events = ["hang"]
  to     = [destination.hang, destination.ok]
}
`, receiver.URL)
	return listening(t, start(t, t.TempDir(), hcl, Options{})), done, &calls
}

func outcomesOf(t *testing.T, a answered) []api.Outcome {
	t.Helper()
	var list api.OutcomeList
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatal(a.body, err)
	}
	if list.Events == nil {
		var one api.Outcome
		if err := json.Unmarshal([]byte(a.body), &one); err != nil {
			t.Fatal(err)
		}
		list.Events = []api.Outcome{one}
	}
	return list.Events
}

func TestWait(t *testing.T) {
	server, release, _ := waitRouter(t)
	jsonType := event.Field{Name: "content-type", Value: "application/json"}
	post := func(query, body string) answered { return ask(t, "POST", server+"/events"+query, body, jsonType) }

	a := post("?wait=30s", `{"event":"both","data":1,"event_id":"1"}`)
	list := outcomesOf(t, a)
	if a.status != 200 || len(list) != 1 || list[0].EventID != "1" || list[0].Status != "accepted" || len(list[0].Deliveries) != 2 {
		t.Fatalf("answered %+v", a)
	}
	for _, d := range list[0].Deliveries {
		last := d.Attempts[len(d.Attempts)-1]
		if d.Destination == "ok" && (d.Status != "delivered" || last.Status != 200 || last.Response != "thanks") ||
			d.Destination == "gone" && (d.Status != "dead" || d.Reason != "gone" || last.Status != 410) {
			t.Errorf("delivery %+v", d)
		}
	}
	// A duplicate is told what the first led to.
	if a := post("?wait=30s", `{"event":"both","data":1,"event_id":"1"}`); a.status != 200 || outcomesOf(t, a)[0].Status != "duplicate" || len(outcomesOf(t, a)[0].Deliveries) != 2 {
		t.Errorf("answered %+v", a)
	}
	// An event that no route takes has ended at once.
	if a := post("?wait=30s", `{"event":"nobody","data":1}`); a.status != 200 || len(outcomesOf(t, a)[0].Deliveries) != 0 || !strings.Contains(a.body, `"deliveries":[]`) {
		t.Errorf("answered %+v", a)
	}
	if a := post("?wait=30s", `[{"event":"ok","data":1},{"event":"nobody","data":1},{"event":"ok","data":1}]`); a.status != 200 || len(outcomesOf(t, a)) != 3 || strings.Count(a.body, `"delivered"`) < 2 {
		t.Errorf("answered %+v", a)
	}
	if a := post("?wait=1s", `[]`); a.status != 200 || a.body != `{"events":[]}` {
		t.Errorf("answered %+v", a)
	}
	// When time is up what is known is told.
	a = post("?wait=300ms", `{"event":"hang","data":1}`)
	if a.status != 202 || len(outcomesOf(t, a)[0].Deliveries) != 2 || !strings.Contains(a.body, `"delivered"`) {
		t.Errorf("answered %+v", a)
	}
	release()
	for _, wait := range []string{"", "0s", "31s", "-1s", "x", "5"} {
		if a := post("?wait="+wait, `{"event":"ok","data":1}`); a.status != 400 || !strings.Contains(a.body, `"bad_wait"`) {
			t.Errorf("wait=%s was answered %+v", wait, a)
		}
	}
}

// However a delivery's end and the producer's goroutine race, the producer is told
// at once, and nothing is left behind.
func TestManyWait(t *testing.T) {
	server, release, calls := waitRouter(t)
	release()
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			for k := range 5 {
				body := bytes.NewBufferString(fmt.Sprintf(`{"event":"twice","data":1,"event_id":"%d-%d"}`, i, k))
				res, err := oneShot.Post(server+"/events?wait=30s", "application/json", body)
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != 200 || strings.Count(string(b), `"number":1`) != 2 {
					t.Errorf("answered %d %s, %v", res.StatusCode, b, err)
				}
			}
		})
	}
	group.Wait()
	if n := calls.Load(); n != 400 {
		t.Errorf("%d attempts", n)
	}
}

// Producers that wait are bounded, and leave nothing behind.
func TestWatchesAreBounded(t *testing.T) {
	r := start(t, t.TempDir(), toStdout, Options{Stdout: io.Discard})
	e := engine{r}
	var list []api.Watch
	for {
		w, err := e.Follow()
		if err != nil {
			break
		}
		list = append(list, w)
	}
	if len(list) != maxWatches {
		t.Errorf("%d may wait", len(list))
	}
	receipt := publish(t, r, "order.paid", "one")
	await(t, "what all watches keep", func() bool {
		r.outcomes.mu.Lock()
		defer r.outcomes.mu.Unlock()
		f := r.outcomes.by[1]
		return f != nil && f.known && f.ended()
	})
	for _, w := range list {
		w.Close()
	}
	if _, err := e.Follow(); err != nil || receipt.Duplicate {
		t.Error(err)
	}
	r.outcomes.mu.Lock()
	defer r.outcomes.mu.Unlock()
	if len(r.outcomes.by) != 0 || r.outcomes.watches != 1 || r.outcomes.open != 1 {
		t.Errorf("%d events, %d watches, %d open are left", len(r.outcomes.by), r.outcomes.watches, r.outcomes.open)
	}
}

// CloudEvents of two sources of their own may have one id at one source of ours:
// each can be looked up, and so can the event that is none.
func TestOneIDOfSeveralCloudEvents(t *testing.T) {
	r := start(t, t.TempDir(), "", Options{})
	for _, source := range []string{"/shop/eu", "/shop/us"} {
		body := fmt.Sprintf(`{"specversion":"1.0","id":"7","source":%q,"type":"a","data":%q}`, source, source)
		if status, answer, _ := call(t, r, "POST", "/events", body, "Content-Type", "application/cloudevents+json"); status != 202 || answer["status"] != "accepted" {
			t.Fatal(status, answer)
		}
	}
	if status, answer, _ := call(t, r, "POST", "/events", `{"event":"a","event_id":"7","data":"native"}`); status != 202 || answer["status"] != "accepted" {
		t.Fatal(status, answer)
	}
	for _, path := range []string{"/api/events/7", "/api/events/7?source=events"} {
		status, answer, _ := call(t, r, "GET", path, "")
		if status != 409 || answer["code"] != "ambiguous_id" || fmt.Sprint(answer["sources"]) != "[/shop/eu /shop/us /weir/events]" {
			t.Errorf("%s: %d %v", path, status, answer)
		}
	}
	for source, data := range map[string]string{"/shop/eu": "/shop/eu", "/shop/us": "/shop/us", "/weir/events": "native"} {
		if status, answer, _ := call(t, r, "GET", "/api/events/7?source="+source, ""); status != 200 || answer["data"] != data {
			t.Errorf("%s: %d %v", source, status, answer)
		}
	}
	if status, _, _ := call(t, r, "GET", "/api/events/7?source=/shop/asia", ""); status != 404 {
		t.Errorf("another source: %d", status)
	}
}
