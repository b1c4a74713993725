package config

import (
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/weirhq/weir/router/event"
)

// Defaults of a destination.
const (
	DefaultTimeout     = 5 * time.Second
	DefaultJitter      = 0.1
	DefaultConcurrency = 16
)

// DefaultSchedule returns the delay before each attempt.
func DefaultSchedule() []time.Duration {
	return []time.Duration{0, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}
}

const (
	maxAttempts    = 100
	maxDelay       = 30 * 24 * time.Hour
	maxTimeout     = 5 * time.Minute
	maxConcurrency = 1000
)

func (l *loader) decodeDefaults(b *hclsyntax.Block) Destination {
	d := Destination{
		Format: FormatEnvelope, Timeout: DefaultTimeout, Schedule: DefaultSchedule(),
		Jitter: DefaultJitter, Concurrency: DefaultConcurrency, Lane: defaultLane(),
	}
	if l.config.Server.Sidecar {
		d.Concurrency = SidecarConcurrency
	}
	if b != nil {
		l.noLabels(b)
		if a := attribute(b, "url"); a != nil {
			l.fail(a.NameRange, "Unknown attribute", "Each destination has its own url; there is no default for it.")
			copied := *b.Body
			copied.Attributes = hclsyntax.Attributes{}
			for name, x := range b.Body.Attributes {
				if name != "url" {
					copied.Attributes[name] = x
				}
			}
			l.check(&copied, defaultsSchema, "defaults")
		} else {
			l.check(b.Body, defaultsSchema, "defaults")
		}
		l.delivery(b, &d)
		if a := attribute(b, "token"); a != nil {
			d.Token = l.secret(a)
		}
	}
	return d
}

func (l *loader) decodeDestination(b *hclsyntax.Block, defaults Destination) {
	d := defaults
	d.Name, d.Range = b.Labels[0], b.DefRange()
	l.check(b.Body, destinationSchema, "destination")
	l.delivery(b, &d)
	if a := attribute(b, "url"); a != nil {
		if v, ok := l.text(a); ok {
			l.destinationURL(a.Expr.Range(), v, &d)
		}
	} else {
		l.missing(b, "url", `url = "https://example.com/hooks"`)
	}
	if a := attribute(b, "token"); a != nil {
		d.Token = l.secret(a)
		if d.Kind != "pull" && d.Kind != "" {
			l.fail(a.NameRange, "No use for a token", `A token opens a destination with the url "pull:". What this one is sent is signed by its secret.`)
		}
	}
	// Some of the defaults are for destinations of another kind.
	if d.Kind == "pull" {
		d.Lane.ReplyType, d.Lane.OrderBy, d.Lane.OrderAll = "", nil, false
	} else {
		d.Token = ""
	}
	l.fits(b, &d)
	if d.Kind == "http" && !d.Signed() && attribute(b, "secret") == nil && !hasBlock(b, "sign") && !loopback(d.Parsed.Hostname()) {
		l.warn(b.DefRange(), "Unsigned deliveries", `The destination %q is not on this machine and has no secret, so its receiver can't tell who sent what it gets. Set secret = env("...").`, d.Name)
	}
	if l.destinationBlocks[d.Name] == nil {
		l.destinationBlocks[d.Name] = &d
		l.config.Destinations = append(l.config.Destinations, &d)
	}
}

