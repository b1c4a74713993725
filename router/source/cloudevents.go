package source

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/rawjson"
)

// Media types of CloudEvents 1.0 in JSON (JSON Event Format, sections 3 and 4).
const (
	structuredType = "application/cloudevents+json"
	batchedType    = "application/cloudevents-batch+json"
)

const specVersion = "1.0"

// attributePrefix begins the headers that carry attributes, in binary mode and
// with a stored event.
const attributePrefix = "ce-"

// attribute of a CloudEvent as a text: numbers and booleans are written as in
// JSON.
type attribute struct{ name, value string }

// ownFields are the attributes that an event has fields of its own for. All
// others are kept as headers.
var ownFields = []string{"specversion", "id", "type", "subject", "time", "datacontenttype"}

// structured takes one CloudEvent as JSON.
func (m *making) structured() error {
	if err := rawjson.Valid(m.request.Body); err != nil {
		return malformed(err)
	}
	return m.cloudEventJSON(m.request.Body)
}

// batched takes an array of CloudEvents.
func (m *making) batched() error {
	body := m.request.Body
	if err := rawjson.Valid(body); err != nil {
		return malformed(err)
	}
	if kind := rawjson.KindOf(body); kind != rawjson.Array {
		return problem.New(http.StatusBadRequest, "wrong_type", "the body is a JSON %s; a batch of CloudEvents is an array", kind)
	}
	return m.array(body, m.cloudEventJSON)
}

// cloudEventJSON takes a CloudEvent in the JSON format; body is valid JSON.
func (m *making) cloudEventJSON(body []byte) error {
	if kind := rawjson.KindOf(body); kind != rawjson.Object {
		return problem.New(http.StatusBadRequest, "wrong_type", "this is a JSON %s; a CloudEvent is an object", kind)
	}
	var list []attribute
	var data, encoded []byte // nil where they are not there
	var err error
	rawjson.EachMember(body, func(key, value []byte) bool {
		name, _ := rawjson.Unquote(key)
		switch name {
		case "data":
			data = value
			return true
		case "data_base64":
			encoded = value
			return true
		}
		var text string
		switch kind := rawjson.KindOf(value); kind {
		case rawjson.String:
			text, _ = rawjson.Unquote(value)
		case rawjson.Number, rawjson.Bool:
			if slices.Contains(ownFields, name) || name == "source" || name == "dataschema" {
				err = wrongType(name, kind)
				return false
			}
			text = string(value)
		case rawjson.Null: // as if it were not there
			list = slices.DeleteFunc(list, func(a attribute) bool { return a.name == name })
			return true
		default:
			err = wrongType(name, kind)
			return false
		}
		if i := slices.IndexFunc(list, func(a attribute) bool { return a.name == name }); i >= 0 {
			list[i].value = text // of duplicates the last counts
			return true
		}
		if len(list) == MaxHeaders {
			err = problem.New(http.StatusRequestHeaderFieldsTooLarge, "headers_too_large", "the CloudEvent has more than %d attributes", MaxHeaders)
			return false
		}
		list = append(list, attribute{name, text})
		return true
	})
	if err != nil {
		return err
	}
	e := m.event()
	header, err := m.attributes(e, list)
	if err != nil {
		return err
	}
	contentType := "application/json"
	if i := slices.IndexFunc(list, func(a attribute) bool { return a.name == "datacontenttype" }); i >= 0 && list[i].value != "" {
		contentType = list[i].value
	}
	if err := event.CheckContentType(contentType); err != nil {
		return badContentType("datacontenttype", err)
	}
	if err := setData(e, contentType, data, encoded); err != nil {
		return err
	}
	return m.add(e, header, body)
}

func wrongType(name string, kind rawjson.Kind) error {
	return problem.New(http.StatusBadRequest, "wrong_type", "the attribute %q is a JSON %s", clip(name), kind).With("member", clip(name))
}

// setData takes data as it stands under a JSON content type, and a text's
// content under another (JSON Event Format, section 3.1).
func setData(e *event.Event, contentType string, data, encoded []byte) error {
	e.ContentType = contentType
	if present(encoded) {
		if present(data) {
			return problem.New(http.StatusBadRequest, "ambiguous_data", "the CloudEvent has both data and data_base64")
		}
		text, ok := rawjson.Unquote(encoded)
		b, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil {
			return problem.New(http.StatusBadRequest, "bad_data", "data_base64 is not a text of base64").With("member", "data_base64")
		}
		if event.IsJSON(contentType) {
			if err := rawjson.Valid(b); err != nil {
				return malformed(err)
			}
		}
		e.Data = b
		return nil
	}
	switch {
	case !present(data):
		// An event need not have data: then it is null.
		e.ContentType, e.Data = "application/json", []byte("null")
	case event.IsJSON(contentType):
		e.Data = data
	default:
		if text, ok := rawjson.Unquote(data); ok {
			e.Data = []byte(text)
		} else {
			e.Data = data
		}
	}
	return nil
}

