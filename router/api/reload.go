package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/problem"
)

// Reloaded says what a reload did.
type Reloaded struct {
	// Config is the hash of the configuration that runs now.
	Config string `json:"config"`
	// Changes has every block of the old and the new configuration.
	Changes []Change `json:"changes"`
}

// Change is what became of one block.
type Change struct {
	// Block is such as destination.crm.
	Block string `json:"block"`
	// Result is applied, unchanged, removed or needs_restart.
	Result string `json:"result"`
	// Waiting counts the deliveries that wait on the lane of a removed
	// destination.
	Waiting uint64 `json:"waiting,omitempty"`
}

func (s *server) reload(c *fiber.Ctx) error {
	var ask struct {
		Orphan bool `json:"orphan"`
	}
	if body := c.Request().Body(); len(body) > 0 {
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&ask); err != nil {
			return problem.New(http.StatusBadRequest, "malformed_json", "the body must be like {\"orphan\": true}: %v", err)
		}
	}
	// Not the request's own context: what is loaded outlives the request, whose
	// memory is used again.
	done, err := s.engine.Reload(context.Background(), ask.Orphan)
	if err != nil {
		return err
	}
	return c.JSON(done)
}
