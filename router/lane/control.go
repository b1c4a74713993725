package lane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/weirhq/weir/router/store"
)

// Status is how a lane is at a moment.
type Status struct {
	State State
	// Why a disabled lane is, and Since when a lane is paused or disabled.
	Why   string
	Since time.Time
	// Failures counts the failed attempts since the last success, FailingSince is
	// when the first of them was and Fault how the last one ended.
	Failures     int
	FailingSince time.Time
	Fault        Fault
	// Until is when a lane that is held or open goes on.
	Until time.Time
	// Sending counts the attempts in flight.
	Sending int
	// Parked counts the deliveries that wait behind another of their key. The store
	// keeps them as retries, though they wait for no time.
	Parked int
}

// Now is the time of schedules.
func (s *Set) Now() time.Time { return s.now() }

// Status of a lane. One that was not added is orphaned, or as it was left where no
// lane was added, which is so in a set that only answers questions.
func (s *Set) Status(ctx context.Context, name string, configured bool) (Status, error) {
	now := s.now()
	l := s.get(name)
	if l == nil {
		h, err := readHealth(ctx, s.store, name, now)
		if err != nil {
			return Status{}, err
		}
		l = &lane{name: name, health: h, idle: !configured}
		return l.status(now), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status(now), nil
}

func (l *lane) status(now time.Time) Status {
	h := &l.health
	st := Status{
		State: l.state(now), Why: h.disabled, Since: h.changed, Sending: l.trying,
		Failures: h.failures, FailingSince: h.since, Fault: h.fault, Parked: l.order.behind,
	}
	switch st.State {
	case Open:
		st.Until = h.probe
		if l.held.After(st.Until) {
			st.Until = l.held
		}
	case Held:
		st.Until = l.held
	}
	return st
}

// Pause lets a lane send nothing until Resume; attempts in flight finish. It
// returns when that is on disk.
func (s *Set) Pause(ctx context.Context, name string) error {
	return s.set(ctx, name, func(h *health, now time.Time) {
		if !h.paused && h.disabled == "" {
			h.paused, h.changed = true, now
		}
	})
}

// Disable pauses a lane with a reason. It returns when that is on disk.
func (s *Set) Disable(ctx context.Context, name, why string) error {
	return s.set(ctx, name, func(h *health, now time.Time) {
		if h.disabled == "" {
			h.disabled, h.changed = why, now
		}
	})
}

// Resume ends what keeps a configured lane from sending: a pause, its being
// disabled, an open breaker and a hold.
func (s *Set) Resume(ctx context.Context, name string) error {
	return s.set(ctx, name, func(h *health, _ time.Time) {
		h.reset()
		h.paused, h.disabled, h.changed = false, "", time.Time{}
	})
}

// set changes a lane's health and returns when it is stored.
func (s *Set) set(ctx context.Context, name string, change func(*health, time.Time)) error {
	l := s.get(name)
	if l == nil {
		h, err := readHealth(ctx, s.store, name, s.now())
		if err != nil {
			return err
		}
		change(&h, s.now())
		d, err := h.document(name)
		if err != nil {
			return err
		}
		_, err = s.store.Commit(ctx, &store.Record{Documents: []store.Document{d}})
		return err
	}
	l.mu.Lock()
	change(&l.health, s.now())
	if l.health.disabled == "" && !l.health.paused {
		l.held = time.Time{}
	}
	l.changed = true
	if l.saved == nil {
		l.saved = make(chan struct{})
	}
	saved := l.saved
	l.announce()
	l.start()
	l.report()
	l.mu.Unlock()
	select {
	case <-saved:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.recorder:
		return store.ErrClosed
	}
}

// Errors of changes by hand.
var (
	// ErrSending says that a delivery is being tried at this moment.
	ErrSending = errors.New("the delivery is being sent")
	// ErrAbove says that too many deliveries of a lane were cancelled one by one
	// while older ones wait.
	ErrAbove = errors.New("too many deliveries are cancelled while older ones of the destination wait")
)

// aboveMost bounds the postings of a lane that are settled while older ones wait.
const aboveMost = 4096

// Retry makes a delivery that is retrying, dead or cancelled due now, with its
// whole schedule before it. It is out of order. The set may be closed: then the
// next router sends it.
func (s *Set) Retry(ctx context.Context, d *store.DeliveryStatus) error {
	c := Change{store.Outcome{Ref: d.Ref, From: d.State, To: store.Retrying, Due: s.now(), Note: "retried by hand"}, d.Key}
	if _, parked := store.Parked(d.Due); !parked {
		c.Outcome.Key = d.Key // the others of its key go on waiting for it
	}
	_, err := s.Move(ctx, d.Delivery.Lane, []Change{c})
	return err
}

// CancelDelivery ends a delivery that waits, is retrying or dead.
func (s *Set) CancelDelivery(ctx context.Context, d *store.DeliveryStatus) error {
	o := store.Outcome{Ref: d.Ref, From: d.State, To: store.Cancelled, Tries: d.Tries, Note: "cancelled by hand"}
	if d.State == store.Waiting {
		return s.cancelPosting(ctx, d.Delivery.Lane, o)
	}
	_, err := s.Move(ctx, d.Delivery.Lane, []Change{{o, d.Key}})
	return err
}

// Change is an outcome that no attempt has made.
type Change struct {
	Outcome store.Outcome
	// Key is that of the order which the delivery is in.
	Key uint64
}

// Move moves deliveries of a lane that are not waiting to other states, together.
// It returns those that it has moved; the error is about the first of the others,
// such as [ErrSending], or [store.ErrOutOfOrder] for one that is in another state.
func (s *Set) Move(ctx context.Context, name string, changes []Change) (moved []store.Ref, err error) {
	var first error
	var free []store.Outcome
	l := s.get(name)
	if l == nil {
		for _, c := range changes {
			free = append(free, c.Outcome)
		}
	} else {
		keys := map[store.Ref]uint64{}
		l.mu.Lock()
		for _, c := range changes {
			if l.busy[c.Outcome.Ref] {
				first = ErrSending
				continue
			}
			l.busy[c.Outcome.Ref] = true // nobody takes it meanwhile
			free = append(free, c.Outcome)
			if c.Key != c.Outcome.Key {
				keys[c.Outcome.Ref] = c.Key
			}
		}
		l.mu.Unlock()
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, o := range free {
				delete(l.busy, o.Ref)
			}
			for _, r := range moved {
				l.order.left(keys[r], r)
			}
			l.stale = true
			l.start()
		}()
	}
	moved, err = s.commitMoves(ctx, name, free)
	if err == nil {
		err = first
	}
	return moved, err
}

