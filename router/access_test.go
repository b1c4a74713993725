package router

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// Where others reach the router, a reload can't take its last token away.
func TestTokensStayWhereOthersReach(t *testing.T) {
	dir := t.TempDir()
	const key = "server {\n  listen = \"192.0.2.1:8080\"\n  token  = \"a-token-of-the-router\"\n}\n"
	r := start(t, dir, key, Options{})
	defer shut(t, r)
	for _, c := range []struct {
		hcl, result string
		open        bool
	}{
		{"server {\n  listen = \"127.0.0.1:8080\"\n}\n", "needs_restart", false},
		{"server {\n  listen   = \"192.0.2.1:8080\"\n  insecure = true\n}\n", "needs_restart", false},
		{"server {\n  listen = \"192.0.2.1:8080\"\n  token  = \"another-token-of-the-router\"\n}\n", "applied", false},
	} {
		done, err := r.Reload(context.Background(), parse(t, dir, c.hcl), false)
		if err != nil {
			t.Fatal(err)
		}
		if done.Changes[0].Block != "server" || done.Changes[0].Result != c.result {
			t.Errorf("%s: %+v", c.hcl, done.Changes[0])
		}
		if (engine{r}).Keys().Any() == c.open {
			t.Errorf("%s: it needs no token", c.hcl)
		}
	}
}

// A pull destination's token opens that destination and nothing else; beside it the
// router's own tokens do what their scopes allow, for this destination too.
func TestPullTokenBesideTheRouters(t *testing.T) {
	r := start(t, t.TempDir(), `
server {
  token = "owner-0123456789abcdef"
  access "reader" {
    token  = "reader-0123456789abcdef"
    scopes = ["read"]
  }
  access "producer" {
    token  = "producer-0123456789abcdef"
    scopes = ["ingest"]
  }
}
destination "batch" {
  url   = "pull:"
  token = "batch-0123456789abcdef"
}
destination "other" {
  url   = "pull:"
  token = "other-0123456789abcdef"
}
destination "plain" {
  url = "pull:"
}
route "all" {
  to = [destination.batch, destination.other, destination.plain]
}
`, Options{})
	const ack = `{"cursor":"x"}`
	for _, c := range []struct{ method, path, token, want string }{
		{"GET", "/api/pull/batch", "", "token_missing"},
		{"GET", "/api/pull/batch", "batch", ""},
		{"GET", "/api/pull/batch", "other", "token_unknown"},
		{"GET", "/api/pull/batch", "owner", ""},
		{"GET", "/api/pull/batch", "reader", ""},
		{"GET", "/api/pull/batch", "producer", "scope_missing"},
		{"POST", "/api/pull/batch/ack", "batch", "bad_cursor"}, // it may, and that is no cursor
		{"POST", "/api/pull/batch/ack", "other", "token_unknown"},
		{"POST", "/api/pull/batch/ack", "owner", "bad_cursor"},
		{"POST", "/api/pull/batch/ack", "reader", "scope_missing"},
		{"GET", "/api/pull/plain", "batch", "token_unknown"},
		{"GET", "/api/pull/plain", "reader", ""},
		{"GET", "/api/pull/nobody", "batch", "token_unknown"},
		{"GET", "/api/events", "batch", "token_unknown"},
		{"GET", "/api/destinations/batch", "batch", "token_unknown"},
		{"POST", "/api/destinations/batch/pause", "batch", "token_unknown"},
		{"GET", "/metrics", "batch", "token_unknown"},
	} {
		body, header := "", []string{}
		if c.method == "POST" {
			body = ack
		}
		if c.token != "" {
			header = append(header, "Authorization", "Bearer "+c.token+"-0123456789abcdef")
		}
		path := c.path
		if c.method == "GET" && strings.HasPrefix(path, "/api/pull/") {
			path += "?wait=1ms"
		}
		status, answer, _ := call(t, r, c.method, path, body, header...)
		code, _ := answer["code"].(string)
		if !strings.HasPrefix(code, c.want) || c.want == "" && (code != "" || status != http.StatusOK) {
			t.Errorf("%s %s by %q: %d %q, not %q", c.method, c.path, c.token, status, code, c.want)
		}
	}
}
