package router

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/plugins/plugintest"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
	"github.com/weirhq/weir/router/webhook"
)

// onLoopback lets webhooks be at the receivers of these tests.
const onLoopback = `
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
}
`

// call asks the API of a router as a client does.
func call(t *testing.T, r *Router, method, path, body string, header ...string) (int, map[string]any, http.Header) {
	t.Helper()
	req := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.Handler().Test(req, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := map[string]any{}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &answer); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, b)
		}
	}
	return res.StatusCode, answer, res.Header
}

func register(t *testing.T, r *Router, body string) string {
	t.Helper()
	status, answer, _ := call(t, r, "POST", "/api/webhooks", body)
	if status != http.StatusCreated {
		t.Fatalf("%s was answered %d %v", body, status, answer)
	}
	return answer["id"].(string)
}

// inbox is a receiver that keeps what arrives, by path.
type inbox struct {
	*httptest.Server
	mu      sync.Mutex
	arrived map[string][]arrived
	status  int
}

type arrived struct {
	header http.Header
	body   string
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	i := &inbox{arrived: map[string][]arrived{}, status: 200}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		i.mu.Lock()
		defer i.mu.Unlock()
		i.arrived[req.URL.Path] = append(i.arrived[req.URL.Path], arrived{req.Header, string(b)})
		w.WriteHeader(i.status)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *inbox) at(path string) []arrived {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]arrived(nil), i.arrived[path]...)
}

