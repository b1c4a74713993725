package routing

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Bounds of one batch of events and of one record.
const (
	batchEvents = 128
	batchBytes  = 2 << 20
)

// Bounds of what is decided and not committed yet: past them the reader waits.
// MaxAhead is also how many events a crash can make it route again.
const (
	MaxAhead   = 4096
	aheadBytes = 8 << 20
	// earlyBytes bounds the routings that are told before the commit. A larger
	// one might not fit into the store, and then it is another.
	earlyBytes = 256 << 10
)

// postEvery is the least time between two commits of routings while events keep
// coming: each of them costs producers a flush.
const postEvery = 20 * time.Millisecond

// Taker is told of routings. Both methods are called for the log's events in
// their order, and must not block.
type Taker interface {
	// Decided comes before the commit. The event is durable: where early is set
	// its deliveries may be sent already, but their outcomes must not be committed
	// before the routing is. Where it is not set the decision may change.
	Decided(e *event.Event, d *Decision, early bool)
	// Committed comes after it.
	Committed(e *event.Event, d *Decision)
	// Dead gives events that are stored together with a routing that has dead
	// letters.
	Dead(e *event.Event, r *store.Routing) []store.NewEvent
}

// Ledger counts events as they are routed, in the record that commits it.
type Ledger interface {
	// Routed returns a document that the record with these routings is to carry, each
	// of an event, and what to call once it is committed.
	Routed(events []*event.Event, routings []*store.Routing) (d store.Document, committed func())
}

// Reader reads the log once and posts to the lanes that matched.
type Reader struct {
	store store.Store
	log   hclog.Logger
	taker Taker
	// ledger may be nil.
	ledger Ledger
	crew   crew
	// mu is held for reading while a table is in use, so that Swap knows when the
	// old one is not any more.
	mu    sync.RWMutex
	table *Table
	// earlier are the tables of events that an earlier run may have been routing
	// when it was cut off, oldest first. cutOff is the last such event; until it is
	// decided no other table is taken over.
	earlier []Earlier
	cutOff  uint64
	passed  chan struct{} // closed when cutOff is decided

	decided atomic.Uint64 // position of the newest event that is decided

	pendMu  sync.Mutex
	pending []pending
	bytes   int           // of pending
	more    chan struct{} // pending has grown
	room    chan struct{} // pending has shrunk
}

// pending is an event that is decided and not committed.
type pending struct {
	event    *event.Event
	decision *Decision
	bytes    int
}

// Earlier is a table that routes the events of a stretch of the log, instead of
// the reader's own.
type Earlier struct {
	Table       *Table
	From, Until uint64 // both included
	// Done is called once no event is being routed by the table, nor will be.
	Done func()
}

// NewReader returns a reader that has not started. The ledger may be nil.
func NewReader(st store.Store, t *Table, log hclog.Logger, taker Taker, ledger Ledger) *Reader {
	return &Reader{
		store: st, log: log, table: t, taker: taker, ledger: ledger,
		more: make(chan struct{}, 1), room: make(chan struct{}, 1), passed: make(chan struct{}),
	}
}

// Resume tells what an earlier run may have been routing when it was cut off: the
// events up to a position, some of them by earlier tables, oldest first. It must
// be called before Run.
func (r *Reader) Resume(earlier []Earlier, cutOff uint64) { r.earlier, r.cutOff = earlier, cutOff }

// Table is the one that the next event to come is routed by.
func (r *Reader) Table() *Table {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.table
}

// Settled reports whether all that was decided is committed. It holds after Run.
func (r *Reader) Settled() bool {
	r.pendMu.Lock()
	defer r.pendMu.Unlock()
	return len(r.pending) == 0
}

