package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/store"
)

// Badger maps sparse files and writes through the map, and a write that finds no
// block ends the process. So every block that a commit, or what follows from it,
// may touch is allocated before Badger is called.
const (
	// logRoom is what one log may need: it is rotated by the first transaction
	// after memTableSize, and one transaction is 15 % of that and its overhead.
	logRoom = memTableSize + 16<<20
	// flushRoom is what the table of one log may need.
	flushRoom = 80 << 20
	// rowRoom is the most that a row takes in a log and in memory, beyond its key
	// and value: header, checksum, version and a node of full height.
	rowRoom = 136
	// writeRoom is for what Badger writes to small files when it opens.
	writeRoom = 2 << 20
	// leastReserve is for one flush, mostReserve for a compaction, too.
	leastReserve = flushRoom
	mostReserve  = 256 << 20

	// stallTables is how many tables of level 0 call for a compaction even when
	// space is short: at 15 Badger stops flushing.
	stallTables = 11

	// leastNeed is what compactions of an empty store may take.
	leastNeed = 64 << 20

	roomTime = 100 * time.Millisecond
	// settleTime bounds the wait for a flush before events are refused.
	settleTime = 5 * time.Second
	// openTime bounds the wait for flushes of logs that a start has read.
	openTime = time.Minute
)

// LeastFree is the free space in bytes below which even an empty store may refuse
// events, whatever Options.MinFree is. Checkup.Needs is that of a store.
const LeastFree = leastNeed + flushRoom + leastReserve

// room keeps allocated what the database may still need:
//
//   - the log in use and the one after it have all their blocks,
//   - weir.reserve holds blocks for a flush and a compaction. They are given back
//     when one finds too little, and taken again as soon as there is enough,
//   - nothing compacts while space is short, and events are refused only once
//     compactions and flushes under way have ended.
//
// A commit for which this does not hold is refused with store.ErrFull before
// Badger sees it.
type room struct {
	folder string
	log    hclog.Logger
	// free is what the disk has, told what Options.Free says of it for min_free.
	free, told func(path string) (int64, error)
	minFree    int64

	compaction compaction
	builders   builders
	// need is the free space that flushes and compactions may take together.
	need atomic.Int64

	mu      sync.Mutex
	current int   // number of the log in use
	older   []int // logs that are being flushed
	ready   bool  // the log in use has its blocks
	next    bool  // and the one after it
	reserve *reserve
	// reserved is what the reserve held when it was last looked at.
	reserved int64
	used     int64 // of the log in use, at most
	last     int64 // of that by the last commit
	low      bool
	quiet    bool // since low: nothing is under way
	warned   bool // since low: it is said in the log
	refused  bool // said in the log
	without  bool // the file system allocates nothing beforehand

	// What follows is of the goroutine that keep runs in, and then of close.
	started  bool
	newest   func() uint64
	noted    memo
	manifest time.Time

	stop chan struct{}
	done chan struct{}
}

func logName(folder string, n int) string {
	return filepath.Join(folder, fmt.Sprintf("%05d.mem", n))
}

// logNumbers gives the numbers of the logs in a folder, ascending.
func logNumbers(folder string) ([]int, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("the folder of the store: %w", err)
	}
	var list []int
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), ".mem")); err == nil && strings.HasSuffix(e.Name(), ".mem") {
			list = append(list, n) // ReadDir sorts, and names have a fixed width
		}
	}
	return list, nil
}

// makeRoom prepares a folder for being opened: it removes files without a byte,
// which hold blocks only or were begun by a process that ended at once and which
// Badger does not open, and refuses where opening would meet a full disk.
func makeRoom(folder string, spare *reserve, free func(string) (int64, error)) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("the folder of the store: %w", err)
	}
	need, held := int64(16<<20), spare.left()
	var empty, logs []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if ext != ".mem" && ext != ".vlog" {
			continue
		}
		path := filepath.Join(folder, e.Name())
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("the folder of the store: %w", err)
		}
		switch {
		case info.Size() == 0:
			empty = append(empty, path)
			held += blocksOf(path)
		case ext == ".mem":
			// Its blocks, if they are known, bound the table that is made of it.
			n := info.Size()
			if b := blocksOf(path); b > 0 {
				n = min(n, b)
			}
			need += n + n/8
			logs = append(logs, path)
		}
	}
	now, err := free(folder)
	if err != nil {
		return err
	}
	if now+held < need { // what is in the logs may be much less than their blocks
		need = 16 << 20
		for _, path := range logs {
			scan, err := scanLog(path)
			if err != nil {
				return err
			}
			need += scan.end + scan.end/8
			held += max(blocksOf(path)-scan.end, 0) // Badger cuts it there
		}
	}
	if now+held < need {
		return noRoom(folder, need, now+held)
	}
	for _, path := range empty {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing an empty file of the store: %w", err)
		}
	}
	if now < need {
		if _, err := spare.giveBack(); err != nil {
			return err
		}
	}
	// The handler of SIGBUS sees none of Badger's plain writes.
	if n := min(writeRoom-now, spare.left()); n > 0 {
		return spare.shrink(n)
	}
	return nil
}

