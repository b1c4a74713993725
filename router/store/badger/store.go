package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
	"github.com/weirhq/weir/router/store/segment"
)

// ErrInUse says that another process has the store open.
var ErrInUse = errors.New("is used by another process")

// Options of a store. Path is required; zero values of the others are defaults.
type Options struct {
	// Path is a folder, made where it is missing.
	Path string
	// Retention is how long events are kept after they were received, 7 days by
	// default.
	Retention time.Duration
	// MaxAge ends deliveries that have not been delivered so long after their
	// event was received, and DeadAge takes dead letters so long after they died.
	// Both are 30 days by default.
	MaxAge, DeadAge time.Duration
	// MinFree is the free space in bytes below which records with events are
	// refused, 0 for none.
	MinFree int64
	Logger  hclog.Logger
	// Synced is told how long each flush took. It must not block.
	Synced func(time.Duration)
	// Aged is told of the deliveries of a destination's lane that retention is about to
	// end by their age, and how to find their events. It gives a document that is to be
	// true together with that, and what to call once it is. It must not block. Nil:
	// nobody is told.
	Aged func(lane string, ended []store.Outcome, of func(position uint64) (*event.Event, error)) (d store.Document, committed func())
	// Now is the clock of retention and of what is stored with its time: a
	// change of a delivery, a try of routing.
	Now func() time.Time
	// Free gives the free space in bytes at a path.
	Free func(path string) (int64, error)
}

const day = 24 * time.Hour

func (o *Options) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.Retention, 7*day)
	set(&o.MaxAge, 30*day)
	set(&o.DeadAge, 30*day)
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Free == nil {
		o.Free = freeBytes
	}
}

// layoutVersion is the version of the keys and rows that this package writes.
const layoutVersion = 3

const (
	// memTableSize is as small as a transaction may be, of which Badger takes 15 %
	// of it at most: an event of 8 MiB, the most that max_body allows, must fit.
	memTableSize = 60 << 20
	// blockSize makes a table of a memtable fit into less memory while it is
	// built: Badger gives each block its full size, which blocks of 4 KiB with
	// three events of 1 KiB waste, and doubles what it takes.
	blockSize = 16 << 10
	// queueLength and queueBytes bound what waits for the committer.
	queueLength = 4096
	queueBytes  = 64 << 20
)

// levelZeroTables is how many tables of level 0 begin a compaction. While one
// compactor takes them down a level, the other merges those that come meanwhile
// into one table, in memory: the fewer, the smaller. Tests put more here.
var levelZeroTables = 2

// Store implements [store.Store]. All methods are safe for concurrent use.
type Store struct {
	opts Options
	log  hclog.Logger
	db   *badgerdb.DB
	lock *os.File
	// maxSize and maxRows bound one transaction.
	maxSize int64
	maxRows int64
	width   uint32 // of a bucket, in minutes
	// commitTxn makes a transaction durable, and syncEvents what was put into events.
	// Tests put theirs in their place.
	commitTxn  func(*badgerdb.Txn) error
	syncEvents func() error
	// events are those from the position begin on; older ones are in rows.
	events *segment.Log
	begin  uint64
	spare  segment.Spare // the committer's: copies of the newest events
	// For load: known is what was there before, where that is known, and checkup what
	// asks, where nothing may be changed.
	known   *memo
	checkup *Checkup
	// lookMost and lookMostData are as the constants of those names. Tests put
	// smaller ones here.
	lookMost, lookMostData int

	advice *logAdvice // the committer's
	noRoom bool       // the committer's: it is said that there is none for events
	tail   tail
	groups groups
	// chunks are those of histories.
	chunks chunks

	// open guards queue against being closed while somebody sends.
	open     sync.RWMutex
	closed   bool
	queue    chan *request
	waiting  atomic.Int64  // bytes in queue
	done     chan struct{} // closed when the committer has ended
	closing  chan struct{}
	scrubbed chan struct{} // closed when scrub has ended

	mu       sync.RWMutex // guards what follows
	last     uint64
	progress uint64
	received int64 // of the newest event, in nanoseconds
	oldest   uint64
	buckets  []bucket // ascending; replaced, never changed
	pending  *pending
	lanes    map[string]*lane
	news     chan struct{} // closed and replaced when last grows
	failed   error

	room *room
	// gone is the size of what retention deleted and was not reclaimed, and
	// reclaimLeast as the constant of that name. Tests put a smaller one here.
	gone         atomic.Int64
	reclaimLeast int64
}

var _ store.Store = (*Store)(nil)

// bucket is a stretch of the log that retention takes as a whole.
type bucket struct {
	number uint32
	first  uint64
}

