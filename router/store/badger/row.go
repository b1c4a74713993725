package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/codec"
)

const (
	// partSize is how much of a value one row holds. It stays below the size
	// from which Badger would use its value log.
	partSize = 512 << 10
	maxParts = 1 << 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal frames a value: how many more rows it goes on in, the bytes, and a
// checksum over key and value, so that a row at another's place is noticed too.
func seal(key []byte, parts int, payload []byte) []byte {
	b := make([]byte, 0, len(payload)+2+crc32.Size)
	b = binary.AppendUvarint(b, uint64(parts))
	b = append(b, payload...)
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b)
	return binary.BigEndian.AppendUint32(b, sum)
}

func unseal(key, value []byte) (payload []byte, parts int, err error) {
	if len(value) < 1+crc32.Size {
		return nil, 0, damaged(key, "it is too short")
	}
	end := len(value) - crc32.Size
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[:end])
	if sum != binary.BigEndian.Uint32(value[end:]) {
		return nil, 0, damaged(key, "its checksum does not match")
	}
	n, size := binary.Uvarint(value[:end])
	if size <= 0 || n > maxParts {
		return nil, 0, damaged(key, "it claims too many parts")
	}
	return value[size:end:end], int(n), nil
}

func damaged(key []byte, why string) error {
	return fmt.Errorf("%s is damaged: %s: %w", describe(key), why, codec.ErrMalformed)
}

// malformed names the row in an error of decoding.
func malformed(key []byte, err error) error {
	return fmt.Errorf("%s is damaged: %w", describe(key), err)
}

func partKey(key []byte, n int) []byte {
	b := make([]byte, 0, len(key)+2)
	return binary.BigEndian.AppendUint16(append(b, key...), uint16(n))
}

// split cuts a value into sealed rows; the first has the key itself.
func split(key, payload []byte, row func(key, value []byte)) {
	parts := 0
	if len(payload) > partSize {
		parts = (len(payload) - 1) / partSize
	}
	row(key, seal(key, parts, payload[:min(len(payload), partSize)]))
	for n := 1; n <= parts; n++ {
		k := partKey(key, n)
		row(k, seal(k, 0, payload[n*partSize:min(len(payload), (n+1)*partSize)]))
	}
}

// get reads a value whole, from as many rows as it has.
func get(txn *badgerdb.Txn, key []byte) ([]byte, error) {
	payload, parts, err := getRow(txn, key)
	if err != nil || parts == 0 {
		return payload, err
	}
	return getParts(txn, key, payload, parts)
}

func getParts(txn *badgerdb.Txn, key, payload []byte, parts int) ([]byte, error) {
	for n := 1; n <= parts; n++ {
		more, _, err := getRow(txn, partKey(key, n))
		if errors.Is(err, store.ErrNotFound) {
			return nil, damaged(key, fmt.Sprintf("part %d is missing", n))
		}
		if err != nil {
			return nil, err
		}
		payload = append(payload, more...)
	}
	return payload, nil
}

func getRow(txn *badgerdb.Txn, key []byte) ([]byte, int, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badgerdb.ErrKeyNotFound) {
		return nil, 0, store.ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", describe(key), err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s: %w", describe(key), err)
	}
	return unseal(key, value)
}

// itemValue reads the value at an iterator whole.
func itemValue(txn *badgerdb.Txn, it *badgerdb.Iterator) (key, payload []byte, err error) {
	key = it.Item().KeyCopy(nil)
	payload, err = itemPayload(txn, it)
	return key, payload, err
}

// itemPayload is itemValue without the key.
func itemPayload(txn *badgerdb.Txn, it *badgerdb.Iterator) ([]byte, error) {
	item := it.Item()
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", describe(item.KeyCopy(nil)), err)
	}
	payload, parts, err := unseal(item.Key(), value)
	if err == nil && parts > 0 {
		payload, err = getParts(txn, item.KeyCopy(nil), payload, parts)
	}
	return payload, err
}
