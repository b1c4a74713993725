package config

import (
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/source/verify"
)

const (
	// nativeSource always exists.
	nativeSource = "events"
	// DefaultDedupe is how long ids of producers are remembered.
	DefaultDedupe = 24 * time.Hour
)

// reservedSources belong to the router's own events and to replies.
var reservedSources = []string{"weir", "reply"}

// reservedPaths are the router's own, with all below them but for /in.
var reservedPaths = []string{"/api", "/events", "/healthz", "/readyz", "/metrics", "/openapi.json", "/assets", "/login", "/logout"}

func (l *loader) decodeSource(b *hclsyntax.Block) {
	name := b.Labels[0]
	s := &Source{Name: name, Path: "/in/" + name, Format: SourceRaw, Verify: Verify{Kind: "none"}, Dedupe: DefaultDedupe, Range: b.DefRange()}
	if has(reservedSources, name) {
		l.fail(b.LabelRanges[0], "Reserved name", "The source %q is the router's own. Choose another name.", name)
	}
	l.check(b.Body, sourceSchema, "source")
	native := name == nativeSource
	if native {
		s.Format = SourceNative
	}
	if a := attribute(b, "format"); a != nil {
		s.Format = SourceFormat(l.oneOf(a, string(s.Format), []string{string(SourceRaw), string(SourceNative)}, nil))
		if native && s.Format != SourceNative {
			l.fail(a.Expr.Range(), "Fixed format", `The source "events" takes the native envelope. Give a source of another format another name.`)
		}
	}
	if a := attribute(b, "path"); a != nil {
		if v, ok := l.text(a); ok {
			s.Path = v
			if native && v != "/in/"+nativeSource {
				l.fail(a.Expr.Range(), "Fixed path", `The source "events" is at /events and /in/events.`)
			} else {
				l.checkPath(a.Expr.Range(), v)
			}
		}
	}
	s.Dedupe = l.duration(attribute(b, "dedupe"), s.Dedupe, time.Second, 30*24*time.Hour)
	s.Type = l.program(b, "type", expr.SourceScope)
	s.ID = l.program(b, "id", expr.SourceScope)
	s.Subject = l.program(b, "subject", expr.SourceScope)
	s.Tenant = l.program(b, "tenant", expr.SourceScope)
	s.Rate = l.rate(attribute(b, "rate"))
	s.KeepHeaders = l.keepHeaders(attribute(b, "keep_headers"))
	if a := attribute(b, "schema"); a != nil {
		s.Schema = l.bodySchema(a)
	}

	if v := l.inner(b, "verify"); v != nil {
		s.Verify = l.decodeVerify(v)
		l.verifies[name] = true
	}
	s.Reply = verify.Find(s.Verify.Kind).Answer
	if v := l.inner(b, "reply"); v != nil {
		s.Reply = l.decodeReply(v)
	}
	if v := l.inner(b, "handshake"); v != nil {
		s.Handshake = l.decodeHandshake(v)
	}
	s.PublicURL = l.config.Server.PublicURL
	if a := attribute(b, "dedupe_signature"); a != nil {
		if s.DedupeSignature = l.boolean(a, false); s.DedupeSignature {
			l.checkDedupeSignature(a.Expr.Range(), &s.Verify)
		}
	}
	if l.sourceBlocks[name] == nil {
		l.sourceBlocks[name] = s
	}
}

// inner returns the one block of a type within another, nil where there is none.
func (l *loader) inner(b *hclsyntax.Block, kind string) *hclsyntax.Block {
	var list []*hclsyntax.Block
	for _, x := range b.Body.Blocks {
		if x.Type == kind {
			list = append(list, x)
		}
	}
	if len(list) == 0 {
		return nil
	}
	l.onlyOne(list)
	return list[0]
}

// checkPath refuses what is no plain path and what is the router's own.
func (l *loader) checkPath(r hcl.Range, path string) {
	plain := strings.HasPrefix(path, "/") && !strings.Contains(path, "//") && len(path) <= 200
	for _, segment := range strings.Split(path, "/") {
		plain = plain && segment != "." && segment != ".."
		for _, c := range segment {
			plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._~-", c))
		}
	}
	if !plain || path != "/" && strings.HasSuffix(path, "/") {
		l.fail(r, "Invalid path", `A path is like "/in/shop": it begins with a slash, does not end with one, and its parts have letters, digits, ".", "_", "~" and "-".`)
		return
	}
	if path == "/" || path == "/in" {
		l.fail(r, "Reserved path", "The path %q is the router's own.", path)
	}
	for _, own := range reservedPaths {
		if strings.EqualFold(path, own) || len(path) > len(own) && strings.EqualFold(path[:len(own)+1], own+"/") {
			l.fail(r, "Reserved path", "The path %q is the router's own.", own)
		}
	}
}

// finishSources adds the source that always exists, orders them, and refuses two
// at one path.
func (l *loader) finishSources() {
	if _, written := l.defined["source"][nativeSource]; !written {
		l.defined["source"][nativeSource] = hcl.Range{}
		l.sourceBlocks[nativeSource] = &Source{
			Name: nativeSource, Path: "/in/" + nativeSource, Format: SourceNative,
			Verify: Verify{Kind: "none"}, Dedupe: DefaultDedupe, PublicURL: l.config.Server.PublicURL,
		}
	}
	list := make([]*Source, 0, len(l.sourceBlocks))
	for _, s := range l.sourceBlocks {
		list = append(list, s)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i].Range, list[j].Range
		if a.Filename != b.Filename {
			return a.Filename < b.Filename
		}
		return a.Start.Byte < b.Start.Byte
	})
	taken := map[string]*Source{}
	for _, s := range list {
		key := strings.ToLower(s.Path)
		first, ok := taken[key]
		if !ok {
			taken[key] = s
			continue
		}
		where := "exists even when it is not written"
		if first.Range.Filename != "" {
			where = "is at " + place(first.Range)
		}
		l.fail(s.Range, "Two sources at one path", "The path %q belongs to source %q, which %s.", s.Path, first.Name, where)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	l.config.Sources = list
}

// missing refuses a block that lacks an attribute.
func (l *loader) missing(b *hclsyntax.Block, name, example string) {
	what := b.Type
	if len(b.Labels) > 0 {
		what += ` "` + strings.Join(b.Labels, `" "`) + `"`
	}
	l.fail(b.DefRange(), "Missing attribute", "The %s needs %q, such as %s.", what, name, example)
}
