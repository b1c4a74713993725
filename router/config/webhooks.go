package config

import (
	"net/netip"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Defaults of the webhooks block.
const (
	DefaultWebhookLimit  = 10000
	maxWebhookLimit      = 1000000
	defaultWebhookSource = "events"
	// DefaultWebhookDisableAfter is that of webhooks; destinations have none.
	DefaultWebhookDisableAfter = 5 * 24 * time.Hour
)

// Webhooks says what registered webhooks may do: those of the API, whose URLs are
// their owners' and not the operator's.
type Webhooks struct {
	// From holds the sources whose events they see. Never empty.
	From []string
	// Events holds patterns of the types that they see; nil: every type.
	Events []string
	// AllowHTTP lets them use http, and port 80, beside https.
	AllowHTTP bool
	// AllowNetworks are addresses that they may be at although these are not
	// public, with any port.
	AllowNetworks []netip.Prefix
	// AllowPorts are those that they may use elsewhere, beside 443 and, with
	// AllowHTTP, 80.
	AllowPorts []uint16
	// Limit is the most that may be registered.
	Limit int
	// Plugins are those that one may name.
	Plugins []*Plugin
	// Destination holds what a webhook's deliveries have in common: what the
	// defaults block says of format, timeout and the lane. Its secret, headers and
	// the like are for the operator's own destinations.
	Destination Destination
	Range       hcl.Range
}

func (l *loader) decodeWebhooks(b *hclsyntax.Block, defaults Destination) {
	w := Webhooks{From: []string{defaultWebhookSource}, Limit: DefaultWebhookLimit}
	// Named one by one: what comes to a destination later is not for strangers'.
	w.Destination = Destination{
		Kind: "http", Format: defaults.Format, Timeout: defaults.Timeout, Schedule: defaults.Schedule, Jitter: defaults.Jitter,
		Concurrency: defaults.Concurrency, Lane: defaults.Lane,
	}
	if w.Destination.Lane.DisableAfter == 0 {
		w.Destination.Lane.DisableAfter = DefaultWebhookDisableAfter
	}
	defer func() { l.config.Webhooks = w }()
	if b == nil {
		return
	}
	l.noLabels(b)
	l.check(b.Body, webhooksSchema, "webhooks block")
	w.Range = b.DefRange()
	if a := attribute(b, "from"); a != nil {
		w.From = nil
		for _, x := range l.references(a, "source") {
			if has(w.From, x.name) {
				l.fail(x.at, "Named twice", "The source %q is in the list already.", x.name)
				continue
			}
			if x.name == "weir" {
				l.fail(x.at, "The router's own events", "Registered webhooks never get them. A route can send them anywhere.")
				continue
			}
			w.From = append(w.From, x.name)
		}
	}
	if a := attribute(b, "events"); a != nil {
		w.Events = l.patterns(a)
	}
	if a := attribute(b, "plugins"); a != nil {
		seen := map[string]bool{}
		for _, x := range l.references(a, "plugin") {
			if seen[x.name] {
				l.fail(x.at, "Named twice", "The plugin %q is in the list already.", x.name)
				continue
			}
			seen[x.name] = true
			if p := l.pluginBlocks[x.name]; p != nil {
				w.Plugins = append(w.Plugins, p)
			}
		}
	}
	w.AllowHTTP = l.boolean(attribute(b, "allow_http"), false)
	if a := attribute(b, "allow_ports"); a != nil {
		w.AllowPorts = l.ports(a)
	}
	if a := attribute(b, "allow_networks"); a != nil {
		w.AllowNetworks = l.networks(a)
	}
	if a := attribute(b, "proxy"); a != nil {
		l.proxy(a, &w.Destination)
	}
	w.Limit = l.integer(attribute(b, "limit"), w.Limit, 0, maxWebhookLimit)
}

func (l *loader) ports(a *hclsyntax.Attribute) []uint16 {
	values, ranges, ok := l.items(a, "a list of ports, such as [443, 8443]")
	if ok && len(values) == 0 {
		l.fail(a.Expr.Range(), "Empty list", "The list %q must have at least one port, or be left out.", a.Name)
	}
	var list []uint16
	for i, v := range values {
		if v.IsNull() || v.Type() != cty.Number {
			l.wrongType(ranges[i], a.Name, "a list of ports, such as [443, 8443]", v)
			continue
		}
		f, _ := v.AsBigFloat().Float64()
		if f < 1 || f > 65535 || f != float64(int(f)) {
			l.fail(ranges[i], "Out of range", "A port is a whole number from 1 to 65535.")
			continue
		}
		list = append(list, uint16(f))
	}
	return list
}

func (l *loader) networks(a *hclsyntax.Attribute) []netip.Prefix {
	const wanted = `a list of networks, such as ["10.20.0.0/16"]`
	values, ranges, _ := l.items(a, wanted)
	var list []netip.Prefix
	for i, v := range values {
		if v.IsNull() || v.Type() != cty.String {
			l.wrongType(ranges[i], a.Name, wanted, v)
			continue
		}
		p, err := netip.ParsePrefix(v.AsString())
		switch {
		case err != nil:
			l.fail(ranges[i], "Not a network", `%q is no network in CIDR form, such as "10.20.0.0/16" or "fd12:3456::/32".`, v.AsString())
		case p != p.Masked():
			l.fail(ranges[i], "Not a network", "%q has bits behind its prefix: write %q.", v.AsString(), p.Masked())
		default:
			list = append(list, p)
		}
	}
	return list
}
