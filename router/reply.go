package router

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/rawjson"
)

// maxHops is how many replies may follow from one another.
const maxHops = 8

// replying makes each 2xx body of a destination with a reply_type a new event. It
// is stored together with the outcome, under an id that follows from the
// delivery's: however often that is sent, there is one.
func (r *Router) replying(d *config.Destination, try lane.Try) lane.Try {
	if d.Lane.ReplyType == "" {
		return try
	}
	return func(ctx context.Context, w *lane.Work) lane.Result {
		result := try(ctx, w)
		body := result.Attempt.Body
		if !result.OK || len(body) == 0 {
			return result
		}
		switch {
		case w.Event.Hops >= maxHops:
			r.log.Warn("an answer makes no event, because it would be the ninth in a row that follows from another",
				"destination", d.Name, "event", w.Event.ID, "type", d.Lane.ReplyType)
			return result
		case len(body) >= attempt.MaxKeptBody || result.Attempt.Reason == attempt.ReasonTooLarge:
			r.log.Warn("an answer makes no event, because it is larger than 16 KiB",
				"destination", d.Name, "event", w.Event.ID, "type", d.Lane.ReplyType)
			return result
		}
		route := w.Routing.Matches[w.Delivery.Match].Route
		now := time.Now().UTC()
		result.Reply = &event.Event{
			ID:    event.ReplyID(w.Delivery.WebhookID(w.Event.Position, w.Event.ID, route)),
			Given: true, Type: d.Lane.ReplyType, Source: event.SourceReply, Subject: w.Event.Subject, Tenant: w.Event.Tenant,
			Time: now, Received: now, ContentType: contentTypeOf(body), Data: body, Cause: w.Event.ID, Hops: w.Event.Hops + 1,
			Trace: r.tracer.Reply(w.Event, w.Ref, w.Delivery.Replay),
		}
		return result
	}
}

// contentTypeOf is what an answer's bytes are: its own header may say anything.
func contentTypeOf(b []byte) string {
	switch {
	case rawjson.Valid(b) == nil:
		return "application/json"
	case utf8.Valid(b):
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}
