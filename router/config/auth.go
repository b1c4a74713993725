package config

import (
	"net/url"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Auth is how Weir says to a receiver who it is.
type Auth struct {
	// Kind is "basic", "bearer" or "oauth2".
	Kind string
	// Username and Password are basic's, Token is bearer's.
	Username string
	Password Secret
	Token    Secret
	// OAuth2's client credentials grant (RFC 6749, section 4.4). Scopes and
	// Audience may be empty.
	TokenURL     string
	ClientID     string
	ClientSecret Secret
	Scopes       []string
	Audience     string
}

// auth reads the auth block.
func (l *loader) auth(b *hclsyntax.Block, d *Destination) {
	block := l.one(b, "auth")
	if block == nil || !l.oneLabel(block, `auth "bearer"`) {
		return
	}
	kind := block.Labels[0]
	if !l.choice(block.LabelRanges[0], kind, []string{"basic", "bearer", "oauth2"}, nil) {
		return
	}
	l.check(block.Body, authSchemas[kind], `auth "`+kind+`"`)
	a := &Auth{Kind: kind}
	switch kind {
	case "basic":
		a.Username = l.neededText(block, "username", `username = "weir"`)
		if strings.ContainsAny(a.Username, ":\r\n") {
			l.fail(block.Body.Attributes["username"].Expr.Range(), "Invalid user name", "A user name has no colon and no line break.")
		}
		a.Password = l.neededSecret(block, "password")
	case "bearer":
		a.Token = l.neededSecret(block, "token")
		if t := attribute(block, "token"); t != nil && strings.ContainsAny(a.Token.Reveal(), " \t\r\n") {
			l.fail(t.Expr.Range(), "Invalid token", "A token has no white space. If it comes from a file, write trimspace(file(...)).")
		}
	case "oauth2":
		a.TokenURL = l.neededText(block, "token_url", `token_url = "https://auth.example.com/oauth/token"`)
		if t := attribute(block, "token_url"); t != nil && a.TokenURL != "" {
			u, err := url.Parse(a.TokenURL)
			switch {
			case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || !validPort(u) || u.Fragment != "" || u.User != nil:
				l.fail(t.Expr.Range(), "Not a URL", `A token_url is like "https://auth.example.com/oauth/token", without user and "#".`)
			case u.Scheme == "http" && !loopback(u.Hostname()):
				l.fail(t.Expr.Range(), "Needs TLS", "The client's secret would be sent in the clear: write https:.")
			}
		}
		a.ClientID = l.neededText(block, "client_id", `client_id = "weir"`)
		a.ClientSecret = l.neededSecret(block, "client_secret")
		if s := attribute(block, "scopes"); s != nil {
			a.Scopes = l.scopes(s)
		}
		if s := attribute(block, "audience"); s != nil {
			a.Audience, _ = l.text(s)
		}
	}
	d.Auth = a
}

// fitsAuth refuses a second authorization, and what a kind can't do.
func (l *loader) fitsAuth(b *hclsyntax.Block, d *Destination) {
	if d.Auth == nil {
		return
	}
	r := b.DefRange()
	if own := within(b, "auth"); len(own) > 0 {
		r = own[0].DefRange()
	}
	if d.Kind == "nats" && d.Auth.Kind == "oauth2" {
		l.fail(r, "Not for this kind of destination", "A NATS server takes auth \"basic\" or auth \"bearer\".")
	}
	if d.Kind != "http" && d.Kind != "nats" {
		return
	}
	if d.Parsed.User != nil {
		l.fail(r, "Two ways to authorize", "The url says a user too: leave out one of the two.")
	}
	for _, h := range d.Headers {
		if h.Name == "authorization" {
			l.fail(r, "Two ways to authorize", "The headers say authorization too: leave out one of the two.")
		}
	}
}

func (l *loader) neededText(b *hclsyntax.Block, name, example string) string {
	a := attribute(b, name)
	if a == nil {
		l.missing(b, name, example)
		return ""
	}
	v, ok := l.text(a)
	if ok && v == "" {
		l.fail(a.Expr.Range(), "Empty text", "The value of %q is empty.", name)
	}
	return v
}

func (l *loader) neededSecret(b *hclsyntax.Block, name string) Secret {
	a := attribute(b, name)
	if a == nil {
		l.missing(b, name, name+` = env("SECRET")`)
		return ""
	}
	return l.secret(a)
}

// scopes reads names that are parted by spaces when they are asked for.
func (l *loader) scopes(a *hclsyntax.Attribute) []string {
	values, ranges, _ := l.items(a, `a list of scopes, such as ["events.write"]`)
	var list []string
	for i, v := range values {
		switch {
		case v.IsNull() || v.Type() != cty.String:
			l.wrongType(ranges[i], a.Name, "a text in quotes", v)
		case v.AsString() == "" || strings.ContainsAny(v.AsString(), " \t\r\n\"\\"):
			l.fail(ranges[i], "Invalid scope", "A scope is not empty and has no spaces: list several.")
		default:
			list = append(list, v.AsString())
		}
	}
	return list
}
