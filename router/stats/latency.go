package stats

import (
	"fmt"
	"math"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// indexing is the same in all sketches, so that they can be added up, and is not
// stored with each.
var indexing = mustIndexing()

// bounded is a mapping with the indexes of what it can map.
type bounded struct {
	mapping.IndexMapping
	minIndex, maxIndex int
}

func mustIndexing() bounded {
	m, err := mapping.NewLogarithmicMapping(Accuracy)
	if err != nil {
		panic(err) // the accuracy is a constant
	}
	return bounded{m, m.Index(m.MinIndexableValue()), m.Index(time.Duration(math.MaxInt64).Seconds())}
}

// latency is a distribution of durations: its sum and count are exact, as far as a
// duration holds the sum.
type latency struct {
	count  uint64
	sum    time.Duration
	sketch *ddsketch.DDSketch // nil until there is something
}

// sparse keeps a bin only where something fell into it: a series has few.
func sparse() store.Store { return store.NewSparseStore() }

func newSketch() *ddsketch.DDSketch {
	return ddsketch.NewDDSketch(indexing.IndexMapping, sparse(), sparse())
}

// add counts a duration. Negative ones, of a clock that went back, are 0.
func (l *latency) add(d time.Duration) error {
	d = max(d, 0)
	if l.sketch == nil {
		l.sketch = newSketch()
	}
	if err := l.sketch.Add(d.Seconds()); err != nil {
		return fmt.Errorf("latency %s: %w", d, err)
	}
	l.count++
	l.sum = added(l.sum, d)
	return nil
}

// added stops at the largest duration: a sum that went round would be negative, and
// such a document can't be read again.
func added(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func (l *latency) merge(o *latency) error {
	if o.sketch == nil {
		return nil
	}
	if l.sketch == nil {
		l.sketch = newSketch()
	}
	if err := l.sketch.MergeWith(o.sketch); err != nil {
		return fmt.Errorf("latencies: %w", err)
	}
	l.count += o.count
	l.sum = added(l.sum, o.sum)
	return nil
}

// Latency sums up a distribution of durations.
type Latency struct {
	Count         uint64
	Average       time.Duration
	P50, P95, P99 time.Duration
}

// rank is the quantile as the sketch counts it: the smallest value that has at least
// the part q of all values at or below it, so that of few values p99 is the largest.
func (l *latency) rank(q float64) float64 {
	if l.count == 1 {
		return 0
	}
	// A little less, or 0.95 of 20 values would be the 20th.
	return (math.Ceil(q*float64(l.count)-1e-9) - 1) / float64(l.count-1)
}

// summary of nothing is all zero.
func (l *latency) summary() (Latency, error) {
	if l.count == 0 {
		return Latency{}, nil
	}
	q, err := l.sketch.GetValuesAtQuantiles([]float64{l.rank(0.5), l.rank(0.95), l.rank(0.99)})
	if err != nil {
		return Latency{}, fmt.Errorf("latencies: %w", err)
	}
	seconds := func(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }
	return Latency{
		Count: l.count, Average: l.sum / time.Duration(l.count),
		P50: seconds(q[0]), P95: seconds(q[1]), P99: seconds(q[2]),
	}, nil
}
