package badger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

// ErrNoStore says that a folder holds other things than a store.
var ErrNoStore = errors.New("is not a store")

// maxFaults is how many faults a checkup keeps the text of.
const maxFaults = 20

// Checkup is what was found in the folder of a store, without changing it.
type Checkup struct {
	// Empty: there is no store yet, nor anything else.
	Empty bool `json:"empty,omitempty"`
	// InUse: another process has it open, so nothing else was looked at.
	InUse bool `json:"in_use,omitempty"`
	// Logs is how many logs hold what no table has, which is so when the router was
	// killed. The next start reads them. Here they were only held against their
	// checksums: what the other fields say is of before.
	Logs int `json:"logs,omitempty"`
	// Torn: the newest log has an end that a start cuts off, as a power cut leaves it.
	Torn bool `json:"torn,omitempty"`
	// Strange are files that no store makes.
	Strange []string `json:"strange,omitempty"`
	// Version is that of the layout. 0 where no table has it yet.
	Version uint64 `json:"version,omitempty"`
	// Tables and Bytes are of the files that hold the rows.
	Tables int   `json:"tables"`
	Bytes  int64 `json:"bytes"`
	// Segments and EventBytes are of the files that hold the events.
	Segments   int   `json:"segments"`
	EventBytes int64 `json:"event_bytes"`
	// Needs is the free space in bytes that the store's own work may take: below it
	// events may be refused, whatever Options.MinFree is. 0 where it was not looked
	// into.
	Needs int64 `json:"needs,omitempty"`
	// Lanes, the position of the newest event, and when it was received.
	Lanes  int       `json:"lanes"`
	Last   uint64    `json:"last"`
	Newest time.Time `json:"newest,omitzero"`
	// Rows is how many were read and held against their checksums. Only a deep
	// checkup reads them all.
	Rows int64 `json:"rows,omitempty"`
	// Faults are damages, at most 20 of them; FaultCount counts all.
	Faults     []string `json:"faults,omitempty"`
	FaultCount int      `json:"fault_count,omitempty"`
}

func (c *Checkup) fault(format string, args ...any) {
	c.FaultCount++
	if len(c.Faults) < maxFaults {
		c.Faults = append(c.Faults, fmt.Sprintf(format, args...))
	}
}

