package config

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/source/verify"
)

// Verify is how a source knows its producer.
type Verify struct {
	// Kind is one of [verify.Kinds].
	Kind string
	// Secrets are never empty unless Kind is "none". Any of them will do. Those of
	// "basic" are its passwords.
	Secrets []Secret
	// Tolerance of a signed time; 0 where none is signed.
	Tolerance time.Duration
	// Header and TimestampHeader (lower case), Algorithm, Encoding, Prefix and
	// Username are set for the kinds that have them.
	Header, TimestampHeader, Algorithm, Encoding, Prefix, Username string
}

// Options are what the scheme is made of. They hold the secrets in the open.
func (v *Verify) Options() verify.Options {
	o := verify.Options{
		Tolerance: v.Tolerance, Header: v.Header, TimestampHeader: v.TimestampHeader,
		Algorithm: v.Algorithm, Encoding: v.Encoding, Prefix: v.Prefix, Username: v.Username,
	}
	for _, s := range v.Secrets {
		o.Secrets = append(o.Secrets, s.Reveal())
	}
	return o
}

// Handshake answers a provider's challenge.
type Handshake struct {
	// Kind is one of [verify.Handshakes].
	Kind string
	// Secret is the verify_token or secret; empty where the kind has none.
	Secret Secret
}

// examples of the attributes that a verify block needs.
var verifyExamples = map[string]string{
	"secrets": `secrets = [env("SECRET")]`, "header": `header = "x-signature"`, "username": `username = "weir"`,
}

// verifySchema lists what a preset's block may hold.
func verifySchema(kind string) schema {
	p := verify.Find(kind)
	return schema{attributes: join(p.Needs, p.Takes)}
}

// maxTolerance lets a provider repeat a request that it signed once for a week.
const maxTolerance = 7 * 24 * time.Hour

func (l *loader) decodeVerify(b *hclsyntax.Block) Verify {
	v := Verify{Kind: "none"}
	if !l.oneLabel(b, `verify "github"`) {
		return v
	}
	kind := b.Labels[0]
	if !l.choice(b.LabelRanges[0], kind, verify.Kinds(), nil) {
		if a := attribute(b, "secrets"); a != nil {
			l.secrets(a) // its own mistakes are told in the same go
		}
		return v
	}
	before, _ := l.report.Count()
	preset := verify.Find(kind)
	known := verifySchema(kind)
	if a := attribute(b, "tolerance"); a != nil && !has(known.attributes, "tolerance") {
		l.fail(a.NameRange, "No time is signed", `The preset %q signs no time, so there is no tolerance. For a captured request that is sent again see dedupe_signature.`, kind)
		known.attributes = append(known.attributes, "tolerance")
	}
	l.check(b.Body, known, `verify "`+kind+`"`)
	v.Kind = kind
	if a := attribute(b, "password"); a != nil && has(known.attributes, "password") {
		if s := l.secret(a); s != "" {
			v.Secrets = append(v.Secrets, s)
		}
	}
	if a := attribute(b, "secrets"); a != nil && has(known.attributes, "secrets") {
		v.Secrets = append(v.Secrets, l.secrets(a)...)
	} else if kind == "basic" && attribute(b, "password") == nil {
		l.missing(b, "password", `password = env("PASSWORD")`)
	}
	for _, name := range preset.Needs {
		if attribute(b, name) == nil {
			l.missing(b, name, verifyExamples[name])
		}
	}
	if kind == "none" {
		return v
	}
	if a := attribute(b, "username"); a != nil {
		v.Username, _ = l.text(a)
	}
	v.Header = l.headerName(attribute(b, "header"))
	v.TimestampHeader = l.headerName(attribute(b, "timestamp_header"))
	if kind == "hmac" {
		v.Algorithm = l.oneOf(attribute(b, "algorithm"), "sha256", []string{"sha256", "sha512", "sha1"}, nil)
		v.Encoding = l.oneOf(attribute(b, "encoding"), "hex", []string{"hex", "base64"}, nil)
		if a := attribute(b, "prefix"); a != nil {
			v.Prefix, _ = l.text(a)
		}
	}
	switch a := attribute(b, "tolerance"); {
	case preset.Timed(v.Options()):
		v.Tolerance = l.duration(a, verify.DefaultTolerance, time.Second, maxTolerance)
	case a != nil && has(preset.Takes, "tolerance"):
		l.fail(a.NameRange, "No time is signed", `The tolerance is that of the time in "timestamp_header", which is not set.`)
	}
	if preset.URL && l.config.Server.PublicURL == "" {
		l.fail(b.LabelRanges[0], "Unknown address", `The preset %q signs the address that it calls: write public_url = "https://hooks.example.com" in the server block.`, kind)
	}
	if now, _ := l.report.Count(); now == before && !l.opts.ToAsk {
		l.checkScheme(b, &v)
	}
	return v
}

