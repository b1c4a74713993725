package badger

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

// errBatchFull says that a request does not fit into what is left of a batch.
var errBatchFull = errors.New("the batch is full")

// rowOverhead is what Badger adds to a row, about.
const rowOverhead = 40

// row is a write that waits for the batch's transaction. No value deletes.
type row struct {
	key, value []byte
	expires    uint64 // by Badger, in seconds since 1970, 0 never
	// index: it finds an event, and may be written later than that.
	index bool
}

// batch is one transaction in the making. Requests see what those before them
// did, and one that fails is taken back without a trace.
type batch struct {
	s    *Store
	read *badgerdb.Txn // as of the batch's beginning

	requests []*request
	rows     map[string]*row
	// whole values of rows above, for those that are read back.
	size, count int64

	last, progress uint64
	received       int64
	oldest         uint64
	buckets        []bucket
	events         [][]byte // as encoded, those after Store.last
	notes          [][]byte // theirs
	typesOf        []string // and theirs
	mixed          bool     // a record has events and other things
	dropped        bool     // a bucket is
	routed         [][]byte // as encoded, from routedFrom on; nil for those with a row of their own
	routedFrom     uint64
	lanes          map[string]*lane
	types          map[bucketType]bool // for whose rows there is room in size
	postings       map[string][]store.Ref
	due            []newRetry

	undoRows  []undoRow
	undoLanes []undoLane
}

type bucketType struct {
	bucket uint32
	typ    string
}

// newRetry is told to its lane's head when it is committed.
type newRetry struct {
	head *retryHead
	at   int64
}

type undoRow struct {
	key string
	was *row
}

type undoLane struct {
	name string
	was  *lane
}

// mark is a point that a batch can go back to.
type mark struct {
	size, count    int64
	last, progress uint64
	received       int64
	oldest         uint64
	buckets        []bucket
}

func (s *Store) newBatch() *batch {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &batch{
		s: s, rows: map[string]*row{},
		last: s.last, progress: s.progress, received: s.received,
		oldest: s.oldest, buckets: s.buckets, routedFrom: s.progress + 1,
		lanes: map[string]*lane{}, types: map[bucketType]bool{}, postings: map[string][]store.Ref{},
	}
}

func (b *batch) discard() {
	if b.read != nil {
		b.read.Discard()
		b.read = nil
	}
}

// txn is a snapshot of the rows as they are before this batch.
func (b *batch) txn() *badgerdb.Txn {
	if b.read == nil {
		b.read = b.s.db.NewTransaction(false)
	}
	return b.read
}

// add applies a request whole or not at all.
func (b *batch) add(req *request) error {
	m := mark{b.size, b.count, b.last, b.progress, b.received, b.oldest, b.buckets}
	b.undoRows, b.undoLanes = b.undoRows[:0], b.undoLanes[:0]
	if req.rec != nil && needsContentRows(req) {
		if len(b.requests) > 0 {
			return errBatchFull
		}
		if err := b.checkRoutings(req); err != nil {
			return err
		}
		if err := b.writeContents(req); err != nil {
			return err
		}
	}
	err := b.apply(req)
	if err == nil && (b.size > b.s.maxSize || b.count > b.s.maxRows) {
		err = errBatchFull
	}
	if err != nil {
		b.rollback(m)
		return err
	}
	b.requests = append(b.requests, req)
	b.mixed = b.mixed || len(req.events) > 0 && !req.eventsOnly()
	return nil
}

// addAlone adds the first request of a batch.
func (b *batch) addAlone(req *request) error {
	err := b.add(req)
	if errors.Is(err, errBatchFull) {
		return fmt.Errorf("%w: it needs more than %d bytes or %d rows", store.ErrTooLarge, b.s.maxSize, b.s.maxRows)
	}
	return err
}

