package router

import (
	"context"
	"net/http"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/rawjson"
	"github.com/weirhq/weir/router/source"
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
	publisher := r.setup.Load().publisher
	taken, err := publisher.Accept(&source.Request{
		Method: http.MethodPost, Path: publisher.Path(), Header: jsonHeader, ContentType: "application/json", Body: body, Received: time.Now().UTC(),
	})
	if err != nil {
		return Receipt{}, err
	}
	accepted, err := engine{r}.Accept(ctx, publisher, taken)
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
