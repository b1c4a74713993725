package badger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
	"github.com/weirhq/weir/router/store/segment"
)

// Events are in segments, and what finds them is in rows, which are written later:
// with the next transaction, or when this many events, or bytes of rows, are pending.
const (
	pendingEvents = 4096
	pendingBytes  = 256 << 10
)

// pending is what finds the newest events and is not in the database yet. What a view
// has of it is not changed but for rows, which the store's mu guards.
type pending struct {
	// from: the events up to that position have their rows.
	from uint64
	// types are those of the events after it.
	types []string
	// rows are of ids, aliases and buckets.
	rows map[string]*row
	// size is what all this takes in a transaction.
	size int64
	// names has each type once. It is the committer's.
	names map[string]string
}

func newPending(from uint64) *pending {
	return &pending{from: from, rows: map[string]*row{}, names: map[string]string{}}
}

func (p *pending) none() bool { return len(p.types) == 0 }

func (p *pending) many() bool { return len(p.types) >= pendingEvents || p.size >= pendingBytes }

// addType adds the type of the next event.
func (p *pending) addType(typ string) {
	name, ok := p.names[typ]
	if !ok {
		name = string([]byte(typ)) // it may be a part of a record, which is the caller's
		p.names[name] = name
		p.size += int64(len(name)) + rowOverhead
	}
	p.types = append(p.types, name)
	p.size += 4
}

func (p *pending) addRow(key string, r *row) {
	p.rows[key] = r
	p.size += int64(len(r.key)+len(r.value)) + rowOverhead
}

// typeRows are the rows of types, of positions from one on.
func typeRows(types []string, first uint64, bucketOf func(uint64) uint32, rows map[string]*row) {
	positions := map[bucketType][]uint64{}
	for i, typ := range types {
		p := first + uint64(i)
		t := bucketType{bucketOf(p), typ}
		positions[t] = append(positions[t], p)
	}
	for t, list := range positions {
		key := appendPosition(typePrefix(t.bucket, t.typ), list[len(list)-1])
		split(key, codec.AppendPositions(nil, list), func(k, v []byte) { rows[string(k)] = &row{key: k, value: v} })
	}
}

// segmentsRow says from which position on events are in segments, and up to which
// they have rows.
func segmentsRow(begin, indexed uint64) *row {
	key := []byte{kindSegments}
	return &row{key: key, value: seal(key, 0, codec.AppendNumbers(nil, begin, indexed))}
}

// The newest events are copied into a row when they get their rows, so that a damaged
// end of the newest segment loses nothing: as many as fit into spareBytes, and the
// newest one up to spareMost.
const (
	spareBytes = 4 << 10
	spareMost  = 16 << 10
)

// nextSpare gives the copies of the newest events, once there are more of them from a
// position on.
func nextSpare(old segment.Spare, first uint64, notes, events [][]byte) segment.Spare {
	var list []segment.Entry // newest first
	size := 0
	fits := func(e segment.Entry) bool {
		n := len(e.Note) + len(e.Data)
		size += n
		if size > spareBytes && (len(list) > 0 || n > spareMost) {
			return false
		}
		list = append(list, e)
		return true
	}
	for i := len(events) - 1; i >= 0; i-- {
		if !fits(segment.Entry{Note: notes[i], Data: events[i]}) {
			return newestFirst(first+uint64(i)+1, list)
		}
	}
	if len(old.Entries) == 0 || old.Last()+1 != first {
		return newestFirst(first, list)
	}
	for i := len(old.Entries) - 1; i >= 0; i-- {
		if !fits(old.Entries[i]) {
			return newestFirst(old.First+uint64(i)+1, list)
		}
	}
	return newestFirst(old.First, list)
}

func newestFirst(first uint64, list []segment.Entry) segment.Spare {
	slices.Reverse(list)
	return segment.Spare{First: first, Entries: list}
}

func spareRow(x segment.Spare) *row {
	key := []byte{kindSpare}
	list := make([]codec.Spare, len(x.Entries))
	for i, e := range x.Entries {
		list[i] = codec.Spare{Note: e.Note, Data: e.Data}
	}
	return &row{key: key, value: seal(key, 0, codec.AppendSpares(nil, x.First, list))}
}

