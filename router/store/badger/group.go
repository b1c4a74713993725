package badger

import (
	"errors"
	"sync/atomic"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

const (
	// groupSize bounds a row of routings, and so what a damaged one takes along.
	groupSize = 16 << 10
	// groupLargest is the largest routing that shares a row with others.
	groupLargest = 4 << 10
)

// group is the routings of one row: those of all positions up to last.
type group struct {
	bucket uint32
	last   uint64
	rows   [][]byte
}

// find gives the routing of a position, nil where the group does not have it.
func (g *group) find(bucket uint32, position uint64) []byte {
	if g == nil || g.bucket != bucket || position > g.last || g.last-position >= uint64(len(g.rows)) {
		return nil
	}
	return g.rows[len(g.rows)-1-int(g.last-position)]
}

// groups are some that were read last. Its methods may be called from any goroutine.
type groups struct {
	list [8]atomic.Pointer[group]
	kept atomic.Uint32
}

func (r *groups) find(bucket uint32, position uint64) []byte {
	for i := range r.list {
		if b := r.list[i].Load().find(bucket, position); b != nil {
			return b
		}
	}
	return nil
}

func (r *groups) keep(g *group) {
	r.list[r.kept.Add(1)%uint32(len(r.list))].Store(g)
}

func (r *groups) forget() {
	for i := range r.list {
		r.list[i].Store(nil)
	}
}

// routingRow reads the routing of a position as it was encoded. A row of its own
// comes first: it has what was added later.
func (s *Store) routingRow(txn *badgerdb.Txn, bucket uint32, position uint64) ([]byte, error) {
	b, err := get(txn, routingKey(bucket, position))
	if !errors.Is(err, store.ErrNotFound) {
		return b, err
	}
	return s.groupedRow(txn, bucket, position)
}

// groupedRow reads a routing that has no row of its own.
func (s *Store) groupedRow(txn *badgerdb.Txn, bucket uint32, position uint64) ([]byte, error) {
	// Groups never change, and who reads one position reads the next one soon; who
	// looks at a list looks at it again.
	if b := s.groups.find(bucket, position); b != nil {
		return b, nil
	}
	g, err := readGroup(txn, bucket, position)
	if err != nil {
		return nil, err
	}
	b := g.find(bucket, position)
	if b == nil {
		return nil, store.ErrNotFound
	}
	s.groups.keep(g)
	return b, nil
}

// readGroup reads the first group that ends at or after a position.
func readGroup(txn *badgerdb.Txn, bucket uint32, position uint64) (*group, error) {
	it := txn.NewIterator(badgerdb.IteratorOptions{Prefix: bucketed(bucket, rowGroup, 0)})
	defer it.Close()
	for it.Seek(groupKey(bucket, position)); it.Valid(); it.Next() {
		if len(it.Item().Key()) != eventKeyLen {
			continue // a part
		}
		key, v, err := itemValue(txn, it)
		if err != nil {
			return nil, err
		}
		rows, err := codec.Group(v)
		if err != nil {
			return nil, malformed(key, err)
		}
		return &group{bucket, readPosition(key[bucketedLen:]), rows}, nil
	}
	return nil, nil
}

// addToGroup puts a routing that is the next one into the batch's groups.
func (b *batch) addToGroup(encoded []byte) {
	if len(b.routed)%64 == 0 {
		b.count++ // about as many rows as finish will write
	}
	b.size += int64(len(encoded)) + 4
	b.routed = append(b.routed, encoded)
}

// endGroups writes the routings of the batch that share rows.
func (b *batch) endGroups() {
	first := b.routedFrom
	for i := 0; i < len(b.routed); {
		bucket, size, end := b.bucketOf(first+uint64(i)), 0, i
		for end < len(b.routed) && size < groupSize && b.routed[end] != nil && b.bucketOf(first+uint64(end)) == bucket {
			size += len(b.routed[end])
			end++
		}
		if end == i { // it has a row of its own
			i++
			continue
		}
		b.put(groupKey(bucket, first+uint64(end)-1), codec.AppendGroup(make([]byte, 0, size+4*(end-i)+8), b.routed[i:end]))
		i = end
	}
}
