package router

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// Destinations lists the configured ones, the registered webhooks, and the lanes
// that are orphaned and keep something.
func (e engine) Destinations(ctx context.Context, q api.DestinationQuery) (*api.DestinationList, error) {
	kept, err := e.store.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	var others []string // destinations of the configuration, and what is orphaned
	for _, d := range e.setup.Load().config.Destinations {
		others = append(others, d.Name)
	}
	for i := range kept {
		if l := &kept[i]; l.Name != store.RoutingLane && l.Counts.Waiting+l.Counts.Retrying+l.Counts.Dead > 0 && !e.configured(l.Name) {
			others = append(others, l.Name)
		}
	}
	slices.Sort(others)
	var names []string
	var states map[string]string
	if q.After == "" || len(q.Statuses) > 0 {
		names = merge(others, e.webhooks.registry.All())
		if states, err = e.statesOf(ctx, names); err != nil {
			return nil, err
		}
	} else { // of thousands of webhooks those that may be on the page
		hooks, _ := e.webhooks.registry.List(webhook.Query{After: q.After, Limit: q.Limit + 1})
		names = merge(others, hooks)
	}
	out := &api.DestinationList{Destinations: []api.Destination{}}
	if q.After == "" {
		if out.Total, err = e.total(ctx, kept, states); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if name <= q.After || len(q.Statuses) > 0 && !slices.Contains(q.Statuses, states[name]) {
			continue
		}
		if len(out.Destinations) == q.Limit {
			out.Next = out.Destinations[q.Limit-1].Name
			break
		}
		d, err := e.destination(ctx, name)
		if err != nil {
			return nil, err
		}
		out.Destinations = append(out.Destinations, *d)
	}
	return out, nil
}

// merge puts names and ids of webhooks, both of which ascend, into one order.
func merge(names []string, hooks []*webhook.Webhook) []string {
	all := make([]string, 0, len(names)+len(hooks))
	for _, w := range hooks {
		for len(names) > 0 && names[0] < w.ID {
			all, names = append(all, names[0]), names[1:]
		}
		all = append(all, w.ID)
	}
	return append(all, names...)
}

// total adds up what waits and is dead in lanes, and counts the states of destinations.
func (e engine) total(ctx context.Context, lanes []store.Lane, states map[string]string) (*api.DestinationTotal, error) {
	t := &api.DestinationTotal{Statuses: map[string]int{}}
	var waiting []store.Lane
	for i := range lanes {
		l := &lanes[i]
		if l.Name == store.RoutingLane { // it is no destination
			continue
		}
		n := l.Counts.Waiting + l.Counts.Retrying
		t.Depth += n
		t.Dead += l.Counts.Dead
		if n > 0 {
			waiting = append(waiting, *l)
		}
	}
	for _, state := range states {
		t.Statuses[state]++
	}
	oldest, err := e.oldestOf(ctx, waiting)
	if err != nil {
		return nil, err
	}
	for _, at := range oldest {
		if t.Oldest == nil || at.Before(*t.Oldest) {
			t.Oldest = moment(at)
		}
	}
	return t, nil
}

// laneStates knows of late in which state each of many lanes was, for the reasons of
// backlog. The zero value is ready.
type laneStates struct {
	mu    sync.Mutex
	of    map[string]string // replaced, never changed
	until time.Time         // when all are looked up anew
}

// forget has all looked up anew: one was changed by hand, or by another configuration.
func (s *laneStates) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
}

// statesOf gives the state of each destination. Where they are more than fewLanes it may
// be that of a second ago, but for what was changed by hand.
func (e engine) statesOf(ctx context.Context, names []string) (map[string]string, error) {
	look := func() (map[string]string, error) {
		all := make(map[string]string, len(names))
		for _, name := range names {
			st, err := e.lanes.Status(ctx, name, e.configured(name))
			if err != nil {
				return nil, err
			}
			all[name] = string(st.State)
		}
		return all, nil
	}
	if len(names) <= fewLanes {
		return look()
	}
	s := &e.states
	s.mu.Lock() // who asks meanwhile waits for the same
	defer s.mu.Unlock()
	began := time.Now()
	if began.Before(s.until) && len(s.of) == len(names) {
		return s.of, nil
	}
	all, err := look()
	if err != nil {
		return nil, err
	}
	s.of, s.until = all, time.Now().Add(max(backlogFor, backlogOf*time.Since(began)))
	return all, nil
}

// Destination is one of them, or any other lane that the store knows.
func (e engine) Destination(ctx context.Context, name string) (*api.Destination, error) {
	if err := e.knownDestination(ctx, name); err != nil {
		return nil, err
	}
	return e.destination(ctx, name)
}

func (e engine) knownDestination(ctx context.Context, name string) error {
	if e.configured(name) {
		return nil
	}
	if name != store.RoutingLane && name != "" {
		l, err := e.store.Lane(ctx, name)
		if err != nil {
			return err
		}
		if l.Counts != (store.Counts{}) {
			return nil
		}
	}
	return problem.New(http.StatusNotFound, "destination_not_found", "there is no destination %q", name)
}

