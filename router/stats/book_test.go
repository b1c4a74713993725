package stats

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/storetest"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// desk is a book over a store in memory, with a clock that tests move.
type desk struct {
	t      *testing.T
	system storetest.System
	store  store.Store
	*Book
	at time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	system, err := storetest.NewMemory()()
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, system: system, at: noon}
	d.open()
	return d
}

func (d *desk) open() {
	d.t.Helper()
	ctx := context.Background()
	st, err := d.system.Open(ctx, storetest.Options{Now: func() time.Time { return d.at }})
	if err != nil {
		d.t.Fatal(err)
	}
	d.store = st
	if d.Book, err = Open(ctx, st, Options{Now: func() time.Time { return d.at }}); err != nil {
		d.t.Fatal(err)
	}
}

// crash ends the store as kill -9 would and opens it again.
func (d *desk) crash() {
	d.t.Helper()
	if err := d.system.Crash(context.Background()); err != nil {
		d.t.Fatal(err)
	}
	d.open()
}

// commit counts observations in one record.
func (d *desk) commit(all ...Observation) {
	d.t.Helper()
	t := d.Tally()
	for _, o := range all {
		t.Add(&o)
	}
	doc, ok := t.Document()
	if !ok {
		d.t.Fatal("nothing to count")
	}
	if _, err := d.store.Commit(context.Background(), &store.Record{Documents: []store.Document{doc}}); err != nil {
		d.t.Fatal(err)
	}
	t.Committed(doc)
}

