package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// pull asks as a receiver would.
func pull(t *testing.T, url string, header ...string) (int, api.PullPage, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var page api.PullPage
	if res.StatusCode == 200 {
		if err := json.Unmarshal(b, &page); err != nil {
			t.Fatal(err, string(b))
		}
	}
	return res.StatusCode, page, string(b)
}

// A receiver polls with a cursor, acknowledges, and gets what is not acknowledged
// again, over a restart too; a stream gives the same.
func TestPull(t *testing.T) {
	r, config := configured(t, `
destination "poll" {
  url    = "pull:"
  secret = "a secret to sign with"
  token  = "the token of poll"
}
route "all" {
  to = [destination.poll]
}
`)
	dir := filepath.Dir(config)
	token := []string{"Authorization", "Bearer the token of poll"}
	base := r.base + "/api/pull/poll"
	if status, _, body := pull(t, base); status != 401 || !strings.Contains(body, "token_missing") {
		t.Errorf("without its token: %d %s", status, body)
	}
	if status, _, body := pull(t, base, "Authorization", "Bearer the token of pol"); status != 401 || !strings.Contains(body, "token_unknown") {
		t.Errorf("with another token: %d %s", status, body)
	}
	if status, page, _ := pull(t, base+"?wait=10ms", token...); status != 200 || len(page.Messages) != 0 {
		t.Errorf("nothing has come: %d %+v", status, page)
	}
	// A wait ends when something comes.
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if _, page, _ := pull(t, base+"?wait=30s", token...); len(page.Messages) != 1 {
			t.Errorf("the wait gave %+v", page)
		}
	})
	for i := range 5 {
		mustRun(t, dir, "send", "--type", "order.paid", "--id", fmt.Sprint("o-", i), "--data", fmt.Sprintf(`{"n": %d}`, i))
	}
	waiting.Wait()
	eventually(t, "all to wait", func() bool { return destination(t, dir, "poll").Waiting == 5 })
	_, first, _ := pull(t, base+"?limit=2", token...)
	_, rest, _ := pull(t, base+"?cursor="+first.Next, token...)
	if len(first.Messages) != 2 || len(rest.Messages) != 3 || first.Next != first.Messages[1].Cursor {
		t.Fatalf("%d and %d messages", len(first.Messages), len(rest.Messages))
	}
	m := rest.Messages[0]
	if !strings.Contains(m.Body, `"event_id":"o-2"`) || m.Headers["webhook-id"] != m.WebhookID || m.Headers["x-webhook-event"] != "order.paid" ||
		m.Headers["content-type"] != "application/json" || m.Headers["x-webhook-signature"] != "sha256="+signed("a secret to sign with", m.Body) ||
		!strings.HasPrefix(m.Headers["webhook-signature"], "v1,") {
		t.Errorf("%+v", m)
	}
	ack := func(cursor string) int {
		t.Helper()
		status, answer := post(t, base+"/ack", fmt.Sprintf(`{"cursor": %q}`, cursor), token...)
		if status != 200 {
			t.Fatalf("ack: %d %v", status, answer)
		}
		return int(answer["acknowledged"].(float64))
	}
	if n := ack(rest.Messages[0].Cursor); n != 3 {
		t.Errorf("%d acknowledged, want 3", n)
	}
	if n := ack(rest.Messages[0].Cursor) + ack(first.Next); n != 0 {
		t.Errorf("%d acknowledged again", n)
	}
	if d := destination(t, dir, "poll"); d.Delivered != 3 || d.Waiting != 2 || d.Status != "active" || d.Kind != "pull" {
		t.Errorf("%+v", d)
	}
	address := strings.TrimPrefix(r.base, "http://")
	r.kill()
	r = serveFile(t, config, address)
	if _, page, _ := pull(t, base, token...); len(page.Messages) != 2 || page.Messages[0].WebhookID != rest.Messages[1].WebhookID {
		t.Errorf("after a restart: %+v", page)
	}
	// The stream begins where the cursor says, and goes on with what comes.
	req, err := http.NewRequest(http.MethodGet, base, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer the token of poll")
	req.Header.Set("Last-Event-ID", rest.Messages[1].Cursor)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	mustRun(t, dir, "send", "--type", "order.paid", "--id", "o-5", "--data", "5")
	lines := bufio.NewScanner(res.Body)
	var got []string
	for len(got) < 2 && lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var m api.PullMessage
			if err := json.Unmarshal([]byte(data), &m); err != nil {
				t.Fatal(err)
			}
			got = append(got, m.Body)
		}
	}
	if len(got) != 2 || !strings.Contains(got[0], "o-4") || !strings.Contains(got[1], "o-5") {
		t.Errorf("streamed %v", got)
	}
	for query, want := range map[string]string{"?cursor=x": "bad_cursor", "?wait=1h": "bad_parameter", "?limit=0": "bad_parameter", "?curser=": "bad_parameter"} {
		if status, _, body := pull(t, base+query, token...); status != 400 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	if status, _, body := pull(t, r.base+"/api/pull/nobody"); status != 404 || !strings.Contains(body, "destination_not_found") {
		t.Errorf("%d %s", status, body)
	}
	r.stop(t)
}

// weir listen forwards what comes, shows how that went, and goes on when the
// router comes back.
func TestListen(t *testing.T) {
	var mu sync.Mutex
	var arrived []string
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, err := io.ReadAll(req.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && req.Header.Get("webhook-id") != "" && strings.HasPrefix(req.UserAgent(), "Weir/") {
			arrived = append(arrived, string(b))
		}
		w.WriteHeader(201)
	}))
	defer local.Close()
	r, config := configured(t, "destination \"out\" {\n  url = \"stdout:\"\n}\nroute \"all\" {\n  to = [destination.out]\n}\n")
	dir := filepath.Dir(config)
	mustRun(t, dir, "send", "--type", "order.old", "--data", "0")
	cmd := exec.Command(weirBinary, "listen", "--events", "order.*", "--forward", local.URL, "--count", "3")
	cmd.Dir = dir
	out, notes := &logBuffer{}, &logBuffer{}
	cmd.Stdout, cmd.Stderr = out, notes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, "it to listen", func() bool { return strings.Contains(notes.String(), "listening") })
	mustRun(t, dir, "send", "--type", "order.paid", "--data", "1")
	mustRun(t, dir, "send", "--type", "invoice.paid", "--data", "2")
	mustRun(t, dir, "send", "--type", "order.shipped", "--data", "3")
	eventually(t, "two", func() bool { return strings.Count(out.String(), "201 Created") == 2 })
	address := strings.TrimPrefix(r.base, "http://")
	r.stop(t)
	r = serveFile(t, config, address)
	mustRun(t, dir, "send", "--type", "order.late", "--data", "4")
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, notes.String())
	}
	mu.Lock()
	defer mu.Unlock()
	if all := strings.Join(arrived, "\n"); len(arrived) != 3 || !strings.Contains(arrived[0], "order.paid") || !strings.Contains(arrived[2], "order.late") || strings.Contains(all, "invoice") {
		t.Errorf("forwarded:\n%s", all)
	}
	if !strings.Contains(out.String(), "order.shipped") {
		t.Error(out.String())
	}
	if _, errOut, code := weir(t, dir, "listen", "--forward", "localhost"); code != 2 {
		t.Errorf("code %d: %s", code, errOut)
	}
	r.stop(t)
}