// noRoom is why a store can't be opened.
func noRoom(folder string, need, have int64) error {
	return fmt.Errorf("%w: opening the store needs up to %d MiB of free space and there are %d MiB; make space on the disk of %s and start again, nothing is lost",
		store.ErrFull, mib(need), have>>20, folder)
}

func mib(n int64) int64 { return (n + 1<<20 - 1) >> 20 }

// size is a number of bytes for the log.
func size(n int64) string { return fmt.Sprintf("%dMiB", n>>20) }

// openRoom takes what an opened database needs. A disk that has too little for the
// log in use is an error; where it has too little for more, events are refused
// until it has enough.
func openRoom(o *Options, db *badgerdb.DB, spare *reserve, free func(string) (int64, error)) (*room, error) {
	r := &room{
		folder: o.Path, log: o.Logger, free: free, told: o.Free, minFree: o.MinFree,
		compaction: compaction{db: db}, builders: buildersOf(db), reserve: spare,
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	logs, err := logNumbers(r.folder)
	if err != nil {
		return nil, err
	}
	if len(logs) == 0 {
		return nil, fmt.Errorf("the store at %s has no log", r.folder)
	}
	r.current, r.older = logs[len(logs)-1], logs[:len(logs)-1]
	r.tick()
	if !r.ready && len(r.older) > 0 { // space that the old logs' flushes may need is set free by their end
		r.settle(openTime)
		r.tick()
	}
	if err := r.beginLog(); err != nil {
		return nil, err
	}
	if least := r.need.Load() + r.reserveSize(); r.minFree > 0 && r.minFree < least {
		r.log.Warn("min_free is less than the store itself may need for flushes and compactions; it refuses events from that on",
			"min_free", size(r.minFree), "needs", size(least))
	}
	if short, err := r.short(); err == nil && short {
		r.mu.Lock()
		r.low = true
		r.warnShort()
		r.mu.Unlock()
	}
	return r, nil
}

// beginLog sees to it that the log in use has its blocks, from the reserve where
// the disk has too little: a router that starts commits at once. Nothing compacts
// or flushes where the disk is that full.
func (r *room) beginLog() error {
	if r.ready || r.without || defect == defectUnguarded {
		return nil
	}
	r.compaction.stop()
	path := logName(r.folder, r.current)
	for {
		free, err := r.free(r.folder)
		if err != nil {
			return err
		}
		// File systems take some blocks to note others.
		missing, left := logRoom+1<<20-blocksOf(path)-free, r.reserve.left()
		if len(r.older) > 0 { // it may need the reserve
			return fmt.Errorf("%w: there are %d MiB, and a table is still being made of what the last run left; start again", store.ErrFull, free>>20)
		}
		if missing > left {
			return noRoom(r.folder, logRoom+1<<20, logRoom+1<<20-missing+left)
		}
		if missing > 0 {
			if err := r.reserve.shrink(missing); err != nil {
				return err
			}
			r.reserved = r.reserve.left()
			r.log.Warn("the reserve is given back for the store's log", "left", size(r.reserved))
		}
		err = r.take(path, os.O_RDWR, logRoom)
		if err == nil {
			r.ready = true
			return nil
		}
		if missing <= 0 { // there was room, and yet there is none
			return fmt.Errorf("%w: %w", noRoom(r.folder, logRoom+1<<20, free), err)
		}
	}
}

// start has the disk looked at until close. last is the position of the newest
// event, known what was noted before.
func (r *room) start(last func() uint64, known *memo) {
	r.started, r.newest = true, last
	if known != nil {
		r.noted = *known
	}
	go r.keep()
}

func (r *room) keep() {
	defer close(r.done)
	ticker := time.NewTicker(roomTime)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
			r.tick()
			r.note(false)
			r.builders.drop()
		}
	}
}

