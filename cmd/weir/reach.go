package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/weirhq/weir/router/config"
)

// remote asks the router that --server names: http://…, https://… or
// unix:///path.sock. Every request carries the token, where there is one.
func remote(server, token string) *client {
	base := strings.TrimSuffix(server, "/")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if path, ok := strings.CutPrefix(base, "unix://"); ok {
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
	do := func(r *http.Request) (*http.Response, error) {
		if token != "" && r.Header.Get("Authorization") == "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return h.Do(r)
	}
	return &client{do: do, base: base, close: func() error { h.CloseIdleConnections(); return nil }}
}

// local asks the router of a configuration, by its own token where none is
// given.
func local(c *config.Config, token string) *client {
	if token == "" && len(c.Server.Keys) > 0 && c.Server.Keys[0].Name == "" {
		token = c.Server.Keys[0].Token.Reveal()
	}
	return remote("http://"+reachable(c.Server.Listen), token)
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
