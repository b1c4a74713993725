package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
)

var errMore = errors.New("there is more behind it")

// DeadLetterList is a page of dead letters, newest event first.
type DeadLetterList struct {
	DeadLetters []Delivery `json:"dead_letters"`
	// Total is how many there are, of the destination that is asked for or of all:
	// other filters are not counted.
	Total uint64 `json:"total"`
	Next  string `json:"next,omitempty"`
}

// DeadLetterFilter chooses dead letters. Empty fields choose all; with IDs only
// those are meant.
type DeadLetterFilter struct {
	IDs         []string  `json:"ids,omitempty"`
	Type        string    `json:"type,omitempty"`
	Source      string    `json:"source,omitempty"`
	Destination string    `json:"destination,omitempty"`
	Tenant      string    `json:"tenant,omitempty"`
	Since       time.Time `json:"since,omitzero"`
	Until       time.Time `json:"until,omitzero"`
	// Limit is the most that are changed, 0 for all that one call gets to: Next of
	// the answer says where to go on, as Cursor.
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// maxIDs bounds the ids of one call.
const maxIDs = 1000

func (s *server) listDeadLetters(c *fiber.Ctx) error {
	q := newQuery(c, "destination", "type", "source", "tenant", "since", "until", "cursor", "limit")
	ask := store.DeliveryQuery{
		Destination: q.text("destination"), Type: q.text("type"), Source: q.text("source"), Tenant: q.text("tenant"),
		State: store.Dead, Since: q.time("since"), Until: q.time("until"), Page: q.page(),
	}
	if q.err != nil {
		return q.err
	}
	deliveries, next, err := s.engine.Store().ListDeliveries(c.Context(), ask)
	if err != nil {
		return err
	}
	list := DeadLetterList{DeadLetters: make([]Delivery, 0, len(deliveries)), Next: next}
	for _, d := range deliveries {
		list.DeadLetters = append(list.DeadLetters, s.delivery(d))
	}
	if list.Total, err = s.dead(c.Context(), ask.Destination); err != nil {
		return err
	}
	return give(c, list)
}

// dead counts the dead letters of a destination, or of all.
func (s *server) dead(ctx context.Context, destination string) (uint64, error) {
	if destination != "" {
		l, err := s.engine.Store().Lane(ctx, destination)
		return l.Counts.Dead, err
	}
	lanes, err := s.engine.Store().Lanes(ctx)
	var n uint64
	for i := range lanes {
		n += lanes[i].Counts.Dead
	}
	return n, err
}

func (s *server) retryDeadLetters(c *fiber.Ctx) error {
	return s.moveDeadLetters(c, http.StatusAccepted, store.Retrying)
}

func (s *server) cancelDeadLetters(c *fiber.Ctx) error {
	return s.moveDeadLetters(c, http.StatusOK, store.Cancelled)
}

func (s *server) moveDeadLetters(c *fiber.Ctx, status int, to store.State) error {
	var f DeadLetterFilter
	if len(c.Request().Body()) == 0 {
		return problem.New(http.StatusBadRequest, "filter_required", `say which: {"destination": "crm"}, {"ids": ["dlv_…"]}, or {} for all`)
	}
	if err := decode(c, &f, `{"destination": "crm", "since": "2024-01-01T12:00:00Z"}`); err != nil {
		return err
	}
	switch {
	case f.Limit < 0:
		return problem.New(http.StatusBadRequest, "bad_parameter", "limit must be a number from 1, or left out")
	case len(f.IDs) > maxIDs:
		return problem.New(http.StatusBadRequest, "bad_parameter", "ids may name %d dead letters", maxIDs)
	}
	refs := make([]store.Ref, 0, len(f.IDs))
	for _, id := range f.IDs {
		r, err := store.ParseRef(id)
		if err != nil {
			return problem.New(http.StatusBadRequest, "bad_delivery_id", "%v", err)
		}
		refs = append(refs, r)
	}
	ctx := context.Background()
	var moved *Moved
	var err error
	if f.IDs != nil {
		moved, err = s.engine.MoveDeliveries(ctx, refs, to)
	} else {
		moved, err = s.engine.MoveDead(ctx, store.DeliveryQuery{
			Destination: f.Destination, Type: f.Type, Source: f.Source, Tenant: f.Tenant, State: store.Dead,
			Since: f.Since, Until: f.Until, Page: store.Page{Cursor: f.Cursor, Limit: f.Limit},
		}, to)
	}
	if err != nil {
		return err
	}
	return c.Status(status).JSON(moved)
}

func (s *server) cancelDelivery(c *fiber.Ctx) error {
	return s.moveDelivery(c, http.StatusOK, s.engine.CancelDelivery)
}
