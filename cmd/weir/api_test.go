package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/attempt/receiver"
)

// configured starts a router on a free address with the rest of a configuration.
func configured(t *testing.T, rest string, env ...string) (*running, string) {
	t.Helper()
	dir := t.TempDir()
	address := freeAddress(t)
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf("server {\n  listen = %q\n  max_body = \"64KiB\"\n}\n", address)+rest)
	return serveFile(t, config, address, env...), config
}

const github = `
source "github" {
  verify "github" {
    secrets = ["old secret of github", "It's a Secret to Everybody"]
  }
  type = "github.${header["x-github-event"]}"
  id   = header["x-github-delivery"]
}
source "partner" {
  path = "/in/from-partner"
  verify "hmac" {
    header    = "X-Signature"
    algorithm = "sha256"
    encoding  = "hex"
    secrets   = ["partner secret 1234567890"]
  }
}
destination "out" {
  url = "stdout:"
}
route "all" {
  to = [destination.out]
}
`

func signed(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, body)
	return hex.EncodeToString(mac.Sum(nil))
}

func TestIngestAnswers(t *testing.T) {
	r, _ := configured(t, github)
	hello := `{"zen":"Hello"}`
	good := "sha256=" + signed("It's a Secret to Everybody", hello)
	for _, c := range []struct {
		name, path, body string
		header           []string
		status           int
		code             string
	}{
		{"native", "/events", `{"event":"order.paid","data":{"total":1}}`, nil, 202, "accepted"},
		{"native at its path", "/in/events", `{"event":"order.paid","data":null}`, nil, 202, "accepted"},
		{"the producer's id", "/events", `{"event":"order.paid","event_id":"o-1","data":1}`, nil, 202, "accepted"},
		{"the same id", "/events", `{"event":"order.paid","event_id":"o-1","data":1}`, nil, 202, "duplicate"},
		{"malformed", "/events", "{\"event\":\"order.paid\",\n\"data\":{\"total\":}}", nil, 400, "malformed_json"},
		{"reserved type", "/events", `{"event":"weir.test","data":1}`, nil, 400, "reserved_type"},
		{"bad id", "/events", `{"event":"x","event_id":"a b","data":1}`, nil, 400, "bad_id"},
		{"too large", "/events", `{"event":"x","data":"` + strings.Repeat("x", 70<<10) + `"}`, nil, 413, "body_too_large"},
		{"unknown source", "/in/nobody", `{}`, nil, 404, "unknown_source"},
		{"no such path", "/nothing", `{}`, nil, 404, "not_found"},
		{"github", "/in/github", hello, []string{"X-Hub-Signature-256", good, "X-GitHub-Event", "ping", "X-GitHub-Delivery", "d-1"}, 202, "accepted"},
		{"github again", "/in/github", hello, []string{"X-Hub-Signature-256", good, "X-GitHub-Event", "ping", "X-GitHub-Delivery", "d-1"}, 202, "duplicate"},
		{"github, wrong secret", "/in/github", hello, []string{"X-Hub-Signature-256", "sha256=" + signed("other", hello), "X-GitHub-Event", "ping"}, 401, ""},
		{"github, unsigned", "/in/github", hello, []string{"X-GitHub-Event", "ping"}, 401, ""},
		{"github, other body", "/in/github", hello + " ", []string{"X-Hub-Signature-256", good, "X-GitHub-Event", "ping"}, 401, ""},
		{"github, no event header", "/in/github", hello, []string{"X-Hub-Signature-256", good}, 422, "expression_failed"},
		{"hmac", "/in/from-partner", hello, []string{"X-Signature", signed("partner secret 1234567890", hello)}, 202, "accepted"},
		{"hmac, tampered", "/in/from-partner", `{"zen":"hello"}`, []string{"X-Signature", signed("partner secret 1234567890", hello)}, 401, ""},
		{"a zip bomb is not opened", "/events", "x", []string{"Content-Encoding", "gzip"}, 415, "unsupported_encoding"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, answer := post(t, r.base+c.path, c.body, c.header...)
			if status != c.status {
				t.Errorf("answered %d %v, want %d", status, answer, c.status)
			}
			got := answer["code"]
			if status == 202 {
				got = answer["status"]
			}
			if c.code != "" && got != c.code {
				t.Errorf("answered %v, want %s", answer, c.code)
			}
			if status >= 400 && (answer["code"] == nil || answer["detail"] == nil || answer["title"] == nil) {
				t.Errorf("%v is not a whole problem", answer)
			}
			if text := fmt.Sprint(answer); strings.Contains(text, "Secret to") || strings.Contains(text, "partner secret") {
				t.Errorf("the answer shows a secret: %s", text)
			}
		})
	}
	t.Run("malformed names the place", func(t *testing.T) {
		_, answer := post(t, r.base+"/events", "{\"event\":\"order.paid\",\n\"data\":{\"total\":}}")
		if text := fmt.Sprint(answer); !strings.Contains(text, "line 2") {
			t.Errorf("%s does not say that it is on line 2", text)
		}
	})
	if strings.Contains(r.log.String(), "Secret to") {
		t.Error("the log shows a secret")
	}
}

