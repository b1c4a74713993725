package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// A block that can't be read is, to Badger, the end of its table: rows behind it
// would seem never to have been, and a compaction would make that true. So the
// tables that a start finds are read once, slowly, in the background, and damage
// fails the store. Any other error says nothing of the tables. A row that is read before is guarded by its own checksum.
const (
	scrubBytes = 4 << 20
	scrubPause = 100 * time.Millisecond
)

// scrubAgain is when reading begins anew after a failure that is no damage, such
// as too few files left to open.
const scrubAgain = time.Minute

// scrub reads tables until all are read or the store is closed.
func (s *Store) scrub() {
	defer close(s.scrubbed)
	for s.scrubOnce() {
		select {
		case <-s.closing:
			return
		case <-time.After(scrubAgain):
		}
	}
}

// scrubEvents reads the complete segments that there are.
func (s *Store) scrubEvents(spend func(n int64) error) error {
	return damagedSegment(s.events.Verify(spend))
}

// scrubOnce ends the store's work with the first damage. It says whether the
// tables must be read again.
func (s *Store) scrubOnce() (again bool) {
	err := s.scrubTables()
	switch {
	case err == nil, errors.Is(err, errStopped):
		return false
	case errors.Is(err, ErrDamaged):
		s.room.compaction.stop()
		s.fail(err)
		return false
	}
	s.log.Warn("the store's tables are not checked; it is tried again", "error", err, "in", scrubAgain)
	return true
}

var errStopped = errors.New("stopped")

func (s *Store) scrubTables() error {
	f, err := os.Open(filepath.Join(s.opts.Path, badgerdb.ManifestFilename))
	if err != nil {
		return fmt.Errorf("checking the store: %w", err)
	}
	m, _, err := badgerdb.ReplayManifestFile(f, 0, badgerdb.DefaultOptions(s.opts.Path).WithLogger(nil))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("checking the store: %w", err)
	}
	pause := time.NewTicker(scrubPause)
	defer pause.Stop()
	left := int64(scrubBytes)
	spend := func(n int64) error {
		for left -= n; left < 0; left += scrubBytes {
			select {
			case <-s.closing:
				return errStopped
			case <-pause.C:
			}
		}
		return nil
	}
	for id, named := range m.Tables {
		path := table.NewFilename(id, s.opts.Path)
		err := scrubTable(path, named, spend)
		// Compactions remove tables while they are read; that makes them shorter first.
		if info, e := os.Stat(path); errors.Is(e, os.ErrNotExist) || e == nil && info.Size() == 0 {
			continue
		}
		if err != nil {
			return err
		}
	}
	return s.scrubEvents(spend)
}

func scrubTable(path string, named badgerdb.TableManifest, spend func(bytes int64) error) error {
	t, err := openTable(path, named.Compression)
	if err != nil {
		return err
	}
	defer t.close()
	for n := range t.index.OffsetsLength() {
		size, err := t.checkBlock(n)
		if err == nil {
			err = spend(size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
