package badger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"
)

// ErrDamaged says that files of the store are not as they were written, in a way
// that no crash explains. The error's text names the file and what to do.
var ErrDamaged = errors.New("the store is damaged")

// damage gives an error that names a file.
func damage(path, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s; keep a copy of the folder, and put the file back from a backup", ErrDamaged, path, fmt.Sprintf(format, args...))
}

// inspect looks at what Badger would trust, before Badger does. It reads the
// logs, the manifest and the tables' indexes, not the tables.
//
// A power cut leaves a torn end of the newest log. That is cut off, and told.
type inspection struct {
	folder string
	log    hclog.Logger
	// cut says that a torn end was found.
	cut bool
}

func (in *inspection) path(name string) string { return filepath.Join(in.folder, name) }

func (in *inspection) run(known *memo) error {
	logs, err := logNumbers(in.folder)
	if err != nil {
		return err
	}
	if err := in.logs(logs, known); err != nil {
		return err
	}
	return in.manifest(len(logs) > 0, known)
}

// logs checks that only the newest log that holds anything has a torn end.
func (in *inspection) logs(numbers []int, known *memo) error {
	var torn *logScan
	newest := 0
	for _, n := range numbers {
		scan, err := scanLog(logName(in.folder, n))
		if err != nil {
			return err
		}
		// The log after the one in use is a file without a byte, and a start removes it.
		if scan.size > 0 {
			newest = n
		}
		if torn != nil && (scan.transactions > 0 || scan.torn()) {
			return torn.damage("the next log goes on")
		}
		if scan.torn() {
			torn = scan
			if why := scan.damaged(); why != "" {
				return scan.damage(why)
			}
		}
	}
	if known != nil && known.log > newest && !known.closed {
		return damage(logName(in.folder, known.log), "the log is missing")
	}
	if torn != nil {
		in.cut = true
		in.log.Warn("the end of the store's newest log is torn and is cut off: a write that was not answered, or damage",
			"file", torn.path, "offset", torn.valid, "bytes", torn.end-torn.valid)
	}
	return nil
}

// logScan is what one pass over a log found.
type logScan struct {
	path string
	// valid is the end of the last whole transaction, end that of what is not zero
	// behind it, or the file's when it ends before.
	valid, end   int64
	size         int64 // of the file
	transactions int
	last         uint64 // version of the last whole transaction
	open         uint64 // version of the one that is not whole, if its beginning is
	// behind are the versions of entries behind the first that can't be read.
	behind map[uint64]bool
}

// Of Badger's entries, as in structs.go and memtable.go.
const (
	logHeader     = 20
	mostHeader    = 22
	bitTxn        = 1 << 6
	bitFinTxn     = 1 << 7
	mostKey       = 1 << 16
	mostValue     = 2 << 20
	versionLength = 8
)

func (l *logScan) torn() bool { return l.end > l.valid }

// damaged says why a torn end is none that a crash leaves. One transaction is
// flushed before the next is written, so behind a hole there can only be more of
// the transaction that has the hole.
func (l *logScan) damaged() string {
	of := l.open
	if of == 0 && l.last != 0 {
		of = l.last + 1
	}
	for version := range l.behind {
		if len(l.behind) > 1 || of != 0 && version != of {
			return "whole entries of later transactions follow"
		}
	}
	return ""
}

func (l *logScan) damage(why string) error {
	return fmt.Errorf("%w: %s: it can't be read from offset %d on, and %s, so what was stored there is lost; put the file back from a backup, or keep a copy of the folder and go on without what is behind that offset: truncate -s %d %s && rm -f %s",
		ErrDamaged, l.path, l.valid, why, l.valid, l.path, filepath.Join(filepath.Dir(l.path), memoName))
}

func scanLog(path string) (*logScan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the store's log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("the store's log: %w", err)
	}
	l := &logScan{path: path, valid: logHeader, end: logHeader, size: info.Size()}
	r := bufio.NewReaderSize(f, 1<<20)
	var head [logHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return l, nil // cut in its header: it holds nothing
		}
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if binary.BigEndian.Uint64(head[:]) != 0 {
		return nil, damage(path, "its header is not one of the store's")
	}
	at := int64(logHeader)
	for {
		n, version, fin := nextEntry(r)
		if n == 0 {
			break
		}
		if l.open != 0 && version != l.open {
			break
		}
		at += n
		l.open = version
		if fin {
			l.valid, l.end, l.last, l.open = at, at, version, 0
			l.transactions++
		}
	}
	if at > l.valid {
		l.end = at
	}
	return l, l.lookBehind(f, at, info.Size())
}

// nextEntry reads an entry, and 0 where there is none that is whole.
func nextEntry(r *bufio.Reader) (length int64, version uint64, fin bool) {
	b, _ := r.Peek(mostHeader)
	head, key, value, ok := entryHeader(b)
	if !ok {
		return 0, 0, false
	}
	n := head + key + value + crc32.Size
	// The reader holds 1 MiB, and a value no more than 512 KiB.
	b, _ = r.Peek(n)
	if len(b) < n {
		return 0, 0, false
	}
	version, fin, ok = entry(b, head, key, value)
	if !ok {
		return 0, 0, false
	}
	r.Discard(n)
	return int64(n), version, fin
}

