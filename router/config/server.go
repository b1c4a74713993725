package config

import (
	"crypto/tls"
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

// What mode = "sidecar" makes smaller, where nothing else is written.
const (
	SidecarRetention   = 24 * time.Hour
	SidecarMinFree     = 256 << 20
	SidecarConcurrency = 4
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
		s.Sidecar = l.oneOf(attribute(b, "mode"), "central", []string{"central", "sidecar"}, nil) == "sidecar"
		s.Listen = l.address(attribute(b, "listen"), s.Listen, s)
		if a := attribute(b, "admin"); a != nil {
			s.Admin = l.address(a, "", s)
			if s.Admin == s.Listen && !strings.HasSuffix(s.Admin, ":0") {
				l.fail(a.Expr.Range(), "The same address", `The address of "admin" is that of "listen". Leave it out, or write another.`)
			}
		}
		if a := attribute(b, "public_url"); a != nil {
			if v, ok := l.text(a); ok {
				s.PublicURL = l.publicURL(a.Expr.Range(), v)
			}
		}
		s.MaxBody = l.size(attribute(b, "max_body"), s.MaxBody, 1, 8<<20)
		var tlsBlocks []*hclsyntax.Block
		for _, x := range b.Body.Blocks {
			if x.Type == "tls" {
				tlsBlocks = append(tlsBlocks, x)
			}
		}
		if len(tlsBlocks) > 0 {
			l.onlyOne(tlsBlocks)
			s.TLS = l.decodeServerTLS(tlsBlocks[0])
		}
	}
	l.config.Server = s
}

// address reads where the router listens.
func (l *loader) address(a *hclsyntax.Attribute, fallback string, s Server) string {
	if a == nil {
		return fallback
	}
	listen, ok := l.text(a)
	if !ok {
		return fallback
	}
	r := a.Expr.Range()
	if path, ok := SocketPath(listen); ok || strings.HasPrefix(listen, "unix:") {
		switch {
		case !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/"):
			l.fail(r, "Not a socket", `A socket is written with three slashes and an absolute path: "unix:///run/weir.sock".`)
		case len(path) > maxSocketPath:
			l.fail(r, "Not a socket", "The path of a socket has at most %d bytes. That is the system's rule.", maxSocketPath)
		}
		return listen
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		l.fail(r, "Not an address", `The value of %q is a host and a port, such as %q.`, a.Name, DefaultListen)
		return listen
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		l.fail(r, "Not an address", "%q is no port: a number from 0 (any free one) to 65535.", port)
		return listen
	}
	if !loopback(host) && len(s.Keys) == 0 && !s.Insecure && !l.opts.ToAsk {
		l.fail(r, "No token", `On this address others reach the router, so it needs a token: set token = env("WEIR_TOKEN") in the server block (it may not be empty), or insecure = true to let everybody do everything. Without one, listen on "127.0.0.1:%s".`, port)
	}
	return listen
}

// maxSocketPath is the shortest limit of the systems that have sockets.
const maxSocketPath = 103

// SocketPath takes the path out of an address such as unix:///run/weir.sock.
func SocketPath(address string) (path string, ok bool) { return strings.CutPrefix(address, "unix://") }

// Open says whether everybody who reaches the router may do everything: it
// listens off loopback, and has no tokens.
func (s *Server) Open() bool { return len(s.Keys) == 0 && s.Exposed() }

// Exposed says whether other machines reach the router.
func (s *Server) Exposed() bool {
	for _, address := range []string{s.Listen, s.Admin} {
		if host, _, err := net.SplitHostPort(address); err == nil && !strings.HasPrefix(address, "unix:") && !loopback(host) {
			return true
		}
	}
	return false
}

// AdminAddress is where everything but ingest is answered.
func (s *Server) AdminAddress() string {
	if s.Admin != "" {
		return s.Admin
	}
	return s.Listen
}

