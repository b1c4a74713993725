package attempt

import (
	"sync"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
)

// Body returns what a destination of the given format is sent for message number
// n of a route's results; several says that there was more than one. The
// attributes are headers that belong to it, with lower-case names: CloudEvents' in
// binary form. A body that is data alone is the message's own slice.
func Body(format config.Format, m *event.Message, n int, several bool) (body []byte, contentType string, attributes []event.Field) {
	return new(Scratch).Body(format, m, n, several)
}

// Scratch is memory that one delivery after another is made in: bodies are what an
// attempt would allocate most for.
type Scratch struct {
	// Delivery is for the caller to fill.
	Delivery Delivery
	body     []byte
}

var scratches = sync.Pool{New: func() any { return &Scratch{} }}

// NewScratch returns one for one goroutine.
func NewScratch() *Scratch { return scratches.Get().(*Scratch) }

// Free gives it back. Nobody may use the delivery or its body any more.
func (s *Scratch) Free() {
	if cap(s.body) > maxPooled {
		return
	}
	s.Delivery = Delivery{}
	scratches.Put(s)
}

// Body is as the function of that name, but a body that has to be made holds until
// the next call only.
func (s *Scratch) Body(format config.Format, m *event.Message, n int, several bool) (body []byte, contentType string, attributes []event.Field) {
	size := len(m.Data) + len(m.ID)*2 + len(m.Type) + 128
	switch format {
	case config.FormatRaw:
		return m.Data, m.ContentType, nil
	case config.FormatCloudEvents:
		s.body = m.AppendCloudEvent(s.room(size+256), n, several)
		return s.body, event.CloudEventType, nil
	case config.FormatCloudEventsBinary:
		attributes, contentType = m.CloudEventHeader(n, several)
		return m.Data, contentType, attributes
	}
	s.body = m.AppendEnvelope(s.room(size), n, several)
	return s.body, "application/json", nil
}

// room is empty and takes size bytes without growing.
func (s *Scratch) room(size int) []byte {
	if cap(s.body) < size {
		s.body = make([]byte, 0, size)
	}
	return s.body[:0]
}
