package source

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/source/verify"
)

// maxEvents is how many events one request may hold.
const maxEvents = 1000

// maxBatchHeaders bounds the headers that the events of one request are stored
// with, in bytes: each has its own copy.
const maxBatchHeaders = 4 << 20

// making is a request on its way to events. It is used again: nothing of what it
// gives may refer to it.
type making struct {
	source  *Source
	request *Request
	// signable and input are what schemes and expressions see; they are here because
	// both take pointers.
	signable verify.Request
	input    expr.Input
	// header is what expressions see, and stored what is kept with each event.
	header, stored []event.Field
	received       time.Time
	taken          Taken
}

var makings = sync.Pool{New: func() any { return new(making) }}

func (m *making) begin(s *Source, r *Request) {
	m.source, m.request, m.received = s, r, r.Received.UTC()
	m.signable = s.signable(r)
}

func (m *making) release() {
	*m = making{}
	makings.Put(m)
}

// single is an event and the list that it is taken in, as most requests have one.
type single struct {
	event event.Event
	list  [1]*event.Event
}

// event begins one event.
func (m *making) event() *event.Event {
	if m.taken.Batch {
		return &event.Event{Source: m.source.name, Received: m.received, Time: m.received, Header: m.stored}
	}
	one := &single{event: event.Event{Source: m.source.name, Received: m.received, Time: m.received, Header: m.stored}}
	m.taken.Events = one.list[:0]
	return &one.event
}

// add completes an event and takes it. header and body are what expressions see,
// body nil where it has no JSON view.
func (m *making) add(e *event.Event, header []event.Field, body []byte) error {
	s := m.source
	if e.ID == "" {
		if err := m.idempotencyKey(e); err != nil {
			return err
		}
	}
	if s.seesBody() {
		m.input = expr.Input{Header: header, Query: m.request.Query, Body: body}
		if err := s.evaluate(e, &m.input); err != nil {
			return err
		}
	}
	if e.ID == "" {
		e.ID = event.NewID(e.Received)
	}
	if strings.HasPrefix(e.Type, reservedPrefix) {
		return problem.New(http.StatusBadRequest, "reserved_type",
			"the type %q begins with %q, which only the router's own events do", clip(e.Type), reservedPrefix)
	}
	if err := s.fits(e); err != nil {
		return err
	}
	m.taken.Events = append(m.taken.Events, e)
	return nil
}

// idempotencyKey gives an event without an id that of the request: K, and K-i for
// event i of a batch. Only the native formats have it: a provider's header of this
// name means what the provider says.
func (m *making) idempotencyKey(e *event.Event) error {
	if !m.source.native {
		return nil
	}
	key, n := "", 0
	for _, f := range m.request.Header {
		if equalFold(f.Name, "idempotency-key") {
			key = f.Value
			n++
		}
	}
	switch {
	case n > 1:
		return problem.New(http.StatusBadRequest, "ambiguous_header", "the header Idempotency-Key is there twice")
	case key == "":
		return nil
	}
	if len(key) > maxIdempotencyKey {
		return problem.New(http.StatusBadRequest, "bad_id", "Idempotency-Key has %d bytes, more than %d", len(key), maxIdempotencyKey)
	}
	if m.taken.Batch {
		setOriginID(e, key+"-"+strconv.Itoa(len(m.taken.Events)))
	} else {
		setOriginID(e, strings.Clone(key))
	}
	return nil
}

// maxIdempotencyKey leaves room for an event's number.
const maxIdempotencyKey = event.MaxOriginID - 8

// fits holds data against the source's JSON Schema.
func (s *Source) fits(e *event.Event) error {
	if s.schema == nil {
		return nil
	}
	view, ok := event.View(e.ContentType, e.Data)
	if !ok {
		return problem.New(http.StatusUnprocessableEntity, "schema", "the data is neither JSON nor text, and this source has a JSON Schema").With("pointer", "")
	}
	list, err := s.schema.Check(view)
	if err != nil {
		return problem.New(http.StatusUnprocessableEntity, "schema", "%s", err).With("pointer", "")
	}
	if len(list) == 0 {
		return nil
	}
	where := "the data"
	if list[0].Pointer != "" {
		where += " at " + strconv.Quote(clip(list[0].Pointer))
	}
	return problem.New(http.StatusUnprocessableEntity, "schema", "%s does not fit this source's schema: %s", where, list[0].Message).
		With("pointer", list[0].Pointer).With("errors", list)
}

// evaluate lets the source's expressions decide over what the format found.
// The texts that they give are copies, whatever they come from.
func (s *Source) evaluate(e *event.Event, in *expr.Input) error {
	if s.typ != nil {
		v, err := s.typ.String(in)
		if err != nil {
			return failed("type", err)
		}
		if err := event.CheckType(v); err != nil {
			return failed("type", fmt.Errorf("the type %q %w", clip(v), err))
		}
		e.Type = v
	}
	if s.id != nil {
		v, err := s.id.String(in)
		if err != nil {
			return failed("id", err)
		}
		if len(v) > event.MaxOriginID {
			return failed("id", fmt.Errorf("the id has %d bytes, more than %d", len(v), event.MaxOriginID))
		}
		if v != "" { // an empty one says that this request has none
			setOriginID(e, v)
		}
	}
	if s.subject != nil {
		v, err := s.subject.String(in)
		if err != nil {
			return failed("subject", err)
		}
		if err := event.CheckSubject(v); err != nil {
			return failed("subject", fmt.Errorf("the subject %w", err))
		}
		e.Subject = v
	}
	if s.tenant != nil {
		v, err := s.tenant.String(in)
		if err != nil {
			return failed("tenant", err)
		}
		if err := event.CheckTenant(v); err != nil {
			return failed("tenant", fmt.Errorf("the tenant %w", err))
		}
		e.Tenant = v
	}
	return nil
}

func failed(attribute string, err error) *problem.Problem {
	return problem.New(http.StatusUnprocessableEntity, "expression_failed",
		"the source's expression for %s failed: %s", attribute, err).With("attribute", attribute)
}

// setOriginID takes an id that may be any text: one that does not fit is
// hashed, and kept beside.
func setOriginID(e *event.Event, id string) {
	e.Given = true
	e.ID, e.OriginID = id, ""
	if !event.ValidID(id) {
		e.ID, e.OriginID = event.HashID(id), id
	}
}

// of tells which event of a batch a problem is of.
func of(index int, err error) error {
	var p *problem.Problem
	if !errors.As(err, &p) {
		return err
	}
	p.Detail = fmt.Sprintf("event %d (the first is 0): %s", index, p.Detail)
	return p.With("index", index)
}

// room refuses a batch that has one event too many, before it is read.
func (m *making) room() error {
	n := len(m.taken.Events)
	if n >= maxEvents {
		return problem.New(http.StatusRequestEntityTooLarge, "too_many_events", "the batch has more than %d events; send several", maxEvents)
	}
	if (n+1)*event.FieldsSize(m.stored) > maxBatchHeaders {
		return problem.New(http.StatusRequestHeaderFieldsTooLarge, "headers_too_large",
			"each event of the batch is stored with the request's headers, which are too large for so many; send fewer headers, or say what to keep by keep_headers")
	}
	return nil
}
