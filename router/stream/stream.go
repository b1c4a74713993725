// Package stream tells whoever listens what happens now: events as they are
// routed, attempts, and changes of a destination's state.
//
// Invariants:
//  1. Free when nobody listens: [Hub.Wanted] is one atomic read, and nothing else
//     is done.
//  2. Nobody is waited for. A listener that is too slow misses items, and is told
//     how many.
//  3. Resumable. Who comes back within [linger] with the number of the last item
//     that it saw gets those after it, or is told that some are gone.
//  4. Within an epoch, which [Hub.ID] names, numbers grow by one with each item.
//     An epoch ends when nobody has listened for [linger].
package stream

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// keep is how many items are kept for those who come back.
	keep = 4096
	// linger is how long items are kept after the last listener has gone.
	linger = time.Minute
)

// ErrClosed says that the router is stopping.
var ErrClosed = errors.New("the stream is closed")

// Kind of an item.
type Kind string

// The kinds.
const (
	// KindEvent is an event that was routed.
	KindEvent Kind = "event"
	// KindAttempt is a try of a delivery.
	KindAttempt Kind = "attempt"
	// KindState is a change of a destination's state.
	KindState Kind = "state"
)

// Item is one thing that happened.
type Item struct {
	// Number counts items within an epoch, from 1.
	Number uint64
	Kind   Kind
	// Type is that of the event, Destination the name; empty where there is none.
	Type, Destination, Tenant string
	// JSON is the item as listeners get it, on one line.
	JSON []byte
}

// Hub passes items on. Its methods may be called from any goroutine.
type Hub struct {
	now   func() time.Time
	epoch string
	// wanted is until when items are wanted, in nanoseconds since 1970; always
	// while there are listeners.
	wanted atomic.Int64

	mu        sync.Mutex
	last      uint64
	ring      []Item // those before last, oldest first, at most keep
	listeners map[*Listener]struct{}
	closed    bool
}

// NewHub returns a hub without listeners. Now is the clock; nil: time.Now.
func NewHub(now func() time.Time) *Hub {
	if now == nil {
		now = time.Now
	}
	return &Hub{now: now, epoch: newEpoch(now()), listeners: map[*Listener]struct{}{}}
}

// newEpoch names a stretch of time in which items are numbered without a gap.
func newEpoch(now time.Time) string { return strconv.FormatInt(now.UnixNano(), 36) }

const always = 1<<63 - 1

// Wanted reports whether anybody would see an item: where it is false there is no
// need to make one.
func (h *Hub) Wanted() bool {
	w := h.wanted.Load()
	return w == always || w != 0 && h.now().UnixNano() < w
}

// Publish gives an item to all who listen. It sets the item's number.
func (h *Hub) Publish(i Item) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.last++
	i.Number = h.last
	if len(h.ring) == keep {
		copy(h.ring, h.ring[keep/4:])
		h.ring = h.ring[:keep-keep/4]
	}
	h.ring = append(h.ring, i)
	for l := range h.listeners {
		l.offer(i)
	}
}

// ID is an item's number as a listener may give it back later, after another start
// too.
func (h *Hub) ID(number uint64) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.id(number)
}

func (h *Hub) id(number uint64) string {
	return h.epoch + "-" + strconv.FormatUint(number, 10)
}

// Listen begins to listen. After is the ID of the last item that the listener has
// seen, empty for what comes from now on. Close ends it.
func (h *Hub) Listen(after string) (*Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	if !h.Wanted() { // nobody knows what has happened meanwhile
		h.epoch, h.last, h.ring = newEpoch(h.now()), 0, nil
	}
	l := &Listener{hub: h, more: make(chan struct{}, 1)}
	if after != "" {
		seen, known := h.parse(after)
		oldest := h.last + 1 - uint64(len(h.ring))
		switch {
		case !known: // of another epoch: how many is not known
			l.gap = true
		case seen+1 < oldest:
			l.missed = oldest - seen - 1
			fallthrough
		default:
			from := max(seen+1, oldest)
			l.queue = append(l.queue, h.ring[from-oldest:]...)
		}
	}
	h.listeners[l] = struct{}{}
	h.wanted.Store(always)
	return l, nil
}

// parse reads an ID. known is false where it is none of this start.
func (h *Hub) parse(id string) (number uint64, known bool) {
	epoch, n, ok := strings.Cut(id, "-")
	number, err := strconv.ParseUint(n, 10, 64)
	if !ok || err != nil || epoch != h.epoch || number > h.last {
		return 0, false
	}
	return number, true
}

// Close ends all listeners.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.wanted.Store(0)
	h.ring = nil
	for l := range h.listeners {
		l.end()
	}
	clear(h.listeners)
}

// Listener gets items. It belongs to one goroutine, but for Close.
type Listener struct {
	hub  *Hub
	more chan struct{}

	mu     sync.Mutex
	queue  []Item
	missed uint64 // items that found no room
	gap    bool   // so many that nobody knows
	ended  bool
}

// offer queues an item, or counts that there was no room for it. The hub's mutex
// is held.
func (l *Listener) offer(i Item) {
	l.mu.Lock()
	if len(l.queue) < keep {
		l.queue = append(l.queue, i)
	} else {
		l.missed++
	}
	l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
}

func (l *Listener) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// Batch is what has come since the last one.
type Batch struct {
	Items []Item
	// Missed counts items that the listener did not get, before these. Gap says
	// that it missed some, and nobody knows how many.
	Missed uint64
	Gap    bool
}

// Next waits for items. The error is ctx's, or [ErrClosed].
func (l *Listener) Next(ctx context.Context) (Batch, error) {
	for {
		l.mu.Lock()
		b := Batch{Items: l.queue, Missed: l.missed, Gap: l.gap}
		ended := l.ended
		l.queue, l.missed, l.gap = nil, 0, false
		l.mu.Unlock()
		switch {
		case len(b.Items) > 0 || b.Missed > 0 || b.Gap:
			return b, nil
		case ended:
			return Batch{}, ErrClosed
		}
		select {
		case <-l.more:
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

// Close ends it. What it has not taken is lost to it.
func (l *Listener) Close() {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
	l.end()
	if len(h.listeners) == 0 && !h.closed {
		h.wanted.Store(h.now().Add(linger).UnixNano())
	}
}
