package source

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/agext/levenshtein"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/rawjson"
)

// members of the native envelope.
var members = []string{"event", "data", "timestamp", "event_id", "subject", "tenant"}

// otherNames are what the members are called elsewhere.
var otherNames = map[string]string{
	"type": "event", "event_type": "event", "name": "event",
	"id": "event_id", "uid": "event_id",
	"time": "timestamp", "date": "timestamp", "created_at": "timestamp",
	"payload": "data", "body": "data", "content": "data",
	"tenant_id": "tenant",
}

// envelope is the native format as it stands in a body. Values are parts of
// the body, nil where a member is absent.
type envelope struct {
	event, data, timestamp, eventID, subject, tenant []byte
	unknown                                          []byte // the first key that is none of these
}

// native takes one event or many, by the request's content type.
func (m *making) native() error {
	r := m.request
	mediaType := event.MediaType(r.ContentType)
	switch {
	case mediaType == structuredType:
		return m.structured()
	case mediaType == batchedType:
		return m.batched()
	case strings.HasPrefix(mediaType, "application/cloudevents"):
		return problem.New(http.StatusUnsupportedMediaType, "unsupported_media_type",
			"the Content-Type is %q; CloudEvents are taken as %s, %s, or in binary mode", clip(mediaType), structuredType, batchedType)
	case r.header("ce-specversion") != "":
		return m.binary()
	case mediaType == "application/x-ndjson", mediaType == "application/ndjson":
		return m.lines()
	case mediaType == "" || event.IsJSON(mediaType):
		return m.document()
	}
	return problem.New(http.StatusUnsupportedMediaType, "unsupported_media_type",
		"the Content-Type is %q; this source takes application/json, application/x-ndjson and CloudEvents", clip(mediaType))
}

// document takes an envelope, or an array of them.
func (m *making) document() error {
	body := m.request.Body
	var v envelope
	if err := rawjson.ValidMembers(body, v.take); err != nil {
		return malformed(err)
	}
	if rawjson.KindOf(body) != rawjson.Array {
		return m.envelope(&v, body)
	}
	return m.array(body, m.element)
}

// array takes each element of a valid JSON array, or none.
func (m *making) array(body []byte, take func([]byte) error) error {
	m.taken.Batch = true
	var err error
	rawjson.EachElement(body, func(element []byte) bool {
		if err = m.room(); err == nil {
			err = take(element)
		}
		if err != nil {
			err = of(len(m.taken.Events), err)
		}
		return err == nil
	})
	return err
}

// lines takes an envelope a line. Empty lines count for nothing.
func (m *making) lines() error {
	m.taken.Batch = true
	number := 0
	for line := range bytes.Lines(m.request.Body) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		err := m.room()
		if err == nil {
			var v envelope
			if syntax := rawjson.ValidMembers(line, v.take); syntax != nil {
				err = malformedLine(number, syntax)
			} else {
				err = m.envelope(&v, line)
			}
		}
		if err != nil {
			return of(len(m.taken.Events), err)
		}
	}
	return nil
}

// malformedLine is the problem of a line that is not JSON. Its place is that in
// the body.
func malformedLine(number int, err error) error {
	p := problem.New(http.StatusBadRequest, "malformed_json", "line %d is not JSON: %s", number, err).With("line", number)
	var s *rawjson.SyntaxError
	if errors.As(err, &s) {
		p.Detail = fmt.Sprintf("line %d, column %d is not JSON: %s", number, s.Column, s.Msg)
		p.With("column", s.Column)
	}
	return p
}

// element takes an element of a batch, which is valid JSON.
func (m *making) element(body []byte) error {
	var v envelope
	rawjson.EachMember(body, func(key, value []byte) bool {
		v.take(key, value)
		return true
	})
	return m.envelope(&v, body)
}

// envelope takes one event in Weir's own form. The members are those of body, which
// is valid JSON.
func (m *making) envelope(v *envelope, body []byte) error {
	if err := v.check(body); err != nil {
		return err
	}
	e := m.event()
	if err := v.fill(e); err != nil {
		return err
	}
	e.ContentType = "application/json"
	return m.add(e, m.header, body)
}

// take notes one member. Of duplicates the last counts.
func (v *envelope) take(key, value []byte) {
	if place := v.member(key[1 : len(key)-1]); place != nil {
		*place = value
		return
	}
	if bytes.IndexByte(key, '\\') >= 0 { // what is escaped may be a name all the same
		for _, name := range members {
			if rawjson.EqualString(key, name) {
				*v.member([]byte(name)) = value
				return
			}
		}
	}
	if v.unknown == nil {
		v.unknown = key
	}
}

// member is where the value of a member stays, nil where there is none of that name.
func (v *envelope) member(name []byte) *[]byte {
	switch string(name) {
	case "event":
		return &v.event
	case "data":
		return &v.data
	case "timestamp":
		return &v.timestamp
	case "event_id":
		return &v.eventID
	case "subject":
		return &v.subject
	case "tenant":
		return &v.tenant
	}
	return nil
}