// entryHeader reads the lengths in an entry's header, when they are possible.
func entryHeader(b []byte) (head, key, value int, ok bool) {
	if len(b) < 5 || b[0]&(bitTxn|bitFinTxn) == 0 {
		return 0, 0, 0, false
	}
	k, n1 := binary.Uvarint(b[2:])
	if n1 <= 0 || k <= versionLength || k > mostKey {
		return 0, 0, 0, false
	}
	v, n2 := binary.Uvarint(b[2+n1:])
	if n2 <= 0 || v > mostValue {
		return 0, 0, 0, false
	}
	_, n3 := binary.Uvarint(b[2+n1+n2:])
	if n3 <= 0 {
		return 0, 0, 0, false
	}
	return 2 + n1 + n2 + n3, int(k), int(v), true
}

// entry checks an entry's checksum, and gives its transaction.
func entry(b []byte, head, key, value int) (version uint64, fin, ok bool) {
	end := head + key + value
	if crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return 0, false, false
	}
	if fin = b[0]&bitFinTxn != 0; fin {
		v, err := strconv.ParseUint(string(b[head+key:end]), 10, 64)
		return v, true, err == nil
	}
	return math.MaxUint64 - binary.BigEndian.Uint64(b[head+key-versionLength:]), false, true
}

// lookBehind looks for whole entries behind the first that is none.
func (l *logScan) lookBehind(f *os.File, from, size int64) error {
	const window = 4 << 20
	l.behind = map[uint64]bool{}
	b := make([]byte, window)
	for zeros := int64(0); from < size; {
		n, err := f.ReadAt(b, from)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading %s: %w", l.path, err)
		}
		if n == 0 {
			break
		}
		// An entry that begins in the second half may go on behind the window.
		step := n
		if from+int64(n) < size {
			step = n / 2
		}
		for i := 0; i < step; i++ {
			if b[i] == 0 {
				continue
			}
			l.end, zeros = max(l.end, from+int64(i)+1), 0
			head, key, value, ok := entryHeader(b[i:n])
			// A version below 2^40 keeps most of what is no entry away.
			if !ok || i+head+key+value+crc32.Size > n || b[i+head+key-versionLength] != 0xff || b[i+head+key-versionLength+1] != 0xff {
				continue
			}
			if version, _, ok := entry(b[i:n], head, key, value); ok {
				l.behind[version] = true
				i += head + key + value + crc32.Size - 1
				l.end = max(l.end, from+int64(i)+1)
			}
		}
		from += int64(step)
		if zeros += int64(step); zeros > 2*window {
			break // what was never written
		}
	}
	return nil
}

// manifest checks what the manifest says against the tables that are there.
func (in *inspection) manifest(logs bool, known *memo) error {
	path := in.path(badgerdb.ManifestFilename)
	tables, err := filepath.Glob(in.path("*.sst"))
	if err != nil {
		return fmt.Errorf("the tables of the store: %w", err)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if len(tables) > 0 || logs || known != nil && len(known.tables) > 0 {
			return damage(path, "it is missing, and without it all tables would be taken for leftovers")
		}
		return nil // a new store
	}
	if err != nil {
		return fmt.Errorf("the store's manifest: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("the store's manifest: %w", err)
	}
	m, offset, err := badgerdb.ReplayManifestFile(f, 0, badgerdb.DefaultOptions(in.folder).WithLogger(nil))
	if err != nil {
		return damage(path, "it can't be read: %v", err)
	}
	removed, err := removedTables(f, offset)
	if err != nil {
		return damage(path, "it can't be read: %v", err)
	}
	if offset < info.Size() {
		in.log.Warn("the end of the store's manifest is torn and is cut off", "file", path, "offset", offset, "bytes", info.Size()-offset)
	}
	if len(m.Tables) == 0 && len(removed) == 0 && len(tables) > 0 && !logs {
		return damage(path, "it names no table, and there are %d", len(tables))
	}
	if known != nil {
		for _, id := range known.tables {
			_, named := m.Tables[id]
			if named || removed[id] {
				continue
			}
			if _, err := os.Lstat(table.NewFilename(id, in.folder)); err == nil {
				return damage(path, "it does not name %s any more: its end, from offset %d on, is lost", filepath.Base(table.NewFilename(id, in.folder)), offset)
			}
		}
	}
	ids := slices.Sorted(maps.Keys(m.Tables))
	left := int64(checkedFirst)
	for _, id := range slices.Backward(ids) {
		f, err := openTable(table.NewFilename(id, in.folder), m.Tables[id].Compression)
		if err != nil {
			return err
		}
		// Opening a table makes Badger read its last block. It ends the process where
		// what a block says of its rows can't be.
		for n := f.index.OffsetsLength() - 1; n >= 0 && err == nil; n-- {
			var size int64
			size, err = f.checkBlock(n)
			if left -= size; left < 0 {
				break
			}
		}
		if err := errors.Join(err, f.close()); err != nil {
			return err
		}
	}
	return nil
}

// checkedFirst is how many bytes of tables, the newest ones, are read before Badger opens
// them; of the others it is only the last block, and scrub reads them later. Tests put
// less here.
var checkedFirst = 64 << 20

// removedTables gives the tables that the manifest removes.
func removedTables(f *os.File, end int64) (map[uint64]bool, error) {
	b := make([]byte, end)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	removed := map[uint64]bool{}
	for at := 8; at+8 <= len(b); {
		n := int(binary.BigEndian.Uint32(b[at:]))
		at += 8
		if n > len(b)-at {
			return nil, io.ErrUnexpectedEOF
		}
		var set pb.ManifestChangeSet
		if err := proto.Unmarshal(b[at:at+n], &set); err != nil {
			return nil, err
		}
		at += n
		for _, c := range set.GetChanges() {
			if c.GetOp() == pb.ManifestChange_DELETE {
				removed[c.GetId()] = true
			}
		}
	}
	return removed, nil
}
