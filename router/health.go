package router

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/store"
)

// health tells an operator when a destination begins to fail, when it has
// recovered, and when a delivery is given up: one line each, however many
// attempts fail in between.
type health struct {
	log hclog.Logger

	mu      sync.Mutex
	failing map[string]int // attempts that failed in a row, by destination
}

func (h *health) observe(destination string, w *lane.Work, result *lane.Result, o *store.Outcome) {
	if h.log.IsDebug() {
		h.log.Debug("attempt", "destination", destination, "event", w.Event.ID, "delivery", w.Ref.String(), "number", w.Number,
			"status", result.Attempt.Status, "reason", result.Attempt.Reason, "latency_ms", result.Attempt.Latency.Milliseconds(), "state", o.To)
	}
	h.mu.Lock()
	before := h.failing[destination]
	if o.Attempt == nil { // ended by age
		before = -1
	} else if result.OK {
		delete(h.failing, destination)
	} else {
		if h.failing == nil {
			h.failing = map[string]int{}
		}
		h.failing[destination]++
	}
	h.mu.Unlock()
	switch {
	case result.OK && before > 0:
		h.log.Info("destination has recovered", "destination", destination, "failed_attempts", before)
	case !result.OK && before == 0:
		fields := []any{"destination", destination, "reason", result.Attempt.Reason, "error", result.Attempt.Error}
		if result.Attempt.Status != 0 {
			fields = append(fields, "status", result.Attempt.Status)
		}
		if !o.Due.IsZero() {
			fields = append(fields, "next", o.Due.UTC().Format(time.RFC3339))
		}
		h.log.Warn("destination is failing", fields...)
	}
	if o.To == store.Dead {
		h.log.Error("delivery is dead; to send it again: weir deliveries retry "+w.Ref.String(), "destination", destination,
			"event", w.Event.ID, "type", w.Event.Type, "reason", o.Reason, "attempts", w.Number, "error", result.Attempt.Error)
	}
}
