// Package config reads a configuration: HCL in, typed values out, with every
// default filled in and every mistake told at its place.
//
// Invariants:
//   - Strict: what a configuration says is either used or refused. A name that
//     Weir will have but has not yet is "not supported yet", any other unknown
//     name gets a suggestion. Nothing is ignored.
//   - All mistakes of a configuration are found in one go.
//   - A Config is complete and immutable: whoever uses it never fills in a
//     default. It may be shared between goroutines.
//   - No value of an attribute that holds a secret appears in a diagnostic, in
//     its snippet, or in anything that prints a Config.
//   - Two loads of the same bytes (files, what file() read, modules) have the
//     same Hash.
package config

import (
	"crypto/tls"
	"net/url"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/source/verify"
)

// Config is a whole configuration.
type Config struct {
	Server Server
	Store  Store
	Log    Log
	// Metrics is how much /metrics shows.
	Metrics Metrics
	// Tracing is where spans go.
	Tracing Tracing
	// Sources always holds the one called "events". In order of name.
	Sources []*Source
	// Plugins, Destinations and Routes are in the order in which they are
	// written.
	Plugins      []*Plugin
	Destinations []*Destination
	Routes       []*Route
	// Webhooks is filled in also where there is no such block.
	Webhooks Webhooks
	// Hash is the lower-case hex SHA-256 over all that was read: the files,
	// what file() read, and the modules.
	Hash string
	// Files are those of the configuration in the order in which they were read.
	Files []File
	// Dir is the folder of the configuration. Paths are absolute already.
	Dir string
}

// Server is where the router listens, and whom it answers.
type Server struct {
	// Listen is host:port, or unix:///path of a socket. It is a loopback address or
	// a socket unless there are Keys or Insecure is set.
	Listen string
	// Admin is where everything but ingest is answered instead, of the same form.
	// Empty: at Listen.
	Admin string
	// TLS is nil where the router speaks plain HTTP. Sockets always do.
	TLS *TLS
	// Sidecar asks for small limits: the router lives beside one program.
	Sidecar bool
	// Keys are the tokens that open the router: that of the server block, which
	// has every scope, and those of its access blocks. Empty: none is needed.
	Keys []Key
	// Insecure lets a router without Keys listen off loopback.
	Insecure bool
	// PublicURL is where producers reach the router from outside, without a slash
	// at its end; a request's path is appended to it. Empty where it is not known.
	PublicURL string
	// MaxBody is the largest request body in bytes.
	MaxBody int64
}

// File is one file of a configuration.
type File struct {
	Name string
	// Masked is its text with asterisks in place of secrets.
	Masked []byte
}

// TLS is what the router proves its name with.
type TLS struct {
	// Cert and Key are the files, in PEM.
	Cert, Key string
	// Pair is what they hold. It is nil where a configuration is only loaded to ask
	// a router.
	Pair *tls.Certificate
}

// Key is a token and what it is good for.
type Key struct {
	// Name is that of the access block; empty for the token of the server block.
	Name   string
	Token  Secret
	Scopes []Scope
}

// Scope is one thing that a token may do.
type Scope string

// The scopes.
const (
	// ScopeIngest may send events to sources that verify nothing by themselves.
	ScopeIngest Scope = "ingest"
	// ScopeRead may look at everything.
	ScopeRead Scope = "read"
	// ScopeWebhooks may change registered webhooks.
	ScopeWebhooks Scope = "webhooks"
	// ScopeAdmin may change everything.
	ScopeAdmin Scope = "admin"
)

// Scopes returns all of them.
func Scopes() []Scope { return []Scope{ScopeIngest, ScopeRead, ScopeWebhooks, ScopeAdmin} }

// Store is where events are kept.
type Store struct {
	// Kind is "badger".
	Kind string
	// Path is the folder of the store.
	Path string
	// Retention is how long an event is kept after it was received.
	Retention time.Duration
	// MinFree is the free space, in bytes, below which events are refused.
	MinFree int64
	// MaxAge is how old an event becomes before what still waits of it is dead.
	MaxAge time.Duration
}

// Log is how the router tells its operator what happens.
type Log struct {
	// Level is trace, debug, info, warn, error or off.
	Level string
	JSON  bool
}

// Metrics is how much /metrics shows.
type Metrics struct {
	// PerWebhook counts each registered webhook by its id, and not all as one.
	PerWebhook bool
}

// Tracing is where OpenTelemetry spans go.
type Tracing struct {
	// Endpoint is the URL of a collector that takes OTLP over HTTP, nil for none:
	// then nothing is traced.
	Endpoint *url.URL
	// Sample is the part of the traces that is recorded, from 0 to 1, of those that
	// begin here: those of a producer follow its decision.
	Sample float64
}

// SourceFormat is what a source's requests hold.
type SourceFormat string

// The formats of a source.
const (
	// SourceRaw takes the body as the event's data.
	SourceRaw SourceFormat = "raw"
	// SourceNative takes Weir's own envelope.
	SourceNative SourceFormat = "native"
)

