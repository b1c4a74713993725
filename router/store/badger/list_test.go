package badger

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// append commits events of a type, 64 a record, each routed to the lanes.
func appendRouted(tb testing.TB, s *Store, n int, typ string, lanes ...string) {
	tb.Helper()
	for n > 0 {
		r := &store.Record{}
		for i := range min(n, 64) {
			r.Events = append(r.Events, record(10).Events...)
			r.Events[i].Event.Type = typ
			r.Routings = append(r.Routings, routed(s.Last()+uint64(i)+1, lanes...).Routings...)
		}
		commit(tb, s, r)
		n -= len(r.Events)
	}
}

// settleAll delivers all that waits in a lane, but for some positions, which die.
func settleAll(tb testing.TB, s *Store, lane string, dead ...uint64) {
	tb.Helper()
	ps, err := s.Postings(tb.Context(), lane, store.Ref{}, 1<<20)
	if err != nil {
		tb.Fatal(err)
	}
	lo := store.LaneOutcomes{Lane: lane, Cursor: &store.Cursor{Low: ps[len(ps)-1].Ref.Next()}}
	for _, p := range ps {
		o := store.Outcome{Ref: p.Ref, From: store.Waiting, To: store.Delivered}
		if slices.Contains(dead, p.Ref.Position) {
			o.To, o.Reason = store.Dead, store.ReasonAttempts
		}
		lo.Outcomes = append(lo.Outcomes, o)
	}
	commit(tb, s, &store.Record{Outcomes: []store.LaneOutcomes{lo}})
}

// pages follows next until it is empty.
func pages(tb testing.TB, s *Store, q store.DeliveryQuery) (refs []store.Ref, n int) {
	tb.Helper()
	for {
		list, next, err := s.ListDeliveries(tb.Context(), q)
		if err != nil {
			tb.Fatal(err)
		}
		for _, st := range list {
			refs = append(refs, st.Ref)
		}
		if n++; next == "" {
			return refs, n
		}
		if n > 100000 {
			tb.Fatalf("%+v does not end", q)
		}
		q.Cursor = next
	}
}

