package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/store"
)

const (
	ownerToken  = "token-of-the-owner-000"
	ingestToken = "token-of-a-producer-00"
	readToken   = "token-of-a-reader-0000"
	hooksToken  = "token-of-a-portal-0000"
	adminToken  = "token-of-an-admin-0000"
)

func testKeys() *Keys {
	return NewKeys([]config.Key{
		{Token: ownerToken, Scopes: config.Scopes()},
		{Name: "producer", Token: ingestToken, Scopes: []config.Scope{config.ScopeIngest}},
		{Name: "reader", Token: readToken, Scopes: []config.Scope{config.ScopeRead}},
		{Name: "portal", Token: hooksToken, Scopes: []config.Scope{config.ScopeWebhooks}},
		{Name: "admin", Token: adminToken, Scopes: []config.Scope{config.ScopeAdmin}},
	})
}

// Every call with every token: the code that is answered, empty where the call
// gets past the check.
func TestWhoMay(t *testing.T) {
	e := newRefusing(t)
	e.keys = testKeys()
	e.err = store.ErrFull // what got past the check
	app := New(e, Options{MaxBody: 1 << 20})
	tokens := []string{"", "token-of-nobody", ingestToken, readToken, hooksToken, adminToken, ownerToken}
	const missing, unknown, scope, past = "token_missing", "token_unknown", "scope_missing", ""
	ingest := []string{missing, unknown, past, scope, scope, scope, past}
	read := []string{missing, unknown, scope, past, scope, scope, past}
	hooks := []string{missing, unknown, scope, scope, past, past, past}
	admin := []string{missing, unknown, scope, scope, scope, past, past}
	for _, c := range []struct {
		call string
		want []string
	}{
		{"POST /events", ingest},
		{"GET /events", read},
		{"GET /api/nothing", read},
		{"HEAD /api/nothing", read},
		{"OPTIONS /api/nothing", read},
		{"GET /api/webhooks", read},
		{"GET /nothing", read},
		{"GET /", read},
		{"GET /openapi.json", read},
		{"GET /metrics", read},
		{"POST /api/explain", read},
		{"POST /api/explain/", read},
		{"POST /api/webhooks", hooks},
		{"POST /api/webhooks/", hooks},
		{"PATCH /api/webhooks/wh_1", hooks},
		{"DELETE /api/webhooks/wh_1", hooks},
		{"POST /api/webhooks/wh_1/rotate", hooks},
		{"POST /api/webhooksx", admin},
		{"POST /API/webhooks", admin},
		{"POST /api/deliveries/dlv_00000000000000000000/retry", admin},
		{"PUT /api/anything", admin},
		{"DELETE /api/anything", admin},
		{"PATCH /", admin},
		{"TRACE /", admin},
		{"POST /nothing", admin},
		// Other spellings of what is open are not open.
		{"POST /healthz", admin},
		{"GET /Healthz", read},
		{"GET //healthz", read},
		{"GET /healthz/x", read},
		{"GET /%68ealthz", read},
		// Other spellings of what is closed.
		{"GET //api/events", read},
		{"GET /API/events", read},
		{"GET /api/events/", read},
		{"GET /api//events", read},
		{"GET /%61pi/events", read},
		{"GET /api%2fevents", read},
		{"GET /healthz/../api/events", read},
		{"GET /in/../api/events", read},
		{"GET /in/x/../../api/events", read},
		{"GET /./api/events", read},
		{"GET /api/events;x=/healthz", read},
		{"GET /api/events?x=/healthz", read},
		{"POST /in/../api/reload", admin},
		{"POST /api/webhooks/../reload", hooks}, // there is no such call
		{"POST /api/explain/../reload", admin},
		{"POST /events/", admin}, // there is no such source
		{"POST //events", admin},
	} {
		method, path, _ := strings.Cut(c.call, " ")
		for i, token := range tokens {
			got := answeredCode(t, app, method, path, token)
			want := c.want[i]
			if want == past && (got == missing || got == unknown || got == scope) || want != past && got != want {
				t.Errorf("%s with %q: %q, want %q", c.call, token, got, want)
			}
		}
	}
	// What no token opens: there is nothing.
	for _, call := range []string{"POST /API/reload", "POST /api/webhooks/../reload", "POST /in/../api/reload", "POST /api/explain/../reload", "POST //api/reload", "POST /api/reload%00"} {
		method, path, _ := strings.Cut(call, " ")
		if got := answeredCode(t, app, method, path, ownerToken); got != "not_found" {
			t.Errorf("%s: %q", call, got)
		}
	}
}