// checkScheme tells what the preset itself finds wrong, at the attribute that it
// names.
func (l *loader) checkScheme(b *hclsyntax.Block, v *Verify) {
	_, err := verify.New(v.Kind, v.Options())
	if err == nil {
		return
	}
	text := strings.TrimPrefix(err.Error(), `verify "`+v.Kind+`": `)
	at := b.DefRange()
	if name, rest, ok := strings.Cut(text, ": "); ok {
		if a := attribute(b, name); a != nil {
			at, text = a.Expr.Range(), rest
		}
	}
	l.fail(at, "Unusable verify block", "%s", sentence(text))
}

// headerName reads the name of a header, in lower case.
func (l *loader) headerName(a *hclsyntax.Attribute) string {
	if a == nil {
		return ""
	}
	s, ok := l.text(a)
	if ok && !event.ValidHeaderName(s) {
		l.fail(a.Expr.Range(), "Invalid header", "%q is no name of a header.", s)
	}
	return strings.ToLower(s)
}

func (l *loader) decodeHandshake(b *hclsyntax.Block) *Handshake {
	if !l.oneLabel(b, `handshake "meta"`) {
		return nil
	}
	kind := b.Labels[0]
	if kind == "slack" {
		l.fail(b.LabelRanges[0], "Built in", `Slack's challenge is answered by verify "slack" itself. Leave the handshake out.`)
		return nil
	}
	if !l.choice(b.LabelRanges[0], kind, verify.Handshakes(), nil) {
		return nil
	}
	needs := verify.FindHandshake(kind).Needs
	var known schema
	if needs != "" {
		known.attributes = []string{needs}
	}
	l.check(b.Body, known, `handshake "`+kind+`"`)
	h := &Handshake{Kind: kind}
	if needs != "" {
		if a := attribute(b, needs); a != nil {
			h.Secret = l.secret(a)
		} else {
			l.missing(b, needs, needs+` = env("SECRET")`)
		}
	}
	return h
}

// maxReply bounds a static answer.
const maxReply = 64 << 10

func (l *loader) decodeReply(b *hclsyntax.Block) *verify.Answer {
	l.noLabels(b)
	l.check(b.Body, replySchema, "reply")
	a := &verify.Answer{Status: l.integer(attribute(b, "status"), 200, 200, 299)}
	if x := attribute(b, "body"); x != nil {
		a.Body, _ = l.text(x)
		switch {
		case len(a.Body) > maxReply:
			l.fail(x.Expr.Range(), "Out of range", "The body has %d bytes, more than %d.", len(a.Body), maxReply)
		case a.Body != "" && (a.Status == 204 || a.Status == 205):
			l.fail(x.Expr.Range(), "No body here", "An answer with status %d has no body.", a.Status)
		case a.Body != "":
			a.ContentType = "text/plain; charset=utf-8"
		}
	}
	if x := attribute(b, "content_type"); x != nil {
		s, ok := l.text(x)
		if err := event.CheckContentType(s); ok && (err != nil || !strings.Contains(s, "/")) {
			l.fail(x.Expr.Range(), "Not a content type", `A content_type is like "application/json".`)
		}
		a.ContentType = s
	}
	return a
}

// keepHeaders reads the patterns of the headers that are stored. Nil means all.
func (l *loader) keepHeaders(a *hclsyntax.Attribute) []string {
	if a == nil {
		return nil
	}
	values, ranges, ok := l.items(a, `a list of names, such as ["x-github-event"]`)
	list := []string{}
	if !ok {
		return list
	}
	for i, v := range values {
		if v.IsNull() || v.Type().FriendlyName() != "string" {
			l.wrongType(ranges[i], a.Name, "a list of texts", v)
			continue
		}
		name := strings.ToLower(v.AsString())
		switch {
		case !event.ValidHeaderName(name): // which may hold stars
			l.fail(ranges[i], "Invalid header", "%q is no name of a header, nor a pattern of names.", v.AsString())
		case slices.Contains(event.Credentials, name):
			l.fail(ranges[i], "Never stored", "The header %q carries credentials, which are never stored.", name)
		}
		list = append(list, name)
	}
	return list
}

// checkDedupeSignature refuses what has no signature to remember.
func (l *loader) checkDedupeSignature(r hcl.Range, v *Verify) {
	if l.opts.ToAsk {
		return
	}
	s, err := verify.New(v.Kind, v.Options())
	if err != nil {
		return // told already
	}
	preset := verify.Find(v.Kind)
	if _, ok := s.(verify.Signed); ok && (v.Kind == "mailgun" || !preset.Timed(v.Options())) {
		return
	}
	why := "it has no signature of a body"
	if preset.Timed(v.Options()) {
		why = "it signs a time, so that a captured request is soon stale"
	}
	l.fail(r, "Nothing to remember", `dedupe_signature does not go with verify %q: %s.`, v.Kind, why)
}
