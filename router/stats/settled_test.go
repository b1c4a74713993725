package stats

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// What is kept of an answer never changes one: a book that is asked all the time says
// what one says that has just been opened, whatever was counted, folded and forgotten
// between.
func TestKeptSumsChangeNoAnswer(t *testing.T) {
	d := newDesk(t)
	rng := rand.New(rand.NewPCG(7, 8))
	var questions []Query
	for _, window := range []time.Duration{time.Hour, 24 * time.Hour, MaxWindow} {
		questions = append(questions, Query{Window: window}, Query{Window: window, Points: 20},
			Query{Window: window, ByDestination: true, Points: 7}, Query{Window: window, ByType: true, Destination: "a"})
	}
	for range 15 {
		for range rng.IntN(4) {
			at := d.at.Add(-time.Duration(rng.Int64N(int64(2 * time.Hour)))) // into sealed slots, too
			o := success(at, fmt.Sprint("t", rng.IntN(3)), string(rune('a'+rng.IntN(3))), time.Duration(1+rng.IntN(1000))*time.Millisecond)
			if rng.IntN(3) == 0 {
				o.Reason, o.End = "status", NotEnded
			}
			d.commit(o)
		}
		if rng.IntN(2) == 0 {
			d.fold()
		}
		if rng.IntN(2) == 0 {
			d.at = d.at.Add(time.Duration(rng.Int64N(int64(3 * time.Hour))))
		}
		fresh := &desk{t: t, store: d.store, at: d.at}
		var err error
		if fresh.Book, err = Open(t.Context(), d.store, Options{Now: func() time.Time { return d.at }}); err != nil {
			t.Fatal(err)
		}
		for _, q := range questions {
			d.ask(q) // the second one is answered by what is kept
			got, want := d.ask(q), fresh.ask(q)
			got.Queues, want.Queues = nil, nil
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v was answered\n%+v, want\n%+v", q, got, want)
			}
			for i := range got.Rows { // an answer is the caller's
				got.Rows[i].Failures, got.Rows[i].Attempts = map[string]uint64{"changed": 1}, 0
				for k := range got.Rows[i].Points {
					got.Rows[i].Points[k] = Point{}
				}
			}
		}
	}
}

// Kept sums are bounded, however many questions come.
func TestKeptSumsAreBounded(t *testing.T) {
	d := newDesk(t)
	var all []Observation
	for i := range 400 {
		all = append(all, success(noon, "t", fmt.Sprint("d", i), time.Millisecond))
	}
	d.commit(all...)
	d.fold()
	d.fold() // nobody writes the slots any more
	for i := range 30 {
		d.ask(Query{Window: time.Hour, ByDestination: true, Points: i + 1})
	}
	series := 0
	for _, k := range d.settled.list {
		series += len(k.sum.series)
	}
	if series == 0 || series > keptSeries {
		t.Errorf("%d series are kept", series)
	}
}
