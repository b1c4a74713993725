package badger

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

const (
	maxLimit = 1000
	// lookMost bounds how many rows a listing looks at for one page. A page that
	// ends by it may have fewer than Limit, even none, and still have a next,
	// which is before what was looked at, so that following it comes to an end.
	lookMost = 10000
	// listStep is how many candidates are fetched at a time, at most.
	listStep = 512
)

// FindEvent returns the events of an id.
func (s *Store) FindEvent(ctx context.Context, id, source string) ([]*event.Event, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	var events []*event.Event
	add := func(position uint64) error {
		e, err := v.event(position)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil && e.ID == id && (source == "" || e.Source == source) {
			events = append(events, e)
		}
		return err
	}
	if len(id) <= maxName {
		prefix := idPrefix(id)
		if err := v.pendingIDs(prefix, add); err != nil {
			return nil, err
		}
		it := v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key, b, err := itemValue(v.txn, it)
			if err != nil {
				return nil, err
			}
			row, err := codec.DecodeID(b)
			if err != nil {
				return nil, malformed(key, err)
			}
			if err := add(row.Position); err != nil {
				return nil, err
			}
		}
	}
	if p, ok := event.PositionOf(id); ok {
		if err := add(p); err != nil {
			return nil, err
		}
	}
	if len(events) == 0 {
		return nil, store.ErrNotFound
	}
	slices.SortFunc(events, func(a, b *event.Event) int {
		return compareRefs(store.Ref{Position: a.Position}, store.Ref{Position: b.Position})
	})
	events = slices.CompactFunc(events, func(a, b *event.Event) bool { return a.Position == b.Position })
	return newestOfEach(events), nil
}

// newestOfEach leaves of events of one id, which ascend, the newest of each source and
// scope: where the id was given again, the older one is found until the newer has its row.
func newestOfEach(events []*event.Event) []*event.Event {
	type giver struct{ source, scope string }
	newest := map[giver]uint64{}
	for _, e := range events {
		if e.Given {
			newest[giver{e.Source, e.Scope}] = e.Position
		}
	}
	return slices.DeleteFunc(events, func(e *event.Event) bool {
		return e.Given && newest[giver{e.Source, e.Scope}] != e.Position
	})
}

// pendingIDs gives the positions of ids whose rows are pending.
func (v *view) pendingIDs(prefix []byte, each func(position uint64) error) error {
	var found []*row
	v.s.mu.RLock()
	for k, r := range v.pending.rows {
		if strings.HasPrefix(k, string(prefix)) {
			found = append(found, r)
		}
	}
	v.s.mu.RUnlock()
	for _, r := range found {
		b, _, err := unseal(r.key, r.value)
		if err != nil {
			return err
		}
		id, err := codec.DecodeID(b)
		if err != nil {
			return malformed(r.key, err)
		}
		if err := each(id.Position); err != nil {
			return err
		}
	}
	return nil
}

// Kinds of page cursors.
const (
	cursorEvents     = 'e'
	cursorDeliveries = 'd'
)

func pageCursor(kind byte, r store.Ref) string {
	return base64.RawURLEncoding.EncodeToString(appendRef([]byte{kind}, r))
}