// A browser that another site drives must get nothing out of a router that has
// no tokens.
func TestGuard(t *testing.T) {
	r, _ := configured(t, github)
	body := `{"event":"x","data":1}`
	for _, c := range []struct {
		name   string
		path   string
		header []string
		status int
		code   string
	}{
		{"plain", "/events", nil, 202, ""},
		{"localhost", "/events", []string{"Host", "localhost:1234"}, 202, ""},
		{"IPv6", "/events", []string{"Host", "[::1]:1"}, 202, ""},
		{"rebound name", "/events", []string{"Host", "evil.example"}, 421, "host_not_allowed"},
		{"name that begins well", "/events", []string{"Host", "localhost.evil.example"}, 421, "host_not_allowed"},
		{"address of another machine", "/events", []string{"Host", "10.0.0.1"}, 421, "host_not_allowed"},
		{"foreign origin", "/events", []string{"Origin", "https://evil.example"}, 403, "origin_not_allowed"},
		{"null origin", "/events", []string{"Origin", "null"}, 403, "origin_not_allowed"},
		{"other port", "/events", []string{"Origin", "http://127.0.0.1:1"}, 403, "origin_not_allowed"},
		{"own origin", "/events", []string{"Origin", r.base}, 202, ""},
		{"form to the API", "/api/deliveries/dlv_00000000000000000000/retry", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		{"text to the API", "/api/deliveries/dlv_00000000000000000000/retry", []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, answer := post(t, r.base+c.path, body, c.header...)
			if status != c.status || c.code != "" && answer["code"] != c.code {
				t.Errorf("answered %d %v, want %d %s", status, answer, c.status, c.code)
			}
		})
	}
}

