package badger

import (
	"math"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
)

// sparse finds rows of deliveries, which few deliveries have, for who asks for
// neighbours, downward. It remembers between which two rows it last looked, so that
// what lies there and has none costs nothing.
type sparse struct {
	v  *view
	it *badgerdb.Iterator

	bucket uint32
	prefix []byte
	// The iterator is at the row of low, or behind all where none is; there is no row
	// above it up to and with high. known is false before the first look.
	known, none bool
	low, high   store.Ref
}

// stepMost is how many rows are passed one by one before a place is sought.
const stepMost = 8

// get gives the value of a row, nil where there is none.
func (s *sparse) get(bucket uint32, ref store.Ref) ([]byte, error) {
	if s.it == nil {
		s.it = s.v.downward()
	}
	if !s.known || s.bucket != bucket {
		s.bucket, s.prefix, s.known = bucket, bucketed(bucket, rowDelivery, 0), false
	}
	if !s.known || s.high.Less(ref) {
		s.seek(ref)
	}
	for range stepMost {
		if s.none || !ref.Less(s.low) {
			break
		}
		s.it.Next()
		s.look()
		s.high = ref // above it is the row that the iterator was at
	}
	if !s.none && ref.Less(s.low) {
		s.seek(ref)
	}
	if s.none || s.low != ref {
		return nil, nil
	}
	return itemPayload(s.v.txn, s.it)
}

func (s *sparse) seek(ref store.Ref) {
	s.it.Seek(deliveryKey(s.bucket, ref))
	s.known, s.high = true, ref
	s.look()
}

// look reads where the iterator is. The parts of a long value have longer keys.
func (s *sparse) look() {
	for ; s.it.ValidForPrefix(s.prefix); s.it.Next() {
		key := s.it.Item().Key()
		if len(key) == bucketedLen+refLen {
			s.none, s.low = false, readRef(key[bucketedLen:])
			return
		}
	}
	s.none, s.low = true, store.Ref{Position: math.MaxUint64}
}
