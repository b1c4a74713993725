package badger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
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
	// Now is the clock of retention and of the sampling of free space.
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
const layoutVersion = 1

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
	// commitTxn makes a transaction durable. Tests put theirs in its place.
	commitTxn func(*badgerdb.Txn) error
	// lookMost is as the constant of that name. Tests put a smaller one here.
	lookMost int

	advice *logAdvice // the committer's

	// open guards queue against being closed while somebody sends.
	open    sync.RWMutex
	closed  bool
	queue   chan *request
	waiting atomic.Int64  // bytes in queue
	done    chan struct{} // closed when the committer has ended
	closing chan struct{}

	mu       sync.RWMutex // guards what follows
	last     uint64
	progress uint64
	received int64 // of the newest event, in nanoseconds
	oldest   uint64
	buckets  []bucket // ascending; replaced, never changed
	lanes    map[string]*lane
	news     chan struct{} // closed and replaced when last grows
	failed   error

	space space
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
	db, err := badgerdb.Open(settings(&o))
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("opening the store at %s: %w", o.Path, err)
	}
	s := &Store{
		opts: o, log: o.Logger, db: db, lock: lock,
		maxSize: db.MaxBatchSize() * 9 / 10,
		maxRows: db.MaxBatchCount() * 8 / 10,
		width:   bucketWidth(o.Retention),
		queue:   make(chan *request, queueLength),
		done:    make(chan struct{}),
		closing: make(chan struct{}),
		news:    make(chan struct{}),
		lanes:   map[string]*lane{},

		commitTxn: (*badgerdb.Txn).Commit,
		lookMost:  lookMost,
	}
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the store at %s: %w", o.Path, err), db.Close(), lock.Close())
	}
	s.advice = newLogAdvice(o.Path)
	go s.commit()
	return s, nil
}

func settings(o *Options) badgerdb.Options {
	return badgerdb.DefaultOptions(o.Path).
		WithLogger(logger{o.Logger.Named("badger")}).
		// One flush a transaction. Badger's Sync would miss a log that was
		// rotated in between.
		WithSyncWrites(true).
		// There is one writer.
		WithDetectConflicts(false).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithBlockSize(blockSize).
		WithBlockCacheSize(32 << 20).
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
	return s.checkSpace()
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
	var err error
	if e := s.db.Close(); e != nil {
		err = fmt.Errorf("closing the store: %w", e)
	}
	return errors.Join(err, s.lock.Close())
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
