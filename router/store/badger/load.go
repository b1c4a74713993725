package badger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

var noTime time.Time

func timeOf(nano int64) time.Time { return time.Unix(0, nano).UTC() }

// load rebuilds what memory keeps from the rows, and writes none.
func (s *Store) load(ctx context.Context) error {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	if err := s.checkVersion(txn); err != nil {
		return err
	}
	s.oldest = 1
	v, err := get(txn, []byte{kindOldest})
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	default:
		var received uint64
		if err := codec.DecodeNumbers(v, &s.oldest, &received); err != nil {
			return malformed([]byte{kindOldest}, err)
		}
		s.received = int64(received)
	}
	if err := s.loadBuckets(txn); err != nil {
		return err
	}
	if err := s.loadLog(txn); err != nil {
		return err
	}
	if err := s.loadLanes(ctx, txn); err != nil {
		return err
	}
	return s.loadPostings(ctx, txn)
}

// version is that of the layout that the rows have, 0 where there are none yet.
func (s *Store) version(txn *badgerdb.Txn) (uint64, error) {
	key := []byte{kindVersion}
	v, err := get(txn, key)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var version uint64
	if err := codec.DecodeNumbers(v, &version); err != nil {
		return 0, malformed(key, err)
	}
	return version, nil
}

// checkVersion says whether load can read the rows. It writes nothing: a checkup
// loads, too.
func (s *Store) checkVersion(txn *badgerdb.Txn) error {
	switch version, err := s.version(txn); {
	case err != nil:
		return err
	case version > layoutVersion:
		return fmt.Errorf("it has layout version %d, and this program knows %d", version, layoutVersion)
	}
	return nil
}

// upgrade gives what was loaded the version of today. The rows of layout 1 are
// those of layout 2, which only added groups.
func (s *Store) upgrade() error {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	version, err := s.version(txn)
	if err != nil || version == layoutVersion {
		return err
	}
	key := []byte{kindVersion}
	return s.write(map[string]*row{"": {key: key, value: seal(key, 0, codec.AppendNumbers(nil, layoutVersion))}})
}

func (s *Store) loadBuckets(txn *badgerdb.Txn) error {
	it := txn.NewIterator(badgerdb.IteratorOptions{Prefix: []byte{kindBucket}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key, v, err := itemValue(txn, it)
		if err != nil {
			return err
		}
		if len(key) != 5 {
			return damaged(key, "its key is too short")
		}
		k := bucket{number: binary.BigEndian.Uint32(key[1:])}
		if err := codec.DecodeNumbers(v, &k.first); err != nil {
			return malformed(key, err)
		}
		s.buckets = append(s.buckets, k)
	}
	return nil
}

// loadLog finds the ends of the log and of what is routed.
func (s *Store) loadLog(txn *badgerdb.Txn) error {
	s.last, s.progress = s.oldest-1, s.oldest-1
	for i := len(s.buckets) - 1; i >= 0 && s.last < s.oldest; i-- {
		p, ok := lastPosition(txn, bucketed(s.buckets[i].number, rowEvent, 0))
		if !ok {
			continue
		}
		s.last = p
		key := eventKey(s.buckets[i].number, p)
		v, err := get(txn, key)
		if err != nil {
			return err
		}
		e, err := codec.Event(p, v)
		if err != nil {
			return malformed(key, err)
		}
		s.received = e.Received.UnixNano()
	}
	for i := len(s.buckets) - 1; i >= 0 && s.progress < s.oldest; i-- {
		for _, kind := range []byte{rowGroup, rowRouting} {
			if p, ok := lastPosition(txn, bucketed(s.buckets[i].number, kind, 0)); ok {
				s.progress = max(s.progress, p)
			}
		}
	}
	return nil
}

func lastPosition(txn *badgerdb.Txn, prefix []byte) (uint64, bool) {
	it := txn.NewIterator(badgerdb.IteratorOptions{Reverse: true})
	defer it.Close()
	it.Seek(after(prefix))
	for ; it.Valid(); it.Next() {
		key := it.Item().Key()
		if string(key) >= string(after(prefix)) {
			continue
		}
		if len(key) < eventKeyLen || string(key[:bucketedLen]) != string(prefix) {
			return 0, false
		}
		return binary.BigEndian.Uint64(key[bucketedLen:]), true // parts too are its
	}
	return 0, false
}

func (s *Store) loadLanes(ctx context.Context, txn *badgerdb.Txn) error {
	it := txn.NewIterator(badgerdb.IteratorOptions{Prefix: []byte{kindLane}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		key, v, err := itemValue(txn, it)
		if err != nil {
			return err
		}
		name, rest, ok := readName(key[1:])
		if !ok || len(rest) > 0 {
			continue // a part
		}
		c, err := codec.DecodeLane(v)
		if err != nil {
			return malformed(key, err)
		}
		s.lanes[name] = &lane{Lane: *c, head: &retryHead{}}
	}
	return nil
}

// readName reads a name at the front of what is left of a key.
func readName(b []byte) (name string, rest []byte, ok bool) {
	if len(b) < 2 {
		return "", nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return "", nil, false
	}
	return string(b[2 : 2+n]), b[2+n:], true
}

// loadPostings reads the last chunk of each lane that has one, one seek a lane.
func (s *Store) loadPostings(ctx context.Context, txn *badgerdb.Txn) error {
	it := txn.NewIterator(badgerdb.IteratorOptions{Reverse: true})
	defer it.Close()
	for it.Seek([]byte{kindPostings + 1}); it.Valid(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		key, v, err := itemValue(txn, it)
		if err != nil {
			return err
		}
		if key[0] > kindPostings {
			it.Next()
			continue
		}
		if key[0] < kindPostings {
			return nil
		}
		name, rest, ok := readName(key[1:])
		if !ok || len(rest) < refLen {
			return damaged(key, "its key is too short")
		}
		if len(rest) > refLen { // a part
			it.Next()
			continue
		}
		chunk, err := codec.DecodePostings(v)
		if err != nil {
			return malformed(key, err)
		}
		l := s.lanes[name]
		if l == nil {
			l = &lane{head: &retryHead{}}
			s.lanes[name] = l
		}
		l.Posted = max(l.Posted, chunk.Posted)
		l.newest = chunk.Refs[len(chunk.Refs)-1]
		it.Seek(lanePrefix(kindPostings, name))
	}
	return nil
}
