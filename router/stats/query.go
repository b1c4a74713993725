package stats

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Query selects what to add up.
type Query struct {
	// ByType and ByDestination say what has a row of its own. By destination there
	// is no row for what belongs to none, such as the number of events.
	ByType, ByDestination bool
	// Type, Destination and Tenant select series, all where they are empty.
	Type, Destination, Tenant string
	// Until is the end of the window, and Window its length: more than 0, at most
	// [MaxWindow]. It begins at the beginning of a slot, so it may be longer by a
	// minute, from 60 minutes on by a quarter of an hour, and from a day on by an
	// hour.
	Until  time.Time
	Window time.Duration
	// Points asks for the counts over time, in about so many steps; 0 for none.
	Points int
}

// Row is the sum of the series with the same Key, whose fields are empty where the
// query does not tell them apart.
type Row struct {
	Key
	Counts
	// Attempt is how long attempts took, Delivery the time from an event's arrival
	// to its success.
	Attempt, Delivery Latency
	Points            []Point
}

// Point is a row's counts in one step of time.
type Point struct {
	// Begin of the step.
	Begin                                    time.Time
	Events, Delivered, Dead, Failed, Retries uint64
	// Failures are the failed attempts by reason.
	Failures map[string]uint64
}

// Answer to a query.
type Answer struct {
	// Since is when the window begins, and Step the time between points.
	Since time.Time
	Step  time.Duration
	// Rows are in the order of their keys.
	Rows []Row
	// Queues are what waited over time, in the same steps, where Points were asked
	// for.
	Queues []Queue
}

// Ask adds up.
func (b *Book) Ask(q Query) (*Answer, error) {
	if q.Window <= 0 || q.Window > MaxWindow {
		return nil, fmt.Errorf("a window is more than 0 and at most %s, not %s", MaxWindow, q.Window)
	}
	i := resolutionFor(q.Window)
	width := int64(resolutions[i].width / time.Second)
	first := q.Until.Add(-q.Window).Unix()
	first -= mod(first, width)
	last := q.Until.Unix()
	a := &Answer{Since: time.Unix(first, 0).UTC()}
	steps := 0
	step := width
	if q.Points > 0 {
		slots := (last-first)/width + 1
		step = width * max(1, (slots+int64(q.Points)-1)/int64(q.Points))
		steps = int((last-first)/step) + 1
		a.Step = time.Duration(step) * time.Second
	}
	of := span{Query: q, first: first, last: last - mod(last, width), step: step, steps: steps}
	of.Until = time.Time{} // it says nothing more
	// One question at a time: who asks the same gains by what was added up for another.
	b.asking.Lock()
	defer b.asking.Unlock()
	fresh, sealed, generation, err := b.look(i, of)
	if err != nil {
		return nil, err
	}
	settled, err := b.settled.add(of, generation, sealed)
	if err != nil {
		return nil, err
	}
	if steps > 0 {
		a.Queues = b.queuePoints(i, first, last, step, steps)
	}
	if a.Rows, err = rows(settled, fresh); err != nil {
		return nil, err
	}
	slices.SortFunc(a.Rows, func(x, y Row) int {
		return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(x.Destination, y.Destination))
	})
	return a, nil
}

func newPoints(first, step int64, n int) []Point {
	all := make([]Point, n)
	for i := range all {
		all[i].Begin = time.Unix(first+int64(i)*step, 0).UTC()
	}
	return all
}