// page reads where a page begins: only what is before the reference is listed.
func page(p store.Page, kind byte) (store.Ref, error) {
	if p.Limit < 1 || p.Limit > maxLimit {
		return store.Ref{}, fmt.Errorf("a limit of %d is not from 1 to %d", p.Limit, maxLimit)
	}
	if p.Cursor == "" {
		return store.Ref{Position: math.MaxUint64, Index: math.MaxUint32}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || len(b) != 1+refLen || b[0] != kind {
		return store.Ref{}, store.ErrCursor
	}
	return readRef(b[1:]), nil
}

// ListEvents lists events, newest first.
func (s *Store) ListEvents(ctx context.Context, q store.EventQuery) ([]*event.Event, string, error) {
	found, err := s.SearchEvents(ctx, store.EventSearch{EventQuery: q})
	if err != nil {
		return nil, "", err
	}
	return found.Events, found.Next, nil
}

// ListDeliveries lists deliveries, newest event first.
func (s *Store) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]*store.DeliveryStatus, string, error) {
	start, err := page(q.Page, cursorDeliveries)
	if err != nil {
		return nil, "", err
	}
	switch q.State {
	case "", store.Waiting, store.Retrying, store.Dead, store.Delivered, store.Cancelled:
	case store.Sending: // no delivery is stored as that
		return nil, "", nil
	default:
		return nil, "", fmt.Errorf("%q is no state of a delivery", q.State)
	}
	v, err := s.view(ctx)
	if err != nil {
		return nil, "", err
	}
	defer v.close()
	f := newFilter(q.Type, q.Source, q.Tenant, q.Since, q.Until)
	below := start
	if b := v.before(q.Until); b < below.Position {
		below = store.Ref{Position: b}
	}
	status := &statuses{v: v, many: true}
	defer status.close()
	fetch := v.deliveries(q, status, func(p uint64) (bool, error) { return f.of(status, p) })
	list := make([]*store.DeliveryStatus, 0, min(q.Limit, listStep))
	// Without a filter what is asked for is enough, and one to see that there are more.
	step := min(listStep, q.Limit+1)
	for looked := 0; ; step = min(2*step, listStep) {
		refs, err := fetch(below, step)
		if enough := (lookedEnough{}); errors.As(err, &enough) {
			// Some of the event at that position may be listed already.
			if below.Less(enough.at) {
				enough.at = below
			}
			return list, pageCursor(cursorDeliveries, enough.at), nil
		}
		if err != nil {
			return nil, "", err
		}
		for _, r := range refs {
			if err := ctx.Err(); err != nil {
				return nil, "", err
			}
			if looked == s.lookMost {
				return list, pageCursor(cursorDeliveries, r.Next()), nil
			}
			looked++
			below = r
			h, err := status.headAt(r.Position)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, "", err
			}
			if f.ended(h.Received) {
				return list, "", nil
			}
			if !f.takes(h) {
				continue
			}
			st, err := status.of(r, false)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, "", err
			}
			if !st.Fits(q.State, q.Told) || q.Destination != "" && st.Delivery.Lane != q.Destination {
				continue
			}
			if len(list) == q.Limit {
				return list, pageCursor(cursorDeliveries, r.Next()), nil
			}
			list = append(list, st)
		}
		if len(refs) == 0 {
			return list, "", nil
		}
	}
}

// filter is what both listings can ask for.
type filter struct {
	typ, source, tenant string
	since, until        time.Time
	// types are those that were held against typ, which few of many events differ in.
	types map[string]bool
}

func newFilter(typ, source, tenant string, since, until time.Time) filter {
	return filter{typ: typ, source: source, tenant: tenant, since: since, until: until, types: map[string]bool{}}
}

// ended says that everything older is too old, because the log is in order.
func (f *filter) ended(received time.Time) bool {
	return !f.since.IsZero() && received.Before(f.since)
}

func (f *filter) takes(h *codec.Head) bool {
	return (f.source == "" || f.source == string(h.Source)) &&
		(f.tenant == "" || f.tenant == string(h.Tenant)) &&
		(f.typ == "" || f.takesType(h.Type)) &&
		(f.until.IsZero() || h.Received.Before(f.until))
}

func (f *filter) takesType(typ []byte) bool {
	ok, known := f.types[string(typ)]
	if !known {
		if len(f.types) == typesMost {
			clear(f.types)
		}
		ok = event.MatchType(f.typ, string(typ))
		f.types[string(typ)] = ok
	}
	return ok
}

// typesMost bounds what a filter remembers.
const typesMost = 256

// of says whether the event at a position may be taken; what is too old may, and
// ends the list.
func (f *filter) of(events *statuses, position uint64) (bool, error) {
	if f.typ == "" && f.source == "" && f.tenant == "" {
		return true, nil
	}
	h, err := events.headAt(position)
	if err != nil {
		return false, err
	}
	return f.ended(h.Received) || f.takes(h), nil
}

