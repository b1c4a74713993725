package badger

import (
	"reflect"
	"unsafe"

	badgerdb "github.com/dgraph-io/badger/v4"
)

// leaveValueLog has Badger flush its log alone at a commit. It would flush the value
// log too, one after the other, though no value of the store is long enough to go
// there: each flush of a clean file still makes the disk empty its cache. Badger has
// one option for both. Where its fields have other names or types, both are flushed.
func leaveValueLog(db *badgerdb.DB) (done bool) {
	f := reflect.ValueOf(db).Elem().FieldByName("vlog")
	if f.Kind() != reflect.Struct {
		return false
	}
	if f = f.FieldByName("opt"); !f.IsValid() || f.Type() != reflect.TypeFor[badgerdb.Options]() {
		return false
	}
	(*badgerdb.Options)(unsafe.Pointer(f.UnsafeAddr())).SyncWrites = false
	return true
}
