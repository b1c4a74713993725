package api

import (
	"context"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// replies are the events that receivers made of the deliveries of routes: the id of
// each follows from its delivery's.
func (s *server) replies(ctx context.Context, routes []RouteVerdict) ([]Event, error) {
	var out []Event
	seen := map[string]bool{}
	for i := range routes {
		if webhook.IsID(routes[i].Route) {
			continue // what they answer makes no event
		}
		for _, d := range routes[i].Deliveries {
			id := event.ReplyID(d.WebhookID)
			if d.Status != string(store.Delivered) || seen[id] {
				continue
			}
			seen[id] = true
			found, err := s.engine.Store().FindEvent(ctx, id, event.SourceReply)
			if err != nil && !isNotFound(err) {
				return nil, err
			}
			for _, e := range found {
				out = append(out, summary(e))
			}
		}
	}
	return out, nil
}