// before gives a position before which everything received before a time is.
func (v *view) before(until time.Time) uint64 {
	if until.IsZero() {
		return math.MaxUint64
	}
	minute := until.Unix() / 60
	i := sort.Search(len(v.buckets), func(i int) bool { return int64(v.buckets[i].number) > minute })
	if i == len(v.buckets) {
		return math.MaxUint64
	}
	return v.buckets[i].first
}

// fetchPositions gives up to about n positions before one, descending. None
// means that there are no more.
type fetchPositions func(below uint64, n int) ([]uint64, error)

// fetchRefs gives up to about n deliveries before one, descending. None means
// that there are no more.
type fetchRefs func(below store.Ref, n int) ([]store.Ref, error)

// positions lists all events, or those of a type where it is no pattern. What
// retention kept aside has no index by type.
func (v *view) positions(typ string) fetchPositions {
	byType := typ != "" && !strings.Contains(typ, "*") && len(typ) <= maxName
	return func(below uint64, n int) ([]uint64, error) {
		for i := len(v.buckets) - 1; i >= 0; i-- {
			k := v.buckets[i]
			if k.first >= below {
				continue
			}
			var list []uint64
			var err error
			if byType {
				list, err = v.typed(k.number, typ, below, n)
			} else {
				list = v.countDown(i, below, n)
			}
			for len(list) > 0 && list[len(list)-1] < v.oldest { // taken by retention
				list = list[:len(list)-1]
			}
			if err != nil || len(list) > 0 {
				return list, err
			}
		}
		// What was copied there early is still found in its bucket.
		return v.positionsOf(aside, rowEvent, min(below, v.oldest), n), nil
	}
}

// countDown lists the positions of a bucket that is not aside, descending: they have
// no gaps.
func (v *view) countDown(i int, below uint64, n int) []uint64 {
	end := v.last + 1
	if i+1 < len(v.buckets) {
		end = v.buckets[i+1].first
	}
	var list []uint64
	for p := min(below, end); p > max(v.buckets[i].first, v.oldest) && len(list) < n; {
		p--
		list = append(list, p)
	}
	return list
}

// positionsOf lists the positions of rows of a bucket, descending.
func (v *view) positionsOf(bucket uint32, kind byte, below uint64, n int) []uint64 {
	if below == 0 {
		return nil
	}
	prefix := bucketed(bucket, kind, 0)
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Reverse: true})
	defer it.Close()
	var list []uint64
	// Parts of the position before have a longer key: begin behind them.
	for it.Seek(appendPosition(slices.Clone(prefix), below)); it.ValidForPrefix(prefix) && len(list) < n; it.Next() {
		key := it.Item().Key()
		if len(key) != eventKeyLen {
			continue
		}
		if p := binary.BigEndian.Uint64(key[bucketedLen:]); p < below {
			list = append(list, p)
		}
	}
	return list
}

// typed lists the positions of one type in a bucket, descending.
func (v *view) typed(bucket uint32, typ string, below uint64, n int) ([]uint64, error) {
	var list []uint64
	// What was pending when the view began may have its rows by now.
	from := v.pending.from
	for p := min(below, v.last+1) - 1; p > from && len(list) < n; p-- {
		if v.pending.types[p-from-1] == typ && v.bucketOf(p) == bucket {
			list = append(list, p)
		}
	}
	if len(list) == n {
		return list, nil
	}
	below = min(below, from+1)
	prefix := typePrefix(bucket, typ)
	err := v.chunksBelow(prefix, appendPosition(slices.Clone(prefix), below), 8, func(key, b []byte) (bool, error) {
		positions, err := codec.DecodePositions(b)
		if err != nil {
			return false, malformed(key, err)
		}
		for _, p := range slices.Backward(positions) {
			if p < below {
				list = append(list, p)
			}
		}
		return len(list) < n, nil
	})
	return list, err
}

