package stats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/store"
)

// The documents that a book keeps. A slot's name is its resolution's width and
// beginning, a delta's a number that only grows.
const (
	kindSlot  = "stats-slot"
	kindDelta = "stats-delta"
)

// foldEvery is how often deltas are folded into slots. The deltas of so long are
// read at a start.
const foldEvery = 15 * time.Second

// Book is all statistics of a store. Its methods may be called from any goroutine.
type Book struct {
	store store.Store
	log   hclog.Logger
	now   func() time.Time

	folding sync.Mutex // one fold at a time
	asking  sync.Mutex // guards settled
	settled sums

	mu    sync.Mutex
	next  uint64 // number of the next delta
	slots []map[int64]*slot
	// generation changes with the set of sealed slots.
	generation uint64
	// folded are the deltas that slots hold and the store has as documents.
	folded []string
	// queues are by resolution and slot; sampled are the slots that changed since the
	// last fold.
	queues  []map[int64]*Queue
	sampled []string
	// flows are by hour.
	flows map[int64]*flowing
}

// slot is the series of one span of time.
type slot struct {
	// live is nil while nobody changes the slot; then its series are in sealed.
	live   table
	sealed []byte
	dirty  bool // live differs from the store's document
}

// Options of a book. The zero value is usable.
type Options struct {
	Logger hclog.Logger
	// Now is the clock that decides which slots are kept. Nil: time.Now.
	Now func() time.Time
}

// Open reads the statistics of a store. A document that can't be read is told to
// the log and left out: statistics keep no router from starting.
func Open(ctx context.Context, st store.Store, o Options) (*Book, error) {
	b := &Book{store: st, log: o.Logger, now: o.Now, flows: map[int64]*flowing{}}
	if b.log == nil {
		b.log = hclog.NewNullLogger()
	}
	if b.now == nil {
		b.now = time.Now
	}
	for range resolutions {
		b.slots = append(b.slots, map[int64]*slot{})
	}
	if err := errors.Join(b.openQueues(ctx), b.openFlows(ctx)); err != nil {
		return nil, fmt.Errorf("statistics: %w", err)
	}
	slots, err := st.Documents(ctx, kindSlot)
	if err != nil {
		return nil, fmt.Errorf("statistics: %w", err)
	}
	for _, d := range slots {
		i, at, ok := parseSlot(d.Name)
		if ok {
			_, err = decodeSlot(d.Value)
		}
		if !ok || err != nil {
			b.log.Warn("statistics of a span of time can't be read, and are left out", "document", d.Name, "error", err)
			continue
		}
		b.slots[i][at] = &slot{sealed: d.Value}
	}
	deltas, err := st.Documents(ctx, kindDelta)
	if err != nil {
		return nil, fmt.Errorf("statistics: %w", err)
	}
	for _, d := range deltas {
		n, err := strconv.ParseUint(d.Name, 16, 64)
		if err == nil {
			b.next = max(b.next, n+1)
			var added *delta
			if added, err = decodeDelta(d.Value); err == nil {
				b.mergeFlows(added.hours)
				err = b.merge(added.minutes)
			}
		}
		if err != nil {
			b.log.Warn("statistics of a record can't be read, and are left out", "document", d.Name, "error", err)
		}
		b.folded = append(b.folded, d.Name)
	}
	return b, nil
}

// Run folds deltas into slots until ctx ends, and then once more. Now and then it
// asks waits how many deliveries wait, and how old the oldest of them is. It returns
// when the store is closed, too.
func (b *Book) Run(ctx context.Context, waits func(context.Context) (depth uint64, oldest time.Duration, err error)) {
	tick := time.NewTicker(foldEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			if n%int(sampleEvery/foldEvery) != 0 {
				break
			}
			depth, oldest, err := waits(ctx)
			if err == nil {
				b.Sample(b.now(), depth, oldest)
			} else if !errors.Is(err, context.Canceled) {
				b.log.Debug("it can't be said what waits", "error", err)
			}
		case <-ctx.Done():
			if err := b.Fold(context.WithoutCancel(ctx)); err != nil {
				b.log.Debug("statistics are folded at the next start", "error", err)
			}
			return
		}
		if err := b.Fold(ctx); err != nil && !errors.Is(err, context.Canceled) {
			b.log.Warn("statistics can't be folded, trying again", "error", err)
		}
	}
}

