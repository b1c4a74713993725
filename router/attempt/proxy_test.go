package attempt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// noProxies clears what the machine that runs the tests has set.
func noProxies(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUEST_METHOD"} {
		t.Setenv(name, "")
	}
}

func TestEnvironmentProxy(t *testing.T) {
	const target, secure = "http://receiver.example:81/h", "https://receiver.example/h"
	tests := []struct {
		name, variable, value, target string
		want                          string // scheme, address and authorization
	}{
		{"of http", "HTTP_PROXY", "http://proxy.example:3128", target, "http proxy.example:3128 "},
		{"not of https", "HTTP_PROXY", "http://proxy.example:3128", secure, ""},
		{"of https", "https_proxy", "http://u:p%20w@proxy.example", secure, "http proxy.example:80 Basic dTpwIHc="},
		{"without scheme", "HTTPS_PROXY", "proxy.example:3128", secure, "http proxy.example:3128 "},
		{"over TLS", "HTTPS_PROXY", "https://proxy.example", secure, "https proxy.example:443 "},
		{"socks", "HTTPS_PROXY", "socks5://u:pass@proxy.example", secure, "socks5 proxy.example:1080 "},
		{"loopback", "HTTP_PROXY", "http://proxy.example:3128", "http://127.0.0.1:81/h", ""},
		{"localhost", "HTTP_PROXY", "http://proxy.example:3128", "http://localhost:81/h", ""},
		{"none", "NO_PROXY", "", target, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			noProxies(t)
			t.Setenv(tt.variable, tt.value)
			u, err := url.Parse(tt.target)
			if err != nil {
				t.Fatal(err)
			}
			p, err := environmentProxy(u)
			got := ""
			if p != nil {
				got = p.scheme + " " + p.address + " " + p.authorization
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	noProxies(t)
	t.Setenv("HTTP_PROXY", "http://proxy.example")
	t.Setenv("NO_PROXY", "other.example,receiver.example:81")
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := environmentProxy(u); p != nil || err != nil {
		t.Errorf("NO_PROXY: %+v, %v", p, err)
	}
	noProxies(t)
	t.Setenv("HTTP_PROXY", "ftp://user:pa55word@proxy.example")
	if _, err := Open(destination(t, target), Options{}); err == nil || !strings.Contains(err.Error(), `"ftp"`) || strings.Contains(err.Error(), "pa55word") {
		t.Errorf("another scheme: %v", err)
	}
}

// A proxy is sent http requests with the whole URL, on kept connections.
func TestForwardingProxy(t *testing.T) {
	heads := make(chan []string, 2)
	address := raw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			head, _, err := readRequest(r)
			if err != nil {
				return
			}
			heads <- head
			write(c, okAnswer)
		}
	})
	noProxies(t)
	t.Setenv("HTTP_PROXY", "http://user:pa55@"+address)
	s := openSender(t, "http://me:you@receiver.invalid/h%2Fx?a=b")
	for range 2 {
		mustSend(t, s)
		all := strings.Join(<-heads, "\n") + "\n"
		for _, want := range []string{
			"POST http://receiver.invalid/h%2Fx?a=b HTTP/1.1\n", "\nHost: receiver.invalid\n",
			"\nProxy-Authorization: Basic dXNlcjpwYTU1\n", "\nAuthorization: Basic bWU6eW91\n",
		} {
			if !strings.Contains(all, want) {
				t.Errorf("%q is not in\n%s", want, all)
			}
		}
	}
}

// tunnels is an HTTP proxy that connects all to one address.
type tunnels struct {
	to      string
	asked   []string
	answer  string // instead of 200
	connect atomic.Int64
}

func (p *tunnels) serve(c net.Conn) {
	r := bufio.NewReader(c)
	head, _, err := readRequest(r)
	if err != nil {
		return
	}
	p.asked = head
	p.connect.Add(1)
	if p.answer != "" {
		write(c, p.answer)
		return
	}
	write(c, "HTTP/1.1 200 Connection established\r\n\r\n")
	splice(c, r, p.to)
}

// splice joins a connection to a new one to address until one of them ends.
func splice(c net.Conn, r io.Reader, address string) {
	other, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(other, r)
		other.Close()
	}()
	io.Copy(c, other)
	other.Close()
	c.Close()
	<-done
}

func secureServer(t *testing.T) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" {
			t.Error("the receiver is shown the proxy's password")
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "ok")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate()) // of example.com and 127.0.0.1
	return server, roots
}

