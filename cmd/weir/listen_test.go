package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate makes one that only itself has signed, and returns its bytes.
func writeCertificate(t *testing.T, dir, host string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "weir.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, dir, "weir.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return der
}

// serveOpen starts a router by a configuration without waiting for it over plain
// HTTP: its log says when it is ready.
func serveOpen(t *testing.T, config string) *running {
	t.Helper()
	return launch(t, config, "", func(r *running) bool { return strings.Contains(r.log.String(), "weir: ready") })
}

const toOut = "destination \"out\" {\n  url = \"stdout:\"\n}\nroute \"all\" {\n  to = [destination.out]\n}\n"

// The router speaks TLS by itself, takes over a new certificate with a reload, and
// its own commands find it.
func TestTLS(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	first := writeCertificate(t, dir, "hooks.example.com")
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf("server {\n  listen = %q\n  tls {\n    cert = \"weir.crt\"\n    key  = \"weir.key\"\n  }\n}\n", address)+toOut)
	serveOpen(t, config)
	presented := func() []byte {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // its own certificate is compared
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if c.ConnectionState().Version < tls.VersionTLS12 {
			t.Errorf("TLS version %x", c.ConnectionState().Version)
		}
		return c.ConnectionState().PeerCertificates[0].Raw
	}
	if string(presented()) != string(first) {
		t.Error("another certificate is presented")
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	for _, args := range [][]string{{"send", "--id", "o-1"}, {"events", "show", "o-1"}, {"doctor"}} {
		if out, errOut, code := weir(t, dir, args...); code != 0 {
			t.Errorf("weir %v: code %d\n%s%s", args, code, out, errOut)
		}
	}
	second := writeCertificate(t, dir, "hooks.example.com")
	// The command can't know the certificate that still is presented.
	if _, errOut, code := weir(t, dir, "reload", "--server", "https://"+address); code != 1 || !strings.Contains(errOut, "certificate") {
		t.Errorf("an unknown certificate: code %d, %s", code, errOut)
	}
	if string(presented()) != string(first) {
		t.Error("the new certificate is presented before the reload")
	}
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := h.Post("https://"+address+"/api/reload", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 200 || !strings.Contains(string(answer), `{"block":"server","result":"applied"}`) {
		t.Errorf("reload: %d %s", res.StatusCode, answer)
	}
	if string(presented()) != string(second) {
		t.Error("the old certificate is still presented")
	}
	// A name of its own is to be asked by TLS only; a loopback name others share.
	for host, want := range map[string]string{"hooks.example.com": "max-age=31536000", address: ""} {
		req, err := http.NewRequest(http.MethodGet, "https://"+address+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := h.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Strict-Transport-Security"); got != want {
			t.Errorf("%s: Strict-Transport-Security %q, want %q", host, got, want)
		}
	}
	// A pair that does not fit is refused, and the old one goes on.
	key, err := os.ReadFile(filepath.Join(dir, "weir.key"))
	if err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, dir, "hooks.example.com")
	writeFile(t, dir, "weir.key", string(key))
	if out, _, code := weir(t, dir, "validate"); code != 1 || !strings.Contains(out, "rivate key does not match") || strings.Contains(out, "BEGIN") {
		t.Errorf("validate: code %d\n%s", code, out)
	}
}

// With server.admin, listen takes events and nothing else, and the rest is at the
// other address: here a socket.
func TestAdminAtASocket(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	socket := filepath.Join(dir, "weir.sock")
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf("server {\n  listen = %q\n  admin  = \"unix://%s\"\n}\n", address, socket)+toOut)
	// What a process that was killed leaves behind.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	r := serveOpen(t, config)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v %v", info.Mode(), err)
	}
	base := "http://" + address
	for path, want := range map[string]int{"/api/events": 404, "/healthz": 404, "/metrics": 404, "/": 404, "/api/reload": 404} {
		if status, _ := get(t, base+path); status != want {
			t.Errorf("GET %s at listen: %d", path, status)
		}
	}
	if status, _ := post(t, base+"/events", `{"event":"x","event_id":"o-1","data":1}`); status != 202 {
		t.Errorf("ingest: %d", status)
	}
	for _, args := range [][]string{
		{"events", "show", "o-1"}, {"send"}, {"reload"}, {"doctor"}, {"events", "show", "o-1", "--server", "unix://" + socket},
	} {
		out, errOut, code := weir(t, dir, args...)
		if code != 0 || args[0] == "doctor" && !strings.Contains(out, "runs at unix://"+socket) {
			t.Errorf("weir %v: code %d\n%s%s", args, code, out, errOut)
		}
	}
	if _, errOut, code := weir(t, dir, "serve"); code != 1 || !strings.Contains(errOut, "address already in use") {
		t.Errorf("a second router: code %d, %s", code, errOut)
	}
	if _, errOut, code := weir(t, dir, "send", "--server", "unix://"+socket); code != 1 || !strings.Contains(errOut, "not_found") {
		t.Errorf("ingest at admin: code %d, %s", code, errOut)
	}
	r.stop(t)
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is still there")
	}
	if _, errOut, code := weir(t, dir, "events", "show", "o-1"); code != 0 {
		t.Errorf("from the store: code %d, %s", code, errOut)
	}
}

// Everything but what ingest answers tells browsers to load, frame and keep nothing
// of it.
func TestSecurityHeaders(t *testing.T) {
	r, _ := configured(t, toOut)
	for _, path := range []string{"/healthz", "/readyz", "/api/events", "/nothing", "/api/nothing"} {
		res, err := http.Get(r.base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") ||
			res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s: %v", path, res.Header)
		}
	}
}

// What is not HTTP/1.1 as it should be is not let through in another way.
func TestUpgradesAreIgnored(t *testing.T) {
	address := freeAddress(t)
	config := writeFile(t, t.TempDir(), "router.hcl", fmt.Sprintf("server {\n  listen = %q\n  token = \"a-token-that-nobody-has\"\n}\n", address))
	serveFile(t, config, address)
	for _, upgrade := range []string{
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
		"X-HTTP-Method-Override: OPTIONS\r\nX-Original-URL: /healthz\r\nX-Rewrite-URL: /healthz\r\n",
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /api/events HTTP/1.1\r\nHost: weir.example\r\n%s\r\n", upgrade)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 401 {
			t.Errorf("%q: %s", upgrade, res.Status)
		}
		c.Close()
	}
}
