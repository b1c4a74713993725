package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/hashicorp/go-hclog"
)

// memoName is of a file that says what the store had a moment ago, so that a
// store that comes up with less is noticed. It is written behind the commits, not
// flushed, and never says more than there was.
const memoName = "weir.store"

// memo is what it says.
type memo struct {
	// log is the number of the log in use, last the position of the newest event.
	log  int
	last uint64
	// closed: by Close, which leaves no log.
	closed bool
	tables []uint64
}

const memoMagic = "weir1"

func (m *memo) append(b []byte) []byte {
	start := len(b)
	b = append(b, memoMagic...)
	closed := byte(0)
	if m.closed {
		closed = 1
	}
	b = append(b, closed)
	b = binary.AppendUvarint(b, uint64(m.log))
	b = binary.AppendUvarint(b, m.last)
	b = binary.AppendUvarint(b, uint64(len(m.tables)))
	for _, id := range m.tables {
		b = binary.AppendUvarint(b, id)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// readMemo gives nil where there is none that can be used: a crash may have torn
// it, and it is a second opinion only.
func readMemo(folder string, log hclog.Logger) *memo {
	b, err := os.ReadFile(filepath.Join(folder, memoName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		log.Warn("what the store had before is not known", "error", err)
		return nil
	}
	m, ok := decodeMemo(b)
	if !ok {
		log.Warn("what the store had before is not known: " + memoName + " is torn")
		return nil
	}
	return m
}

func decodeMemo(b []byte) (*memo, bool) {
	if len(b) < len(memoMagic)+1+crc32.Size || !strings.HasPrefix(string(b), memoMagic) {
		return nil, false
	}
	end := len(b) - crc32.Size
	if crc32.Checksum(b[:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return nil, false
	}
	m := &memo{closed: b[len(memoMagic)] == 1}
	b = b[len(memoMagic)+1 : end]
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			b = nil
			return 0
		}
		b = b[n:]
		return v
	}
	m.log = int(next())
	m.last = next()
	n := next()
	if n > uint64(len(b)) {
		return nil, false
	}
	for range n {
		m.tables = append(m.tables, next())
	}
	return m, true
}

// writeMemo writes over the file: that needs no space.
func writeMemo(folder string, m *memo) error {
	f, err := os.OpenFile(filepath.Join(folder, memoName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("noting what the store has: %w", err)
	}
	b := m.append(nil)
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Truncate(int64(len(b)))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("noting what the store has: %w", err)
	}
	return nil
}

// namedTables reads the manifest as it is by now.
func namedTables(folder string) ([]uint64, error) {
	f, err := os.Open(filepath.Join(folder, badgerdb.ManifestFilename))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, _, err := badgerdb.ReplayManifestFile(f, 0, badgerdb.DefaultOptions(folder).WithLogger(nil))
	if err != nil {
		return nil, err
	}
	list := make([]uint64, 0, len(m.Tables))
	for id := range m.Tables {
		list = append(list, id)
	}
	slices.Sort(list)
	return list, nil
}

// closing notes that a start which came to nothing closes the database, which makes
// tables of the logs that m knows. What the store has is as it was.
func (m *memo) closing(folder string, log hclog.Logger) {
	if m == nil {
		return
	}
	closed := *m
	closed.closed = true
	if err := writeMemo(folder, &closed); err != nil {
		log.Warn("what the store has is not noted", "error", err)
	}
}
