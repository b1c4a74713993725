package event

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weirhq/weir/router/rawjson"
)

// CloudEventType is the content type of an event in CloudEvents' structured form.
const CloudEventType = "application/cloudevents+json"

// cloudPrefix begins the headers that keep what CloudEvents attributes have no
// field of their own. What follows is the attribute's name.
const cloudPrefix = "ce-"

// cloudFields are attributes that have one, or that are no attributes.
var cloudFields = []string{"id", "source", "specversion", "type", "subject", "time", "datacontenttype", "data", "data_base64", "sourceeventid"}

// attribute is one of CloudEvents' that is not data.
type attribute struct{ name, value string }

// attributes gives the context of the message as CloudEvents 1.0 has it, in a
// fixed order: those that every event has, and then what ce- headers keep, in
// order of name. A header that a plugin set hides the event's. Where a route made
// several messages, ids are as in [Message.AppendEnvelope].
func (m *Message) attributes(n int, several bool) []attribute {
	id := m.ID
	if several {
		id += "-" + strconv.Itoa(n)
	}
	source, ok := m.HeaderValue(cloudPrefix + "source")
	if !ok || source == "" {
		source = "/weir/" + m.Source
	}
	list := []attribute{{"specversion", "1.0"}, {"id", id}, {"source", source}, {"type", m.Type}}
	if m.Subject != "" {
		list = append(list, attribute{"subject", m.Subject})
	}
	list = append(list, attribute{"time", FormatTime(m.Time)})
	if several {
		list = append(list, attribute{"sourceeventid", m.ID})
	}
	start := len(list)
	for _, fields := range [2][]Field{m.SetHeader, m.Header} {
		for _, f := range fields {
			name, ok := strings.CutPrefix(f.Name, cloudPrefix)
			known := slices.ContainsFunc(list[start:], func(a attribute) bool { return a.name == name })
			if !ok || known || !validAttribute(name) || slices.Contains(cloudFields, name) {
				continue
			}
			value, _ := m.HeaderValue(f.Name)
			list = append(list, attribute{name, value})
		}
	}
	list = m.traceAttributes(list, start)
	slices.SortFunc(list[start:], func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return list
}

// traceAttributes adds what the extension for distributed tracing carries: the trace
// that the transmission began with, and never that of a single hop. So what came in
// stays; an event that came without begins with the span that took it in.
func (m *Message) traceAttributes(list []attribute, start int) []attribute {
	if m.Trace == nil || slices.ContainsFunc(list[start:], func(a attribute) bool { return a.name == "traceparent" || a.name == "tracestate" }) {
		return list
	}
	list = append(list, attribute{"traceparent", m.Trace.Traceparent()})
	if m.Trace.State != "" {
		list = append(list, attribute{"tracestate", m.Trace.State})
	}
	return list
}

// validAttribute reports whether s can be an attribute's name: lower-case letters
// and digits (CloudEvents 1.0, "Naming conventions").
func validAttribute(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// cloudContentType is what datacontenttype says. Where the event says nothing
// CloudEvents would take its data for JSON.
func (m *Message) cloudContentType() string {
	switch {
	case m.ContentType != "" || len(m.Data) == 0:
		return m.ContentType
	case utf8.Valid(m.Data):
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// AppendCloudEvent appends the message as a CloudEvents 1.0 event in structured
// form. JSON data stands in it byte for byte, other UTF-8 text is a string, and
// anything else is data_base64.
func (m *Message) AppendCloudEvent(b []byte, n int, several bool) []byte {
	b = append(b, '{')
	for _, a := range m.attributes(n, several) {
		b = rawjson.AppendString(b, a.name)
		b = append(b, ':')
		b = append(rawjson.AppendString(b, a.value), ',')
	}
	contentType := m.cloudContentType()
	if contentType != "" {
		b = append(b, `"datacontenttype":`...)
		b = append(rawjson.AppendString(b, contentType), ',')
	}
	switch {
	case len(m.Data) == 0:
		b = b[:len(b)-1]
	case IsJSON(contentType):
		b = append(append(b, `"data":`...), m.Data...)
	case utf8.Valid(m.Data):
		b = rawjson.AppendString(append(b, `"data":`...), string(m.Data))
	default:
		b = base64.StdEncoding.AppendEncode(append(b, `"data_base64":"`...), m.Data)
		b = append(b, '"')
	}
	return append(b, '}')
}

// CloudEventHeader gives the headers and the content type of the message in
// CloudEvents' binary form, whose body is data alone. The names are in lower
// case, the values escaped (CloudEvents 1.0, HTTP binding, section 3.1.3.2).
func (m *Message) CloudEventHeader(n int, several bool) (header []Field, contentType string) {
	for _, a := range m.attributes(n, several) {
		header = append(header, Field{Name: cloudPrefix + a.name, Value: escapeAttribute(a.value)})
	}
	return header, m.cloudContentType()
}

// IsCloudEventHeader reports whether the header called name, in lower case, keeps
// an attribute of CloudEvents.
func IsCloudEventHeader(name string) bool { return strings.HasPrefix(name, cloudPrefix) }

// escapeAttribute writes as %XX what a header's value can't hold, or what would
// change it on the way.
func escapeAttribute(s string) string {
	plain := func(c byte) bool { return c > ' ' && c <= '~' && c != '"' && c != '%' }
	i := 0
	for i < len(s) && plain(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := []byte(s[:i])
	for ; i < len(s); i++ {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}
