package storetest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Flaw is a way in which a [Memory] breaks an invariant on purpose, to show that
// the suite notices.
type Flaw string

// The flaws, by the invariant that each breaks.
const (
	ForgetsNewest        Flaw = "a crash loses the newest record"
	TearsRecords         Flaw = "a crash leaves half of the newest record"
	KeepsRefused         Flaw = "a refused record leaves its events"
	LeavesGaps           Flaw = "a duplicate uses up a position"
	KeepsLentData        Flaw = "data is not copied by a commit"
	ReceivedGoesBack     Flaw = "received decreases with the clock"
	ForgetsIDs           Flaw = "a restart forgets ids"
	DedupesAcrossSources Flaw = "an id counts for all sources"
	ForgetsAliases       Flaw = "an alias is not remembered"
	SkipsEvents          Flaw = "a routing may skip events"
	RoutesTwice          Flaw = "a position may be routed twice"
	SkipsPostings        Flaw = "postings of a lane are skipped after a gap in the cursor"
	GivesSettled         Flaw = "settled postings are given again"
	BelievesFrom         Flaw = "an outcome's prior state is not checked"
	LosesByCursor        Flaw = "a cursor may settle postings without outcomes"
	MiscountsDead        Flaw = "the count of dead letters never falls"
	HidesFinished        Flaw = "what an event led to lacks what is finished"
	LosesAttempts        Flaw = "what an event led to has only the last attempts"
	RetriesInLogOrder    Flaw = "retries come by reference"
	KeepsFinishedRetries Flaw = "finished retries are given"
	CursorGoesBack       Flaw = "the cursor may go back"
	RowsForIdleLanes     Flaw = "asking for a lane makes it"
	ExpiresWaiting       Flaw = "retention takes waiting deliveries"
	LeavesIndexes        Flaw = "retention leaves ids"
	KeepsEverything      Flaw = "retention takes nothing"
	ListsTwice           Flaw = "pages overlap"
	TakesWhenFull        Flaw = "events are taken below min_free"
)

// MemorySystem is a [System] whose disk is memory: a model that the other
// implementations are compared with, and that can be broken.
type MemorySystem struct {
	flaws map[Flaw]bool
	log   []entry
	open  *Memory
}

// NewMemory returns a factory of memory systems with some flaws.
func NewMemory(flaws ...Flaw) Factory {
	return func() (System, error) {
		s := &MemorySystem{flaws: map[Flaw]bool{}}
		for _, f := range flaws {
			s.flaws[f] = true
		}
		return s, nil
	}
}

// entry is what was committed, with the time that it was applied at.
type entry struct {
	rec    *store.Record
	expire bool
	at     time.Time
}

// Open opens the store by folding its log again.
func (s *MemorySystem) Open(_ context.Context, o Options) (store.Store, error) {
	m := &Memory{sys: s, opts: o, news: make(chan struct{})}
	m.rebuild()
	if s.flaws[ForgetsIDs] {
		m.ids, m.aliases = map[idKey]remembered{}, map[[2]string]remembered{}
	}
	s.open = m
	return m, nil
}

// Crash leaves what a process leaves that was killed.
func (s *MemorySystem) Crash(context.Context) error {
	if n := len(s.log); n > 0 {
		switch {
		case s.flaws[ForgetsNewest]:
			s.log = s.log[:n-1]
		case s.flaws[TearsRecords] && s.log[n-1].rec != nil:
			half := *s.log[n-1].rec
			half.Documents = nil
			s.log[n-1].rec = &half
		}
	}
	if s.open != nil {
		s.open.mu.Lock()
		s.open.closed = true
		s.open.mu.Unlock()
	}
	return nil
}

// Remove has nothing to remove.
func (s *MemorySystem) Remove() error { return nil }

type idKey struct{ id, source, scope string }

type remembered struct {
	position uint64
	sum      [32]byte
	until    time.Time
	name     string // of the event, for an alias
}

