package attempt

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/sign"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func destination(t testing.TB, target string) *config.Destination {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return &config.Destination{Name: "crm", URL: target, Parsed: u, Timeout: 10 * time.Second, Concurrency: 4}
}

func open(t testing.TB, c *config.Destination) Sender {
	t.Helper()
	s, err := Open(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func delivery() *Delivery {
	return &Delivery{
		WebhookID: "msg_p5jXN8AQM9LWM0D4loKWxJek", EventType: "order.created", Number: 3,
		Body: []byte(`{"test": 2432232314}`), ContentType: "application/json", Time: time.Unix(1614265330, 5e8),
	}
}

// raw serves each connection by f, which owns it, and closes it afterwards.
func raw(t testing.TB, f func(c net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		defer all.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Add(1)
			go func() {
				defer all.Done()
				defer c.Close()
				f(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// readRequest reads one request whole and returns it as it came.
func readRequest(r *bufio.Reader) (head []string, body []byte, err error) {
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, nil, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line == "" {
			break
		}
		if _, err := fmt.Sscanf(line, "Content-Length: %d", &length); err == nil {
			head = append(head, line)
			continue
		}
		head = append(head, line)
	}
	body = make([]byte, length)
	_, err = io.ReadFull(r, body)
	return head, body, err
}

// answering reads the request and writes text.
func answering(text string) func(net.Conn) {
	return answered(func(c net.Conn) { io.WriteString(c, text) })
}

// answered reads the request before f answers: what comes earlier is not an
// answer to it.
func answered(f func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		if _, _, err := readRequest(bufio.NewReader(c)); err == nil {
			f(c)
		}
	}
}

// hang keeps the connection until the other side closes it.
func hang(c net.Conn) { io.Copy(io.Discard, c) }

// Byte for byte what a receiver gets, but for the order of headers.
func TestRequestOnTheWire(t *testing.T) {
	var head []string
	var body []byte
	address := raw(t, func(c net.Conn) {
		var err error
		if head, body, err = readRequest(bufio.NewReader(c)); err != nil {
			t.Error(err)
		}
		io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	c := destination(t, "http://user:pa%20ss@"+address+"/hooks?a=1#part")
	c.Secret = secret
	c.Headers = []event.Field{{Name: "x-static", Value: "s"}, {Name: "x-both", Value: "destination"}}
	d := delivery()
	d.Replay = "rpl_1"
	d.Header = []event.Field{
		{Name: "x-both", Value: "plugin"}, {Name: "x-two", Value: "1"}, {Name: "x-two", Value: "2"},
	}
	o := open(t, c).Send(t.Context(), d)
	if !o.OK || o.Status != 204 || o.Reason != "" || o.Error != "" {
		t.Fatalf("outcome is %+v", o)
	}
	want := []string{
		"POST /hooks?a=1 HTTP/1.1",
		"Host: " + address,
		"Authorization: Basic dXNlcjpwYSBzcw==",
		"Content-Length: 20",
		"Content-Type: application/json",
		"User-Agent: " + UserAgent,
		"Webhook-Id: msg_p5jXN8AQM9LWM0D4loKWxJek",
		"Webhook-Signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"Webhook-Timestamp: 1614265330",
		"X-Both: plugin",
		"X-Static: s",
		"X-Two: 1",
		"X-Two: 2",
		"X-Webhook-Attempt: 3",
		"X-Webhook-Event: order.created",
		"X-Webhook-Replay: rpl_1",
		"X-Webhook-Signature: " + sign.NewHMAC(secret).Signature(d.Body),
	}
	sort.Strings(head)
	sort.Strings(want)
	if !reflect.DeepEqual(head, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(head, "\n"), strings.Join(want, "\n"))
	}
	if !bytes.Equal(body, d.Body) {
		t.Errorf("body is %q", body)
	}
}

func TestUnsignedWithoutSecret(t *testing.T) {
	got := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	t.Cleanup(server.Close)
	if o := open(t, destination(t, server.URL)).Send(t.Context(), delivery()); !o.OK {
		t.Fatalf("outcome is %+v", o)
	}
	h := <-got
	for _, name := range []string{sign.HeaderHMAC, sign.HeaderStandard, "X-Webhook-Replay", "Idempotency-Key", "Authorization"} {
		if _, ok := h[http.CanonicalHeaderKey(name)]; ok {
			t.Errorf("%s is sent: %q", name, h.Get(name))
		}
	}
	if h.Get(sign.HeaderID) == "" || h.Get(sign.HeaderTimestamp) == "" {
		t.Errorf("headers are %v", h)
	}
}

func TestStatus(t *testing.T) {
	var status atomic.Int64
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(status.Load()))
		io.WriteString(w, "said so")
	}))
	t.Cleanup(server.Close)
	s := open(t, destination(t, server.URL))
	for code, ok := range map[int]bool{
		200: true, 201: true, 202: true, 299: true,
		300: false, 301: false, 302: false, 307: false, 308: false, 400: false, 401: false, 404: false, 410: false, 429: false, 500: false, 503: false, 599: false,
	} {
		status.Store(int64(code))
		before := hits.Load()
		o := s.Send(t.Context(), delivery())
		if o.OK != ok || o.Status != code || o.Gone != (code == 410) {
			t.Errorf("%d: outcome is %+v", code, o)
		}
		if want := map[bool]string{true: "", false: ReasonStatus}[ok]; o.Reason != want || (o.Error == "") != ok {
			t.Errorf("%d: reason %q, error %q", code, o.Reason, o.Error)
		}
		if n := hits.Load() - before; n != 1 {
			t.Errorf("%d: %d requests: a redirect was followed", code, n)
		}
		if string(o.Body) != "said so" {
			t.Errorf("%d: body %q", code, o.Body)
		}
		if o.Started.IsZero() || o.Started.Location() != time.UTC || o.Latency <= 0 {
			t.Errorf("%d: started %v, latency %v", code, o.Started, o.Latency)
		}
	}
}

// Each receiver that misbehaves ends under its own reason, soon, and with its
// answer's bytes bounded.
func TestMisbehavingReceivers(t *testing.T) {
	// A flood ends when the other side closes.
	flood := func(c net.Conn, block string) {
		for {
			if _, err := io.WriteString(c, block); err != nil {
				return
			}
		}
	}
	block := strings.Repeat("x", 4096)
	tests := []struct {
		name    string
		serve   func(net.Conn)
		timeout time.Duration
		want    Outcome // OK, Status and Reason count
		text    string
	}{
		{"closes at once", func(net.Conn) {}, 0, Outcome{Reason: ReasonReset}, "closed the connection"},
		{"closes after the request", answering(""), 0, Outcome{Reason: ReasonReset}, "closed the connection"},
		{"closes in the head", answering("HTTP/1.1 200 OK\r\nServer: x\r\n"), 0, Outcome{Reason: ReasonReset}, "closed"},
		{"closes in the body", answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour"), 0, Outcome{Status: 200, Reason: ReasonReset}, "after status 200"},
		{"resets", func(c net.Conn) {
			readRequest(bufio.NewReader(c))
			c.(*net.TCPConn).SetLinger(0)
		}, 0, Outcome{Reason: ReasonReset}, "closed"},
		{"answers garbage", answering("SSH-2.0-OpenSSH_9.6\r\n\r\n"), 0, Outcome{Reason: ReasonProtocol}, "HTTP"},
		{"speaks before it is asked", func(c net.Conn) {
			io.WriteString(c, "220 smtp.example.com ready\r\n")
			hang(c)
		}, 0, Outcome{Reason: ReasonProtocol}, ""},
		{"answers a bad chunk", answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 0, Outcome{Status: 200, Reason: ReasonProtocol}, ""},
		{"answers 200, then garbage", answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokGARBAGE"), 0, Outcome{OK: true, Status: 200}, ""},
		{"hangs", hang, 100 * time.Millisecond, Outcome{Reason: ReasonTimeout}, "waiting for the answer"},
		{"hangs in the body", answered(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
			hang(c)
		}), 100 * time.Millisecond, Outcome{Status: 200, Reason: ReasonTimeout}, "after status 200"},
		{"drips its head", answered(func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\nX: ") }), 100 * time.Millisecond, Outcome{Reason: ReasonTimeout}, "waiting"},
		{"switches protocols", answered(func(c net.Conn) {
			_, _ = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"))
			_, _ = c.Read(make([]byte, 1)) // and waits
		}), time.Minute, Outcome{Status: 101, Reason: ReasonProtocol}, "101"},
		{"drips its body", answered(func(c net.Conn) { drip(c, "HTTP/1.1 200 OK\r\n\r\n") }), 100 * time.Millisecond, Outcome{Status: 200, Reason: ReasonTimeout}, "reading the body"},
		{"endless headers", answered(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			flood(c, "X-"+block+": y\r\n")
		}), 0, Outcome{Reason: ReasonTooLarge}, "headers are larger"},
		{"an endless header", answered(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
			flood(c, block)
		}), 0, Outcome{Reason: ReasonTooLarge}, "headers are larger"},
		{"an endless body", answered(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			flood(c, block)
		}), 0, Outcome{OK: true, Status: 200, Reason: ReasonTooLarge}, ""},
		{"an endless body of an error", answered(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 500 Oops\r\n\r\n")
			flood(c, block)
		}), 0, Outcome{Status: 500, Reason: ReasonStatus}, "500"},
		{"endless interim answers", answered(func(c net.Conn) { flood(c, "HTTP/1.1 103 Early Hints\r\n\r\n") }), 0, Outcome{Reason: ReasonTooLarge}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := destination(t, "http://user:pa55word@"+raw(t, tt.serve)+"/path?token=t0ken")
			c.Secret = secret
			if tt.timeout > 0 {
				c.Timeout = tt.timeout
			}
			o := open(t, c).Send(t.Context(), delivery())
			if o.OK != tt.want.OK || o.Status != tt.want.Status || o.Reason != tt.want.Reason || !strings.Contains(o.Error, tt.text) {
				t.Errorf("outcome is %+v, want %+v with %q", o, tt.want, tt.text)
			}
			if len(o.Body) > MaxKeptBody {
				t.Errorf("%d bytes are kept", len(o.Body))
			}
			for _, s := range []string{"pa55word", "t0ken", secret} {
				if strings.Contains(o.Error, s) {
					t.Errorf("the error shows %q: %s", s, o.Error)
				}
			}
		})
	}
}

