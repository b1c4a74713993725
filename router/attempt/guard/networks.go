package guard

import "net/netip"

// network is a range of addresses that is not a public receiver's.
type network struct {
	prefix netip.Prefix
	kind   string // goes on from "the address is"
}

// The special ranges of IANA's registries (RFC 6890 and those that add to it), and
// what clouds tell their machines secrets by. The first that holds an address
// names it.
var networks = []network{
	{netip.MustParsePrefix("169.254.169.254/32"), metadata},
	{netip.MustParsePrefix("169.254.170.2/32"), metadata},   // of containers
	{netip.MustParsePrefix("100.100.100.200/32"), metadata}, // in a shared range
	{netip.MustParsePrefix("168.63.129.16/32"), metadata},   // in a public range
	{netip.MustParsePrefix("192.0.0.192/32"), metadata},
	{netip.MustParsePrefix("fd00:ec2::/32"), metadata},
	{netip.MustParsePrefix("fd20:ce::254/128"), metadata},
	{netip.MustParsePrefix("0.0.0.0/8"), "of this network (0.0.0.0/8)"},
	{netip.MustParsePrefix("10.0.0.0/8"), private},
	{netip.MustParsePrefix("172.16.0.0/12"), private},
	{netip.MustParsePrefix("192.168.0.0/16"), private},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared by a carrier's customers (100.64.0.0/10)"},
	{netip.MustParsePrefix("127.0.0.0/8"), loopback},
	{netip.MustParsePrefix("169.254.0.0/16"), linkLocal},
	{netip.MustParsePrefix("192.0.0.0/24"), reserved},
	{netip.MustParsePrefix("192.0.2.0/24"), documentation},
	{netip.MustParsePrefix("198.51.100.0/24"), documentation},
	{netip.MustParsePrefix("203.0.113.0/24"), documentation},
	{netip.MustParsePrefix("192.88.99.0/24"), "a relay of 6to4"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks only"},
	{netip.MustParsePrefix("224.0.0.0/4"), multicast},
	{netip.MustParsePrefix("240.0.0.0/4"), reserved}, // broadcast too

	{netip.MustParsePrefix("::1/128"), loopback},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::/96"), "IPv4 inside of IPv6"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "IPv4 inside of IPv6"},
	{netip.MustParsePrefix("64:ff9b::/96"), "IPv4 behind NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "IPv4 behind NAT64"},
	{netip.MustParsePrefix("2002::/16"), "IPv4 behind 6to4"},
	{netip.MustParsePrefix("2001::/32"), "IPv4 behind Teredo"},
	{netip.MustParsePrefix("2001::/23"), reserved},
	{netip.MustParsePrefix("2001:db8::/32"), documentation},
	{netip.MustParsePrefix("3fff::/20"), documentation},
	{netip.MustParsePrefix("fc00::/7"), private},
	{netip.MustParsePrefix("fe80::/10"), linkLocal},
	{netip.MustParsePrefix("fec0::/10"), private},
	{netip.MustParsePrefix("ff00::/8"), multicast},
}

const (
	private       = "private"
	loopback      = "loopback"
	linkLocal     = "link-local"
	metadata      = "a cloud's metadata service"
	multicast     = "multicast"
	reserved      = "reserved"
	documentation = "for documentation only"
)

// global is what IANA has given out of IPv6; the rest is reserved.
var global = netip.MustParsePrefix("2000::/3")

// refused says what kind of address a is that nobody public has, and nothing of
// one that anybody may have.
func refused(a netip.Addr) string {
	if a.Zone() != "" {
		return linkLocal
	}
	for _, n := range networks {
		if n.prefix.Contains(a) {
			return n.kind
		}
	}
	if !a.Is4() && !global.Contains(a) {
		return reserved
	}
	return ""
}
