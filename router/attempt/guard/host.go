package guard

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// parseHost reads the host of a URL, without brackets: a name in ASCII, or else an
// address. What ends in a number is an address or nothing (WHATWG URL, section
// 3.5): some resolvers take 0x7f.1 and 2130706433 for 127.0.0.1.
func parseHost(host string) (name string, literal netip.Addr, err error) {
	if strings.Contains(host, ":") {
		a, err := netip.ParseAddr(host)
		switch {
		case err != nil:
			return "", a, blocked("%q is no IPv6 address", host)
		case a.Zone() != "":
			return "", a, blocked("an address with a zone is of this machine's own networks")
		}
		return "", a, nil
	}
	name = strings.ToLower(host)
	if !isASCII(host) {
		// It maps full-width digits and dots to plain ones.
		if name, err = idna.Lookup.ToASCII(host); err != nil {
			return "", literal, blocked("%q is no name of a host", host)
		}
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" || strings.Contains("."+name+".", "..") || strings.ContainsAny(name, "%/\\ \t\r\n\x00") {
		return "", literal, blocked("%q is no name of a host", host)
	}
	if !endsInNumber(name) {
		return name, literal, nil
	}
	literal, ok := parseIPv4(name)
	if !ok {
		return "", literal, blocked("%q is no IPv4 address", host)
	}
	return "", literal, nil
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" {
		return false
	}
	if _, err := strconv.ParseUint(last, 10, 64); err == nil || strings.Trim(last, "0123456789") == "" {
		return true
	}
	hex, ok := strings.CutPrefix(last, "0x")
	return ok && strings.Trim(hex, "0123456789abcdef") == ""
}

// parseIPv4 reads what inet_aton reads: one to four numbers, decimal, octal after
// 0, hexadecimal after 0x; the last one fills the bytes that are left.
func parseIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var address uint64
	for i, part := range parts {
		base, digits := 10, part
		switch {
		case strings.HasPrefix(part, "0x"):
			base, digits = 16, part[2:]
			if digits == "" {
				digits = "0"
			}
		case len(part) > 1 && part[0] == '0':
			base, digits = 8, part[1:]
		}
		n, err := strconv.ParseUint(digits, base, 32)
		left := uint(4 - i) // bytes that this part may still say
		if i < len(parts)-1 {
			left = 1
		}
		if err != nil || n >= 1<<(8*left) {
			return netip.Addr{}, false
		}
		address = address<<(8*left) | n
	}
	return netip.AddrFrom4([4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}), true
}