// drip writes start and then a byte now and then until the other side closes.
func drip(c net.Conn, start string) {
	io.WriteString(c, start)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
	}
}

func TestRefusedAndDNS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	if o := open(t, destination(t, "http://u:pa55word@"+address)).Send(t.Context(), delivery()); o.Reason != ReasonRefused || o.OK || strings.Contains(o.Error, "pa55word") {
		t.Errorf("nobody listens: %+v", o)
	}
	// The name is reserved never to exist (RFC 6761).
	if o := open(t, destination(t, "http://nobody.invalid/")).Send(t.Context(), delivery()); o.Reason != ReasonDNS || o.OK || !strings.Contains(o.Error, "nobody.invalid") {
		t.Errorf("no such name: %+v", o)
	}
}

func TestTLS(t *testing.T) {
	untrusted := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(untrusted.Close)
	plain := httptest.NewServer(untrusted.Config.Handler)
	t.Cleanup(plain.Close)
	tests := map[string]struct{ address, reason string }{
		"untrusted certificate":    {untrusted.Listener.Addr().String(), ReasonTLS},
		"no TLS there":             {plain.Listener.Addr().String(), ReasonTLS},
		"closes in the handshake":  {raw(t, func(c net.Conn) { c.Read(make([]byte, 1)) }), ReasonTLS},
		"hangs in the handshake":   {raw(t, hang), ReasonTimeout},
		"garbage in the handshake": {raw(t, func(c net.Conn) { io.WriteString(c, strings.Repeat("x", 100)); hang(c) }), ReasonTLS},
	}
	for name, tt := range tests {
		c := destination(t, "https://"+tt.address)
		if tt.reason == ReasonTimeout {
			c.Timeout = 100 * time.Millisecond
		}
		if o := open(t, c).Send(t.Context(), delivery()); o.OK || o.Reason != tt.reason || !strings.Contains(o.Error, "TLS") {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestStoppedIsNotTheReceiversFault(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := raw(t, func(c net.Conn) {
		readRequest(bufio.NewReader(c))
		cancel()
		hang(c)
	})
	if o := open(t, destination(t, "http://"+address)).Send(ctx, delivery()); o.Reason != ReasonStopped || o.OK {
		t.Errorf("outcome is %+v", o)
	}
}

// A receiver that closes a kept connection under our hands costs no attempt:
// the request is sent once more, on a new connection.
func TestStaleConnection(t *testing.T) {
	var connections, requests atomic.Int64
	address := raw(t, func(c net.Conn) {
		first := connections.Add(1) == 1
		r := bufio.NewReader(c)
		for {
			if _, _, err := readRequest(r); err != nil {
				return
			}
			if requests.Add(1) == 2 && first {
				return // the second one gets no answer
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	s := open(t, destination(t, "http://"+address))
	for i := range 3 {
		if o := s.Send(t.Context(), delivery()); !o.OK || string(o.Body) != "ok" {
			t.Fatalf("send %d: %+v", i, o)
		}
	}
	if c, r := connections.Load(), requests.Load(); c != 2 || r != 4 {
		t.Errorf("%d requests on %d connections, want 4 on 2", r, c)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", MaxReadBody)) // just within the limit
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	s := open(t, destination(t, server.URL))
	for range 5 {
		o := s.Send(t.Context(), delivery())
		if !o.OK || o.Reason != "" || len(o.Body) != MaxKeptBody {
			t.Fatalf("outcome is OK %v, %q, %d bytes", o.OK, o.Reason, len(o.Body))
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// What is kept of a long answer ends between two characters, where it is text.
func TestKeptBodyEndsBetweenCharacters(t *testing.T) {
	fill := func(n int) string { return strings.Repeat("x", MaxKeptBody-n) }
	for name, tt := range map[string]struct {
		body string
		want int // bytes kept
	}{
		"é across the end":              {fill(1) + "é and more", MaxKeptBody - 1},
		"é just before the end":         {fill(2) + "é and more", MaxKeptBody},
		"one byte of 😀":                 {fill(1) + "😀", MaxKeptBody - 1},
		"three bytes of 😀":              {fill(3) + "😀", MaxKeptBody - 3},
		"😀 just before the end":         {fill(4) + "😀 and more", MaxKeptBody},
		"no UTF-8 before é":             {"\xff" + fill(2) + "é", MaxKeptBody},
		"a stray byte at the end":       {fill(1) + "\xff and more", MaxKeptBody},
		"a whole answer, cut by itself": {fill(1) + "\xc3", MaxKeptBody},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, tt.body) }))
		o := open(t, destination(t, server.URL)).Send(t.Context(), delivery())
		server.Close()
		if !o.OK || string(o.Body) != tt.body[:tt.want] {
			t.Errorf("%s: %d bytes are kept of %d, want %d", name, len(o.Body), len(tt.body), tt.want)
		}
	}
}

// A destination may authorize itself: only plugins must not.
func TestConfiguredAuthorization(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Authorization") }))
	t.Cleanup(server.Close)
	c := destination(t, server.URL)
	c.Headers = []event.Field{{Name: "authorization", Value: "Bearer t"}}
	if o := open(t, c).Send(t.Context(), delivery()); !o.OK {
		t.Fatalf("outcome is %+v", o)
	}
	if v := <-got; v != "Bearer t" {
		t.Errorf("sent %q", v)
	}
}

func TestPhases(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	s := open(t, destination(t, server.URL))
	close(release)
	first := s.Send(t.Context(), delivery())
	if first.Phases.Connect <= 0 || first.Phases.FirstByte <= 0 || first.Phases.TLS != 0 {
		t.Errorf("first: %+v", first.Phases)
	}
	if second := s.Send(t.Context(), delivery()); second.Phases.Connect != 0 || second.Phases.FirstByte <= 0 {
		t.Errorf("on a kept connection: %+v", second.Phases)
	}
}

func TestRetryAfterHeader(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	if o := open(t, destination(t, server.URL)).Send(t.Context(), delivery()); o.RetryAfter != 2*time.Minute {
		t.Errorf("outcome is %+v", o)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		" 7 ":                           7 * time.Second,
		"-7":                            0,
		"7.5":                           0,
		"soon":                          0,
		"86400":                         MaxRetryAfter,
		"86401":                         MaxRetryAfter,
		"99999999999999999999999":       MaxRetryAfter,
		"Thu, 01 Jan 2026 12:01:00 GMT": time.Minute,
		"Thu, 01 Jan 2026 11:59:00 GMT": 0,
		"Thu, 01 Jan 2099 12:00:00 GMT": MaxRetryAfter,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestDeliveryThatIsNoRequest(t *testing.T) {
	address := raw(t, func(net.Conn) { t.Error("something was sent") })
	s := open(t, destination(t, "http://"+address))
	changes := map[string]func(*Delivery){
		"a line break in a plugin's header": func(d *Delivery) { d.Header = []event.Field{{Name: "x-a", Value: "s3cret\r\nx-b: c"}} },
		"a name that is none":               func(d *Delivery) { d.Header = []event.Field{{Name: "x a", Value: "s3cret"}} },
		"an empty name":                     func(d *Delivery) { d.Header = []event.Field{{Name: "", Value: "s3cret"}} },
		"a line break in the content type":  func(d *Delivery) { d.ContentType = "text/plain\r\nx-b: s3cret" },
		"a line break in the type":          func(d *Delivery) { d.EventType = "a\nb: s3cret" },
		"a space at the end of a value":     func(d *Delivery) { d.Header = []event.Field{{Name: "x-a", Value: "s3cret "}} },
	}
	// Left out without a word, nobody would learn why the receiver lacks them.
	for _, name := range []string{
		"x-webhook-signature", "webhook-extra", "user-agent", "content-type", "Host", "connection", "Authorization", "te", "proxy-x",
	} {
		changes["a plugin's "+name] = func(d *Delivery) { d.Header = []event.Field{{Name: name, Value: "s3cret"}} }
	}
	for name, change := range changes {
		d := delivery()
		change(d)
		if o := s.Send(t.Context(), d); o.OK || o.Reason != ReasonConfig || strings.Contains(o.Error, "s3cret") || o.Error == "" {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	for target, want := range map[string]string{
		"ftp://example.com/":  `scheme "ftp"; there are file, http, https, nats, stdout`,
		"http:///path":        "no host",
		"file://host/a.jsonl": "three slashes",
		"file:a.jsonl":        "three slashes",
	} {
		if _, err := Open(destination(t, target), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", target, err)
		}
	}
	for _, f := range []event.Field{
		{Name: "host", Value: "a"}, {Name: "webhook-id", Value: "a"}, {Name: "X-Webhook-Signature", Value: "a"},
		{Name: "content-length", Value: "1"}, {Name: "x-a", Value: "a\nb"}, {Name: "x a", Value: "a"},
	} {
		c := destination(t, "http://example.com/")
		c.Headers = []event.Field{f}
		if _, err := Open(c, Options{}); err == nil || !strings.Contains(err.Error(), `destination "crm": headers`) {
			t.Errorf("%v: %v", f, err)
		}
	}
	c := destination(t, "http://example.com/")
	c.Secret = "whsec_?s3cret"
	if _, err := Open(c, Options{}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a bad secret: %v", err)
	}
	if _, err := Open(&config.Destination{Name: "crm"}, Options{}); err == nil {
		t.Error("no URL is taken")
	}
}

func TestConcurrentSends(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	t.Cleanup(server.Close)
	c := destination(t, server.URL)
	c.Secret = secret
	s := open(t, c)
	var all sync.WaitGroup
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for j := range 25 {
				d := delivery()
				d.Body = fmt.Appendf(nil, `{"n":%d}`, i*100+j)
				if o := s.Send(t.Context(), d); !o.OK || !bytes.Equal(o.Body, d.Body) {
					t.Errorf("sent %s: %+v", d.Body, o)
				}
			}
		}()
	}
	all.Wait()
}

func TestBody(t *testing.T) {
	m := &event.Message{ID: "evt_1", Type: "a", ContentType: "text/plain", Data: []byte("hi"), Time: time.Unix(0, 0)}
	for _, tt := range []struct {
		format            config.Format
		several           bool
		body, contentType string
	}{
		{config.FormatEnvelope, false, `{"event_id":"evt_1","event":"a","data":"hi","timestamp":"1970-01-01T00:00:00Z"}`, "application/json"},
		{config.FormatEnvelope, true, `{"event_id":"evt_1-2","source_event_id":"evt_1","event":"a","data":"hi","timestamp":"1970-01-01T00:00:00Z"}`, "application/json"},
		{config.FormatRaw, true, "hi", "text/plain"},
	} {
		body, contentType, _ := Body(tt.format, m, 2, tt.several)
		if string(body) != tt.body || contentType != tt.contentType {
			t.Errorf("%s: %s, %s", tt.format, body, contentType)
		}
	}
}
