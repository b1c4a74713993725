package attempt

import (
	"time"

	"github.com/weirhq/weir/router/attempt/guard"
)

// Reasons why an attempt failed. They are stored, counted and documented in
// docs/destinations.md, and never change their meaning.
const (
	ReasonDNS      = "dns"       // the host's name did not resolve
	ReasonRefused  = "refused"   // nobody listens there, or no way leads there
	ReasonReset    = "reset"     // the connection was reset or closed before the whole answer
	ReasonTLS      = "tls"       // handshake or certificate
	ReasonAuth     = "auth"      // there was no token, or no permission, to send with
	ReasonTimeout  = "timeout"   // the whole answer did not come in time
	ReasonStatus   = "status"    // a whole answer, but not 2xx
	ReasonBlocked  = guard.Code  // the address is not allowed
	ReasonTooLarge = "too_large" // headers beyond a limit; on success, a body beyond one
	ReasonProtocol = "protocol"  // what came is not HTTP
	ReasonConfig   = "config"    // the delivery can't be made into a request
	ReasonIO       = "io"        // writing to a file or to standard output failed
	ReasonStopped  = "stopped"   // the router stopped before the end: not the receiver's fault

	// Of routing, when an event is tried along its route again. No sender gives
	// these.
	ReasonPlugin  = "plugin"   // a plugin of the route failed
	ReasonNoRoute = "no_route" // the route is not configured any more
)

// Outcome is how an attempt ended.
type Outcome struct {
	// OK says that the receiver has the delivery. It alone decides.
	OK bool
	// Status is that of the answer, 0 where there was none or the kind of
	// destination has none.
	Status int
	// Reason is one of the constants, empty on success. The one exception: a
	// 2xx whose body ran past the limit is OK with ReasonTooLarge.
	Reason string
	// Error says for people what went wrong. It holds no secret, and no part of
	// the URL but host and port.
	Error string
	// Started is in UTC; Latency runs from then until the answer was read.
	Started time.Time
	Latency time.Duration
	Phases  Phases
	// Body is the beginning of the answer, at most MaxKeptBody bytes. It ends
	// between two characters where it is UTF-8 that was cut.
	Body []byte
	// RetryAfter is how long the receiver asks to be left alone, from the end
	// of the attempt, at most MaxRetryAfter; 0 where it does not ask.
	RetryAfter time.Duration
	// Gone says that the receiver answered 410 and wants no more.
	Gone bool
}

// Phases are parts of an attempt's latency. DNS, Connect and TLS are 0 where a
// kept connection was used.
type Phases struct {
	DNS     time.Duration
	Connect time.Duration
	TLS     time.Duration
	// FirstByte runs from the request written to the answer's first byte.
	FirstByte time.Duration
}

// Bounds on what is taken from a receiver.
const (
	// MaxKeptBody is how much of an answer's body an Outcome holds, in bytes.
	MaxKeptBody = 16 << 10
	// MaxReadBody is how much of it is read at all: the connection is closed
	// rather than reading on.
	MaxReadBody = 64 << 10
	// MaxHeader is how large the answer's headers may be, in bytes.
	MaxHeader = 64 << 10
	// MaxRetryAfter caps RetryAfter.
	MaxRetryAfter = 24 * time.Hour
)
