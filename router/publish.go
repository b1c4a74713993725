package router

import (
	"context"
	"net/http"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/rawjson"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/store"
)

// Event is what an embedding program publishes.
type Event struct {
	// Type is what routes match on. Required.
	Type string
	// Data is one JSON value. Required.
	Data []byte
	// ID makes publishing again harmless: within the dedupe window an event of
	// that id is stored once. Empty: the router makes one.
	ID string
	// Time is when it happened; zero: now.
	Time time.Time
	// Subject and Tenant are optional.
	Subject, Tenant string
}

// Receipt answers a publish.
type Receipt struct {
	EventID string
	// Duplicate: an event of that id was stored before, and this one was not.
	Duplicate bool
}

// Publish stores an event as source "events" would, and returns when it is on
// disk. An event that is not well-formed gives a [*problem.Problem].
func (r *Router) Publish(ctx context.Context, p Event) (Receipt, error) {
	body, err := p.envelope()
	if err != nil {
		return Receipt{}, err
	}
	events, err := r.publisher.Accept(&source.Request{
		Path: r.publisher.Path(), Header: jsonHeader, ContentType: "application/json", Body: body, Received: time.Now().UTC(),
	})
	if err != nil {
		return Receipt{}, err
	}
	accepted, err := r.Accept(ctx, r.publisher, events)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{EventID: accepted[0].ID, Duplicate: accepted[0].Duplicate}, nil
}

// envelope is the native form, so that publishing obeys the same rules as HTTP.
func (p *Event) envelope() ([]byte, error) {
	if err := rawjson.Valid(p.Data); err != nil {
		return nil, problem.New(http.StatusBadRequest, "malformed_json", "data: %v", err)
	}
	b := append([]byte(`{"event":`), rawjson.AppendString(nil, p.Type)...)
	for _, f := range []struct{ name, value string }{{"event_id", p.ID}, {"subject", p.Subject}, {"tenant", p.Tenant}} {
		if f.value != "" {
			b = append(append(b, `,"`...), f.name...)
			b = rawjson.AppendString(append(b, `":`...), f.value)
		}
	}
	if !p.Time.IsZero() {
		b = rawjson.AppendString(append(b, `,"timestamp":`...), event.FormatTime(p.Time))
	}
	b = append(append(b, `,"data":`...), p.Data...)
	return append(b, '}'), nil
}

var jsonHeader = []event.Field{{Name: "content-type", Value: "application/json"}}

// retryable is nil for a delivery that can be tried again, else a problem.
func retryable(d *store.DeliveryStatus) error {
	switch d.State {
	case store.Cancelled:
		if d.Delivery.Lane == store.RoutingLane {
			return problem.New(http.StatusConflict, "already_routed", "the route was run again for %s; its deliveries are in weir explain %s", d.Ref, d.EventID)
		}
		return nil
	case store.Retrying, store.Dead:
		return nil
	case store.Delivered:
		return problem.New(http.StatusConflict, "already_delivered", "the delivery %s was delivered; retry is for those that were not", d.Ref)
	}
	return problem.New(http.StatusConflict, "not_tried", "the delivery %s waits for its first attempt", d.Ref)
}
