package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/expr"
)

// Defaults of the blocks that there is one of.
const (
	DefaultListen    = "127.0.0.1:8080"
	DefaultMaxBody   = 1 << 20
	DefaultStorePath = "data"
	DefaultRetention = 7 * 24 * time.Hour
	DefaultMinFree   = 1 << 30
	DefaultMaxAge    = 30 * 24 * time.Hour
	DefaultLogLevel  = "info"
)

// attribute returns the attribute called name, nil where the block or the
// attribute is not there.
func attribute(b *hclsyntax.Block, name string) *hclsyntax.Attribute {
	if b == nil {
		return nil
	}
	return b.Body.Attributes[name]
}

func (l *loader) decodeServer(b *hclsyntax.Block) {
	s := Server{Listen: DefaultListen, MaxBody: DefaultMaxBody}
	if b != nil {
		l.noLabels(b)
		l.check(b.Body, serverSchema, "server")
		s.Keys = l.keys(b)
		s.Insecure = l.boolean(attribute(b, "insecure"), false)
		if a := attribute(b, "listen"); a != nil {
			if v, ok := l.text(a); ok {
				l.checkListen(a.Expr.Range(), v, s)
				s.Listen = v
			}
		}
		if a := attribute(b, "public_url"); a != nil {
			if v, ok := l.text(a); ok {
				s.PublicURL = l.publicURL(a.Expr.Range(), v)
			}
		}
		s.MaxBody = l.size(attribute(b, "max_body"), s.MaxBody, 1, 8<<20)
	}
	l.config.Server = s
}

func (l *loader) checkListen(r hcl.Range, listen string, s Server) {
	if strings.HasPrefix(listen, "unix:") {
		l.later(r, "unix:")
		return
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		l.fail(r, "Not an address", `The value of "listen" is a host and a port, such as %q.`, DefaultListen)
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		l.fail(r, "Not an address", "%q is no port: a number from 0 (any free one) to 65535.", port)
		return
	}
	if !loopback(host) && len(s.Keys) == 0 && !s.Insecure && !l.opts.ToAsk {
		l.fail(r, "No token", `On this address others reach the router, so it needs a token: set token = env("WEIR_TOKEN") in the server block (it may not be empty), or insecure = true to let everybody do everything. Without one, listen on "127.0.0.1:%s".`, port)
	}
}

// Open says whether everybody who reaches the router may do everything: it
// listens off loopback, and has no tokens.
func (s *Server) Open() bool { return len(s.Keys) == 0 && s.Exposed() }

// Exposed says whether other machines reach the router.
func (s *Server) Exposed() bool {
	host, _, err := net.SplitHostPort(s.Listen)
	return err == nil && !loopback(host)
}

// publicURL reads the address that producers use. It may have a path, where a
// proxy in front takes that away.
func (l *loader) publicURL(r hcl.Range, s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || !validPort(u) ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.ContainsAny(s, " #") {
		l.fail(r, "Not a URL", `A public_url is like "https://hooks.example.com": https: or http:, a host, and nothing behind the path.`)
		return ""
	}
	return strings.TrimRight(s, "/")
}

// loopback says whether a host is this machine by its name alone.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

func (l *loader) noLabels(b *hclsyntax.Block) {
	if len(b.Labels) > 0 {
		l.fail(b.LabelRanges[0], "Unexpected label", "There is one %q only, and it has no name.", b.Type)
	}
}

func (l *loader) decodeStore(b *hclsyntax.Block) {
	s := Store{
		Kind: "badger", Path: filepath.Join(l.config.Dir, DefaultStorePath),
		Retention: DefaultRetention, MinFree: DefaultMinFree, MaxAge: DefaultMaxAge,
	}
	if b != nil {
		if l.oneLabel(b, `store "badger"`) {
			l.choice(b.LabelRanges[0], b.Labels[0], []string{"badger"}, []string{"nats"})
		}
		l.check(b.Body, storeSchema, "store")
		if a := attribute(b, "path"); a != nil {
			if v, ok := l.text(a); ok {
				if v == "" {
					l.fail(a.Expr.Range(), "Empty path", "Write the folder of the store.")
				}
				s.Path = l.path(v, a.SrcRange)
			}
		}
		s.Retention = l.duration(attribute(b, "retention"), s.Retention, time.Hour, 10*365*24*time.Hour)
		s.MinFree = l.size(attribute(b, "min_free"), s.MinFree, 0, 1<<50)
	}
	l.config.Store = s
}

var logLevels = []string{"trace", "debug", "info", "warn", "error", "off"}

func (l *loader) decodeLog(b *hclsyntax.Block) {
	g := Log{Level: DefaultLogLevel}
	if b != nil {
		l.noLabels(b)
		l.check(b.Body, logSchema, "log")
		g.Level = l.oneOf(attribute(b, "level"), g.Level, logLevels, nil)
		g.JSON = l.boolean(attribute(b, "json"), false)
	}
	l.config.Log = g
}

// program compiles an attribute that runs on events, nil where it is not there.
func (l *loader) program(b *hclsyntax.Block, name string, scope expr.Scope) *expr.Program {
	a := attribute(b, name)
	if a == nil {
		return nil
	}
	p, diags := expr.Compile(a.Expr, scope)
	for _, d := range diags {
		l.report.add(d)
	}
	if p == nil {
		return nil
	}
	return p.WithSource(l.sources[a.SrcRange.Filename], a.Expr.Range())
}
