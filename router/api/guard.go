package api

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
)

// guard refuses what can be read in two ways, and protects a router without
// tokens: it must not be reachable through a browser that another site drives. So
// Host must be a loopback name, which a rebound DNS name is not, and Origin, where
// there is one, this router itself.
//
// host is that of the request's target, which in absolute form has one of its own.
func (s *server) guard(ctx *fasthttp.RequestCtx, host string) error {
	request := &ctx.Request.Header
	ctx.Response.Header.SetCanonical(contentTypeOptions, noSniff)
	if err := oneRequest(request.RawHeaders()); err != nil {
		ctx.SetConnectionClose() // where this request ends is not known either
		return err
	}
	// Of a target in absolute form Host must say the same (RFC 9112, section 3.2.2
	// lets the target win).
	named := utils.UnsafeString(request.Host())
	if named == "" {
		named = host
	}
	// A browser that was here once does not come again in the clear (RFC 6797), but
	// for a loopback name, which other programs share.
	if ctx.IsTLS() && !loopbackHost(host) {
		ctx.Response.Header.Set(fiber.HeaderStrictTransportSecurity, "max-age=31536000")
	}
	if !plainHost(named) || !plainHost(host) {
		return problem.New(http.StatusBadRequest, "malformed_header", "the header Host is malformed")
	}
	if s.engine.Keys().Any() {
		return nil
	}
	if !s.anyHost && !(loopbackHost(host) && loopbackHost(named)) {
		other := named
		if loopbackHost(named) {
			other = host // of a target in absolute form
		}
		return problem.New(http.StatusMisdirectedRequest, "host_not_allowed",
			"this router has no token, so it answers only when Host is a loopback name such as localhost, not %q", other)
	}
	if origin := header(ctx, fiber.HeaderOrigin); origin != "" && !ownOrigin(origin, host) {
		return problem.New(http.StatusForbidden, "origin_not_allowed", "requests from the origin %q are refused", origin)
	}
	return nil
}

var contentTypeOptions, noSniff = []byte(fiber.HeaderXContentTypeOptions), []byte("nosniff")

// secure tells browsers that an answer is no page: it loads nothing, is framed
// nowhere, names nobody, and is kept by nobody. What is a page says more itself.
func secure(ctx *fasthttp.RequestCtx) {
	h := &ctx.Response.Header
	h.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	h.Set(fiber.HeaderCacheControl, "no-store")
}

// oneRequest refuses headers that two servers may read in two ways: what one
// of them checks must be what the other acts on (RFC 9112, sections 3.2 and 6.3).
func oneRequest(raw []byte) error {
	var count [len(once)]int
	for len(raw) > 0 {
		line := raw
		if end := bytes.IndexByte(raw, '\n'); end >= 0 {
			line, raw = raw[:end], raw[end+1:]
		} else {
			raw = nil
		}
		for len(line) > 0 && line[len(line)-1] == '\r' {
			line = line[:len(line)-1]
		}
		colon := -1
		for i, c := range line {
			if c < ' ' && c != '\t' || c == 0x7f {
				return problem.New(http.StatusBadRequest, "malformed_header", "a header holds a control character")
			}
			if c == ':' && colon < 0 {
				colon = i
			}
		}
		name, value := line, []byte(nil)
		if colon >= 0 {
			name, value = line[:colon], line[colon+1:]
		}
		for i, n := range once {
			if len(n) != len(name) || !strings.EqualFold(n, utils.UnsafeString(name)) {
				continue
			}
			if count[i]++; count[i] > 1 {
				return problem.New(http.StatusBadRequest, "ambiguous_header", "the header %s is there twice", n)
			}
			// fasthttp reads chunks whatever the coding is called.
			if i == transferEncoding && !bytes.EqualFold(bytes.Trim(value, " \t"), []byte("chunked")) {
				return problem.New(http.StatusBadRequest, "ambiguous_header", "the only Transfer-Encoding that is read is chunked")
			}
		}
	}
	if count[contentLength] > 0 && count[transferEncoding] > 0 {
		return problem.New(http.StatusBadRequest, "ambiguous_header", "Content-Length and Transfer-Encoding exclude each other")
	}
	return nil
}

// once are the headers that a request may have once.
var once = [...]string{contentLength: "content-length", transferEncoding: "transfer-encoding", 2: "host", 3: "origin", 4: "content-type", 5: "authorization"}

// Places in once.
const (
	contentLength = iota
	transferEncoding
)

// plainHost refuses what no Host can be: with a slash in it, fasthttp takes a part
// of it for the path.
func plainHost(host string) bool {
	for i := 0; i < len(host); i++ {
		if !inHost[host[i]] {
			return false
		}
	}
	return true
}

// inHost has the bytes that a Host may hold.
var inHost = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:[]%!$&'()*+,;=") {
		set[c] = true
	}
	return set
}()

// nameAndPort reports whether host is a name or an IPv4 address, and a port at most,
// which nobody reads in two ways.
func nameAndPort(host string) bool {
	name, port, _ := strings.Cut(host, ":")
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	for i := 0; i < len(port); i++ {
		if c := port[i]; c < '0' || c > '9' {
			return false
		}
	}
	return name != ""
}

// loopbackHost reports whether a Host header names this machine itself.
func loopbackHost(host string) bool {
	name := host
	// The common ones cost no error of a parser's.
	if nameAndPort(host) {
		if name, _, _ = strings.Cut(host, ":"); name == "localhost" || name == "127.0.0.1" {
			return true
		}
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback()
}

func ownOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

// jsonBody refuses bodies that are not JSON by their type: a form that another
// site posts can't claim application/json without asking first (CORS).
func jsonBody(c *fiber.Ctx) error {
	contentType := c.Get(fiber.HeaderContentType)
	if (contentType != "" || len(c.Request().Body()) > 0) && !event.IsJSON(contentType) {
		return problem.New(http.StatusUnsupportedMediaType, "unsupported_media_type",
			"the body must be application/json, not %q", contentType)
	}
	return c.Next()
}