// commitMoves commits outcomes together, or in halves where that is refused.
func (s *Set) commitMoves(ctx context.Context, name string, outcomes []store.Outcome) (moved []store.Ref, err error) {
	if len(outcomes) == 0 {
		return nil, nil
	}
	_, err = s.store.Commit(ctx, &store.Record{Outcomes: []store.LaneOutcomes{{Lane: name, Outcomes: outcomes}}})
	switch {
	case err == nil:
		for _, o := range outcomes {
			moved = append(moved, o.Ref)
		}
		return moved, nil
	case !inPieces(err) || len(outcomes) == 1:
		return nil, err
	}
	half := len(outcomes) / 2
	a, first := s.commitMoves(ctx, name, outcomes[:half])
	b, second := s.commitMoves(ctx, name, outcomes[half:])
	if first == nil {
		first = second
	}
	return append(a, b...), first
}

// cancelPosting ends one posting, wherever it is in the lane's order.
func (s *Set) cancelPosting(ctx context.Context, name string, o store.Outcome) error {
	l := s.get(name)
	if l == nil {
		_, err := s.store.Commit(ctx, &store.Record{Outcomes: []store.LaneOutcomes{{Lane: name, Outcomes: []store.Outcome{o}}}})
		return err
	}
	l.mu.Lock()
	err := l.settleOne(o)
	saved := l.saved
	l.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-saved:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.recorder:
		return store.ErrClosed
	}
}

