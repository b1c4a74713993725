package router

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/api"
)

// A router that is not open answers that, and why, and takes nothing.
func TestAnswersBeforeOpen(t *testing.T) {
	c := parse(t, t.TempDir(), `
server {
  token = "token-0123456789abcdef"
}
`+toStdout)
	r := Make(c, Options{Stdout: &safeBuffer{}})
	defer shut(t, r)
	ask := func(method, path, token string) (status int, retry string, text map[string]any) {
		t.Helper()
		req := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(`{"event":"x","data":1}`))
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := r.Handler().Test(req, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&text); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, res.Header.Get("Retry-After"), text
	}
	const token = "token-0123456789abcdef"
	for _, path := range []string{"/events", "/in/events", "/api/config", "/metrics", "/", "/api/explain", "/login", "/nowhere"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if status, retry, text := ask(method, path, token); status != http.StatusServiceUnavailable || retry != "1" || text["code"] != "starting" {
				t.Errorf("%s %s: %d, Retry-After %q, %v", method, path, status, retry, text)
			}
		}
	}
	if status, _, _ := ask(http.MethodGet, "/healthz", ""); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	for _, phase := range []string{"the router is starting", "plugins are being compiled, 1 of 3 are"} {
		if phase != "the router is starting" {
			r.compiling(1, 3)
		}
		if status, _, text := ask(http.MethodGet, "/readyz", token); status != http.StatusServiceUnavailable || text["reason"] != phase {
			t.Errorf("readyz: %d %v", status, text)
		}
	}
	if _, _, text := ask(http.MethodGet, "/readyz", ""); text["reason"] != nil {
		t.Errorf("a stranger is told why: %v", text)
	}
	if err := r.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, _, text := ask(http.MethodPost, "/events", token); status != http.StatusAccepted {
		t.Errorf("open: %d %v", status, text)
	}
	if _, _, text := ask(http.MethodGet, "/readyz", token); text["reason"] != "the listener is not up" {
		t.Errorf("open: %v", text)
	}
}

// Close ends a router that was never opened, one that can't be, and one that is
// being opened.
func TestCloseBeforeOpen(t *testing.T) {
	dir := t.TempDir()
	c := parse(t, dir, toStdout)
	r := Make(c, Options{})
	shut(t, r)
	if err := r.Open(t.Context()); err == nil {
		t.Error("a closed router opens")
	}
	running := start(t, dir, toStdout, Options{Stdout: &safeBuffer{}})
	second := Make(c, Options{})
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- second.Serve(l) }()
	await(t, "the answer", func() bool {
		res, err := http.Get("http://" + l.Addr().String() + "/readyz")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusServiceUnavailable
	})
	if err := second.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "store") {
		t.Errorf("two routers have the store: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serving ended with %v", err)
	}
	shut(t, second)
	shut(t, running)
	third := Make(c, Options{Stdout: &safeBuffer{}})
	opened := make(chan error)
	go func() { opened <- third.Open(t.Context()) }()
	shut(t, third)
	<-opened // either: it was open before, or gave up
	var e api.Health
	if lookUp(t, start(t, dir, toStdout, Options{Stdout: &safeBuffer{}}), "/healthz", &e); e.Status != "ok" {
		t.Error("the store is not free after that")
	}
}
