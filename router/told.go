package router

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/tracing"
)

// The types of the router's own events.
const (
	toldFailing   = "weir.destination.failing"
	toldDisabled  = "weir.destination.disabled"
	toldRecovered = "weir.destination.recovered"
	toldOverflow  = "weir.destination.overflow"
	toldDead      = "weir.delivery.dead"
	toldHeld      = "weir.plugin.held"
)

// toldDedupe is how long the id of an event is remembered that a crash could make
// again.
const toldDedupe = 24 * time.Hour

// toldDestination is the data of weir.destination events.
type toldDestination struct {
	Destination string `json:"destination"`
	Status      string `json:"status,omitempty"`
	// Reason says why it is disabled.
	Reason       string      `json:"reason,omitempty"`
	Failures     int         `json:"failures,omitempty"`
	FailingSince *time.Time  `json:"failing_since,omitempty"`
	LastFailure  *lane.Fault `json:"last_failure,omitempty"`
	// Expired counts the deliveries that an overflow has ended.
	Expired int `json:"expired,omitempty"`
}

// toldDelivery is the data of weir.delivery.dead.
type toldDelivery struct {
	DeliveryID  string `json:"delivery_id"`
	EventID     string `json:"event_id"`
	Type        string `json:"type"`
	Source      string `json:"source"`
	Tenant      string `json:"tenant,omitempty"`
	Route       string `json:"route"`
	Kind        string `json:"kind"` // delivery or routing
	Destination string `json:"destination,omitempty"`
	Reason      string `json:"reason"`
	Attempts    int    `json:"attempts"`
	// LastFailure is how the last attempt ended, or why the route failed.
	LastFailure *lane.Fault `json:"last_failure,omitempty"`
}

// toldPlugin is the data of weir.plugin.held.
type toldPlugin struct {
	Plugin string `json:"plugin"`
	Build  string `json:"build"`
	Error  string `json:"error"`
}

// toldWanted says whether a route takes the router's own events: nobody wants
// those that none takes.
func (r *Router) toldWanted() bool {
	s := r.setup.Load()
	return s != nil && s.takesOwn
}

// ownEvent makes one of the router's own events, nil where no route takes them.
// With an id that follows from what it tells, it is stored once. Where it tells of a
// delivery it belongs to that one's trace.
func (r *Router) ownEvent(kind, id, subject, tenant string, at time.Time, data any, of tracing.Delivery) *event.Event {
	if !r.toldWanted() {
		return nil
	}
	b, err := json.Marshal(data)
	if err != nil {
		r.log.Error("an event of the router can't be encoded", "type", kind, "error", err)
		return nil
	}
	at = at.UTC()
	e := &event.Event{
		ID: id, Given: id != "", Type: kind, Source: event.SourceWeir, Subject: subject, Tenant: tenant,
		Time: at, Received: at, ContentType: "application/json", Data: b,
	}
	if id == "" {
		e.ID = event.NewID(at)
	}
	r.tracer.Told(e, of)
	return e
}

// notify makes an event of a notice of a lane. What deliveries of the router's own
// events meet makes none.
func (r *Router) notify(n *lane.Notice) *event.Event {
	if n.Kind == lane.NoticeDead {
		d := n.Work.Delivery
		told := r.deadDelivery(n.Work.Event, n.Work.Routing, d, n.Work.Ref, string(n.Outcome.Reason), n.Work.Number)
		if n.Outcome.Attempt == nil {
			told.Attempts--
		} else if a := n.Outcome.Attempt; a.Reason != "" {
			told.LastFailure = &lane.Fault{Reason: a.Reason, Status: a.Status, Error: a.Error}
		}
		return r.deadEvent(told, n.Work.Number, n.At, tracing.Delivery{Event: n.Work.Event, Ref: n.Work.Ref, Replay: d.Replay})
	}
	kind := map[lane.NoticeKind]string{
		lane.NoticeFailing: toldFailing, lane.NoticeDisabled: toldDisabled, lane.NoticeRecovered: toldRecovered,
	}[n.Kind]
	r.tellState(n.At, n.Destination, string(n.State), n.Why)
	told := toldDestination{Destination: n.Destination, Status: string(n.State), Reason: n.Why, Failures: n.Failures}
	if n.Failures > 0 {
		told.FailingSince, told.LastFailure = moment(n.Since), &n.Fault
	}
	return r.ownEvent(kind, "", n.Destination, "", n.At, told, tracing.Delivery{})
}

func (r *Router) deadDelivery(e *event.Event, routing *store.Routing, d *store.Delivery, ref store.Ref, reason string, attempts int) *toldDelivery {
	told := &toldDelivery{
		DeliveryID: ref.String(), EventID: e.ID, Type: e.Type, Source: e.Source, Tenant: e.Tenant,
		Route: routing.Matches[d.Match].Route, Kind: "delivery", Destination: d.Lane, Reason: reason, Attempts: attempts,
	}
	if d.Lane == store.RoutingLane {
		told.Kind, told.Destination = "routing", ""
	}
	return told
}

func (r *Router) deadEvent(told *toldDelivery, attempt int, at time.Time, of tracing.Delivery) *event.Event {
	id := event.HashID(toldDead + " " + told.DeliveryID + " " + told.Reason + " " + strconv.Itoa(attempt))
	return r.ownEvent(toldDead, id, told.Destination, told.Tenant, at, told, of)
}

// routedDead gives the events of what is dead as soon as it is routed.
func (r *Router) routedDead(e *event.Event, routing *store.Routing) []store.NewEvent {
	if e.Source == event.SourceWeir {
		return nil
	}
	var events []store.NewEvent
	for i := range routing.Deliveries {
		d := &routing.Deliveries[i]
		if d.Dead == "" {
			continue
		}
		ref := store.Ref{Position: e.Position, Index: uint32(i)}
		told := r.deadDelivery(e, routing, d, ref, string(d.Dead), 0)
		told.LastFailure = &lane.Fault{Reason: "plugin", Error: d.Error}
		if x := r.deadEvent(told, 0, time.Now(), tracing.Delivery{Event: e, Ref: ref}); x != nil {
			events = append(events, store.NewEvent{Event: x, Dedupe: toldDedupe})
		}
	}
	return events
}

// tellOverflow tells that deliveries of a destination have ended by age before they
// could be sent.
func (r *Router) tellOverflow(destination string, n int) {
	r.lanes.Tell(r.ownEvent(toldOverflow, "", destination, "", time.Now(), toldDestination{
		Destination: destination, Status: string(engine{r}.laneState(r.life, destination)), Expired: n,
	}, tracing.Delivery{}))
}
