package codec

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"

	"github.com/weirhq/weir/router/store"
)

const (
	deliverySeveral = 1 << iota
	deliveryContent
	deliveryDue
	deliveryDead
	deliveryError
	deliveryReplay
	deliveryGone
	deliveryFormat
)

// routingVersion is 2 since verdicts have fuel, and 3 since they have logs, and
// matches the configuration that decided them. Contents may be cut since 4. Matches
// have the version of a webhook's rule in 5, which only rows are of that have one.
const (
	routingVersion   = 4
	versionedRouting = 5
)

const (
	contentHeaderChanged = 1 << iota
	contentOutside
	contentCut
	contentFlags = 1<<iota - 1
)

// Routing is a routing as a row has it.
type Routing struct {
	store.Routing
	// Outside says for each content how many bytes its data has in a row of its
	// own, or -1 where the data is in this one.
	Outside []int
	// Gone are the deliveries that retention has taken.
	Gone map[uint32]bool
}

// AppendRouting appends r, but for its position and Again. Names of lanes are
// written once each, so that a delivery takes about 6 bytes beside its lane's
// name.
func AppendRouting(b []byte, r *Routing) []byte {
	versioned := slices.ContainsFunc(r.Matches, func(m store.Match) bool { return m.Version != 0 })
	if versioned {
		b = append(b, versionedRouting)
	} else {
		b = append(b, routingVersion)
	}
	b = appendHash(b, r.Config)
	b = binary.AppendUvarint(b, uint64(len(r.Matches)))
	for i := range r.Matches {
		m := &r.Matches[i]
		b = appendString(b, m.Route)
		b = appendString(b, m.Config)
		if versioned {
			b = binary.AppendUvarint(b, m.Version)
		}
		b = binary.AppendUvarint(b, uint64(len(m.Plugins)))
		for j := range m.Plugins {
			b = appendVerdict(b, &m.Plugins[j])
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.Contents)))
	for i := range r.Contents {
		outside := -1
		if i < len(r.Outside) {
			outside = r.Outside[i]
		}
		b = appendContent(b, &r.Contents[i], outside)
	}

	names := table{at: make(map[string]int)}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		names.add(d.Lane)
		if d.Replay != "" {
			names.add(d.Replay)
		}
		if d.Format != "" {
			names.add(d.Format)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(names.list)))
	for _, n := range names.list {
		b = appendString(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Deliveries)))
	for i := range r.Deliveries {
		b = appendDelivery(b, &r.Deliveries[i], names.at, r.Gone[uint32(i)])
	}
	return b
}

// table numbers names by first appearance.
type table struct {
	list []string
	at   map[string]int
}

func (t *table) add(s string) {
	if _, ok := t.at[s]; !ok {
		t.at[s] = len(t.list)
		t.list = append(t.list, s)
	}
}

