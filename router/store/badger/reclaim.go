package badger

import (
	"context"
	"errors"
	"fmt"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
)

// What retention deletes gives its space back when a compaction meets it, and
// Badger compacts when enough was written. In a large store that is soon. In a
// small one the deletions may lie in the log for days, so there retention has
// the log become a table, and all tables compacted.
const (
	// reclaimLeast is what must have been deleted, in bytes, and it must be a
	// quarter of what the tables hold.
	reclaimLeast = 32 << 20
	// reclaimMost is how much the tables may hold: rewriting them takes seconds.
	reclaimMost = 1 << 30

	padSize  = 4 << 20
	mostPads = 2 * memTableSize / padSize
)

var padKey = []byte{kindPad}

// reclaim gives back the space of what retention deleted. Commits go on
// meanwhile.
func (s *Store) reclaim(ctx context.Context) error {
	gone := s.gone.Load()
	var total int64
	for _, l := range s.db.Levels() {
		total += l.Size
	}
	if gone < s.reclaimLeast || total > reclaimMost || gone < total/4 || !s.room.spare(total+2*logRoom) {
		return nil
	}
	// Level 0 alone is compacted by nothing but its number of tables.
	for n := 0; n < levelZeroTables; n++ {
		if err := s.endLog(ctx); err != nil {
			if errors.Is(err, store.ErrFull) {
				return nil // later
			}
			return err
		}
		if tables, only := levelZero(s.db.Levels()); !only || tables >= levelZeroTables {
			break
		}
	}
	s.gone.Add(-gone)
	return s.room.compaction.all()
}

// levelZero gives the number of its tables, and whether no other level has any.
func levelZero(levels []badgerdb.LevelInfo) (tables int, only bool) {
	only = true
	for _, l := range levels {
		if l.Level == 0 {
			tables = l.NumTables
		} else if l.NumTables > 0 {
			only = false
		}
	}
	return tables, only
}

// endLog fills the log in use with rows that are deleted again, until Badger
// begins the next one, and waits for the table that is made of it. Badger does
// it at once only for DropPrefix, during which it takes no writes.
func (s *Store) endLog(ctx context.Context) error {
	began := s.room.number()
	pad := make([]byte, padSize)
	for n := 0; n < mostPads && s.room.number() == began; n++ {
		if err := s.step(ctx, func(b *batch) error { b.put(padKey, pad); return nil }); err != nil {
			return fmt.Errorf("giving back space: %w", err)
		}
	}
	if err := s.step(ctx, func(b *batch) error { return b.removeWhole(padKey) }); err != nil {
		return fmt.Errorf("giving back space: %w", err)
	}
	for s.room.flushing() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return store.ErrClosed
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}