// binary takes a CloudEvent whose attributes are headers and whose data is the
// body (HTTP Protocol Binding, section 3.1).
func (m *making) binary() error {
	r := m.request
	var list []attribute
	for _, f := range r.Header {
		if !hasAttributePrefix(f.Name) {
			continue
		}
		name := strings.ToLower(f.Name[len(attributePrefix):])
		if slices.ContainsFunc(list, func(a attribute) bool { return a.name == name }) {
			return problem.New(http.StatusBadRequest, "ambiguous_header", "the header %s%s is there twice", attributePrefix, clip(name))
		}
		if name != "datacontenttype" { // Content-Type says it
			value := decodeAttribute(f.Value)
			if (name == "source" || name == "dataschema") && !isURI(value) {
				value = strings.Clone(f.Value)
			}
			list = append(list, attribute{name, value})
		}
	}
	e := m.event()
	header, err := m.attributes(e, list)
	if err != nil {
		return err
	}
	contentType := strings.TrimSpace(r.ContentType)
	if err := event.CheckContentType(contentType); err != nil {
		return badContentType("the Content-Type header", err)
	}
	e.ContentType, e.Data = strings.Clone(contentType), r.Body
	switch json := event.IsJSON(contentType); {
	case len(r.Body) == 0 && (json || contentType == ""):
		e.ContentType, e.Data = "application/json", []byte("null")
	case contentType == "":
		e.ContentType = guess(r.Body)
	case json:
		if err := rawjson.Valid(r.Body); err != nil {
			// The JavaScript SDK sends a text under a JSON content type without its
			// quotes. What begins an object or array is broken all the same.
			if kind := rawjson.KindOf(r.Body); kind == rawjson.Object || kind == rawjson.Array {
				return malformed(err)
			}
			e.ContentType = "text/plain; charset=utf-8"
			if !utf8.Valid(r.Body) {
				e.ContentType = "application/octet-stream"
			}
		}
	}
	var view []byte
	if m.source.seesBody() {
		view, _ = event.View(e.ContentType, e.Data)
	}
	return m.add(e, header, view)
}

func hasAttributePrefix(name string) bool {
	return len(name) >= len(attributePrefix) && strings.EqualFold(name[:len(attributePrefix)], attributePrefix)
}

// isURI reports whether s has only what a URI reference may hold (RFC 3986,
// section 2). What has not once it is decoded is a URI whose own escapes a sender
// did not escape again, as the SDKs don't.
func isURI(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return false
		}
	}
	return true
}

// decodeAttribute reads a header's value (section 3.1.3.2): quotes and percent
// escapes are taken away. The SDKs write neither, so what can't be an escape
// stands for itself.
func decodeAttribute(s string) string {
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		var b strings.Builder
		for i := 1; i < n-1; i++ {
			if s[i] == '\\' && i+1 < n-1 {
				i++
			}
			b.WriteByte(s[i])
		}
		s = b.String()
	}
	if decoded, err := url.PathUnescape(s); err == nil && utf8.ValidString(decoded) {
		s = decoded
	}
	return strings.Clone(s)
}

// attributes fills an event from a CloudEvent's attributes, and returns the
// headers that expressions see: those of the request and all attributes that have
// no field of their own. Those are stored with the event.
func (m *making) attributes(e *event.Event, list []attribute) ([]event.Field, error) {
	value := func(name string) string {
		if i := slices.IndexFunc(list, func(a attribute) bool { return a.name == name }); i >= 0 {
			return list[i].value
		}
		return ""
	}
	bad := func(code, name, format string, args ...any) error {
		return problem.New(http.StatusBadRequest, code, format, args...).With("member", name)
	}
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if value(name) == "" {
			return nil, bad("missing_member", name, "the CloudEvent has no attribute %q", name)
		}
	}
	if v := value("specversion"); v != specVersion {
		return nil, bad("bad_specversion", "specversion", "the CloudEvent's specversion is %q; this is %s", clip(v), specVersion)
	}
	size := 0
	var own []event.Field
	for _, a := range list {
		if !validAttribute(a.name) {
			return nil, bad("bad_attribute", clip(a.name), "%q is no name of an attribute, which has lower-case letters and digits only", clip(a.name))
		}
		if !utf8.ValidString(a.value) || strings.ContainsFunc(a.value, unicode.IsControl) {
			return nil, bad("bad_attribute", a.name, "the attribute %q is not UTF-8, or holds control characters", a.name)
		}
		size += len(a.name) + len(a.value)
		if !slices.Contains(ownFields, a.name) {
			own = append(own, event.Field{Name: attributePrefix + a.name, Value: a.value})
		}
	}
	if size > MaxHeaderBytes {
		return nil, problem.New(http.StatusRequestHeaderFieldsTooLarge, "headers_too_large",
			"the CloudEvent's attributes have %d bytes, more than %d", size, MaxHeaderBytes)
	}
	e.Type = value("type")
	if err := event.CheckType(e.Type); err != nil {
		return nil, bad("bad_type", "type", "the type %q %s", clip(e.Type), err)
	}
	id, source := value("id"), value("source")
	if len(id) > event.MaxOriginID {
		return nil, bad("bad_id", "id", "the id has %d bytes, more than %d", len(id), event.MaxOriginID)
	}
	if len(source) > event.MaxOriginID {
		return nil, bad("bad_attribute", "source", "the source has %d bytes, more than %d", len(source), event.MaxOriginID)
	}
	setOriginID(e, id)
	e.Scope = source
	e.Subject = value("subject")
	if err := event.CheckSubject(e.Subject); err != nil {
		return nil, bad("bad_subject", "subject", "the subject %s", err)
	}
	if text := value("time"); text != "" {
		at, ok := parseTime(text)
		if !ok {
			return nil, bad("bad_timestamp", "time", "the time %q is not RFC 3339, such as 2024-01-01T12:00:00Z, of the years %d to %d", clip(text), minYear, maxYear)
		}
		e.Time = at
	}
	e.Header = append(withoutAttributes(m.stored), own...)
	return append(withoutAttributes(m.header), own...), nil
}

// withoutAttributes returns the headers that carry none, in a list of its own.
func withoutAttributes(header []event.Field) []event.Field {
	list := make([]event.Field, 0, len(header)+4)
	for _, f := range header {
		if !hasAttributePrefix(f.Name) {
			list = append(list, f)
		}
	}
	return list
}

// validAttribute reports whether s can be an attribute's name (CloudEvents 1.0,
// section 2.3).
func validAttribute(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
