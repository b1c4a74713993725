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
	"github.com/weirhq/weir/router/sign"
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
	if d.Kind == "pull" && d.Lane.ReplyType != "" {
		l.fail(b.DefRange(), "No reply", "A pull destination gets no answer, so it has no reply_type.")
	}
	if d.Kind == "http" && d.Secret == "" && attribute(b, "secret") == nil && !loopback(d.Parsed.Hostname()) {
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
	if a := attribute(b, "secret"); a != nil {
		d.Secret = l.secret(a)
		if _, err := sign.NewStandard(d.Secret.Reveal()); err != nil {
			l.fail(a.Expr.Range(), "Malformed secret", "%s", sentence(err.Error()))
		}
	}
	d.Format = Format(l.oneOf(attribute(b, "format"), string(d.Format), []string{string(FormatEnvelope), string(FormatRaw)}, []string{"cloudevents", "cloudevents-binary"}))
	d.Timeout = l.duration(attribute(b, "timeout"), d.Timeout, time.Millisecond, maxTimeout)
	d.Concurrency = l.integer(attribute(b, "concurrency"), d.Concurrency, 1, maxConcurrency)
	if a := attribute(b, "headers"); a != nil {
		d.Headers = l.headers(a)
	}
	l.lane(b, &d.Lane)
	var retry []*hclsyntax.Block
	for _, r := range b.Body.Blocks {
		if r.Type == "retry" {
			retry = append(retry, r)
		}
	}
	if len(retry) == 0 {
		return
	}
	l.onlyOne(retry)
	l.noLabels(retry[0])
	l.check(retry[0].Body, retrySchema, "retry")
	if a := attribute(retry[0], "schedule"); a != nil {
		if s := l.schedule(a); len(s) > 0 {
			d.Schedule = s
		}
	}
	d.Jitter = l.number(attribute(retry[0], "jitter"), d.Jitter, 0, 1)
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

// destinationURL reads where deliveries go. Messages never repeat the URL: it
// may hold a password.
func (l *loader) destinationURL(r hcl.Range, s string, d *Destination) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		l.fail(r, "Not a URL", `A destination's url is like "https://example.com/hooks", "http://...", "file:///path.jsonl" or "stdout:".`)
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
	case "pull":
		d.Kind = "pull"
		if s != "pull:" {
			l.fail(r, "Not a URL", `Write "pull:", without more.`)
		}
	case "nats":
		l.later(r, u.Scheme+":")
	default:
		l.fail(r, "Unknown kind of destination", "There are https:, http:, file:, stdout: and pull:, not %q.", u.Scheme+":")
	}
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
