package badger

import (
	"errors"
	"slices"
	"sort"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

const (
	// historyBlock is the stretch of positions within which history is in no
	// order, as a power of two: a line is found, and a listing resumed, by
	// reading the chunks of one stretch.
	historyBlock = 12
	// historySize bounds a chunk of history.
	historySize = 256 << 10
	// trimMost bounds how many chunks of postings one record deletes.
	trimMost = 256
)

// addOutcomes applies what happened in one lane. It refuses a cursor that
// settles other postings than those whose outcomes are given, now or before: so
// no posting can be lost by a cursor that is wrong.
func (b *batch) addOutcomes(lo *store.LaneOutcomes) error {
	if len(lo.Outcomes) == 0 && lo.Cursor == nil {
		return nil
	}
	if !b.known(lo.Lane) {
		return outOfOrder("outcomes of the lane %s, which nothing was posted to", lo.Lane)
	}
	l := b.change(lo.Lane)
	old, cursor := l.Cursor, l.Cursor
	if lo.Cursor != nil {
		cursor = codec.CloneCursor(*lo.Cursor)
	} else {
		var err error
		if cursor, err = b.settleEach(lo, old); err != nil {
			return err
		}
	}

	fresh, err := b.settledNow(lo, old, cursor)
	if err != nil {
		return err
	}
	if lo.Cursor != nil {
		if err := b.checkCursor(lo.Lane, l, old, cursor, fresh); err != nil {
			return err
		}
	}
	var lines []codec.Settled
	for i := range lo.Outcomes {
		line, err := b.addOutcome(lo.Lane, l, &lo.Outcomes[i])
		if err != nil {
			return err
		}
		if line != nil {
			lines = append(lines, *line)
		}
	}
	if err := b.addHistory(lo.Lane, lines); err != nil {
		return err
	}
	l.Left += uint64(len(fresh))
	l.Cursor = cursor
	l.write = true
	if old.Low != cursor.Low {
		return b.trim(lo.Lane, l)
	}
	return nil
}

// settleEach gives the cursor of outcomes that come without one: what it was,
// and each posting that is no longer waiting.
func (b *batch) settleEach(lo *store.LaneOutcomes, old store.Cursor) (store.Cursor, error) {
	cursor := old
	for i := range lo.Outcomes {
		ref := lo.Outcomes[i].Ref
		if lo.Outcomes[i].From != store.Waiting || settled(&cursor, ref) {
			continue // what is wrong with the latter is said later
		}
		r, err := b.routing(ref.Position)
		if err != nil {
			return cursor, err
		}
		if uint64(ref.Index) >= uint64(len(r.Deliveries)) {
			return cursor, outOfOrder("an outcome of %s, which is no delivery", ref)
		}
		if d := &r.Deliveries[ref.Index]; d.Lane != lo.Lane || d.Dead != "" || !d.Due.IsZero() {
			return cursor, outOfOrder("an outcome of %s, which was not posted to %s", ref, lo.Lane)
		}
		above := append(slices.Clone(cursor.Above), ref)
		slices.SortFunc(above, compareRefs)
		cursor.Above = above
	}
	return cursor, nil
}

func (b *batch) known(name string) bool {
	if b.lanes[name] != nil {
		return true
	}
	b.s.mu.RLock()
	defer b.s.mu.RUnlock()
	return b.s.lanes[name] != nil
}

// settledNow gives the postings whose first outcomes these are, ascending.
func (b *batch) settledNow(lo *store.LaneOutcomes, old, cursor store.Cursor) ([]store.Ref, error) {
	var fresh []store.Ref
	for i := range lo.Outcomes {
		o := &lo.Outcomes[i]
		if o.From != store.Waiting {
			continue
		}
		switch {
		case o.Ref.Position > b.progress:
			return nil, outOfOrder("an outcome of %s, which is not routed yet", o.Ref)
		case settled(&old, o.Ref):
			return nil, outOfOrder("an outcome of %s, which is no longer waiting", o.Ref)
		case !settled(&cursor, o.Ref):
			return nil, outOfOrder("an outcome of %s, which the cursor leaves waiting", o.Ref)
		}
		fresh = append(fresh, o.Ref)
	}
	slices.SortFunc(fresh, compareRefs)
	for i := 1; i < len(fresh); i++ {
		if fresh[i] == fresh[i-1] {
			return nil, outOfOrder("two first outcomes of %s", fresh[i])
		}
	}
	return fresh, nil
}

func compareRefs(a, b store.Ref) int {
	switch {
	case a.Less(b):
		return -1
	case b.Less(a):
		return 1
	}
	return 0
}

func hasRef(refs []store.Ref, r store.Ref) bool {
	_, found := slices.BinarySearchFunc(refs, r, compareRefs)
	return found
}

func settled(c *store.Cursor, r store.Ref) bool { return r.Less(c.Low) || hasRef(c.Above, r) }

func (b *batch) checkCursor(name string, l *lane, old, cursor store.Cursor, fresh []store.Ref) error {
	if cursor.Low.Less(old.Low) {
		return outOfOrder("the cursor of %s goes back", name)
	}
	if end := (store.Ref{Position: b.progress + 1}); end.Less(cursor.Low) {
		return outOfOrder("the cursor of %s is beyond what is routed", name)
	}
	for _, r := range old.Above {
		if !settled(&cursor, r) {
			return outOfOrder("the cursor of %s takes back %s", name, r)
		}
	}
	for _, r := range cursor.Above {
		if !hasRef(old.Above, r) && !hasRef(fresh, r) {
			return outOfOrder("the cursor of %s settles %s, which has no outcome", name, r)
		}
	}
	below, err := b.postedBefore(name, l, cursor.Low)
	if err != nil {
		return err
	}
	if now, have := below+uint64(len(cursor.Above)), l.Left+uint64(len(fresh)); now != have {
		return outOfOrder("the cursor of %s settles %d postings, and %d have outcomes", name, now, have)
	}
	return nil
}

// postedBefore counts the postings of a lane before a reference, which is not
// before the lane's cursor.
func (b *batch) postedBefore(name string, l *lane, low store.Ref) (uint64, error) {
	if l.newest.Less(low) {
		return l.Posted, nil
	}
	staged := b.postings[name]
	below := func(refs []store.Ref) uint64 {
		return uint64(sort.Search(len(refs), func(i int) bool { return !refs[i].Less(low) }))
	}
	prefix := lanePrefix(kindPostings, name)
	it := b.txn().NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	it.Seek(postingsKey(name, low))
	if !it.Valid() {
		return l.Posted - uint64(len(staged)) + below(staged), nil
	}
	chunk, err := readChunk(b.txn(), it)
	if err != nil {
		return 0, err
	}
	return chunk.Posted - uint64(len(chunk.Refs)) + below(chunk.Refs), nil
}

func readChunk(txn *badgerdb.Txn, it *badgerdb.Iterator) (*codec.Postings, error) {
	key, v, err := itemValue(txn, it)
	if err != nil {
		return nil, err
	}
	chunk, err := codec.DecodePostings(v)
	if err != nil {
		return nil, malformed(key, err)
	}
	return chunk, nil
}

// trim deletes chunks of postings that are settled whole.
func (b *batch) trim(name string, l *lane) error {
	prefix := lanePrefix(kindPostings, name)
	it := b.txn().NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	n := 0
	for it.Seek(postingsKey(name, l.trimmed)); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if len(key) != len(prefix)+refLen {
			continue
		}
		last := readRef(key[len(prefix):])
		if !last.Less(l.Cursor.Low) || n == trimMost {
			l.trimmed = last
			return nil
		}
		b.remove(key)
		n++
	}
	l.trimmed = l.Cursor.Low
	return nil
}