func TestLookups(t *testing.T) {
	r, config := configured(t, github)
	var ids []string
	for i := range 5 {
		_, a := post(t, r.base+"/events", fmt.Sprintf(`{"event":"order.%d","data":{"i":%d}}`, i%2, i))
		ids = append(ids, a["event_id"].(string))
	}
	post(t, r.base+"/events", `{"event":"twin","event_id":"twin","data":1}`)
	post(t, r.base+"/in/github", `{}`, "X-Hub-Signature-256", "sha256="+signed("It's a Secret to Everybody", "{}"), "X-GitHub-Event", "ping", "X-GitHub-Delivery", "twin")

	await(t, "the deliveries", func() bool {
		_, list := get(t, r.base+"/api/deliveries?status=delivered")
		return len(list["deliveries"].([]any)) == 7
	})
	seen := map[string]bool{}
	for cursor, pages := "", 0; ; pages++ {
		_, page := get(t, r.base+"/api/events?type=order.*&limit=2&cursor="+cursor)
		for _, e := range page["events"].([]any) {
			seen[e.(map[string]any)["id"].(string)] = true
		}
		next, more := page["next"].(string)
		if !more {
			if pages != 2 {
				t.Errorf("5 events came in %d pages of 2", pages+1)
			}
			break
		}
		cursor = next
	}
	for _, id := range ids {
		if !seen[id] {
			t.Errorf("%s is on no page", id)
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d events are listed, want 5", len(seen))
	}
	for _, c := range []struct {
		path   string
		status int
		code   string
	}{
		{"/api/events/" + ids[0], 200, ""},
		{"/api/events/nobody", 404, "event_not_found"},
		{"/api/events/twin", 409, "ambiguous_id"},
		{"/api/events/twin?source=github", 200, ""},
		{"/api/events?colour=red", 400, "bad_parameter"},
		{"/api/events?limit=0", 400, "bad_parameter"},
		{"/api/events?since=yesterday", 400, "bad_parameter"},
		{"/api/events?cursor=rubbish!", 400, "bad_cursor"},
		{"/api/deliveries?status=lost", 400, "bad_parameter"},
		{"/api/deliveries/nonsense", 404, "delivery_not_found"},
		{"/api/deliveries/dlv_00000000000020000001", 404, "delivery_not_found"}, // its last bits stand for nothing
		{"/api/deliveries/dlv_00000000000000000000", 404, "delivery_not_found"},
		{"/api/events/" + ids[0] + "/deliveries", 200, ""},
		{"/api/events/" + ids[0] + "/explain", 200, ""},
		{"/healthz", 200, ""},
	} {
		if status, answer := get(t, r.base+c.path); status != c.status || c.code != "" && answer["code"] != c.code {
			t.Errorf("GET %s answered %d %v, want %d %s", c.path, status, answer, c.status, c.code)
		}
	}

	// The same answers, from the running router and, when none runs, from the
	// store.
	dir := filepath.Dir(config)
	commands := [][]string{
		{"events", "ls", "--limit", "3"},
		{"events", "ls", "-o", "json"},
		{"events", "show", ids[0]},
		{"deliveries", "ls", "--type", "order.1", "--status", "delivered"},
		{"explain", ids[1]},
		{"explain", ids[1], "-o", "json"},
	}
	var before []string
	for _, args := range commands {
		out, errOut, code := weir(t, dir, args...)
		if more := slices.Contains(args, "--limit"); more != strings.Contains(errOut, "there are more") {
			t.Errorf("weir %v says %q", args, errOut)
		}
		if code != 0 || !strings.Contains(out, "order.") {
			t.Errorf("weir %v: code %d\n%s%s", args, code, out, errOut)
		}
		before = append(before, out)
	}
	r.stop(t)
	for i, args := range commands {
		out, errOut, code := weir(t, dir, args...)
		if code != 0 || out != before[i] {
			t.Errorf("weir %v without a router: code %d\n%s%s\nwith one it said\n%s", args, code, out, errOut, before[i])
		}
	}
	if _, errOut, code := weir(t, dir, "events", "show", "nobody"); code != 1 || !strings.Contains(errOut, "event_not_found") {
		t.Errorf("an unknown event: code %d, %s", code, errOut)
	}
}

func TestPhasesOf(t *testing.T) {
	for _, c := range []struct {
		phases *api.Phases
		want   string
	}{
		{nil, ""},
		{&api.Phases{}, ""},
		{&api.Phases{FirstByte: 12.34}, " (first byte 12.3)"},
		{&api.Phases{DNS: 1, Connect: 2, TLS: 30.06, FirstByte: 4}, " (DNS 1.0, connect 2.0, TLS 30.1, first byte 4.0)"},
	} {
		if got := phasesOf(c.phases); got != c.want {
			t.Errorf("%+v: %q, want %q", c.phases, got, c.want)
		}
	}
}

func TestDiskBelowMinFree(t *testing.T) {
	r := startNotReady(t, `
store "badger" {
  path     = "data"
  min_free = "1000TiB"
}
`)
	status, answer := post(t, r.base+"/events", `{"event":"x","data":1}`)
	if status != 507 || answer["code"] != "disk_full" {
		t.Errorf("answered %d %v", status, answer)
	}
	if status, answer := get(t, r.base+"/readyz"); status != 503 || !strings.Contains(fmt.Sprint(answer["reason"]), "min_free") {
		t.Errorf("readyz answered %d %v", status, answer)
	}
	if status, _ := get(t, r.base+"/healthz"); status != 200 {
		t.Errorf("healthz answered %d", status)
	}
}

// startNotReady starts a router that answers but is not ready.
func startNotReady(t *testing.T, rest string) *running {
	t.Helper()
	address := freeAddress(t)
	config := writeFile(t, t.TempDir(), "router.hcl", fmt.Sprintf("server {\n  listen = %q\n}\n", address)+rest)
	return launch(t, config, address, func(r *running) bool {
		res, err := http.Get(r.base + "/api/config") // which a router that is starting does not answer
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
}

// A destination that fails four times and then accepts, on a schedule of the
// configuration's, while another one is not slowed.
func TestFailsFourTimesThenAccepts(t *testing.T) {
	const secret = "whsec_c2VjcmV0IG9mIHRoZSByZXRyeSB0ZXN0IQ=="
	flakySeen, steadySeen := &arrivals{}, &arrivals{}
	flaky := startReceiver(t, receiver.Options{Secret: secret, Fail: 4, Arrived: flakySeen.add})
	steady := startReceiver(t, receiver.Options{Secret: secret, Arrived: steadySeen.add})
	r, _ := configured(t, fmt.Sprintf(`
destination "flaky" {
  url    = %q
  secret = %q
  retry {
    schedule = ["0s", "50ms", "100ms", "150ms", "200ms", "1h"]
    jitter   = 0
  }
}
destination "steady" {
  url    = %q
  secret = %q
}
route "all" {
  to = [destination.flaky, destination.steady]
}
`, flaky.URL(), secret, steady.URL(), secret))
	_, a := post(t, r.base+"/events", `{"event":"order.paid","data":{"total":7}}`)
	await(t, "the fifth attempt", func() bool { return len(flakySeen.list()) == 5 })
	for i, x := range flakySeen.list() {
		want := 503
		if i == 4 {
			want = 200
		}
		if x.Attempt != i+1 || x.Status != want || x.Signature != receiver.SignatureVerified || x.WebhookID != flakySeen.list()[0].WebhookID {
			t.Errorf("attempt %d arrived as %+v", i+1, x)
		}
	}
	if n := len(steadySeen.list()); n != 1 {
		t.Errorf("the steady receiver got %d attempts", n)
	}
	var d map[string]any
	await(t, "the outcome to be recorded", func() bool {
		_, list := get(t, r.base+"/api/events/"+a["event_id"].(string)+"/deliveries")
		for _, x := range list["deliveries"].([]any) {
			if d = x.(map[string]any); d["destination"] == "flaky" {
				return d["status"] == "delivered"
			}
		}
		return false
	})
	attempts := d["attempts"].([]any)
	if len(attempts) != 5 {
		t.Fatalf("%d attempts are recorded: %v", len(attempts), attempts)
	}
	for i, x := range attempts {
		got := x.(map[string]any)
		want, status := "status", 503.0
		if i == 4 {
			want, status = "delivered", 200.0
		}
		if got["outcome"] != want || got["status"] != status || got["latency_ms"] == nil {
			t.Errorf("attempt %d is recorded as %v", i+1, got)
		}
	}
	log := r.log.String()
	if strings.Count(log, "destination is failing") != 1 || strings.Count(log, "destination has recovered") != 1 {
		t.Errorf("the log should say once each that the destination fails and has recovered:\n%s", log)
	}
	if strings.Contains(log, secret) {
		t.Error("the log shows the secret")
	}
}

func startReceiver(t *testing.T, o receiver.Options) *receiver.Receiver {
	t.Helper()
	rec, err := receiver.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rec.Close(t.Context()) })
	return rec
}

// What waits for its time waits over a restart, and is due when it was.
func TestDueTimesSurviveRestart(t *testing.T) {
	seen := &arrivals{}
	rec := startReceiver(t, receiver.Options{Fail: 1, Arrived: seen.add})
	dir, address := t.TempDir(), freeAddress(t)
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf(`
server {
  listen = %q
}
destination "slow" {
  url = %q
  retry {
    schedule = ["0s", "1h"]
    jitter   = 0
  }
}
route "all" {
  to = [destination.slow]
}
`, address, rec.URL()))
	r := serveFile(t, config, address)
	post(t, r.base+"/events", `{"event":"x","data":1}`)
	retrying := func() []any {
		_, list := get(t, r.base+"/api/deliveries?status=retrying")
		return list["deliveries"].([]any)
	}
	await(t, "the first attempt to be recorded", func() bool { return len(retrying()) == 1 })
	due := retrying()[0].(map[string]any)["due"]
	id := retrying()[0].(map[string]any)["id"].(string)
	r.stop(t)
	r = serveFile(t, config, address)
	if again := retrying(); len(again) != 1 || again[0].(map[string]any)["due"] != due || due == nil {
		t.Fatalf("after the restart: %v, before it was due at %v", again, due)
	}
	if n := len(seen.list()); n != 1 {
		t.Errorf("%d attempts arrived, want 1: the next is due in an hour", n)
	}
	if out, errOut, code := weir(t, dir, "deliveries", "retry", id); code != 0 {
		t.Fatalf("retry: code %d\n%s%s", code, out, errOut)
	}
	await(t, "the retry by hand", func() bool { return len(seen.list()) == 2 && seen.list()[1].Status == 200 })
	await(t, "it to be recorded", func() bool { return len(retrying()) == 0 })
	if _, errOut, code := weir(t, dir, "deliveries", "retry", id); code != 1 || !strings.Contains(errOut, "already_delivered") || strings.Count(errOut, id) != 1 {
		t.Errorf("a retry of what was delivered: code %d, %s", code, errOut)
	}
}

