package api

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/store"
)

// taking is an engine that takes everything, and notes it as text.
type taking struct {
	refusing
	took []string
}

func (e *taking) Accept(_ context.Context, s *source.Source, taken source.Taken) ([]store.Accepted, error) {
	list := make([]store.Accepted, len(taken.Events))
	for i, x := range taken.Events {
		list[i] = store.Accepted{ID: fmt.Sprint("evt_", i), Position: uint64(i + 1)}
		copied := *x
		if !x.Given {
			copied.ID = "" // it is random
		}
		e.took = append(e.took, fmt.Sprintf("%s %t %+v", s.Name(), taken.Batch, copied))
	}
	return list, nil
}

// wire is a request as it would be after it is read.
func wire(t testing.TB, text string) *fasthttp.Request {
	t.Helper()
	var r fasthttp.Request
	if err := r.Read(bufio.NewReader(strings.NewReader(text))); err != nil {
		return nil
	}
	return &r
}

// through gives what a handler answers and leads to, as text.
func through(e *taking, handler fasthttp.RequestHandler, r *fasthttp.Request) string {
	e.took, e.tally = nil, source.Tally{}
	var ctx fasthttp.RequestCtx
	ctx.Init(r, nil, nil)
	handler(&ctx)
	var b strings.Builder
	fmt.Fprintf(&b, "%d close %t\n", ctx.Response.StatusCode(), ctx.Response.ConnectionClose())
	ctx.Response.Header.VisitAll(func(name, value []byte) { fmt.Fprintf(&b, "%s: %s\n", name, value) })
	fmt.Fprintf(&b, "%s\n%q\n%v\n", ctx.Response.Body(), e.took, e.tally.Counts())
	return b.String()
}

// plainRequests reach a source, or nearly do.
var plainRequests = func() []string {
	const good = `{"event":"a","data":{"k":"v"}}`
	var list []string
	add := func(line, header, body string) {
		list = append(list, fmt.Sprintf("%s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", line, header, len(body), body))
	}
	for _, target := range []string{"/events", "/events?wait=x", "/events?a=b", "/events?", "/events#x", "/events/", "/Events", "//events", "/%65vents", "http://localhost/events", "http://example.com/events", "x://localhost/events", "events", "/in/nothing", "/"} {
		for _, method := range []string{"POST", "GET", "PUT", "FOO"} {
			add(method+" "+target, "Host: localhost:8080\r\nContent-Type: application/json\r\n", good)
		}
	}
	for _, header := range []string{
		"", "Host: \r\n", "Host: LOCALHOST\r\n", "Host: 127.0.0.1:80\r\n", "Host: [::1]:80\r\n", "Host: 127.0.0.2\r\n", "Host: example.com\r\n", "Host: localhost:x\r\n",
		"Host: localhost:\r\n", "Host: :80\r\n", "Host: a@localhost\r\n", "Host: localhost/x\r\n", "Host: local host\r\n", "Host: %6cocalhost\r\n", "Host: localhost.\r\n", "Host: localhost:1:2\r\n",
		"Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\nOrigin: http://localhost\r\n", "Host: localhost\r\nOrigin: http://example.com\r\n", "Host: localhost\r\nOrigin: null\r\n",
		"Host: localhost\r\nX-A: a\x01b\r\n", "Host: localhost\r\nX-A: a\x7fb\r\n", "Host: localhost\r\nX-A: a\tb\r\n", "Host: localhost\r\ncontent-type: a/b\r\nContent-TYPE: c/d\r\n",
		"Host: localhost\r\nContent-Encoding: gzip\r\n", "Host: localhost\r\nContent-Type: text/plain\r\n", "Host: localhost\r\nContent-Type: application/cloudevents+json\r\n",
		"Host: localhost\r\nIdempotency-Key: k 1\r\nCookie: weir_session=x\r\nX-B:  spaced \r\n", "Host: localhost\r\nIdempotency-Key: k\r\nIdempotency-Key: k\r\n",
		"Host: localhost\r\nConnection: close\r\n", "Host: localhost\r\nAuthorization: Bearer right\r\n", "Host: localhost\r\nAuthorization: Bearer wrong\r\n",
		"Host: example.com\r\nAuthorization: bearer  right\r\n", "Host: localhost\r\nAuthorization: Bearer reader\r\n",
		"Host: localhost\r\nCe-Specversion: 1.0\r\nCe-Id: 7\r\nCe-Source: /s\r\nCe-Type: t\r\n",
	} {
		add("POST /events", header, good)
	}
	for _, body := range []string{
		"", "{", `{"event":"a"}`, `{"event":"a","data":1,"event_id":"x"}`, `[]`, `[{"event":"a","data":1},{"event":"b","data":"2"}]`, `[{"event":"a","data":1},{}]`,
		`{"event":"weir.a","data":1}`, `{"data":1,"type":"x"}`, `"text"`, `{"\u0065vent":"a","data":1,"timestamp":"2024-01-01T00:00:00Z"}`,
	} {
		add("POST /events", "Host: localhost\r\nContent-Type: application/json\r\n", body)
		add("POST /events", "Host: localhost\r\nContent-Type: application/x-ndjson\r\n", body)
	}
	return list
}()

