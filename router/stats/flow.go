package stats

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/weirhq/weir/router/store"
)

// kindFlow is the document of what went along routes in an hour, by the hour's
// beginning in seconds since 1970.
const kindFlow = "stats-flow"

// flowEncoding is the version of what is written of flows. They began with the second
// of series.
const flowEncoding = 2

const (
	flowWidth = int64(time.Hour / time.Second)
	// FlowWindow is how far back flows are known, but for the hour that it begins in,
	// which is known whole.
	FlowWindow = 24 * time.Hour
	// maxFlows bounds the counts of an hour; what is beyond counts under [Other].
	maxFlows = 10_000
)

// Flow is one way into a route, along it, or out of it.
type Flow struct {
	// Route is empty for what a source took in, whatever became of it.
	Route string
	Kind  FlowKind
	// Name is that of the source, the plugin or the destination.
	Name string
}

// FlowKind says what the name of a flow is of. It is stored.
type FlowKind uint8

// The kinds.
const (
	FromSource FlowKind = iota
	ThroughPlugin
	ToDestination
)

// flows are counts of some time.
type flows map[Flow]uint64

// add counts n more, where there is room by that name.
func (f flows) add(k Flow, n uint64) {
	if _, ok := f[k]; !ok && len(f) >= maxFlows {
		k = Flow{Route: Other, Kind: k.Kind, Name: Other}
	}
	f[k] += n
}

// flowing are counts of an hour.
type flowing struct {
	counts flows
	dirty  bool // they differ from the store's document
}

// appendFlows appends them in the order of their keys.
func appendFlows(b []byte, f flows) []byte {
	keys := slices.SortedFunc(maps.Keys(f), func(a, b Flow) int {
		return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	b = binary.AppendUvarint(b, uint64(len(keys)))
	for _, k := range keys {
		b = append(appendText(b, k.Route), byte(k.Kind))
		b = binary.AppendUvarint(appendText(b, k.Name), f[k])
	}
	return b
}

func (r *reader) flows() flows {
	n := r.count()
	f := make(flows, n)
	for range n {
		k := Flow{Route: r.text(), Kind: FlowKind(r.number())}
		k.Name = r.text()
		f[k] = r.number()
	}
	return f
}

func encodeFlows(f flows) []byte { return appendFlows([]byte{flowEncoding}, f) }

func decodeFlows(value []byte) (flows, error) {
	if len(value) == 0 || value[0] != flowEncoding {
		return nil, errEncoding
	}
	r := &reader{b: value[1:]}
	f := r.flows()
	if len(r.b) > 0 {
		r.fail()
	}
	return f, r.err
}

// openFlows reads what the store has of them.
func (b *Book) openFlows(ctx context.Context) error {
	docs, err := b.store.Documents(ctx, kindFlow)
	if err != nil {
		return err
	}
	for _, d := range docs {
		at, err := strconv.ParseInt(d.Name, 10, 64)
		var f flows
		if err == nil {
			f, err = decodeFlows(d.Value)
		}
		if err != nil {
			b.log.Warn("what went along routes in an hour can't be read, and is left out", "document", d.Name, "error", err)
			continue
		}
		b.flows[at] = &flowing{counts: f}
	}
	return nil
}

// mergeFlows adds what a record has counted, by hour. The mutex is held, or nobody
// else knows b yet.
func (b *Book) mergeFlows(hours map[int64]flows) {
	for at, counts := range hours {
		if at < b.oldestFlow() {
			continue
		}
		f := b.flows[at]
		if f == nil {
			f = &flowing{counts: flows{}}
			b.flows[at] = f
		}
		f.dirty = true
		for k, n := range counts {
			f.counts.add(k, n)
		}
	}
}

// Flows gives what went along each route within [FlowWindow], and since when that is.
func (b *Book) Flows() (counts map[Flow]uint64, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.oldestFlow()
	counts = map[Flow]uint64{}
	for at, f := range b.flows {
		if at >= first {
			for k, n := range f.counts {
				counts[k] += n
			}
		}
	}
	return counts, time.Unix(first, 0).UTC()
}

// oldestFlow is the beginning of the oldest hour that is kept.
func (b *Book) oldestFlow() int64 {
	first := b.now().Add(-FlowWindow).Unix()
	return first - mod(first, flowWidth)
}

// flowDocuments are what a fold writes of the flows, and deletes. The mutex is held.
func (b *Book) flowDocuments() []store.Document {
	var list []store.Document
	for at, f := range b.flows {
		switch name := strconv.FormatInt(at, 10); {
		case at < b.oldestFlow():
			delete(b.flows, at)
			list = append(list, store.Document{Kind: kindFlow, Name: name})
		case f.dirty:
			f.dirty = false
			list = append(list, store.Document{Kind: kindFlow, Name: name, Value: encodeFlows(f.counts)})
		}
	}
	return list
}

// flowChanged notes an hour for the next fold. The mutex is held.
func (b *Book) flowChanged(name string) {
	if at, err := strconv.ParseInt(name, 10, 64); err == nil && b.flows[at] != nil {
		b.flows[at].dirty = true
	}
}
