package lane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// State of a lane, as the contract names them.
type State string

// The states of a lane. Where several hold, the last of this list is given.
const (
	Active   State = "active"
	Failing  State = "failing"  // the last attempt failed
	Held     State = "held"     // the receiver asked for time
	Open     State = "open"     // the breaker is open
	Paused   State = "paused"   // by hand
	Disabled State = "disabled" // paused, with a reason; resume enables
	Orphaned State = "orphaned" // its destination is not configured
)

// Breaker stops a lane whose attempts fail one after another. While it is open
// one attempt is made each Cooldown, which costs the delivery nothing of its
// schedule; one success closes it. The zero value never opens.
type Breaker struct {
	Failures int
	Cooldown time.Duration
}

// disableAttempts is how many attempts must have failed before DisableAfter
// disables a lane.
const disableAttempts = 10

// health is what a lane knows of its receiver. Its lane's mu guards it.
type health struct {
	paused   bool
	disabled string    // why, empty where it is not
	changed  time.Time // when it was paused or disabled
	// failures counts the failed attempts since the last success, and row those
	// in a row that the breaker counts.
	failures, row int
	// since is when the first of them was.
	since  time.Time
	fault  Fault
	probe  time.Time // when the open breaker lets the next probe go, zero: closed
	probed bool      // a probe is on its way
	// told is what the last notice said, failing or not, and toldAt when.
	told   bool
	toldAt time.Time
}