// Memory is the plainest fold of records there is.
type Memory struct {
	sys  *MemorySystem
	opts Options

	mu         sync.Mutex
	closed     bool
	news       chan struct{}
	events     []*event.Event // by position, from 1; nil where taken
	routings   map[uint64]*store.Routing
	deliveries map[store.Ref]*delivery
	lanes      map[string]*memoryLane
	ids        map[idKey]remembered
	aliases    map[[2]string]remembered // by alias and source
	documents  map[[2]string][]byte
	progress   uint64
	received   time.Time
}

type delivery struct {
	lane     string
	posted   bool
	state    store.State
	due      time.Time
	key      uint64
	tries    int
	reason   store.Reason
	note     string
	changed  time.Time
	attempts []store.Attempt
}

type memoryLane struct {
	cursor store.Cursor
	extra  uint64 // what a flaw adds to the count of dead letters
}

var _ store.Store = (*Memory)(nil)

func (m *Memory) rebuild() {
	m.events = []*event.Event{nil}
	m.routings = map[uint64]*store.Routing{}
	m.deliveries = map[store.Ref]*delivery{}
	m.lanes = map[string]*memoryLane{}
	m.ids = map[idKey]remembered{}
	m.aliases = map[[2]string]remembered{}
	m.documents = map[[2]string][]byte{}
	m.progress, m.received = 0, time.Time{}
	for _, e := range m.sys.log {
		if e.expire {
			m.expire(e.at)
			continue
		}
		if _, err := m.apply(e.rec, e.at); err != nil && len(m.sys.flaws) == 0 {
			panic(fmt.Sprintf("the model refuses what it took before: %v", err))
		}
	}
}

// copyRecord makes the log independent of what the caller does later.
func copyRecord(r *store.Record) (*store.Record, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	c := &store.Record{}
	return c, json.Unmarshal(b, c)
}

// Commit applies a record.
func (m *Memory) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	if err := r.Validate(); err != nil {
		return store.Result{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return store.Result{}, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return store.Result{}, err
	}
	if len(r.Events) > 0 && !m.sys.flaws[TakesWhenFull] && m.full() {
		return store.Result{}, store.ErrFull
	}
	c, err := copyRecord(r)
	if err != nil {
		return store.Result{}, err
	}
	if m.sys.flaws[KeepsLentData] {
		for i := range c.Events {
			c.Events[i].Event.Data = r.Events[i].Event.Data
		}
	}
	at := m.opts.Now()
	before := len(m.events)
	res, err := m.apply(c, at)
	if err != nil {
		if m.sys.flaws[KeepsRefused] {
			m.sys.log = append(m.sys.log, entry{rec: &store.Record{Events: c.Events}, at: at})
		}
		m.rebuild()
		return store.Result{}, err
	}
	m.sys.log = append(m.sys.log, entry{rec: c, at: at})
	if len(m.events) > before {
		close(m.news)
		m.news = make(chan struct{})
	}
	return res, nil
}

func (m *Memory) full() bool { return m.opts.MinFree > 0 && m.opts.Free() < m.opts.MinFree }

func outOfOrder(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, store.ErrOutOfOrder)...)
}

func (m *Memory) apply(r *store.Record, now time.Time) (store.Result, error) {
	var res store.Result
	for i := range r.Events {
		res.Events = append(res.Events, m.addEvent(&r.Events[i], now))
	}
	for _, routing := range r.Routings {
		if err := m.addRouting(routing, now); err != nil {
			return store.Result{}, err
		}
	}
	for i := range r.Outcomes {
		if err := m.addOutcomes(&r.Outcomes[i], now); err != nil {
			return store.Result{}, err
		}
	}
	for _, d := range r.Documents {
		if key := [2]string{d.Kind, d.Name}; d.Value == nil {
			delete(m.documents, key)
		} else {
			m.documents[key] = d.Value
		}
	}
	return res, nil
}