// lane is what memory keeps of a lane. A published one is not changed but for
// head, which has its own lock.
type lane struct {
	codec.Lane
	// newest is the newest posting, zero where all are settled.
	newest store.Ref
	// trimmed: no chunk of postings before it is left.
	trimmed store.Ref
	head    *retryHead
	// write says that the row must be written by this batch.
	write bool
}

// retryHead remembers where a lane's retries begin, so that finding the first
// does not walk over those that were finished.
type retryHead struct {
	mu sync.Mutex
	// low: no retry is due before it, in nanoseconds since 1970.
	low int64
	// added counts new retries, so that a reader does not overrule them.
	added uint64
}

// Open opens the store at a path, making it where there is none. It returns an
// error that wraps [ErrInUse] when another process has it open.
func Open(ctx context.Context, o Options) (*Store, error) {
	o.defaults()
	if o.Path == "" {
		return nil, errors.New("the store has no path")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("the folder of the store: %w", err)
	}
	lock, err := lockFolder(o.Path)
	if err != nil {
		return nil, err
	}
	d, err := openDatabase(&o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	db := d.db
	s := &Store{
		opts: o, log: o.Logger, db: db, lock: lock, room: d.room,
		maxSize:  db.MaxBatchSize() * 9 / 10,
		maxRows:  db.MaxBatchCount() * 8 / 10,
		width:    bucketWidth(o.Retention),
		queue:    make(chan *request, queueLength),
		done:     make(chan struct{}),
		closing:  make(chan struct{}),
		scrubbed: make(chan struct{}),
		news:     make(chan struct{}),
		lanes:    map[string]*lane{},

		commitTxn:    (*badgerdb.Txn).Commit,
		lookMost:     lookMost,
		lookMostData: lookMostData,

		reclaimLeast: reclaimLeast,
		known:        d.known,
		pending:      newPending(0),
	}
	if err = s.load(ctx); err == nil {
		s.syncEvents = s.events.Sync
		torn := s.events.Torn()
		if torn != nil && torn.Mended > 0 {
			s.log.Error("the end of the newest segment of events was damaged, and was mended from copies: no event is lost, but look after the disk",
				"file", torn.File, "offset", torn.Offset, "events", torn.Mended)
		} else if torn != nil {
			s.log.Warn("the end of the newest segment of events is torn and is cut off: a write that was not answered, or damage",
				"file", torn.File, "offset", torn.Offset, "bytes", torn.Bytes)
		}
		err = s.checkKnown(d.known, d.cut || torn != nil)
	}
	if err == nil {
		err = s.upgrade()
	}
	if err != nil {
		d.known.closing(o.Path, o.Logger)
		return nil, errors.Join(fmt.Errorf("the store at %s: %w", o.Path, err), s.closeEvents(), s.closeDatabase(), lock.Close())
	}
	s.advice = newLogAdvice(o.Path)
	s.room.start(s.Last, d.known)
	go s.commit()
	go s.scrub()
	return s, nil
}

// database is what Open has before it reads rows.
type database struct {
	db   *badgerdb.DB
	room *room
	// known is what the store had a moment before it was last closed or killed, cut
	// that its newest log was torn since.
	known *memo
	cut   bool
}

func openDatabase(o *Options) (d *database, err error) {
	spare, err := openReserve(o.Path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, spare.close())
		}
	}()
	if err := makeRoom(o.Path, spare, freeBytes); err != nil {
		return nil, err
	}
	d = &database{known: readMemo(o.Path, o.Logger)}
	in := &inspection{folder: o.Path, log: o.Logger}
	if err := in.run(d.known); err != nil {
		return nil, err
	}
	d.cut = in.cut
	if d.db, err = openBadger(o); err != nil {
		return nil, fmt.Errorf("opening the store at %s: %w", o.Path, err)
	}
	leaveValueLog(d.db)
	if d.room, err = openRoom(o, d.db, spare, freeBytes); err != nil {
		d.known.closing(o.Path, o.Logger)
		return nil, errors.Join(err, d.db.Close())
	}
	return d, nil
}

// openBadger makes an error of what Badger panics with.
func openBadger(o *Options) (db *badgerdb.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	db, err = badgerdb.Open(settings(o))
	if errors.Is(err, badgerdb.ErrEncryptionKeyMismatch) { // nothing is encrypted
		path := filepath.Join(o.Path, badgerdb.KeyRegistryFileName)
		return nil, fmt.Errorf("%w: %s does not hold what Badger wrote; it names no keys, so it can be made anew: rm -f %s", ErrDamaged, path, path)
	}
	return db, err
}

// checkKnown compares what was loaded with what was there before.
func (s *Store) checkKnown(known *memo, cut bool) error {
	if known == nil || known.last <= s.last {
		return nil
	}
	if cut {
		s.log.Error("events were lost with the torn end of the newest file: it was damaged, or the disk had not kept what it was told to",
			"first", s.last+1, "last", known.last)
		return nil
	}
	return fmt.Errorf("%w: its newest event is %d, and it had %d: a file of it is older than the others or lost; put the folder back from a backup, or keep a copy of it and go on with what is there: rm -f %s",
		ErrDamaged, s.last, known.last, filepath.Join(s.opts.Path, memoName))
}

