package lane

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// cacheBytes bounds the cache, and cacheBody what is kept of one event: a larger
// one is read again by each lane. cacheGone is how many that are gone may stay in
// its order.
const (
	cacheBytes = 8 << 20
	cacheBody  = 64 << 10
	cacheGone  = 1024
)

// cache keeps what was read last, by position, because the lanes of a fan-out
// want the same event at nearly the same time: the first one reads it for all. What
// was kept first goes first. The zero value is ready.
type cache struct {
	mu      sync.Mutex
	kept    map[uint64]*kept
	order   []*kept // as they came, those that are gone included
	bytes   int
	reading map[uint64]*reading
}

type kept struct {
	event   *event.Event
	routing *store.Routing
	bytes   int
}

// reading is what one lane reads, and others wait for.
type reading struct {
	done chan struct{} // closed when the rest is there
	kept
	err error
}

func (c *cache) load(ctx context.Context, st store.Store, position uint64) (*event.Event, *store.Routing, error) {
	c.mu.Lock()
	if k := c.kept[position]; k != nil {
		c.mu.Unlock()
		return k.event, k.routing, nil
	}
	if x := c.reading[position]; x != nil {
		c.mu.Unlock()
		<-x.done // whoever reads it has no other context than its set's
		return x.event, x.routing, x.err
	}
	x := &reading{done: make(chan struct{})}
	if c.reading == nil {
		c.reading = map[uint64]*reading{}
	}
	c.reading[position] = x
	c.mu.Unlock()
	x.event, x.routing, x.err = read(ctx, st, position)
	c.mu.Lock()
	current := c.reading[position] == x // else it was forgotten meanwhile
	if current {
		delete(c.reading, position)
	}
	if current && x.err == nil {
		c.keep(x.event, x.routing)
	}
	c.mu.Unlock()
	close(x.done)
	return x.event, x.routing, x.err
}

func read(ctx context.Context, st store.Store, position uint64) (*event.Event, *store.Routing, error) {
	e, err := st.Event(ctx, position)
	if err != nil {
		return nil, nil, fmt.Errorf("event at %d: %w", position, err)
	}
	r, err := st.Routing(ctx, position)
	if err != nil {
		return nil, nil, fmt.Errorf("routing of %s: %w", e.ID, err)
	}
	return e, r, nil
}

// keep is for an event that lanes will want soon. Callers hold mu.
func (c *cache) keep(e *event.Event, r *store.Routing) {
	if len(e.Data) > cacheBody || len(r.Deliveries) == 0 {
		return
	}
	for i := range r.Contents {
		if len(r.Contents[i].Data) > cacheBody {
			return
		}
	}
	k := &kept{e, r, e.Size() + r.Size()}
	if c.kept == nil {
		c.kept = map[uint64]*kept{}
	}
	c.drop(c.kept[e.Position])
	c.kept[e.Position] = k
	c.order = append(c.order, k)
	c.bytes += k.bytes
	for c.bytes > cacheBytes {
		c.drop(c.order[0])
		c.order = c.order[1:]
	}
	if len(c.order) > 2*len(c.kept)+cacheGone {
		c.order = slices.DeleteFunc(c.order, func(k *kept) bool { return c.kept[k.event.Position] != k })
	}
}

// forget drops a position whose routing has changed.
func (c *cache) forget(position uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(c.kept[position])
	delete(c.reading, position)
}

// drop lets go of one that may be nil, or gone already.
func (c *cache) drop(k *kept) {
	if k != nil && c.kept[k.event.Position] == k {
		c.bytes -= k.bytes
		delete(c.kept, k.event.Position)
	}
}
