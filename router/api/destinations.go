package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/problem"
)

// Destinations is what the API asks of the router's lanes. Names that no
// destination and no lane has are a problem, destination_not_found.
type Destinations interface {
	// Destinations lists those that are configured, registered webhooks, and orphaned
	// ones for which something is kept.
	Destinations(ctx context.Context, q DestinationQuery) (*DestinationList, error)
	Destination(ctx context.Context, name string) (*Destination, error)
	PauseDestination(ctx context.Context, name string) error
	ResumeDestination(ctx context.Context, name string) error
	// RecoverDestination sends again what is dead, of events received in a time.
	RecoverDestination(ctx context.Context, name string, since, until time.Time) (*Moved, error)
	// CancelDestination cancels all that waits and is not being sent.
	CancelDestination(ctx context.Context, name string) (*Moved, error)
}

// Destination is a lane with its destination.
type Destination struct {
	Name string `json:"name"`
	// Kind is http, file, stdout and so on; empty for one that is orphaned. URL has
	// no password.
	Kind string `json:"kind,omitempty"`
	URL  string `json:"url,omitempty"`
	// Tenant and UID are those of a registered webhook, where it has them.
	Tenant string `json:"tenant,omitempty"`
	UID    string `json:"uid,omitempty"`
	// Status is active, failing, open, held, paused, disabled or orphaned.
	Status string `json:"status"`
	// Reason says why it is disabled, Since when it was paused or disabled.
	Reason string     `json:"reason,omitempty"`
	Since  *time.Time `json:"since,omitempty"`
	// Next is when a lane that is open sends its next probe, or one that is held
	// goes on.
	Next *time.Time `json:"next,omitempty"`
	// Failures counts the failed attempts since the last success, FailingSince is
	// when the first of them was, and LastFailure the newest.
	Failures     int        `json:"failures,omitempty"`
	FailingSince *time.Time `json:"failing_since,omitempty"`
	LastFailure  *Failure   `json:"last_failure,omitempty"`
	// Depth is what waits and is retrying, Sending what of it is in flight; Oldest
	// is when the event of the oldest was received.
	Depth         uint64     `json:"depth"`
	Sending       int        `json:"sending,omitempty"`
	Oldest        *time.Time `json:"oldest,omitempty"`
	OldestSeconds float64    `json:"oldest_seconds,omitempty"`
	Waiting       uint64     `json:"waiting"`
	Retrying      uint64     `json:"retrying"`
	Dead          uint64     `json:"dead"`
	Delivered     uint64     `json:"delivered"`
	Cancelled     uint64     `json:"cancelled"`
}

// Failure is how an attempt failed.
type Failure struct {
	// Reason is the class of the error.
	Reason string `json:"reason,omitempty"`
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

// DestinationQuery selects destinations. Empty fields select all.
type DestinationQuery struct {
	Statuses []string
	// After is the name of the last one of the page before.
	After string
	// Limit is the most that are given.
	Limit int
}

// DestinationList is a page of them, in order of name.
type DestinationList struct {
	Destinations []Destination `json:"destinations"`
	Next         string        `json:"next,omitempty"`
	// Total is of all destinations, whatever the page; only the first page has it.
	Total *DestinationTotal `json:"total,omitempty"`
}

// DestinationTotal adds destinations up.
type DestinationTotal struct {
	// Statuses says how many destinations have each status.
	Statuses map[string]int `json:"statuses"`
	Depth    uint64         `json:"depth"`
	Dead     uint64         `json:"dead"`
	// Oldest is when the oldest event was received that waits for one of them.
	Oldest *time.Time `json:"oldest,omitempty"`
}

// statuses are those that a destination can have.
var statuses = []string{"active", "failing", "open", "held", "paused", "disabled", "orphaned"}

// Moved says what a change of many deliveries did.
type Moved struct {
	// Moved counts the deliveries that were changed, Skipped those that could not
	// be, such as one that is being sent.
	Moved   int `json:"moved"`
	Skipped int `json:"skipped,omitempty"`
	// Next is where the next call goes on, as cursor; empty when all is done.
	Next string `json:"next,omitempty"`
}

func (s *server) listDestinations(c *fiber.Ctx) error {
	q := newQuery(c, "status", "cursor", "limit")
	page := q.page()
	ask := DestinationQuery{After: page.Cursor, Limit: page.Limit, Statuses: q.someOf("status", statuses)}
	if q.err != nil {
		return q.err
	}
	list, err := s.engine.Destinations(c.Context(), ask)
	if err != nil {
		return err
	}
	return give(c, list)
}

func (s *server) showDestination(c *fiber.Ctx) error {
	name, err := nameOf(c)
	if err != nil {
		return err
	}
	d, err := s.engine.Destination(c.Context(), name)
	if err != nil {
		return err
	}
	return give(c, d)
}

// nameOf is the name in the path, copied.
func nameOf(c *fiber.Ctx) (string, error) {
	name, err := url.PathUnescape(strings.Clone(c.Params("name")))
	if err != nil {
		return "", problem.New(http.StatusBadRequest, "bad_name", "the name in the path is not well escaped: %v", err)
	}
	return name, nil
}

func (s *server) pauseDestination(c *fiber.Ctx) error {
	return s.changeDestination(c, s.engine.PauseDestination)
}

func (s *server) resumeDestination(c *fiber.Ctx) error {
	return s.changeDestination(c, s.engine.ResumeDestination)
}

// changeDestination answers with the destination as it is then.
func (s *server) changeDestination(c *fiber.Ctx, change func(context.Context, string) error) error {
	name, err := nameOf(c)
	if err != nil {
		return err
	}
	if err := decode(c, &struct{}{}, "{}"); err != nil {
		return err
	}
	// What is begun is done, whatever becomes of the connection.
	ctx := context.Background()
	if err := change(ctx, name); err != nil {
		return err
	}
	d, err := s.engine.Destination(ctx, name)
	if err != nil {
		return err
	}
	return give(c, d)
}

func (s *server) recoverDestination(c *fiber.Ctx) error {
	name, err := nameOf(c)
	if err != nil {
		return err
	}
	var ask struct {
		Since time.Time `json:"since"`
		Until time.Time `json:"until"`
	}
	if err := decode(c, &ask, `{"since": "2024-01-01T12:00:00Z", "until": "2024-01-02T12:00:00Z"}`); err != nil {
		return err
	}
	moved, err := s.engine.RecoverDestination(context.Background(), name, ask.Since, ask.Until)
	if err != nil {
		return err
	}
	return c.Status(http.StatusAccepted).JSON(moved)
}

func (s *server) cancelDestination(c *fiber.Ctx) error {
	name, err := nameOf(c)
	if err != nil {
		return err
	}
	if err := decode(c, &struct{}{}, "{}"); err != nil {
		return err
	}
	moved, err := s.engine.CancelDestination(context.Background(), name)
	if err != nil {
		return err
	}
	return c.JSON(moved)
}

// decode reads a body that may be left out. like shows how it should be.
func decode(c *fiber.Ctx, into any, like string) error {
	body := c.Request().Body()
	if len(body) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.More() {
		err = errMore
	}
	if err != nil {
		return problem.New(http.StatusBadRequest, "malformed_json", "the body must be like %s: %s", like, problem.Misread(err))
	}
	return nil
}