// loadSpare reads the copies of the newest events.
func loadSpare(txn *badgerdb.Txn) (x segment.Spare, err error) {
	key := []byte{kindSpare}
	v, err := get(txn, key)
	if errors.Is(err, store.ErrNotFound) {
		return x, nil
	}
	if err != nil {
		return x, err
	}
	first, list, err := codec.DecodeSpares(v)
	if err != nil {
		return x, malformed(key, err)
	}
	x.First = first
	for _, e := range list {
		x.Entries = append(x.Entries, segment.Entry{Note: e.Note, Data: e.Data})
	}
	return x, nil
}

// sumOf tells events of one id that differ.
func sumOf(e *event.Event) (sum [16]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s", len(e.Type), e.Type)
	h.Write(e.Data)
	copy(sum[:], h.Sum(nil))
	return sum
}

// indexRows makes the rows by which an event's id and alias are found. now is by the
// store's clock.
func indexRows(e *event.Event, name string, id *codec.ID, n *codec.Note, now time.Time, put func(*row)) {
	if e.Given {
		key := idKey(e.ID, e.Source, e.Scope)
		put(&row{key: key, value: seal(key, 0, codec.AppendID(nil, id))})
	}
	if left := n.Until.Sub(now); n.Alias != "" && left > 0 {
		// Nothing leads from an event to its alias, so the row goes by itself: by
		// Badger's clock, which is the real one, and a minute for what it rounds.
		key := aliasKey(n.Alias, e.Source)
		value := codec.AppendAlias(nil, &codec.Alias{ID: *id, Name: name})
		put(&row{key: key, value: seal(key, 0, value), expires: uint64(time.Now().Add(left + time.Minute).Unix())})
	}
}

