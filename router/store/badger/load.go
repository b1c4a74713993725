package badger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
	"github.com/weirhq/weir/router/store/segment"
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
	if err := s.loadLog(ctx, txn); err != nil {
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

// upgrade gives what was loaded the version of today. The rows of layouts 1 and 2 are
// those of layout 3: 2 added groups, and 3 has new events in segments.
func (s *Store) upgrade() error {
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	version, err := s.version(txn)
	if err != nil || version == layoutVersion {
		return err
	}
	key := []byte{kindVersion}
	return s.write(map[string]*row{
		"version":  {key: key, value: seal(key, 0, codec.AppendNumbers(nil, layoutVersion))},
		"segments": segmentsRow(s.begin, s.pending.from),
	})
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

// loadLog finds the ends of the log and of what is routed, and opens the segments.
func (s *Store) loadLog(ctx context.Context, txn *badgerdb.Txn) error {
	if err := s.loadEventRows(txn); err != nil {
		return err
	}
	indexed, err := s.loadSegmentsRow(txn)
	if err != nil {
		return err
	}
	spare, err := loadSpare(txn)
	if err == nil {
		err = s.openSegments(indexed, spare)
	}
	if err == nil && s.checkup == nil {
		err = s.keepSpare()
	}
	if err == nil && s.checkup == nil {
		err = s.loadPending(ctx, indexed)
	}
	if err != nil {
		return err
	}
	s.progress = s.oldest - 1
	for i := len(s.buckets) - 1; i >= 0 && s.progress < s.oldest; i-- {
		for _, kind := range []byte{rowGroup, rowRouting} {
			if p, ok := lastPosition(txn, bucketed(s.buckets[i].number, kind, 0)); ok {
				s.progress = max(s.progress, p)
			}
		}
	}
	return nil
}

// loadEventRows finds the newest event that is in a row, as a store of layout 1 or 2
// has them.
func (s *Store) loadEventRows(txn *badgerdb.Txn) error {
	s.last = s.oldest - 1
	for i := len(s.buckets) - 1; i >= 0 && s.last < s.oldest; i-- {
		p, ok := lastPosition(txn, bucketed(s.buckets[i].number, rowEvent, 0))
		if !ok {
			continue
		}
		s.last = p
		b, err := get(txn, eventKey(s.buckets[i].number, p))
		if err != nil {
			return err
		}
		e, err := decodeEvent(p, b)
		if err != nil {
			return err
		}
		s.received = e.Received.UnixNano()
	}
	return nil
}

// loadSegmentsRow finds out where segments begin, and up to which event there are rows.
func (s *Store) loadSegmentsRow(txn *badgerdb.Txn) (indexed uint64, err error) {
	key := []byte{kindSegments}
	v, err := get(txn, key)
	if errors.Is(err, store.ErrNotFound) {
		s.begin = s.last + 1
		return s.last, nil
	}
	if err != nil {
		return 0, err
	}
	if err := codec.DecodeNumbers(v, &s.begin, &indexed); err != nil {
		return 0, malformed(key, err)
	}
	return indexed, nil
}

// openSegments opens them and holds them against what the rows say.
func (s *Store) openSegments(indexed uint64, spare segment.Spare) (err error) {
	keep := keepFrom(s.buckets, s.oldest, s.begin)
	s.events, err = segment.Open(segment.Options{
		Folder: s.opts.Path, Keep: keep, Spare: spare, ReadOnly: s.checkup != nil, NoSync: defect == defectNoSync, NoRoom: defect == defectUnguarded,
	})
	if err != nil {
		return damagedSegment(err)
	}
	last, needed := s.events.Last(), max(s.oldest, s.begin)
	// A group whose rows are not there was never answered.
	if first, joint := s.events.LastGroup(); joint && indexed < last && (s.known == nil || s.known.last < last) {
		if err := s.events.Cut(first); err != nil {
			return err
		}
		last = s.events.Last()
	}
	torn := s.events.Torn()
	switch {
	case s.checkup != nil && torn != nil && torn.Mended > 0:
		// A start mends it.
	case s.checkup != nil && s.checkup.Logs > 0:
		// What the rows say is older than the segments.
	case last == 0 && indexed >= needed && s.events.Newest() == "":
		return damage(filepath.Join(s.opts.Path, segment.Name(keep)), "the segment is missing, and events up to %d were in it or behind it", indexed)
	case last != 0 && s.events.First() > needed:
		return damage(filepath.Join(s.opts.Path, segment.Name(keep)), "the segment is missing")
	case max(last, needed-1) < indexed:
		return damage(s.events.Newest(), "it ends with event %d, and the store had %d", max(last, needed-1), indexed)
	}
	if last == 0 {
		return nil
	}
	list, err := s.events.Read(last, 1)
	if err != nil || len(list) == 0 {
		return damagedSegment(err)
	}
	e, err := decodeEvent(list[0].Position, list[0].Data)
	if err != nil {
		return err
	}
	s.last, s.received = last, e.Received.UnixNano()
	return nil
}

// keepSpare begins with copies of the newest events.
func (s *Store) keepSpare() error {
	last := s.events.Last()
	if last == 0 {
		return nil
	}
	const most = 16
	from := max(s.events.First(), last-min(last, most)+1)
	list, err := s.events.Read(from, most)
	if errors.Is(err, segment.ErrDamaged) {
		return nil // whoever reads that event says so
	}
	if err != nil {
		return err
	}
	for i := range list {
		s.spare = nextSpare(s.spare, list[i].Position, [][]byte{list[i].Note}, [][]byte{list[i].Data})
	}
	return nil
}

func damagedSegment(err error) error {
	if d := (*segment.Damage)(nil); errors.As(err, &d) {
		if d.Offset < 0 {
			return damage(d.File, "%s", d.Why)
		}
		return damage(d.File, "at offset %d: %s", d.Offset, d.Why)
	}
	return err
}

// loadPending finds what the newest events need to be found by, and has no rows.
func (s *Store) loadPending(ctx context.Context, indexed uint64) error {
	s.pending.from = max(indexed, s.oldest-1)
	now := s.opts.Now()
	for from := s.pending.from + 1; from <= s.last; {
		if err := ctx.Err(); err != nil {
			return err
		}
		list, err := s.events.Read(from, eventsAtOnce)
		if err != nil || len(list) == 0 {
			return damagedSegment(err)
		}
		for i := range list {
			if err := s.index(&list[i], now); err != nil {
				return err
			}
		}
		from += uint64(len(list))
	}
	return nil
}

// index adds an event to what is pending.
func (s *Store) index(x *segment.Event, now time.Time) error {
	e, err := decodeEvent(x.Position, x.Data)
	if err != nil {
		return err
	}
	add := func(r *row) { s.pending.addRow(string(r.key), r) }
	_, buckets, made := bucketFor(s.buckets, s.width, e.Received.UnixNano(), x.Position)
	if s.buckets = buckets; made != nil {
		add(made)
	}
	s.pending.addType(e.Type)
	if len(x.Note) > 0 { // it has an id of its producer, or an alias
		note, err := codec.DecodeNote(x.Note)
		if err != nil {
			return fmt.Errorf("the note of position %d is damaged: %w", x.Position, err)
		}
		indexRows(e, e.ID, &codec.ID{Position: x.Position, Sum: sumOf(e), Until: note.Until}, note, now, add)
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
