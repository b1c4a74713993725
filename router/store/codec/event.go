package codec

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/weirhq/weir/router/event"
)

const (
	flagGiven = 1 << iota
	flagTrace
	flagTraceState
	eventFlags = 1<<iota - 1
)

// Where the fields lie that a store fills in when it appends an event.
const (
	receivedAt = 2
	idAt       = 2 + 8 + 4 // behind received and the length of the fields
)

// AppendEvent appends e, but for its position, which is the key's. The bytes
// can be finished by [SetReceived] and [SetID] once the store knows them, so
// that encoding happens outside the goroutine that owns the log.
func AppendEvent(b []byte, e *event.Event) []byte {
	start := len(b)
	var flags byte
	if e.Given {
		flags |= flagGiven
	}
	if e.Trace != nil {
		flags |= flagTrace
		if e.Trace.State != "" {
			flags |= flagTraceState
		}
	}
	b = append(b, version, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Received.UnixNano()))
	b = append(b, 0, 0, 0, 0)
	b = appendString(b, e.ID)
	b = appendTime(b, e.Time)
	b = appendString(b, e.Type)
	b = appendString(b, e.Source)
	b = appendString(b, e.OriginID)
	b = appendString(b, e.Scope)
	b = appendString(b, e.Subject)
	b = appendString(b, e.Tenant)
	b = appendString(b, e.ContentType)
	b = appendString(b, e.Cause)
	b = binary.AppendUvarint(b, uint64(max(e.Hops, 0)))
	b = binary.AppendUvarint(b, uint64(len(e.Header)))
	for _, f := range e.Header {
		b = appendString(b, f.Name)
		b = appendString(b, f.Value)
	}
	if t := e.Trace; t != nil {
		b = append(append(append(b, t.TraceID[:]...), t.SpanID[:]...), t.Flags)
		if t.State != "" {
			b = appendString(b, t.State)
		}
	}
	binary.BigEndian.PutUint32(b[start+receivedAt+8:], uint32(len(b)-start))
	return append(b, e.Data...)
}

// SetReceived puts the time received, in nanoseconds since 1970, into bytes of
// [AppendEvent].
func SetReceived(b []byte, unixNano int64) {
	binary.BigEndian.PutUint64(b[receivedAt:], uint64(unixNano))
}

// SetID puts an id of the same length as the one it had into bytes of
// [AppendEvent].
func SetID(b []byte, id string) error {
	n, size := binary.Uvarint(b[idAt:])
	if size <= 0 || n != uint64(len(id)) {
		return fmt.Errorf("the id %s does not have the length of the one it replaces", id)
	}
	copy(b[idAt+size:], id)
	return nil
}

// Event decodes bytes of [AppendEvent]. The event's data is part of b.
func Event(position uint64, b []byte) (*event.Event, error) {
	if len(b) < idAt {
		return nil, fmt.Errorf("%w event: it ends too early", ErrMalformed)
	}
	end := binary.BigEndian.Uint32(b[receivedAt+8:])
	if uint64(end) > uint64(len(b)) || end < idAt {
		return nil, fmt.Errorf("%w event: its fields end outside of it", ErrMalformed)
	}
	// One string for all fields: they share it.
	r := newReader("event", string(b[:end]))
	flags := r.byte()
	received := r.uint64()
	if len(r.s) >= 4 {
		r.s = r.s[4:]
	}
	e := &event.Event{
		Position: position,
		Given:    flags&flagGiven != 0,
		Received: time.Unix(0, int64(received)).UTC(),
		ID:       r.string(),
	}
	e.Time = r.time()
	e.Type = r.string()
	e.Source = r.string()
	e.OriginID = r.string()
	e.Scope = r.string()
	e.Subject = r.string()
	e.Tenant = r.string()
	e.ContentType = r.string()
	e.Cause = r.string()
	e.Hops = r.int()
	e.Header = r.fields()
	if flags&flagTrace != 0 {
		e.Trace = r.trace()
		if flags&flagTraceState != 0 {
			e.Trace.State = r.string()
		}
	}
	if flags&^eventFlags != 0 {
		r.fail("unknown flags")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	e.Data = b[end:]
	return e, nil
}

func (r *reader) trace() *event.Trace {
	t := &event.Trace{}
	const size = len(t.TraceID) + len(t.SpanID) + 1
	if len(r.s) < size {
		r.fail("it ends too early")
		return t
	}
	copy(t.TraceID[:], r.s)
	copy(t.SpanID[:], r.s[len(t.TraceID):])
	t.Flags = r.s[size-1]
	r.s = r.s[size:]
	return t
}

func appendFields(b []byte, fields []event.Field) []byte {
	b = binary.AppendUvarint(b, uint64(len(fields)))
	for _, f := range fields {
		b = appendString(b, f.Name)
		b = appendString(b, f.Value)
	}
	return b
}

func (r *reader) fields() []event.Field {
	n := r.count(2)
	if n == 0 || r.err != nil {
		return nil
	}
	fields := make([]event.Field, 0, n)
	for range n {
		fields = append(fields, event.Field{Name: r.string(), Value: r.string()})
	}
	return fields
}

// Note is what the rows of an event need that is not in the event.
type Note struct {
	// Until is when another event may have its id, or its alias; zero for at once.
	Until time.Time
	Alias string
}

// AppendNote appends n.
func AppendNote(b []byte, n *Note) []byte {
	return appendString(appendTime(append(b, version), n.Until), n.Alias)
}

// DecodeNote decodes bytes of [AppendNote].
func DecodeNote(b []byte) (*Note, error) {
	r := newReader("note", string(b))
	n := &Note{Until: r.time(), Alias: r.string()}
	if err := r.end(); err != nil {
		return nil, err
	}
	return n, nil
}

// Spare is a copy of an event as it is stored, with its note.
type Spare struct{ Note, Data []byte }

// AppendSpares appends copies of events from a position on.
func AppendSpares(b []byte, first uint64, list []Spare) []byte {
	b = binary.AppendUvarint(append(b, version), first)
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		b = binary.AppendUvarint(b, uint64(len(list[i].Note)))
		b = append(b, list[i].Note...)
		b = binary.AppendUvarint(b, uint64(len(list[i].Data)))
		b = append(b, list[i].Data...)
	}
	return b
}

// DecodeSpares decodes bytes of [AppendSpares].
func DecodeSpares(b []byte) (first uint64, list []Spare, err error) {
	r := newReader("spare events", string(b))
	first = r.uvarint()
	list = make([]Spare, r.count(2))
	for i := range list {
		list[i] = Spare{Note: r.bytes(), Data: r.bytes()}
	}
	if err := r.end(); err != nil {
		return 0, nil, err
	}
	return first, list, nil
}
