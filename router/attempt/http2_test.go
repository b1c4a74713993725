package attempt

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt/guard"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/sign"
)

// serveTLS serves h over TLS, with HTTP/2 where asked, and returns its certificate
// as PEM. It is one of example.com.
func serveTLS(t *testing.T, two bool, h http.Handler, change func(*tls.Config)) (*httptest.Server, []byte) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = two
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{}
	if change != nil {
		change(server.TLS)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func TestHTTP2(t *testing.T) {
	for _, c := range []struct {
		name       string
		http2, two bool // what the destination and the receiver want
		major      int
	}{
		{"both", true, true, 2},
		{"the receiver does not", true, false, 1},
		{"the destination does not", false, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			noProxies(t)
			got := make(chan arrival, 16)
			server, ca := serveTLS(t, c.two, keep(t, got), nil)
			d := destination(t, server.URL+"/hooks?x=1")
			d.HTTP2, d.TLS, d.Secret, d.Compress = c.http2, &config.ClientTLS{CA: ca}, secret, true
			s := open(t, d)
			large := delivery()
			large.Body = bytes.Repeat([]byte(`{"a":1}`), 1<<14)
			for i, x := range []*Delivery{delivery(), large} {
				o := s.Send(t.Context(), x)
				if !o.OK || o.Status != 204 || i == 0 && (o.Phases.TLS <= 0 || o.Phases.Connect <= 0) || i == 1 && o.Phases.TLS != 0 {
					t.Fatalf("outcome is %+v", o)
				}
				a := <-got
				if a.major != c.major || a.header.Get("User-Agent") != UserAgent || a.header.Get("webhook-id") != x.WebhookID {
					t.Errorf("HTTP/%d with %v", a.major, a.header)
				}
				if err := sign.NewHMAC(secret).Verify(a.header.Get("X-Webhook-Signature"), a.body); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// The rules of an answer are the same as over HTTP/1.1.
func TestHTTP2Answers(t *testing.T) {
	noProxies(t)
	stop := make(chan struct{})
	server, ca := serveTLS(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/redirect":
			w.Header().Set("Location", "/ok")
			w.WriteHeader(http.StatusFound)
		case "/busy":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/endless":
			for {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<12)); err != nil {
					return
				}
			}
		case "/header":
			for i := range MaxHeader>>12 + 1 {
				w.Header().Set("X-Large-"+strconv.Itoa(i), strings.Repeat("x", 1<<12))
			}
		case "/hang":
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		case "/abort":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/early":
			w.WriteHeader(http.StatusRequestEntityTooLarge) // without reading the body
		}
	}), nil)
	defer close(stop)
	send := func(path string, change func(*config.Destination, *Delivery)) Outcome {
		d := destination(t, server.URL+path)
		d.HTTP2, d.TLS = true, &config.ClientTLS{CA: ca}
		x := delivery()
		if change != nil {
			change(d, x)
		}
		return open(t, d).Send(t.Context(), x)
	}
	if o := send("/gone", nil); o.OK || !o.Gone || o.Reason != ReasonStatus {
		t.Errorf("gone: %+v", o)
	}
	if o := send("/redirect", nil); o.OK || o.Status != 302 || o.Reason != ReasonStatus {
		t.Errorf("redirect: %+v", o)
	}
	if o := send("/busy", nil); o.OK || o.RetryAfter != 7*time.Second {
		t.Errorf("busy: %+v", o)
	}
	if o := send("/endless", nil); !o.OK || o.Reason != ReasonTooLarge || len(o.Body) != MaxKeptBody {
		t.Errorf("endless: %v %q %d bytes", o.OK, o.Reason, len(o.Body))
	}
	if o := send("/header", nil); o.OK || o.Reason != ReasonTooLarge {
		t.Errorf("header: %+v", o)
	}
	if o := send("/hang", func(d *config.Destination, _ *Delivery) { d.Timeout = 50 * time.Millisecond }); o.Reason != ReasonTimeout || !strings.Contains(o.Error, "50ms") {
		t.Errorf("hang: %+v", o)
	}
	if o := send("/abort", nil); o.OK || o.Reason != ReasonReset {
		t.Errorf("abort: %+v", o)
	}
	if o := send("/early", func(_ *config.Destination, x *Delivery) { x.Body = bytes.Repeat([]byte("x"), 4<<20) }); o.Status != 413 || o.Reason != ReasonStatus {
		t.Errorf("early: %+v", o)
	}
	if o := send("/ok", func(d *config.Destination, _ *Delivery) { d.TLS = nil }); o.Reason != ReasonTLS {
		t.Errorf("unknown authority: %+v", o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := destination(t, server.URL)
	d.HTTP2, d.TLS = true, &config.ClientTLS{CA: ca}
	if o := open(t, d).Send(ctx, delivery()); o.Reason != ReasonStopped {
		t.Errorf("stopped: %+v", o)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	d = destination(t, "https://"+l.Addr().String())
	d.HTTP2 = true
	if o := open(t, d).Send(t.Context(), delivery()); o.Reason != ReasonRefused {
		t.Errorf("refused: %+v", o)
	}
}

// All attempts at a time share one connection.
func TestHTTP2Shares(t *testing.T) {
	noProxies(t)
	var mu sync.Mutex
	connections := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			mu.Lock()
			connections++
			mu.Unlock()
		}
	}
	server.StartTLS()
	defer server.Close()
	d := destination(t, server.URL)
	d.HTTP2 = true
	d.TLS = &config.ClientTLS{CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	s := open(t, d)
	sendOK(t, s, delivery())
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				if o := s.Send(t.Context(), delivery()); !o.OK {
					t.Errorf("outcome is %+v", o)
				}
			}
		})
	}
	all.Wait()
	mu.Lock()
	defer mu.Unlock()
	if connections != 1 {
		t.Errorf("%d connections", connections)
	}
}

