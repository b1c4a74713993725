package badger

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/router/store"
)

// Small routings share rows, large ones do not, and each is found.
func TestRoutingsShareRows(t *testing.T) {
	s := open(t)
	large := strings.Repeat("x", groupLargest)
	r := &store.Record{}
	for range 300 {
		r.Events = append(r.Events, record(10).Events...)
	}
	commit(t, s, r)
	r = &store.Record{}
	for p := uint64(1); p <= 300; p++ {
		routing := routed(p, "a").Routings[0]
		if p%100 == 50 {
			routing.Matches[0].Route = large
		}
		r.Routings = append(r.Routings, routing)
	}
	commit(t, s, r)
	rows := 0
	txn := s.db.NewTransaction(false)
	for p := uint64(1); p <= 300; p++ {
		if _, err := get(txn, groupKey(s.buckets[0].number, p)); err == nil {
			rows++
		}
		_, err := get(txn, routingKey(s.buckets[0].number, p))
		if own := err == nil; own != (p%100 == 50) {
			t.Errorf("position %d has a row of its own: %v", p, own)
		}
	}
	txn.Discard()
	if rows == 0 || rows > 12 {
		t.Errorf("%d rows of routings", rows)
	}
	for _, reopened := range []bool{false, true} {
		if reopened {
			s = again(t, s)
			if s.Progress() != 300 {
				t.Fatalf("progress is %d", s.Progress())
			}
		}
		for p := uint64(300); p >= 1; p-- {
			got, err := s.Routing(t.Context(), p)
			if err != nil || got.Position != p || len(got.Deliveries) != 1 || (got.Matches[0].Route == large) != (p%100 == 50) {
				t.Fatalf("position %d: %+v, %v", p, got, err)
			}
		}
	}
}

// What is added to one routing of a row hides what the row has, in the same batch
// and later.
func TestFurtherRoutingOfSharedRow(t *testing.T) {
	s := open(t)
	commit(t, s, record(10))
	commit(t, s, record(10))
	further := func() *store.Routing {
		x := routed(1, "b").Routings[0]
		x.Again, x.Deliveries[0].Due = true, s.opts.Now()
		return x
	}
	r := routed(1, "a")
	r.Routings = append(r.Routings, routed(2, "a").Routings[0], further())
	commit(t, s, r)
	commit(t, s, &store.Record{Routings: []*store.Routing{further()}})
	for _, reopened := range []bool{false, true} {
		if reopened {
			s = again(t, s)
		}
		first, err := s.Routing(t.Context(), 1)
		if err != nil || len(first.Deliveries) != 3 {
			t.Errorf("the first: %+v, %v", first, err)
		}
		second, err := s.Routing(t.Context(), 2)
		if err != nil || len(second.Deliveries) != 1 {
			t.Errorf("the second: %+v, %v", second, err)
		}
	}
}

// again closes a store and opens it.
func again(t *testing.T, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), s.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