// configured says that a name is of a destination or of a registered webhook.
func (e engine) configured(name string) bool {
	if webhook.IsID(name) {
		_, err := e.webhooks.registry.Get(name)
		return err == nil
	}
	return e.setup.Load().config.Destination(name) != nil
}

func (e engine) destination(ctx context.Context, name string) (*api.Destination, error) {
	out := &api.Destination{Name: name}
	if d := e.setup.Load().config.Destination(name); d != nil {
		out.Kind, out.URL = d.Kind, d.SafeURL()
	}
	st, err := e.lanes.Status(ctx, name, e.configured(name))
	if err != nil {
		return nil, err
	}
	if x, err := e.webhooks.registry.Get(name); err == nil && webhook.IsID(name) {
		out.Kind, out.URL, out.Tenant, out.UID = "webhook", x.URL, x.Tenant, x.UID
	}
	out.Status, out.Reason, out.Sending = string(st.State), st.Why, st.Sending
	out.Since, out.Next = moment(st.Since), moment(st.Until)
	if st.Failures > 0 {
		out.Failures, out.FailingSince = st.Failures, moment(st.FailingSince)
		out.LastFailure = &api.Failure{Reason: st.Fault.Reason, Status: st.Fault.Status, Error: st.Fault.Error}
	}
	l, err := e.store.Lane(ctx, name)
	if err != nil {
		return nil, err
	}
	c := l.Counts
	out.Waiting, out.Retrying, out.Dead, out.Delivered, out.Cancelled = c.Waiting, c.Retrying, c.Dead, c.Delivered, c.Cancelled
	// What waits behind another of its key is told as waiting, as the delivery is.
	if e.inspect && c.Retrying > 0 {
		if st.Parked, err = e.parked(ctx, name); err != nil {
			return nil, err
		}
	}
	parked := min(uint64(st.Parked), c.Retrying)
	out.Waiting, out.Retrying = c.Waiting+parked, c.Retrying-parked
	out.Depth = c.Waiting + c.Retrying
	if out.Depth == 0 {
		return out, nil
	}
	oldest, err := e.oldest(ctx, name)
	if err == nil && !oldest.IsZero() {
		out.Oldest, out.OldestSeconds = moment(oldest), time.Since(oldest).Round(time.Millisecond).Seconds()
	}
	return out, err
}

// parked counts what waits behind another of its key, while no lane runs that knows.
func (e engine) parked(ctx context.Context, name string) (n int, err error) {
	const step = 1000
	for due, ref := store.Park(0), (store.Ref{}); ; {
		rows, err := e.store.RetriesFrom(ctx, name, due, ref, step)
		if err != nil {
			return 0, err
		}
		n += len(rows)
		if len(rows) < step {
			return n, nil
		}
		due, ref = rows[step-1].Due, rows[step-1].Ref.Next()
	}
}

// moment is a time as the API shows it, nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (e engine) PauseDestination(ctx context.Context, name string) error {
	return e.changeLane(ctx, name, e.lanes.Pause)
}

func (e engine) ResumeDestination(ctx context.Context, name string) error {
	return e.changeLane(ctx, name, e.lanes.Resume)
}

func (e engine) changeLane(ctx context.Context, name string, change func(context.Context, string) error) error {
	if err := e.knownDestination(ctx, name); err != nil {
		return err
	}
	if err := change(ctx, name); err != nil {
		return err
	}
	e.states.forget()
	state := string(e.laneState(ctx, name))
	e.log.Info("a destination was changed by hand", "destination", name, "state", state)
	e.tellState(time.Now(), name, state, "changed by hand")
	return nil
}

func (e engine) laneState(ctx context.Context, name string) lane.State {
	st, err := e.lanes.Status(ctx, name, e.configured(name))
	if err != nil {
		return ""
	}
	return st.State
}

// RecoverDestination retries the dead letters of a destination.
func (e engine) RecoverDestination(ctx context.Context, name string, since, until time.Time) (*api.Moved, error) {
	if err := e.knownDestination(ctx, name); err != nil {
		return nil, err
	}
	return e.MoveDead(ctx, store.DeliveryQuery{Destination: name, State: store.Dead, Since: since, Until: until}, store.Retrying)
}

// CancelDestination cancels what waits for a destination and is retrying.
func (e engine) CancelDestination(ctx context.Context, name string) (*api.Moved, error) {
	if err := e.knownDestination(ctx, name); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, moveFor)
	defer cancel()
	n, err := e.lanes.Empty(bounded, name, "cancelled with all of its destination")
	out := &api.Moved{Moved: n}
	if errors.Is(err, context.DeadlineExceeded) {
		out.Next, err = "again", nil
	}
	if err != nil {
		return nil, err
	}
	e.log.Info("what waited for a destination was cancelled by hand", "destination", name, "deliveries", n)
	return out, nil
}
