package stats

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// span is a question without the moment at which it is asked: with the same slots it
// has the same answer.
type span struct {
	Query
	// first and last are its first slot and its last, step and steps those of points.
	first, last, step int64
	steps             int
}

// sum is what slots add up to, for one span.
type sum struct {
	of     span
	series map[Key]*series
	points map[Key][]Point
	// rows are what was made of series that nothing is added to any more.
	rows map[Key]*Row
}

func newSum(of span) *sum {
	return &sum{of: of, series: map[Key]*series{}, points: map[Key][]Point{}, rows: map[Key]*Row{}}
}

// add adds a slot.
func (s *sum) add(at int64, t table) error {
	q := &s.of.Query
	for k, one := range t {
		if q.Type != "" && q.Type != k.Type || q.Destination != "" && q.Destination != k.Destination || q.Tenant != "" && q.Tenant != k.Tenant {
			continue
		}
		if q.ByDestination && k.Destination == "" {
			continue // what belongs to no destination
		}
		k.Tenant = ""
		if !q.ByType {
			k.Type = ""
		}
		if !q.ByDestination {
			k.Destination = ""
		}
		to := s.series[k]
		if to == nil {
			to = &series{}
			s.series[k] = to
			if s.of.steps > 0 {
				s.points[k] = newPoints(s.of.first, s.of.step, s.of.steps)
			}
		}
		if err := to.merge(one); err != nil {
			return fmt.Errorf("statistics: %w", err)
		}
		if s.of.steps > 0 {
			p := &s.points[k][(at-s.of.first)/s.of.step]
			p.add(&Point{
				Events: one.Events, Delivered: one.Delivered, Dead: one.Dead, Failed: one.Failed(), Retries: one.Retries, Failures: one.Failures,
			})
		}
	}
	return nil
}

func (p *Point) add(o *Point) {
	p.Events += o.Events
	p.Delivered += o.Delivered
	p.Dead += o.Dead
	p.Failed += o.Failed
	p.Retries += o.Retries
	for reason, n := range o.Failures {
		if p.Failures == nil {
			p.Failures = map[string]uint64{}
		}
		p.Failures[reason] += n
	}
}

func newRow(k Key, s *series, points []Point) (*Row, error) {
	r := &Row{Key: k, Counts: s.Counts, Points: points}
	var err error
	if r.Attempt, err = s.attempts.summary(); err != nil {
		return nil, err
	}
	if r.Delivery, err = s.deliveries.summary(); err != nil {
		return nil, err
	}
	return r, nil
}

// own is a copy that the caller may keep.
func (r *Row) own() Row {
	c := *r
	c.Failures = maps.Clone(r.Failures)
	c.Points = slices.Clone(r.Points)
	for i := range c.Points {
		c.Points[i].Failures = maps.Clone(c.Points[i].Failures)
	}
	return c
}

// rows are those of two sums of one span, the first of which stays as it is.
func rows(settled, fresh *sum) ([]Row, error) {
	var all []Row
	for k, old := range settled.series {
		more := fresh.series[k]
		if more == nil {
			r := settled.rows[k]
			if r == nil {
				var err error
				if r, err = newRow(k, old, settled.points[k]); err != nil {
					return nil, err
				}
				settled.rows[k] = r
			}
			all = append(all, r.own())
			continue
		}
		if err := more.merge(old); err != nil {
			return nil, fmt.Errorf("statistics: %w", err)
		}
		for i := range fresh.points[k] {
			fresh.points[k][i].add(&settled.points[k][i])
		}
	}
	for k, s := range fresh.series {
		r, err := newRow(k, s, fresh.points[k])
		if err != nil {
			return nil, err
		}
		all = append(all, r.own()) // what a slot counts is not the caller's
	}
	return all, nil
}

// placed is a slot that nobody changes, and when it begins.
type placed struct {
	at     int64
	sealed []byte
}

// look adds up the slots of a resolution that are being written, and gives the others
// as they are, with the generation that they are of.
func (b *Book) look(resolution int, of span) (fresh *sum, sealed []placed, generation uint64, err error) {
	fresh = newSum(of)
	b.mu.Lock()
	defer b.mu.Unlock()
	for at, s := range b.slots[resolution] {
		switch {
		case at < of.first || at > of.last:
		case s.live == nil:
			sealed = append(sealed, placed{at, s.sealed})
		default:
			if err := fresh.add(at, s.live); err != nil {
				return nil, nil, 0, err
			}
		}
	}
	return fresh, sealed, b.generation, nil
}

// keptSeries bounds the memory of kept sums, keptFor how long one is kept that nobody
// asks for: pages ask again within seconds.
const (
	keptSeries = 4 * MaxSeries
	keptFor    = 2 * time.Minute
)

// sums keeps what sealed slots add up to, so that a page which is looked at again and
// again does not add up days each time. Book.asking guards it.
type sums struct {
	list []keptSum // the one asked for last at the end
}

type keptSum struct {
	sum        *sum
	generation uint64
	asked      time.Time
}

// add adds up sealed slots, unless that is known.
func (s *sums) add(of span, generation uint64, sealed []placed) (*sum, error) {
	now := time.Now()
	s.list = slices.DeleteFunc(s.list, func(k keptSum) bool { return k.generation != generation || now.Sub(k.asked) > keptFor })
	if i := slices.IndexFunc(s.list, func(k keptSum) bool { return k.sum.of == of }); i >= 0 {
		k := s.list[i]
		k.asked = now
		s.list = append(slices.Delete(s.list, i, i+1), k)
		return k.sum, nil
	}
	all := newSum(of)
	for _, p := range sealed {
		t, err := decodeSlot(p.sealed)
		if err != nil {
			return nil, fmt.Errorf("statistics: %w", err)
		}
		if err := all.add(p.at, t); err != nil {
			return nil, err
		}
	}
	s.list = append(s.list, keptSum{all, generation, now})
	series := 0
	for i := len(s.list) - 1; i >= 0; i-- {
		if series += len(s.list[i].sum.series); series > keptSeries {
			s.list = slices.Delete(s.list, 0, i+1)
			break
		}
	}
	return all, nil
}