// SIGTERM lets an attempt in flight finish.
func TestStopFinishesAttempts(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	rec := startReceiver(t, receiver.Options{Arrived: func(receiver.Arrival) {
		arrived <- struct{}{}
		<-answer
	}})
	dir, address := t.TempDir(), freeAddress(t)
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf(`
server {
  listen = %q
}
destination "slow" {
  url         = %q
  concurrency = 1
}
route "all" {
  to = [destination.slow]
}
`, address, rec.URL()))
	r := serveFile(t, config, address)
	for range 3 {
		post(t, r.base+"/events", `{"event":"x","data":1}`)
	}
	<-arrived
	await(t, "all to be routed", func() bool {
		_, list := get(t, r.base+"/api/deliveries")
		return len(list["deliveries"].([]any)) == 3
	})
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	await(t, "the router to listen no more", func() bool {
		_, err := http.Get(r.base + "/healthz")
		return err != nil
	})
	close(answer)
	<-r.done
	if r.err != nil {
		t.Fatalf("it ended with %v", r.err)
	}
	out, errOut, code := weir(t, dir, "deliveries", "ls", "-o", "json")
	if code != 0 {
		t.Fatalf("code %d %s", code, errOut)
	}
	if strings.Count(out, `"status": "delivered"`) != 1 || strings.Count(out, `"status": "waiting"`) != 2 {
		t.Errorf("want one delivered and two handed back:\n%s", out)
	}
}

