package badger

import (
	"fmt"
	"testing"
)

// BenchmarkAdmit is what a commit of 64 rows pays for the check of its room, and
// one of events besides.
func BenchmarkAdmit(b *testing.B) {
	s := open(b)
	rows := map[string]*row{}
	for i := range 64 {
		k := fmt.Sprint("key", i)
		rows[k] = &row{key: []byte(k), value: make([]byte, 1024)}
	}
	b.Run("rows", func(b *testing.B) {
		for b.Loop() {
			s.room.used = 0
			if err := s.room.admit(rows); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("events", func(b *testing.B) {
		for b.Loop() {
			if err := s.room.checkEvents(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tick", func(b *testing.B) {
		for b.Loop() {
			s.room.tick()
		}
	})
}
