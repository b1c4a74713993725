package attempt

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/net/http/httpproxy"
	netproxy "golang.org/x/net/proxy"
)

// proxy is one that the connections of a sender go through: HTTP's, over TLS or
// not, or SOCKS 5.
type proxy struct {
	scheme        string
	address       string
	user          *url.Userinfo // nil where it wants none
	authorization string        // of user, for HTTP's
}

// environmentProxy returns the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY,
// in either case, name for a URL; nil where they name none.
func environmentProxy(target *url.URL) (*proxy, error) {
	u, err := httpproxy.FromEnvironment().ProxyFunc()(target)
	if err != nil || u == nil {
		return nil, err
	}
	p, err := newProxy(u)
	if err != nil {
		return nil, fmt.Errorf("the environment names %w", err)
	}
	return p, nil
}

// newProxy returns the proxy at u. The error goes on from "the environment names".
func newProxy(u *url.URL) (*proxy, error) {
	p := &proxy{scheme: u.Scheme, user: u.User}
	switch u.Scheme {
	case "http", "https":
		if u.User != nil {
			p.authorization = basic(u.User)
		}
	case "socks5", "socks5h":
	default: // the URL may hold a password
		return nil, fmt.Errorf("a proxy of the scheme %q; there are http, https, socks5 and socks5h", u.Scheme)
	}
	var err error
	if p.address, err = address(u); err != nil {
		return nil, errors.New("a proxy whose host is no name")
	}
	return p, nil
}

// forwards reports whether the proxy is sent the requests themselves. It looks up
// the host's name then, so a stranger's destination has a tunnel.
func (p *proxy) forwards(s *httpSender) bool {
	return p != nil && !s.tls && s.guard == nil && (p.scheme == "http" || p.scheme == "https")
}

// lead makes c, a connection to the proxy, into one to target, the receiver of s.
func (p *proxy) lead(ctx context.Context, c *conn, s *httpSender, target string, x *exchange, watch *stopwatch) error {
	switch p.scheme {
	case "socks5", "socks5h":
		var auth *netproxy.Auth
		if p.user != nil {
			password, _ := p.user.Password()
			auth = &netproxy.Auth{User: p.user.Username(), Password: password}
		}
		d, err := netproxy.SOCKS5("tcp", p.address, auth, already{c.socket})
		if err != nil {
			return err
		}
		// What it returns adds nothing to c's socket.
		_, err = d.(netproxy.ContextDialer).DialContext(ctx, "tcp", target)
		return err
	case "https":
		host, _, err := net.SplitHostPort(p.address)
		if err != nil {
			return err
		}
		if err := s.handshake(ctx, c, &tls.Config{ServerName: host, RootCAs: s.roots}, x, watch); err != nil {
			return err
		}
	}
	if p.forwards(s) {
		return nil
	}
	return p.tunnel(ctx, c, target)
}

// tunnel asks the proxy for a connection to target.
func (p *proxy) tunnel(ctx context.Context, c *conn, target string) error {
	deadline, _ := ctx.Deadline()
	if err := c.socket.SetDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	b := append([]byte("CONNECT "), target...)
	b = appendField(append(b, " HTTP/1.1\r\n"...), "Host", target)
	b = appendField(b, "User-Agent", UserAgent)
	if p.authorization != "" {
		b = appendField(b, "Proxy-Authorization", p.authorization)
	}
	b = append(b, "\r\n"...)
	r := reader{in: bufio.NewReader(nil)}
	r.reset(c.stream)
	_, err := c.stream.Write(b)
	var a answer
	if err == nil {
		a, err = r.head()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case a.status != http.StatusOK:
		return errors.New("the proxy answered " + status(a.status))
	case r.in.Buffered() > 0:
		return errors.New("the proxy sent something before it was asked")
	}
	return nil
}

// already is a dialer of one connection that is there.
type already struct{ socket net.Conn }

func (a already) Dial(string, string) (net.Conn, error) { return a.socket, nil }

func (a already) DialContext(context.Context, string, string) (net.Conn, error) {
	return a.socket, nil
}

// basic is a header's value that says who sends (RFC 7617).
func basic(u *url.Userinfo) string {
	password, _ := u.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password))
}

// status is one with its name, for people.
func status(code int) string {
	s := strconv.Itoa(code)
	if name := http.StatusText(code); name != "" {
		s += " " + name
	}
	return s
}