// Source is one way in.
type Source struct {
	Name string
	// Path of its URL, beginning with a slash. Source "events" also answers
	// POST /events.
	Path   string
	Format SourceFormat
	Verify Verify
	// Type, ID, Subject and Tenant are nil where the default holds: the source's
	// name (native: the envelope's), no id of the producer's, no subject, no tenant.
	Type, ID, Subject, Tenant *expr.Program
	// Dedupe is how long the ids of producers are remembered, and with
	// DedupeSignature the signatures too.
	Dedupe          time.Duration
	DedupeSignature bool
	// Schema is what data must fit, nil for anything.
	Schema *BodySchema
	// Rate is how many events are taken, nil for any number.
	Rate *Rate
	// KeepHeaders are patterns of the headers that are stored, in lower case. Nil
	// means all, but credentials never are.
	KeepHeaders []string
	// Reply answers requests that were taken, nil is JSON with the events' ids.
	Reply *verify.Answer
	// Handshake answers challenges by GET, nil for none.
	Handshake *Handshake
	// PublicURL is the server's, empty where it is not known.
	PublicURL string
	// Range is where the block is written; empty for a source that is not.
	Range hcl.Range
}

// OnError is what happens to a message when a plugin fails on it.
type OnError string

// The choices of on_error.
const (
	// OnErrorDead ends the event on this route, as a dead letter.
	OnErrorDead OnError = "dead"
	// OnErrorSkip lets the message go on as it was before this plugin.
	OnErrorSkip OnError = "skip"
	// OnErrorDrop ends the message.
	OnErrorDrop OnError = "drop"
)

// Plugin is a WebAssembly module with its configuration.
type Plugin struct {
	Name string
	// Path is the module's file, Wasm its bytes and SHA256 their lower-case hex
	// digest.
	Path   string
	Wasm   []byte
	SHA256 string
	// Config is JSON, "null" when unset.
	Config []byte
	// Memory is the most that an instance may have, in bytes.
	Memory int64
	// Fuel is what one message may take, in units, beside 100 for each byte of
	// its data, and InitFuel what the start of an instance may.
	Fuel, InitFuel int64
	// Deadline is the most wall-clock time a call may take.
	Deadline time.Duration
	// Isolation is "pure" or "reuse", ABI "weir" or "stdio".
	Isolation, ABI string
	OnError        OnError
	// Shadow is a second build that runs beside. It is nil where there is none.
	Shadow *Shadow
	Range  hcl.Range
}

// Shadow is a module whose results are compared and never sent.
type Shadow struct {
	Path   string
	Wasm   []byte
	SHA256 string
}

// Format is the body that a destination gets.
type Format string

// The formats of a destination.
const (
	// FormatEnvelope is Weir's JSON envelope around data.
	FormatEnvelope Format = "envelope"
	// FormatRaw is data's bytes with their own content type.
	FormatRaw Format = "raw"
	// FormatCloudEvents is CloudEvents 1.0 in structured form, and
	// FormatCloudEventsBinary with data as the body and the rest as headers.
	FormatCloudEvents       Format = "cloudevents"
	FormatCloudEventsBinary Format = "cloudevents-binary"
)

// Destination is a receiver.
type Destination struct {
	Name string
	// URL as it is written, with user and password: use [Destination.SafeURL]
	// to show it. Relative paths of file URLs do not exist; Parsed.Path is
	// absolute.
	URL    string
	Parsed *url.URL
	// Kind is "http" (also for https), "nats", "file" or "stdout".
	Kind string
	// Secret signs deliveries by the schemes hmac and standard, and so do, in
	// what has room for them, PreviousSecrets. Empty: Sign says how, and where
	// that is empty too, deliveries are unsigned.
	Secret          Secret
	PreviousSecrets []Secret
	Sign            []Sign
	// Auth and TLS are nil where there is nothing to say.
	Auth   *Auth
	TLS    *ClientTLS
	Format Format
	// Headers are sent with each request, lower-case names, in name order.
	Headers []event.Field
	// ForwardHeaders are the event's headers that are sent too: lower-case names,
	// in which * stands for any run of characters.
	ForwardHeaders []string
	// Proxy is what requests go through, where not nil. With Direct there is none,
	// also none of the environment.
	Proxy  *url.URL
	Direct bool
	// Compress sends larger bodies compressed with gzip.
	Compress bool
	// HTTP2 offers HTTP/2 to the receiver.
	HTTP2 bool
	// Timeout is that of a whole attempt.
	Timeout time.Duration
	// Schedule holds the delay before each attempt; its length is the most
	// attempts. Never empty.
	Schedule []time.Duration
	// Jitter spreads each delay by 1 ± Jitter, from 0 to 1.
	Jitter float64
	// Concurrency is how many attempts may be in flight at a time.
	Concurrency int
	Lane        Lane
	// Token opens a pull destination beside the router's own tokens; empty: none.
	Token Secret
	Range hcl.Range
}

// SafeURL is the URL without its password and without what in its query seems to be
// a secret.
func (d *Destination) SafeURL() string { return maskQuery(d.Parsed.Redacted()) }

// Route says which events go where.
type Route struct {
	Name string
	// From holds names of sources; nil: every source that takes requests.
	From []string
	// Events holds patterns of types, in which * stands for any run of
	// characters; nil: every type.
	Events []string
	// When is nil where the route has no condition.
	When *expr.Program
	// Through are the plugins in order.
	Through []*Plugin
	// To is never empty.
	To []*Destination
	// Fallback routes take what no other route took.
	Fallback bool
	Range    hcl.Range
}

// Source returns the source called name, or nil.
func (c *Config) Source(name string) *Source {
	for _, s := range c.Sources {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Plugin returns the plugin called name, or nil.
func (c *Config) Plugin(name string) *Plugin {
	for _, p := range c.Plugins {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Destination returns the destination called name, or nil.
func (c *Config) Destination(name string) *Destination {
	for _, d := range c.Destinations {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// Route returns the route called name, or nil.
func (c *Config) Route(name string) *Route {
	for _, r := range c.Routes {
		if r.Name == name {
			return r
		}
	}
	return nil
}