// ways are the shortcut, and Fiber's way by itself.
func ways(t testing.TB, keys *Keys) (e *taking, short, long fasthttp.RequestHandler) {
	t.Helper()
	c, report := config.Parse("router.hcl", nil, config.Options{Dir: t.TempDir()})
	if report.HasErrors() {
		t.Fatal(report.Err())
	}
	src, err := source.New(c.Source("events"))
	if err != nil {
		t.Fatal(err)
	}
	e = &taking{refusing: refusing{source: src, keys: keys}}
	app := New(e, Options{MaxBody: 1 << 20, Now: func() time.Time { return time.Unix(1700000000, 0) }})
	return e, app.Server().Handler, app.Handler()
}

var someKeys = NewKeys([]config.Key{
	{Token: "right", Scopes: []config.Scope{config.ScopeIngest}}, {Token: "reader", Scopes: []config.Scope{config.ScopeRead}},
})

// Whichever way a request takes, it is answered alike and leads to the same.
func TestShortcut(t *testing.T) {
	for _, keys := range []*Keys{nil, someKeys} {
		e, short, long := ways(t, keys)
		taken := 0
		for _, text := range plainRequests {
			r := wire(t, text)
			if r == nil {
				continue // the server refuses it
			}
			got, want := through(e, short, r), through(e, long, r)
			if got != want {
				t.Errorf("keys %v: %q\nis answered\n%s\nand by Fiber's way\n%s", keys.Any(), text, got, want)
			}
			if strings.HasPrefix(got, "202") {
				taken++
			}
		}
		if taken < 2 {
			t.Errorf("keys %v: only %d are taken", keys.Any(), taken)
		}
	}
}

// FuzzShortcut sends any request both ways.
func FuzzShortcut(f *testing.F) {
	for _, text := range plainRequests {
		f.Add([]byte(text))
	}
	e, short, long := ways(f, nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		r := wire(t, string(text))
		if r == nil {
			return
		}
		if got, want := through(e, short, r), through(e, long, r); got != want {
			t.Fatalf("%q\nis answered\n%s\nand by Fiber's way\n%s", text, got, want)
		}
	})
}

// FuzzOneRequest holds the check of headers against one that is written plainly.
func FuzzOneRequest(f *testing.F) {
	for _, text := range []string{
		"Host: a\r\nX: y\r\n", "host:a\nHOST : b\n", "Host: a\r\nHost: b\r\n", "X: a\rb\r\n", "X: a\r\r\n", "Content-Length: 1\r\ntransfer-encoding: chunked\r\n",
		"Transfer-Encoding: \tChunked \r\n", "Transfer-Encoding: gzip\r\n", "no colon", "X: \x7f", ":", "\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		want := ""
		seen := map[string]int{}
		for _, line := range strings.SplitAfter(string(raw), "\n") {
			line = strings.TrimRight(line, "\r\n")
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				want = "malformed_header"
				break
			}
			name, value, _ := strings.Cut(line, ":")
			if name != strings.ToValidUTF8(name, "?") || strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f }) {
				continue // a name beyond ASCII is none of those that count
			}
			name = strings.ToLower(name)
			if seen[name]++; seen[name] > 1 && strings.Contains(" content-length transfer-encoding host origin content-type authorization ", " "+name+" ") && name != "" && !strings.Contains(name, " ") {
				want = "ambiguous_header"
				break
			}
			if name == "transfer-encoding" && !strings.EqualFold(strings.Trim(value, " \t"), "chunked") {
				want = "ambiguous_header"
				break
			}
		}
		if want == "" && seen["content-length"] > 0 && seen["transfer-encoding"] > 0 {
			want = "ambiguous_header"
		}
		got := ""
		if err := oneRequest(bytes.Clone(raw)); err != nil {
			got = (&server{}).problem(nil, err).Code
		}
		if got != want {
			t.Fatalf("%q: %q, want %q", raw, got, want)
		}
	})
}

