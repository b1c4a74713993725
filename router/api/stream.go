package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/stream"
)

// StreamEvent tells of an event that was routed.
type StreamEvent struct {
	Kind     stream.Kind `json:"kind"` // "event"
	Time     time.Time   `json:"time"`
	EventID  string      `json:"event_id"`
	Type     string      `json:"type"`
	Source   string      `json:"source"`
	Tenant   string      `json:"tenant,omitempty"`
	Received time.Time   `json:"received"`
	// Routes are those that took it, Destinations where its messages go.
	Routes       []string `json:"routes"`
	Destinations []string `json:"destinations"`
	// Failed are the routes that delivered nothing, because a plugin failed.
	Failed []string `json:"failed,omitempty"`
}

// StreamAttempt tells of a try of a delivery.
type StreamAttempt struct {
	Kind        stream.Kind `json:"kind"` // "attempt"
	Time        time.Time   `json:"time"`
	EventID     string      `json:"event_id"`
	DeliveryID  string      `json:"delivery_id"`
	Type        string      `json:"type"`
	Tenant      string      `json:"tenant,omitempty"`
	Destination string      `json:"destination"`
	Number      int         `json:"number"`
	// Outcome is "delivered" or the class of the error.
	Outcome   string  `json:"outcome"`
	Status    int     `json:"status,omitempty"`
	LatencyMS float64 `json:"latency_ms"`
	Error     string  `json:"error,omitempty"`
	// State is what the delivery is in now, and Due when it is tried again.
	State string     `json:"state"`
	Due   *time.Time `json:"due,omitempty"`
}

// StreamState tells that a destination's state has changed.
type StreamState struct {
	Kind        stream.Kind `json:"kind"` // "state"
	Time        time.Time   `json:"time"`
	Destination string      `json:"destination"`
	State       string      `json:"state"`
	Reason      string      `json:"reason,omitempty"`
}

// StreamMissed is sent as an event called "missed" where a listener did not get
// everything. Count is 0 where nobody knows how many items.
type StreamMissed struct {
	Count uint64 `json:"count"`
}

const (
	// streamPing is how often a quiet stream shows that it lives.
	streamPing = 15 * time.Second
	// streamWrite is how long a listener may take to read what it gets.
	streamWrite = 30 * time.Second
)

// stream sends what happens as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), until the
// listener goes or the router stops.
func (s *server) stream(c *fiber.Ctx) error {
	q := newQuery(c, "events", "destination", "tenant", "kinds")
	want := streamFilter{events: q.text("events"), destination: q.text("destination"), tenant: q.text("tenant")}
	known := []stream.Kind{stream.KindEvent, stream.KindAttempt, stream.KindState}
	if list := q.text("kinds"); list != "" {
		for k := range strings.SplitSeq(list, ",") {
			if !slices.Contains(known, stream.Kind(k)) {
				q.fail("kinds is a list of event, attempt and state with commas between, not %q", list)
			}
			want.kinds = append(want.kinds, stream.Kind(k))
		}
	}
	if q.err != nil {
		return q.err
	}
	hub := s.engine.Stream()
	l, err := hub.Listen(strings.Clone(c.Get("Last-Event-ID")))
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no")
	conn := c.Context().Conn()
	c.Context().SetBodyStreamWriter(s.guardedWriter(c.Path(), func(w *bufio.Writer) {
		defer l.Close()
		// The server's own limit is for an answer as a whole.
		flush := func() error {
			if err := conn.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
				return err
			}
			return w.Flush()
		}
		fmt.Fprint(w, "retry: 2000\n\n")
		for flush() == nil {
			ctx, cancel := context.WithTimeout(context.Background(), streamPing)
			b, err := l.Next(ctx)
			ended := ctx.Err() == nil
			cancel()
			switch {
			case err == nil:
				want.write(w, hub, b)
			case ended: // the router stops
				return
			default:
				fmt.Fprint(w, ":\n\n")
			}
		}
	}))
	return nil
}

// streamFilter says which items a listener wants. What is empty takes all.
type streamFilter struct {
	events, destination, tenant string
	kinds                       []stream.Kind
}

func (f *streamFilter) takes(i *stream.Item) bool {
	return (len(f.kinds) == 0 || slices.Contains(f.kinds, i.Kind)) &&
		(f.events == "" || i.Kind != stream.KindState && event.MatchType(f.events, i.Type)) &&
		(f.destination == "" || i.Kind != stream.KindEvent && f.destination == i.Destination) &&
		(f.tenant == "" || f.tenant == i.Tenant)
}

// write writes what is wanted of a batch. The number of what was left out is told
// too, as an id without data, so that a listener that comes back is not given it
// again.
func (f *streamFilter) write(w *bufio.Writer, hub *stream.Hub, b stream.Batch) {
	if b.Missed > 0 || b.Gap {
		data, err := json.Marshal(StreamMissed{Count: b.Missed})
		if err == nil {
			fmt.Fprintf(w, "event: missed\ndata: %s\n\n", data)
		}
	}
	for i := range b.Items {
		item := &b.Items[i]
		if f.takes(item) {
			fmt.Fprintf(w, "id: %s\nevent: %s\ndata: %s\n\n", hub.ID(item.Number), item.Kind, item.JSON)
		} else if i == len(b.Items)-1 {
			fmt.Fprintf(w, "id: %s\n\n", hub.ID(item.Number))
		}
	}
}