func (b *batch) apply(req *request) error {
	if req.internal != nil {
		return req.internal(b)
	}
	r := req.rec
	req.result = store.Result{}
	if len(r.Events) > 0 {
		req.result.Events = make([]store.Accepted, len(r.Events))
	}
	for i := range r.Events {
		a, err := b.addEvent(&r.Events[i], req.events[i], req.sums[i])
		if err != nil {
			return err
		}
		req.result.Events[i] = a
	}
	for i, routing := range r.Routings {
		if err := b.addRouting(routing, &req.routings[i]); err != nil {
			return err
		}
	}
	for i := range r.Outcomes {
		if err := b.addOutcomes(&r.Outcomes[i]); err != nil {
			return err
		}
	}
	for i := range r.Documents {
		if err := b.addDocument(&r.Documents[i]); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) rollback(m mark) {
	for i := len(b.undoRows) - 1; i >= 0; i-- {
		u := b.undoRows[i]
		if u.was == nil {
			delete(b.rows, u.key)
		} else {
			b.rows[u.key] = u.was
		}
	}
	for i := len(b.undoLanes) - 1; i >= 0; i-- {
		u := b.undoLanes[i]
		if u.was == nil {
			delete(b.lanes, u.name)
		} else {
			b.lanes[u.name] = u.was
		}
	}
	for k, refs := range b.postings {
		n := sort.Search(len(refs), func(i int) bool { return refs[i].Position > m.progress })
		b.postings[k] = refs[:n]
	}
	b.size, b.count = m.size, m.count
	left := uint64(len(b.events)) - (b.last - m.last)
	b.events, b.notes, b.typesOf = b.events[:left], b.notes[:left], b.typesOf[:left]
	b.routed = b.routed[:uint64(len(b.routed))-(b.progress-m.progress)]
	b.last, b.progress, b.received = m.last, m.progress, m.received
	b.oldest, b.buckets = m.oldest, m.buckets
}

func (b *batch) setRow(r *row) {
	k := string(r.key)
	was := b.rows[k]
	b.undoRows = append(b.undoRows, undoRow{k, was})
	if was != nil {
		b.size -= int64(len(was.key)+len(was.value)) + rowOverhead
		b.count--
	}
	b.size += int64(len(r.key)+len(r.value)) + rowOverhead
	b.count++
	b.rows[k] = r
}

// put writes a value.
func (b *batch) put(key, payload []byte) {
	split(key, payload, func(k, v []byte) { b.setRow(&row{key: k, value: v}) })
}

// remove deletes a row, but not those that it goes on in.
func (b *batch) remove(key []byte) { b.setRow(&row{key: key}) }

// get reads a value as the batch has it by now.
func (b *batch) get(key []byte) ([]byte, error) {
	payload, parts, err := b.getRow(key)
	if err != nil {
		return nil, err
	}
	if parts == 0 {
		return payload, nil
	}
	payload = slices.Clone(payload)
	for n := 1; n <= parts; n++ {
		more, _, err := b.getRow(partKey(key, n))
		if err != nil {
			return nil, err
		}
		payload = append(payload, more...)
	}
	return payload, nil
}

func (b *batch) getRow(key []byte) ([]byte, int, error) {
	if r, ok := b.rows[string(key)]; ok {
		if r.value == nil {
			return nil, 0, store.ErrNotFound
		}
		return unseal(key, r.value)
	}
	if r := b.s.pending.rows[string(key)]; r != nil {
		return unseal(key, r.value)
	}
	return getRow(b.txn(), key)
}

// change gives a lane to be changed, as the batch has it by now.
func (b *batch) change(name string) *lane {
	was := b.lanes[name]
	b.undoLanes = append(b.undoLanes, undoLane{name, was})
	l := &lane{}
	if was == nil {
		b.s.mu.RLock()
		was = b.s.lanes[name]
		b.s.mu.RUnlock()
	}
	if was != nil {
		*l = *was
	} else {
		l.head = &retryHead{}
	}
	b.lanes[name] = l
	return l
}

// bucketOf finds the bucket of a position that was given out.
func (b *batch) bucketOf(position uint64) uint32 {
	return bucketOf(b.buckets, b.oldest, position)
}

func bucketOf(buckets []bucket, oldest, position uint64) uint32 {
	if position < oldest {
		return aside
	}
	i := sort.Search(len(buckets), func(i int) bool { return buckets[i].first > position })
	if i == 0 {
		return aside
	}
	return buckets[i-1].number
}

// bucketFor gives the bucket of a new event, and the buckets with one more and its row
// where a new stretch of time begins.
func bucketFor(buckets []bucket, width uint32, received int64, position uint64) (uint32, []bucket, *row) {
	minute := max(received/60e9, 1)
	number := uint32(min(minute, 1<<32-1))
	number = max(number-number%width, 1)
	if n := len(buckets); n > 0 && buckets[n-1].number >= number {
		return buckets[n-1].number, buckets, nil
	}
	key := bucketRowKey(number)
	made := &row{key: key, value: seal(key, 0, codec.AppendNumbers(nil, position)), index: true}
	return number, append(slices.Clone(buckets), bucket{number, position}), made
}

func (b *batch) bucketFor(received int64, position uint64) uint32 {
	number, buckets, made := bucketFor(b.buckets, b.s.width, received, position)
	if b.buckets = buckets; made != nil {
		b.setRow(made)
	}
	return number
}

func (b *batch) addEvent(n *store.NewEvent, encoded []byte, sum [16]byte) (store.Accepted, error) {
	e := n.Event
	now := b.s.opts.Now()
	received := e.Received
	if received.IsZero() {
		received = now
	}
	id := codec.ID{Position: b.last + 1, Sum: sum}
	if n.Dedupe > 0 {
		id.Until = now.Add(n.Dedupe)
	}
	if e.Given {
		old, err := b.id(idKey(e.ID, e.Source, e.Scope))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return store.Accepted{}, err
		}
		if err == nil && now.Before(old.Until) {
			return store.Accepted{ID: e.ID, Position: old.Position, Duplicate: true, Differs: old.Sum != sum}, nil
		}
	}
	if n.Alias != "" {
		old, err := b.alias(aliasKey(n.Alias, e.Source))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return store.Accepted{}, err
		}
		if err == nil && now.Before(old.Until) {
			return store.Accepted{ID: old.Name, Position: old.Position, Duplicate: true, Differs: old.Sum != sum}, nil
		}
	}
	position := b.last + 1
	b.last = position
	b.received = max(b.received, received.UnixNano())
	bucket := b.bucketFor(b.received, position)
	codec.SetReceived(encoded, b.received)
	name := e.ID
	if !e.Given {
		name = event.IDAt(e.ID, position)
		if err := codec.SetID(encoded, name); err != nil {
			return store.Accepted{}, err
		}
	}
	var note []byte
	if e.Given || n.Alias != "" {
		x := codec.Note{Until: id.Until, Alias: n.Alias}
		note = codec.AppendNote(nil, &x)
		indexRows(e, name, &id, &x, now, func(r *row) {
			r.index = true
			b.setRow(r)
		})
	}
	b.events, b.notes, b.typesOf = append(b.events, encoded), append(b.notes, note), append(b.typesOf, e.Type)
	b.size += int64(len(encoded)+len(note)) + rowOverhead
	t := bucketType{bucket, e.Type}
	if !b.types[t] {
		b.types[t] = true
		b.reserve(len(e.Type) + 32)
	}
	b.size += 4
	return store.Accepted{ID: name, Position: position}, nil
}