// Examine looks at the store at path and changes nothing there. deep reads every
// block and row, else only what a start reads. Damage is part of the Checkup; an
// error is a folder that can't be read (fs.ErrNotExist, fs.ErrPermission), one
// that is no store (ErrNoStore), or the end of ctx.
//
// A router that starts meanwhile is not kept from it: the Checkup then says that
// the store is in use.
func Examine(ctx context.Context, path string, deep bool) (*Checkup, error) {
	c := &Checkup{}
	if err := c.look(path); err != nil {
		return nil, err
	}
	if c.InUse || c.Empty || c.FaultCount > 0 {
		return c, nil
	}
	err := c.open(ctx, path, deep)
	// Tables that went away meanwhile are no damage.
	if used, lockErr := folderInUse(path); lockErr == nil && used {
		return &Checkup{InUse: true, Strange: c.Strange}, nil
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// look goes by the names in the folder.
func (c *Checkup) look(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("the folder of the store: %w", err)
	}
	manifest, own, segments := false, 0, 0
	for _, e := range entries {
		switch name := e.Name(); {
		case name == badgerdb.ManifestFilename:
			manifest = true
		case filepath.Ext(name) == ".sst":
			own++
			if info, err := e.Info(); err == nil {
				c.Tables++
				c.Bytes += info.Size()
			}
		case filepath.Ext(name) == ".seg" && strings.HasPrefix(name, "events-"):
			segments++
		case filepath.Ext(name) == ".mem":
			used, err := logHoldsData(filepath.Join(path, name))
			if err != nil {
				return fmt.Errorf("the log of the store: %w", err)
			}
			if used {
				c.Logs++
			}
		case filepath.Ext(name) == ".vlog", strings.HasPrefix(name, "weir."), name == "plugins", name == "lost+found",
			name == "MANIFEST-REWRITE", name == "KEYREGISTRY", name == "REWRITE-KEYREGISTRY", name == "DISCARD", name == "LOCK":
		default:
			c.Strange = append(c.Strange, name)
		}
	}
	if c.InUse, err = folderInUse(path); err != nil || c.InUse {
		return err
	}
	if manifest {
		return nil
	}
	known := readMemo(path, hclog.NewNullLogger())
	switch {
	case own > 0 || c.Logs > 0 || segments > 0:
		c.fault("the file %s is missing, and there are tables (%d), logs (%d) or segments (%d): the router does not start without it; put it back from a backup", badgerdb.ManifestFilename, own, c.Logs, segments)
		return nil
	case known != nil && (known.last > 0 || len(known.tables) > 0):
		c.fault("all that it had is gone, and its newest event was %d: the router does not start with it; put the folder back from a backup, or begin anew: rm -f %s", known.last, filepath.Join(path, memoName))
		return nil
	case len(c.Strange) > 0:
		return fmt.Errorf("%s %w: it holds %s", path, ErrNoStore, strings.Join(c.Strange[:min(len(c.Strange), 3)], ", "))
	}
	c.Empty = true
	return nil
}

// logHoldsData says whether anything was written behind a log's header, which has
// 20 bytes; the rest of a new log is zeros.
func logHoldsData(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, 4096)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false, err
	}
	for i := 20; i < n; i++ {
		if b[i] != 0 {
			return true, nil
		}
	}
	return false, nil
}

// open reads the tables through a folder of links. Badger, though it is told to
// read only, removes tables that its manifest does not name, and refuses a folder
// whose log was not replayed.
func (c *Checkup) open(ctx context.Context, path string, deep bool) error {
	if err := c.inspect(ctx, path, deep); err != nil || c.FaultCount > 0 {
		return err
	}
	mirror, err := os.MkdirTemp("", "weir-checkup-")
	if err != nil {
		return fmt.Errorf("a folder of links to the store: %w", err)
	}
	defer os.RemoveAll(mirror)
	if err := linkTables(path, mirror); err != nil {
		return err
	}
	said := &complaints{}
	db, err := badgerdb.Open(settings(&Options{Path: mirror, Logger: hclog.NewNullLogger()}).
		WithLogger(said).
		WithReadOnly(true).
		WithNumGoroutines(1).
		WithBlockCacheSize(8 << 20).
		WithIndexCacheSize(8 << 20).
		WithChecksumVerificationMode(options.OnBlockRead))
	for _, s := range said.list() { // a table that can't be used is left out, with no more than this
		c.fault("%s", s)
	}
	if err != nil {
		c.fault("%s", strings.ReplaceAll(err.Error(), mirror, path))
		return nil
	}
	defer db.Close()
	c.Needs = needOf(db.Levels(), 1) + leastReserve
	return c.read(ctx, db, path, deep)
}

// inspect does what a start does before it opens the database, and where deep is
// set reads every block of every table. Badger itself would end the process on
// some of what is found here, or go on without it.
func (c *Checkup) inspect(ctx context.Context, path string, deep bool) error {
	log := hclog.NewNullLogger()
	in := &inspection{folder: path, log: log}
	if err := in.run(readMemo(path, log)); errors.Is(err, ErrDamaged) {
		c.fault("%s", err)
	} else if err != nil {
		return err
	}
	c.Torn = in.cut
	if !deep {
		return nil
	}
	f, err := os.Open(filepath.Join(path, badgerdb.ManifestFilename))
	if err != nil {
		return fmt.Errorf("reading the store: %w", err)
	}
	defer f.Close()
	manifest, _, err := badgerdb.ReplayManifestFile(f, 0, badgerdb.DefaultOptions(path).WithLogger(nil))
	if err != nil {
		return nil // which is among the faults
	}
	told := c.FaultCount > 0 // of one table only, which may be told again
	for _, id := range slices.Sorted(maps.Keys(manifest.Tables)) {
		err := scrubTable(table.NewFilename(id, path), manifest.Tables[id], func(int64) error { return ctx.Err() })
		switch {
		case errors.Is(err, ErrDamaged):
			if told && c.Faults[0] == err.Error() {
				continue
			}
			c.fault("%s", err)
		case err != nil:
			return err
		}
	}
	return nil
}