func (d *desk) fold() {
	d.t.Helper()
	if err := d.Fold(context.Background()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) ask(q Query) *Answer {
	d.t.Helper()
	if q.Until.IsZero() {
		q.Until = d.at
	}
	a, err := d.Ask(q)
	if err != nil {
		d.t.Fatal(err)
	}
	return a
}

func (d *desk) documents(kind string) int {
	d.t.Helper()
	all, err := d.store.Documents(context.Background(), kind)
	if err != nil {
		d.t.Fatal(err)
	}
	return len(all)
}

func success(at time.Time, typ, destination string, latency time.Duration) Observation {
	return Observation{At: at, Key: Key{Type: typ, Destination: destination}, Tried: true, Latency: latency, End: Delivered, SinceReceived: 2 * latency}
}

// Invariant 1: whatever is folded when, and whenever the process is killed, the
// counts are those of the records that were committed.
func TestCountsAreExactAcrossCrashes(t *testing.T) {
	d := newDesk(t)
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[Key]*Counts{}
	for i := range 400 {
		var all []Observation
		for range 1 + rng.IntN(20) {
			o := Observation{
				At:  d.at.Add(-time.Duration(rng.IntN(180)) * time.Second),
				Key: Key{Type: fmt.Sprintf("type.%d", rng.IntN(5)), Destination: fmt.Sprintf("d%d", rng.IntN(4))},
			}
			w := want[o.Key]
			if w == nil {
				w = &Counts{}
				want[o.Key] = w
			}
			switch rng.IntN(5) {
			case 0:
				o.Event = true
				w.Events++
			case 1:
				o.Tried, o.Retry, o.Reason = true, true, []string{"status", "timeout"}[rng.IntN(2)]
				w.Attempts++
				w.Retries++
				w.fail(o.Reason, 1)
			case 2:
				o.Tried, o.Reason, o.End = true, "refused", Dead
				w.Attempts++
				w.Dead++
				w.fail("refused", 1)
			case 3:
				o.End = Cancelled
				w.Cancelled++
			default:
				o.Tried, o.End, o.Latency = true, Delivered, time.Millisecond
				w.Attempts++
				w.Delivered++
			}
			all = append(all, o)
		}
		d.commit(all...)
		switch rng.IntN(6) {
		case 0:
			d.fold()
		case 1:
			d.crash()
		}
		if i%40 == 0 {
			d.at = d.at.Add(5 * time.Minute)
		}
	}
	for _, window := range []time.Duration{3 * time.Hour, 24 * time.Hour, MaxWindow} {
		a := d.ask(Query{ByType: true, ByDestination: true, Window: window})
		if len(a.Rows) != len(want) {
			t.Fatalf("%s: %d rows, want %d", window, len(a.Rows), len(want))
		}
		for _, r := range a.Rows {
			if got, want := fmt.Sprint(r.Counts), fmt.Sprint(*want[r.Key]); got != want {
				t.Errorf("%s: %v is %s, want %s", window, r.Key, got, want)
			}
		}
	}
}

// A record whose commit failed after all is not counted, and one that the caller
// never learned of is, after a start.
func TestCountsFollowTheStore(t *testing.T) {
	d := newDesk(t)
	lost := d.Tally()
	o := success(d.at, "a", "x", time.Second)
	lost.Add(&o)
	if _, ok := lost.Document(); !ok {
		t.Fatal("nothing to count")
	}
	stored := d.Tally()
	stored.Add(&o)
	doc, _ := stored.Document()
	if _, err := d.store.Commit(context.Background(), &store.Record{Documents: []store.Document{doc}}); err != nil {
		t.Fatal(err)
	}
	if rows := d.ask(Query{Window: time.Hour}).Rows; len(rows) != 0 {
		t.Errorf("counted before it was committed: %v", rows)
	}
	d.crash()
	if rows := d.ask(Query{Window: time.Hour}).Rows; len(rows) != 1 || rows[0].Delivered != 1 {
		t.Errorf("got %v, want the stored one", rows)
	}
}

// failing refuses commits with documents of slots.
type failing struct {
	store.Store
	after bool // the record is stored all the same
	left  int
}

func (f *failing) Commit(ctx context.Context, r *store.Record) (store.Result, error) {
	if f.left > 0 {
		f.left--
		if f.after {
			if _, err := f.Store.Commit(ctx, r); err != nil {
				return store.Result{}, err
			}
		}
		return store.Result{}, errors.New("the disk is slow")
	}
	return f.Store.Commit(ctx, r)
}

// A fold that fails, stored or not, is made up for by the next one.
func TestFoldAgain(t *testing.T) {
	for _, after := range []bool{false, true} {
		d := newDesk(t)
		d.commit(success(d.at, "a", "x", time.Second))
		d.Book.store = &failing{Store: d.store, after: after, left: 1}
		if err := d.Fold(context.Background()); err == nil {
			t.Fatal("the failure was swallowed")
		}
		d.commit(success(d.at, "a", "x", time.Second))
		d.fold()
		if n := d.documents(kindDelta); n != 0 {
			t.Errorf("%d deltas are left", n)
		}
		d.crash()
		if rows := d.ask(Query{Window: time.Hour}).Rows; len(rows) != 1 || rows[0].Delivered != 2 {
			t.Errorf("stored %v: got %v, want 2 delivered", after, rows)
		}
	}
}

// Quantiles are within 1 % of the true ones and the average is exact, whatever the
// durations are, also when added up over slots and after crashes.
func TestQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for name, draw := range map[string]func() time.Duration{
		"skewed": func() time.Duration { return time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond)) },
		"heavy":  func() time.Duration { return time.Duration(float64(time.Millisecond) / math.Pow(1-rng.Float64(), 1.5)) },
		"bimodal": func() time.Duration {
			return []time.Duration{2 * time.Millisecond, 5 * time.Second}[rng.IntN(2)] + time.Duration(rng.IntN(1000))
		},
		"rare": func() time.Duration { return []time.Duration{time.Millisecond, 30 * time.Second}[rng.IntN(90)/89] },
		"huge": func() time.Duration {
			return time.Duration(math.Exp(rng.Float64() * math.Log(float64(30*24*time.Hour))))
		},
		"equal": func() time.Duration { return 7 * time.Millisecond },
	} {
		for _, n := range []int{1, 2, 3, 10, 99, 100, 101, 3000} {
			d := newDesk(t)
			var all []time.Duration
			var sum time.Duration
			for len(all) < n {
				var batch []Observation
				for range min(100, n-len(all)) {
					l := max(draw(), 1)
					all, sum = append(all, l), sum+l
					batch = append(batch, success(d.at, "a", "x", l))
				}
				d.commit(batch...)
				d.at = d.at.Add(7 * time.Minute)
				if rng.IntN(2) == 0 {
					d.fold()
				}
				if rng.IntN(4) == 0 {
					d.crash()
				}
			}
			d.crash()
			l := d.ask(Query{Window: 24 * time.Hour}).Rows[0].Attempt
			slices.Sort(all)
			for of, c := range map[string]struct {
				got time.Duration
				at  int
			}{"p50": {l.P50, 50}, "p95": {l.P95, 95}, "p99": {l.P99, 99}} {
				want := all[(n*c.at+99)/100-1]
				// The nanosecond is that of a duration.
				if miss := math.Abs(float64(c.got - want)); miss > Accuracy*float64(want)+1 {
					t.Errorf("%s of %d: %s is %s, want %s within 1 %%", name, n, of, c.got, want)
				}
			}
			if want := sum / time.Duration(n); l.Average != want || l.Count != uint64(n) {
				t.Errorf("%s: average %s of %d, want %s of %d", name, l.Average, l.Count, want, n)
			}
		}
	}
}