// chunksBelow gives chunks that may hold something before from, newest first.
// A chunk's key ends with the last thing in it, in size bytes, so the one after
// from may too.
func (v *view) chunksBelow(prefix, from []byte, size int, each func(key, value []byte) (more bool, err error)) error {
	more, err := v.chunkAfter(prefix, from, size, each)
	if err != nil || !more {
		return err
	}
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Reverse: true})
	defer it.Close()
	for it.Seek(from); it.ValidForPrefix(prefix); it.Next() {
		if key := it.Item().Key(); len(key) != len(prefix)+size || string(key) >= string(from) {
			continue
		}
		key, b, err := itemValue(v.txn, it)
		if err != nil {
			return err
		}
		if more, err := each(key, b); err != nil || !more {
			return err
		}
	}
	return nil
}

func (v *view) chunkAfter(prefix, from []byte, size int, each func(key, value []byte) (bool, error)) (bool, error) {
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(from); it.Valid(); it.Next() {
		if len(it.Item().Key()) != len(prefix)+size {
			continue
		}
		key, b, err := itemValue(v.txn, it)
		if err != nil {
			return false, err
		}
		return each(key, b)
	}
	return true, nil
}

// deliveries chooses where to look: in the indexes of lanes where a lane or an
// unfinished state is asked for, else along the log, where events that don't fit are
// left out.
func (v *view) deliveries(q store.DeliveryQuery, status *statuses, fits func(position uint64) (bool, error)) fetchRefs {
	exactType := q.Type != "" && !strings.Contains(q.Type, "*")
	unfinished := q.State == store.Waiting || q.State == store.Retrying || q.State == store.Dead
	switch {
	case q.Destination != "":
		return merged(v.laneSources(q.Destination, v.lane(q.Destination), q.State, q.Told))
	case unfinished:
		sources, n := v.allLanes(q.State, q.Told)
		// The log has an index by type, which is better than to look at more
		// deliveries of all types than one page may.
		if !exactType || n <= uint64(v.s.lookMost) {
			return merged(sources)
		}
	}
	return v.alongLog(v.positions(q.Type), status, fits)
}

// allLanes gives what finds the deliveries of all lanes that are in an
// unfinished state, and how many there are.
func (v *view) allLanes(state store.State, told bool) (sources []fetchRefs, n uint64) {
	v.s.mu.RLock()
	defer v.s.mu.RUnlock()
	for name, l := range v.s.lanes {
		switch c := l.Counts(); state {
		case store.Waiting:
			if n += c.Waiting; told {
				n += c.Retrying
			}
		case store.Retrying:
			n += c.Retrying
		case store.Dead:
			n += c.Dead
		}
		sources = append(sources, v.laneSources(name, l, state, told)...)
	}
	return sources, n
}

// laneSources gives what finds a lane's deliveries of a state, or of all.
func (v *view) laneSources(name string, l *lane, state store.State, told bool) []fetchRefs {
	if l == nil {
		return nil
	}
	asked := func(s store.State, n uint64) bool { return n > 0 && (state == "" || state == s) }
	var sources []fetchRefs
	if asked(store.Waiting, l.Posted-l.Left) {
		sources = append(sources, v.waiting(name, l))
	}
	if asked(store.Retrying, l.Retrying) || told && asked(store.Waiting, l.Retrying) { // some may be parked
		sources = append(sources, v.inState(name, stateRetrying))
	}
	if asked(store.Dead, l.Dead) {
		sources = append(sources, v.inState(name, stateDead))
	}
	if asked(store.Delivered, l.Delivered) || asked(store.Cancelled, l.Cancelled) {
		sources = append(sources, v.settledOf(name))
	}
	return sources
}

