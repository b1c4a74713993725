package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirhq/weir/router/expr"
)

// routingPart is what of a configuration decides where an event goes and with
// which bytes, as it is kept beside the events that it routes.
type routingPart struct {
	Hash         string              `json:"hash"`
	Plugins      []pluginPart        `json:"plugins,omitempty"`
	Destinations []destinationFormat `json:"destinations,omitempty"`
	Routes       []routePart         `json:"routes,omitempty"`
	Webhooks     webhooksPart        `json:"webhooks"`
	// Secrets are the salted hashes of the destinations' secrets, by name.
	Secrets map[string]string `json:"secrets,omitempty"`
}

// webhooksPart is of the webhooks block. What each registered webhook takes is in
// its own document.
type webhooksPart struct {
	From    []string `json:"from,omitempty"`
	Events  []string `json:"events,omitempty"`
	Plugins []string `json:"plugins,omitempty"`
}

type pluginPart struct {
	Name      string          `json:"name"`
	SHA256    string          `json:"sha256"`
	Config    json.RawMessage `json:"config,omitempty"`
	Memory    int64           `json:"memory"`
	Fuel      int64           `json:"fuel,omitempty"`
	InitFuel  int64           `json:"init_fuel,omitempty"`
	Deadline  time.Duration   `json:"deadline"`
	Isolation string          `json:"isolation,omitempty"`
	ABI       string          `json:"abi,omitempty"`
	OnError   OnError         `json:"on_error"`
}

type destinationFormat struct {
	Name   string `json:"name"`
	Format Format `json:"format"`
}

type routePart struct {
	Name     string   `json:"name"`
	From     []string `json:"from"`
	Events   []string `json:"events"`
	When     string   `json:"when,omitempty"`
	Through  []string `json:"through,omitempty"`
	To       []string `json:"to"`
	Fallback bool     `json:"fallback,omitempty"`
}

// MarshalRouting encodes what of c decides where events go and with which bytes,
// but for the modules, which it names by their digest. Configurations of the same
// Hash and environment give the same bytes. They hold the plugins' configuration,
// and with it what secrets that has. Of the destinations' secrets they hold what
// SecretHashes gives.
func (c *Config) MarshalRouting(salt []byte) ([]byte, error) {
	part := routingPart{Hash: c.Hash, Secrets: c.SecretHashes(salt)}
	for _, p := range c.Plugins {
		part.Plugins = append(part.Plugins, pluginPart{
			p.Name, p.SHA256, p.Config, p.Memory, p.Fuel, p.InitFuel, p.Deadline, p.Isolation, p.ABI, p.OnError,
		})
	}
	for _, d := range c.Destinations {
		part.Destinations = append(part.Destinations, destinationFormat{d.Name, d.Format})
	}
	for _, r := range c.Routes {
		route := routePart{Name: r.Name, From: r.From, Events: r.Events, Fallback: r.Fallback}
		if r.When != nil {
			route.When = r.When.Source()
		}
		for _, p := range r.Through {
			route.Through = append(route.Through, p.Name)
		}
		for _, d := range r.To {
			route.To = append(route.To, d.Name)
		}
		part.Routes = append(part.Routes, route)
	}
	part.Webhooks.From, part.Webhooks.Events = c.Webhooks.From, c.Webhooks.Events
	for _, p := range c.Webhooks.Plugins {
		part.Webhooks.Plugins = append(part.Webhooks.Plugins, p.Name)
	}
	b, err := json.Marshal(part)
	if err != nil {
		return nil, fmt.Errorf("encode the routes: %w", err)
	}
	return b, nil
}

// UnmarshalRouting decodes bytes of [Config.MarshalRouting]. module gives a
// module by its digest. What the result does not hold decides nothing: sources,
// and where destinations are.
func UnmarshalRouting(b []byte, module func(sha256 string) ([]byte, error)) (*Config, error) {
	var part routingPart
	if err := json.Unmarshal(b, &part); err != nil {
		return nil, fmt.Errorf("decode the routes: %w", err)
	}
	c := &Config{Hash: part.Hash}
	for _, p := range part.Plugins {
		wasm, err := module(p.SHA256)
		if err != nil {
			return nil, fmt.Errorf("the module of plugin %s: %w", p.Name, err)
		}
		c.Plugins = append(c.Plugins, &Plugin{
			Name: p.Name, Wasm: wasm, SHA256: p.SHA256, Config: p.Config,
			Memory: p.Memory, Fuel: p.Fuel, InitFuel: p.InitFuel, Deadline: p.Deadline,
			Isolation: p.Isolation, ABI: p.ABI, OnError: p.OnError,
		})
	}
	for _, d := range part.Destinations {
		c.Destinations = append(c.Destinations, &Destination{Name: d.Name, Format: d.Format})
	}
	for _, r := range part.Routes {
		route := &Route{Name: r.Name, From: r.From, Events: r.Events, Fallback: r.Fallback}
		if r.When != "" {
			when, err := expr.Parse(r.When, expr.EventScope)
			if err != nil {
				return nil, fmt.Errorf("the condition of route %s: %w", r.Name, err)
			}
			route.When = when
		}
		for _, name := range r.Through {
			p := c.Plugin(name)
			if p == nil {
				return nil, fmt.Errorf("route %s: there is no plugin %s", r.Name, name)
			}
			route.Through = append(route.Through, p)
		}
		for _, name := range r.To {
			d := c.Destination(name)
			if d == nil {
				return nil, fmt.Errorf("route %s: there is no destination %s", r.Name, name)
			}
			route.To = append(route.To, d)
		}
		c.Routes = append(c.Routes, route)
	}
	c.Webhooks.From, c.Webhooks.Events = part.Webhooks.From, part.Webhooks.Events
	for _, name := range part.Webhooks.Plugins {
		p := c.Plugin(name)
		if p == nil {
			return nil, fmt.Errorf("webhooks: there is no plugin %s", name)
		}
		c.Webhooks.Plugins = append(c.Webhooks.Plugins, p)
	}
	return c, nil
}

// SecretHashes are hashes of the secrets that each destination signs with, by its
// name, salted so that they say nothing but whether they are the same
// (HMAC-SHA-256, RFC 2104). Destinations without one are left out.
func (c *Config) SecretHashes(salt []byte) map[string]string {
	hashes := map[string]string{}
	for _, d := range c.Destinations {
		var all []Secret
		if d.Secret != "" {
			all = append(append(all, d.Secret), d.PreviousSecrets...)
		}
		for _, s := range d.Sign {
			all = append(append(all, s.Secrets...), s.Keys...)
		}
		if len(all) == 0 {
			continue
		}
		mac := hmac.New(sha256.New, salt)
		for _, s := range all {
			_, _ = fmt.Fprintf(mac, "%d %s\n", len(s), s.Reveal()) // a hash takes all
		}
		hashes[d.Name] = hex.EncodeToString(mac.Sum(nil))
	}
	return hashes
}

// RoutingSecrets gives the SecretHashes of bytes of [Config.MarshalRouting].
func RoutingSecrets(b []byte) (map[string]string, error) {
	var part routingPart
	if err := json.Unmarshal(b, &part); err != nil {
		return nil, fmt.Errorf("decode the routes: %w", err)
	}
	return part.Secrets, nil
}