// A sum beyond what a duration holds stays at the largest, and is read again: it
// takes nothing else of its span of time with it.
func TestSumsDoNotGoRound(t *testing.T) {
	d := newDesk(t)
	o := success(d.at, "a", "x", math.MaxInt64)
	o.SinceReceived = math.MaxInt64
	d.commit(o, o)
	d.fold()
	d.commit(o, success(d.at, "a", "y", time.Second))
	d.fold()
	d.crash()
	rows := d.ask(Query{Window: time.Hour, ByDestination: true}).Rows
	if len(rows) != 2 || rows[0].Delivered != 3 || rows[0].Attempt.Average <= 0 || rows[1].Delivered != 1 {
		t.Errorf("%+v", rows)
	}
}

// What was not measured counts, and has no latency.
func TestUnmeasured(t *testing.T) {
	d := newDesk(t)
	d.commit(Observation{At: d.at, Key: Key{Type: "a", Destination: "x"}, End: Delivered, Unmeasured: true})
	if r := d.ask(Query{Window: time.Hour}).Rows[0]; r.Delivered != 1 || r.Delivery.Count != 0 {
		t.Errorf("%+v", r)
	}
}

// Of few values p99 is the largest.
func TestQuantilesOfFew(t *testing.T) {
	for n := 1; n <= 50; n++ {
		d := newDesk(t)
		var all []Observation
		for i := range n {
			all = append(all, success(d.at, "a", "x", time.Duration(i+1)*time.Second))
		}
		d.commit(all...)
		l := d.ask(Query{Window: time.Hour}).Rows[0].Attempt
		for name, c := range map[string]struct {
			got time.Duration
			at  float64
		}{"p50": {l.P50, 50}, "p95": {l.P95, 95}, "p99": {l.P99, 99}} {
			want := time.Duration((n*int(c.at)+99)/100) * time.Second
			if ratio := float64(c.got) / float64(want); ratio < 1-Accuracy-1e-9 || ratio > 1+Accuracy+1e-9 {
				t.Errorf("%s of %d is %s, want %s", name, n, c.got, want)
			}
		}
	}
}

// A tenant is asked for by itself; so many of them that there is no room count for
// all alone, and leave the room for types and destinations.
func TestTenants(t *testing.T) {
	d := newDesk(t)
	of := func(tenant, destination string) Observation {
		o := success(d.at, "a", destination, time.Millisecond)
		o.Tenant = tenant
		return o
	}
	d.commit(of("acme", "x"), of("acme", "y"), of("other", "x"), of("", "x"), Observation{At: d.at, Key: Key{Type: "a", Tenant: "acme"}, Event: true})
	d.fold()
	d.crash()
	ask := func(q Query) []Row {
		q.Window = time.Hour
		return d.ask(q).Rows
	}
	if rows := ask(Query{Tenant: "acme"}); len(rows) != 1 || rows[0].Delivered != 2 || rows[0].Events != 1 || rows[0].Tenant != "" {
		t.Errorf("%+v", rows)
	}
	if rows := ask(Query{Tenant: "acme", ByDestination: true}); len(rows) != 2 || rows[0].Delivered != 1 || rows[1].Destination != "y" {
		t.Errorf("%+v", rows)
	}
	if rows := ask(Query{Tenant: "nobody"}); len(rows) != 0 {
		t.Errorf("%+v", rows)
	}
	if rows := ask(Query{}); len(rows) != 1 || rows[0].Delivered != 4 {
		t.Errorf("%+v", rows)
	}
	var all []Observation
	for i := range 3 * MaxSeries {
		all = append(all, of(fmt.Sprintf("tenant %d", i), "x"))
	}
	d.commit(all...)
	d.commit(success(d.at, "b", "z", time.Millisecond))
	d.fold()
	d.crash()
	if rows := ask(Query{ByType: true, ByDestination: true}); len(rows) != 3 || rows[0].Delivered != 3+3*MaxSeries || rows[2].Type != "b" {
		t.Errorf("%+v", rows)
	}
	if rows := ask(Query{Tenant: "acme"}); rows[0].Delivered != 2 {
		t.Errorf("%+v", rows)
	}
}

