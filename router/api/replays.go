package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/replay"
)

// Replays of an engine. Errors about what is asked are problems.
type Replays interface {
	// ReplayEvent delivers one event again. It returns when that is on disk.
	ReplayEvent(ctx context.Context, e *event.Event, ask replay.Ask) (*EventReplay, error)
	// PreviewReplay says what ReplayEvent would send, and changes nothing.
	PreviewReplay(ctx context.Context, e *event.Event, ask replay.Ask) (*EventReplay, error)
	// StartReplay begins one in bulk, of so many events a second, 0 for as many as
	// can be. It returns when that is on disk.
	StartReplay(ctx context.Context, ask replay.Ask, rate int) (replay.State, error)
	// CountReplay says what StartReplay would make, in a bounded time; whole is false
	// where that was not enough.
	CountReplay(ctx context.Context, ask replay.Ask) (counts replay.Counts, whole bool, err error)
	// Replays are those in bulk, newest first.
	Replays() []replay.State
	Replay(id string) (replay.State, error)
	// CancelReplay ends one; what it has made goes on.
	CancelReplay(id string) (replay.State, error)
}

// EventReplay answers a replay of one event, or a dry run of one.
type EventReplay struct {
	// ID is what its deliveries carry as X-Webhook-Replay; a dry run has none.
	ID      string `json:"id,omitempty"`
	DryRun  bool   `json:"dry_run,omitempty"`
	EventID string `json:"event_id"`
	Routes  string `json:"routes"`
	// Deliveries counts those that were made, DeliveryIDs names the first 100. Of a
	// dry run they are those that would be, which WouldSend tells.
	Deliveries  int            `json:"deliveries"`
	DeliveryIDs []string       `json:"delivery_ids"`
	WouldSend   []ReplayedSend `json:"would_send,omitempty"`
	// Skipped counts deliveries whose destination is not there any more, Failed
	// routes whose plugin failed.
	Skipped int `json:"skipped,omitempty"`
	Failed  int `json:"failed,omitempty"`
}

// ReplayedSend is a delivery that a replay would make.
type ReplayedSend struct {
	Route       string `json:"route"`
	Destination string `json:"destination"`
	// WebhookID is the one that it would have, which the receiver may have seen; empty
	// where the replay is to make new ones.
	WebhookID string `json:"webhook_id,omitempty"`
}

// EventReplayOptions are the body of a replay of one event.
type EventReplayOptions struct {
	// To is the only destination that gets it, empty for all.
	To string `json:"to,omitempty"`
	// Routes are "original", the default, or "current".
	Routes string `json:"routes,omitempty"`
	NewIDs bool   `json:"new_ids,omitempty"`
	// DryRun only says what would be sent.
	DryRun bool `json:"dry_run,omitempty"`
}

// ReplayOptions choose stored events and say how they are delivered again. Empty
// fields of the filter choose all.
type ReplayOptions struct {
	Type   string `json:"type,omitempty"`
	Source string `json:"source,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	// Destination chooses events that went there. Unless To says otherwise it is the
	// only one that gets them.
	Destination string    `json:"destination,omitempty"`
	Since       time.Time `json:"since,omitzero"`
	Until       time.Time `json:"until,omitzero"`
	EventReplayOptions
	// Rate is how many events a second, 0 for as many as can be.
	Rate int `json:"rate,omitempty"`
}

// Replay is one in bulk. Of a dry run it has the counts only.
type Replay struct {
	ID string `json:"id,omitempty"`
	// Status is running, done or cancelled.
	Status      string     `json:"status,omitempty"`
	DryRun      bool       `json:"dry_run,omitempty"`
	Type        string     `json:"type,omitempty"`
	Source      string     `json:"source,omitempty"`
	Tenant      string     `json:"tenant,omitempty"`
	Destination string     `json:"destination,omitempty"`
	Since       *time.Time `json:"since,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	To          string     `json:"to,omitempty"`
	Routes      string     `json:"routes,omitempty"`
	NewIDs      bool       `json:"new_ids,omitempty"`
	Rate        int        `json:"rate,omitempty"`
	Created     *time.Time `json:"created,omitempty"`
	Ended       *time.Time `json:"ended,omitempty"`
	// Looked counts the events of the log that were looked at, Total all that are.
	Looked uint64 `json:"looked"`
	Total  uint64 `json:"total"`
	// Events that are delivered again, and Deliveries of them.
	Events     int `json:"events"`
	Deliveries int `json:"deliveries"`
	// Skipped counts deliveries whose destination is not there any more, Failed
	// routes whose plugin failed and events that could not be stored.
	Skipped int `json:"skipped"`
	Failed  int `json:"failed"`
	// Partial: a dry run has not counted all, because that would have taken too long.
	Partial bool `json:"partial,omitempty"`
}

