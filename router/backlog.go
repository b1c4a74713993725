package router

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/store"
)

// backlog knows when the oldest event came that waits in each of many lanes: pages,
// scrapes and commands ask for all of them, and to look them up for thousands takes as
// long as a page may take whole. The zero value is ready.
type backlog struct {
	mu     sync.Mutex
	oldest map[string]oldest
	until  time.Time // when all are looked up anew
}

// oldest is when the oldest event of a lane came, while its counts were these: as long
// as they are, nothing of it has ended.
type oldest struct {
	at     time.Time
	counts store.Counts
}

const (
	// fewLanes are looked up whenever somebody asks.
	fewLanes = 256
	// backlogFor is how long it is taken for true what was looked up for more, at
	// least; it is longer where that took long, so that it never keeps a core busy.
	backlogFor = time.Second
	backlogOf  = 10
)

// oldestOf gives when the oldest event was received that waits in each of some lanes.
// Those where none does any more, and those that can't be read, are left out; the
// error is of the latter. Of many lanes, it is as it was some seconds ago where more
// than a few of them have changed since.
func (r *Router) oldestOf(ctx context.Context, lanes []store.Lane) (map[string]time.Time, error) {
	all, errs := make(map[string]time.Time, len(lanes)), []error(nil)
	look := func(name string) (at time.Time, ok bool) {
		at, err := r.oldest(ctx, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("what waits for %s: %w", name, err))
		}
		return at, err == nil && !at.IsZero()
	}
	if len(lanes) <= fewLanes {
		for i := range lanes {
			if at, ok := look(lanes[i].Name); ok {
				all[lanes[i].Name] = at
			}
		}
		return all, errors.Join(errs...)
	}
	b := &r.backlog
	b.mu.Lock() // who asks meanwhile waits for the same
	defer b.mu.Unlock()
	began := time.Now()
	anew := !began.Before(b.until)
	changed := 0
	for i := range lanes {
		if known, ok := b.oldest[lanes[i].Name]; ok && known.counts != lanes[i].Counts {
			changed++
		}
	}
	next := make(map[string]oldest, len(lanes))
	for i := range lanes {
		l := &lanes[i]
		known, ok := b.oldest[l.Name]
		if anew || !ok || known.counts != l.Counts && changed <= fewLanes {
			if known.at, ok = look(l.Name); !ok {
				continue
			}
			known.counts = l.Counts
		}
		next[l.Name], all[l.Name] = known, known.at
	}
	b.oldest = next
	if end := time.Now(); anew {
		b.until = end.Add(max(backlogFor, backlogOf*end.Sub(began)))
	}
	return all, errors.Join(errs...)
}

// oldest is when the event was received whose delivery waits longest in a lane,
// zero where none waits.
func (r *Router) oldest(ctx context.Context, name string) (time.Time, error) {
	ref, err := r.store.Oldest(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	x, err := r.store.Event(ctx, ref.Position)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil // it has ended since
	}
	if err != nil {
		return time.Time{}, err
	}
	return x.Received, nil
}

// Waiting says what waits for each destination for which something does.
func (e engine) Waiting(ctx context.Context) (map[string]api.Waiting, error) {
	lanes, err := e.store.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]api.Waiting{}
	var waiting []store.Lane
	for i := range lanes {
		// The lane of routing is no destination.
		if depth := lanes[i].Counts.Waiting + lanes[i].Counts.Retrying; depth > 0 && lanes[i].Name != store.RoutingLane {
			waiting = append(waiting, lanes[i])
			all[lanes[i].Name] = api.Waiting{Depth: depth}
		}
	}
	oldest, err := e.oldestOf(ctx, waiting)
	for name, at := range oldest {
		all[name] = api.Waiting{Depth: all[name].Depth, Oldest: at.UTC()}
	}
	return all, err
}