// note writes down what the store has, if that has changed.
func (r *room) note(closed bool) {
	m := memo{last: r.newest(), closed: closed, tables: r.noted.tables}
	r.mu.Lock()
	m.log = r.current
	r.mu.Unlock()
	info, err := os.Stat(filepath.Join(r.folder, badgerdb.ManifestFilename))
	if err == nil && !info.ModTime().Equal(r.manifest) {
		if m.tables, err = namedTables(r.folder); err == nil {
			r.manifest = info.ModTime()
		}
	}
	if err == nil {
		if m.log == r.noted.log && m.last == r.noted.last && m.closed == r.noted.closed && slices.Equal(m.tables, r.noted.tables) {
			return
		}
		err = writeMemo(r.folder, &m)
	}
	if err != nil {
		r.log.Debug("what the store has is not noted", "error", err)
		return
	}
	r.noted = m
}

// tick takes what there is room for, and stops or starts compactions.
func (r *room) tick() {
	if defect == defectUnguarded {
		return
	}
	switch tables, enough, err := r.look(); {
	case err != nil:
		r.log.Warn("free space is not known", "error", err)
	case filesShort():
		r.log.Warn("few files are left to open: nothing is compacted")
		r.compaction.stop()
	case enough && (!r.isLow() || tables >= stallTables):
		r.compaction.start()
	case !enough || tables < stallTables/2:
		r.compaction.stop()
	}
}

func (r *room) isLow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.low
}

// look measures and takes. It gives how many tables level 0 has, and whether
// there is room for compactions.
func (r *room) look() (tables int, enough bool, err error) {
	levels := r.compaction.db.Levels()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushed()
	for _, l := range levels {
		if l.Level == 0 {
			tables = l.NumTables
		}
	}
	need := needOf(levels, 1+len(r.older))
	r.need.Store(need)
	r.prepare()
	free, err := r.free(r.folder)
	if err != nil {
		return 0, false, err
	}
	left, whole := r.reserve.left(), r.reserveSize()
	if left < whole && !r.without && free >= whole-left+2*flushRoom {
		if err := r.unsupported(r.reserve.fill(whole)); err != nil {
			r.log.Warn("the reserve of space is not filled", "error", err)
		}
	}
	if left < r.reserved {
		r.log.Warn("flushes found a full disk and live from the reserve", "left", size(left))
	}
	r.reserved = r.reserve.left()
	told, err := r.told(r.folder)
	if err != nil {
		return 0, false, err
	}
	switch {
	case free < need || told < r.minFree:
		r.low = true
	case r.low && free >= need+32<<20:
		r.low, r.quiet, r.warned = false, false, false
		r.log.Info("there is free space again", "free", size(free))
	}
	return tables, free >= need, nil
}

// needOf is the free space that compactions, and flushes of some logs, may take
// together.
func needOf(levels []badgerdb.LevelInfo, logs int) int64 {
	need, total, base := int64(leastNeed), int64(0), false
	for _, l := range levels {
		total += l.Size
		switch {
		case l.Level == 0:
			need += l.Size
		case l.Size > 0 && !base:
			base = true
			need += min(l.Size, 2*l.TargetSize)
		}
	}
	// A table of a deeper level and the ten or so below that it overlaps.
	return need + min(total/8, 384<<20) + int64(logs)*flushRoom
}

// short says whether there is too little free space for events.
func (r *room) short() (bool, error) {
	told, err := r.told(r.folder)
	if err != nil || told < r.minFree {
		return err == nil, err
	}
	free, err := r.free(r.folder)
	return err == nil && free < r.need.Load(), err
}

// spare says whether n bytes can be written beside all else.
func (r *room) spare(n int64) bool {
	free, err := r.free(r.folder)
	return err == nil && !r.isLow() && free >= n+max(r.need.Load(), r.minFree)
}

// number is that of the log in use.
func (r *room) number() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// flushing says whether a log is becoming a table.
func (r *room) flushing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushed()
	return len(r.older) > 0
}

// flushed forgets logs that Badger has made tables of.
func (r *room) flushed() {
	left := r.older[:0]
	for _, n := range r.older {
		if _, err := os.Lstat(logName(r.folder, n)); err == nil {
			left = append(left, n)
		}
	}
	r.older = left
}

// checkEvents refuses events while space is short. The first refusal waits until
// nothing is left under way that would need space: from then on another program
// may take all of it.
func (r *room) checkEvents() error {
	if defect == defectUnguarded {
		return nil
	}
	short, err := r.short()
	if err != nil {
		r.log.Warn("free space is not known", "error", err)
		return nil
	}
	if !short {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.low = true
	if !r.quiet {
		r.quiet = true
		r.settle(settleTime)
		r.warnShort()
	}
	return store.ErrFull
}

// warnShort says once that events are refused.
func (r *room) warnShort() {
	if r.warned {
		return
	}
	r.warned = true
	free, err := r.told(r.folder)
	if err != nil {
		r.log.Warn("free space is not known", "error", err)
	}
	r.log.Warn("there is too little free space: events are refused", "free", size(free), "min_free", size(r.minFree), "needs", size(r.need.Load()))
}

// settle waits for compactions and flushes under way, for that long.
func (r *room) settle(most time.Duration) {
	r.compaction.stop()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if r.flushed(); len(r.older) == 0 {
			return
		}
	}
	r.log.Warn("a flush has not ended", "logs", len(r.older))
}

