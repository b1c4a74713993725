package api

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
)

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

func (s *server) listDeliveries(c *fiber.Ctx) error {
	q := newQuery(c, "destination", "type", "source", "tenant", "status", "webhook_id", "since", "until", "cursor", "limit")
	ask := store.DeliveryQuery{
		Destination: q.text("destination"), Type: q.text("type"), Source: q.text("source"), Tenant: q.text("tenant"),
		State: q.state("status", store.Sending), Told: true, Since: q.time("since"), Until: q.time("until"), Page: q.page(),
	}
	webhookID := q.text("webhook_id")
	if webhookID != "" && !event.IsWebhookID(webhookID) {
		q.fail("webhook_id must be what a receiver got as the header webhook-id, such as msg_grd5xcxg23w2v7ozvkbqman4vq, not %q", webhookID)
	}
	if q.err != nil {
		return q.err
	}
	list := s.engine.Store().ListDeliveries
	if ask.State == store.Sending {
		list = s.sendingDeliveries
	}
	if webhookID != "" {
		list = withWebhookID(list, webhookID)
	}
	deliveries, next, err := list(c.Context(), ask)
	if err != nil {
		return err
	}
	page := DeliveryList{Deliveries: make([]Delivery, 0, len(deliveries)), Next: next}
	for _, d := range deliveries {
		page.Deliveries = append(page.Deliveries, s.delivery(d))
	}
	return give(c, page)
}

type lister = func(context.Context, store.DeliveryQuery) (list []*store.DeliveryStatus, next string, err error)

// A page of deliveries with a webhook-id looks at so many, fetched so many at a time.
const (
	lookMost   = 10000
	lookAtOnce = 1000
)

// withWebhookID lists those of a list that receivers know by a webhook-id: one, or that
// and its replays. The id is made of what a delivery is of, and nothing is found by it,
// so deliveries are looked at, a bounded number for a page.
func withWebhookID(list lister, id string) lister {
	return func(ctx context.Context, q store.DeliveryQuery) (found []*store.DeliveryStatus, next string, err error) {
		limit := q.Limit
		for looked := 0; looked < lookMost; looked += lookAtOnce {
			q.Limit = lookAtOnce
			page, next, err := list(ctx, q)
			if err != nil {
				return nil, "", err
			}
			for i, d := range page {
				if knownAs(d) != id {
					continue
				}
				if len(found) < limit {
					found = append(found, d)
					continue
				}
				if i == 0 {
					return found, q.Cursor, nil
				}
				q.Limit = i // what comes before it is looked at
				_, next, err = list(ctx, q)
				return found, next, err
			}
			if next == "" || len(page) < lookAtOnce { // then it has looked at as many as it may itself
				return found, next, nil
			}
			q.Cursor = next
		}
		return found, q.Cursor, nil
	}
}

// knownAs is the webhook-id of a delivery, empty for what no receiver gets.
func knownAs(d *store.DeliveryStatus) string {
	if d.Delivery.Lane == store.RoutingLane {
		return ""
	}
	return d.Delivery.WebhookID(d.Ref.Position, d.EventID, d.Route)
}

// sendingDeliveries lists what is being sent at this moment, which the store does
// not know. The cursor is the last one's id.
func (s *server) sendingDeliveries(ctx context.Context, q store.DeliveryQuery) (list []*store.DeliveryStatus, next string, err error) {
	before := store.Ref{Position: math.MaxUint64}
	if q.Cursor != "" {
		if before, err = store.ParseRef(q.Cursor); err != nil {
			return nil, "", store.ErrCursor
		}
	}
	refs := s.engine.InFlight(q.Destination)
	slices.SortFunc(refs, func(a, b store.Ref) int {
		return cmp.Or(cmp.Compare(b.Position, a.Position), cmp.Compare(b.Index, a.Index))
	})
	for _, ref := range refs {
		if !ref.Less(before) {
			continue
		}
		d, err := s.engine.Store().Delivery(ctx, ref)
		if isNotFound(err) { // what routed it is not committed yet
			continue
		}
		if err != nil {
			return nil, "", err
		}
		if d.State != store.Waiting && d.State != store.Retrying ||
			q.Type != "" && !event.MatchType(q.Type, d.Type) || q.Source != "" && q.Source != d.Source || q.Tenant != "" && q.Tenant != d.Tenant ||
			d.Received.Before(q.Since) || !q.Until.IsZero() && !d.Received.Before(q.Until) {
			continue
		}
		if len(list) == q.Limit {
			return list, list[len(list)-1].Ref.String(), nil
		}
		list = append(list, d)
	}
	return list, "", nil
}

// eventDeliveries lists what an event led to, by index. The cursor is an index.
func (s *server) eventDeliveries(c *fiber.Ctx) error {
	e, err := s.findEvent(c, "cursor", "limit")
	if err != nil {
		return err
	}
	q := &query{c: c}
	page := q.page()
	from := uint64(0)
	if page.Cursor != "" {
		if from, err = strconv.ParseUint(page.Cursor, 10, 32); err != nil {
			return store.ErrCursor
		}
	}
	if q.err != nil {
		return q.err
	}
	found, err := s.engine.Store().DeliveriesFrom(c.Context(), e.Position, uint32(from), page.Limit+1)
	if err != nil && !isNotFound(err) { // that is, it is not routed yet
		return err
	}
	list := DeliveryList{Deliveries: []Delivery{}}
	for i, d := range found {
		if i == page.Limit {
			list.Next = strconv.FormatUint(uint64(d.Ref.Index), 10)
			break
		}
		list.Deliveries = append(list.Deliveries, s.delivery(d))
	}
	return give(c, list)
}