// However little one page may look at, all pages together list each once.
func TestPagesEnd(t *testing.T) {
	s := open(t)
	appendRouted(t, s, 60, "t.old", "a", "b", "a")
	appendRouted(t, s, 100, "t.idle") // lead to nothing
	many := make([]string, 120)
	for i := range many {
		many[i] = fmt.Sprint("lane-", i%3)
	}
	appendRouted(t, s, 3, "t.wide", many...)
	appendRouted(t, s, 100, "t.idle")
	appendRouted(t, s, 40, "t.new", "b")
	settleAll(t, s, "a", 7, 9)
	settleAll(t, s, "lane-1")
	for _, q := range []store.DeliveryQuery{
		{}, {State: store.Delivered}, {State: store.Cancelled}, {State: store.Waiting}, {State: store.Dead},
		{Type: "t.old"}, {Type: "t.idle"}, {Type: "t.*d*"}, {Type: "t.wide", State: store.Waiting}, {Type: "t.old", State: store.Dead},
		{Type: "none"}, {Source: "none"}, {Destination: "a"}, {Destination: "lane-1"}, {Destination: "a", State: store.Cancelled},
		{Destination: "b", Type: "t.old", State: store.Waiting}, {Until: time.Now().Add(time.Hour), Tenant: "none"},
	} {
		s.lookMost = lookMost
		q.Limit = 1000
		want, _ := pages(t, s, q)
		for _, look := range []int{1, 10, 150} {
			for _, limit := range []int{1, 40, 1000} {
				s.lookMost, q.Limit = look, limit
				if look*limit < 100 && len(want) > 200 {
					continue // slow, and as the others
				}
				if got, _ := pages(t, s, q); !slices.Equal(got, want) {
					t.Errorf("%+v, looking at %d: %d listed, want %d", q, look, len(got), len(want))
				}
			}
		}
	}
	s.lookMost = 10
	for _, typ := range []string{"t.*", "t.idle", "none"} {
		for q := (store.EventQuery{Type: typ, Source: "none", Page: store.Page{Limit: 5}}); ; {
			_, next, err := s.ListEvents(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if next == "" {
				break
			}
			was, _ := page(store.Page{Limit: 1, Cursor: q.Cursor}, cursorEvents)
			if now, err := page(store.Page{Limit: 1, Cursor: next}, cursorEvents); err != nil || !now.Less(was) {
				t.Fatalf("the page after %v begins at %v, error %v", was, now, err)
			}
			q.Cursor = next
		}
	}
}

// However little one page of a search may look at, all pages together find each
// event once.
func TestSearchPagesEnd(t *testing.T) {
	s := open(t)
	appendRouted(t, s, 30, "t.old", "a", "b", "a")
	appendRouted(t, s, 2, "t.wide", slices.Repeat([]string{"a", "b"}, 150)...)
	appendRouted(t, s, 40, "t.new", "b")
	settleAll(t, s, "a", 7, 9)
	find := func(q store.EventSearch) (list []uint64) {
		for n := 0; ; n++ {
			found, err := s.SearchEvents(t.Context(), q)
			if err != nil || n > 10000 {
				t.Fatal(err, n)
			}
			for _, e := range found.Events {
				list = append(list, e.Position)
			}
			if found.Next == "" {
				return list
			}
			q.Cursor = found.Next
		}
	}
	for _, c := range []struct {
		q store.EventSearch
		n int
	}{
		{store.EventSearch{Destination: "a"}, 32}, {store.EventSearch{Destination: "b"}, 72},
		{store.EventSearch{State: store.Waiting, Destination: "b"}, 72}, {store.EventSearch{State: store.Delivered}, 30}, {store.EventSearch{State: store.Dead}, 2},
		{store.EventSearch{State: store.Cancelled}, 0}, {store.EventSearch{Text: "nowhere"}, 0},
	} {
		for _, look := range []int{1, 7, 500} {
			for _, limit := range []int{1, 20, 1000} {
				s.lookMost, c.q.Limit = look, limit
				list := find(c.q)
				if !slices.IsSortedFunc(list, func(a, b uint64) int { return cmp.Compare(b, a) }) || len(slices.Compact(list)) != c.n {
					t.Errorf("%+v, looking at %d: %d found, want %d", c.q, look, len(list), c.n)
				}
			}
		}
	}
}

// A page of a search for a text looks at no more data than it may, whichever way it
// looks, and goes on however little that is.
func TestSearchPagesAreBoundedByData(t *testing.T) {
	s := open(t)
	appendRouted(t, s, 50, "t", "a", "b")
	settleAll(t, s, "a")
	size := len(record(10).Events[0].Event.Data)
	for _, q := range []store.EventSearch{{State: store.Delivered}, {State: store.Cancelled}, {Destination: "a"}, {Destination: "b", State: store.Waiting}, {}} {
		for _, text := range []string{"x", "nowhere"} { // in all, and in none
			q.Text, q.Limit, s.lookMostData = text, 1000, 3*size
			q.Cursor = ""
			looked := 0
			for pages := 1; ; pages++ {
				found, err := s.SearchEvents(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if found.Looked > 3 || pages > 100 {
					t.Fatalf("%+v: page %d looked at %d events, and 3 are all that it may", q, pages, found.Looked)
				}
				looked += found.Looked
				if found.Next == "" {
					break
				}
				q.Cursor = found.Next
			}
			if looked < 50 {
				t.Errorf("%+v: %d events were looked at, of 50", q, looked)
			}
		}
	}
}

func TestNeedle(t *testing.T) {
	for _, c := range []struct {
		text, in string
		want     bool
	}{
		{"ada", "Ada", true}, {"ADA@x", "an ada@X.org", true}, {"aab", "aaab", true}, {"AaB", "aAaB", true}, {"b", "a", false},
		{"abc", "ab", false}, {"grün", "GRün", true}, {"1.50", "1a50 1.50", true}, {"a", "", false}, {"zz", "zaZZ", true},
	} {
		if got := newNeedle(c.text).within([]byte(c.in)); got != c.want {
			t.Errorf("%q in %q: %v", c.text, c.in, got)
		}
	}
}

// A page ends within an event that has more deliveries than are fetched at once.
func TestPageEndsWithinAnEvent(t *testing.T) {
	s := open(t)
	appendRouted(t, s, 1, "t", slices.Repeat([]string{"a"}, 300)...)
	appendRouted(t, s, 299, "t")
	s.lookMost = 300
	got, _ := pages(t, s, store.DeliveryQuery{Page: store.Page{Limit: 1000}})
	if len(got) != 300 || len(slices.Compact(got)) != 300 {
		t.Errorf("%d listed of 300", len(got))
	}
}

// A page that found something goes no further than one that found nothing.
func TestPageOfFoundLooksNoFurther(t *testing.T) {
	s := open(t)
	appendRouted(t, s, 1000, "t")
	appendRouted(t, s, 1, "t", "a")
	key := routingKey(s.buckets[0].number, 500)
	if err := s.write(map[string]*row{"": {key: key, value: []byte("not to be read")}}); err != nil {
		t.Fatal(err)
	}
	s.lookMost = 50
	list, next, err := s.ListDeliveries(t.Context(), store.DeliveryQuery{Page: store.Page{Limit: 10}})
	if err != nil || len(list) != 1 || next == "" {
		t.Errorf("%d listed, next %q, error %v", len(list), next, err)
	}
}

// What is unfinished is found behind more finished ones than a page may look at.
func TestUnfinishedIsOnTheFirstPage(t *testing.T) {
	s := open(t)
	appendRouted(t, s, 3, "t", "a")
	for _, to := range []store.Outcome{
		{To: store.Dead, Reason: store.ReasonAttempts}, {To: store.Retrying, Due: time.Now().Add(time.Hour)},
	} {
		ps, err := s.Postings(t.Context(), "a", store.Ref{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		to.Ref, to.From = ps[0].Ref, store.Waiting
		commit(t, s, &store.Record{Outcomes: []store.LaneOutcomes{{Lane: "a", Outcomes: []store.Outcome{to}, Cursor: &store.Cursor{Low: ps[0].Ref.Next()}}}})
	}
	// The third waits, and what comes after it is delivered.
	appendRouted(t, s, 400, "t", "a", "b")
	var lo store.LaneOutcomes
	for p := uint64(4); p <= 403; p++ {
		lo.Outcomes = append(lo.Outcomes, store.Outcome{Ref: store.Ref{Position: p}, From: store.Waiting, To: store.Delivered})
	}
	lo.Lane = "a"
	commit(t, s, &store.Record{Outcomes: []store.LaneOutcomes{lo}})
	settleAll(t, s, "b")
	s.lookMost = 20
	for position, state := range []store.State{store.Dead, store.Retrying, store.Waiting} {
		for _, q := range []store.DeliveryQuery{
			{}, {Destination: "a"}, {Type: "t"}, {Type: "*"}, {Destination: "a", Type: "t"}, {Source: "test"}, {Since: time.Now().Add(-time.Hour)},
		} {
			q.State, q.Limit = state, 1
			list, _, err := s.ListDeliveries(t.Context(), q)
			if err != nil || len(list) != 1 || list[0].Ref.Position != uint64(position+1) {
				t.Errorf("%+v: %d on the first page, error %v", q, len(list), err)
			}
		}
	}
}

// The largest body that a configuration may allow is an event that fits.
func TestLargestEvent(t *testing.T) {
	s := open(t)
	commit(t, s, &store.Record{Events: []store.NewEvent{{Event: &event.Event{
		ID: "large", Given: true, Type: "t", Source: "s", Received: time.Now(), Data: make([]byte, 8<<20),
		Header: []event.Field{{Name: "x", Value: string(make([]byte, 16<<10))}},
	}, Dedupe: time.Hour}}})
	e, err := s.Event(t.Context(), 1)
	if err != nil || len(e.Data) != 8<<20 {
		t.Errorf("got %d bytes and error %v", len(e.Data), err)
	}
}

// What a lane has settled comes newest first, whatever order it was settled in, and each
// delivery in a list is as it is by itself: with its row, without one, and of an event
// that was routed again.
func TestListsOfDisorder(t *testing.T) {
	s := open(t)
	appendRouted(t, s, 4400, "t", "a", "b") // more than a stretch of history
	rnd := rand.New(rand.NewPCG(1, 2))
	left := rnd.Perm(4400)
	for len(left) > 50 {
		n := min(1+rnd.IntN(250), len(left))
		lo := store.LaneOutcomes{Lane: "a"}
		for _, i := range left[:n] {
			o := store.Outcome{Ref: store.Ref{Position: uint64(i + 1)}, From: store.Waiting, To: store.Delivered, Tries: i}
			o.Attempt = &store.Attempt{Number: 1, Started: time.Unix(int64(i), 0).UTC(), Status: 200 + i%7}
			switch i % 9 {
			case 0:
				o.To, o.Reason = store.Dead, store.ReasonAttempts
			case 1:
				o.To, o.Due = store.Retrying, time.Now().Add(time.Hour)
			case 2:
				o.To = store.Cancelled
			}
			lo.Outcomes = append(lo.Outcomes, o)
		}
		commit(t, s, &store.Record{Outcomes: []store.LaneOutcomes{lo}})
		left = left[n:]
	}
	for p := uint64(100); p < 4400; p += 611 {
		again := routed(p, "a").Routings[0]
		again.Again, again.Deliveries[0].Due = true, time.Now()
		commit(t, s, &store.Record{Routings: []*store.Routing{again}})
	}
	var by []*store.DeliveryStatus // newest first, each read by itself
	for p := uint64(4400); p > 0; p-- {
		all, err := s.Deliveries(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(all)
		by = append(by, all...)
	}
	for i, q := range []store.DeliveryQuery{
		{}, {Destination: "a"}, {Destination: "a", State: store.Delivered}, {Destination: "a", State: store.Cancelled}, {State: store.Dead}, {Destination: "a", State: store.Retrying},
	} {
		var want []string
		for _, d := range by {
			if d.Fits(q.State, false) && (q.Destination == "" || d.Delivery.Lane == q.Destination) {
				want = append(want, fmt.Sprintf("%+v", d))
			}
		}
		q.Limit = []int{1000, 37}[i%2]
		got := make([]string, 0, len(want))
		for {
			list, next, err := s.ListDeliveries(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				got = append(got, fmt.Sprintf("%+v", d))
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
		if len(got) != len(want) {
			t.Errorf("%+v: %d listed, want %d", q, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("%+v: the %dth is\n%s, want\n%s", q, i, got[i], want[i])
				break
			}
		}
	}
}

// An id that was given again is that of the newer event alone, before its row is written
// and after.
func TestFindEventGivenAgain(t *testing.T) {
	now := time.Now()
	s, err := Open(t.Context(), Options{Path: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	give := func(source string) {
		t.Helper()
		r := record(10)
		e := r.Events[0].Event
		e.ID, e.Given, e.Source, r.Events[0].Dedupe = "order-1", true, source, time.Minute
		commit(t, s, r)
	}
	rows := func() {
		commit(t, s, &store.Record{Documents: []store.Document{{Kind: "k", Name: "n", Value: []byte("v")}}})
	}
	find := func(want ...uint64) {
		t.Helper()
		found, err := s.FindEvent(t.Context(), "order-1", "")
		if err != nil {
			t.Fatal(err)
		}
		var got []uint64
		for _, e := range found {
			got = append(got, e.Position)
		}
		if !slices.Equal(got, want) {
			t.Errorf("it is the id of %v, want %v", got, want)
		}
	}
	give("shop")
	give("app")
	rows()
	find(1, 2)
	now = now.Add(time.Hour)
	give("shop")
	find(2, 3)
	rows()
	find(2, 3)
}

// A search that ends a page because it has looked at much data passes over nothing that
// it has found before it looks at the deliveries.
func TestSearchByStateOfMuchData(t *testing.T) {
	s := open(t)
	s.lookMostData = 45 // of events with 10 bytes
	appendRouted(t, s, 40, "t", "a")
	lo := store.LaneOutcomes{Lane: "a"}
	var want []uint64
	for p := uint64(40); p > 0; p-- {
		lo.Outcomes = append(lo.Outcomes, store.Outcome{Ref: store.Ref{Position: p}, From: store.Waiting, To: store.Delivered, Tries: 1})
		want = append(want, p)
	}
	commit(t, s, &store.Record{Outcomes: []store.LaneOutcomes{lo}})
	for _, destination := range []string{"", "a"} {
		q := store.EventSearch{Text: "Xx", Destination: destination, State: store.Delivered}
		q.Limit = 20
		var got []uint64
		for {
			found, err := s.SearchEvents(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range found.Events {
				got = append(got, e.Position)
			}
			if q.Cursor = found.Next; q.Cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("for %q it finds %v, want %v", destination, got, want)
		}
	}
}
