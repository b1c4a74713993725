package badger

import (
	"sync"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store/codec"
)

const (
	// memoChunks is how many chunks of history a view remembers: neighbours in a list
	// are in the same ones, a chunk for each lane.
	memoChunks = 16
	// keptBytes bounds those that the store does, for who looks at a list again.
	keptBytes = 4 << 20
)

// chunks are some of history that were read last. Its methods may be called from any
// goroutine.
type chunks struct {
	mu   sync.Mutex
	list map[string]keptChunk
	size int
}

type keptChunk struct {
	// version is that of the row: one may be written again.
	version uint64
	chunk   *codec.History
}

func (c *chunks) find(key []byte, version uint64) *codec.History {
	c.mu.Lock()
	defer c.mu.Unlock()
	if kept := c.list[string(key)]; kept.version == version {
		return kept.chunk
	}
	return nil
}

func (c *chunks) keep(key string, version uint64, chunk *codec.History) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size -= c.list[key].chunk.Size()
	if c.size += chunk.Size(); c.list == nil || c.size > keptBytes {
		c.list, c.size = map[string]keptChunk{}, chunk.Size()
	}
	c.list[key] = keptChunk{version, chunk}
}

// historyChunk reads the chunk that an iterator is at.
func (v *view) historyChunk(it *badgerdb.Iterator) (*codec.History, error) {
	key := it.Item().Key()
	if chunk, ok := v.chunks[string(key)]; ok {
		return chunk, nil
	}
	chunk := v.s.chunks.find(key, it.Item().Version())
	if chunk == nil {
		key, b, err := itemValue(v.txn, it)
		if err != nil {
			return nil, err
		}
		if chunk, err = codec.ReadHistory(b); err != nil {
			return nil, malformed(key, err)
		}
		v.s.chunks.keep(string(key), it.Item().Version(), chunk)
	}
	if v.chunks == nil || len(v.chunks) == memoChunks {
		v.chunks = map[string]*codec.History{}
	}
	v.chunks[string(key)] = chunk
	return chunk, nil
}