// Fold writes the slots that deltas have changed, deletes these deltas, and
// deletes the slots that are too old, in one record.
func (b *Book) Fold(ctx context.Context) error {
	b.folding.Lock()
	defer b.folding.Unlock()
	b.mu.Lock()
	r := &store.Record{}
	var written []*slot
	for i, slots := range b.slots {
		oldest := b.oldest(i)
		for at, s := range slots {
			switch {
			case at < oldest:
				delete(slots, at)
				b.generation++
				r.Documents = append(r.Documents, store.Document{Kind: kindSlot, Name: slotName(i, at)})
			case s.dirty:
				s.sealed, s.dirty = encodeSlot(s.live), false
				written = append(written, s)
				r.Documents = append(r.Documents, store.Document{Kind: kindSlot, Name: slotName(i, at), Value: s.sealed})
			case s.live != nil:
				s.live = nil // untouched since the last time
				b.generation++
			}
		}
	}
	deltas := b.folded
	for _, name := range deltas {
		r.Documents = append(r.Documents, store.Document{Kind: kindDelta, Name: name})
	}
	b.folded = nil
	r.Documents = append(append(r.Documents, b.queueDocuments()...), b.flowDocuments()...)
	b.mu.Unlock()
	if len(r.Documents) == 0 {
		return nil
	}
	_, err := b.store.Commit(ctx, r)
	if err == nil {
		return nil
	}
	// Whether it is there or not: writing it again comes to the same.
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range written {
		s.dirty = true
	}
	b.folded = append(b.folded, deltas...)
	for _, d := range r.Documents {
		if d.Kind == kindQueue && d.Value != nil {
			b.changed(d.Name)
		}
		if d.Kind == kindFlow && d.Value != nil {
			b.flowChanged(d.Name)
		}
	}
	return fmt.Errorf("fold statistics: %w", err)
}

// oldest is the beginning of the oldest slot that a resolution keeps.
func (b *Book) oldest(i int) int64 {
	r := resolutions[i]
	return b.now().Add(-time.Duration(r.keep) * r.width).Unix()
}

// merge adds what a record has counted, by minute, to the slots. The mutex is held,
// or nobody else knows b yet.
func (b *Book) merge(delta map[int64]table) error {
	for minute, t := range delta {
		for i, r := range resolutions {
			width := int64(r.width / time.Second)
			at := minute - mod(minute, width)
			if at < b.oldest(i) {
				continue
			}
			to, err := b.live(i, at)
			if err != nil {
				return err
			}
			for k, s := range t {
				if err := to.get(k).merge(s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// mod is never negative: times before 1970 have slots, too.
func mod(a, b int64) int64 { return (a%b + b) % b }

// live makes a slot ready for change.
func (b *Book) live(i int, at int64) (table, error) {
	s := b.slots[i][at]
	if s == nil {
		s = &slot{live: table{}}
		b.slots[i][at] = s
	}
	if s.live == nil {
		t, err := decodeSlot(s.sealed)
		if err != nil {
			return nil, err
		}
		s.live = t
		b.generation++
	}
	s.dirty = true
	return s.live, nil
}

func slotName(i int, at int64) string {
	return fmt.Sprintf("%s %d", resolutions[i].width, at)
}

func parseSlot(name string) (i int, at int64, ok bool) {
	width, begin, ok := strings.Cut(name, " ")
	if !ok {
		return 0, 0, false
	}
	at, err := strconv.ParseInt(begin, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	for i, r := range resolutions {
		if r.width.String() == width {
			return i, at, true
		}
	}
	return 0, 0, false
}