// closeDatabase leaves the database as it is when there is no room for its last
// flush: what it would write is in its log.
func (s *Store) closeDatabase() error {
	if !s.room.close() {
		return s.room.reserve.close()
	}
	var err error
	if e := s.db.Close(); e != nil {
		err = fmt.Errorf("closing the store: %w", e)
	}
	return errors.Join(err, s.room.reserve.close())
}

// Sizes of tables below level 0, in bytes.
const (
	leastTable = 2 << 20
	mostTable  = 64 << 20
	// manyTables is how many tables a store should have at most: each is a
	// mapping, and Linux gives a process 65,530.
	manyTables = 8 << 10
)

// tableSize is the size of the tables of a store in which stored bytes are. A
// compaction holds up to 13 tables in memory at once, so they are small where that
// does not make them too many.
func tableSize(stored int64) int64 {
	size := int64(leastTable)
	for size < mostTable && stored/size > manyTables {
		size *= 2
	}
	return size
}

// storedBytes is what the tables in a folder take together.
func storedBytes(folder string) (n int64) {
	tables, _ := filepath.Glob(filepath.Join(folder, "*.sst")) // the pattern is well-formed
	for _, t := range tables {
		if info, err := os.Stat(t); err == nil { // else it is gone
			n += info.Size()
		}
	}
	return n
}

func settings(o *Options) badgerdb.Options {
	s := badgerdb.DefaultOptions(o.Path)
	// Badger would double it from level to level.
	s.TableSizeMultiplier = 1
	return s.WithBaseTableSize(tableSize(storedBytes(o.Path))).
		WithLogger(logger{o.Logger.Named("badger")}).
		// One flush a transaction. Badger's Sync would miss a log that was
		// rotated in between.
		WithSyncWrites(defect != defectNoSync).
		// There is one writer.
		WithDetectConflicts(false).
		WithMemTableSize(memTableSize).
		// None waits for its flush: each is 70 MiB of memory, and one is flushed
		// faster than the next one fills.
		WithNumMemtables(0).
		WithNumCompactors(2).
		WithNumLevelZeroTables(levelZeroTables).
		WithBlockSize(blockSize).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(32 << 20).
		// JSON shrinks to a third, and disk is what retention costs.
		WithCompression(options.Snappy).
		WithValueThreshold(1 << 20).
		WithValueLogFileSize(64 << 20).
		WithMetricsEnabled(false)
}

// bucketWidth is in minutes.
func bucketWidth(retention time.Duration) uint32 {
	w := max(retention/168, time.Minute)
	return uint32(min(w/time.Minute, math.MaxInt32))
}

// Last returns the position of the newest event.
func (s *Store) Last() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.last
}

// Progress returns the position of the newest event that is routed.
func (s *Store) Progress() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.progress
}

// Wait waits for an event after a position.
func (s *Store) Wait(ctx context.Context, after uint64) error {
	for {
		s.mu.RLock()
		last, news := s.last, s.news
		s.mu.RUnlock()
		if last > after {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return store.ErrClosed
		}
	}
}

// Err says why the store cannot commit events, if it cannot.
func (s *Store) Err() error {
	s.open.RLock()
	closed := s.closed
	s.open.RUnlock()
	if closed {
		return store.ErrClosed
	}
	s.mu.RLock()
	failed := s.failed
	s.mu.RUnlock()
	if failed != nil {
		return failed
	}
	if short, err := s.room.short(); err == nil && short {
		return store.ErrFull
	}
	return nil
}

// Space gives the free space of the store's disk in bytes, and that below which records
// with events are refused: min_free, or more where the store's own work needs it.
func (s *Store) Space() (free, least int64, err error) {
	free, err = s.room.told(s.opts.Path)
	return free, max(s.room.minFree, s.room.need.Load()), err
}

// Close waits for commits under way and closes the database. Reads must have
// ended.
func (s *Store) Close() error {
	s.open.Lock()
	if s.closed {
		s.open.Unlock()
		<-s.done
		return nil
	}
	s.closed = true
	close(s.closing)
	close(s.queue)
	s.open.Unlock()
	<-s.done
	<-s.scrubbed
	return errors.Join(s.closeEvents(), s.closeDatabase(), s.lock.Close())
}

func (s *Store) closeEvents() error {
	if s.events == nil {
		return nil
	}
	return s.events.Close()
}

// fail refuses all further commits.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
		s.log.Error("the store has failed and takes nothing more", "error", err)
	}
}
