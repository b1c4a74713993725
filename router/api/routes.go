package api

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Routes of an engine.
type Routes interface {
	Routes(ctx context.Context) (*RouteList, error)
}

// RouteList is how events go: from sources by routes through plugins to
// destinations, in the order of the configuration.
type RouteList struct {
	// Since is from when on all is counted: the beginning of an hour, a day ago.
	Since   time.Time `json:"since"`
	Sources []Source  `json:"sources"`
	Routes  []Route   `json:"routes"`
	// Webhooks are the registered ones together, absent where there are none.
	Webhooks *WebhookFlow `json:"webhooks,omitempty"`
}

// Source is where events come in.
type Source struct {
	Name string `json:"name"`
	// Path is that of its URL, empty for the router's own.
	Path   string `json:"path,omitempty"`
	Events uint64 `json:"events"`
}

// Route is one of the configuration, and what went through it.
type Route struct {
	Name string `json:"name"`
	// Events are patterns of types, none for all; When is the condition as it is
	// written.
	Events   []string `json:"events,omitempty"`
	When     string   `json:"when,omitempty"`
	Fallback bool     `json:"fallback,omitempty"`
	// Matched counts the events that it took.
	Matched uint64 `json:"matched"`
	// From counts these by source, Through the messages that each plugin was given,
	// in the order of the chain, and To the deliveries to each destination.
	From    []Flow `json:"from"`
	Through []Flow `json:"through"`
	To      []Flow `json:"to"`
}

// WebhookFlow is what registered webhooks took.
type WebhookFlow struct {
	Registered int    `json:"registered"`
	From       []Flow `json:"from"`
}

// Flow counts what came from, or went to, what the name is of.
type Flow struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

func (s *server) listRoutes(c *fiber.Ctx) error {
	if q := newQuery(c); q.err != nil {
		return q.err
	}
	list, err := s.engine.Routes(c.Context())
	if err != nil {
		return err
	}
	return give(c, list)
}
