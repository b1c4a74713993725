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

// dialer tries all addresses of a name, IPv6 and IPv4 side by side (RFC 8305).
var dialer = net.Dialer{KeepAlive: 30 * time.Second}

// dial makes a connection to the receiver, through the proxy where there is one,
// until the deadline, if there is one, or until ctx ends.
func (s *httpSender) dial(ctx context.Context, deadline time.Time, x *exchange) (*conn, error) {
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	x.stage = connecting
	watch := &stopwatch{}
	defer func() { x.phases = watch.phases() }()
	socket, err := s.connect(watch.trace(ctx))
	if err != nil {
		return nil, err
	}
	c := newConn(socket)
	c.private = s.guard != nil && inside(s.guard, socket)
	x.private = c.private
	if s.proxy != nil {
		err = s.proxy.lead(ctx, c, s, x, watch)
	}
	if err == nil && s.tls {
		err = s.handshake(ctx, c, s.address, x, watch)
	}
	if err != nil {
		c.interrupt()
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

// handshake puts TLS over the connection's stream and verifies that the other
// side is the host of address.
func (s *httpSender) handshake(ctx context.Context, c *conn, address string, x *exchange, watch *stopwatch) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	x.stage = handshaking
	watch.start(&watch.tls)
	// HTTP/1.1 only: no protocols are offered.
	over := tls.Client(c.stream, &tls.Config{ServerName: host, RootCAs: s.roots})
	err = over.HandshakeContext(ctx)
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