// delivery reads what a destination and the defaults have in common. What b does
// not say stays as it is.
func (l *loader) delivery(b *hclsyntax.Block, d *Destination) {
	l.signing(b, d)
	l.auth(b, d)
	l.clientTLS(b, d)
	d.Format = Format(l.oneOf(attribute(b, "format"), string(d.Format), []string{
		string(FormatEnvelope), string(FormatRaw), string(FormatCloudEvents), string(FormatCloudEventsBinary),
	}, nil))
	d.Timeout = l.duration(attribute(b, "timeout"), d.Timeout, time.Millisecond, maxTimeout)
	d.Concurrency = l.integer(attribute(b, "concurrency"), d.Concurrency, 1, maxConcurrency)
	if a := attribute(b, "headers"); a != nil {
		d.Headers = l.headers(a)
	}
	l.lane(b, &d.Lane)
	if a := attribute(b, "forward_headers"); a != nil {
		d.ForwardHeaders = l.forwardHeaders(a)
	}
	if a := attribute(b, "proxy"); a != nil {
		l.proxy(a, d)
	}
	if a := attribute(b, "compress"); a != nil {
		d.Compress = l.compress(a)
	}
	d.HTTP2 = l.boolean(attribute(b, "http2"), d.HTTP2)
	retry := l.one(b, "retry")
	if retry == nil {
		return
	}
	l.noLabels(retry)
	l.check(retry.Body, retrySchema, "retry")
	if a := attribute(retry, "schedule"); a != nil {
		if s := l.schedule(a); len(s) > 0 {
			d.Schedule = s
		}
	}
	d.Jitter = l.number(attribute(retry, "jitter"), d.Jitter, 0, 1)
}

// one returns the block of a type inside of b, nil where there is none.
func (l *loader) one(b *hclsyntax.Block, kind string) *hclsyntax.Block {
	list := within(b, kind)
	if len(list) == 0 {
		return nil
	}
	l.onlyOne(list)
	return list[0]
}

// within returns the blocks of a type inside of b.
func within(b *hclsyntax.Block, kind string) []*hclsyntax.Block {
	var list []*hclsyntax.Block
	for _, x := range b.Body.Blocks {
		if x.Type == kind {
			list = append(list, x)
		}
	}
	return list
}

func hasBlock(b *hclsyntax.Block, kind string) bool { return len(within(b, kind)) > 0 }

// noUse are the names that a destination of a kind can't have.
var noUse = map[string][]string{
	"file":   {"secret", "previous_secrets", "sign", "auth", "tls", "headers", "forward_headers", "proxy", "compress", "http2", "reply_type"},
	"stdout": {"secret", "previous_secrets", "sign", "auth", "tls", "headers", "forward_headers", "proxy", "compress", "http2", "reply_type"},
	"nats":   {"proxy", "compress", "http2", "reply_type"},
	"pull": {
		"auth", "tls", "forward_headers", "proxy", "compress", "http2", "reply_type",
		"timeout", "concurrency", "rate", "order_by", "disable_after", "retry", "breaker",
	},
}

// fits checks what depends on the URL and on several of a destination's parts.
func (l *loader) fits(b *hclsyntax.Block, d *Destination) {
	if d.Parsed == nil {
		return
	}
	for _, name := range noUse[d.Kind] {
		r := hcl.Range{}
		switch a := attribute(b, name); {
		case a != nil:
			r = a.NameRange
		case hasBlock(b, name):
			r = within(b, name)[0].TypeRange
		default:
			continue // defaults are for all kinds
		}
		if name == "secret" || name == "headers" { // harmless: the same block with another url is right
			l.warn(r, "Without effect", "A destination of the kind %s: has no use for %q.", d.Parsed.Scheme, name)
			continue
		}
		l.fail(r, "Not for this kind of destination", "A destination of the kind %s: has no %q: leave it out.", d.Parsed.Scheme, name)
	}
	if d.Kind == "http" && d.Parsed.Scheme == "http" {
		if a := attribute(b, "http2"); a != nil && d.HTTP2 {
			l.fail(a.NameRange, "Needs TLS", "HTTP/2 is agreed on in the TLS handshake, and this url begins with http:. Leave it out, or write https:.")
		}
		if t := within(b, "tls"); len(t) > 0 {
			l.fail(t[0].TypeRange, "Needs TLS", "This url begins with http:, so there is no TLS. Leave the block out, or write https:.")
		}
	}
	for _, s := range d.Sign {
		for _, h := range d.Headers {
			if s.Scheme == "hmac" && strings.EqualFold(s.Header, h.Name) {
				l.fail(b.DefRange(), "Second header", "The header %q is set by sign \"hmac\" and by headers: leave out one of the two.", h.Name)
			}
		}
	}
	l.fitsAuth(b, d)
}