// ReplayList is all that are remembered, newest first.
type ReplayList struct {
	Replays []Replay `json:"replays"`
}

// maxReplayRate is the largest rate of a replay, in events a second.
const maxReplayRate = 1_000_000

func (s *server) startReplay(c *fiber.Ctx) error {
	if len(c.Request().Body()) == 0 {
		return problem.New(http.StatusBadRequest, "filter_required", `say which: {"type": "order.*", "since": "2024-01-01T12:00:00Z"}, or {} for all`)
	}
	var o ReplayOptions
	if err := decode(c, &o, `{"type": "order.*", "since": "2024-01-01T12:00:00Z", "to": "crm"}`); err != nil {
		return err
	}
	if o.Rate < 0 || o.Rate > maxReplayRate {
		return problem.New(http.StatusBadRequest, "bad_parameter", "rate must be a number of events a second from 1 to %d, or left out", maxReplayRate)
	}
	ask := replay.Ask{
		Type: o.Type, Source: o.Source, Tenant: o.Tenant, Destination: o.Destination, Since: o.Since.UTC(), Until: o.Until.UTC(),
		To: o.To, Routes: replay.Routes(o.Routes), NewIDs: o.NewIDs,
	}
	ctx := context.Background()
	if o.DryRun {
		counts, whole, err := s.engine.CountReplay(ctx, ask)
		if err != nil {
			return err
		}
		out := replayOf(&replay.State{Ask: ask, Counts: counts})
		out.DryRun, out.Partial = true, !whole
		return give(c, out)
	}
	st, err := s.engine.StartReplay(ctx, ask, o.Rate)
	if err != nil {
		return err
	}
	return c.Status(http.StatusAccepted).JSON(replayOf(&st))
}

func (s *server) listReplays(c *fiber.Ctx) error {
	if q := newQuery(c); q.err != nil {
		return q.err
	}
	list := ReplayList{Replays: []Replay{}}
	for _, st := range s.engine.Replays() {
		list.Replays = append(list.Replays, *replayOf(&st))
	}
	return give(c, list)
}

func (s *server) showReplay(c *fiber.Ctx) error {
	return s.answerReplay(c, s.engine.Replay)
}

func (s *server) cancelReplay(c *fiber.Ctx) error {
	return s.answerReplay(c, s.engine.CancelReplay)
}

func (s *server) answerReplay(c *fiber.Ctx, do func(string) (replay.State, error)) error {
	st, err := do(strings.Clone(c.Params("id")))
	if err != nil {
		return err
	}
	return give(c, replayOf(&st))
}

func replayOf(st *replay.State) *Replay {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	out := &Replay{
		ID: st.ID, Status: string(st.Status), Type: st.Type, Source: st.Source, Tenant: st.Tenant, Destination: st.Destination,
		Since: at(st.Since), Until: at(st.Until), To: st.To, Routes: string(st.Routes), NewIDs: st.NewIDs, Rate: st.Rate,
		Created: at(st.Created), Ended: at(st.Ended),
		Events: st.Events, Deliveries: st.Deliveries, Skipped: st.Skipped, Failed: st.Failed,
	}
	if st.ID != "" && st.First <= st.Last {
		out.Looked, out.Total = st.Next-st.First, st.Last-st.First+1
	}
	return out
}

func (s *server) replayEvent(c *fiber.Ctx) error {
	e, err := s.findEvent(c)
	if err != nil {
		return err
	}
	var o EventReplayOptions
	if err := decode(c, &o, `{"to": "crm", "routes": "original"}`); err != nil {
		return err
	}
	ask := replay.Ask{To: o.To, Routes: replay.Routes(o.Routes), NewIDs: o.NewIDs}
	if o.DryRun {
		out, err := s.engine.PreviewReplay(context.Background(), e, ask)
		if err != nil {
			return err
		}
		return give(c, out)
	}
	// What is begun is done, whatever becomes of the connection.
	out, err := s.engine.ReplayEvent(context.Background(), e, ask)
	if err != nil {
		return err
	}
	return c.Status(http.StatusAccepted).JSON(out)
}