// settleOne hands the outcome of a posting that nobody has taken to the recorder.
// Callers hold mu.
func (l *lane) settleOne(o store.Outcome) error {
	at, found := slices.BinarySearchFunc(l.above, o.Ref, compare)
	switch {
	case l.busy[o.Ref]:
		return ErrSending
	case found:
		return fmt.Errorf("%s is settled: %w", o.Ref, store.ErrOutOfOrder)
	case len(l.above) >= aboveMost:
		return ErrAbove
	}
	if !l.forgetPosting(o.Ref) && o.Ref.Less(l.next) {
		return fmt.Errorf("%s was taken: %w", o.Ref, store.ErrOutOfOrder)
	}
	l.above = slices.Insert(l.above, at, o.Ref)
	l.settledByHand(o)
	return nil
}

// settledByHand puts an outcome on the recorder's list. Callers hold mu.
func (l *lane) settledByHand(o store.Outcome) {
	l.busy[o.Ref] = true
	l.outcomes = append(l.outcomes, o)
	if o.Ref.Position > l.reach {
		l.reach = o.Ref.Position
	}
	if l.saved == nil {
		l.saved = make(chan struct{})
	}
	l.report()
}

// forgetPosting drops a posting that is known and was not taken, and says whether
// there was one.
func (l *lane) forgetPosting(ref store.Ref) bool {
	i := sort.Search(len(l.ahead), func(i int) bool { return !l.ahead[i].ref.Less(ref) })
	if i == len(l.ahead) || l.ahead[i].ref != ref {
		return false
	}
	l.set.dropOffer(l.ahead[i].offer)
	l.ahead = slices.Delete(l.ahead, i, i+1)
	return true
}

func compare(a, b store.Ref) int {
	switch {
	case a.Less(b):
		return -1
	case b.Less(a):
		return 1
	}
	return 0
}

// settleStep is how many deliveries are settled at a time.
const settleStep = 1000

// Settle ends all postings of a lane before a reference, oldest first, and gives
// how many. Those in flight it leaves. It works in bounded steps, and returns when
// all of them are on disk; when ctx ends, what was done is done.
func (s *Set) Settle(ctx context.Context, name string, before store.Ref, to store.State, note string) (n int, err error) {
	from := store.Ref{}
	for {
		postings, err := s.store.Postings(ctx, name, from, settleStep)
		if err != nil || len(postings) == 0 || !postings[0].Ref.Less(before) {
			return n, err
		}
		refs := make([]store.Ref, 0, len(postings))
		for _, p := range postings {
			if p.Ref.Less(before) {
				refs = append(refs, p.Ref)
			}
		}
		done, err := s.settle(ctx, name, refs, to, note)
		n += done
		if err != nil || len(refs) < settleStep {
			return n, err
		}
		from = refs[len(refs)-1].Next()
	}
}