// addOutcome moves one delivery and gives its line of history, if it has one.
func (b *batch) addOutcome(name string, l *lane, o *store.Outcome) (*codec.Settled, error) {
	bucket := b.bucketOf(o.Ref.Position)
	if o.From == store.Waiting && o.To == store.Delivered && o.Note == "" && o.Reason == "" && bucket != aside {
		l.Delivered++
		return &codec.Settled{Ref: o.Ref, Attempt: o.Attempt, Tries: o.Tries}, nil
	}
	d := &codec.Delivery{}
	if o.From != store.Waiting {
		var err error
		if d, err = b.leave(name, l, o); err != nil {
			return nil, err
		}
	}
	d.State, d.Due, d.Tries = o.To, o.Due, o.Tries
	d.Reason, d.Note, d.Changed = o.Reason, o.Note, b.s.opts.Now()
	d.Key = o.Key
	if o.To != store.Retrying {
		d.Due, d.Key = noTime, 0
	}
	if o.Attempt != nil {
		d.Attempts = store.AppendAttempt(d.Attempts, *o.Attempt)
	}
	b.enter(name, l, o.Ref, d)
	b.putDelivery(o.Ref, d)
	if o.To == store.Delivered || o.To == store.Cancelled {
		return &codec.Settled{Ref: o.Ref, Row: true}, nil
	}
	return nil, nil
}

// enter counts a delivery in its state, and writes the rows it is found by.
func (b *batch) enter(name string, l *lane, ref store.Ref, d *codec.Delivery) {
	l.write = true
	switch d.State {
	case store.Retrying:
		l.Retrying++
		due := d.Due.UnixNano()
		b.put(retryKey(name, due, ref), codec.AppendRetry(nil, codec.Retry{Tries: d.Tries, Attempts: len(d.Attempts), Key: d.Key}))
		b.put(stateKey(name, stateRetrying, ref), codec.AppendTime(nil, d.Due))
		b.due = append(b.due, newRetry{l.head, due})
	case store.Dead:
		l.Dead++
		b.put(stateKey(name, stateDead, ref), codec.AppendTime(nil, d.Changed))
	case store.Delivered:
		l.Delivered++
	case store.Cancelled:
		l.Cancelled++
	}
}