// What the first version has written has no tenants, and is read.
func TestFirstEncoding(t *testing.T) {
	s := &series{}
	s.Delivered = 7
	old := appendSeries(appendText(appendText([]byte{1, 1}, "a"), "x"), s)
	got, err := decodeSlot(old)
	if one := got[Key{Type: "a", Destination: "x"}]; err != nil || len(got) != 1 || one == nil || one.Delivered != 7 {
		t.Errorf("%v, error %v", got, err)
	}
}

// Invariant 3: many series share the last ones, and the totals stay.
func TestSeriesAreBounded(t *testing.T) {
	d := newDesk(t)
	const types, destinations = 200, 40
	for i := range types {
		var all []Observation
		for k := range destinations {
			all = append(all, success(d.at, fmt.Sprintf("type.%d", i), fmt.Sprintf("d%d", k), time.Millisecond))
		}
		d.commit(all...)
	}
	d.fold()
	d.crash()
	if rows := d.ask(Query{ByType: true, ByDestination: true, Window: time.Hour}).Rows; len(rows) > MaxSeries {
		t.Errorf("%d series", len(rows))
	}
	rows := d.ask(Query{ByDestination: true, Window: time.Hour}).Rows
	if len(rows) != destinations {
		t.Fatalf("%d destinations, want %d", len(rows), destinations)
	}
	for _, r := range rows {
		if r.Delivered != types {
			t.Errorf("%s: %d delivered, want %d", r.Destination, r.Delivered, types)
		}
	}
	for i := range 3 * MaxSeries {
		d.commit(success(d.at, "a", fmt.Sprintf("many%d", i), time.Millisecond))
	}
	rows = d.ask(Query{ByType: true, ByDestination: true, Window: time.Hour}).Rows
	var sum uint64
	for _, r := range rows {
		sum += r.Delivered
	}
	if want := uint64(types*destinations + 3*MaxSeries); len(rows) > MaxSeries || sum != want {
		t.Errorf("%d series with %d delivered, want %d", len(rows), sum, want)
	}
}

// What strangers send as types and tenants takes a bounded room, and totals stay.
func TestNamesAreBounded(t *testing.T) {
	d := newDesk(t)
	const n = 10_000
	long := strings.Repeat("x", 250)
	for i := 0; i < n; {
		var all []Observation
		for range 500 {
			at := d.at.Add(-time.Duration(i/500%4) * time.Minute)
			k := Key{Type: fmt.Sprint(long, i), Tenant: fmt.Sprint(long, i)}
			all = append(all, Observation{At: at, Key: k, Event: true})
			k.Destination = fmt.Sprint("destination-", i%50)
			all = append(all, Observation{At: at, Key: k, Tried: true, Latency: time.Duration(i) * time.Millisecond, End: Delivered, SinceReceived: time.Second})
			i++
		}
		d.commit(all...)
	}
	d.fold()
	docs, err := d.store.Documents(t.Context(), kindSlot)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range docs {
		if len(doc.Value) > 128<<10 {
			t.Errorf("%s takes %d bytes", doc.Name, len(doc.Value))
		}
	}
	d.crash()
	for _, window := range []time.Duration{24 * time.Hour, MaxWindow} {
		rows := d.ask(Query{Window: window}).Rows
		if len(rows) != 1 || rows[0].Events != n || rows[0].Delivered != n {
			t.Errorf("%s: %+v", window, rows)
		}
		rows = d.ask(Query{Window: window, ByDestination: true}).Rows
		if len(rows) != 50 || rows[7].Delivered != n/50 {
			t.Errorf("%s: %d destinations", window, len(rows))
		}
	}
}