// DecodeRouting decodes bytes of [AppendRouting]. Contents whose data is outside
// come without it.
func DecodeRouting(position uint64, b []byte) (*Routing, error) {
	r := newReaderOf("routing", string(b), versionedRouting)
	out := &Routing{}
	out.Position = position
	out.Config = r.hash()
	if n := r.count(2); n > 0 {
		out.Matches = make([]store.Match, 0, n)
		for range n {
			out.Matches = append(out.Matches, r.match())
		}
	}
	if n := r.count(7); n > 0 {
		out.Contents = make([]store.Content, 0, n)
		out.Outside = make([]int, 0, n)
		for range n {
			c, outside := r.content()
			out.Contents = append(out.Contents, c)
			out.Outside = append(out.Outside, outside)
		}
	}
	var names []string
	if n := r.count(1); n > 0 {
		names = make([]string, 0, n)
		for range n {
			names = append(names, r.string())
		}
	}
	if n := r.count(4); n > 0 {
		out.Deliveries = make([]store.Delivery, 0, n)
		for i := range n {
			d, gone := r.delivery(names, len(out.Matches), len(out.Contents))
			if gone && r.err == nil {
				if out.Gone == nil {
					out.Gone = map[uint32]bool{}
				}
				out.Gone[uint32(i)] = true
			}
			out.Deliveries = append(out.Deliveries, d)
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return out, nil
}

// appendHash halves the size of a hash in lower-case hex, and takes any string.
func appendHash(b []byte, s string) []byte {
	if len(s) > 0 && len(s)%2 == 0 && len(s) <= 128 {
		if raw, err := hex.DecodeString(s); err == nil && hex.EncodeToString(raw) == s {
			b = append(b, byte(len(raw)))
			return append(b, raw...)
		}
	}
	b = append(b, 0)
	return appendString(b, s)
}

func (r *reader) hash() string {
	n := int(r.byte())
	if n == 0 {
		return r.string()
	}
	if n > len(r.s) || n > 64 {
		r.fail("a hash ends too early")
		return ""
	}
	v := hex.EncodeToString([]byte(r.s[:n]))
	r.s = r.s[n:]
	return v
}

func appendVerdict(b []byte, v *store.Verdict) []byte {
	b = appendString(b, v.Plugin)
	b = appendHash(b, v.Build)
	b = binary.AppendUvarint(b, uint64(max(v.Message, 0)))
	b = appendString(b, v.Filter)
	b = appendString(b, v.Transform)
	b = appendString(b, v.Class)
	b = appendString(b, v.Error)
	b = binary.AppendVarint(b, int64(v.Duration))
	b = binary.AppendVarint(b, v.Fuel)
	b = binary.AppendUvarint(b, uint64(len(v.Logs)))
	for _, l := range v.Logs {
		b = binary.AppendUvarint(b, uint64(max(l.Level, 0)))
		b = appendString(b, l.Text)
	}
	return b
}

func (r *reader) match() store.Match {
	m := store.Match{Route: r.string()}
	if r.version >= 3 {
		m.Config = r.string()
	}
	if r.version >= versionedRouting {
		m.Version = r.uvarint()
	}
	if n := r.count(8); n > 0 {
		m.Plugins = make([]store.Verdict, 0, n)
		for range n {
			v := store.Verdict{
				Plugin: r.string(), Build: r.hash(), Message: r.int(),
				Filter: r.string(), Transform: r.string(),
				Class: r.string(), Error: r.string(), Duration: r.duration(),
			}
			if r.version >= 2 {
				v.Fuel = r.varint()
			}
			if r.version >= 3 {
				for range r.count(2) {
					v.Logs = append(v.Logs, store.Log{Level: r.int(), Text: r.string()})
				}
			}
			m.Plugins = append(m.Plugins, v)
		}
	}
	return m
}

func appendContent(b []byte, c *store.Content, outside int) []byte {
	var flags byte
	if c.HeaderChanged {
		flags |= contentHeaderChanged
	}
	if outside >= 0 {
		flags |= contentOutside
	}
	if c.Head > 0 || c.Tail > 0 {
		flags |= contentCut
	}
	b = append(b, flags)
	b = appendString(b, c.Type)
	b = appendString(b, c.Subject)
	b = appendString(b, c.ContentType)
	b = appendFields(b, c.Header)
	b = appendFields(b, c.SetHeader)
	if flags&contentCut != 0 {
		b = binary.AppendUvarint(b, uint64(c.Head))
		b = binary.AppendUvarint(b, uint64(c.Tail))
	}
	if outside >= 0 {
		return binary.AppendUvarint(b, uint64(outside))
	}
	return appendBytes(b, c.Data)
}

func (r *reader) content() (store.Content, int) {
	flags := r.byte()
	c := store.Content{
		HeaderChanged: flags&contentHeaderChanged != 0,
		Type:          r.string(), Subject: r.string(), ContentType: r.string(),
		Header: r.fields(), SetHeader: r.fields(),
	}
	if flags&^contentFlags != 0 {
		r.fail("unknown flags of a content")
	}
	if flags&contentCut != 0 {
		c.Head, c.Tail = r.int(), r.int()
	}
	if flags&contentOutside != 0 {
		return c, r.int()
	}
	c.Data = r.bytes()
	return c, -1
}

func appendDelivery(b []byte, d *store.Delivery, names map[string]int, gone bool) []byte {
	var flags byte
	set := func(bit byte, on bool) {
		if on {
			flags |= bit
		}
	}
	set(deliverySeveral, d.Several)
	set(deliveryContent, d.Content >= 0)
	set(deliveryDue, !d.Due.IsZero())
	set(deliveryDead, d.Dead != "")
	set(deliveryError, d.Error != "")
	set(deliveryReplay, d.Replay != "")
	set(deliveryGone, gone)
	set(deliveryFormat, d.Format != "")
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(d.Match))
	b = binary.AppendUvarint(b, uint64(d.N))
	b = binary.AppendUvarint(b, uint64(names[d.Lane]))
	if d.Content >= 0 {
		b = binary.AppendUvarint(b, uint64(d.Content))
	}
	if !d.Due.IsZero() {
		b = appendTime(b, d.Due)
	}
	if d.Dead != "" {
		b = appendString(b, string(d.Dead))
	}
	if d.Error != "" {
		b = appendString(b, d.Error)
	}
	if d.Replay != "" {
		b = binary.AppendUvarint(b, uint64(names[d.Replay]))
	}
	if d.Format != "" {
		b = binary.AppendUvarint(b, uint64(names[d.Format]))
	}
	return b
}

func (r *reader) delivery(names []string, matches, contents int) (store.Delivery, bool) {
	flags := r.byte()
	d := store.Delivery{
		Several: flags&deliverySeveral != 0,
		Match:   int(r.upTo(math.MaxInt32)),
		N:       r.int(),
		Lane:    r.nameOf(names),
		Content: -1,
	}
	if d.Match >= matches {
		r.fail("a delivery of no route")
	}
	if flags&deliveryContent != 0 {
		if d.Content = r.int(); d.Content >= contents {
			r.fail("a delivery of no content")
		}
	}
	if flags&deliveryDue != 0 {
		d.Due = r.time()
	}
	if flags&deliveryDead != 0 {
		d.Dead = store.Reason(r.string())
	}
	if flags&deliveryError != 0 {
		d.Error = r.string()
	}
	if flags&deliveryReplay != 0 {
		d.Replay = r.nameOf(names)
	}
	if flags&deliveryFormat != 0 {
		d.Format = r.nameOf(names)
	}
	return d, flags&deliveryGone != 0
}

func (r *reader) nameOf(names []string) string {
	i := r.int()
	if i >= len(names) {
		r.fail("a name that is not in the table")
		return ""
	}
	return names[i]
}