func (m *Memory) addEvent(n *store.NewEvent, now time.Time) store.Accepted {
	e := *n.Event
	e.Position = uint64(len(m.events))
	sum := sha256.Sum256(append([]byte(e.Type+"\x00"), e.Data...))
	id := remembered{position: e.Position, sum: sum}
	if n.Dedupe > 0 {
		id.until = now.Add(n.Dedupe)
	}
	key := idKey{e.ID, e.Source, e.Scope}
	if m.sys.flaws[DedupesAcrossSources] {
		key.source = ""
	}
	if e.Given {
		if old, ok := m.ids[key]; ok && now.Before(old.until) {
			if m.sys.flaws[LeavesGaps] {
				m.events = append(m.events, nil)
			}
			return store.Accepted{ID: e.ID, Position: old.position, Duplicate: true, Differs: old.sum != sum}
		}
	}
	alias := [2]string{n.Alias, e.Source}
	if n.Alias != "" && !m.sys.flaws[ForgetsAliases] {
		if old, ok := m.aliases[alias]; ok && now.Before(old.until) {
			return store.Accepted{ID: old.name, Position: old.position, Duplicate: true, Differs: old.sum != sum}
		}
	}
	if e.Given {
		m.ids[key] = id
	} else {
		e.ID = event.IDAt(e.ID, e.Position)
	}
	if n.Alias != "" {
		id.name = e.ID
		m.aliases[alias] = id
	}
	if e.Received.IsZero() {
		e.Received = now
	}
	e.Received = e.Received.UTC()
	if e.Received.Before(m.received) && !m.sys.flaws[ReceivedGoesBack] {
		e.Received = m.received
	}
	m.received = e.Received
	m.events = append(m.events, &e)
	return store.Accepted{ID: e.ID, Position: e.Position}
}

func (m *Memory) addRouting(r *store.Routing, now time.Time) error {
	first := 0
	if r.Again {
		old := m.routings[r.Position]
		if old == nil {
			return outOfOrder("position %d has no routing", r.Position)
		}
		first = len(old.Deliveries)
		matches, contents := len(old.Matches), len(old.Contents)
		old.Matches = append(old.Matches, r.Further(old.Config)...)
		old.Contents = append(old.Contents, r.Contents...)
		for _, d := range r.Deliveries {
			d.Match += matches
			if d.Content >= 0 {
				d.Content += contents
			}
			old.Deliveries = append(old.Deliveries, d)
		}
	} else {
		skip := m.sys.flaws[SkipsEvents] && r.Position > m.progress
		twice := m.sys.flaws[RoutesTwice] && r.Position == m.progress
		if r.Position != m.progress+1 && !skip && !twice || r.Position >= uint64(len(m.events)) {
			return outOfOrder("a routing of position %d, the next is %d", r.Position, m.progress+1)
		}
		m.progress = r.Position
		c := *r
		c.Matches, c.Contents, c.Deliveries = slices.Clone(r.Matches), slices.Clone(r.Contents), slices.Clone(r.Deliveries)
		m.routings[r.Position] = &c
	}
	for i, d := range r.Deliveries {
		s := &delivery{lane: d.Lane, changed: now, state: store.Waiting}
		switch {
		case d.Dead != "":
			s.state, s.reason, s.note = store.Dead, d.Dead, d.Error
		case !d.Due.IsZero():
			s.state, s.due, s.note = store.Retrying, d.Due, d.Error
		default:
			s.posted = true
		}
		m.deliveries[store.Ref{Position: r.Position, Index: uint32(first + i)}] = s
		m.lane(d.Lane)
	}
	return nil
}

func (m *Memory) lane(name string) *memoryLane {
	l := m.lanes[name]
	if l == nil {
		l = &memoryLane{}
		m.lanes[name] = l
	}
	return l
}