// decodeServerTLS reads the certificate and its key, so that a pair that does not
// fit is found before a router stands there without one.
func (l *loader) decodeServerTLS(b *hclsyntax.Block) *TLS {
	l.noLabels(b)
	l.check(b.Body, serverTLSSchema, "tls")
	t := &TLS{}
	read := func(name, example string) []byte {
		a := attribute(b, name)
		if a == nil {
			l.missing(b, name, name+` = "`+example+`"`)
			return nil
		}
		v, ok := l.text(a)
		if !ok {
			return nil
		}
		path := l.path(v, a.SrcRange)
		if name == "cert" {
			t.Cert = path
		} else {
			t.Key = path
		}
		if l.opts.ToAsk {
			return nil // the key may be the router's alone
		}
		l.report.Inputs.note(path)
		pem, err := readFile(path, maxTextSize)
		if err != nil {
			l.fail(a.Expr.Range(), "File can't be read", "%s", sentence(err.Error()))
			return nil
		}
		l.digest(name, pem)
		return pem
	}
	cert, key := read("cert", "weir.crt"), read("key", "weir.key")
	if cert == nil || key == nil {
		return t
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		// Its words name what is wrong with the files, and hold nothing of them.
		l.fail(b.DefRange(), "Certificate can't be used", "%s", sentence(strings.TrimPrefix(err.Error(), "tls: ")))
		return t
	}
	if leaf := pair.Leaf; leaf != nil && time.Now().After(leaf.NotAfter) {
		l.warn(attribute(b, "cert").Expr.Range(), "Certificate has expired", "It was valid until %s.", leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	t.Pair = &pair
	return t
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
	if l.config.Server.Sidecar {
		s.Retention, s.MinFree = SidecarRetention, SidecarMinFree
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
		s.MaxAge = l.duration(attribute(b, "max_age"), s.MaxAge, time.Second, 10*365*24*time.Hour)
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

func (l *loader) decodeMetrics(b *hclsyntax.Block) {
	if b != nil {
		l.noLabels(b)
		l.check(b.Body, metricsSchema, "metrics")
		l.config.Metrics.PerWebhook = l.boolean(attribute(b, "per_webhook"), false)
	}
}

// tracesPath is where collectors take traces by the OTLP specification.
const tracesPath = "/v1/traces"

func (l *loader) decodeTracing(b *hclsyntax.Block) {
	if b == nil {
		return
	}
	l.noLabels(b)
	l.check(b.Body, tracingSchema, "tracing")
	t := Tracing{Sample: l.number(attribute(b, "sample"), 1, 0, 1)}
	a := attribute(b, "endpoint")
	if a == nil {
		l.fail(b.DefRange(), "Missing endpoint", `Say where the collector is that takes OTLP over HTTP, such as endpoint = "http://127.0.0.1:4318".`)
		return
	}
	text, ok := l.text(a)
	if !ok {
		return
	}
	u, err := url.Parse(text)
	switch {
	case l.opts.ToAsk && err != nil:
		return
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		l.fail(a.Expr.Range(), "No address of a collector", `The endpoint is the URL of a collector that takes OTLP over HTTP, such as "http://127.0.0.1:4318". Headers for it come from OTEL_EXPORTER_OTLP_HEADERS.`)
		return
	case u.Path == "" || u.Path == "/":
		u.Path = tracesPath
	}
	t.Endpoint = u
	l.config.Tracing = t
}

// program compiles an attribute that runs on events, nil where it is not there.
func (l *loader) program(b *hclsyntax.Block, name string, scope expr.Scope) *expr.Program {
	a := attribute(b, name)
	if a == nil {
		return nil
	}
	e, text, ok := l.bound(a)
	if !ok {
		return nil
	}
	p, diags := expr.Compile(e, scope)
	for _, d := range diags {
		if e != a.Expr { // its places are those of another text
			d.Subject, d.Context = a.Expr.Range().Ptr(), nil
		}
		l.report.add(d)
	}
	if p == nil {
		return nil
	}
	return p.WithSource(text, e.Range())
}