// A week later everything is gone, also from the store; and a slot that is still
// asked for is not.
func TestOldSlotsGo(t *testing.T) {
	d := newDesk(t)
	for range 10 * 24 {
		d.commit(success(d.at, "a", "x", time.Millisecond))
		d.at = d.at.Add(time.Hour)
		d.fold()
	}
	if rows := d.ask(Query{Window: MaxWindow}).Rows; rows[0].Delivered != 7*24 {
		t.Errorf("%d in a week, want %d", rows[0].Delivered, 7*24)
	}
	most := 0
	for _, r := range resolutions {
		most += r.keep + 1
	}
	if n := d.documents(kindSlot); n > most {
		t.Errorf("%d slots are kept, want at most %d", n, most)
	}
	d.at = d.at.Add(8 * 24 * time.Hour)
	d.fold()
	if n := d.documents(kindSlot) + d.documents(kindDelta); n != 0 {
		t.Errorf("%d documents are left after a quiet week", n)
	}
}

// Windows begin at a slot's beginning, and points add up to their row.
func TestWindowsAndPoints(t *testing.T) {
	d := newDesk(t)
	for i := range 60 {
		d.commit(success(d.at.Add(-time.Duration(i)*time.Minute), "a", "x", time.Millisecond),
			Observation{At: d.at.Add(-time.Duration(i) * time.Minute), Key: Key{Type: "a"}, Event: true})
	}
	for window, want := range map[time.Duration]uint64{time.Minute: 2, 10 * time.Minute: 11, 59 * time.Minute: 60} {
		a := d.ask(Query{Window: window, Points: 10})
		if a.Rows[0].Delivered != want || a.Rows[0].Events != want {
			t.Errorf("%s: %d delivered of %d, want %d", window, a.Rows[0].Delivered, a.Rows[0].Events, want)
		}
		var sum uint64
		for i, p := range a.Rows[0].Points {
			sum += p.Delivered
			if want := a.Since.Add(time.Duration(i) * a.Step); !p.Begin.Equal(want) {
				t.Errorf("%s: point %d begins %s, want %s", window, i, p.Begin, want)
			}
		}
		if sum != want || len(a.Rows[0].Points) > 10 {
			t.Errorf("%s: %d points with %d delivered, want %d", window, len(a.Rows[0].Points), sum, want)
		}
	}
	for _, bad := range []time.Duration{0, -time.Hour, MaxWindow + 1} {
		if _, err := d.Ask(Query{Until: d.at, Window: bad}); err == nil {
			t.Errorf("a window of %s was taken", bad)
		}
	}
}

// Invariant 4: an hour back and forth loses nothing.
func TestClockJumps(t *testing.T) {
	d := newDesk(t)
	for _, jump := range []time.Duration{0, time.Hour, -2 * time.Hour, time.Hour} {
		d.at = d.at.Add(jump)
		d.commit(success(d.at, "a", "x", -time.Second))
		d.fold()
		d.crash()
	}
	d.at = d.at.Add(2 * time.Hour)
	if rows := d.ask(Query{Window: 24 * time.Hour}).Rows; rows[0].Delivered != 4 || rows[0].Attempt.Average != 0 {
		t.Errorf("got %+v, want 4 delivered", rows[0])
	}
}

