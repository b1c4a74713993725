package badger

import "testing"

// The field that is looked up by name must be there, and what it keeps must go.
func TestBuildersAreLetGo(t *testing.T) {
	s := open(t)
	b := buildersOf(s.db)
	if b.pool == nil {
		t.Fatal("this version of Badger keeps its builders' buffers elsewhere")
	}
	large := b.pool.Get(32<<20, "test")
	b.pool.Return(large)
	b.drop()
	if got := b.pool.Get(1, "test"); got == large {
		t.Error("the buffer is still kept")
	}
	builders{}.drop() // without a pool it does nothing
}