// leave takes a delivery out of the state that it must be in.
func (b *batch) leave(name string, l *lane, o *store.Outcome) (*codec.Delivery, error) {
	d, err := b.delivery(o.Ref)
	if errors.Is(err, store.ErrNotFound) {
		return nil, outOfOrder("an outcome of %s, which is not %s", o.Ref, o.From)
	}
	if err != nil {
		return nil, err
	}
	if d.State != o.From {
		return nil, outOfOrder("an outcome of %s, which is %s and not %s", o.Ref, d.State, o.From)
	}
	switch d.State {
	case store.Retrying:
		if err := b.leaveIndex(name, stateRetrying, o.Ref); err != nil {
			return nil, err
		}
		b.remove(retryKey(name, d.Due.UnixNano(), o.Ref))
		l.Retrying--
	case store.Dead:
		if err := b.leaveIndex(name, stateDead, o.Ref); err != nil {
			return nil, err
		}
		l.Dead--
	case store.Cancelled:
		r, err := b.routing(o.Ref.Position)
		if err != nil {
			return nil, err
		}
		if int(o.Ref.Index) >= len(r.Deliveries) || r.Deliveries[o.Ref.Index].Lane != name {
			return nil, outOfOrder("an outcome of %s, which is not of the lane %s", o.Ref, name)
		}
		l.Cancelled--
	}
	return d, nil
}

func (b *batch) leaveIndex(name string, state byte, ref store.Ref) error {
	key := stateKey(name, state, ref)
	if _, err := b.get(key); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return outOfOrder("an outcome of %s, which is not of the lane %s", ref, name)
		}
		return err
	}
	b.remove(key)
	return nil
}

func (b *batch) delivery(ref store.Ref) (*codec.Delivery, error) {
	key := deliveryKey(b.bucketOf(ref.Position), ref)
	v, err := b.get(key)
	if err != nil {
		return nil, err
	}
	d, err := codec.DecodeDelivery(v)
	if err != nil {
		return nil, malformed(key, err)
	}
	return d, nil
}

// addHistory writes lines in chunks, none of which spans two buckets or two
// stretches of positions.
func (b *batch) addHistory(name string, lines []codec.Settled) error {
	if len(lines) == 0 {
		return nil
	}
	slices.SortStableFunc(lines, func(x, y codec.Settled) int { return compareRefs(x.Ref, y.Ref) })
	for i := 0; i < len(lines); {
		bucket, block := b.bucketOf(lines[i].Ref.Position), lines[i].Ref.Position>>historyBlock
		size, end := 0, i
		for end < len(lines) && (end == i || size < historySize) &&
			lines[end].Ref.Position>>historyBlock == block && b.bucketOf(lines[end].Ref.Position) == bucket {
			size += 16
			if a := lines[end].Attempt; a != nil {
				size += 32 + len(a.Body) + len(a.Error)
			}
			end++
		}
		if err := b.putHistory(name, bucket, lines[i:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}

func (b *batch) putHistory(name string, bucket uint32, lines []codec.Settled) error {
	last := lines[len(lines)-1]
	key := appendRef(historyPrefix(bucket, name), last.Ref)
	if last.Row {
		// The delivery may have been settled before, and be the last of a chunk.
		v, err := b.get(key)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return err
		default:
			old, err := codec.DecodeHistory(v)
			if err != nil {
				return malformed(key, err)
			}
			lines = append(old, lines...)
			slices.SortStableFunc(lines, func(x, y codec.Settled) int { return compareRefs(x.Ref, y.Ref) })
		}
	}
	lines = lastOfEach(lines)
	b.put(key, codec.AppendHistory(nil, lines))
	return nil
}

// lastOfEach keeps the last of lines of the same delivery.
func lastOfEach(lines []codec.Settled) []codec.Settled {
	kept := make([]codec.Settled, 0, len(lines))
	for i := range lines {
		if n := len(kept); n > 0 && kept[n-1].Ref == lines[i].Ref {
			kept[n-1] = lines[i]
			continue
		}
		kept = append(kept, lines[i])
	}
	return kept
}

// add notes a retry that is due at a time, once its row is there.
func (h *retryHead) add(due int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.low = min(h.low, due)
	h.added++
}

// from gives where to look for the first retry, and what to hand to found.
func (h *retryHead) from() (low int64, added uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.low, h.added
}

// found notes that nothing is due before low, unless a retry came meanwhile.
func (h *retryHead) found(low int64, added uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.added == added {
		h.low = low
	}
}