// Fault is how the last attempt failed.
type Fault struct {
	Reason string `json:"reason,omitempty"`
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

// kindLane is that of the documents that keep a lane's health over a restart.
const kindLane = "lane"

// healthDocument is what of health is kept. What is not says how the receiver is
// at this moment, and is found out anew.
type healthDocument struct {
	Paused   bool      `json:"paused,omitempty"`
	Disabled string    `json:"disabled,omitempty"`
	Changed  time.Time `json:"changed,omitzero"`
	Failures int       `json:"failures,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Fault    Fault     `json:"fault,omitzero"`
	Open     bool      `json:"open,omitempty"`
	Told     bool      `json:"told,omitempty"`
}

// document encodes what is kept, nil where there is nothing to say.
func (h *health) document(name string) (store.Document, error) {
	d := store.Document{Kind: kindLane, Name: name}
	kept := healthDocument{
		Paused: h.paused, Disabled: h.disabled, Changed: h.changed, Failures: h.failures, Since: h.since, Fault: h.fault,
		Open: !h.probe.IsZero(), Told: h.told,
	}
	if kept == (healthDocument{}) {
		return d, nil
	}
	var err error
	d.Value, err = json.Marshal(kept)
	return d, err
}

// readHealth gives what is kept of a lane.
func readHealth(ctx context.Context, st store.Store, name string, now time.Time) (health, error) {
	b, err := st.Document(ctx, kindLane, name)
	if errors.Is(err, store.ErrNotFound) {
		return health{}, nil
	}
	if err != nil {
		return health{}, err
	}
	var kept healthDocument
	if err := json.Unmarshal(b, &kept); err != nil {
		return health{}, fmt.Errorf("the state of the lane %s that is kept: %w", name, err)
	}
	return kept.health(now), nil
}

func (kept *healthDocument) health(now time.Time) health {
	h := health{
		paused: kept.Paused, disabled: kept.Disabled, changed: kept.Changed,
		failures: kept.Failures, since: kept.Since, fault: kept.Fault, told: kept.Told,
	}
	if kept.Open {
		h.probe = now // the first probe goes at once
	}
	return h
}

// reset forgets that the receiver failed: another is there now, or somebody says
// that it is well.
func (h *health) reset() {
	h.failures, h.row, h.since, h.fault = 0, 0, time.Time{}, Fault{}
	h.probe = time.Time{}
}

// state is what the lane's health says at a time.
func (l *lane) state(now time.Time) State {
	h := &l.health
	switch {
	case l.idle:
		return Orphaned
	case h.disabled != "":
		return Disabled
	case h.paused:
		return Paused
	case !h.probe.IsZero():
		return Open
	case now.Before(l.held):
		return Held
	case h.failures > 0:
		return Failing
	}
	return Active
}

// gate says whether an attempt may begin now, and whether it is a probe. Where it
// may not, a timer is set, or something else will wake the lane. Callers hold mu.
func (l *lane) gate(now time.Time) (ok, probe bool) {
	h := &l.health
	switch {
	case h.paused, h.disabled != "":
		return false, false
	case now.Before(l.held):
		l.sleep(l.held.Sub(now))
		return false, false
	case h.probe.IsZero():
		return true, false
	case h.probed:
		return false, false
	case now.Before(h.probe):
		l.sleep(h.probe.Sub(now))
		return false, false
	}
	return true, true
}

// judge learns from a result how the receiver is, and gives what is to be told.
// Callers hold mu.
func (l *lane) judge(now time.Time, w *Work, r *Result, policy *Policy) []Notice {
	h := &l.health
	before := *h
	switch {
	case r.OK:
		h.reset()
	case r.Blameless:
		return nil
	default:
		l.blame(now, r, policy)
	}
	if h.paused != before.paused || h.disabled != before.disabled || h.told != before.told ||
		(h.failures == 0) != (before.failures == 0) || h.failures == disableAttempts || h.probe.IsZero() != before.probe.IsZero() {
		l.changed = true
	}
	if w.Event.Source == event.SourceWeir {
		return nil
	}
	var notices []Notice
	if h.disabled != "" && before.disabled == "" {
		notices = append(notices, l.notice(NoticeDisabled, now))
		h.told = true
	}
	return append(notices, l.tell(now)...)
}

func (l *lane) blame(now time.Time, r *Result, policy *Policy) {
	h := &l.health
	if h.failures == 0 {
		h.since = now
	}
	h.failures++
	h.fault = Fault{Reason: r.Attempt.Reason, Status: r.Attempt.Status, Error: r.Attempt.Error}
	if r.Hold && r.RetryAfter > 0 {
		l.hold(now.Add(r.RetryAfter)) // the receiver is well, and has too much to do
	} else {
		h.row++
	}
	if b := policy.Breaker; b.Failures > 0 && (h.row >= b.Failures || !h.probe.IsZero()) {
		h.probe = now.Add(b.Cooldown)
	}
	switch {
	case h.disabled != "":
	case r.Gone:
		l.disable(now, "the receiver answered 410 Gone")
	case policy.DisableAfter > 0 && h.failures >= disableAttempts && now.Sub(h.since) >= policy.DisableAfter:
		l.disable(now, fmt.Sprintf("no success since %s, in %d attempts", h.since.UTC().Format(time.RFC3339), h.failures))
	}
}

func (l *lane) disable(now time.Time, why string) { l.health.disabled, l.health.changed = why, now }

// calm is the least time between two notices that a destination is failing, so
// that one which fails and recovers in turn tells it once.
const calm = time.Minute

// tell gives the notice that the lane is failing, or has recovered, where the
// last one said otherwise. Callers hold mu.
func (l *lane) tell(now time.Time) []Notice {
	h := &l.health
	failing := h.failures > 0
	switch {
	case failing == h.told:
		return nil
	case failing:
		if wait := calm - now.Sub(h.toldAt); wait > 0 && !h.toldAt.IsZero() {
			l.telling = true
			l.sleep(wait)
			return nil
		}
		h.told, h.toldAt, l.changed = true, now, true
		return []Notice{l.notice(NoticeFailing, now)}
	}
	h.told, l.changed = false, true
	return []Notice{l.notice(NoticeRecovered, now)}
}

// NoticeKind is what a [Notice] tells.
type NoticeKind string

// The kinds of notices.
const (
	NoticeFailing   NoticeKind = "failing"
	NoticeDisabled  NoticeKind = "disabled"
	NoticeRecovered NoticeKind = "recovered"
	NoticeDead      NoticeKind = "dead" // of a delivery
)

// Notice tells of a lane's change.
type Notice struct {
	Kind        NoticeKind
	Destination string
	At          time.Time
	State       State
	// Why it is disabled.
	Why string
	// Failures counts the failed attempts since Since, and Fault is the last.
	Failures int
	Since    time.Time
	Fault    Fault
	// Work and Outcome are those of a delivery that is dead, and nil otherwise.
	Work    *Work
	Outcome *store.Outcome
}

// eventsOf asks what is to be stored of notices.
func (s *Set) eventsOf(notices []Notice) []*event.Event {
	var events []*event.Event
	for i := range notices {
		if s.notify == nil {
			break
		}
		if e := s.notify(&notices[i]); e != nil {
			events = append(events, e)
		}
	}
	return events
}

// toldMost bounds the events of [Set.Tell] that wait to be stored.
const toldMost = 1000

// Tell stores an event of the router's own soon, as far as there is room. nil is
// none.
func (s *Set) Tell(e *event.Event) {
	if e == nil {
		return
	}
	s.dirtyMu.Lock()
	if len(s.told) < toldMost {
		s.told = append(s.told, e)
	}
	s.dirtyMu.Unlock()
	s.wakeRecorder()
}

func (l *lane) notice(kind NoticeKind, now time.Time) Notice {
	h := &l.health
	return Notice{
		Kind: kind, Destination: l.name, At: now, State: l.state(now), Why: h.disabled,
		Failures: h.failures, Since: h.since, Fault: h.fault,
	}
}
