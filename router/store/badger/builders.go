package badger

import (
	"reflect"
	"unsafe"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/ristretto/v2/z"
)

// builders are the buffers in which Badger builds tables. It keeps up to eight to
// use them again, each as large as the largest table it was ever used for: some
// hundred MiB that hold nothing. It has no option for it.
type builders struct{ pool *z.AllocatorPool }

// buildersOf finds Badger's pool. Where its field has another name or type, what
// it keeps is left alone.
func buildersOf(db *badgerdb.DB) builders {
	f := reflect.ValueOf(db).Elem().FieldByName("allocPool")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*z.AllocatorPool]() {
		return builders{}
	}
	return builders{*(**z.AllocatorPool)(unsafe.Pointer(f.UnsafeAddr()))}
}

// drop lets go of one buffer that is kept. Where none is, it takes a new one of
// a few bytes.
func (b builders) drop() {
	if b.pool != nil {
		b.pool.Get(1, "").Release()
	}
}