// What two servers may read in two ways is refused.
func TestAmbiguousRequests(t *testing.T) {
	r, _ := configured(t, "")
	address := strings.TrimPrefix(r.base, "http://")
	const body = `{"event":"x","data":1}`
	for _, c := range []struct{ name, head, want string }{
		{"plain", "Host: localhost\r\nContent-Length: 22\r\n", "202"},
		{"a header of 10 KiB", "Host: localhost\r\nContent-Length: 22\r\nX-Long: " + strings.Repeat("x", 10<<10) + "\r\n", "202"},
		{"two lengths", "Host: localhost\r\nContent-Length: 22\r\nContent-Length: 5\r\n", "400"},
		{"length and chunked", "Host: localhost\r\nContent-Length: 22\r\nTransfer-Encoding: chunked\r\n", "400"},
		{"two hosts", "Host: evil.example\r\nHost: localhost\r\nContent-Length: 22\r\n", "400"},
		{"two origins", "Host: localhost\r\nOrigin: http://evil.example\r\nOrigin: " + r.base + "\r\nContent-Length: 22\r\n", "400"},
		{"a NUL", "Host: localhost\r\nX-A: a\x00b\r\nContent-Length: 22\r\n", "400"},
		{"no host", "Content-Length: 22\r\n", "4"},
		{"headers without end", "Host: localhost\r\nX-Long: " + strings.Repeat("x", 100<<10) + "\r\n", "431"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			payload := body
			if strings.Contains(c.name, "chunked") {
				payload = "16\r\n" + body + "\r\n0\r\n\r\n"
			}
			// The server may answer and close before it has read everything.
			_, _ = io.WriteString(conn, "POST /events HTTP/1.1\r\nContent-Type: application/json\r\nConnection: close\r\n"+c.head+"\r\n"+payload)
			answer, err := io.ReadAll(conn)
			if len(answer) == 0 {
				t.Fatal(err)
			}
			line, _, _ := strings.Cut(string(answer), "\r\n")
			if !strings.HasPrefix(line, "HTTP/1.1 "+c.want) {
				t.Errorf("answered %s", answer)
			}
			if !strings.Contains(string(answer), `"code":`) && !strings.Contains(line, "202") {
				t.Errorf("no problem: %s", answer)
			}
		})
	}
}

// A colon is legal in an id, and clients escape it in a path.
func TestEscapedID(t *testing.T) {
	r, _ := configured(t, "")
	post(t, r.base+"/events", `{"event":"x","event_id":"a:b","data":{"raw": 1.0,  "html":"<&>"}}`)
	for _, path := range []string{"a:b", "a%3Ab", "a%3ab"} {
		if status, answer := get(t, r.base+"/api/events/"+path); status != 200 || answer["id"] != "a:b" {
			t.Errorf("%s was answered %d %v", path, status, answer)
		}
	}
	if status, answer := get(t, r.base+"/api/events/a%25zz"); status != 404 && status != 400 {
		t.Errorf("answered %d %v", status, answer)
	}
	res, err := http.Get(r.base + "/api/events/a:b")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasSuffix(string(b), `"data":{"raw": 1.0,  "html":"<&>"}}`) {
		t.Errorf("the producer's bytes are shown as %s, %v", b, err)
	}
}
