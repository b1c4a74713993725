package stats

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"
)

// errEncoding is a document that this package did not write.
var errEncoding = errors.New("malformed statistics")

// encoding is the version of what is written of series. The first had no tenants.
const encoding = 2

// deltaEncoding is that of what a record adds. The first two had no flows, and are
// else those of series.
const deltaEncoding = 3

// appendTable appends the series of a slot or of what a record adds, in the order
// of their keys.
func appendTable(b []byte, t table) []byte {
	keys := slices.SortedFunc(maps.Keys(t), func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Tenant, b.Tenant))
	})
	b = binary.AppendUvarint(b, uint64(len(keys)))
	for _, k := range keys {
		b = appendText(b, k.Type)
		b = appendText(b, k.Destination)
		b = appendText(b, k.Tenant)
		b = appendSeries(b, t[k])
	}
	return b
}

func appendSeries(b []byte, s *series) []byte {
	for _, n := range []uint64{s.Events, s.Delivered, s.Dead, s.Cancelled, s.Attempts, s.Retries, uint64(len(s.Failures))} {
		b = binary.AppendUvarint(b, n)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Failures)) {
		b = appendText(b, reason)
		b = binary.AppendUvarint(b, s.Failures[reason])
	}
	b = appendLatency(b, &s.attempts)
	return appendLatency(b, &s.deliveries)
}

// appendLatency writes the bins of the sketch in order, so that equal statistics
// have equal bytes.
func appendLatency(b []byte, l *latency) []byte {
	b = binary.AppendUvarint(b, l.count)
	if l.count == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(l.sum))
	b = binary.AppendUvarint(b, uint64(l.sketch.GetZeroCount()))
	var bins []bin
	l.sketch.GetPositiveValueStore().ForEach(func(index int, count float64) bool {
		bins = append(bins, bin{index, uint64(count)})
		return false
	})
	slices.SortFunc(bins, func(x, y bin) int { return cmp.Compare(x.index, y.index) })
	b = binary.AppendUvarint(b, uint64(len(bins)))
	last := 0
	for _, x := range bins {
		b = binary.AppendVarint(b, int64(x.index-last))
		b = binary.AppendUvarint(b, x.count)
		last = x.index
	}
	return b
}

// bin of a sketch.
type bin struct {
	index int
	count uint64
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader reads what was appended. After an error it gives zeroes.
type reader struct {
	b       []byte
	version byte
	err     error
}

// read begins after the version.
func read(b []byte, newest byte) (*reader, error) {
	if len(b) == 0 || b[0] == 0 || b[0] > newest {
		return nil, fmt.Errorf("%w: version", errEncoding)
	}
	return &reader{b: b[1:], version: b[0]}, nil
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) delta() int {
	n, size := binary.Varint(r.b)
	if size <= 0 || n > math.MaxInt32 || n < math.MinInt32 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return int(n)
}

// time is in seconds since 1970.
func (r *reader) time() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errEncoding
	}
	r.b = nil
}

// count is a number of things that take at least a byte each.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) table() table {
	n := r.count()
	t := make(table, n)
	for range n {
		k := Key{Type: r.text(), Destination: r.text()}
		if r.version > 1 {
			k.Tenant = r.text()
		}
		s := r.series()
		if r.err != nil {
			return nil
		}
		t[k] = s
	}
	return t
}

func (r *reader) series() *series {
	s := &series{}
	for _, to := range []*uint64{&s.Events, &s.Delivered, &s.Dead, &s.Cancelled, &s.Attempts, &s.Retries} {
		*to = r.number()
	}
	for range r.count() {
		reason := r.text()
		if n := r.number(); r.err == nil {
			s.fail(reason, n)
		}
	}
	s.attempts = r.latency()
	s.deliveries = r.latency()
	return s
}

func (r *reader) latency() latency {
	l := latency{count: r.number()}
	if l.count == 0 {
		return latency{}
	}
	l.sum = time.Duration(r.number())
	zero := r.number()
	left := l.count - zero
	bins := sparse()
	index := 0
	for range r.count() {
		index += r.delta()
		n := r.number()
		if r.err != nil || n == 0 || n > left || index < indexing.minIndex || index > indexing.maxIndex {
			r.fail()
			return latency{}
		}
		left -= n
		bins.AddWithCount(index, float64(n))
	}
	if r.err != nil || zero > l.count || left != 0 || l.sum < 0 {
		r.fail()
		return latency{}
	}
	l.sketch = ddsketch.NewDDSketch(indexing.IndexMapping, bins, sparse())
	if zero > 0 {
		if err := l.sketch.AddWithCount(0, float64(zero)); err != nil {
			r.fail()
			return latency{}
		}
	}
	return l
}

// encodeSlot is the document of a slot.
func encodeSlot(t table) []byte { return appendTable([]byte{encoding}, t) }

func decodeSlot(b []byte) (table, error) {
	r, err := read(b, encoding)
	if err != nil {
		return nil, err
	}
	t := r.table()
	if r.err == nil && len(r.b) > 0 {
		r.fail()
	}
	if r.err != nil {
		return nil, r.err
	}
	return t, nil
}

// delta is what a record adds: a table a minute, and flows by the hour.
type delta struct {
	minutes map[int64]table
	hours   map[int64]flows
}

func encodeDelta(d *delta) []byte {
	b := binary.AppendUvarint([]byte{deltaEncoding}, uint64(len(d.minutes)))
	for _, minute := range slices.Sorted(maps.Keys(d.minutes)) {
		b = binary.AppendVarint(b, minute)
		b = appendTable(b, d.minutes[minute])
	}
	b = binary.AppendUvarint(b, uint64(len(d.hours)))
	for _, hour := range slices.Sorted(maps.Keys(d.hours)) {
		b = binary.AppendVarint(b, hour)
		b = appendFlows(b, d.hours[hour])
	}
	return b
}

func decodeDelta(b []byte) (*delta, error) {
	r, err := read(b, deltaEncoding)
	if err != nil {
		return nil, err
	}
	d := &delta{minutes: map[int64]table{}, hours: map[int64]flows{}}
	for range r.count() {
		minute := r.time()
		d.minutes[minute] = r.table()
	}
	if r.version > 2 {
		for range r.count() {
			hour := r.time()
			d.hours[hour] = r.flows()
		}
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail()
	}
	if r.err != nil {
		return nil, r.err
	}
	return d, nil
}