// appendEvents puts the events of a batch into the segments, on disk.
func (s *Store) appendEvents(b *batch, joint bool) error {
	first := b.last - uint64(len(b.events)) + 1
	entries := make([]segment.Entry, len(b.events))
	for i := range entries {
		entries[i] = segment.Entry{Note: b.notes[i], Data: b.events[i]}
	}
	// A bucket begins a segment, so that its files go with it.
	fresh := first > 1 && b.bucketOf(first) != b.bucketOf(first-1)
	err := s.events.Append(first, fresh, joint, entries)
	if errors.Is(err, segment.ErrNoSpace) {
		if !s.noRoom {
			s.noRoom = true
			s.log.Warn("there is no room for events", "error", err)
		}
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	s.noRoom = false
	began := time.Now()
	if err == nil {
		err = s.syncEvents()
	}
	if err != nil {
		err = fmt.Errorf("storing events: %w", err)
		s.fail(err)
		return err
	}
	s.spare = nextSpare(s.spare, first, b.notes, b.events)
	if s.opts.Synced != nil {
		s.opts.Synced(time.Since(began))
	}
	return nil
}

// flushPending gives the events that have none their rows.
func (s *Store) flushPending() error {
	if s.pending.none() {
		return nil
	}
	s.mu.RLock()
	buckets, oldest, last, failed := s.buckets, s.oldest, s.last, s.failed
	s.mu.RUnlock()
	if failed != nil {
		return failed
	}
	bucketAt := func(p uint64) uint32 { return bucketOf(buckets, oldest, p) }
	rows := map[string]*row{}
	if s.pending.size <= s.maxSize && int64(len(s.pending.rows)) <= s.maxRows {
		s.addPending(rows, bucketAt)
	} else if err := s.flushMany(rows, bucketAt); err != nil {
		return err
	}
	rows[string(kindSegments)], rows[string(kindSpare)] = segmentsRow(s.begin, last), spareRow(s.spare)
	if err := s.write(rows); err != nil {
		return err
	}
	s.mu.Lock()
	s.pending = newPending(last)
	s.mu.Unlock()
	return nil
}

// flushMany is for what a start has found behind a log whose end was lost, where one
// transaction does not take it all: ids and aliases, which may have their rows before
// row S says so, as a start makes the same ones again. It gives what is left.
func (s *Store) flushMany(left map[string]*row, bucketOf func(uint64) uint32) error {
	rows, size := map[string]*row{}, int64(0)
	for k, r := range s.pending.rows {
		if k[0] == kindBucket {
			left[k] = r
			continue
		}
		rows[k] = r
		size += int64(len(r.key)+len(r.value)) + rowOverhead
		if size > s.maxSize/2 || int64(len(rows)) > s.maxRows/2 {
			if err := s.write(rows); err != nil {
				return err
			}
			clear(rows)
			size = 0
		}
	}
	typeRows(s.pending.types, s.pending.from+1, bucketOf, left)
	return s.write(rows)
}

// addPending adds what is pending to the rows of a transaction, whose own count.
func (s *Store) addPending(rows map[string]*row, bucketOf func(uint64) uint32) {
	for k, r := range s.pending.rows {
		if rows[k] == nil {
			rows[k] = r
		}
	}
	typeRows(s.pending.types, s.pending.from+1, bucketOf, rows)
}

// inSegments says whether an event of a bucket is in a segment, or in a row.
func (s *Store) inSegments(bucket uint32, position uint64) bool {
	return bucket != aside && position >= s.begin
}

// segmentError names the event in an error of reading.
func segmentError(err error) error {
	if errors.Is(err, segment.ErrDamaged) {
		return fmt.Errorf("%w: %w", err, codec.ErrMalformed)
	}
	return err
}

// event reads the event at a position.
func (v *view) event(position uint64) (*event.Event, error) {
	c := v.s.events.Cursor()
	defer c.Close()
	b, err := v.eventBytes(c, position)
	if err != nil {
		return nil, err
	}
	return decodeEvent(position, bytes.Clone(b))
}

// eventBytes reads an event as it was encoded. What it gives holds until the cursor is
// used again.
func (v *view) eventBytes(c *segment.Cursor, position uint64) ([]byte, error) {
	if position > v.last {
		return nil, store.ErrNotFound
	}
	bucket := v.bucketOf(position)
	if !v.s.inSegments(bucket, position) {
		return get(v.txn, eventKey(bucket, position))
	}
	e, ok, err := c.Read(position)
	if err != nil {
		return nil, segmentError(err)
	}
	if ok {
		return e.Data, nil
	}
	// Retention has taken it since, or has put it aside.
	now, err := v.refresh()
	if err != nil {
		return nil, err
	}
	defer now.discard()
	if bucket = now.bucketOf(position); bucket != aside {
		return nil, store.ErrNotFound
	}
	return get(now.txn, eventKey(bucket, position))
}

// decodeEvent decodes what it may keep.
func decodeEvent(position uint64, b []byte) (*event.Event, error) {
	e, err := codec.Event(position, b)
	if err != nil {
		return nil, fmt.Errorf("the event of position %d is damaged: %w", position, err)
	}
	return e, nil
}

// eventBytes reads an event as it was encoded.
func (b *batch) eventBytes(bucket uint32, position uint64) ([]byte, error) {
	if !b.s.inSegments(bucket, position) {
		return b.get(eventKey(bucket, position))
	}
	list, err := b.s.events.Read(position, 1)
	if err != nil {
		return nil, segmentError(err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("the event of position %d: %w", position, store.ErrNotFound)
	}
	return list[0].Data, nil
}

// eventsAtOnce is how many events are read from segments before it is looked whether
// somebody still waits for them.
const eventsAtOnce = 256

// segmentEvents appends events from segments, in order. moved says that retention has
// taken some of them since the view began.
func (v *view) segmentEvents(ctx context.Context, from uint64, max int, events []*event.Event) (_ []*event.Event, moved bool, err error) {
	for from <= v.last && len(events) < max {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		most := min(uint64(max-len(events)), v.last-from+1, eventsAtOnce)
		list, err := v.s.events.Read(from, int(most))
		if err != nil {
			return nil, false, segmentError(err)
		}
		if len(list) == 0 {
			return events, true, nil
		}
		for i := range list {
			e, err := decodeEvent(list[i].Position, list[i].Data)
			if err != nil {
				return nil, false, err
			}
			events = append(events, e)
		}
		from += uint64(len(list))
	}
	return events, false, nil
}

// keepFrom is the first position whose segment is of use.
func keepFrom(buckets []bucket, oldest, begin uint64) uint64 {
	if len(buckets) > 0 {
		return max(buckets[0].first, begin)
	}
	return max(oldest, begin)
}
