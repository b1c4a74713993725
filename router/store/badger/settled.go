package badger

import (
	"math"
	"slices"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
)

// settledOf lists a lane's history. Lines of deliveries that were retried since are
// listed too; their state tells.
func (v *view) settledOf(name string) fetchRefs {
	s := &settledScan{v: v, name: name, next: len(v.buckets)}
	return s.fetch
}

// settledScan goes down a lane's history once, however often it is asked for more.
// Chunks have the key of their last line. Within a stretch of positions they are in no
// other order: the lines of one may lie between those of another. So a line is one of
// the newest when no chunk that is left has a key at or after it.
type settledScan struct {
	v    *view
	name string
	it   *badgerdb.Iterator
	// next is the bucket to read when prefix has no more, counted from 1; 0 is aside,
	// -1 none.
	next   int
	prefix []byte // of the bucket that is read, nil for none
	aside  bool
	// found are lines that were read, newest first.
	found []store.Ref
}

func (s *settledScan) fetch(below store.Ref, n int) ([]store.Ref, error) {
	// Who asks for more has seen the rest.
	from, _ := slices.BinarySearchFunc(s.found, below, func(r, below store.Ref) int {
		if !r.Less(below) {
			return -1
		}
		return 1
	})
	s.found = s.found[from:]
	for {
		key, more := s.ahead(below)
		if !more || len(s.found) >= n && !s.found[n-1].Less(key) {
			return slices.Clone(s.found[:min(n, len(s.found))]), nil
		}
		if err := s.read(below); err != nil {
			return nil, err
		}
	}
}

// ahead gives the key of the next chunk, after which nothing is in those that are left.
func (s *settledScan) ahead(below store.Ref) (key store.Ref, more bool) {
	for {
		for ; s.prefix != nil && s.it.ValidForPrefix(s.prefix); s.it.Next() {
			if key := s.it.Item().Key(); len(key) == len(s.prefix)+refLen {
				return readRef(key[len(s.prefix):]), true
			}
		}
		if s.next < 0 {
			s.prefix = nil
			return key, false
		}
		number := aside
		if s.aside = s.next == 0; !s.aside {
			number = s.v.buckets[s.next-1].number
		}
		if s.next--; !s.aside && s.v.buckets[s.next].first > below.Position {
			continue
		}
		if s.it == nil {
			s.it = s.v.downward()
		}
		s.prefix = historyPrefix(number, s.name)
		// The end of the stretch that below is in.
		end := store.Ref{Position: below.Position | (1<<historyBlock - 1), Index: math.MaxUint32}
		s.it.Seek(appendRef(slices.Clone(s.prefix), end))
	}
}

// read takes the lines of the chunk that the iterator is at.
func (s *settledScan) read(below store.Ref) error {
	chunk, err := s.v.historyChunk(s.it)
	if err != nil {
		return err
	}
	s.it.Next()
	lines := make([]store.Ref, 0, chunk.Len())
	for i := chunk.Len() - 1; i >= 0; i-- {
		r := chunk.Ref(i)
		// What retention has taken is aside; what was copied there early is still found
		// in its bucket.
		if s.aside == (r.Position < s.v.oldest) && r.Less(below) {
			lines = append(lines, r)
		}
	}
	switch n := len(s.found); {
	case n == 0:
		s.found = lines
	case len(lines) == 0:
	case lines[0].Less(s.found[n-1]):
		s.found = append(s.found, lines...)
	default:
		s.found = newest(make([]store.Ref, 0, n+len(lines)), s.found, lines, n+len(lines))
	}
	return nil
}