// answeredCode is the code of the problem, else the status. The engine answers
// nothing but problems, or panics: then the call got past every check.
func answeredCode(t *testing.T, app *fiber.App, method, path, token string) (code string) {
	t.Helper()
	// Written by hand, because net/http would clean the path.
	app.Handler() // it builds the table of routes
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		defer func() {
			if recover() != nil {
				_, _ = io.WriteString(server, "HTTP/1.1 500 past\r\nContent-Length: 0\r\n\r\n")
			}
			server.Close()
		}()
		_ = app.Server().ServeConn(server)
	}()
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: hooks.example.com\r\n", method, path)
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	if method != "GET" && method != "HEAD" && method != "OPTIONS" && method != "TRACE" {
		request += "Content-Type: application/json\r\nContent-Length: 24\r\n\r\n{\"event\":\"x\",\"data\":123}"
	} else {
		request += "\r\n"
	}
	if _, err := io.WriteString(client, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(client), httptest.NewRequest(method, "/", nil))
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if method == "HEAD" {
		return map[int]string{401: map[bool]string{true: "token_missing", false: "token_unknown"}[token == ""], 403: "scope_missing"}[res.StatusCode]
	}
	for _, c := range []string{"token_missing", "token_unknown", "scope_missing", "not_found"} {
		if strings.Contains(string(body), `"`+c+`"`) {
			return c
		}
	}
	return res.Status
}

func TestAuthorizationHeader(t *testing.T) {
	e := newRefusing(t)
	e.keys, e.err = testKeys(), store.ErrFull
	app := New(e, Options{MaxBody: 1 << 20})
	for header, want := range map[string]int{
		"Bearer " + ownerToken:                  507,
		"bearer " + ownerToken:                  507,
		"BEARER  " + ownerToken:                 507,
		"Bearer " + ownerToken + "x":            401,
		"Bearer " + ownerToken[:10]:             401,
		"Bearer":                                401,
		"Bearer ":                               401,
		ownerToken:                              401,
		"Basic " + ownerToken:                   401,
		"Bearer, Bearer " + ownerToken:          401,
		"Bearer " + ownerToken + ", x":          401,
		"Bearer\u00a0" + ownerToken:             401,
		"Bearer " + ownerToken + "\x00":         400,
		"Bearer \"" + ownerToken + "\"":         401,
		"Bearer " + strings.ToUpper(ownerToken): 401,
	} {
		req := httptest.NewRequest(http.MethodPost, "http://weir.example/events", strings.NewReader(`{"event":"x","data":1}`))
		req.Header.Set("Content-Type", "application/json")
		req.Header["Authorization"] = []string{header}
		res, err := app.Test(req, -1)
		if err != nil {
			t.Fatalf("%q: %v", header, err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%q: %d, want %d", header, res.StatusCode, want)
		}
		if res.StatusCode == 401 && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%q: WWW-Authenticate %q", header, res.Header.Get("WWW-Authenticate"))
		}
	}
	// Two headers, of which another server might take the other.
	req := httptest.NewRequest(http.MethodGet, "http://weir.example/api/events", nil)
	req.Header["Authorization"] = []string{"Bearer " + ownerToken, "Bearer x"}
	res, err := app.Test(req, -1)
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != 400 {
		t.Errorf("two headers: %d", res.StatusCode)
	}
}