func (m *Memory) addOutcomes(lo *store.LaneOutcomes, now time.Time) error {
	if len(lo.Outcomes) == 0 && lo.Cursor == nil {
		return nil
	}
	l := m.lanes[lo.Lane]
	if l == nil {
		return outOfOrder("nothing was posted to %s", lo.Lane)
	}
	old, cursor := l.cursor, l.cursor
	if lo.Cursor != nil {
		cursor = *lo.Cursor
		if cursor.Low.Less(old.Low) && !m.sys.flaws[CursorGoesBack] {
			return outOfOrder("the cursor goes back")
		}
		if (store.Ref{Position: m.progress + 1}).Less(cursor.Low) {
			return outOfOrder("the cursor is beyond what is routed")
		}
		for _, r := range old.Above {
			if !cursor.Settled(r) && !m.sys.flaws[CursorGoesBack] {
				return outOfOrder("the cursor takes back %s", r)
			}
		}
	}
	if lo.Cursor == nil {
		cursor.Above = slices.Clone(cursor.Above)
		for _, o := range lo.Outcomes {
			if o.From == store.Waiting && !cursor.Settled(o.Ref) {
				cursor.Above = append(cursor.Above, o.Ref)
			}
		}
		slices.SortFunc(cursor.Above, compareRefs)
	}
	for i := range lo.Outcomes {
		o := &lo.Outcomes[i]
		d := m.deliveries[o.Ref]
		if d == nil || d.lane != lo.Lane || d.state != o.From && !m.sys.flaws[BelievesFrom] {
			return outOfOrder("%s is not %s", o.Ref, o.From)
		}
		if o.From == store.Waiting && !cursor.Settled(o.Ref) {
			return outOfOrder("the cursor leaves %s waiting", o.Ref)
		}
		if d.state == store.Dead && m.sys.flaws[MiscountsDead] {
			l.extra++
		}
		d.state, d.tries, d.reason, d.note, d.changed = o.To, o.Tries, o.Reason, o.Note, now
		d.due, d.key = time.Time{}, 0
		if o.To == store.Retrying {
			d.due, d.key = o.Due, o.Key
		}
		if o.Attempt != nil {
			d.attempts = store.AppendAttempt(d.attempts, *o.Attempt)
		}
	}
	l.cursor = cursor
	if m.sys.flaws[LosesByCursor] {
		return nil
	}
	for r, d := range m.deliveries {
		if d.lane == lo.Lane && d.posted && (d.state == store.Waiting) == cursor.Settled(r) && !m.sys.flaws[CursorGoesBack] && !m.sys.flaws[BelievesFrom] {
			return outOfOrder("the cursor and the state of %s do not agree", r)
		}
	}
	for _, r := range cursor.Above {
		if d := m.deliveries[r]; d == nil || d.lane != lo.Lane || !d.posted {
			return outOfOrder("the cursor settles %s, which is no posting", r)
		}
	}
	return nil
}

// Last returns the newest position.
func (m *Memory) Last() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.events) - 1)
}

// Progress returns the newest position that is routed.
func (m *Memory) Progress() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.progress
}

