package lane

import (
	"context"
	"slices"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Bounds of the postings that lanes hold in memory with their events, before
// they are read from the store: bytes for all lanes together, postings for each.
// A lane gets fewer once half of the bytes are in use, so that lanes which do
// not move leave room to those that do.
const (
	offeredBytes = 32 << 20
	offeredMany  = 4096
	offeredFew   = 64
)

// posting is a delivery in its lane's order. One that was offered has its event
// and routing with it, the others are read from the store.
type posting struct {
	ref     store.Ref
	event   *event.Event
	routing *store.Routing
	// cost is what it keeps in memory, in bytes, 0 for those without an event.
	// Lanes that share an event count it each: one of them may keep it alone.
	cost int64
}

// Offer tells lanes of a routing that is decided and not committed yet. e is
// durable, so its deliveries may be sent at once; their outcomes wait for Posted.
// A lane that has as much as it may hold leaves a posting to the store, as it does
// where early is not set. Offer and Posted are called for each event in the log's
// order, Offer first.
func (s *Set) Offer(e *event.Event, r *store.Routing, early bool) {
	cost := int64(e.Size() + r.Size())
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if d.Dead != "" || !d.Due.IsZero() {
			continue
		}
		if l := s.get(d.Lane); l != nil {
			l.offer(posting{store.Ref{Position: r.Position, Index: uint32(i)}, e, r, cost}, early)
		}
	}
}

// Posted tells lanes that routing r is committed.
func (s *Set) Posted(r *store.Routing) {
	if r.Again {
		s.cache.forget(r.Position)
	} else {
		select {
		case s.progress <- struct{}{}:
		default:
		}
	}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if d.Dead != "" {
			continue
		}
		l := s.get(d.Lane)
		switch {
		case l == nil:
		case d.Due.IsZero():
			l.posted(store.Ref{Position: r.Position, Index: uint32(i)})
		default:
			l.wake(false, true)
		}
	}
}

// offer takes a posting in, where none that is before it is left to the store.
func (l *lane) offer(p posting, early bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.ref.Less(l.covered) {
		return // read from the store
	}
	used := l.set.offered.Load()
	most := l.set.offeredMany
	if used > offeredBytes/2 {
		most = offeredFew
	}
	if !early || l.idle || l.policy.Pull || l.reading || l.more || l.covered.Less(l.skipped) || len(l.ahead) >= most || used > offeredBytes {
		l.skipped = p.ref.Next()
		return
	}
	l.set.offered.Add(p.cost)
	l.ahead = append(l.ahead, p)
	l.covered = p.ref.Next()
	l.start()
}

// posted says that a posting is in the store.
func (l *lane) posted(ref store.Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.announce()
	if l.reading || !ref.Less(l.covered) {
		l.more = true
		l.start()
	}
}

// forget drops what is known and was not taken: the store has it, or will have
// it. Callers hold mu.
func (l *lane) forget() {
	if l.skipped.Less(l.covered) {
		l.skipped = l.covered
	}
	// Those before next were put back, and the store is read from next on.
	l.ahead = slices.DeleteFunc(l.ahead, func(p posting) bool {
		drop := !p.ref.Less(l.next)
		if drop {
			l.set.offered.Add(-p.cost)
		}
		return drop
	})
	l.covered, l.more = l.next, true
}

// content gives the event of a posting and what routing decided for it.
func (l *lane) content(ctx context.Context, p posting) (*event.Event, *store.Routing, error) {
	if p.event != nil {
		return p.event, p.routing, nil
	}
	return l.set.load(ctx, p.ref.Position)
}

// awaitPosted returns when the routing at a position is committed. It gives
// false when the set ends and it is not.
func (s *Set) awaitPosted(position uint64) bool {
	for s.store.Progress() < position {
		select {
		case <-s.progress:
		case <-s.finish:
			return s.store.Progress() >= position
		}
	}
	return true
}
