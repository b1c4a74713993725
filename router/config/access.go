package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// minToken is the length, in bytes, below which a token can be guessed.
const minToken = 16

// keys reads the tokens of a server block.
func (l *loader) keys(b *hclsyntax.Block) []Key {
	var keys []Key
	if a := attribute(b, "token"); a != nil {
		if token := l.serverToken(a); token != "" {
			keys = append(keys, Key{Token: token, Scopes: Scopes()})
		}
	}
	names := map[string]hcl.Range{}
	for _, block := range b.Body.Blocks {
		if block.Type != "access" || !l.oneLabel(block, `access "name"`) {
			continue
		}
		name := block.Labels[0]
		if !validName(name) {
			l.invalidName(block.LabelRanges[0])
		}
		if first, taken := names[name]; taken {
			l.fail(block.LabelRanges[0], `Second access "`+name+`"`, "An access with this name is at %s.", place(first))
		} else {
			names[name] = block.LabelRanges[0]
		}
		key := l.access(block)
		for _, other := range keys {
			if key.Token != "" && other.Token == key.Token {
				l.fail(block.DefRange(), "Second use of a token", "Another token of this configuration has the same value, so nobody could tell which is meant.")
			}
		}
		if key.Token != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// serverToken may be empty, which means none: env("WEIR_TOKEN", "").
func (l *loader) serverToken(a *hclsyntax.Attribute) Secret {
	if v, ok := l.value(a); ok && !v.IsNull() && v.Type() == cty.String && v.AsString() == "" {
		return ""
	}
	return l.token(a)
}

func (l *loader) token(a *hclsyntax.Attribute) Secret {
	token := l.secret(a)
	if l.opts.ToAsk && token == unset {
		return ""
	}
	if token != "" && len(token) < minToken {
		l.warn(a.Expr.Range(), "Short token", "A token of less than %d characters can be guessed. Make one with: openssl rand -hex 32", minToken)
	}
	for i := 0; i < len(token); i++ {
		if c := token[i]; c <= ' ' || c > '~' {
			l.fail(a.Expr.Range(), "Malformed token", "A token goes in a header, so it has printable ASCII characters only, and no space.")
			return ""
		}
	}
	return token
}

func (l *loader) access(b *hclsyntax.Block) Key {
	l.check(b.Body, accessSchema, "block access")
	key := Key{Name: b.Labels[0]}
	if a := attribute(b, "token"); a != nil {
		key.Token = l.token(a)
	} else {
		l.missing(b, "token", `token = env("PRODUCER_TOKEN")`)
	}
	a := attribute(b, "scopes")
	if a == nil {
		l.missing(b, "scopes", `scopes = ["ingest"]`)
		return key
	}
	values, ranges, ok := l.items(a, `a list of scopes, such as ["ingest", "read"]`)
	if ok && len(values) == 0 {
		l.fail(a.Expr.Range(), "Empty list", "A token without a scope opens nothing.")
	}
	var known []string
	for _, s := range Scopes() {
		known = append(known, string(s))
	}
	for i, v := range values {
		if v.IsNull() || v.Type() != cty.String {
			l.wrongType(ranges[i], a.Name, `a list of scopes, such as ["ingest", "read"]`, v)
			continue
		}
		if l.choice(ranges[i], v.AsString(), known, nil) {
			key.Scopes = append(key.Scopes, Scope(v.AsString()))
		}
	}
	return key
}

// warnOpenSources tells of sources that take whatever comes, where others reach
// the router.
func (l *loader) warnOpenSources() {
	if server := &l.config.Server; !server.Exposed() || server.Open() && !server.Insecure {
		return // that is an error by itself
	}
	for _, s := range l.config.Sources {
		switch {
		case s.Verify.Kind != "none":
		case l.config.Server.Open():
			at, what := s.Range, "The source \""+s.Name+"\""
			if at.Filename == "" { // source events, which is not written
				at, what = l.blocks("server")[0].DefRange(), "POST /events"
			}
			l.warn(at, "Anybody can send events", "%s takes what anybody sends, because it has no verify block and the router has no token.", what)
		case s.Format == SourceRaw && !l.verifies[s.Name]:
			l.warn(s.Range, "Source without verify", `Providers can't send a token, and the source %q takes nothing without one that has the scope "ingest". Give it a verify block; verify "none" {} says that this is meant.`, s.Name)
		}
	}
}
