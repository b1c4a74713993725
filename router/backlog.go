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

// backlog knows of late when the oldest event came that waits in each of many lanes:
// pages, scrapes and commands ask for all of them, and to look them up for thousands
// takes as long as a page may take whole. The zero value is ready.
type backlog struct {
	mu     sync.Mutex
	oldest map[string]time.Time
	until  time.Time // when all are looked up anew
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
// error is of the latter.
func (r *Router) oldestOf(ctx context.Context, lanes []string) (map[string]time.Time, error) {
	all, errs := make(map[string]time.Time, len(lanes)), []error(nil)
	look := func(name string) (at time.Time, ok bool) {
		at, err := r.oldest(ctx, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("what waits for %s: %w", name, err))
		}
		return at, err == nil && !at.IsZero()
	}
	if len(lanes) <= fewLanes {
		for _, name := range lanes {
			if at, ok := look(name); ok {
				all[name] = at
			}
		}
		return all, errors.Join(errs...)
	}
	b := &r.backlog
	b.mu.Lock() // who asks meanwhile waits for the same
	defer b.mu.Unlock()
	began := time.Now()
	anew := !began.Before(b.until)
	if anew {
		b.oldest = make(map[string]time.Time, len(lanes))
	}
	for _, name := range lanes {
		at, ok := b.oldest[name]
		if !ok {
			if at, ok = look(name); ok {
				b.oldest[name] = at
			}
		}
		if ok {
			all[name] = at
		}
	}
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
	var names []string
	for i := range lanes {
		if depth := lanes[i].Counts.Waiting + lanes[i].Counts.Retrying; depth > 0 {
			names = append(names, lanes[i].Name)
			all[lanes[i].Name] = api.Waiting{Depth: depth}
		}
	}
	oldest, err := e.oldestOf(ctx, names)
	for name, at := range oldest {
		all[name] = api.Waiting{Depth: all[name].Depth, Oldest: at.UTC()}
	}
	return all, err
}