func TestTunnel(t *testing.T) {
	server, roots := secureServer(t)
	for _, over := range []bool{false, true} {
		p := &tunnels{to: server.Listener.Addr().String()}
		scheme, serve := "http", p.serve
		if over { // the proxy itself speaks TLS
			scheme = "https"
			serve = func(c net.Conn) {
				secured := tls.Server(c, server.TLS)
				defer secured.Close()
				p.serve(secured)
			}
		}
		noProxies(t)
		t.Setenv("HTTPS_PROXY", scheme+"://user:pa55@"+raw(t, serve))
		s := openSender(t, "https://example.com/h")
		s.roots = roots
		first := mustSend(t, s)
		second := mustSend(t, s)
		if first.Phases.TLS <= 0 || second.Phases.TLS != 0 || p.connect.Load() != 1 {
			t.Errorf("%s: %+v, %+v, %d connections", scheme, first.Phases, second.Phases, p.connect.Load())
		}
		want := "CONNECT example.com:443 HTTP/1.1|Host: example.com:443|User-Agent: " + UserAgent + "|Proxy-Authorization: Basic dXNlcjpwYTU1"
		if got := strings.Join(p.asked, "|"); got != want {
			t.Errorf("%s: asked %s, want %s", scheme, got, want)
		}
	}
}

func TestTunnelThatFails(t *testing.T) {
	for name, tt := range map[string]struct{ answer, reason, text string }{
		"refuses":       {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", ReasonRefused, "407"},
		"speaks on":     {"HTTP/1.1 200 OK\r\n\r\nSSH-2.0", ReasonRefused, "before it was asked"},
		"closes":        {" ", ReasonReset, ""},
		"garbage":       {"SSH-2.0-OpenSSH_9.6\r\n", ReasonRefused, "malformed"},
		"endless heads": {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", MaxHeader), ReasonRefused, "too large"},
	} {
		p := &tunnels{answer: tt.answer}
		noProxies(t)
		t.Setenv("HTTPS_PROXY", "http://user:pa55word@"+raw(t, p.serve))
		if o := open(t, destination(t, "https://example.com/h")).Send(t.Context(), delivery()); o.OK || o.Reason != tt.reason || !strings.Contains(o.Error, tt.text) || strings.Contains(o.Error, "pa55word") {
			t.Errorf("%s: %+v", name, o)
		}
	}
	noProxies(t)
	ctx, cancel := context.WithCancel(t.Context())
	for reason, serve := range map[string]func(net.Conn){
		ReasonTimeout: hang,
		ReasonStopped: func(c net.Conn) { readRequest(bufio.NewReader(c)); cancel(); hang(c) },
	} {
		t.Setenv("HTTPS_PROXY", "http://"+raw(t, serve))
		c := destination(t, "https://example.com/h")
		within := t.Context()
		if reason == ReasonTimeout {
			c.Timeout = 100 * time.Millisecond
		} else {
			c.Timeout, within = 0, ctx
		}
		if o := open(t, c).Send(within, delivery()); o.OK || o.Reason != reason {
			t.Errorf("%s: %+v", reason, o)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	t.Setenv("HTTPS_PROXY", "http://user:pa55word@"+l.Addr().String())
	if o := open(t, destination(t, "https://example.com/h")).Send(t.Context(), delivery()); o.Reason != ReasonRefused || !strings.Contains(o.Error, "proxyconnect") || strings.Contains(o.Error, "pa55word") {
		t.Errorf("no proxy there: %+v", o)
	}
}

// socks serves SOCKS 5 (RFC 1928, 1929) and connects all to one address.
func socks(t *testing.T, to string, asked *string) func(net.Conn) {
	return func(c net.Conn) {
		read := func(n int) []byte {
			b := make([]byte, n)
			if _, err := io.ReadFull(c, b); err != nil {
				t.Error(err)
			}
			return b
		}
		methods := read(int(read(2)[1]))
		if !bytes.Contains(methods, []byte{2}) {
			t.Errorf("methods %v", methods)
		}
		c.Write([]byte{5, 2})
		user := read(int(read(2)[1]))
		password := read(int(read(1)[0]))
		c.Write([]byte{1, 0})
		read(4)
		host := read(int(read(1)[0]))
		port := binary.BigEndian.Uint16(read(2))
		*asked = string(user) + " " + string(password) + " " + string(host)
		if port == 0 {
			t.Error("no port")
		}
		c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		splice(c, c, to)
	}
}

func TestSocks(t *testing.T) {
	secured, roots := secureServer(t)
	plain := serveCounted(t, func(c net.Conn, _, _ int64) bool { return write(c, okAnswer) })
	for target, to := range map[string]string{"https://example.com/h": secured.Listener.Addr().String(), "http://example.com/h": plain.address} {
		asked := ""
		noProxies(t)
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
			t.Setenv(name, "socks5://user:pa55@"+raw(t, socks(t, to, &asked)))
		}
		s := openSender(t, target)
		s.roots = roots
		s.timeout = time.Minute
		mustSend(t, s)
		mustSend(t, s)
		if asked != "user pa55 example.com" || len(s.idle.conns) != 1 {
			t.Errorf("%s: asked %q, %d connections wait", target, asked, len(s.idle.conns))
		}
	}
}