// Wait waits for an event after a position.
func (m *Memory) Wait(ctx context.Context, after uint64) error {
	for {
		m.mu.Lock()
		last, news, closed := uint64(len(m.events)-1), m.news, m.closed
		m.mu.Unlock()
		if last > after {
			return nil
		}
		if closed {
			return store.ErrClosed
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Events returns events in order.
func (m *Memory) Events(_ context.Context, from uint64, max int) ([]*event.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*event.Event
	for p := from; p < uint64(len(m.events)) && len(list) < max; p++ {
		if e := m.events[p]; e != nil {
			list = append(list, e)
		}
	}
	return list, nil
}

// Event returns one event.
func (m *Memory) Event(_ context.Context, position uint64) (*event.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if position >= uint64(len(m.events)) || m.events[position] == nil {
		return nil, store.ErrNotFound
	}
	return m.events[position], nil
}

// FindEvent returns the events of an id.
func (m *Memory) FindEvent(_ context.Context, id, source string) ([]*event.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	newest := map[idKey]*event.Event{}
	for _, e := range m.events {
		if e != nil && e.ID == id && (source == "" || e.Source == source) {
			newest[idKey{e.ID, e.Source, e.Scope}] = e
		}
	}
	if m.sys.flaws[LeavesIndexes] && len(newest) == 0 {
		for k, r := range m.ids {
			if k.id == id {
				return []*event.Event{{Position: r.position, ID: id}}, nil
			}
		}
	}
	if len(newest) == 0 {
		return nil, store.ErrNotFound
	}
	var list []*event.Event
	for _, e := range newest {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *event.Event) int { return cmp.Compare(a.Position, b.Position) })
	return list, nil
}

// Routing returns what an event led to.
func (m *Memory) Routing(_ context.Context, position uint64) (*store.Routing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if position >= uint64(len(m.events)) || m.events[position] == nil || m.routings[position] == nil {
		return nil, store.ErrNotFound
	}
	return m.routings[position], nil
}

// Lanes returns all lanes.
func (m *Memory) Lanes(context.Context) ([]store.Lane, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := map[string]*store.Counts{}
	for _, d := range m.deliveries {
		if counts[d.lane] == nil {
			counts[d.lane] = &store.Counts{}
		}
		d.count(counts[d.lane])
	}
	var list []store.Lane
	for name, l := range m.lanes {
		c := counts[name]
		if c == nil {
			c = &store.Counts{}
		}
		c.Dead += l.extra
		list = append(list, store.Lane{Name: name, Cursor: l.cursor, Counts: *c})
	}
	return list, nil
}

func (d *delivery) count(c *store.Counts) {
	switch d.state {
	case store.Waiting:
		c.Waiting++
	case store.Retrying:
		c.Retrying++
	case store.Dead:
		c.Dead++
	case store.Delivered:
		c.Delivered++
	case store.Cancelled:
		c.Cancelled++
	}
}

// Lane returns one lane.
func (m *Memory) Lane(_ context.Context, name string) (store.Lane, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sys.flaws[RowsForIdleLanes] {
		m.lane(name)
	}
	return m.public(name), nil
}

func (m *Memory) public(name string) store.Lane {
	l := store.Lane{Name: name}
	row := m.lanes[name]
	if row == nil {
		return l
	}
	l.Cursor = row.cursor
	for _, d := range m.deliveries {
		if d.lane == name {
			d.count(&l.Counts)
		}
	}
	l.Counts.Dead += row.extra
	return l
}

func compareRefs(a, b store.Ref) int {
	return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Index, b.Index))
}

