package badger

import (
	"context"
	"math"
	"slices"
	"strings"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/weirhq/weir/router/store"
)

// Document returns the value of a document.
func (s *Store) Document(ctx context.Context, kind, name string) ([]byte, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	return get(v.txn, documentKey(kind, name))
}

// Documents returns all documents of a kind, by name.
func (s *Store) Documents(ctx context.Context, kind string) ([]store.Document, error) {
	list, err := s.DocumentsFrom(ctx, kind, "", math.MaxInt)
	slices.SortFunc(list, func(a, b store.Document) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// DocumentsFrom returns documents of a kind from a name on, short names first.
func (s *Store) DocumentsFrom(ctx context.Context, kind, name string, max int) ([]store.Document, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	defer v.close()
	prefix := documentPrefix(kind)
	it := v.txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer it.Close()
	var list []store.Document
	for it.Seek(documentKey(kind, name)); it.Valid() && len(list) < max; it.Next() {
		name, rest, ok := readName(it.Item().Key()[len(prefix):])
		if !ok || len(rest) > 0 {
			continue // a part
		}
		_, value, err := itemValue(v.txn, it)
		if err != nil {
			return nil, err
		}
		list = append(list, store.Document{Kind: kind, Name: name, Value: value})
	}
	return list, nil
}