// merged gives the newest of what several sources find.
func merged(sources []fetchRefs) fetchRefs {
	return func(below store.Ref, n int) ([]store.Ref, error) {
		var all, spare []store.Ref
		for _, fetch := range sources {
			refs, err := fetch(below, n)
			if err != nil {
				return nil, err
			}
			// Each source gave its newest, so the newest n of all are among them.
			switch {
			case len(refs) == 0:
			case len(all) == 0:
				all = refs
			default:
				all, spare = newest(spare[:0], all, refs, n), all
			}
		}
		return all, nil
	}
}

// newest appends the first n of two lists that descend, each once.
func newest(list, a, b []store.Ref, n int) []store.Ref {
	for len(list) < n && len(a)+len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && b[0].Less(a[0]):
			list, a = append(list, a[0]), a[1:]
		case len(a) == 0 || a[0].Less(b[0]):
			list, b = append(list, b[0]), b[1:]
		default:
			list, a, b = append(list, a[0]), a[1:], b[1:]
		}
	}
	return list
}

func (v *view) waiting(name string, l *lane) fetchRefs {
	prefix := lanePrefix(kindPostings, name)
	return func(below store.Ref, n int) ([]store.Ref, error) {
		var list []store.Ref
		err := v.chunksBelow(prefix, appendRef(slices.Clone(prefix), below), refLen, func(key, b []byte) (bool, error) {
			chunk, err := codec.DecodePostings(b)
			if err != nil {
				return false, malformed(key, err)
			}
			for _, r := range slices.Backward(chunk.Refs) {
				if r.Less(l.Cursor.Low) {
					return false, nil
				}
				if r.Less(below) && !settled(&l.Cursor, r) && len(list) < n {
					list = append(list, r)
				}
			}
			return len(list) < n, nil
		})
		return list, err
	}
}

func (v *view) inState(name string, state byte) fetchRefs {
	prefix := append(lanePrefix(kindState, name), state)
	return func(below store.Ref, n int) ([]store.Ref, error) {
		it := v.txn.NewIterator(badgerdb.IteratorOptions{Reverse: true})
		defer it.Close()
		var list []store.Ref
		for it.Seek(appendRef(slices.Clone(prefix), below)); it.ValidForPrefix(prefix) && len(list) < n; it.Next() {
			key := it.Item().Key()
			if len(key) != len(prefix)+refLen {
				return nil, damaged(slices.Clone(key), "its key has another length")
			}
			if r := readRef(key[len(prefix):]); r.Less(below) {
				list = append(list, r)
			}
		}
		return list, nil
	}
}

// lookedEnough ends a page that found too little in too many events.
type lookedEnough struct{ at store.Ref }

func (lookedEnough) Error() string { return "enough was looked at for one page" }

// alongLog lists all deliveries of the events that fit.
func (v *view) alongLog(positions fetchPositions, status *statuses, fits func(position uint64) (bool, error)) fetchRefs {
	looked := 0
	return func(below store.Ref, n int) ([]store.Ref, error) {
		var list []store.Ref
		at := below.Position
		if below.Index > 0 && at < math.MaxUint64 {
			at++ // some of that event's are left
		}
		for len(list) < n {
			found, err := positions(at, n)
			if err != nil {
				return nil, err
			}
			if len(found) == 0 {
				break
			}
			for _, p := range found {
				at = p
				if looked++; looked > v.s.lookMost {
					if len(list) > 0 {
						return list, nil // and the next call says that it is enough
					}
					return nil, lookedEnough{store.Ref{Position: p + 1}}
				}
				ok, err := fits(p)
				if errors.As(err, new(lookedEnough)) && len(list) > 0 {
					return list, nil // as above: what was found is not passed over
				}
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return nil, err
				}
				if !ok {
					continue
				}
				r, err := status.routingAt(p)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					return nil, err
				}
				for i := len(r.Deliveries) - 1; i >= 0 && len(list) < n; i-- {
					ref := store.Ref{Position: p, Index: uint32(i)}
					if ref.Less(below) && !r.Gone[uint32(i)] {
						list = append(list, ref)
					}
				}
				if len(list) >= n {
					break
				}
			}
		}
		return list, nil
	}
}
