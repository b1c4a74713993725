package attempt

import (
	"time"

	"github.com/weirhq/weir/router/event"
)

// Delivery is what one attempt sends. The sender reads it and keeps nothing.
type Delivery struct {
	// WebhookID is the same in each attempt of a delivery.
	WebhookID string
	EventType string
	// Number is that of the attempt, from 1.
	Number int
	// Body is sent byte for byte, with ContentType. Attributes are headers that
	// belong to it, see [Body].
	Body        []byte
	ContentType string
	Attributes  []event.Field
	// Header holds what plugins set, and EventHeader what the event came with, of
	// which the destination says what is forwarded. Names are in lower case.
	Header      []event.Field
	EventHeader []event.Field
	// Time is the attempt's; it is signed to the second.
	Time time.Time
	// Replay, where not empty, is the id of the replay that this belongs to.
	Replay string
	// Traceparent, where not empty, is that of the attempt's span, and hides what a
	// plugin or the destination says of it (W3C Trace Context). Tracestate is what
	// came with the trace, or empty.
	Traceparent, Tracestate string
}