// A source that verifies needs no token, and a stranger learns nothing from
// health but yes or no.
func TestOpenCalls(t *testing.T) {
	c, report := config.Parse("router.hcl", []byte("source \"events\" {\n  verify \"hmac\" {\n    secrets = [\"0123456789abcdef\"]\n    header = \"x-sig\"\n  }\n}\n"), config.Options{Dir: t.TempDir()})
	if c == nil {
		t.Fatal(report.Err())
	}
	e := newRefusing(t)
	e.source = newSource(t, c)
	e.keys, e.ready = testKeys(), fmt.Errorf("the disk is full of secrets")
	app := New(e, Options{MaxBody: 1 << 20})
	for _, x := range []struct {
		call, token string
		status      int
		shows, not  string
	}{
		{"POST /events", "", 401, "signature_missing", "token"},
		{"POST /in/nobody", "", 404, "unknown_source", "token"},
		{"GET /healthz", "", 200, "ok", "reason"},
		{"GET /readyz", "", 503, "not ready", "secrets"},
		{"GET /readyz", "wrong", 503, "not ready", "secrets"},
		{"GET /readyz", ingestToken, 503, "not ready", "secrets"},
		{"GET /readyz", readToken, 503, "full of secrets", "token"},
	} {
		method, path, _ := strings.Cut(x.call, " ")
		req := httptest.NewRequest(method, "http://weir.example"+path, strings.NewReader(""))
		if x.token != "" {
			req.Header.Set("Authorization", "Bearer "+x.token)
		}
		res, err := app.Test(req, -1)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != x.status || !strings.Contains(string(body), x.shows) || strings.Contains(string(body), x.not) {
			t.Errorf("%s with %q: %d %s", x.call, x.token, res.StatusCode, body)
		}
	}
}

// Without tokens: Host must be a loopback name however the target is written,
// unless the router is meant to be open.
func TestHostWithoutTokens(t *testing.T) {
	e := newRefusing(t)
	e.err = store.ErrFull
	const body = "Content-Type: application/json\r\nContent-Length: 22\r\n\r\n{\"event\":\"x\",\"data\":1}"
	for _, c := range []struct {
		name, request string
		closed, open  int
	}{
		{"loopback", "POST /events HTTP/1.1\r\nHost: localhost\r\n" + body, 507, 507},
		{"another host", "POST /events HTTP/1.1\r\nHost: evil.example\r\n" + body, 421, 507},
		{"no host", "POST /events HTTP/1.0\r\n" + body, 421, 507},
		{"absolute form, another host", "POST http://evil.example/events HTTP/1.1\r\nHost: localhost\r\n" + body, 421, 507},
		{"absolute form, another Host", "POST http://localhost/events HTTP/1.1\r\nHost: evil.example\r\n" + body, 421, 507},
		{"host with userinfo", "POST /events HTTP/1.1\r\nHost: localhost@evil.example\r\n" + body, 400, 400},
		{"host with a path", "POST /events HTTP/1.1\r\nHost: evil.example/localhost\r\n" + body, 400, 400},
		{"two hosts", "POST /events HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n" + body, 400, 400},
		{"foreign origin", "POST /events HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n" + body, 403, 403},
		{"X-Forwarded-Host", "POST /events HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\n" + body, 421, 507},
	} {
		for _, open := range []bool{false, true} {
			app := New(e, Options{MaxBody: 1 << 20, AnyHost: open})
			want := c.closed
			if open {
				want = c.open
			}
			if got := raw(t, app, c.request); got != want {
				t.Errorf("%s, open %v: %d, want %d", c.name, open, got, want)
			}
		}
	}
}

// raw sends bytes and returns the status of the answer.
func raw(t *testing.T, app *fiber.App, request string) int {
	t.Helper()
	app.Handler() // it builds the table of routes
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		_ = app.Server().ServeConn(server)
		server.Close()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() { client.Close() })()
	go func() { _, _ = io.WriteString(client, request) }()
	res, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// A client that reads or writes slowly, or never, is not waited for; many of them
