package router

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/stream"
)

// tellRouted puts an event that was routed on the stream.
func (r *Router) tellRouted(e *event.Event, d *routing.Decision) {
	if !r.stream.Wanted() {
		return
	}
	told := api.StreamEvent{
		Kind: stream.KindEvent, Time: time.Now().UTC(), EventID: e.ID, Type: e.Type, Source: e.Source, Tenant: e.Tenant,
		Received: e.Received.UTC(), Routes: []string{}, Destinations: []string{},
	}
	for i := range d.Routing.Matches {
		told.Routes = append(told.Routes, d.Routing.Matches[i].Route)
	}
	for i := range d.Routing.Deliveries {
		switch delivery := &d.Routing.Deliveries[i]; {
		case delivery.Lane == store.RoutingLane:
			told.Failed = append(told.Failed, d.Routing.Matches[delivery.Match].Route)
		case !slices.Contains(told.Destinations, delivery.Lane):
			told.Destinations = append(told.Destinations, delivery.Lane)
		}
	}
	r.tell(stream.Item{Kind: told.Kind, Type: e.Type, Tenant: e.Tenant}, told)
}

// tellAttempt puts a try of a delivery on the stream.
func (r *Router) tellAttempt(destination string, w *lane.Work, result *lane.Result, o *store.Outcome) {
	if !r.stream.Wanted() {
		return
	}
	a := &result.Attempt
	told := api.StreamAttempt{
		Kind: stream.KindAttempt, Time: time.Now().UTC(), EventID: w.Event.ID, DeliveryID: w.Ref.String(), Type: w.Event.Type,
		Tenant: w.Event.Tenant, Destination: destination, Number: w.Number, Outcome: a.Reason, Status: a.Status,
		LatencyMS: float64(a.Latency.Microseconds()) / 1000, Error: a.Error, State: string(o.To),
	}
	if result.OK {
		told.Outcome = string(store.Delivered)
	}
	if !o.Due.IsZero() {
		due := o.Due.UTC()
		told.Due = &due
	}
	r.tell(stream.Item{Kind: told.Kind, Type: w.Event.Type, Destination: destination, Tenant: w.Event.Tenant}, told)
}

// tellState puts a change of a destination's state on the stream.
func (r *Router) tellState(at time.Time, destination, state, reason string) {
	if !r.stream.Wanted() {
		return
	}
	told := api.StreamState{Kind: stream.KindState, Time: at.UTC(), Destination: destination, State: state, Reason: reason}
	r.tell(stream.Item{Kind: told.Kind, Destination: destination}, told)
}

func (r *Router) tell(i stream.Item, v any) {
	var err error
	if i.JSON, err = json.Marshal(v); err != nil {
		r.log.Error("an item of the stream can't be encoded", "kind", i.Kind, "error", err)
		return
	}
	r.stream.Publish(i)
}