// check says why the members are no event, where body, which they are of, is none.
func (v *envelope) check(body []byte) error {
	if kind := rawjson.KindOf(body); kind != rawjson.Object {
		return problem.New(http.StatusBadRequest, "wrong_type", "this is a JSON %s; an event is an object", kind)
	}
	if v.unknown != nil {
		return unknownMember(v.unknown)
	}
	for _, m := range [...]struct {
		name  string
		value []byte
	}{{"event", v.event}, {"data", v.data}} {
		if m.value == nil {
			return problem.New(http.StatusBadRequest, "missing_member",
				"the event has no member %q", m.name).With("member", m.name)
		}
	}
	return nil
}

func unknownMember(key []byte) *problem.Problem {
	name, _ := rawjson.Unquote(key)
	name = clip(name)
	p := problem.New(http.StatusBadRequest, "unknown_member", "an event has no member %q", name).With("member", name)
	if name == "specversion" {
		p.Detail += "; a CloudEvent is sent as " + structuredType
		return p
	}
	near := nearMember(name)
	if near == "" {
		p.Detail += "; it has " + strings.Join(members, ", ")
		return p
	}
	p.Detail += "; did you mean \"" + near + "\"?"
	return p.With("did_you_mean", near)
}

// nearMember returns the member that was probably meant, empty where none is
// near.
func nearMember(name string) string {
	lower := strings.ToLower(name)
	if m, ok := otherNames[lower]; ok {
		return m
	}
	best, distance := "", 3
	for _, m := range members {
		if d := levenshtein.Distance(lower, m, nil); d < distance {
			best, distance = m, d
		}
	}
	return best
}

// fill copies the members into e.
func (v *envelope) fill(e *event.Event) error {
	typ, err := text("event", v.event)
	if err != nil {
		return err
	}
	if err := event.CheckType(typ); err != nil {
		return problem.New(http.StatusBadRequest, "bad_type", "the type %q %s", clip(typ), err).With("member", "event")
	}
	e.Type = typ
	if e.ID, err = optional("event_id", v.eventID); err != nil {
		return err
	}
	if present(v.eventID) {
		if !event.ValidID(e.ID) {
			return problem.New(http.StatusBadRequest, "bad_id",
				"event_id must be 1 to 128 characters of A-Z a-z 0-9 . _ : -").With("member", "event_id")
		}
		e.Given = true
	}
	if e.Subject, err = optional("subject", v.subject); err != nil {
		return err
	}
	if err := event.CheckSubject(e.Subject); err != nil {
		return problem.New(http.StatusBadRequest, "bad_subject", "subject %s", err).With("member", "subject")
	}
	if e.Tenant, err = optional("tenant", v.tenant); err != nil {
		return err
	}
	if err := event.CheckTenant(e.Tenant); err != nil {
		return problem.New(http.StatusBadRequest, "bad_tenant", "tenant %s", err).With("member", "tenant")
	}
	if present(v.timestamp) {
		t, err := text("timestamp", v.timestamp)
		if err != nil {
			return err
		}
		at, ok := parseTime(t)
		if !ok {
			return problem.New(http.StatusBadRequest, "bad_timestamp",
				"timestamp %q is not RFC 3339, such as 2024-01-01T12:00:00Z, of the years %d to %d", clip(t), minYear, maxYear).
				With("member", "timestamp")
		}
		e.Time = at
	}
	e.Data = v.data
	return nil
}

// present reports whether a member has a value. An optional one that is null
// has none: many encoders write it so.
func present(value []byte) bool { return value != nil && rawjson.KindOf(value) != rawjson.Null }

func optional(name string, value []byte) (string, error) {
	if !present(value) {
		return "", nil
	}
	return text(name, value)
}

// text returns a member that must be a string.
func text(name string, value []byte) (string, error) {
	s, ok := rawjson.Unquote(value)
	if !ok {
		return "", problem.New(http.StatusBadRequest, "wrong_type",
			"the member %q is a JSON %s and must be a string", name, rawjson.KindOf(value)).With("member", name)
	}
	return s, nil
}

// The years whose every instant fits into 64 bits of nanoseconds, which is how
// times are kept.
const (
	minYear = 1678
	maxYear = 2261
)

// parseTime reads RFC 3339 strictly: time.Parse also takes hours of one digit,
// a comma before the fraction, and offsets of more than a day.
func parseTime(s string) (time.Time, bool) {
	// RFC 3339 allows lower-case t and z; Go does not.
	s = strings.ToUpper(s)
	if len(s) < len("2006-01-02T15:04:05Z") || s[len("2006-01-02T15")] != ':' || strings.Contains(s, ",") {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, false
	}
	if !strings.HasSuffix(s, "Z") {
		zone := s[len(s)-len("+01:00"):]
		if zone[1:3] > "23" || zone[4:] > "59" {
			return time.Time{}, false
		}
	}
	t = t.UTC()
	return t, minYear <= t.Year() && t.Year() <= maxYear
}
