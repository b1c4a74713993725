package badger

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/weirhq/weir/router/store"
)

// First bytes of keys, see the package comment.
const (
	kindAlias    = 'a'
	kindBucketed = 'B'
	kindBucket   = 'b'
	kindDocument = 'd'
	kindID       = 'i'
	kindLane     = 'l'
	kindOldest   = 'M'
	kindPad      = 'z'
	kindPostings = 'p'
	kindSegments = 'S'
	kindSpare    = 'n'
	kindVersion  = 'V'
	kindState    = 'x'
	kindRetry    = 'y'
)

// Kinds of bucketed rows.
const (
	rowEvent    = 'e'
	rowRouting  = 'r'
	rowGroup    = 'g'
	rowContent  = 'c'
	rowType     = 't'
	rowDelivery = 'v'
	rowHistory  = 'h'
)

// States that have an index of their own.
const (
	stateDead     = 'd'
	stateRetrying = 'r'
)

const (
	bucketedLen = 6               // B, bucket, kind
	eventKeyLen = bucketedLen + 8 // also routings
	refLen      = 12
	// maxName bounds what becomes part of a key.
	maxName = 4096
)

// aside is the bucket of what retention has kept.
const aside uint32 = 0

func appendName(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendRef(b []byte, r store.Ref) []byte {
	b = binary.BigEndian.AppendUint64(b, r.Position)
	return binary.BigEndian.AppendUint32(b, r.Index)
}

// readRef reads the reference at the front of b.
func readRef(b []byte) store.Ref {
	return store.Ref{Position: binary.BigEndian.Uint64(b), Index: binary.BigEndian.Uint32(b[8:])}
}

func bucketed(bucket uint32, kind byte, room int) []byte {
	b := make([]byte, 0, bucketedLen+room)
	b = append(b, kindBucketed)
	b = binary.BigEndian.AppendUint32(b, bucket)
	return append(b, kind)
}

func appendBucket(bucket uint32) []byte { return bucketed(bucket, 0, 0)[:bucketedLen-1] }

func appendPosition(b []byte, p uint64) []byte { return binary.BigEndian.AppendUint64(b, p) }

func readPosition(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

func eventKey(bucket uint32, position uint64) []byte {
	return binary.BigEndian.AppendUint64(bucketed(bucket, rowEvent, 8), position)
}

func routingKey(bucket uint32, position uint64) []byte {
	return binary.BigEndian.AppendUint64(bucketed(bucket, rowRouting, 8), position)
}

func groupKey(bucket uint32, last uint64) []byte {
	return binary.BigEndian.AppendUint64(bucketed(bucket, rowGroup, 8), last)
}

func contentKey(bucket uint32, position uint64, n int) []byte {
	b := binary.BigEndian.AppendUint64(bucketed(bucket, rowContent, 12), position)
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

func typePrefix(bucket uint32, typ string) []byte {
	return appendName(bucketed(bucket, rowType, 2+len(typ)+8), typ)
}

func deliveryKey(bucket uint32, r store.Ref) []byte {
	return appendRef(bucketed(bucket, rowDelivery, refLen), r)
}

func historyPrefix(bucket uint32, lane string) []byte {
	return appendName(bucketed(bucket, rowHistory, 2+len(lane)+refLen), lane)
}

func bucketRowKey(bucket uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kindBucket}, bucket)
}

func documentPrefix(kind string) []byte { return appendName([]byte{kindDocument}, kind) }

func documentKey(kind, name string) []byte { return appendName(documentPrefix(kind), name) }

func idPrefix(id string) []byte {
	return appendName(append(make([]byte, 0, 1+6+len(id)+64), kindID), id)
}

func idKey(id, source, scope string) []byte {
	return appendName(appendName(idPrefix(id), source), scope)
}

func aliasKey(alias, source string) []byte {
	return appendName(appendName([]byte{kindAlias}, alias), source)
}

func laneKey(lane string) []byte { return appendName([]byte{kindLane}, lane) }

func lanePrefix(kind byte, lane string) []byte {
	b := make([]byte, 0, 1+2+len(lane)+8+refLen)
	return appendName(append(b, kind), lane)
}

func postingsKey(lane string, last store.Ref) []byte {
	return appendRef(lanePrefix(kindPostings, lane), last)
}

func stateKey(lane string, state byte, r store.Ref) []byte {
	return appendRef(append(lanePrefix(kindState, lane), state), r)
}

func retryKey(lane string, dueNano int64, r store.Ref) []byte {
	b := binary.BigEndian.AppendUint64(lanePrefix(kindRetry, lane), uint64(max(dueNano, 0)))
	return appendRef(b, r)
}

// after gives the smallest key that is greater than every key with the prefix.
func after(prefix []byte) []byte {
	b := append([]byte(nil), prefix...)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < math.MaxUint8 {
			b[i]++
			return b[:i+1]
		}
	}
	return nil
}

var rowNames = map[byte]string{
	rowEvent: "event", rowRouting: "routing", rowGroup: "routings", rowContent: "content", rowType: "type index",
	rowDelivery: "delivery", rowHistory: "history",
}

var kindNames = map[byte]string{
	kindAlias: "alias", kindBucket: "bucket", kindDocument: "document", kindID: "id", kindLane: "lane",
	kindSegments: "segments", kindSpare: "spare events", kindOldest: "oldest", kindPad: "padding", kindPostings: "postings", kindVersion: "version",
	kindState: "state", kindRetry: "retry",
}

// describe names a row for people.
func describe(key []byte) string {
	if len(key) == 0 {
		return "the row without a key"
	}
	if key[0] != kindBucketed {
		if name := kindNames[key[0]]; name != "" {
			return fmt.Sprintf("the %s row %q", name, key[1:])
		}
		return fmt.Sprintf("the unknown row %q", key)
	}
	if len(key) >= eventKeyLen {
		switch kind := key[5]; kind {
		case rowEvent, rowRouting, rowContent, rowDelivery:
			return fmt.Sprintf("the %s row of position %d", rowNames[kind], binary.BigEndian.Uint64(key[bucketedLen:]))
		case rowGroup:
			return fmt.Sprintf("the row of routings up to position %d", binary.BigEndian.Uint64(key[bucketedLen:]))
		case rowType, rowHistory:
			return fmt.Sprintf("the %s row %q", rowNames[kind], key[bucketedLen:])
		}
	}
	return fmt.Sprintf("the unknown row %q", key)
}