// refs gives deliveries of a lane, or of all, in order.
func (m *Memory) refs(lane string) []store.Ref {
	var list []store.Ref
	for r, d := range m.deliveries {
		if lane == "" || d.lane == lane {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, compareRefs)
	return list
}

// Postings returns unsettled postings.
func (m *Memory) Postings(_ context.Context, lane string, from store.Ref, max int) ([]store.Posting, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []store.Posting
	row := m.lanes[lane]
	for _, r := range m.refs(lane) {
		d := m.deliveries[r]
		if !d.posted || r.Less(from) || len(list) >= max {
			continue
		}
		if m.sys.flaws[SkipsPostings] && len(row.cursor.Above) > 0 && r.Less(row.cursor.Above[len(row.cursor.Above)-1]) {
			continue
		}
		if row.cursor.Settled(r) && !(m.sys.flaws[GivesSettled] && !r.Less(row.cursor.Low)) {
			continue
		}
		list = append(list, store.Posting{Ref: r})
	}
	return list, nil
}

// Retries returns retries by due time.
func (m *Memory) Retries(_ context.Context, lane string, max int) ([]store.Retry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []store.Retry
	for _, r := range m.refs(lane) {
		d := m.deliveries[r]
		finished := m.sys.flaws[KeepsFinishedRetries] && d.state == store.Delivered && len(d.attempts) > 1
		if d.state == store.Retrying || finished {
			list = append(list, store.Retry{Ref: r, Due: d.due.UTC(), Tries: d.tries, Attempts: len(d.attempts), Key: d.key})
		}
	}
	if !m.sys.flaws[RetriesInLogOrder] {
		slices.SortStableFunc(list, func(a, b store.Retry) int { return a.Due.Compare(b.Due) })
	}
	return list[:min(len(list), max)], nil
}

// RetriesFrom returns retries from a place on.
func (m *Memory) RetriesFrom(ctx context.Context, lane string, due time.Time, ref store.Ref, max int) ([]store.Retry, error) {
	all, err := m.Retries(ctx, lane, math.MaxInt)
	if err != nil {
		return nil, err
	}
	var list []store.Retry
	for _, y := range all {
		before := y.Due.Before(due) || y.Due.Equal(due) && y.Ref.Less(ref)
		if !before && len(list) < max {
			list = append(list, y)
		}
	}
	return list, nil
}

// Oldest returns the first unfinished delivery of a lane.
func (m *Memory) Oldest(_ context.Context, lane string) (store.Ref, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.refs(lane) {
		switch d := m.deliveries[r]; d.state {
		case store.Waiting, store.Retrying:
			return r, nil
		}
	}
	return store.Ref{}, store.ErrNotFound
}

// Delivery returns a delivery's status.
func (m *Memory) Delivery(_ context.Context, r store.Ref) (*store.DeliveryStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.status(r)
	if st == nil {
		return nil, store.ErrNotFound
	}
	return st, nil
}

// Deliveries returns the statuses of all that an event led to.
func (m *Memory) Deliveries(ctx context.Context, position uint64) ([]*store.DeliveryStatus, error) {
	return m.DeliveriesFrom(ctx, position, 0, math.MaxInt)
}

// DeliveriesFrom returns the statuses of some of them.
func (m *Memory) DeliveriesFrom(_ context.Context, position uint64, from uint32, max int) ([]*store.DeliveryStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	routing := m.routings[position]
	if routing == nil || m.events[position] == nil {
		return nil, store.ErrNotFound
	}
	var list []*store.DeliveryStatus
	bodies := 0
	for i := range routing.Deliveries {
		if i < int(from) || len(list) >= max {
			continue
		}
		st := m.status(store.Ref{Position: position, Index: uint32(i)})
		if st == nil || m.sys.flaws[HidesFinished] && st.State.Final() {
			continue
		}
		if n := len(st.Attempts); n > 1 && m.sys.flaws[LosesAttempts] {
			st.Attempts = st.Attempts[n-1:]
		}
		for j := range st.Attempts {
			if bodies += len(st.Attempts[j].Body); bodies > store.MaxBodies {
				st.Attempts[j].Body = nil
				bodies = store.MaxBodies + 1
			}
		}
		list = append(list, st)
	}
	return list, nil
}

func (m *Memory) status(r store.Ref) *store.DeliveryStatus {
	d := m.deliveries[r]
	if d == nil || m.events[r.Position] == nil {
		return nil
	}
	e, routing := m.events[r.Position], m.routings[r.Position]
	made := routing.Deliveries[r.Index]
	st := &store.DeliveryStatus{
		Ref: r, Delivery: made, Route: routing.Matches[made.Match].Route,
		EventID: e.ID, Type: e.Type, MessageType: e.Type, Source: e.Source, Tenant: e.Tenant, Received: e.Received,
		State: d.state, Due: d.due, Tries: d.tries, Key: d.key, Reason: d.reason, Note: d.note, Attempts: slices.Clone(d.attempts),
	}
	if made.Content >= 0 {
		st.MessageType = routing.Contents[made.Content].Type
	}
	return st
}

// matches is independent of event.MatchType on purpose: the model shares no code
// with what it is compared with.
func matches(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

func takes(e *event.Event, typ, source, tenant string, since, until time.Time) bool {
	return matches(typ, e.Type) && (source == "" || source == e.Source) && (tenant == "" || tenant == e.Tenant) &&
		(since.IsZero() || !e.Received.Before(since)) && (until.IsZero() || e.Received.Before(until))
}

func (m *Memory) page(p store.Page) (store.Ref, error) {
	if p.Limit < 1 || p.Limit > 1000 {
		return store.Ref{}, fmt.Errorf("a limit of %d is not from 1 to 1000", p.Limit)
	}
	if p.Cursor == "" {
		return store.Ref{Position: ^uint64(0), Index: ^uint32(0)}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return store.Ref{}, store.ErrCursor
	}
	r, err := store.ParseRef(string(b))
	if err != nil {
		return store.Ref{}, store.ErrCursor
	}
	return r, nil
}

func (m *Memory) next(r store.Ref) string {
	if m.sys.flaws[ListsTwice] {
		r = r.Next()
	}
	return base64.RawURLEncoding.EncodeToString([]byte(r.String()))
}

// ListEvents lists events.
func (m *Memory) ListEvents(_ context.Context, q store.EventQuery) ([]*event.Event, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	below, err := m.page(q.Page)
	if err != nil {
		return nil, "", err
	}
	var list []*event.Event
	for _, e := range slices.Backward(m.events) {
		if e == nil || !(store.Ref{Position: e.Position}).Less(below) || !takes(e, q.Type, q.Source, q.Tenant, q.Since, q.Until) {
			continue
		}
		if len(list) == q.Limit {
			return list, m.next(store.Ref{Position: list[len(list)-1].Position}), nil
		}
		list = append(list, e)
	}
	return list, "", nil
}

// SearchEvents lists what a search finds.
func (m *Memory) SearchEvents(_ context.Context, q store.EventSearch) (*store.EventsFound, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	below, err := m.page(q.Page)
	if err != nil {
		return nil, err
	}
	found := &store.EventsFound{}
	for _, e := range slices.Backward(m.events) {
		if e == nil || !(store.Ref{Position: e.Position}).Less(below) {
			continue
		}
		if found.Looked++; found.Looked == 1 {
			found.Newest = e.Received
		}
		found.Oldest = e.Received
		if !takes(e, q.Type, q.Source, q.Tenant, q.Since, q.Until) || !m.sent(e.Position, q.Destination, q.State, q.Told) {
			continue
		}
		all := strings.ToLower(e.ID + "\n" + e.OriginID + "\n" + e.Subject + "\n" + string(e.Data))
		if !strings.Contains(all, strings.ToLower(q.Text)) {
			continue
		}
		if len(found.Events) == q.Limit {
			found.Next = m.next(store.Ref{Position: found.Events[len(found.Events)-1].Position})
			return found, nil
		}
		found.Events = append(found.Events, e)
	}
	return found, nil
}

// sent says whether an event has a delivery to a lane that is in a state.
func (m *Memory) sent(position uint64, lane string, state store.State, told bool) bool {
	if lane == "" && state == "" {
		return true
	}
	for _, r := range m.refs(lane) {
		if r.Position == position && m.status(r).Fits(state, told) {
			return true
		}
	}
	return false
}

// ListDeliveries lists deliveries.
func (m *Memory) ListDeliveries(_ context.Context, q store.DeliveryQuery) ([]*store.DeliveryStatus, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	below, err := m.page(q.Page)
	if err != nil {
		return nil, "", err
	}
	var list []*store.DeliveryStatus
	for _, r := range slices.Backward(m.refs(q.Destination)) {
		if !r.Less(below) || !m.status(r).Fits(q.State, q.Told) || !takes(m.events[r.Position], q.Type, q.Source, q.Tenant, q.Since, q.Until) {
			continue
		}
		if len(list) == q.Limit {
			return list, m.next(list[len(list)-1].Ref), nil
		}
		st := m.status(r)
		if n := len(st.Attempts); n > 1 {
			st.Attempts = st.Attempts[n-1:]
		}
		list = append(list, st)
	}
	return list, "", nil
}

// Document returns one document.
func (m *Memory) Document(_ context.Context, kind, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.documents[[2]string{kind, name}]
	if !ok {
		return nil, store.ErrNotFound
	}
	return v, nil
}

// Documents returns all documents of a kind.
func (m *Memory) Documents(_ context.Context, kind string) ([]store.Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []store.Document
	for k, v := range m.documents {
		if k[0] == kind {
			list = append(list, store.Document{Kind: kind, Name: k[1], Value: v})
		}
	}
	slices.SortFunc(list, func(a, b store.Document) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// DocumentsFrom returns documents of a kind from a name on.
func (m *Memory) DocumentsFrom(ctx context.Context, kind, name string, limit int) ([]store.Document, error) {
	list, err := m.Documents(ctx, kind)
	order := func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}
	list = slices.DeleteFunc(list, func(d store.Document) bool { return order(d.Name, name) < 0 })
	slices.SortFunc(list, func(a, b store.Document) int { return order(a.Name, b.Name) })
	return list[:min(len(list), limit)], err
}

// Expire applies retention. Unlike a real store it knows no buckets: an event
// goes as soon as it is too old.
func (m *Memory) Expire(_ context.Context, now time.Time) (store.Expired, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sys.flaws[KeepsEverything] {
		return store.Expired{}, nil
	}
	m.sys.log = append(m.sys.log, entry{expire: true, at: now})
	return m.expire(now), nil
}

func (m *Memory) expire(now time.Time) store.Expired {
	var done store.Expired
	for _, r := range m.refs("") {
		d := m.deliveries[r]
		old := m.events[r.Position].Received.Before(now.Add(-m.opts.MaxAge))
		if old && (d.state == store.Waiting || d.state == store.Retrying) {
			if l := m.lanes[d.lane]; d.state == store.Waiting && l.cursor.Low.Less(r.Next()) {
				l.cursor.Low = r.Next()
				l.cursor.Above = slices.DeleteFunc(slices.Clone(l.cursor.Above), func(a store.Ref) bool { return a.Less(l.cursor.Low) })
			}
			d.state, d.reason, d.changed, d.due = store.Dead, store.ReasonExpired, now, time.Time{}
			d.key = 0
			done.Aged++
			if done.AgedBy == nil {
				done.AgedBy = map[string]int{}
			}
			done.AgedBy[d.lane]++
		}
		if d.state == store.Dead && d.changed.Before(now.Add(-m.opts.DeadAge)) {
			delete(m.deliveries, r)
			done.DeadLetters++
		}
	}
	for p, e := range m.events {
		if e == nil || !e.Received.Before(now.Add(-m.opts.Retention)) || uint64(p) > m.progress {
			continue
		}
		unfinished := false
		var of []store.Ref
		for r, d := range m.deliveries {
			if r.Position == uint64(p) {
				of = append(of, r)
				unfinished = unfinished || d.state == store.Retrying || d.state == store.Dead || d.state == store.Waiting && !m.sys.flaws[ExpiresWaiting]
			}
		}
		if unfinished {
			continue
		}
		for _, r := range of {
			delete(m.deliveries, r)
		}
		delete(m.routings, uint64(p))
		m.events[p] = nil
		done.Events++
		if !m.sys.flaws[LeavesIndexes] {
			for k, id := range m.ids {
				if id.position == uint64(p) && !now.Before(id.until) {
					delete(m.ids, k)
				}
			}
		}
	}
	return done
}

// Err reports whether events can be committed.
func (m *Memory) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return store.ErrClosed
	case m.full():
		return store.ErrFull
	}
	return nil
}

// Close closes the store.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.news)
		m.news = make(chan struct{})
	}
	return nil
}
