package router

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Another method at a path that is there is 405, and Allow says which are taken; what is
// nowhere is 404.
func TestOtherMethods(t *testing.T) {
	r := start(t, t.TempDir(), `
source "shop" {
}
source "meta" {
  path = "/hooks/meta"
  handshake "meta" {
    verify_token = "the-token-of-meta"
  }
}
`, Options{})
	for _, c := range []struct {
		method, path, allow, code string
	}{
		{"GET", "/events", "POST", "method_not_allowed"},
		{"PUT", "/in/events", "POST", "method_not_allowed"},
		{"DELETE", "/in/shop", "POST", "method_not_allowed"},
		{"PUT", "/hooks/meta", "GET, POST", "method_not_allowed"},
		{"POST", "/healthz", "GET, HEAD", "method_not_allowed"},
		{"POST", "/metrics", "GET, HEAD", "method_not_allowed"},
		{"PUT", "/api/webhooks", "GET, HEAD, POST", "method_not_allowed"},
		{"POST", "/api/webhooks/wh_x", "GET, HEAD, DELETE, PATCH", "method_not_allowed"},
		{"GET", "/api/reload", "POST", "method_not_allowed"},
		{"PUT", "/", "GET, HEAD", "method_not_allowed"},
		{"DELETE", "/ui/webhooks", "GET, HEAD, POST", "method_not_allowed"},
		{"POST", "/assets/x.css", "", "not_found"},
		{"GET", "/in/nobody", "", "unknown_source"},
		{"POST", "/in/nobody", "", "unknown_source"},
		{"PUT", "/hooks/nobody", "", "not_found"},
		{"POST", "/api/nothing", "", "not_found"},
		{"GET", "/api/events/x/nothing", "", "not_found"},
	} {
		body := ""
		if c.method != "GET" {
			body = "{}"
		}
		status, answer, header := call(t, r, c.method, c.path, body)
		want := http.StatusNotFound
		if c.allow != "" {
			want = http.StatusMethodNotAllowed
		}
		if status != want || answer["code"] != c.code || header.Get("Allow") != c.allow || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %d %v, Allow %q, want %d %s %q", c.method, c.path, status, answer, header.Get("Allow"), want, c.code, c.allow)
		}
	}
	// Forms of this router's pages, at paths that take none, and one that takes some.
	for path, want := range map[string]int{"/ui/assets/x.css": http.StatusMethodNotAllowed, "/ui/events": http.StatusMethodNotAllowed, "/ui/webhooks": http.StatusBadRequest} {
		req := httptest.NewRequest(http.MethodPost, "http://localhost"+path, nil)
		req.Header.Set("Origin", "http://localhost")
		res, err := r.Handler().Test(req, -1)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if allow := res.Header.Get("Allow"); res.StatusCode != want || want == http.StatusMethodNotAllowed && allow != "GET, HEAD" {
			t.Errorf("a form for %s: %s, Allow %q, want %d", path, res.Status, allow, want)
		}
	}
}
