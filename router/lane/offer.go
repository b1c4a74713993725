package lane

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Bounds of the postings that lanes hold in memory with their events, before
// they are read from the store: bytes for all lanes together, postings for each.
// A lane in which nothing has ended for a while gets fewer, and fewer still once
// half of the bytes are in use, so that lanes which do not move leave room to those
// that do.
const (
	offeredBytes = 32 << 20
	offeredMany  = 16384 // to a lane that moves
	offeredSome  = 1024  // to one that does not
	offeredFew   = 64    // to any, where there is little room
	offeredStill = time.Second
)

// posting is a delivery in its lane's order. One that was offered has its event
// and routing with it, the others are read from the store.
type posting struct {
	ref   store.Ref
	offer *offer // nil: read it
}

// offer is an event with what routing decided for it, as the lanes that it goes to
// hold it together. It counts against offeredBytes once, until the last of them has
// let go of it.
type offer struct {
	event   *event.Event
	routing *store.Routing
	bytes   int64
	holders atomic.Int32
}

// postingBytes is about what a posting takes in memory besides its event: in ahead
// first, then among taken and busy.
const postingBytes = 64

// keepOffer is called for each posting that gets an offer, and dropOffer when it is over.
func (s *Set) keepOffer(o *offer) {
	o.holders.Add(1)
	s.offered.Add(postingBytes)
}

func (s *Set) dropOffer(o *offer) {
	if o == nil {
		return
	}
	s.offered.Add(-postingBytes)
	s.letGo(o)
}

func (s *Set) letGo(o *offer) {
	if o.holders.Add(-1) == 0 {
		s.offered.Add(-o.bytes)
	}
}

// Offer tells lanes of a routing that is decided and not committed yet. e is
// durable, so its deliveries may be sent at once; their outcomes wait for Posted.
// A lane that has as much as it may hold leaves a posting to the store, as it does
// where early is not set. Offer and Posted are called for each event in the log's
// order, Offer first.
func (s *Set) Offer(e *event.Event, r *store.Routing, early bool) {
	if len(r.Deliveries) == 0 {
		return
	}
	o := &offer{event: e, routing: r, bytes: int64(e.Size() + r.Size())}
	o.holders.Store(1) // this call, so that a lane which is quick does not end it
	s.offered.Add(o.bytes)
	defer s.letGo(o)
	now := s.now()
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if d.Dead != "" || !d.Due.IsZero() {
			continue
		}
		if l := s.get(d.Lane); l != nil {
			l.offer(store.Ref{Position: r.Position, Index: uint32(i)}, o, early, now)
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
func (l *lane) offer(ref store.Ref, o *offer, early bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ref.Less(l.covered) {
		return // read from the store
	}
	used := l.set.offered.Load()
	if !early || l.idle || l.policy.Pull || l.reading || l.more || l.covered.Less(l.skipped) ||
		len(l.ahead) >= l.mayHold(used, now) || used > offeredBytes {
		l.skipped = ref.Next()
		return
	}
	l.set.keepOffer(o)
	l.ahead = append(l.ahead, posting{ref, o})
	l.covered = ref.Next()
	l.start()
}

// mayHold is how many postings the lane may hold with their events, while all lanes
// use so many bytes.
func (l *lane) mayHold(used int64, now time.Time) int {
	most := l.set.offeredMany
	switch moves := now.Sub(l.moved) < offeredStill; {
	case used > offeredBytes/8*7, used > offeredBytes/2 && !moves:
		return min(most, offeredFew)
	case !moves:
		return min(most, offeredSome)
	}
	return most
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
			l.set.dropOffer(p.offer)
		}
		return drop
	})
	l.covered, l.more = l.next, true
}

// content gives the event of a posting and what routing decided for it.
func (l *lane) content(ctx context.Context, p posting) (*event.Event, *store.Routing, error) {
	if p.offer != nil {
		return p.offer.event, p.offer.routing, nil
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