// settle ends postings of a lane that are all that wait up to the last of them.
func (s *Set) settle(ctx context.Context, name string, refs []store.Ref, to store.State, note string) (int, error) {
	outcome := func(r store.Ref) store.Outcome { return ended(r, store.Waiting, to, 0, note) }
	l := s.get(name)
	if l == nil {
		return len(refs), s.settleStored(ctx, name, refs, outcome)
	}
	for {
		l.mu.Lock()
		if len(l.taken)+len(refs) <= window && len(l.outcomes)+l.inCommit < unflushed {
			break
		}
		l.mu.Unlock()
		select { // until attempts in flight have ended
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-s.recorder:
			return 0, store.ErrClosed
		case <-time.After(flushEvery):
		}
	}
	n := 0
	for _, r := range refs {
		_, above := slices.BinarySearchFunc(l.above, r, compare)
		known := l.forgetPosting(r)
		if above || l.busy[r] || !known && r.Less(l.next) {
			continue // in flight, or settled a moment ago
		}
		if !r.Less(l.next) {
			l.next = r.Next()
		}
		l.taken = slices.Insert(l.taken, l.find(r), taken{ref: r, settled: true})
		l.settledByHand(outcome(r))
		n++
	}
	if l.covered.Less(l.next) {
		l.covered = l.next
	}
	l.more = true
	l.settle(store.Ref{}) // forgets those at the front
	saved := l.saved
	l.mu.Unlock()
	if n == 0 {
		return 0, nil
	}
	select {
	case <-saved:
		return n, nil
	case <-ctx.Done():
		return n, ctx.Err()
	case <-s.recorder:
		return n, store.ErrClosed
	}
}

// settleStored is settle where no lane runs.
func (s *Set) settleStored(ctx context.Context, name string, refs []store.Ref, outcome func(store.Ref) store.Outcome) error {
	state, err := s.store.Lane(ctx, name)
	if err != nil {
		return err
	}
	lo := store.LaneOutcomes{Lane: name, Cursor: &store.Cursor{Low: refs[len(refs)-1].Next()}}
	for _, r := range refs {
		lo.Outcomes = append(lo.Outcomes, outcome(r))
	}
	for _, r := range state.Cursor.Above {
		if !r.Less(lo.Cursor.Low) {
			lo.Cursor.Above = append(lo.Cursor.Above, r)
		}
	}
	_, err = s.store.Commit(ctx, &store.Record{Outcomes: []store.LaneOutcomes{lo}})
	return err
}

// Empty cancels all that waits for a lane or is retrying, and gives how many.
// Those in flight it leaves.
func (s *Set) Empty(ctx context.Context, name, note string) (n int, err error) {
	return s.End(ctx, name, store.Ref{Position: s.store.Progress() + 1}, store.Cancelled, note)
}

// End ends what waits for a lane or is retrying and is before a reference, and
// gives how many. Those in flight it leaves.
func (s *Set) End(ctx context.Context, name string, end store.Ref, to store.State, note string) (n int, err error) {
	n, err = s.Settle(ctx, name, end, to, note)
	if err != nil {
		return n, err
	}
	due, ref := time.Time{}, store.Ref{}
	for {
		retries, err := s.store.RetriesFrom(ctx, name, due, ref, settleStep)
		if err != nil || len(retries) == 0 {
			return n, err
		}
		changes := make([]Change, 0, len(retries))
		for _, y := range retries {
			due, ref = y.Due, y.Ref.Next()
			if y.Ref.Less(end) {
				changes = append(changes, Change{ended(y.Ref, store.Retrying, to, y.Tries, note), y.Key})
			}
		}
		if len(changes) == 0 {
			continue
		}
		moved, err := s.Move(ctx, name, changes)
		n += len(moved)
		if err != nil && !errors.Is(err, ErrSending) && !errors.Is(err, store.ErrOutOfOrder) {
			return n, err
		}
	}
}

func ended(r store.Ref, from, to store.State, tries int, note string) store.Outcome {
	o := store.Outcome{Ref: r, From: from, To: to, Tries: tries, Note: note}
	if to == store.Dead {
		o.Reason = store.ReasonExpired
	}
	return o
}

// healths reads what is kept of all lanes.
func healths(ctx context.Context, st store.Store, now time.Time) (map[string]health, error) {
	docs, err := st.Documents(ctx, kindLane)
	if err != nil {
		return nil, err
	}
	all := make(map[string]health, len(docs))
	for _, d := range docs {
		var kept healthDocument
		if err := json.Unmarshal(d.Value, &kept); err != nil {
			return nil, fmt.Errorf("the state of the lane %s that is kept: %w", d.Name, err)
		}
		all[d.Name] = kept.health(now)
	}
	return all, nil
}