// Swap makes t the table that events are routed by, after it has told change the
// position of the last one that was routed by the old. When it gives an error,
// which is change's or ctx's, nothing has changed. When it returns no event is
// being routed by the old one. It waits for Run to have decided what an earlier
// run may have been routing.
func (r *Reader) Swap(ctx context.Context, t *Table, change func(last uint64) error) error {
	select {
	case <-r.passed:
	case <-ctx.Done():
		return fmt.Errorf("events up to %d, which were being routed when the router was cut off, are not routed yet: %w", r.cutOff, ctx.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := change(max(r.decided.Load(), r.store.Progress())); err != nil {
		return err
	}
	r.table = t
	return nil
}

// Change runs change while no event is being routed. What change puts into the
// store, and then into [Webhooks], holds from the position after last on: no event
// there has been routed, and every event that was stored before is before it.
func (r *Reader) Change(change func(last uint64) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return change(r.store.Last())
}

// RouteAgain runs one route again by the current table, see [Table.RouteAgain].
func (r *Reader) RouteAgain(ctx context.Context, e *event.Event, name string, now time.Time, last bool) (*store.Routing, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.table.RouteAgain(ctx, e, name, now, last)
}

// Run routes what is in the log and what comes, until ctx ends; then it commits
// what it has decided. A store that fails is tried again: an event is never
// passed over.
func (r *Reader) Run(ctx context.Context) {
	r.decided.Store(r.store.Progress())
	r.retire(false)
	var poster sync.WaitGroup
	poster.Go(func() { r.post(ctx) })
	defer poster.Wait()
	defer r.retire(true)
	r.crew.begin(runtime.GOMAXPROCS(0) - 1)
	defer r.crew.end()
	for ctx.Err() == nil {
		err := r.step(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, store.ErrClosed) {
			return
		}
		r.log.Error("routing stands still, trying again", "after", r.decided.Load(), "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// step decides for one batch.
func (r *Reader) step(ctx context.Context) error {
	from := r.decided.Load()
	if err := r.store.Wait(ctx, from); err != nil {
		return err
	}
	events, err := r.store.Events(ctx, from+1, batchEvents)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	if len(events) == 0 {
		return fmt.Errorf("read the log: nothing at %d", from+1)
	}
	for len(events) > 0 {
		n := 1
		for size := len(events[0].Data); n < len(events) && size < batchBytes; n++ {
			size += len(events[n].Data)
		}
		if err := r.waitForRoom(ctx); err != nil {
			return err
		}
		if err := r.decide(ctx, events[:n]); err != nil {
			return err
		}
		if !closed(r.passed) {
			r.retire(false)
		}
		events = events[n:]
	}
	return nil
}

// decide asks the table, for events side by side, and tells what it said in
// their order.
func (r *Reader) decide(ctx context.Context, events []*event.Event) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	decisions := make([]*Decision, len(events))
	one := func(ctx context.Context, i int) error {
		d, err := r.tableOf(events[i].Position).Route(ctx, events[i])
		decisions[i] = d
		return err
	}
	if r.table.plugins || len(r.earlier) > 0 {
		if err := r.crew.each(ctx, len(events), one); err != nil {
			return err
		}
	} else {
		for i := range events {
			if err := one(ctx, i); err != nil {
				return err
			}
		}
	}
	sizes := make([]int, len(events))
	// Told before they can be committed.
	for i, e := range events {
		sizes[i] = decisions[i].Routing.Size()
		r.taker.Decided(e, decisions[i], sizes[i] <= earlyBytes)
	}
	r.pendMu.Lock()
	for i, e := range events {
		p := pending{e, decisions[i], e.Size() + sizes[i]}
		r.pending = append(r.pending, p)
		r.bytes += p.bytes
	}
	r.pendMu.Unlock()
	r.decided.Store(events[len(events)-1].Position)
	notify(r.more)
	return nil
}

// tableOf gives the table that an event is routed by. Callers hold mu.
func (r *Reader) tableOf(position uint64) *Table {
	for _, e := range r.earlier {
		if e.From <= position && position <= e.Until {
			return e.Table
		}
	}
	return r.table
}

// retire lets go of earlier tables that have decided what they had to, of all when
// the reader ends.
func (r *Reader) retire(all bool) {
	decided := r.decided.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.earlier) > 0 && (all || r.earlier[0].Until <= decided) {
		r.earlier[0].Done()
		r.earlier = r.earlier[1:]
	}
	if decided >= r.cutOff && !closed(r.passed) {
		close(r.passed)
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// waitForRoom returns when less is pending than may be.
func (r *Reader) waitForRoom(ctx context.Context) error {
	for {
		r.pendMu.Lock()
		full := len(r.pending)+batchEvents > MaxAhead || r.bytes > aheadBytes
		r.pendMu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-r.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// post is the goroutine that commits what was decided. After ctx has ended it
// tries once more and gives up what can't be committed: the next router decides
// for it again.
func (r *Reader) post(ctx context.Context) {
	said := "" // the error that the log has
	for {
		select {
		case <-r.more:
		case <-ctx.Done():
			if err := r.postAll(); err != nil {
				r.log.Error("routings are not recorded; these events will be routed again", "after", r.store.Progress(), "error", err)
			}
			return
		}
		started := time.Now()
		if err := r.postAll(); err == nil {
			said = ""
		} else {
			if err.Error() != said {
				said = err.Error()
				r.log.Error("cannot record routings, trying again every second", "after", r.store.Progress(), "error", err)
			}
			notify(r.more)
			started = started.Add(time.Second)
		}
		select {
		case <-time.After(time.Until(started.Add(postEvery))):
		case <-ctx.Done():
		}
	}
}

// postAll commits all that is pending, in records of bounded size.
func (r *Reader) postAll() error {
	for {
		r.pendMu.Lock()
		n, size := 0, 0
		for n < len(r.pending) && size < batchBytes {
			size += r.pending[n].bytes
			n++
		}
		batch := r.pending[:n:n]
		r.pendMu.Unlock()
		if n == 0 {
			return nil
		}
		done, err := r.commit(batch)
		for i := range batch[:done] {
			r.taker.Committed(batch[i].event, batch[i].decision)
		}
		r.pendMu.Lock()
		for i := range batch[:done] {
			r.bytes -= batch[i].bytes
			batch[i] = pending{}
		}
		r.pending = r.pending[done:]
		r.pendMu.Unlock()
		notify(r.room)
		if err != nil {
			return fmt.Errorf("commit routing: %w", err)
		}
	}
}

// commit commits a batch together, or one by one where it is too large together,
// and says how many are committed. One that is too large by itself becomes a dead
// letter for each of its routes: an event must not stop all that come after it.
func (r *Reader) commit(batch []pending) (done int, err error) {
	// Not the reader's context: a commit that is under way is not given up.
	ctx := context.Background()
	record := &store.Record{Routings: make([]*store.Routing, len(batch))}
	for i := range batch {
		record.Routings[i] = batch[i].decision.Routing
		if hasDead(record.Routings[i]) {
			record.Events = append(record.Events, r.taker.Dead(batch[i].event, record.Routings[i])...)
		}
	}
	err = r.commitCounted(ctx, record, batch)
	if len(record.Events) > 0 && (errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrTooLarge)) {
		r.log.Warn("there is no room for the router's own events, they are dropped", "events", len(record.Events))
		record.Events = nil
		err = r.commitCounted(ctx, record, batch)
	}
	if err == nil {
		return len(batch), nil
	}
	if !errors.Is(err, store.ErrTooLarge) {
		return 0, err
	}
	for i := range batch {
		one := batch[i : i+1]
		err := r.commitCounted(ctx, &store.Record{Routings: record.Routings[i : i+1]}, one)
		if errors.Is(err, store.ErrTooLarge) {
			instead := *batch[i].decision
			instead.Routing = tooLarge(instead.Routing, err)
			batch[i].decision = &instead
			err = r.commitCounted(ctx, &store.Record{Routings: []*store.Routing{instead.Routing}}, one)
		}
		if err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// commitCounted commits a record of the routings of batch with what counts them.
func (r *Reader) commitCounted(ctx context.Context, record *store.Record, batch []pending) error {
	committed := func() {}
	if r.ledger != nil {
		events := make([]*event.Event, len(batch))
		for i := range batch {
			events[i] = batch[i].event
		}
		var d store.Document
		d, committed = r.ledger.Routed(events, record.Routings)
		record.Documents = []store.Document{d}
	}
	_, err := r.store.Commit(ctx, record)
	if err == nil {
		committed()
	}
	return err
}

func hasDead(r *store.Routing) bool {
	for i := range r.Deliveries {
		if r.Deliveries[i].Dead != "" {
			return true
		}
	}
	return false
}

// tooLarge makes dead letters of a routing, one a route. The routing itself is
// left as it is.
func tooLarge(r *store.Routing, why error) *store.Routing {
	instead := &store.Routing{Position: r.Position, Config: r.Config}
	for i := range r.Matches {
		route := r.Matches[i].Route
		instead.Matches = append(instead.Matches, store.Match{Route: route})
		instead.Deliveries = append(instead.Deliveries, store.Delivery{
			Match: i, Content: -1, Lane: store.RoutingLane, Dead: store.ReasonRouting,
			Error: fmt.Sprintf("route %q: what it and the other routes made of this event is too large to be stored: %v", route, why),
		})
	}
	return instead
}
