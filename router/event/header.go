package event

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// reserved are the headers that the connection or the router itself decides on,
// and authorization, which only a destination's configuration may give. See
// ReservedHeader for those that are reserved by their beginning.
var reserved = []string{
	"host", "user-agent", "authorization",
	"content-length", "content-type",
	// Of the connection and not of the message (RFC 9110, section 7.6.1).
	"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect",
}

// Credentials are the headers of a request that carry credentials, in lower
// case. They are never stored.
var Credentials = []string{"authorization", "proxy-authorization", "cookie"}

// ReservedHeader reports whether a plugin must leave the header called name, in
// any case, to the router: host, user-agent, authorization, content-length,
// content-type, connection, keep-alive, te, trailer, transfer-encoding, upgrade,
// expect, and all that begin with proxy-, webhook- or x-webhook-. It is the only
// such list. A destination's configuration has the same one but for
// authorization, which it may set.
func ReservedHeader(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(reserved, name) || strings.HasPrefix(name, "proxy-") ||
		strings.HasPrefix(name, "webhook-") || strings.HasPrefix(name, "x-webhook-")
}

// aboutTheRequest are headers that say something of the request that brought an
// event and would be wrong of one that delivers it, beside those that begin with
// content- and accept.
var aboutTheRequest = []string{"digest", "signature", "signature-input", "origin", "referer", "range", "forwarded", "via", "max-forwards", "priority", "date"}

// ForwardableHeader reports whether the header called name, in lower case, of an
// event may be sent on to a destination: it is not reserved, and still true then.
func ForwardableHeader(name string) bool {
	return !ReservedHeader(name) && !slices.Contains(aboutTheRequest, name) &&
		!strings.HasPrefix(name, "content-") && !strings.HasPrefix(name, "accept") &&
		!strings.HasPrefix(name, "x-forwarded-") && !strings.HasPrefix(name, "if-") && !strings.HasPrefix(name, "sec-")
}

// ValidHeaderName reports whether s can be a header's name: a token of RFC 9110,
// section 5.6.2, in any case.
func ValidHeaderName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0:
			return false
		}
	}
	return s != ""
}

// ValidHeaderValue reports whether s can be sent as a header's value, byte for
// byte: UTF-8 without control characters other than tabs, and without spaces or
// tabs at its ends, which no receiver would see.
func ValidHeaderValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	if s != "" && (blank(s[0]) || blank(s[len(s)-1])) {
		return false
	}
	return utf8.ValidString(s)
}

func blank(c byte) bool { return c == ' ' || c == '\t' }