// reserve counts a row that finish will write.
func (b *batch) reserve(n int) {
	b.size += int64(n) + rowOverhead
	b.count++
}

func (b *batch) id(key []byte) (*codec.ID, error) {
	v, err := b.get(key)
	if err != nil {
		return nil, err
	}
	id, err := codec.DecodeID(v)
	if err != nil {
		return nil, malformed(key, err)
	}
	return id, nil
}

func (b *batch) alias(key []byte) (*codec.Alias, error) {
	v, err := b.get(key)
	if err != nil {
		return nil, err
	}
	a, err := codec.DecodeAlias(v)
	if err != nil {
		return nil, malformed(key, err)
	}
	return a, nil
}

func (b *batch) addDocument(d *store.Document) error {
	key := documentKey(d.Kind, d.Name)
	// A value that got shorter must not leave rows behind.
	_, parts, err := b.getRow(key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if d.Value == nil {
			return nil
		}
	case err != nil:
		return err
	}
	for n := 1; n <= parts; n++ {
		b.remove(partKey(key, n))
	}
	if d.Value == nil {
		b.remove(key)
		return nil
	}
	b.put(key, d.Value)
	return nil
}

// finish writes the rows that are made once a batch.
func (b *batch) finish() {
	b.endGroups()
	for name, refs := range b.postings {
		if len(refs) == 0 {
			continue
		}
		l := b.lanes[name]
		last := refs[len(refs)-1]
		l.newest = last
		b.put(postingsKey(name, last), codec.AppendPostings(nil, l.Posted, refs))
	}
	for name, l := range b.lanes {
		if l.write {
			b.put(laneKey(name), codec.AppendLane(nil, &l.Lane))
		}
	}
}
