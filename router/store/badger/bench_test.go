package badger

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/router/store"
)

// BenchmarkCommit has 64 goroutines commit events of 1 KiB, one a record.
func BenchmarkCommit(b *testing.B) {
	s := open(b)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Commit(b.Context(), record(1024)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkGroup commits records of 64 events: what a full group costs.
func BenchmarkGroup(b *testing.B) {
	s := open(b)
	b.ReportAllocs()
	r := &store.Record{}
	for range 64 {
		r.Events = append(r.Events, record(1024).Events...)
	}
	for b.Loop() {
		if _, err := s.Commit(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/event")
}

func filled(b testing.TB, events int, lanes ...string) *Store {
	b.Helper()
	s := open(b)
	for n := 0; n < events; n += 64 {
		r := &store.Record{}
		for i := range 64 {
			r.Events = append(r.Events, record(100).Events...)
			r.Routings = append(r.Routings, routed(uint64(n+i+1), lanes...).Routings...)
		}
		if _, err := s.Commit(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkPostings reads the next 64 of a backlog.
func BenchmarkPostings(b *testing.B) {
	s := filled(b, 64*500, "a")
	b.ReportAllocs()
	from := store.Ref{}
	for b.Loop() {
		ps, err := s.Postings(b.Context(), "a", from, 64)
		if err != nil {
			b.Fatal(err)
		}
		if len(ps) == 0 {
			from = store.Ref{}
			continue
		}
		from = ps[len(ps)-1].Ref.Next()
	}
}

// BenchmarkEvents reads 64 events of a log.
func BenchmarkEvents(b *testing.B) {
	s := filled(b, 64*100)
	b.ReportAllocs()
	from := uint64(1)
	for b.Loop() {
		events, err := s.Events(b.Context(), from, 64)
		if err != nil {
			b.Fatal(err)
		}
		if from += 64; len(events) < 64 {
			from = 1
		}
	}
}

// BenchmarkOutcomes settles 64 deliveries of one lane a record, among many
// lanes. A run goes as far as the backlog lasts, then over other lanes.
func BenchmarkOutcomes(b *testing.B) {
	const per, lanes = 64, 200
	var s *Store
	var turn atomic.Uint64
	names := make([]string, lanes)
	for i := range names {
		names[i] = fmt.Sprint("lane-", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := turn.Add(1) - 1
		lane, round := int(n%lanes), n/lanes
		if n%(lanes*10) == 0 {
			b.StopTimer()
			if s != nil {
				turn.Store(1)
				round = 0
			}
			s = filled(b, per*10, names...)
			b.StartTimer()
		}
		lo := store.LaneOutcomes{Lane: names[lane]}
		for i := range uint64(per) {
			lo.Outcomes = append(lo.Outcomes, store.Outcome{
				Ref: store.Ref{Position: round*per + i + 1, Index: uint32(lane)}, From: store.Waiting, To: store.Delivered,
				Attempt: &store.Attempt{Number: 1, Started: time.Now(), Latency: time.Millisecond, Status: 200},
			})
		}
		lo.Cursor = &store.Cursor{Low: lo.Outcomes[per-1].Ref.Next()}
		if _, err := s.Commit(b.Context(), &store.Record{Outcomes: []store.LaneOutcomes{lo}}); err != nil {
			b.Fatal(err)
		}
	}
}
