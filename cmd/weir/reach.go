package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/problem"
)

// remote asks the router that --server names: http://…, https://… or
// unix:///path.sock. Every request carries the token, where there is one.
func remote(server, token string) *client { return reach(server, token, nil) }

// local asks the router of a configuration, by its own token where none is
// given: where it answers everything but ingest.
func local(c *config.Config, token string) *client {
	return ownAt(c, c.Server.AdminAddress(), token)
}

// entrance is where the router of a configuration takes events.
func entrance(c *config.Config, token string) *client {
	return ownAt(c, c.Server.Listen, token)
}

func ownAt(c *config.Config, address, token string) *client {
	if token == "" && len(c.Server.Keys) > 0 && c.Server.Keys[0].Name == "" {
		token = c.Server.Keys[0].Token.Reveal()
	}
	if _, socket := config.SocketPath(address); socket {
		return reach(address, token, nil)
	}
	if c.Server.TLS != nil {
		return reach("https://"+reachable(address), token, trusting(c.Server.TLS.Cert))
	}
	return reach("http://"+reachable(address), token, nil)
}

func reach(server, token string, trust *tls.Config) *client {
	base := strings.TrimSuffix(server, "/")
	at := base
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	if path, ok := config.SocketPath(base); ok {
		base = "http://localhost"
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
	}
	h := &http.Client{
		Timeout: time.Minute, Transport: transport,
		// A router redirects nobody, and a token goes to it alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	endless := *h // of what does not end by itself
	endless.Timeout = 0
	by := func(h *http.Client) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) {
			if token != "" && r.Header.Get("Authorization") == "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return patiently(h, r)
		}
	}
	return &client{do: by(h), stream: by(&endless), base: base, at: at, close: func() error { h.CloseIdleConnections(); return nil }}
}

// startsWithin is how long a command waits for a router that is starting.
const startsWithin = time.Minute

// patiently asks again while the router says that it is starting.
func patiently(h *http.Client, r *http.Request) (*http.Response, error) {
	for deadline := time.Now().Add(startsWithin); ; {
		res, err := h.Do(r)
		if err != nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Content-Type") != problem.ContentType {
			return res, err
		}
		text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return nil, err
		}
		res.Body = io.NopCloser(bytes.NewReader(text))
		var p struct{ Code string }
		if json.Unmarshal(text, &p) != nil || p.Code != "starting" || time.Now().After(deadline) {
			return res, nil
		}
		select {
		case <-time.After(time.Second / 4):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// trusting is for a router on this machine, whose certificate has another name
// than its address and may be signed by nobody: it must have the name of the file
// that the configuration names, and be signed by that or by who is trusted anyway.
// nil where the file can't be read: then the usual rules hold.
func trusting(cert string) *tls.Config {
	text, err := os.ReadFile(cert)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(text)
	c := &tls.Config{RootCAs: pool}
	switch {
	case len(leaf.DNSNames) > 0:
		c.ServerName = strings.Replace(leaf.DNSNames[0], "*", "router", 1)
	case len(leaf.IPAddresses) > 0:
		c.ServerName = leaf.IPAddresses[0].String()
	}
	return c
}

// reachable turns the address of all interfaces into one that can be dialled.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
