package lane

import (
	"context"
	"sync"
	"testing"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// reads counts what is read of a store.
type reads struct {
	store.Store
	events map[uint64]int
	body   int
	begun  chan struct{} // where not nil, is told of each read, which then waits for goOn
	goOn   chan struct{}
}

func (r *reads) Event(_ context.Context, position uint64) (*event.Event, error) {
	r.events[position]++
	if r.begun != nil {
		r.begun <- struct{}{}
		<-r.goOn
	}
	return &event.Event{Position: position, Data: make([]byte, r.body)}, nil
}

func (r *reads) Routing(_ context.Context, position uint64) (*store.Routing, error) {
	return &store.Routing{Position: position, Deliveries: make([]store.Delivery, 1)}, nil
}

func load(t *testing.T, c *cache, st store.Store, position uint64) {
	t.Helper()
	e, r, err := c.load(t.Context(), st, position)
	if err != nil || e.Position != position || r.Position != position {
		t.Errorf("position %d: %v, %v, %v", position, e, r, err)
	}
}

// Lanes that are thousands of events apart read each of them once.
func TestCacheIsShared(t *testing.T) {
	st, c := &reads{events: map[uint64]int{}, body: 1024}, &cache{}
	for p := uint64(1); p <= 6000; p++ {
		load(t, c, st, p)
		if p > 4000 {
			load(t, c, st, p-4000)
		}
	}
	for p, n := range st.events {
		if n != 1 {
			t.Fatalf("the event at %d was read %d times", p, n)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	st, c := &reads{events: map[uint64]int{}, body: 32 << 10}, &cache{}
	for p := uint64(1); p <= 2000; p++ {
		load(t, c, st, p)
		if c.bytes > cacheBytes {
			t.Fatalf("it holds %d bytes", c.bytes)
		}
	}
	load(t, c, st, 1)
	if st.events[1] != 2 {
		t.Error("the first one was kept")
	}
	for range 5000 { // what is read and forgotten again and again
		c.forget(7)
		load(t, c, st, 7)
	}
	if n := len(c.order); n > 2*len(c.kept)+cacheGone {
		t.Errorf("the order of %d has %d", len(c.kept), n)
	}
	c.forget(7)
	reads := st.events[7]
	load(t, c, st, 7)
	if st.events[7] != reads+1 {
		t.Error("what was forgotten was not read again")
	}
	total := 0
	for _, k := range c.kept {
		total += k.bytes
	}
	if total != c.bytes {
		t.Errorf("it counts %d bytes and holds %d", c.bytes, total)
	}
	st.body = cacheBody + 1
	load(t, c, st, 9000)
	load(t, c, st, 9000)
	if st.events[9000] != 2 {
		t.Error("a large one was kept")
	}
}

// Lanes that want the same event at the same moment read it once, and none of them
// keeps what was forgotten while it was read.
func TestCacheReadsOnceForAllWhoWait(t *testing.T) {
	const lanes = 5
	st, c := &reads{events: map[uint64]int{}, begun: make(chan struct{}), goOn: make(chan struct{})}, &cache{}
	var all sync.WaitGroup
	for range lanes {
		all.Go(func() { load(t, c, st, 1) })
	}
	<-st.begun
	c.mu.Lock()
	x := c.reading[1]
	c.mu.Unlock()
	c.forget(1)
	all.Go(func() { load(t, c, st, 1) }) // of the routing as it is now
	<-st.begun
	close(st.goOn)
	all.Wait()
	if n := st.events[1]; n != 2 {
		t.Errorf("it was read %d times", n)
	}
	if k := c.kept[1]; k == nil || k.event == x.event || len(c.reading) != 0 {
		t.Errorf("it keeps %v, and %d are being read", k, len(c.reading))
	}
}
