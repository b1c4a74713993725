package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/router/store"
)

// Cancel ends what waits in a lane and what will be posted to it as cancelled, with
// a note, until Put gives it another Try. Attempts in flight finish. free is as
// that of Put. CancelRetries ends those that wait for their time.
func (s *Set) Cancel(name, note string, free func()) error {
	cancelled := func(context.Context, *Work) Result { return Result{Cancelled: true, Note: note} }
	if err := s.Put(name, Policy{Schedule: []time.Duration{0}, Concurrency: 2}, cancelled, free); err != nil {
		return err
	}
	l := s.get(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.health, l.changed = health{}, true // nothing holds it back, and nothing is kept of it
	l.report()
	l.start()
	return nil
}

// CancelRetries ends the retries of a lane that nobody is sending as cancelled,
// with a note, and says how many deliveries of it are left.
func (s *Set) CancelRetries(ctx context.Context, name, note string) (left uint64, err error) {
	l := s.get(name)
	if l == nil {
		return 0, nil
	}
	for {
		retries, err := s.store.Retries(ctx, name, fetch)
		if err != nil {
			return 0, fmt.Errorf("lane %s: %w", name, err)
		}
		var outcomes []store.Outcome
		l.mu.Lock()
		for _, r := range retries {
			if !l.busy[r.Ref] {
				l.busy[r.Ref] = true // nobody takes it meanwhile
				outcomes = append(outcomes, store.Outcome{Ref: r.Ref, From: store.Retrying, To: store.Cancelled, Tries: r.Tries, Note: note})
			}
		}
		l.mu.Unlock()
		if len(outcomes) > 0 {
			_, err = s.store.Commit(ctx, &store.Record{Outcomes: []store.LaneOutcomes{{Lane: name, Outcomes: outcomes}}})
			l.mu.Lock()
			for _, o := range outcomes {
				delete(l.busy, o.Ref)
			}
			l.stale = true
			l.start()
			l.mu.Unlock()
			if err != nil && !errors.Is(err, store.ErrOutOfOrder) {
				return 0, fmt.Errorf("lane %s: %w", name, err)
			}
		}
		if err != nil || len(outcomes) == 0 || len(retries) < fetch {
			break
		}
	}
	state, err := s.store.Lane(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("lane %s: %w", name, err)
	}
	return state.Counts.Waiting + state.Counts.Retrying, nil
}

// Remove forgets a lane to which nothing will be posted. It gives false while a
// worker or an outcome of it is on its way.
func (s *Set) Remove(name string) bool {
	l := s.get(name)
	if l == nil {
		return true
	}
	l.mu.Lock() // before the set's, never the other way round
	defer l.mu.Unlock()
	if l.workers > 0 || l.dirty || l.inCommit > 0 {
		return false
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.idle = true
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lanes, name)
	return true
}