// Strangers' destinations are guarded over HTTP/2 too.
func TestHTTP2Guarded(t *testing.T) {
	server, ca := serveTLS(t, true, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "inner") }), nil)
	for _, allowed := range []bool{false, true} {
		rules := guard.Rules{}
		if allowed {
			rules.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}
		d := destination(t, server.URL)
		d.HTTP2, d.TLS = true, &config.ClientTLS{CA: ca}
		s, err := Open(d, Options{Guard: guard.New(rules)})
		if err != nil {
			t.Fatal(err)
		}
		o := s.Send(t.Context(), delivery())
		if o.OK != allowed || !allowed && o.Reason != ReasonBlocked || len(o.Body) > 0 {
			t.Errorf("allowed %v: %+v", allowed, o)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// clientPair makes a certificate that signs itself, as PEM.
func clientPair(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weir"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestClientTLS(t *testing.T) {
	noProxies(t)
	cert, key := clientPair(t)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(cert)
	server, ca := serveTLS(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 || r.TLS.PeerCertificates[0].Subject.CommonName != "weir" {
			t.Error("the client shows no certificate")
		}
	}), func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients })
	for _, c := range []struct {
		name   string
		tls    *config.ClientTLS
		reason string
	}{
		{"all", &config.ClientTLS{CA: ca, Cert: cert, Key: config.Secret(key)}, ""},
		{"the name of another", &config.ClientTLS{CA: ca, Cert: cert, Key: config.Secret(key), ServerName: "example.com"}, ""},
		{"a name that it has not", &config.ClientTLS{CA: ca, Cert: cert, Key: config.Secret(key), ServerName: "other.example"}, ReasonTLS},
		{"no certificate", &config.ClientTLS{CA: ca}, ReasonTLS},
		{"the system's authorities", &config.ClientTLS{Cert: cert, Key: config.Secret(key)}, ReasonTLS},
		{"nothing", nil, ReasonTLS},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := destination(t, server.URL)
			d.TLS = c.tls
			if o := open(t, d).Send(t.Context(), delivery()); o.OK != (c.reason == "") || o.Reason != c.reason {
				t.Errorf("outcome is %+v", o)
			}
		})
	}
}

// A destination's own proxy wins over the environment's; "" is none at all.
func TestProxyAttribute(t *testing.T) {
	server, got := keeping(t)
	noProxies(t)
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("NO_PROXY", "")
	d := destination(t, strings.Replace(server.URL, "127.0.0.1", "receiver.example", 1))
	through := raw(t, answering("HTTP/1.1 204 No Content\r\n\r\n"))
	proxy := destination(t, "http://u:p@"+through).Parsed
	d.Proxy = proxy
	sendOK(t, open(t, d), delivery())

	d = destination(t, server.URL)
	d.Direct = true
	sendOK(t, open(t, d), delivery())
	<-got
}

// Through a proxy, too, a stranger's destination is an address that was checked:
// what the proxy is asked for is not a name.
func TestGuardedProxy(t *testing.T) {
	server, ca := serveTLS(t, false, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
	p := &tunnels{to: server.Listener.Addr().String()}
	proxy := destination(t, "http://"+raw(t, p.serve)).Parsed
	for _, c := range []struct{ address, asked, reason string }{
		{"93.184.215.14", "CONNECT 93.184.215.14:443 HTTP/1.1", ""},
		{"10.0.0.1", "", ReasonBlocked},
	} {
		p.asked = nil
		d := destination(t, "https://example.com/")
		d.Proxy, d.TLS = proxy, &config.ClientTLS{CA: ca}
		lookup := func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr(c.address)}, nil
		}
		s, err := Open(d, Options{Guard: guard.New(guard.Rules{Lookup: lookup})})
		if err != nil {
			t.Fatal(err)
		}
		o := s.Send(t.Context(), delivery())
		if o.Reason != c.reason || o.OK != (c.reason == "") || !strings.HasPrefix(strings.Join(p.asked, "|"), c.asked) {
			t.Errorf("%s: asked %q: %+v", c.address, p.asked, o)
		}
		if c.asked == "" && len(p.asked) > 0 {
			t.Errorf("the proxy was asked %q", p.asked)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