func (i *inbox) answer(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

func (i *inbox) registration(path, more string) string {
	return fmt.Sprintf(`{"url":%q,"events":["order.*"]%s}`, i.URL+path, more)
}

func TestWebhookGetsWhatItAsksFor(t *testing.T) {
	in := newInbox(t)
	r := start(t, t.TempDir(), onLoopback+`
source "other" {
  format = "native"
}
`, Options{})
	all := register(t, r, in.registration("/all", ""))
	register(t, r, in.registration("/acme", `,"tenant":"acme"`))
	register(t, r, in.registration("/big", `,"filter":"event.data.total > 100"`))
	register(t, r, in.registration("/other", `,"format":"raw"`))
	for _, e := range []string{
		`{"event":"order.paid","event_id":"small","data":{"total": 1.0}}`,
		`{"event":"order.paid","event_id":"big","data":{"total":101}}`,
		`{"event":"order.paid","event_id":"acmes","data":{},"tenant":"acme"}`,
		`{"event":"invoice.paid","event_id":"another","data":{"total":1000}}`,
	} {
		if status, answer, _ := call(t, r, "POST", "/events", e); status != 202 {
			t.Fatal(status, answer)
		}
	}
	if status, _, _ := call(t, r, "POST", "/in/other", `{"event":"order.paid","data":{"total":1000}}`); status != 202 {
		t.Fatal(status)
	}
	publish(t, r, "order.last", "")
	await(t, "the last one", func() bool { return len(in.at("/all")) == 4 && len(in.at("/other")) == 4 })
	for path, want := range map[string][]string{
		"/all": {"small", "big", "acmes"}, "/big": {"big"},
	} {
		await(t, path, func() bool { return len(in.at(path)) >= len(want) })
		got := ""
		for _, a := range in.at(path) {
			got += a.body
		}
		for _, id := range want {
			if !strings.Contains(got, `"event_id":"`+id+`"`) {
				t.Errorf("%s did not get %s: %s", path, id, got)
			}
		}
		if strings.Contains(got, `"event_id":"another"`) || strings.Contains(got, `"total":1000`) {
			t.Errorf("%s got more: %s", path, got)
		}
	}
	if n := len(in.at("/big")); n != 1 {
		t.Errorf("the filter let %d through", n)
	}
	if body := in.at("/other")[0].body; !strings.HasPrefix(body, "{") || strings.Contains(body, "event_id") {
		t.Errorf("raw is %s", body)
	}
	h := in.at("/all")[0].header
	for _, name := range []string{"X-Webhook-Signature", "Webhook-Signature", "Webhook-Id", "X-Webhook-Event"} {
		if h.Get(name) == "" {
			t.Errorf("there is no %s", name)
		}
	}
	await(t, "the list of its deliveries", func() bool {
		_, list, _ := call(t, r, "GET", "/api/deliveries?destination="+all+"&status=delivered", "")
		return len(list["deliveries"].([]any)) == 4
	})
}

func TestWebhookLifecycle(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	r := start(t, dir, onLoopback, Options{})
	id := register(t, r, in.registration("/a", `,"uid":"u1","tenant":"acme"`))
	path := "/api/webhooks/" + id

	// A uid is there once in a tenant.
	if status, p, _ := call(t, r, "POST", "/api/webhooks", in.registration("/b", `,"uid":"u1","tenant":"acme"`)); status != 409 || p["code"] != "uid_taken" {
		t.Errorf("a second uid: %d %v", status, p)
	}
	register(t, r, in.registration("/b", `,"uid":"u1"`))

	status, w, header := call(t, r, "PATCH", path, `{"events":["invoice.*"],"metadata":{"a":"b"}}`, "If-Match", `"1"`)
	if status != 200 || header.Get("ETag") != `"2"` || w["metadata"].(map[string]any)["a"] != "b" {
		t.Fatalf("%d %v %v", status, w, header)
	}
	if status, p, _ := call(t, r, "PATCH", path, `{"events":["x"]}`, "If-Match", `"1"`); status != 412 || p["code"] != "changed_meanwhile" {
		t.Errorf("an old ETag: %d %v", status, p)
	}
	if _, w, _ := call(t, r, "PATCH", path, `{"metadata":null,"uid":null}`); w["metadata"] != nil || w["uid"] != nil {
		t.Errorf("null takes nothing away: %v", w)
	}

	// What waits while it is paused, also over a restart, is sent when it goes on.
	if status, w, _ := call(t, r, "POST", path+"/pause", ""); status != 200 || w["status"] != "paused" {
		t.Fatal(status, w)
	}
	if status, answer, _ := call(t, r, "POST", "/events", `{"event":"invoice.paid","event_id":"kept","data":1,"tenant":"acme"}`); status != 202 {
		t.Fatal(status, answer)
	}
	shut(t, r)
	r = start(t, dir, onLoopback, Options{})
	await(t, "the routing", func() bool { return r.store.Progress() == r.store.Last() })
	if _, w, _ := call(t, r, "GET", path, ""); w["status"] != "paused" || w["revision"] != 3.0 {
		t.Fatalf("after the restart: %v", w)
	}
	if n := len(in.at("/a")); n != 0 {
		t.Fatalf("a paused webhook got %d", n)
	}
	call(t, r, "POST", path+"/resume", "")
	await(t, "what waited", func() bool { return len(in.at("/a")) == 1 })

	// A test is sent to it alone.
	status, result, _ := call(t, r, "POST", path+"/test", "")
	if status != 200 || result["status"] != 200.0 || result["outcome"] != "delivered" || len(in.at("/a")) != 2 || len(in.at("/b")) != 0 {
		t.Errorf("the test: %d %v", status, result)
	}
	if h := in.at("/a")[1].header; h.Get("X-Webhook-Event") != "weir.test" || h.Get("Webhook-Signature") == "" {
		t.Errorf("the test's headers: %v", h)
	}
	// 410 disables it with the reason, until it is resumed.
	in.answer(410)
	call(t, r, "POST", "/events", `{"event":"invoice.paid","event_id":"gone","data":1,"tenant":"acme"}`)
	await(t, "its end", func() bool {
		_, w, _ := call(t, r, "GET", path, "")
		return w["status"] == "disabled" && strings.Contains(fmt.Sprint(w["reason"]), "410")
	})
	if status, p, _ := call(t, r, "GET", "/api/webhooks?status=disable", ""); status != 400 || p["code"] != "bad_parameter" {
		t.Errorf("a status that there is none of: %d %v", status, p)
	}
	if _, list, _ := call(t, r, "GET", "/api/webhooks?status=disabled", ""); len(list["webhooks"].([]any)) != 1 {
		t.Errorf("the disabled ones: %v", list)
	}
	if status, w, _ := call(t, r, "POST", path+"/resume", ""); status != 200 || w["status"] != "active" {
		t.Errorf("resumed: %d %v", status, w)
	}

	in.answer(500)
	if status, result, _ := call(t, r, "POST", path+"/test", ""); status != 200 || result["outcome"] != "status" {
		t.Errorf("a test that fails: %d %v", status, result)
	}

	// What waits for one that is deleted is cancelled, and says why.
	call(t, r, "POST", "/events", `{"event":"invoice.paid","event_id":"failing","data":1,"tenant":"acme"}`)
	await(t, "the failure", func() bool { return len(in.at("/a")) == 5 })
	call(t, r, "POST", path+"/pause", "")
	call(t, r, "POST", "/events", `{"event":"invoice.paid","event_id":"waiting","data":1,"tenant":"acme"}`)
	if status, _, _ := call(t, r, "DELETE", path, ""); status != 204 {
		t.Fatal(status)
	}
	for _, e := range []string{"failing", "waiting"} {
		await(t, e, func() bool {
			_, list, _ := call(t, r, "GET", "/api/events/"+e+"/deliveries", "")
			all := list["deliveries"].([]any)
			return len(all) == 1 && all[0].(map[string]any)["status"] == "cancelled" && all[0].(map[string]any)["note"] == cancelledWebhook
		})
	}
	await(t, "the burial", func() bool { return len(r.webhooks.registry.Gone()) == 0 && !r.lanes.Known(id) })
	for _, c := range [][2]string{{"GET", path}, {"PATCH", path}, {"DELETE", path}, {"POST", path + "/test"}, {"POST", path + "/rotate"}, {"POST", path + "/pause"}} {
		if status, p, _ := call(t, r, c[0], c[1], map[bool]string{true: "{}"}[c[0] == "PATCH"]); status != 404 || p["code"] != "webhook_not_found" {
			t.Errorf("%s of a deleted one: %d %v", c[0], status, p)
		}
	}
	if docs, err := r.store.Documents(context.Background(), webhook.Kind); err != nil || len(docs) != 1 {
		t.Errorf("%d documents are left, %v", len(docs), err)
	}
}

// An event that is stored before a webhook is registered is not for it, also where
// it is routed later; and one that was stored before a change is routed as before.
func TestWebhooksHoldFromAPosition(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	r := start(t, dir, onLoopback, Options{})
	old := register(t, r, in.registration("/old", ""))
	gone := register(t, r, in.registration("/gone", ""))
	shut(t, r)

	// As a crash leaves it: three events, and after the second the changes.
	c := parse(t, dir, onLoopback)
	cutOff(t, c, 0)
	cutOff(t, c, 0)
	st := openStore(t, c.Store.Path)
	appendOrders(t, st, 2)
	change := func(id string, edit func(*webhook.Webhook)) {
		b, err := st.Document(context.Background(), webhook.Kind, id)
		if err != nil {
			t.Fatal(err)
		}
		w := &webhook.Webhook{}
		if err := json.Unmarshal(b, w); err != nil {
			t.Fatal(err)
		}
		edit(w)
		if b, err = json.Marshal(w); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Commit(context.Background(), &store.Record{Documents: []store.Document{{Kind: webhook.Kind, Name: w.ID, Value: b}}}); err != nil {
			t.Fatal(err)
		}
	}
	change(old, func(w *webhook.Webhook) {
		w.Rules = append(w.Rules, webhook.Rule{From: 3, Events: []string{"invoice.*"}, Format: "envelope"})
	})
	change(gone, func(w *webhook.Webhook) {
		w.Rules = append(w.Rules, webhook.Rule{From: 2, Off: true})
		w.Deleted = time.Now()
	})
	appendOrders(t, st, 1)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	r = start(t, dir, onLoopback, Options{})
	fresh := register(t, r, in.registration("/fresh", ""))
	if status, _, _ := call(t, r, "POST", "/events", `{"event":"order.new","data":1}`); status != 202 {
		t.Fatal(status)
	}
	for position, want := range map[uint64]string{1: " " + old + " " + gone, 2: " " + old, 3: "", 4: " " + fresh} {
		if got := routedBy(t, r, position)[8:]; got != want {
			t.Errorf("event %d went to %q, want %q", position, got, want)
		}
	}
	await(t, "the burial", func() bool { return len(r.webhooks.registry.Gone()) == 0 })
}

func TestWebhookRotation(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	r := start(t, dir, onLoopback, Options{})
	id := register(t, r, in.registration("/a", `,"secret":"the first secret of all"`))
	signature := func() string {
		t.Helper()
		n := len(in.at("/a"))
		if status, result, _ := call(t, r, "POST", "/api/webhooks/"+id+"/test", ""); status != 200 {
			t.Fatal(status, result)
		}
		a := in.at("/a")[n]
		for _, s := range []string{"the first secret of all", "the second secret of all"} {
			if hmacOf(s, a.body) == a.header.Get("X-Webhook-Signature") {
				return s[4:10] + fmt.Sprint(strings.Count(a.header.Get("Webhook-Signature"), "v1,"))
			}
		}
		return "of nobody"
	}
	if got := signature(); got != "first 1" {
		t.Errorf("at first signed by %s", got)
	}
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	status, w, _ := call(t, r, "POST", "/api/webhooks/"+id+"/rotate", `{"secret":"the second secret of all","activate_after":"`+soon+`"}`)
	if status != 200 || w["secret"] != nil {
		t.Fatal(status, w)
	}
	if got := signature(); got != "first 2" {
		t.Errorf("before the new one is active signed by %s", got)
	}
	shut(t, r)
	r = start(t, dir, onLoopback, Options{})
	if got := signature(); got != "first 2" {
		t.Errorf("after a restart signed by %s", got)
	}
	if status, w, _ := call(t, r, "POST", "/api/webhooks/"+id+"/rotate", `{"secret":"the second secret of all"}`); status != 200 {
		t.Fatal(status, w)
	}
	if got := signature(); got != "second3" {
		t.Errorf("after the rotation signed by %s", got)
	}
	if status, w, _ := call(t, r, "POST", "/api/webhooks/"+id+"/rotate", ""); status != 200 || !strings.HasPrefix(fmt.Sprint(w["secret"]), "whsec_") {
		t.Errorf("a made secret is not told: %d %v", status, w)
	}
	if status, p, _ := call(t, r, "POST", "/api/webhooks/"+id+"/rotate", ""); status != 409 || p["code"] != "too_many_secrets" {
		t.Errorf("rotating for ever: %d %v", status, p)
	}

	// One that has leaked ends at once, with all before it, however many there are.
	if status, w, _ := call(t, r, "POST", "/api/webhooks/"+id+"/rotate", `{"secret":"the second secret of all","overlap":"0s"}`); status != 200 || len(w["signing"].([]any)) != 1 {
		t.Errorf("cutting off: %d %v", status, w)
	}
	if got := signature(); got != "second1" {
		t.Errorf("after the old ones were cut off signed by %s", got)
	}
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	status, w, _ = call(t, r, "POST", "/api/webhooks/"+id+"/rotate", `{"activate_after":"`+later.Format(time.RFC3339)+`","overlap":"30m"}`)
	if until := later.Add(30 * time.Minute).Format(time.RFC3339); status != 200 || w["signing"].([]any)[1].(map[string]any)["until"] != until {
		t.Errorf("the one before ends at another time than %s: %d %v", until, status, w)
	}
	if got := signature(); got != "second2" {
		t.Errorf("before the third is active signed by %s", got)
	}
}

func TestWebhookRefusals(t *testing.T) {
	r := start(t, t.TempDir(), "", Options{})
	url := `"url":"https://example.com/hook","events":["x"]`
	for body, want := range map[string]string{
		`{`:                                 "400 malformed_json",
		`[]`:                                "400 malformed_json",
		``:                                  "400 malformed_json",
		`{` + url + `} 1`:                   "400 malformed_json",
		`{"events":["x"]}`:                  "400 bad_url",
		`{"url":"https://example.com"}`:     "400 bad_events",
		`{` + url + `,"URL":"x"}`:           "400 unknown_member",
		`{` + url + `,"uid":"a","uid":"b"}`: "400 duplicate_member",
		`{` + url + `,"secret":"short"}`:    "400 bad_secret",
		`{` + url + `,"secret":"whsec_c2hvcnQ="}`:                            "400 bad_secret",
		`{` + url + `,"secret":"` + strings.Repeat("a", 257) + `"}`:          "400 bad_secret",
		`{` + url + `,"secret":"with\nline breaks in it"}`:                   "400 bad_secret",
		`{` + url + `,"filter":"event.data.a +"}`:                            "400 bad_filter",
		`{` + url + `,"filter":"env(\"HOME\")"}`:                             "400 bad_filter",
		`{` + url + `,"filter":"evnt.type == 1"}`:                            "400 bad_filter",
		`{` + url + `,"filter":"\"a\""}`:                                     "400 bad_filter",
		`{` + url + `,"filter":"can(regex(\"a{999}b{999}\", event.type))"}`:  "400 bad_filter",
		`{` + url + `,"plugin":"p"}`:                                         "400 bad_plugin",
		`{` + url + `,"uid":"a b"}`:                                          "400 bad_uid",
		`{` + url + `,"tenant":""}`:                                          "400 bad_tenant",
		`{` + url + `,"format":"xml"}`:                                       "400 bad_format",
		`{` + url + `,"metadata":{"a":1}}`:                                   "400 bad_metadata",
		`{` + url + `,"metadata":{"a":"` + strings.Repeat("x", 5000) + `"}}`: "400 bad_metadata",
		`{` + url + `,"description":7}`:                                      "400 bad_description",
		`{"url":"https://example.com","events":[]}`:                          "400 bad_events",
		`{"url":"https://example.com","events":"x"}`:                         "400 bad_events",
		`{"url":"https://example.com","events":["weir.x"]}`:                  "400 bad_events",
		`{"url":"https://u:p@example.com","events":["x"]}`:                   "400 bad_url",
		`{"url":"https://example.com/#a","events":["x"]}`:                    "400 bad_url",
		`{"url":"https:///x","events":["x"]}`:                                "400 bad_url",
		`{"url":"file:///etc/passwd","events":["x"]}`:                        "400 bad_url",
		`{"url":"gopher://example.com/","events":["x"]}`:                     "422 blocked",
		`{"url":"http://example.com","events":["x"]}`:                        "422 blocked",
		`{"url":"https://example.com:22","events":["x"]}`:                    "422 blocked",
		`{"url":"https://localhost/","events":["x"]}`:                        "422 blocked",
		`{"url":"https://127.1/","events":["x"]}`:                            "422 blocked",
		`{"url":"https://0x7f000001/","events":["x"]}`:                       "422 blocked",
		`{"url":"https://2130706433/","events":["x"]}`:                       "422 blocked",
		`{"url":"https://[::ffff:10.0.0.1]/","events":["x"]}`:                "422 blocked",
		`{"url":"https://169.254.169.254/latest","events":["x"]}`:            "422 blocked",
	} {
		status, p, _ := call(t, r, "POST", "/api/webhooks", body)
		if got := fmt.Sprint(status, " ", p["code"]); got != want {
			t.Errorf("%.80s was answered %s, want %s: %v", body, got, want, p["detail"])
		}
	}
	if n := r.webhooks.registry.Len(); n != 0 {
		t.Errorf("%d are registered", n)
	}
}

// Nothing that is written, answered or logged holds a secret.
func TestWebhookSecretsAreNowhere(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	var log safeBuffer
	r := start(t, dir, onLoopback+"store \"badger\" {\n  path = \"data\"\n}\n", Options{Logger: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace})})
	const given = "a secret that somebody gave"
	id := register(t, r, in.registration("/a", `,"secret":"`+given+`"`))
	_, w, _ := call(t, r, "POST", "/api/webhooks", in.registration("/b", ""))
	made := w["secret"].(string)
	_, w, _ = call(t, r, "POST", "/api/webhooks/"+id+"/rotate", "")
	rotated := w["secret"].(string)
	secrets := []string{given, made, rotated, strings.TrimPrefix(made, "whsec_"), strings.TrimPrefix(rotated, "whsec_")}
	publish(t, r, "order.paid", "e1")
	await(t, "the deliveries", func() bool { return len(in.at("/a")) == 1 && len(in.at("/b")) == 1 })
	search := func(what string, b []byte) {
		t.Helper()
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds the secret %s", what, s)
			}
		}
	}
	for _, path := range []string{
		"/api/webhooks", "/api/webhooks/" + id, "/api/events", "/api/deliveries", "/api/events/e1/explain", "/api/events/e1", "/metrics", "/api/config",
		"/api/destinations", "/openapi.json",
	} {
		req := httptest.NewRequest("GET", "http://localhost"+path, nil)
		res, err := r.Handler().Test(req, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		search("GET "+path, b)
	}
	for _, body := range []string{
		`{"secret":"` + given + `"}`, `{"secret":"` + given + `","url":7}`, `{"secret":"` + given + `\u0000","url":"https://example.com","events":["x"]}`,
	} {
		for _, c := range [][2]string{{"POST", "/api/webhooks"}, {"PATCH", "/api/webhooks/" + id}} {
			status, p, _ := call(t, r, c[0], c[1], body)
			if status < 400 {
				t.Errorf("%s was taken", body)
			}
			search("a problem", []byte(fmt.Sprint(p)))
		}
	}
	search("a printed registration", fmt.Appendf(nil, "%+v %#v", r.webhooks.registry.All()[0], r.webhooks.hook(id).webhook))
	shut(t, r)
	search("the log", []byte(log.String()))
	n := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		search(path, b)
		n++
		return err
	})
	if err != nil || n < 3 {
		t.Errorf("%d files, %v", n, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "data.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info, err)
	}
}