func (l *loader) schedule(a *hclsyntax.Attribute) []time.Duration {
	values, ranges, ok := l.items(a, `a list of delays, such as ["0s", "1m", "5m"]`)
	var list []time.Duration
	for i, v := range values {
		list = append(list, l.durationValue(v, ranges[i], a.Name, 0, 0, maxDelay))
	}
	switch {
	case ok && len(values) == 0:
		l.fail(a.Expr.Range(), "Empty list", `A schedule has the delay before each attempt: [ "0s" ] is one attempt at once.`)
	case len(values) > maxAttempts:
		l.fail(a.Expr.Range(), "Out of range", "A schedule has at most %d attempts.", maxAttempts)
	}
	return list
}

func (l *loader) headers(a *hclsyntax.Attribute) []event.Field {
	v, ok := l.value(a)
	if !ok {
		return nil
	}
	ty := v.Type()
	if v.IsNull() || !ty.IsObjectType() && !ty.IsMapType() {
		l.wrongType(a.Expr.Range(), a.Name, `an object, such as { "x-team" = "billing" }`, v)
		return nil
	}
	places := map[string]hcl.Range{}
	if o, ok := a.Expr.(*hclsyntax.ObjectConsExpr); ok {
		for _, it := range o.Items {
			if k, diags := it.KeyExpr.Value(l.context(it.KeyExpr.Range())); !diags.HasErrors() && k.Type() == cty.String && !k.IsNull() {
				places[k.AsString()] = it.KeyExpr.Range()
			}
		}
	}
	var list []event.Field
	seen := map[string]bool{}
	for it := v.ElementIterator(); it.Next(); {
		k, x := it.Element()
		name := k.AsString()
		r, ok := places[name]
		if !ok {
			r = a.Expr.Range()
		}
		lower := strings.ToLower(name)
		switch {
		case !event.ValidHeaderName(name):
			l.fail(r, "Invalid header", "%q is no name of a header.", name)
		case event.ReservedHeader(lower) && lower != "authorization":
			l.fail(r, "Reserved header", "The header %q is set by the router.", lower)
		case seen[lower]:
			l.fail(r, "Second header", "The header %q is there already: case does not count in names of headers.", lower)
		case x.IsNull() || x.Type() != cty.String:
			l.fail(r, "Wrong type", "The value of the header %q must be a text in quotes.", lower)
		case !event.ValidHeaderValue(x.AsString()):
			l.fail(r, "Invalid header", "The value of the header %q has characters that a header can't have, such as a line break.", lower)
		default:
			list = append(list, event.Field{Name: lower, Value: x.AsString()})
		}
		seen[lower] = true
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}

// neverStored are headers that no event has: see what a source keeps.
var neverStored = []string{"authorization", "proxy-authorization", "cookie"}

// forwardHeaders reads patterns of names of an event's headers.
func (l *loader) forwardHeaders(a *hclsyntax.Attribute) []string {
	values, ranges, _ := l.items(a, `a list of names of headers, such as ["x-github-event", "x-shop-*"]`)
	var list []string
	for i, v := range values {
		if v.IsNull() || v.Type() != cty.String {
			l.wrongType(ranges[i], a.Name, "a text in quotes", v)
			continue
		}
		name := strings.ToLower(v.AsString())
		switch {
		case name != "*" && !event.ValidHeaderName(strings.ReplaceAll(name, "*", "x")):
			l.fail(ranges[i], "Invalid header", "%q is no name of a header.", name)
		case has(neverStored, name):
			l.fail(ranges[i], "Header that is not kept", "The header %q is never kept with an event, so it can't be forwarded.", name)
		case !strings.Contains(name, "*") && !event.ForwardableHeader(name):
			l.fail(ranges[i], "Reserved header", "The header %q is set by the router, or is about the request that brought the event.", name)
		default:
			list = append(list, name)
		}
	}
	return list
}

// compress reads true, false, or the one encoding that there is.
func (l *loader) compress(a *hclsyntax.Attribute) bool {
	v, ok := l.value(a)
	switch {
	case !ok:
		return false
	case !v.IsNull() && v.Type() == cty.Bool:
		return v.True()
	case !v.IsNull() && v.Type() == cty.String && v.AsString() == "gzip":
		return true
	}
	l.wrongType(a.Expr.Range(), a.Name, `true, false or "gzip"`, v)
	return false
}

// proxy reads what requests go through. Messages never repeat it: it may hold a
// password.
func (l *loader) proxy(a *hclsyntax.Attribute, d *Destination) {
	s, ok := l.text(a)
	if !ok {
		return
	}
	d.Proxy, d.Direct = nil, s == ""
	if d.Direct {
		return
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || !has([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) || u.Hostname() == "" || !validPort(u):
		l.fail(a.Expr.Range(), "Not a proxy", `A proxy is like "http://proxy.internal:3128"; there are http, https, socks5 and socks5h. "" means none, also none of the environment.`)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		l.fail(a.Expr.Range(), "Not a proxy", "The url of a proxy ends with its host and port.")
	default:
		d.Proxy = u
	}
}

// destinationURL reads where deliveries go. Messages never repeat the URL: it
// may hold a password.
func (l *loader) destinationURL(r hcl.Range, s string, d *Destination) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		l.fail(r, "Not a URL", `A destination's url is like "https://example.com/hooks", "http://...", "nats://host:4222/subject", "file:///path.jsonl" or "stdout:".`)
		return
	}
	d.URL, d.Parsed = s, u
	switch u.Scheme {
	case "http", "https":
		d.Kind = "http"
		switch {
		case u.Opaque != "" || u.Hostname() == "":
			l.fail(r, "Not a URL", "The url has no host: write %s://host/path.", u.Scheme)
		case u.Fragment != "":
			l.fail(r, "Not a URL", `The part behind "#" is never sent: leave it out.`)
		case !validPort(u):
			l.fail(r, "Not a URL", "The port must be a number from 1 to 65535.")
		}
	case "file":
		d.Kind = "file"
		if u.Opaque != "" || u.Host != "" && u.Host != "localhost" || !strings.HasPrefix(u.Path, "/") || strings.HasSuffix(u.Path, "/") {
			l.fail(r, "Not a file", `The url of a file has three slashes and an absolute path: "file:///var/lib/weir/events.jsonl".`)
		} else if u.RawQuery != "" || u.Fragment != "" {
			l.fail(r, "Not a file", `The url of a file has no "?" and no "#"; write them as %%3F and %%23.`)
		}
	case "stdout":
		d.Kind = "stdout"
		if s != "stdout:" {
			l.fail(r, "Not a URL", `Write "stdout:", without more.`)
		}
	case "nats":
		d.Kind = "nats"
		l.natsURL(r, u)
	case "pull":
		d.Kind = "pull"
		if s != "pull:" {
			l.fail(r, "Not a URL", `Write "pull:", without more.`)
		}
	default:
		l.fail(r, "Unknown kind of destination", "There are https:, http:, nats:, file:, stdout: and pull:, not %q.", u.Scheme+":")
	}
}