// admit says whether rows can be committed, whatever they are.
func (r *room) admit(rows map[string]*row) error {
	if defect == defectUnguarded {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.prepare()
	if !r.ready {
		return r.full(err)
	}
	if r.used >= memTableSize { // Badger may begin the next log
		if !r.next {
			return r.full(err)
		}
		if err := r.roomToFlush(); err != nil {
			return r.full(err)
		}
	}
	r.last = 0
	for _, row := range rows {
		r.last += int64(len(row.key)+len(row.value)) + rowRoom
	}
	r.used += r.last
	r.refused = false
	return nil
}

func (r *room) full(err error) error {
	if !r.refused {
		r.refused = true
		r.log.Warn("no room for the store's next write: deliveries pause when what their lanes keep in memory is full", "error", err)
	}
	return fmt.Errorf("%w: %w", store.ErrFull, err)
}

// roomToFlush sees to it that the log in use can become a table.
func (r *room) roomToFlush() error {
	r.flushed()
	free, err := r.free(r.folder)
	if err != nil {
		return err
	}
	if len(r.older) > 0 && r.low {
		return errors.New("a flush is under way")
	}
	need := int64(1+len(r.older)) * flushRoom
	if r.reserve.armed {
		free += r.reserve.left()
	}
	if free < need {
		given, err := r.reserve.giveBack()
		if err != nil {
			return err
		}
		if given {
			r.log.Warn("the reserve is given back for a flush")
			if free, err = r.free(r.folder); err != nil {
				return err
			}
		}
	}
	if free < need {
		return fmt.Errorf("a flush needs up to %d MiB, and %d are free", mib(need), free>>20)
	}
	return nil
}

// committed sees whether Badger has begun the next log.
func (r *room) committed() {
	if defect == defectUnguarded {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used-r.last < memTableSize {
		return
	}
	if info, err := os.Lstat(logName(r.folder, r.current+1)); err != nil || info.Size() == 0 {
		return
	}
	r.older = append(r.older, r.current)
	r.current++
	r.ready, r.next = r.next, false
	r.used = r.last
	r.prepare()
}

// prepare allocates the log in use and the one after it.
func (r *room) prepare() error {
	if r.ready && r.next {
		return nil
	}
	if r.flushed(); len(r.older) > 0 && !r.without { // they come first
		free, err := r.free(r.folder)
		if err != nil {
			return err
		}
		if free < logRoom+int64(len(r.older))*flushRoom {
			return errors.New("a flush may need the space that is left")
		}
	}
	if !r.ready {
		if err := r.take(logName(r.folder, r.current), os.O_RDWR, logRoom); err != nil {
			return err
		}
		r.ready = true
	}
	// Badger takes a file without a byte for a new one.
	if err := r.take(logName(r.folder, r.current+1), os.O_RDWR|os.O_CREATE, logRoom); err != nil {
		return err
	}
	r.next = true
	return nil
}

// reserveSize follows min_free, so that a small disk has a small reserve.
func (r *room) reserveSize() int64 { return min(max(r.minFree/4, leastReserve), mostReserve) }

// take allocates n bytes of a file.
func (r *room) take(path string, flag int, n int64) error {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return fmt.Errorf("allocating space for the store: %w", err)
	}
	err = r.unsupported(allocate(f, n, false))
	if err != nil && flag&os.O_CREATE != 0 {
		// A part of it is of no use.
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	return errors.Join(err, f.Close())
}

// unsupported says once that nothing can be allocated beforehand.
func (r *room) unsupported(err error) error {
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if !r.without {
		r.without = true
		r.log.Warn("this file system allocates nothing beforehand: a full disk may end the process, keep min_free large", "error", err)
	}
	return nil
}

// close ends keep, makes room for the last flush and says whether there is any.
func (r *room) close() bool {
	if r.started {
		close(r.stop)
		<-r.done
		r.note(true) // before the last flush takes the logs away
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.compaction.stop()
	if r.next {
		if err := os.Remove(logName(r.folder, r.current+1)); err != nil {
			r.log.Warn("an empty log is left", "error", err)
		}
		r.next = false
	}
	r.flushed()
	err := r.roomToFlush()
	if err != nil {
		r.log.Warn("the store is closed without its last flush; its log is read at the next start", "error", err)
	}
	return err == nil
}
