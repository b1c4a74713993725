package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/expr"
)

// schema lists the names that a block may hold. Later ones are part of the
// configuration's language but not of this version: they are refused by name.
type schema struct {
	attributes, blocks           []string
	laterAttributes, laterBlocks []string
}

var (
	topSchema = schema{
		blocks:      []string{"server", "store", "defaults", "source", "plugin", "destination", "route", "webhooks", "log", "metrics", "tracing", "variable", "locals"},
		laterBlocks: []string{"test"},
	}
	serverSchema = schema{
		attributes: []string{"listen", "admin", "public_url", "token", "insecure", "max_body", "mode"},
		blocks:     []string{"tls", "access"},
	}
	serverTLSSchema = schema{attributes: []string{"cert", "key"}}
	accessSchema    = schema{attributes: []string{"token", "scopes"}}
	storeSchema     = schema{attributes: []string{"path", "retention", "min_free", "max_age"}}
	variableSchema  = schema{attributes: []string{"type", "default", "description", "sensitive"}}
	logSchema       = schema{attributes: []string{"level", "json"}}
	metricsSchema   = schema{attributes: []string{"per_webhook"}}
	tracingSchema   = schema{attributes: []string{"endpoint", "sample"}}
	retrySchema     = schema{attributes: []string{"schedule", "jitter"}}
	sourceSchema    = schema{
		attributes: []string{"path", "format", "type", "id", "subject", "tenant", "dedupe", "dedupe_signature", "schema", "rate", "keep_headers"},
		blocks:     []string{"verify", "reply", "handshake"},
	}
	replySchema  = schema{attributes: []string{"status", "content_type", "body"}}
	pluginSchema = schema{
		attributes: []string{"wasm", "config", "memory", "fuel", "init_fuel", "deadline", "isolation", "abi", "on_error", "shadow"},
	}
	// What a destination and the defaults have in common.
	deliveryAttributes = []string{"secret", "previous_secrets", "format", "headers", "forward_headers", "proxy", "compress", "http2",
		"timeout", "concurrency", "rate", "order_by", "disable_after", "max_age", "reply_type", "token"}
	deliveryBlocks    = []string{"sign", "auth", "tls", "retry", "breaker"}
	destinationSchema = schema{
		attributes: join([]string{"url", "for_each"}, deliveryAttributes),
		blocks:     deliveryBlocks,
	}
	// What a destination may say, but for what makes it this destination.
	defaultsSchema = schema{
		attributes:      deliveryAttributes,
		blocks:          deliveryBlocks,
		laterAttributes: destinationSchema.laterAttributes,
		laterBlocks:     destinationSchema.laterBlocks,
	}
	routeSchema = schema{
		attributes: []string{"from", "events", "when", "through", "to", "fallback", "for_each"},
	}
	signSchemas = map[string]schema{
		"hmac":     {attributes: []string{"secrets", "header", "encoding", "prefix"}},
		"standard": {attributes: []string{"secrets"}},
		"ed25519":  {attributes: []string{"keys"}},
	}
	authSchemas = map[string]schema{
		"basic":  {attributes: []string{"username", "password"}},
		"bearer": {attributes: []string{"token"}},
		"oauth2": {attributes: []string{"token_url", "client_id", "client_secret", "scopes", "audience"}},
	}
	clientTLSSchema = schema{attributes: []string{"ca", "cert", "key", "server_name"}}
	webhooksSchema  = schema{
		attributes: []string{"from", "events", "allow_http", "allow_networks", "allow_ports", "limit", "plugins", "proxy"},
	}
)

func without(list []string, names ...string) []string {
	var rest []string
	for _, s := range list {
		if !has(names, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

func has(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// check refuses every attribute and block of body that s does not list, and takes away
// the attributes that are null: as in Terraform, those are not set. where names the
// block in messages.
func (l *loader) check(body *hclsyntax.Body, s schema, where string) {
	attributes := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, a := range body.Attributes {
		attributes = append(attributes, a)
	}
	sort.Slice(attributes, func(i, j int) bool { return attributes[i].NameRange.Start.Byte < attributes[j].NameRange.Start.Byte })
	for _, a := range attributes {
		switch {
		case has(s.attributes, a.Name):
			if l.isNull(a) {
				delete(body.Attributes, a.Name)
			}
		case has(s.laterAttributes, a.Name), has(s.laterBlocks, a.Name):
			l.later(a.NameRange, a.Name)
		case has(s.blocks, a.Name):
			l.fail(a.NameRange, fmt.Sprintf("%q is a block", a.Name), "Write %s { ... }, without the equals sign.", a.Name)
		default:
			l.fail(a.NameRange, "Unknown attribute", "A %s has no attribute %q.%s", where, a.Name, s.hint(a.Name))
		}
	}
	for _, b := range body.Blocks {
		switch {
		case has(s.blocks, b.Type):
		case has(s.laterBlocks, b.Type), has(s.laterAttributes, b.Type):
			l.later(b.TypeRange, b.Type)
		case has(s.attributes, b.Type):
			l.fail(b.TypeRange, fmt.Sprintf("%q is an attribute", b.Type), "Write %s = ..., with an equals sign.", b.Type)
		default:
			l.fail(b.TypeRange, "Unknown block", "A %s has no block %q.%s", where, b.Type, s.hint(b.Type))
		}
	}
}

func (s schema) hint(name string) string {
	known := join(s.attributes, s.blocks)
	if h := expr.DidYouMean(name, known); h != "" {
		return h
	}
	if h := expr.DidYouMean(name, join(s.laterAttributes, s.laterBlocks)); h != "" {
		return h
	}
	if len(known) == 0 {
		return ""
	}
	return " It has " + strings.Join(known, ", ") + "."
}

// later refuses what the language has and this version does not.
func (l *loader) later(r hcl.Range, name string) {
	l.fail(r, fmt.Sprintf("%q is not supported yet", name), "It is part of Weir's configuration, but this version can't do it. Leave it out.")
}

// oneOf reads an attribute that is one of a few words. What later versions take
// too is refused as such.
func (l *loader) oneOf(a *hclsyntax.Attribute, fallback string, choices, later []string) string {
	if a == nil {
		return fallback
	}
	s, ok := l.text(a)
	if !ok {
		return fallback
	}
	l.choice(a.Expr.Range(), s, choices, later)
	return s
}

// choice refuses s where it is none of the choices.
func (l *loader) choice(r hcl.Range, s string, choices, later []string) bool {
	switch {
	case has(choices, s):
		return true
	case has(later, s):
		l.later(r, s)
	default:
		hint := expr.DidYouMean(s, join(choices, later))
		if hint == "" {
			hint = ` There is "` + strings.Join(choices, `", "`) + `".`
		}
		l.fail(r, "Unknown value", "%q is not known here.%s", s, hint)
	}
	return false
}