// don't grow memory.
func TestConnectionsAreBounded(t *testing.T) {
	for connections, want := range map[int]int{0: maxConnections, 256: 256} {
		server := New(newRefusing(t), Options{MaxBody: 1 << 20, Connections: connections}).Server()
		if server.ReadTimeout <= 0 || server.ReadTimeout > time.Minute || server.WriteTimeout <= 0 || server.IdleTimeout <= 0 ||
			server.Concurrency != want || server.ReadBufferSize > 64<<10 || server.MaxRequestBodySize > 1<<20+politeness {
			t.Errorf("%d connections: %v %v %v %d %d %d", connections, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout,
				server.Concurrency, server.ReadBufferSize, server.MaxRequestBodySize)
		}
	}
}

// A client that lets its headers or its body drip is shut out when the time is up,
// whatever it sends until then (slowloris), and others are answered meanwhile.
func TestDrippingClients(t *testing.T) {
	server := New(newRefusing(t), Options{MaxBody: 1 << 20}).Server()
	server.ReadTimeout = 300 * time.Millisecond // as it is set, and shorter
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	var clients sync.WaitGroup
	for name, start := range map[string]string{
		"headers": "POST /events HTTP/1.1\r\nHost: localhost\r\n",
		"a body":  "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
		"chunks":  "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		drip := map[string]string{"headers": "X-A: b\r\n", "a body": " ", "chunks": "1\r\n \r\n"}[name]
		clients.Go(func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			closed := make(chan struct{})
			go func() {
				_, _ = io.Copy(io.Discard, c) // its answer, and then its end
				close(closed)
			}()
			_, err = io.WriteString(c, start)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for n := 0; err == nil; n++ {
				select {
				case <-closed:
					return
				case <-tick.C:
					_, err = io.WriteString(c, drip)
				}
				if n == 3000 {
					t.Errorf("%s: the server still waits", name)
					return
				}
			}
		})
	}
	res, err := http.Get("http://" + l.Addr().String() + "/nothing")
	if err != nil {
		t.Error("another client: ", err)
	} else if res.Body.Close(); res.StatusCode != http.StatusNotFound {
		t.Error("another client: ", res.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	clients.Wait()
}

// What two servers could read in two ways is refused.
func TestHostileRequests(t *testing.T) {
	e := newRefusing(t)
	e.err = store.ErrFull
	app := New(e, Options{MaxBody: 1 << 20})
	const body = "{\"event\":\"x\",\"data\":1}"
	for _, header := range []string{
		"Content-Length: 22\r\nContent-Length: 22\r\n",
		"Content-Length: 22\r\nTransfer-Encoding: identity\r\n",
		"Content-Length: 22\r\ncontent-type: text/plain\r\n",
		"Content-Length: 22\r\nOrigin: http://localhost\r\nOrigin: http://evil.example\r\n",
		"Content-Length: 22\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n",
		"Content-Length: 22\r\nX-Any: a\x01b\r\n",
		"Transfer-Encoding: xchunked\r\n",
		"Transfer-Encoding: gzip, chunked\r\n",
		"Transfer-Encoding: identity\r\n",
	} {
		if got := raw(t, app, "POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+header+"\r\n"+body); got != 400 {
			t.Errorf("%q: %d", header, got)
		}
	}
	// What follows is no request of its own: nobody can say where it begins.
	address := serveOn(t, e, Options{MaxBody: 1 << 20})
	for _, header := range []string{"Content-Length: 5\r\nContent-Length: 22\r\n", "Transfer-Encoding: xchunked\r\n"} {
		if all := rawAnswer(t, address, post+header+"\r\n16\r\n"+body+"\r\n0\r\n\r\n"+"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); strings.Count(all, "HTTP/1.1 ") != 1 || !strings.Contains(all, "ambiguous_header") {
			t.Errorf("%q: %q", header, all)
		}
	}
}