// linkTables makes in mirror what Badger reads of the store.
func linkTables(path, mirror string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("the folder of the store: %w", err)
	}
	// The manifest first: tables that it names are there until it is rewritten.
	for _, name := range []string{badgerdb.ManifestFilename, "KEYREGISTRY"} {
		b, err := os.ReadFile(filepath.Join(path, name))
		if errors.Is(err, fs.ErrNotExist) && name != badgerdb.ManifestFilename {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(mirror, name), b, 0o600)
		}
		if err != nil {
			return fmt.Errorf("reading the store: %w", err)
		}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("the folder of the store: %w", err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".sst" {
			continue
		}
		if err := os.Symlink(filepath.Join(path, e.Name()), filepath.Join(mirror, e.Name())); err != nil {
			return fmt.Errorf("a link to a table: %w", err)
		}
	}
	return nil
}

// complaints keeps what Badger calls an error.
type complaints struct {
	mu   sync.Mutex
	said []string
}

func (l *complaints) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, strings.TrimSpace(fmt.Sprintf(format, args...)))
}
func (l *complaints) Warningf(string, ...any) {}
func (l *complaints) Infof(string, ...any)    {}
func (l *complaints) Debugf(string, ...any)   {}

func (l *complaints) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.said...)
}

// read does what a start does, and where deep is set reads all that there is.
func (c *Checkup) read(ctx context.Context, db *badgerdb.DB, path string, deep bool) error {
	txn := db.NewTransaction(false)
	defer txn.Discard()
	v, err := get(txn, []byte{kindVersion})
	switch {
	case errors.Is(err, store.ErrNotFound):
		if c.Logs == 0 && c.Tables > 0 {
			c.fault("no row says which version of the layout it has")
			return ctx.Err()
		}
		err = nil // the rows that there are, are in the log
	case err == nil:
		err = codec.DecodeNumbers(v, &c.Version)
	}
	if err != nil {
		c.fault("%s", err)
		return ctx.Err()
	}
	o := Options{Path: path}
	o.defaults()
	s := &Store{
		opts: o, db: db, width: bucketWidth(o.Retention), lanes: map[string]*lane{},
		checkup: c, known: readMemo(path, hclog.NewNullLogger()), pending: newPending(0),
	}
	err = s.load(ctx)
	if s.events != nil {
		defer func() { _ = s.events.Close() }() // it was only read
		c.EventBytes, c.Segments = s.events.Size()
		c.Torn = c.Torn || s.events.Torn() != nil
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		c.fault("%s", err) // what was read until then is told all the same
	}
	c.Last, c.Lanes = s.last, len(s.lanes)
	if s.received != 0 {
		c.Newest = timeOf(s.received)
	}
	if !deep {
		return nil
	}
	if s.events != nil {
		err := damagedSegment(s.events.Verify(func(int64) error { return ctx.Err() }))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.fault("%s", err)
		}
	}
	return c.readRows(ctx, txn)
}

// readRows holds every row against its checksum.
func (c *Checkup) readRows(ctx context.Context, txn *badgerdb.Txn) error {
	it := txn.NewIterator(badgerdb.IteratorOptions{PrefetchValues: true, PrefetchSize: 100})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.Rows++
		if _, _, err := itemValue(txn, it); err != nil {
			c.fault("%s", err)
		}
	}
	return nil
}
