package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/proto"
)

// tableFile reads one of Badger's tables without Badger, whose goroutines panic,
// or take the rest of a table for its end, where a table is not as it should be.
type tableFile struct {
	f           *os.File
	path        string
	index       *fb.TableIndex
	blocks      int64 // their end
	compression options.CompressionType
}

// openTable reads a table's end and index, and holds them against their checksum.
func openTable(path string, c options.CompressionType) (*tableFile, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damage(path, "the table is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("a table of the store: %w", err)
	}
	t := &tableFile{f: f, path: path, compression: c}
	if err := t.readIndex(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

func (t *tableFile) close() error { return t.f.Close() }

func (t *tableFile) readIndex() (err error) {
	info, err := t.f.Stat()
	if err != nil {
		return fmt.Errorf("a table of the store: %w", err)
	}
	size := info.Size()
	// From the end: length of the checksum, checksum, length of the index, index.
	before := func(n int64) ([]byte, error) {
		if n > size {
			return nil, damage(t.path, "it is cut off: what it says of itself does not fit in its %d bytes", info.Size())
		}
		size -= n
		b := make([]byte, n)
		if _, err := t.f.ReadAt(b, size); err != nil {
			return nil, fmt.Errorf("reading %s: %w", t.path, err)
		}
		return b, nil
	}
	behindLength := func() ([]byte, error) {
		b, err := before(4)
		if err != nil {
			return nil, err
		}
		return before(int64(binary.BigEndian.Uint32(b)))
	}
	sum, err := behindLength()
	if err != nil {
		return err
	}
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil {
		return damage(t.path, "its end can't be read: %v", err)
	}
	index, err := behindLength()
	if err != nil {
		return err
	}
	if len(index) == 0 || y.VerifyChecksum(index, &want) != nil {
		return damage(t.path, "the checksum of its index, at offset %d, does not match", size)
	}
	t.blocks, t.index = size, fb.GetRootAsTableIndex(index, 0)
	return nil
}

// checkBlock holds a block against its checksum. A block is data, offsets, their
// number, a checksum over those, and its length. It gives how much was read.
func (t *tableFile) checkBlock(n int) (size int64, err error) {
	var at fb.BlockOffset
	if !t.index.Offsets(&at, n) || int64(at.Offset())+int64(at.Len()) > t.blocks {
		return 0, damage(t.path, "its index has no block %d", n)
	}
	b := make([]byte, at.Len())
	if _, err := t.f.ReadAt(b, int64(at.Offset())); err != nil {
		return 0, fmt.Errorf("reading %s: %w", t.path, err)
	}
	bad := func(why string) error { return damage(t.path, "the block at offset %d %s", at.Offset(), why) }
	switch t.compression {
	case options.None:
	case options.Snappy:
		if b, err = snappy.Decode(nil, b); err != nil {
			return 0, bad("can't be unpacked")
		}
	default:
		return 0, bad("is packed in a way that the store does not use")
	}
	end := len(b) - 4
	if end < 0 {
		return 0, bad("is cut off")
	}
	n = int(binary.BigEndian.Uint32(b[end:]))
	if n > end {
		return 0, bad("is cut off")
	}
	var want pb.Checksum
	if proto.Unmarshal(b[end-n:end], &want) != nil || y.VerifyChecksum(b[:end-n], &want) != nil {
		return 0, bad("does not match its checksum")
	}
	return int64(at.Len()), nil
}