// natsURL checks nats://host:4222/subject.
func (l *loader) natsURL(r hcl.Range, u *url.URL) {
	subject := strings.TrimPrefix(u.Path, "/")
	switch {
	case u.Opaque != "" || u.Hostname() == "":
		l.fail(r, "Not a URL", `The url has no host: write nats://host:4222/subject.`)
	case !validPort(u):
		l.fail(r, "Not a URL", "The port must be a number from 1 to 65535.")
	case !validSubject(subject):
		l.fail(r, "Not a subject", `Behind the host stands the subject that is published to: names parted by dots, without spaces and without "*" and ">", such as nats://host:4222/orders.paid.`)
	case u.Fragment != "" || u.RawQuery != "" && u.RawQuery != "jetstream=true" && u.RawQuery != "jetstream=false":
		l.fail(r, "Not a URL", `Behind the subject may stand "?jetstream=true" or "?jetstream=false", and nothing else.`)
	}
}

func validSubject(s string) bool {
	for token := range strings.SplitSeq(s, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n\f") || strings.HasPrefix(s, "$") || strings.HasPrefix(s, "_INBOX.") {
			return false
		}
	}
	return true
}

func validPort(u *url.URL) bool {
	p := u.Port()
	if p == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n := 0
	for _, c := range p {
		if n = n*10 + int(c-'0'); n > 65535 {
			return false
		}
	}
	return n > 0
}
