// Package guard keeps what strangers have registered from reaching what only this
// machine or its network should reach (server-side request forgery).
//
// A [Guard] is asked twice, by the same rules and with the same words:
// [Guard.CheckURL] when a URL is registered, and [Guard.Dial] for each connection
// that an attempt makes. Dial looks a name up once, checks what it got, and dials
// just that: a name that changes its addresses in between gains nothing, and no
// proxy of the environment is asked.
//
// Invariants:
//   - What is dialled was checked, as an address and not as a name.
//   - A host that is an address is known as one in every spelling that some
//     resolver takes: 0x7f.1, 2130706433, 0177.0.0.1, full-width digits, a dot at
//     the end, IPv4 inside of IPv6.
//   - An error does not say what address a name has: who registers a URL may be a
//     stranger to the network that the router is in.
package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Code is the code of the problem that a registration is answered, and the reason
// of an attempt that was not made.
const Code = "blocked"

// Blocked is the error for a URL or an address that the rules do not allow. Its
// text is for people, goes on from nothing, and may be shown to whoever registered
// the URL.
type Blocked struct{ why string }

func (b *Blocked) Error() string { return b.why }

func blocked(format string, args ...any) *Blocked {
	return &Blocked{why: fmt.Sprintf(format, args...)}
}

// Rules say what is allowed beyond https to port 443 of public addresses. The
// zero value allows nothing more.
type Rules struct {
	// AllowHTTP allows http, and port 80.
	AllowHTTP bool
	// AllowNetworks are allowed whatever they are, and any port in them.
	AllowNetworks []netip.Prefix
	// AllowPorts are allowed beside 443 and, with AllowHTTP, 80.
	AllowPorts []uint16
	// Lookup gives the addresses of a name; the system's resolver when nil.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
}

// Guard checks URLs and addresses by rules. It is immutable and safe for
// concurrent use.
type Guard struct {
	rules Rules
}

// New returns a guard of the rules. It keeps its own copy.
func New(r Rules) *Guard {
	var networks []netip.Prefix
	for _, n := range r.AllowNetworks {
		if n.Addr().Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
		}
		networks = append(networks, n.Masked())
	}
	r.AllowNetworks, r.AllowPorts = networks, slices.Clone(r.AllowPorts)
	if r.Lookup == nil {
		r.Lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	return &Guard{rules: r}
}

// lookupTimeout bounds the look-up at registration: what does not resolve by then
// is checked at each attempt.
const lookupTimeout = 3 * time.Second

// CheckURL says whether u may be registered: nil, or a *[Blocked]. A host that is
// an address is judged at once. A name is looked up; where that fails, it passes,
// because each attempt is checked again. It returns within some seconds.
func (g *Guard) CheckURL(ctx context.Context, u *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	_, err := g.Resolve(ctx, u)
	var b *Blocked
	if errors.As(err, &b) {
		return b
	}
	return nil
}

// checkScheme returns the port of u, where its scheme and, as far as that can be
// said before the address is known, its port are allowed.
func (g *Guard) checkScheme(u *url.URL) (port uint16, err error) {
	switch u.Scheme {
	case "https":
		port = 443
	case "http":
		if !g.rules.AllowHTTP {
			return 0, blocked("only https is allowed, not http")
		}
		port = 80
	default:
		if g.rules.AllowHTTP {
			return 0, blocked("only https and http are allowed, not %q", u.Scheme)
		}
		return 0, blocked("only https is allowed, not %q", u.Scheme)
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return 0, blocked("%q is no port", p)
		}
		port = uint16(n)
	}
	if len(g.rules.AllowNetworks) == 0 && !g.allowsPort(port) {
		return 0, g.blockedPort(port)
	}
	return port, nil
}

// Resolve gives the addresses, each with its port, that may be dialled for u.
// Where there are several, those that are not allowed are left out; where none is
// left, or u itself is not allowed, the error is a *[Blocked]. Other errors are
// those of the look-up.
func (g *Guard) Resolve(ctx context.Context, u *url.URL) ([]netip.AddrPort, error) {
	port, err := g.checkScheme(u)
	if err != nil {
		return nil, err
	}
	name, literal, err := parseHost(u.Hostname())
	if err != nil {
		return nil, err
	}
	var found []netip.Addr
	switch {
	case name == "":
		if literal.Is4In6() && !g.Inside(literal) {
			return nil, blocked("an IPv4 address is written as such, not inside of an IPv6 address")
		}
		found = []netip.Addr{literal}
	case isLocalhost(name):
		// Whatever the resolver says (RFC 6761, section 6.3).
		found = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	default:
		if found, err = g.rules.Lookup(ctx, name); err != nil {
			return nil, err
		}
	}
	var allowed []netip.AddrPort
	var first error
	for _, a := range found {
		to := netip.AddrPortFrom(a.Unmap(), port)
		if err := g.check(to); err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		allowed = append(allowed, to)
	}
	switch {
	case len(allowed) > 0:
		return allowed, nil
	case first != nil:
		return nil, first
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// check judges what is dialled.
func (g *Guard) check(to netip.AddrPort) error {
	if g.Inside(to.Addr()) {
		return nil
	}
	if kind := refused(to.Addr()); kind != "" {
		return blocked("the host's address is %s", kind)
	}
	if !g.allowsPort(to.Port()) {
		return g.blockedPort(to.Port())
	}
	return nil
}

// Inside reports whether an address is in one of the networks that the rules
// allow by name.
func (g *Guard) Inside(a netip.Addr) bool {
	a = a.Unmap()
	if a.Zone() != "" {
		return false
	}
	for _, n := range g.rules.AllowNetworks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

func (g *Guard) allowsPort(port uint16) bool {
	return port == 443 || port == 80 && g.rules.AllowHTTP || slices.Contains(g.rules.AllowPorts, port)
}

func (g *Guard) blockedPort(port uint16) error { return blocked("port %d is not allowed", port) }

// keepAlive is how often an idle connection is probed.
const keepAlive = 30 * time.Second

// Dial connects, by TCP, to the host of u: to the addresses that [Guard.Resolve]
// gives, one after the other, in the time that ctx leaves. The error is, or wraps,
// a *[Blocked], one of the look-up, or that of the first address.
func (g *Guard) Dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	addresses, err := g.Resolve(ctx, u)
	if err != nil {
		return nil, err
	}
	// Asked once more by who opens the socket: whatever is connected is checked.
	d := net.Dialer{KeepAlive: keepAlive, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return blocked("%q is no address", address)
		}
		return g.check(netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	}}
	var first error
	for i, to := range addresses {
		c, err := dialUntil(ctx, &d, to, len(addresses)-i)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dialUntil dials one of several addresses that are left to be tried.
func dialUntil(ctx context.Context, d *net.Dialer, to netip.AddrPort, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return d.DialContext(ctx, "tcp", to.String())
}
