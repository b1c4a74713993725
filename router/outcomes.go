package router

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
)

// outcomes lets producers wait for what becomes of their events. It is told what
// is decided and what attempts give, and keeps that in memory for as long as
// somebody waits: nobody asks the store again and again.
//
// An event's deliveries may have ended before its producer's goroutine knows the
// event's position. So while a watch has no positions yet, what any event leads to
// is kept.
type outcomes struct {
	active atomic.Int32 // watches; 0 is nearly always true

	mu      sync.Mutex
	open    int // watches without positions
	by      map[uint64]*followed
	watches int
}

const (
	// maxWatches bounds the producers that wait: each holds a connection.
	maxWatches = 512
	// maxFollowed bounds the events that are kept. Of others the store knows.
	maxFollowed = 20000
	// lookAgain is how often the store is asked all the same: it also knows what
	// the clock and people ended.
	lookAgain = 2 * time.Second
)

// followed is one event and what it led to.
type followed struct {
	// list is by index, nil while the event is not routed.
	list    []*store.DeliveryStatus
	known   bool
	early   []outcome // before list was known
	watches []*watch
}

// outcome is what one attempt gave.
type outcome struct {
	index   uint32
	attempt store.Attempt
	to      store.State
	due     time.Time
	reason  store.Reason
	note    string
}

// watch is one producer that waits.
type watch struct {
	of        *outcomes
	store     store.Store
	life      context.Context
	positions []uint64
	changed   chan struct{}
	opened    bool // it counts in outcomes.open
}

// Follow begins to watch. It is called before the events are stored.
func (e engine) Follow() (api.Watch, error) {
	o := &e.outcomes
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watches >= maxWatches {
		p := problem.New(http.StatusServiceUnavailable, "too_many_waiting", "%d producers wait already; send without wait, or try again", maxWatches)
		p.RetryAfter = 1
		return nil, p
	}
	if o.by == nil {
		o.by = map[uint64]*followed{}
	}
	o.watches++
	o.open++
	o.active.Add(1)
	return &watch{of: o, store: e.store, life: e.life, changed: make(chan struct{}, 1), opened: true}, nil
}

// Wait returns what each of the events led to, in order, when all of that has
// ended: true; or when ctx or the router ends: false, with what is known then.
func (w *watch) Wait(ctx context.Context, positions []uint64) ([][]*store.DeliveryStatus, bool, error) {
	w.begin(positions)
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for look := true; ; {
		if look {
			if err := w.look(ctx); err != nil {
				return nil, false, err
			}
		}
		if result, ended := w.result(); ended {
			return result, true, nil
		}
		select {
		case <-w.changed:
			look = false
		case <-tick.C:
			look = true
		case <-ctx.Done():
			result, ended := w.result()
			return result, ended, nil
		case <-w.life.Done():
			result, ended := w.result()
			return result, ended, nil
		}
	}
}

// begin narrows what is kept to the watch's own events.
func (w *watch) begin(positions []uint64) {
	o := w.of
	o.mu.Lock()
	defer o.mu.Unlock()
	w.positions = positions
	for _, p := range positions {
		f := o.by[p]
		if f == nil {
			f = &followed{}
			o.by[p] = f
		}
		f.watches = append(f.watches, w)
	}
	w.settle()
}

// settle ends the time in which everything is kept. The caller holds mu.
func (w *watch) settle() {
	if !w.opened {
		return
	}
	w.opened = false
	if w.of.open--; w.of.open > 0 {
		return
	}
	for p, f := range w.of.by {
		if len(f.watches) == 0 {
			delete(w.of.by, p)
		}
	}
}

// Close ends the watch.
func (w *watch) Close() {
	o := w.of
	o.mu.Lock()
	defer o.mu.Unlock()
	w.settle()
	for _, p := range w.positions {
		f := o.by[p]
		if f == nil {
			continue
		}
		rest := f.watches[:0]
		for _, x := range f.watches {
			if x != w {
				rest = append(rest, x)
			}
		}
		if f.watches = rest; len(rest) == 0 && o.open == 0 {
			delete(o.by, p)
		}
	}
	o.watches--
	o.active.Add(-1)
}

