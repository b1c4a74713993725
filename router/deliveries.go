package router

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// RetryDelivery makes a delivery due now that is retrying, dead or cancelled. It
// gives store.ErrNotFound, lane.ErrSending, or a problem for other states.
func (e engine) RetryDelivery(ctx context.Context, ref store.Ref) (*store.DeliveryStatus, error) {
	return e.moveDelivery(ctx, ref, retryable, e.lanes.Retry)
}

// CancelDelivery ends a delivery that waits, is retrying or dead, with the errors
// of RetryDelivery, or lane.ErrAbove.
func (e engine) CancelDelivery(ctx context.Context, ref store.Ref) (*store.DeliveryStatus, error) {
	return e.moveDelivery(ctx, ref, cancellable, e.lanes.CancelDelivery)
}

func (e engine) moveDelivery(
	ctx context.Context, ref store.Ref, may func(*store.DeliveryStatus) error, move func(context.Context, *store.DeliveryStatus) error,
) (*store.DeliveryStatus, error) {
	d, err := e.store.Delivery(ctx, ref)
	if err != nil {
		return nil, err
	}
	if err := may(d); err != nil {
		return nil, err
	}
	if err := e.deleted(d); err != nil && d.State.Final() {
		return nil, err
	}
	if err := move(ctx, d); err != nil {
		return nil, err
	}
	return e.store.Delivery(ctx, ref)
}

// deleted is a problem where a delivery is for a webhook that was deleted.
func (e engine) deleted(d *store.DeliveryStatus) error {
	if name := d.Delivery.Lane; webhook.IsID(name) && e.webhooks.registry.IsGone(name) {
		return problem.New(http.StatusConflict, "webhook_deleted", "the webhook %s was deleted, so %s can't be sent again", name, d.Ref)
	}
	return nil
}

// retryable is nil for a delivery that can be tried again, else a problem.
func retryable(d *store.DeliveryStatus) error {
	switch d.State {
	case store.Cancelled:
		if d.Delivery.Lane == store.RoutingLane {
			return problem.New(http.StatusConflict, "already_routed", "the route was run again for %s, or it was cancelled; its deliveries are in weir explain %s", d.Ref, d.EventID)
		}
		return nil
	case store.Retrying, store.Dead:
		return nil
	case store.Delivered:
		return problem.New(http.StatusConflict, "already_delivered", "the delivery %s was delivered; retry is for those that were not", d.Ref)
	}
	return problem.New(http.StatusConflict, "not_tried", "the delivery %s waits for its first attempt", d.Ref)
}

// cancellable is nil for a delivery that can be cancelled, else a problem.
func cancellable(d *store.DeliveryStatus) error {
	switch d.State {
	case store.Delivered:
		return problem.New(http.StatusConflict, "already_delivered", "the delivery %s was delivered", d.Ref)
	case store.Cancelled:
		return problem.New(http.StatusConflict, "already_cancelled", "the delivery %s is cancelled", d.Ref)
	}
	return nil
}

const (
	// moveStep is how many deliveries are changed in one record.
	moveStep = 500
	// moveFor is how long one call changes deliveries before it answers.
	moveFor = 20 * time.Second
)

// MoveDeliveries retries or cancels the dead letters among refs.
func (e engine) MoveDeliveries(ctx context.Context, refs []store.Ref, to store.State) (*api.Moved, error) {
	out := &api.Moved{}
	var list []*store.DeliveryStatus
	for _, r := range refs {
		d, err := e.store.Delivery(ctx, r)
		if errors.Is(err, store.ErrNotFound) || err == nil && d.State != store.Dead {
			out.Skipped++
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return out, e.moveList(ctx, list, to, out)
}

// MoveDead retries or cancels the dead letters that q finds. Those that die again
// meanwhile are not found a second time.
func (e engine) MoveDead(ctx context.Context, q store.DeliveryQuery, to store.State) (*api.Moved, error) {
	out := &api.Moved{}
	most, end := q.Limit, time.Now().Add(moveFor)
	for {
		q.Limit = moveStep
		if most > 0 {
			q.Limit = min(moveStep, most-out.Moved)
		}
		list, next, err := e.store.ListDeliveries(ctx, q)
		if err != nil {
			return nil, err
		}
		if err := e.moveList(ctx, list, to, out); err != nil {
			return nil, err
		}
		q.Cursor = next
		if next == "" || most > 0 && out.Moved >= most || time.Now().After(end) {
			out.Next = next
			return out, nil
		}
	}
}

func (e engine) moveList(ctx context.Context, list []*store.DeliveryStatus, to store.State, out *api.Moved) error {
	byLane := map[string][]lane.Change{}
	now := e.lanes.Now()
	for _, d := range list {
		o := store.Outcome{Ref: d.Ref, From: store.Dead, To: to, Note: "cancelled by hand"}
		if to == store.Retrying {
			o.Due, o.Note = now, "retried by hand"
		} else {
			o.Tries = d.Tries
		}
		byLane[d.Delivery.Lane] = append(byLane[d.Delivery.Lane], lane.Change{Outcome: o})
	}
	for name, changes := range byLane {
		moved, err := e.lanes.Move(ctx, name, changes)
		out.Moved += len(moved)
		out.Skipped += len(changes) - len(moved)
		if err != nil && !errors.Is(err, lane.ErrSending) && !errors.Is(err, store.ErrOutOfOrder) {
			return err
		}
	}
	return nil
}
