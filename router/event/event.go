// Package event holds what Weir moves: an [Event] as it was accepted and
// stored, and a [Message], which is an event on its way along a route. It also
// owns everything that is derived from them and must never differ between two
// places: ids, the JSON view of data, and the envelope that a receiver gets.
//
// Values of this package are plain data. An Event is immutable once it is
// stored and may be shared between goroutines; a Message belongs to one
// goroutine at a time.
package event

import (
	"encoding/hex"
	"strings"
	"time"
)

// Sources of events that no producer sends: the router's own, and replies of
// receivers. A route gets them only where it names them.
const (
	SourceWeir  = "weir"
	SourceReply = "reply"
)

// Field is one header line. Names are stored in lower case.
type Field struct {
	Name  string
	Value string
}

// Event is one accepted event, as the store keeps it.
type Event struct {
	// Position is the event's place in the log, from 1, dense and ascending.
	// The store assigns it; 0 means not stored yet.
	Position uint64
	// ID is the producer's id, or evt_ followed by a ULID. See [ValidID].
	ID string
	// OriginID is the id that the producer gave where it could not be used as
	// it was, else empty.
	OriginID string
	// Given says that the producer chose the id. Only such ids are remembered
	// for deduplication.
	Given bool
	// Scope narrows deduplication below the source: the CloudEvents source
	// attribute, else empty.
	Scope string
	// Type is what routes match on, such as "payment.completed".
	Type string
	// Source is the name of the source block that took the event.
	Source string
	// Subject and Tenant are optional.
	Subject string
	Tenant  string
	// Time is the producer's time, or Received where it gave none. Always UTC.
	Time time.Time
	// Received is when the event was accepted, in UTC. It never decreases with
	// Position.
	Received time.Time
	// ContentType is that of Data, as the producer sent it.
	ContentType string
	// Header holds the request's headers, lower-case names, in order, without
	// those that carry credentials.
	Header []Field
	// Data is the payload, byte for byte as the producer sent it.
	Data []byte
	// Cause is the id of the event that this one is a reply to, and Hops how
	// many such links there are behind it.
	Cause string
	Hops  int
	// Trace is the span that took the event in, nil where tracing is off.
	Trace *Trace
}

// Trace is a span as others refer to it (W3C Trace Context).
type Trace struct {
	TraceID [16]byte
	SpanID  [8]byte
	// Flags has the bit 1 where the trace is recorded.
	Flags byte
	// State is the tracestate that came with it, empty where there was none.
	State string
}

// Traceparent writes the span as the header of this name. A nil one is none.
func (t *Trace) Traceparent() string {
	if t == nil {
		return ""
	}
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, t.TraceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, t.SpanID[:])
	b = append(b, "-0"...)
	return string(append(b, '0'+t.Flags&1))
}

// Message is an event on its way along a route: what expressions and plugins
// see, and what a destination is sent. Plugins change a copy, never the event.
type Message struct {
	// ID, Source, Tenant, Time and Received are the event's and never change.
	ID       string
	Source   string
	Tenant   string
	Time     time.Time
	Received time.Time
	// Type, Subject, ContentType and Data start as the event's.
	Type        string
	Subject     string
	ContentType string
	Data        []byte
	// Header starts as the event's headers. SetHeader holds those that a plugin
	// set, which are also sent to the destination; plugins see them too.
	Header    []Field
	SetHeader []Field
	// Trace is the event's. Plugins do not see it.
	Trace *Trace
}

// NewMessage makes the message that enters a route. It shares the event's
// slices: whoever changes them replaces them, and never writes into them.
func NewMessage(e *Event) *Message {
	return &Message{
		ID: e.ID, Source: e.Source, Tenant: e.Tenant, Time: e.Time, Received: e.Received,
		Type: e.Type, Subject: e.Subject, ContentType: e.ContentType, Data: e.Data,
		Header: e.Header, Trace: e.Trace,
	}
}

// HeaderValue returns the values of the header called name, in any case, joined
// by ", ", and whether there is one. A header that a plugin set hides the
// event's of the same name.
func (m *Message) HeaderValue(name string) (string, bool) {
	name = strings.ToLower(name)
	if v, ok := join(m.SetHeader, name); ok {
		return v, true
	}
	return join(m.Header, name)
}

func join(fields []Field, name string) (string, bool) {
	var value string
	found := false
	for _, f := range fields {
		if f.Name != name {
			continue
		}
		if !found {
			value, found = f.Value, true
			continue
		}
		value += ", " + f.Value
	}
	return value, found
}

// Size is about how many bytes e takes in memory.
func (e *Event) Size() int {
	return 512 + len(e.ID) + len(e.Type) + len(e.Source) + len(e.OriginID) + len(e.Scope) + len(e.Subject) +
		len(e.Tenant) + len(e.ContentType) + len(e.Cause) + FieldsSize(e.Header) + len(e.Data)
}

// FieldsSize is about how many bytes fields take in memory.
func FieldsSize(fields []Field) int {
	n := 0
	for i := range fields {
		n += 32 + len(fields[i].Name) + len(fields[i].Value)
	}
	return n
}
