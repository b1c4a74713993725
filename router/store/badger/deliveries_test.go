package badger

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/weirhq/weir/router/store"
)

// wide routes one event to n deliveries and finishes them.
func wide(tb testing.TB, n int, lane func(i int) string) *Store {
	tb.Helper()
	s := open(tb)
	commit(tb, s, record(100))
	names := make([]string, n)
	of := map[string][]uint32{}
	for i := range names {
		names[i] = lane(i)
		of[names[i]] = append(of[names[i]], uint32(i))
	}
	commit(tb, s, routed(1, names...))
	r := &store.Record{}
	for name, indexes := range of {
		lo := store.LaneOutcomes{Lane: name, Cursor: &store.Cursor{Low: store.Ref{Position: 2}}}
		for _, i := range indexes {
			lo.Outcomes = append(lo.Outcomes, store.Outcome{
				Ref: store.Ref{Position: 1, Index: i}, From: store.Waiting, To: store.Delivered,
				Attempt: &store.Attempt{Number: 1, Started: time.Now(), Latency: time.Millisecond, Status: 200},
			})
		}
		r.Outcomes = append(r.Outcomes, lo)
	}
	commit(tb, s, r)
	return s
}

// allocated gives the bytes that a call allocates, at least and about.
func allocated(f func()) uint64 {
	least := ^uint64(0)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// Decoding a row of n for each of n would take a hundred times as much for ten
// times as many.
func TestDeliveriesOfOneEventAreNotQuadratic(t *testing.T) {
	const few, many = 500, 5000
	for name, lane := range map[string]func(int) string{
		"a lane each": func(i int) string { return fmt.Sprint("lane-", i) },
		"one lane":    func(int) string { return "lane" },
	} {
		t.Run(name, func(t *testing.T) {
			used := func(n int) uint64 {
				s := wide(t, n, lane)
				return allocated(func() {
					list, err := s.Deliveries(t.Context(), 1)
					if err != nil || len(list) != n {
						t.Fatalf("%d deliveries and error %v", len(list), err)
					}
					for _, st := range list {
						if st.State != store.Delivered || len(st.Attempts) != 1 {
							t.Fatalf("got %+v", st)
						}
					}
				})
			}
			if a, b := used(few), used(many); b > 20*a {
				t.Errorf("%d deliveries take %d bytes, %d take %d", few, a, many, b)
			}
		})
	}
}

// BenchmarkDeliveries reads what an event led to, 10,000 in lanes of their own.
func BenchmarkDeliveries(b *testing.B) {
	s := wide(b, 10000, func(i int) string { return fmt.Sprint("lane-", i) })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Deliveries(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
}