// look asks the store for the events that nothing is known of, or that have not
// ended.
func (w *watch) look(ctx context.Context) error {
	for _, p := range w.positions {
		if w.done(p) {
			continue
		}
		list, err := w.store.Deliveries(ctx, p)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue // not routed yet, or gone
		case ctx.Err() != nil, errors.Is(err, store.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		w.merge(p, list)
	}
	return nil
}

// done says that all which an event led to has ended.
func (w *watch) done(position uint64) bool {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	f := w.of.by[position]
	return f.known && f.ended()
}

func (w *watch) merge(position uint64, list []*store.DeliveryStatus) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.of.by[position].merge(list)
}

// result copies what is known, and reports whether all of it has ended.
func (w *watch) result() ([][]*store.DeliveryStatus, bool) {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	all, ended := make([][]*store.DeliveryStatus, len(w.positions)), true
	for i, p := range w.positions {
		f := w.of.by[p]
		ended = ended && f.known && f.ended()
		all[i] = make([]*store.DeliveryStatus, 0, len(f.list))
		for _, d := range f.list {
			if d != nil {
				c := *d
				c.Attempts = append([]store.Attempt(nil), d.Attempts...)
				all[i] = append(all[i], &c)
			}
		}
	}
	return all, ended
}

func (f *followed) ended() bool {
	for _, d := range f.list {
		if d != nil && d.State != store.Delivered && d.State != store.Dead && d.State != store.Cancelled {
			return false
		}
	}
	return true
}

// merge takes what the store has, where it knows more.
func (f *followed) merge(list []*store.DeliveryStatus) {
	for _, d := range list {
		i := int(d.Ref.Index)
		for len(f.list) <= i {
			f.list = append(f.list, nil)
		}
		if old := f.list[i]; old == nil || len(d.Attempts) > len(old.Attempts) || len(d.Attempts) == len(old.Attempts) && d.State != store.Waiting {
			f.list[i] = d
		}
	}
	f.know()
}

// know applies what came before the list was known.
func (f *followed) know() {
	f.known = true
	for _, o := range f.early {
		f.apply(o)
	}
	f.early = nil
}

func (f *followed) apply(o outcome) {
	if int(o.index) >= len(f.list) || f.list[o.index] == nil {
		return
	}
	d := f.list[o.index]
	if n := len(d.Attempts); n == 0 || d.Attempts[n-1].Number < o.attempt.Number {
		d.Attempts = append(d.Attempts, o.attempt)
		d.State, d.Due, d.Reason, d.Note = o.to, o.due, o.reason, o.note
	}
}

func (f *followed) tell() {
	for _, w := range f.watches {
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// of returns what is followed of a position, nil where nobody wants to know. The
// caller holds mu.
func (o *outcomes) of(position uint64) *followed {
	f := o.by[position]
	if f == nil && o.open > 0 && len(o.by) < maxFollowed {
		f = &followed{}
		o.by[position] = f
	}
	return f
}

// decided is told where an event goes, before it goes.
func (o *outcomes) decided(e *event.Event, r *store.Routing) {
	if o.active.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.of(e.Position)
	if f == nil || f.known {
		return
	}
	f.list = make([]*store.DeliveryStatus, len(r.Deliveries))
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		s := &store.DeliveryStatus{
			Ref: store.Ref{Position: e.Position, Index: uint32(i)}, Delivery: *d, Route: r.Matches[d.Match].Route,
			EventID: e.ID, Type: e.Type, MessageType: e.Type, Source: e.Source, Tenant: e.Tenant, Received: e.Received,
			State: store.Waiting,
		}
		if d.Content >= 0 {
			s.MessageType = r.Contents[d.Content].Type
		}
		switch {
		case d.Dead != "":
			s.State, s.Reason, s.Note = store.Dead, d.Dead, d.Error
		case !d.Due.IsZero():
			s.State, s.Due = store.Retrying, d.Due
		}
		f.list[i] = s
	}
	f.know()
	f.tell()
}

// observe is told of each attempt, see [lane.Observer].
func (o *outcomes) observe(_ string, w *lane.Work, result *lane.Result, to *store.Outcome) {
	if o.active.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.of(w.Ref.Position)
	if f == nil {
		return
	}
	x := outcome{w.Ref.Index, result.Attempt, to.To, to.Due, to.Reason, to.Note}
	x.attempt.Number = w.Number
	if f.known {
		f.apply(x)
	} else {
		f.early = append(f.early, x)
	}
	f.tell()
}