// deliveriesOf gives all that an event led to; none while it is not routed.
func (s *server) deliveriesOf(c *fiber.Ctx, e *event.Event) ([]Delivery, error) {
	list, err := s.engine.Store().Deliveries(c.Context(), e.Position)
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	out := make([]Delivery, 0, len(list))
	for _, d := range list {
		out = append(out, s.delivery(d))
	}
	return out, nil
}

func (s *server) showDelivery(c *fiber.Ctx) error {
	r, err := deliveryRef(c)
	if err != nil {
		return err
	}
	d, err := s.engine.Store().Delivery(c.Context(), r)
	if isNotFound(err) {
		return problem.New(http.StatusNotFound, "delivery_not_found", "there is no delivery %s, or its event is older than the store's retention", r)
	}
	if err != nil {
		return err
	}
	return give(c, s.delivery(d))
}

func deliveryRef(c *fiber.Ctx) (store.Ref, error) {
	r, err := store.ParseRef(c.Params("id"))
	if err != nil {
		return r, problem.New(http.StatusNotFound, "delivery_not_found", "there is no such delivery: %v", err)
	}
	return r, nil
}

func (s *server) retryDelivery(c *fiber.Ctx) error {
	return s.moveDelivery(c, http.StatusAccepted, s.engine.RetryDelivery)
}

func (s *server) moveDelivery(c *fiber.Ctx, status int, move func(context.Context, store.Ref) (*store.DeliveryStatus, error)) error {
	r, err := deliveryRef(c)
	if err != nil {
		return err
	}
	d, err := move(context.Background(), r)
	switch {
	case isNotFound(err):
		return problem.New(http.StatusNotFound, "delivery_not_found", "there is no delivery %s, or its event is older than the store's retention", r)
	case errors.Is(err, lane.ErrSending):
		return problem.New(http.StatusConflict, "sending", "the delivery %s is being sent at this moment", r)
	case errors.Is(err, store.ErrOutOfOrder):
		return problem.New(http.StatusConflict, "state_changed", "the delivery %s has just changed its state: look again", r)
	case errors.Is(err, lane.ErrAbove):
		return problem.New(http.StatusConflict, "too_many_cancelled", "%v: cancel the oldest first, or all with weir destinations cancel", err)
	case err != nil:
		return err
	}
	return c.Status(status).JSON(s.delivery(d))
}

func (s *server) delivery(d *store.DeliveryStatus) Delivery {
	out := Delivery{
		ID: d.Ref.String(), EventID: d.EventID, Type: d.Type, Source: d.Source, Tenant: d.Tenant, Route: d.Route,
		Destination: d.Delivery.Lane, Kind: "delivery", Status: string(d.State), Reason: string(d.Reason),
		Note: d.Note, Replay: d.Delivery.Replay, Received: d.Received, Attempts: make([]Attempt, 0, len(d.Attempts)),
	}
	if d.MessageType != d.Type {
		out.MessageType = d.MessageType
	}
	if d.Delivery.Lane == store.RoutingLane {
		out.Kind, out.Destination = "routing", ""
		if out.Note == "" {
			out.Note = d.Delivery.Error
		}
	} else {
		out.WebhookID, out.Webhook = knownAs(d), s.webhookName(d.Delivery.Lane)
	}
	if _, parked := store.Parked(d.Due); parked && d.State == store.Retrying {
		out.Status = string(store.Waiting)
	} else if d.State == store.Retrying && !d.Due.IsZero() {
		due := d.Due.UTC()
		out.Due = &due
	}
	if (d.State == store.Waiting || d.State == store.Retrying) && s.engine.Sending(d.Delivery.Lane, d.Ref) {
		out.Status = string(store.Sending)
	}
	for i := range d.Attempts {
		a := AttemptOf(&d.Attempts[i])
		a.WaitedMS = waited(d, i)
		out.Attempts = append(out.Attempts, a)
	}
	return out
}

// waited is how long a delivery waited for an attempt, nil where that is not known:
// a list holds the last attempt only, and a replay's deliveries are made late.
func waited(d *store.DeliveryStatus, i int) *float64 {
	var from time.Time
	switch {
	case i > 0:
		from = d.Attempts[i-1].Started.Add(d.Attempts[i-1].Latency)
	case d.Attempts[i].Number == 1 && d.Delivery.Replay == "":
		from = d.Received
	default:
		return nil
	}
	ms := max(0, milliseconds(d.Attempts[i].Started.Sub(from)))
	return &ms
}

// AttemptOf is an attempt as the API shows it.
func AttemptOf(a *store.Attempt) Attempt {
	out := Attempt{
		Number: a.Number, Started: a.Started.UTC(), LatencyMS: milliseconds(a.Latency),
		Outcome: a.Reason, Status: a.Status, Error: a.Error,
	}
	if a.Reason == "" {
		out.Outcome = string(store.Delivered)
	}
	if a.DNS+a.Connect+a.TLS+a.FirstByte > 0 {
		out.Phases = &Phases{
			DNS: milliseconds(a.DNS), Connect: milliseconds(a.Connect),
			TLS: milliseconds(a.TLS), FirstByte: milliseconds(a.FirstByte),
		}
	}
	if utf8.Valid(a.Body) {
		out.Response = string(a.Body)
	} else {
		out.ResponseBase64 = a.Body
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
