package lane

import (
	"context"
	"fmt"
	"sync"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// cacheSlots bounds the cache in number and cacheBody in size: a larger event
// is read again by each lane.
const (
	cacheSlots = 512
	cacheBody  = 64 << 10
)

// cache keeps what was read last, by position, because the lanes of a fan-out
// want the same event at nearly the same time. The zero value is ready.
type cache struct {
	mu    sync.Mutex
	slots [cacheSlots]struct {
		event   *event.Event
		routing *store.Routing
	}
}

func (c *cache) load(ctx context.Context, st store.Store, position uint64) (*event.Event, *store.Routing, error) {
	slot := &c.slots[position%cacheSlots]
	c.mu.Lock()
	e, r := slot.event, slot.routing
	c.mu.Unlock()
	if e != nil && e.Position == position {
		return e, r, nil
	}
	e, err := st.Event(ctx, position)
	if err != nil {
		return nil, nil, fmt.Errorf("event at %d: %w", position, err)
	}
	r, err = st.Routing(ctx, position)
	if err != nil {
		return nil, nil, fmt.Errorf("routing of %s: %w", e.ID, err)
	}
	c.keep(e, r)
	return e, r, nil
}

// keep is for an event that lanes will want soon.
func (c *cache) keep(e *event.Event, r *store.Routing) {
	if len(e.Data) > cacheBody || len(r.Deliveries) == 0 {
		return
	}
	for i := range r.Contents {
		if len(r.Contents[i].Data) > cacheBody {
			return
		}
	}
	slot := &c.slots[e.Position%cacheSlots]
	c.mu.Lock()
	defer c.mu.Unlock()
	slot.event, slot.routing = e, r
}

// forget drops a position whose routing has changed.
func (c *cache) forget(position uint64) {
	slot := &c.slots[position%cacheSlots]
	c.mu.Lock()
	defer c.mu.Unlock()
	if slot.event != nil && slot.event.Position == position {
		slot.event, slot.routing = nil, nil
	}
}