// A router without the right key says so, and does not go on without its webhooks.
func TestWebhookKeys(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	config := onLoopback + "store \"badger\" {\n  path = \"data\"\n}\n"
	r := start(t, dir, config, Options{})
	register(t, r, in.registration("/a", ""))
	shut(t, r)
	file := filepath.Join(dir, "data.key")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want string) {
		t.Helper()
		r, err := New(context.Background(), parse(t, dir, config), Options{})
		if err == nil {
			shut(t, r)
			t.Fatalf("it starts, want %s", want)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused("is gone")
	if _, err := os.Stat(file); err == nil {
		t.Error("a new key was made over the lost one")
	}
	const other = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	t.Setenv(webhook.KeyVariable, other)
	refused("can't be decrypted")
	t.Setenv(webhook.KeyVariable, "not base64")
	refused("openssl rand")
	// The new key takes over from the one that is told as the earlier one.
	t.Setenv(webhook.KeyVariable, other)
	t.Setenv(webhook.PreviousKeysVariable, strings.TrimSpace(string(old)))
	shut(t, start(t, dir, config, Options{}))
	t.Setenv(webhook.PreviousKeysVariable, "")
	r = start(t, dir, config, Options{})
	id := r.webhooks.registry.All()[0].ID
	if status, result, _ := call(t, r, "POST", "/api/webhooks/"+id+"/test", ""); status != 200 || result["outcome"] != "delivered" {
		t.Errorf("with the new key: %d %v", status, result)
	}
}

func openStore(t *testing.T, path string) store.Store {
	t.Helper()
	st, err := badger.Open(context.Background(), badger.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func appendOrders(t *testing.T, st store.Store, n int) {
	t.Helper()
	for range n {
		now := time.Now()
		if _, err := st.Commit(context.Background(), &store.Record{Events: []store.NewEvent{{Event: &event.Event{
			ID: event.NewID(now), Type: "order.paid", Source: "events", Time: now, Received: now, ContentType: "application/json", Data: []byte(`1`),
		}}}}); err != nil {
			t.Fatal(err)
		}
	}
}

func hmacOf(secret, body string) string { return sign.NewHMAC(secret).Signature([]byte(body)) }

// What the configuration allows holds for each attempt, and so does what it
// allows no more.
func TestWebhooksFollowTheConfiguration(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	wasm := plugintest.BuildGo(t, filepath.Join("..", "examples", "plugins", "redact"))
	if err := os.WriteFile(filepath.Join(dir, "redact.wasm"), wasm, 0o600); err != nil {
		t.Fatal(err)
	}
	plugin := "plugin \"redact\" {\n  wasm   = \"redact.wasm\"\n  config = { fields = [\"card\"] }\n}\n"
	allowed := plugin + `
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
  events         = ["order.*"]
  plugins        = [plugin.redact]
}
destination "rest" {
  url = "stdout:"
}
route "rest" {
  fallback = true
  to       = [destination.rest]
}
`
	var out safeBuffer
	r := start(t, dir, allowed, Options{Stdout: &out})
	register(t, r, fmt.Sprintf(`{"url":%q,"events":["*"]}`, in.URL+"/all"))
	id := register(t, r, in.registration("/redacted", `,"plugin":"redact"`))
	if status, p, _ := call(t, r, "PATCH", "/api/webhooks/"+id, `{"plugin":"another"}`); status != 400 || p["code"] != "bad_plugin" {
		t.Errorf("a plugin that is not there: %d %v", status, p)
	}
	pay := func(kind, event string) {
		t.Helper()
		if status, answer, _ := call(t, r, "POST", "/events", `{"event":"`+kind+`","event_id":"`+event+`","data":{"card":"4242","a":1}}`); status != 202 {
			t.Fatal(status, answer)
		}
	}
	pay("order.paid", "first")
	await(t, "the deliveries", func() bool { return len(in.at("/all")) == 1 && len(in.at("/redacted")) == 1 })
	if body := in.at("/redacted")[0].body; strings.Contains(body, `"4242"`) || !strings.Contains(body, `"a":1`) {
		t.Errorf("the plugin did not run: %s", body)
	}
	if status, result, _ := call(t, r, "POST", "/api/webhooks/"+id+"/test", ""); status != 200 || result["outcome"] != "delivered" {
		t.Errorf("the test: %d %v", status, result)
	}
	// Webhooks do not count for fallback; what they do not see is not theirs.
	pay("invoice.paid", "second")
	await(t, "the fallback", func() bool {
		return strings.Contains(out.String(), "first") && strings.Contains(out.String(), "second")
	})
	if n := len(in.at("/all")); n != 1 {
		t.Errorf("an event that webhooks do not see went to %d", n)
	}

	if _, err := r.Reload(context.Background(), parse(t, dir, plugin), true); err != nil {
		t.Fatal(err)
	}
	pay("order.paid", "third")
	last := func(event string) map[string]any {
		_, list, _ := call(t, r, "GET", "/api/events/"+event+"/deliveries", "")
		byRoute := map[string]any{}
		for _, d := range list["deliveries"].([]any) {
			d := d.(map[string]any)
			byRoute[d["route"].(string)] = d
		}
		return byRoute
	}
	var all map[string]any
	await(t, "the blocked attempt", func() bool {
		all = last("third")
		for route, d := range all {
			if route != id && len(d.(map[string]any)["attempts"].([]any)) == 1 {
				return true
			}
		}
		return false
	})
	for route, d := range all {
		d := d.(map[string]any)
		if route == id {
			if d["kind"] != "routing" || d["status"] != "dead" || !strings.Contains(fmt.Sprint(d["note"]), "does not allow the plugin") {
				t.Errorf("without its plugin: %v", d)
			}
			continue
		}
		if a := d["attempts"].([]any)[0].(map[string]any); a["outcome"] != "blocked" {
			t.Errorf("the attempt at an address that is not allowed any more: %v", a)
		}
	}
	if n := len(in.at("/redacted")); n != 2 {
		t.Errorf("%d arrived without the plugin", n-2)
	}

	// Allowed again, the dead letter runs its route again.
	if _, err := r.Reload(context.Background(), parse(t, dir, allowed), true); err != nil {
		t.Fatal(err)
	}
	dead := all[id].(map[string]any)["id"].(string)
	if status, p, _ := call(t, r, "POST", "/api/deliveries/"+dead+"/retry", ""); status != 202 {
		t.Fatal(status, p)
	}
	await(t, "what was dead", func() bool { return len(in.at("/redacted")) == 3 })
	if body := in.at("/redacted")[2].body; strings.Contains(body, `"4242"`) {
		t.Errorf("routed again without the plugin: %s", body)
	}
}
