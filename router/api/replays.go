package api

import (
	"context"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/replay"
)

// Replays of an engine. Errors about what is asked are problems.
type Replays interface {
	// ReplayEvent delivers one event again. It returns when that is on disk.
	ReplayEvent(ctx context.Context, e *event.Event, ask replay.Ask) (*EventReplay, error)
}

// EventReplay answers a replay of one event.
type EventReplay struct {
	// ID is what its deliveries carry as X-Webhook-Replay.
	ID      string `json:"id"`
	EventID string `json:"event_id"`
	Routes  string `json:"routes"`
	// Deliveries counts those that were made, DeliveryIDs names the first 100.
	Deliveries  int      `json:"deliveries"`
	DeliveryIDs []string `json:"delivery_ids"`
	// Skipped counts deliveries whose destination is not there any more, Failed
	// routes whose plugin failed.
	Skipped int `json:"skipped,omitempty"`
	Failed  int `json:"failed,omitempty"`
}

// EventReplayOptions are the body of a replay of one event.
type EventReplayOptions struct {
	// To is the only destination that gets it, empty for all.
	To string `json:"to,omitempty"`
	// Routes are "original", the default, or "current".
	Routes string `json:"routes,omitempty"`
	NewIDs bool   `json:"new_ids,omitempty"`
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
	// What is begun is done, whatever becomes of the connection.
	out, err := s.engine.ReplayEvent(context.Background(), e, replay.Ask{To: o.To, Routes: replay.Routes(o.Routes), NewIDs: o.NewIDs})
	if err != nil {
		return err
	}
	return c.Status(http.StatusAccepted).JSON(out)
}
