package event

import (
	"testing"
	"time"
)

// FuzzID reads any text as an id: a position that it claims can be written back,
// and what stands for an id that does not fit does fit.
func FuzzID(f *testing.F) {
	f.Add(NewID(time.Unix(1700000000, 0)), uint64(7))
	f.Add("evt_01ARZ3NDEKTSV4RRFFQ69G5FAV", uint64(1)<<47)
	f.Add("evt_zzzzzzzzzzzzzzzzzzzzzzzzzz", uint64(0))
	f.Add("é", uint64(1))
	f.Fuzz(func(t *testing.T, id string, position uint64) {
		if !ValidID(HashID(id)) || HashID(id) == id {
			t.Fatalf("%q is hashed to %q", id, HashID(id))
		}
		position &= 1<<48 - 1
		at := IDAt(id, position)
		got, ok := PositionOf(at)
		if at == id && !ok {
			return // not of the router's making
		}
		if ok != (got > 0) || ok && at != id && got != position {
			t.Fatalf("%q at %d is %q, which claims %d, %v", id, position, at, got, ok)
		}
		if !ValidID(at) || ok && IDAt(at, got) != at {
			t.Fatalf("%q at %d is %q, not stable", id, position, at)
		}
	})
}
