// Package attempt makes one try of one delivery and tells how it ended. When to
// try, and how often, is the lane's business.
//
// Each kind of destination has a file of its own that registers it: http.go,
// nats.go, file.go, stdout.go. What all kinds are sent is made in body.go. Below
// http.go a request is made in request.go (auth.go and oauth2.go say who sends,
// compress.go makes it smaller), a connection in dial.go and proxy.go, waits in
// idle.go, carries one exchange at a time in conn.go and, where there is no TLS,
// question.go, and brings an answer to answer.go; http2.go does the exchange where a
// receiver may speak HTTP/2. Package sign makes the signatures, package guard checks
// where strangers point.
//
// Invariants:
//   - A sender is bounded: by the destination's timeout, and by the limits
//     beside [Outcome] in what it takes from a receiver.
//   - An outcome that is OK means that the receiver has it: it answered 2xx
//     with a whole head and, up to the limit, a whole body; or the bytes are on
//     disk.
//   - Redirects are not followed, answers not decompressed.
//   - A connection takes another request only when the last one was answered
//     whole, nothing else has come on it, and no interrupt is on its way.
//   - A sender that has nothing to do holds no goroutine, and after 90 seconds
//     no connection and no timer. HTTP/2 and NATS have goroutines as long as they
//     have a connection.
//   - The same delivery gives the same bytes in each attempt.
//   - Neither secrets nor a URL's user, password, path or query appear in an
//     Outcome.
package attempt

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/weirhq/weir/router/attempt/guard"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/sign"
)

// UserAgent names the router to receivers. The program sets it once, before it
// opens a sender.
var UserAgent = "Weir/dev"

// Sender makes the attempts of one destination. It is safe for concurrent use.
type Sender interface {
	// Send tries once. It returns within the destination's timeout, or soon
	// after ctx ends: then with ReasonStopped, and the receiver may have the
	// delivery or not.
	Send(ctx context.Context, d *Delivery) Outcome
	// Close frees what the sender holds. Sends in flight must have ended.
	Close() error
}

// Options are what a sender needs beside its destination. The zero value is
// that of the program.
type Options struct {
	// Stdout is where "stdout:" writes; os.Stdout when nil. Writes to it do not
	// overlap, of all senders together.
	Stdout io.Writer
	// Guard, where not nil, is asked for each connection: the destination is a
	// stranger's. No proxy of the environment is used then, and no answer's body
	// is kept that came from one of the networks which the guard's rules allow.
	Guard *guard.Guard
	// Signers, where there are some, sign instead of the destination's secret.
	Signers []sign.Signer
}

type kind func(c *config.Destination, o Options) (Sender, error)

// kinds is filled by the init functions of this package's files only. The key
// is a URL's scheme.
var kinds = map[string]kind{}

func register(scheme string, k kind) { kinds[scheme] = k }

// Schemes returns the URL schemes that Open knows, in order.
func Schemes() []string {
	var list []string
	for s := range kinds {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

// Open returns the sender of a destination; its URL's scheme picks the kind.
// It connects to nothing yet.
func Open(c *config.Destination, o Options) (Sender, error) {
	if c.Parsed == nil {
		return nil, fmt.Errorf("destination %q has no URL", c.Name)
	}
	open, ok := kinds[c.Parsed.Scheme]
	if !ok {
		return nil, fmt.Errorf("destination %q: no kind for the scheme %q; there are %s",
			c.Name, c.Parsed.Scheme, strings.Join(Schemes(), ", "))
	}
	if o.Guard != nil && c.Parsed.Scheme != "http" && c.Parsed.Scheme != "https" {
		return nil, fmt.Errorf("destination %q: a stranger's is https or http, not %q", c.Name, c.Parsed.Scheme)
	}
	s, err := open(c, o)
	if err != nil {
		return nil, fmt.Errorf("destination %q: %w", c.Name, err)
	}
	return s, nil
}
