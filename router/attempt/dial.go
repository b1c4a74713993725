package attempt

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/weirhq/weir/router/attempt/guard"
)

// connectTimeout bounds the making of a connection, TLS and a proxy's answer
// included: a receiver that is not there keeps no attempt for minutes.
const connectTimeout = 10 * time.Second

// dialer tries all addresses of a name, IPv6 and IPv4 side by side (RFC 8305).
var dialer = net.Dialer{KeepAlive: 30 * time.Second}

// dial makes a connection to the receiver, through the proxy where there is one,
// until the deadline, if there is one, or until ctx ends.
func (s *httpSender) dial(ctx context.Context, deadline time.Time, x *exchange) (*conn, error) {
	if most := time.Now().Add(connectTimeout); deadline.IsZero() || most.Before(deadline) {
		deadline = most
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	x.stage = connecting
	watch := &stopwatch{}
	defer func() { x.phases = watch.phases() }()
	target := s.address
	if s.proxy != nil && s.guard != nil {
		// The proxy is asked for an address, which was checked, and not for a name.
		to, err := s.guard.Resolve(watch.trace(ctx), s.url)
		if err != nil {
			return nil, err
		}
		target, x.private = to[0].String(), s.guard.Inside(to[0].Addr())
	}
	socket, err := s.connect(watch.trace(ctx))
	if err != nil {
		return nil, err
	}
	c := newConn(socket)
	if s.proxy == nil && s.guard != nil {
		x.private = inside(s.guard, socket)
	}
	c.private = x.private
	if s.proxy != nil {
		err = s.proxy.lead(ctx, c, s, target, x, watch)
	}
	if err == nil && s.tls {
		if s.http2 != nil {
			c.stream = &noted{Conn: c.stream, watch: watch, private: c.private}
		}
		err = s.handshake(ctx, c, s.clientTLS(), x, watch)
	}
	if err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

// connect opens the socket to the receiver, or to the proxy.
func (s *httpSender) connect(ctx context.Context) (net.Conn, error) {
	switch {
	case s.proxy != nil:
		socket, err := dialer.DialContext(ctx, "tcp", s.proxy.address)
		if err != nil {
			return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
		}
		return socket, nil
	case s.guard != nil:
		return s.guard.Dial(ctx, s.url)
	}
	return dialer.DialContext(ctx, "tcp", s.address)
}

// inside reports whether the other side is in a network that g's rules allow.
func inside(g *guard.Guard, socket net.Conn) bool {
	to, err := netip.ParseAddrPort(socket.RemoteAddr().String())
	return err != nil || g.Inside(to.Addr())
}

// clientTLS is how the sender speaks TLS with the receiver.
func (s *httpSender) clientTLS() *tls.Config {
	c := &tls.Config{ServerName: s.serverName, RootCAs: s.roots, Certificates: s.certificates}
	if s.http2 != nil {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	// Else HTTP/1.1 only: no protocols are offered.
	return c
}

// handshake puts TLS over the connection's stream and verifies the other side.
func (s *httpSender) handshake(ctx context.Context, c *conn, config *tls.Config, x *exchange, watch *stopwatch) error {
	x.stage = handshaking
	watch.start(&watch.tls)
	over := tls.Client(c.stream, config)
	err := over.HandshakeContext(ctx)
	watch.stop(&watch.tls, &watch.took.TLS)
	if err != nil {
		var record tls.RecordHeaderError
		if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
			err = errors.New("the server speaks HTTP without TLS")
		}
		return err
	}
	c.stream = over
	x.stage = connecting
	return nil
}

// address is the host and port of a URL as they are dialled, a name in ASCII.
func address(u *url.URL) (string, error) {
	host, err := httpguts.PunycodeHostPort(u.Hostname())
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		switch u.Scheme {
		case "https":
			port = "443"
		case "socks5", "socks5h":
			port = "1080"
		default:
			port = "80"
		}
	}
	return net.JoinHostPort(host, port), nil
}