// A document that is damaged is left out, and the rest counts.
func TestDamagedDocuments(t *testing.T) {
	d := newDesk(t)
	d.commit(success(d.at, "a", "x", time.Second))
	d.fold()
	_, err := d.store.Commit(context.Background(), &store.Record{Documents: []store.Document{
		{Kind: kindDelta, Name: "zz", Value: []byte{1}}, {Kind: kindDelta, Name: "00000000000000ff", Value: []byte{9, 9}},
		{Kind: kindSlot, Name: "1m0s 0", Value: []byte("x")}, {Kind: kindSlot, Name: "nothing", Value: nil},
		{Kind: kindSlot, Name: "3m0s 60", Value: []byte{1, 0}},
		{Kind: kindFlow, Name: "noon", Value: []byte{1, 0}}, {Kind: kindFlow, Name: "0", Value: []byte{1, 9}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	d.crash()
	d.commit(success(d.at, "a", "x", time.Second))
	d.fold()
	if rows := d.ask(Query{Window: time.Hour}).Rows; len(rows) != 1 || rows[0].Delivered != 2 {
		t.Errorf("got %v, want 2 delivered", rows)
	}
}

func FuzzDecode(f *testing.F) {
	t := table{}
	o := success(noon, "a", "x", time.Second)
	if err := t.get(o.Key).observe(&o); err != nil {
		f.Fatal(err)
	}
	f.Add(encodeSlot(t))
	f.Add(encodeDelta(&delta{map[int64]table{60: t}, map[int64]flows{3600: {{"r", ToDestination, "crm"}: 7}}}))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := decodeSlot(b); err == nil {
			again, err := decodeSlot(encodeSlot(got))
			if err != nil || !bytes.Equal(encodeSlot(again), encodeSlot(got)) {
				t.Errorf("%v: encoded and decoded it is another", err)
			}
		}
		if got, err := decodeDelta(b); err == nil {
			if _, err := decodeDelta(encodeDelta(got)); err != nil {
				t.Errorf("encoded and decoded: %v", err)
			}
		}
	})
}

func BenchmarkTally(b *testing.B) {
	system, err := storetest.NewMemory()()
	if err != nil {
		b.Fatal(err)
	}
	st, err := system.Open(context.Background(), storetest.Options{Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	book, err := Open(context.Background(), st, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	t := book.Tally()
	for i := range b.N {
		o := success(noon, "order.paid", "crm", time.Duration(i%1000)*time.Microsecond)
		t.Add(&o)
		if i%1000 == 999 {
			d, _ := t.Document()
			t.Committed(d)
			t = book.Tally()
		}
	}
}

// What waited is told over time, survives a crash once it is folded, and is deleted
// when it is too old.
func TestQueues(t *testing.T) {
	d := newDesk(t)
	ask := func() []Queue {
		t.Helper()
		a, err := d.Ask(Query{Until: d.at, Window: time.Hour, Points: 60})
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(a.Queues, func(q Queue) bool { return q.Depth == 0 && q.Oldest == 0 })
	}
	d.Sample(d.at, 7, 90*time.Second)
	d.Sample(d.at.Add(10*time.Second), 5, 100*time.Second)
	d.Sample(d.at.Add(time.Minute), 0, 0)
	d.at = d.at.Add(2 * time.Minute)
	d.Sample(d.at, 3, time.Second)
	if n := len(d.sampled); n != len(slices.Compact(slices.Sorted(slices.Values(d.sampled)))) {
		t.Errorf("%d slots are to be folded, some twice: %v", n, d.sampled)
	}
	want := []Queue{{noon, 7, 100 * time.Second}, {noon.Add(2 * time.Minute), 3, time.Second}}
	if got := ask(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := d.Fold(context.Background()); err != nil {
		t.Fatal(err)
	}
	d.Sample(d.at, 9, time.Second) // lost by the crash
	d.crash()
	if got := ask(); !slices.Equal(got, want) {
		t.Errorf("after a crash %+v, want %+v", got, want)
	}
	d.at = d.at.Add(8 * 24 * time.Hour)
	if err := d.Fold(context.Background()); err != nil {
		t.Fatal(err)
	}
	if docs, err := d.store.Documents(context.Background(), kindQueue); err != nil || len(docs) > 0 {
		t.Errorf("%d documents are kept for ever, error %v", len(docs), err)
	}
	for _, bad := range [][]byte{nil, {9}, {queueEncoding}, {queueEncoding, 1}, {queueEncoding, 1, 1, 1}} {
		if _, err := decodeQueue(bad); err == nil {
			t.Errorf("%v is read", bad)
		}
	}
}

// flow commits what went along routes.
func (d *desk) flow(went map[Flow]uint64) {
	d.t.Helper()
	t := d.Tally()
	add := t.Flows(d.at)
	for k, n := range went {
		add(k, n)
	}
	doc, ok := t.Document()
	if !ok {
		d.t.Fatal("nothing to count")
	}
	if _, err := d.store.Commit(d.t.Context(), &store.Record{Documents: []store.Document{doc}}); err != nil {
		d.t.Fatal(err)
	}
	t.Committed(doc)
}

// What went along routes is known of the last day, whatever is folded when, and
// whenever the process is killed; a fold that fails is made up for.
func TestFlows(t *testing.T) {
	d := newDesk(t)
	in, out := Flow{"r", FromSource, "events"}, Flow{"r", ToDestination, "crm"}
	knows := func(want map[Flow]uint64) {
		t.Helper()
		got, since := d.Flows()
		if !maps.Equal(got, want) || !since.Equal(d.at.Add(-FlowWindow).Truncate(time.Hour)) {
			t.Errorf("at %s: %v since %s, want %v", d.at, got, since, want)
		}
	}
	d.flow(map[Flow]uint64{in: 3, out: 2})
	knows(map[Flow]uint64{in: 3, out: 2})
	d.fold()
	d.at = d.at.Add(2 * time.Hour)
	d.flow(map[Flow]uint64{in: 1})
	d.fold()
	knows(map[Flow]uint64{in: 4, out: 2})
	d.flow(map[Flow]uint64{in: 10})
	knows(map[Flow]uint64{in: 14, out: 2})
	d.crash() // before it is folded
	knows(map[Flow]uint64{in: 14, out: 2})

	d.flow(map[Flow]uint64{out: 5})
	failing, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Fold(failing); err == nil {
		t.Fatal("the fold did not fail")
	}
	d.fold()
	d.crash()
	knows(map[Flow]uint64{in: 14, out: 7})

	d.at = d.at.Add(23 * time.Hour) // noon of the next day, and an hour more
	knows(map[Flow]uint64{in: 11, out: 5})
	d.fold()
	d.at = d.at.Add(-time.Hour) // by then it is gone
	knows(map[Flow]uint64{in: 11, out: 5})

	many := map[Flow]uint64{}
	for i := range maxFlows + 10 {
		many[Flow{fmt.Sprint("r", i), ToDestination, "crm"}] = 1
	}
	d.flow(many)
	got, _ := d.Flows()
	var sum uint64
	for _, n := range got {
		sum += n
	}
	if len(got) > maxFlows+3 || sum != maxFlows+10+16 || got[Flow{Other, ToDestination, Other}] == 0 {
		t.Errorf("%d counts, %d in all", len(got), sum)
	}
}

// Whatever is folded when and whenever the process is killed, flows are those of the
// records that were committed.
func TestFlowsAreExactAcrossCrashes(t *testing.T) {
	d := newDesk(t)
	rng := rand.New(rand.NewPCG(5, 6))
	want := map[Flow]uint64{}
	for range 300 {
		went := map[Flow]uint64{}
		for range 1 + rng.IntN(5) {
			k := Flow{fmt.Sprint("r", rng.IntN(3)), FlowKind(rng.IntN(3)), fmt.Sprint("n", rng.IntN(4))}
			went[k] += uint64(1 + rng.IntN(300))
		}
		d.flow(went)
		for k, n := range went {
			want[k] += n
		}
		switch rng.IntN(6) {
		case 0:
			d.fold()
		case 1:
			d.crash()
		case 2:
			d.at = d.at.Add(time.Duration(rng.IntN(600)-150) * time.Second) // the clock jumps, too
		}
	}
	if got, _ := d.Flows(); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// What versions before have written is read: flows had the number of series, and
// records had no flows.
func TestEarlierFlows(t *testing.T) {
	d := newDesk(t)
	k := Flow{"r", ToDestination, "crm"}
	hour := d.at.Unix() - mod(d.at.Unix(), flowWidth)
	old := []byte{2, 1, 1, 'r', 2, 3, 'c', 'r', 'm', 7}
	o := success(d.at, "a", "x", time.Second)
	tab := table{}
	if err := tab.get(o.Key).observe(&o); err != nil {
		t.Fatal(err)
	}
	minute := d.at.Unix() - mod(d.at.Unix(), 60)
	record := appendTable(binary.AppendVarint([]byte{2, 1}, minute), tab)
	if _, err := d.store.Commit(t.Context(), &store.Record{Documents: []store.Document{
		{Kind: kindFlow, Name: fmt.Sprint(hour), Value: old}, {Kind: kindDelta, Name: "0000000000000001", Value: record},
	}}); err != nil {
		t.Fatal(err)
	}
	d.crash()
	d.flow(map[Flow]uint64{k: 1})
	d.fold()
	d.crash()
	if got, _ := d.Flows(); !maps.Equal(got, map[Flow]uint64{k: 8}) {
		t.Errorf("%v", got)
	}
	if rows := d.ask(Query{Window: time.Hour}).Rows; len(rows) != 1 || rows[0].Delivered != 1 {
		t.Errorf("%v", rows)
	}
}
