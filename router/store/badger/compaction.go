package badger

import (
	"fmt"
	"sync"
	_ "unsafe" // for go:linkname

	badgerdb "github.com/dgraph-io/badger/v4"
)

// Badger stops its compactors for itself, in Flatten and DropPrefix, and has no
// public call for it. Both functions are as in v4.9.6; a version without them
// does not link. An empty assembly file beside this one lets Go take
// declarations without a body.

//go:linkname stopCompactions github.com/dgraph-io/badger/v4.(*DB).stopCompactions
func stopCompactions(*badgerdb.DB)

//go:linkname startCompactions github.com/dgraph-io/badger/v4.(*DB).startCompactions
func startCompactions(*badgerdb.DB)

// compaction is a switch for Badger's compactors. They write tables through
// mapped, sparse files, so they must not run where space may end; and one that
// can't create its table loses what it was to hold.
type compaction struct {
	mu      sync.Mutex
	db      *badgerdb.DB
	stopped bool
}

// stop returns when no compaction runs, and none will begin.
func (c *compaction) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		stopCompactions(c.db)
		c.stopped = true
	}
}

func (c *compaction) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		startCompactions(c.db)
		c.stopped = false
	}
}

// all compacts all tables to one level, unless compactions are stopped.
func (c *compaction) all() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	if err := c.db.Flatten(1); err != nil {
		return fmt.Errorf("compacting the store: %w", err)
	}
	return nil
}