// A body that can't be taken while the router is starting is refused as any other
// request is then, and counted for no source: there is none to ask for yet.
func TestBodyTooLargeWhileStarting(t *testing.T) {
	address := serveOn(t, &starting{}, Options{MaxBody: 10})
	answer := rawAnswer(t, address, post+"Content-Length: 11\r\n\r\n01234567890")
	if !strings.Contains(answer, "HTTP/1.1 413") {
		t.Error(answer)
	}
}

// starting has nothing but what may be asked of a router that is not open.
type starting struct{ Engine }

func (*starting) Opened() bool { return false }
func (*starting) Keys() *Keys  { return nil }

func BenchmarkIngest(b *testing.B) {
	const members = `,"field_00":"0123456789abcdef"`
	body := `{"event":"order.paid","data":{"seq":1000000000` + strings.Repeat(members, 30) + `}}`
	r := wire(b, fmt.Sprintf("POST /events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: fasthttp\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	for _, way := range []string{"shortcut", "fiber"} {
		b.Run(way, func(b *testing.B) {
			e, short, long := ways(b, nil)
			handler := short
			if way == "fiber" {
				handler = long
			}
			engine := &same{taking: e, list: []store.Accepted{{ID: "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"}}}
			app := New(engine, Options{MaxBody: 1 << 20})
			if handler = app.Server().Handler; way == "fiber" {
				handler = app.Handler()
			}
			var ctx fasthttp.RequestCtx
			ctx.Init(r, nil, nil)
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				handler(&ctx)
				if ctx.Response.StatusCode() != 202 {
					b.Fatal(ctx.Response.String())
				}
			}
		})
	}
}

// same answers all with one list.
type same struct {
	*taking
	list []store.Accepted
}

func (e *same) Accept(context.Context, *source.Source, source.Taken) ([]store.Accepted, error) {
	return e.list, nil
}

// The log has what a source refuses: once a minute for each reason, and nothing of
// the request.
func TestRefusalsAreLogged(t *testing.T) {
	e := newRefusing(t)
	e.keys = someKeys
	var log bytes.Buffer
	now := time.Unix(1700000000, 0)
	app := New(e, Options{MaxBody: 1 << 10, Logger: hclog.New(&hclog.LoggerOptions{Output: &log, DisableTime: true}), Now: func() time.Time { return now }})
	send := func(token, body string, status int) {
		t.Helper()
		r := wire(t, fmt.Sprintf("POST /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", token, len(body), body))
		var ctx fasthttp.RequestCtx
		ctx.Init(r, nil, nil)
		app.Server().Handler(&ctx)
		if got := ctx.Response.StatusCode(); got != status {
			t.Fatalf("answered %d, want %d: %s", got, status, ctx.Response.Body())
		}
	}
	for range 3 {
		send("hunter2", `{"event":"a","data":1}`, 401)
		send("right", `{"event":"a","secret":"hunter2"}`, 400)
	}
	now = now.Add(time.Minute)
	send("hunter2", `{"event":"a","data":1}`, 401)
	send("hunter2", `{"event":"a","data":1}`, 401)
	e.err = store.ErrFull
	send("right", `{"event":"a","data":1}`, 507)
	e.err = nil
	send("right", `{"event":"a","data":1}`, 202)
	want := `[WARN]  a source refuses requests: source=events reason=token_unknown status=401 refused=1
[WARN]  a source refuses requests: source=events reason=unknown_member status=400 refused=1
[WARN]  a source refuses requests: source=events reason=token_unknown status=401 refused=3
[WARN]  a source refuses requests: source=events reason=disk_full status=507 refused=1
`
	if log.String() != want {
		t.Errorf("the log has\n%s\nwant\n%s", log.String(), want)
	}
}
