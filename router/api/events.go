package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
)

func (s *server) listEvents(c *fiber.Ctx) error {
	q := newQuery(c, "type", "source", "tenant", "since", "until", "id", "text", "destination", "status", "cursor", "limit")
	ask := store.EventSearch{
		EventQuery: store.EventQuery{
			Type: q.text("type"), Source: q.text("source"), Tenant: q.text("tenant"),
			Since: q.time("since"), Until: q.time("until"), Page: q.page(),
		},
		Text: q.text("text"), Destination: q.text("destination"), State: q.state("status", store.Sending), Told: true,
	}
	id := q.text("id")
	if len(ask.Text) > maxText {
		q.fail("text may have %d bytes", maxText)
	}
	for _, other := range []string{"text", "destination", "status", "cursor", "type", "tenant", "since", "until"} {
		if id != "" && q.text(other) != "" {
			q.fail("id chooses by itself, or with source; leave %s out", other)
		}
	}
	if ask.State == store.Sending && ask.Text != "" {
		q.fail("text is searched for in what is stored; leave it out with status=sending")
	}
	if q.err != nil {
		return q.err
	}
	list := EventList{Events: []Event{}}
	if id != "" {
		events, err := s.engine.Store().FindEvent(c.Context(), id, ask.Source)
		if err != nil && !isNotFound(err) {
			return err
		}
		for _, e := range events {
			list.Events = append(list.Events, summary(e))
		}
		return give(c, list)
	}
	search := s.engine.Store().SearchEvents
	if ask.State == store.Sending {
		search = s.sendingEvents
	}
	found, err := search(c.Context(), ask)
	if err != nil {
		return err
	}
	list.Next = found.Next
	for _, e := range found.Events {
		list.Events = append(list.Events, summary(e))
	}
	if found.Looked > 0 || ask.Text != "" {
		list.Searched = &Searched{Count: found.Looked, From: found.Oldest.UTC(), To: found.Newest.UTC()}
	}
	return give(c, list)
}

// sendingEvents lists the events with a delivery that is being sent at this moment,
// see [server.sendingDeliveries]. The cursor is the last delivery's id that was looked
// at.
func (s *server) sendingEvents(ctx context.Context, q store.EventSearch) (*store.EventsFound, error) {
	found := &store.EventsFound{}
	ask := store.DeliveryQuery{
		Destination: q.Destination, Type: q.Type, Source: q.Source, Tenant: q.Tenant, Since: q.Since, Until: q.Until, Page: q.Page,
	}
	for len(found.Events) < q.Limit {
		deliveries, next, err := s.sendingDeliveries(ctx, ask)
		if err != nil {
			return nil, err
		}
		for _, d := range deliveries {
			if n := len(found.Events); n > 0 && found.Events[n-1].Position == d.Ref.Position {
				continue // another one of the same event
			}
			if len(found.Events) == q.Limit {
				return found, nil
			}
			e, err := s.engine.Store().Event(ctx, d.Ref.Position)
			if isNotFound(err) { // retention has just taken it
				continue
			}
			if err != nil {
				return nil, err
			}
			found.Events = append(found.Events, e)
			// The next page goes on below all of this event.
			found.Next = store.Ref{Position: d.Ref.Position}.String()
		}
		if next == "" {
			found.Next = ""
			return found, nil
		}
		ask.Cursor = next
	}
	return found, nil
}

// maxText bounds what is searched for, in bytes.
const maxText = 1024

func (s *server) showEvent(c *fiber.Ctx) error {
	e, err := s.findEvent(c)
	if err != nil {
		return err
	}
	return sendEvent(c, e)
}

// findEvent looks up the event that the path names; more are parameters beside
// those that choose it.
func (s *server) findEvent(c *fiber.Ctx, more ...string) (*event.Event, error) {
	q := newQuery(c, append(more, "source")...)
	if q.err != nil {
		return nil, q.err
	}
	id, err := url.PathUnescape(strings.Clone(c.Params("id")))
	if err != nil {
		return nil, problem.New(http.StatusBadRequest, "bad_id", "the id in the path is not well escaped: %v", err)
	}
	all, err := s.engine.Store().FindEvent(c.Context(), id, "")
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	// CloudEvents have ids of their own source (CloudEvents 1.0, source).
	found := all
	if source := q.text("source"); source != "" {
		found = slices.DeleteFunc(slices.Clone(all), func(e *event.Event) bool { return e.Source != source && cloudSource(e) != source })
	}
	switch len(found) {
	case 0:
		return nil, problem.New(http.StatusNotFound, "event_not_found", "there is no event %q: it never came, or it is older than the store's retention", id)
	case 1:
		return found[0], nil
	}
	var sources []string
	for _, e := range found {
		name := e.Source
		if slices.ContainsFunc(found, func(o *event.Event) bool { return o != e && o.Source == name }) {
			name = cloudSource(e)
		}
		sources = append(sources, name)
	}
	return nil, problem.New(http.StatusConflict, "ambiguous_id", "events of the sources %s have the id %q: choose one with ?source= (--source)", strings.Join(sources, ", "), id).With("sources", sources)
}

// cloudSource is the source that a CloudEvent names; other events have that which
// they are sent with.
func cloudSource(e *event.Event) string {
	for _, f := range e.Header {
		if f.Name == "ce-source" {
			return f.Value
		}
	}
	return "/weir/" + e.Source
}

func summary(e *event.Event) Event {
	return Event{
		ID: e.ID, OriginID: e.OriginID, Type: e.Type, Source: e.Source, Subject: e.Subject, Tenant: e.Tenant,
		Time: e.Time, Received: e.Received, ContentType: e.ContentType, Size: len(e.Data), Cause: e.Cause,
	}
}

// sendEvent answers with one event, data's own bytes at its end: an encoder
// would print them anew.
func sendEvent(c *fiber.Ctx, e *event.Event) error {
	out := detail(e)
	data := out.Data
	out.Data = nil
	b, err := marshal(out)
	if err != nil {
		return err
	}
	if data != nil {
		b = append(b[:len(b)-1], `,"data":`...)
		b = append(append(b, data...), '}')
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Send(b)
}

func detail(e *event.Event) Event {
	out := summary(e)
	m := event.NewMessage(e)
	out.Header = m.AppendHeaderJSON(nil)
	if view, ok := m.View(); ok {
		out.Data = view
	} else {
		out.DataBase64 = e.Data
	}
	return out
}
