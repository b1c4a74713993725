package api

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"
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

// Config is the configuration that runs.
type Config struct {
	// SHA256 is the hash over all that was read: the files, what file() read, the
	// modules, the values of variables.
	SHA256 string    `json:"sha256"`
	Loaded time.Time `json:"loaded"`
	// Files are in the order in which they were read.
	Files []ConfigFile `json:"files"`
	// LastReload is null where there was none since the start.
	LastReload *LastReload `json:"last_reload"`
}

// ConfigFile is a file of the configuration as it was when it was read.
type ConfigFile struct {
	Name string `json:"name"`
	// Text has asterisks in place of secrets.
	Text string `json:"text"`
}

// LastReload is how the last one ended.
type LastReload struct {
	Time time.Time `json:"time"`
	// Result is applied or refused.
	Result string `json:"result"`
	// Reason is why it was refused.
	Reason string `json:"reason,omitempty"`
}

func (s *server) config(c *fiber.Ctx) error { return give(c, s.engine.Config()) }

func (s *server) reload(c *fiber.Ctx) error {
	var ask struct {
		Orphan bool `json:"orphan"`
	}
	if err := decode(c, &ask, `{"orphan": true}`); err != nil {
		return err
	}
	// Not the request's own context: what is loaded outlives the request, whose
	// memory is used again.
	done, err := s.engine.Reload(context.Background(), ask.Orphan)
	if err != nil {
		return err
	}
	return c.JSON(done)
}
