package event

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/router/rawjson"
)

// IsJSON reports whether a content type claims JSON: application/json,
// text/json or any type with the suffix +json (RFC 6839).
func IsJSON(contentType string) bool {
	t := MediaType(contentType)
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}

// IsForm reports whether a content type is application/x-www-form-urlencoded.
func IsForm(contentType string) bool {
	return MediaType(contentType) == "application/x-www-form-urlencoded"
}

// MediaType returns a content type without its parameters, in lower case, empty
// where there is none. It does not allocate for one that is in lower case
// already.
func MediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// View returns the JSON view of data: JSON as it stands; a form as an object of
// strings in the order of first appearance, a repeated name as a list; other
// UTF-8 text as a string. It returns false where there is none, such as for an
// image. The caller has checked that data that claims JSON is JSON.
func View(contentType string, data []byte) ([]byte, bool) {
	switch {
	case IsJSON(contentType):
		return data, true
	case !utf8.Valid(data):
		return nil, false
	case IsForm(contentType):
		if v, ok := formView(string(data)); ok {
			return v, true
		}
	}
	return rawjson.AppendString(nil, string(data)), true
}

// formView keeps the order of the form, which url.ParseQuery does not.
func formView(s string) ([]byte, bool) {
	var names []string
	values := map[string][]string{}
	for pair := range strings.SplitSeq(s, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(k)
		if err != nil {
			return nil, false
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return nil, false
		}
		if _, seen := values[name]; !seen {
			names = append(names, name)
		}
		values[name] = append(values[name], value)
	}
	b := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = rawjson.AppendString(b, name)
		b = append(b, ':')
		if v := values[name]; len(v) == 1 {
			b = rawjson.AppendString(b, v[0])
			continue
		}
		for j, v := range values[name] {
			if j == 0 {
				b = append(b, '[')
			} else {
				b = append(b, ',')
			}
			b = rawjson.AppendString(b, v)
		}
		b = append(b, ']')
	}
	return append(b, '}'), true
}

// View returns the JSON view of the message's data, see [View].
func (m *Message) View() ([]byte, bool) { return View(m.ContentType, m.Data) }

// AppendJSON appends the message as plugins see it: an object with id, type,
// source, subject where there is one, time, header, and data or data_base64, in
// that order and without added spaces.
func (m *Message) AppendJSON(b []byte) []byte {
	b = append(b, `{"id":`...)
	b = rawjson.AppendString(b, m.ID)
	b = append(b, `,"type":`...)
	b = rawjson.AppendString(b, m.Type)
	b = append(b, `,"source":`...)
	b = rawjson.AppendString(b, m.Source)
	if m.Subject != "" {
		b = append(b, `,"subject":`...)
		b = rawjson.AppendString(b, m.Subject)
	}
	b = append(b, `,"time":"`...)
	b = AppendTime(b, m.Time)
	b = append(b, `","header":`...)
	b = m.AppendHeaderJSON(b)
	b = append(b, ',')
	b = m.appendData(b)
	return append(b, '}')
}

// AppendHeaderJSON appends the headers as an object with lower-case names, in
// order of first appearance, repeated ones joined by ", ".
func (m *Message) AppendHeaderJSON(b []byte) []byte {
	b = append(b, '{')
	var some [16]string
	seen := some[:0]
	for _, list := range [2][]Field{m.Header, m.SetHeader} {
		for _, f := range list {
			if slices.Contains(seen, f.Name) {
				continue
			}
			if len(seen) > 0 {
				b = append(b, ',')
			}
			seen = append(seen, f.Name)
			v, _ := m.HeaderValue(f.Name)
			b = rawjson.AppendString(b, f.Name)
			b = append(b, ':')
			b = rawjson.AppendString(b, v)
		}
	}
	return append(b, '}')
}

func (m *Message) appendData(b []byte) []byte {
	if view, ok := m.View(); ok {
		b = append(b, `"data":`...)
		return append(b, view...)
	}
	b = append(b, `"data_base64":"`...)
	b = base64.StdEncoding.AppendEncode(b, m.Data)
	return append(b, '"')
}

// AppendEnvelope appends the default body of a delivery. Where a route made
// several messages of one event, n is the message's number and several is true:
// event_id is then made unique and source_event_id says where it came from.
// Data's own bytes are copied, never parsed and printed again.
func (m *Message) AppendEnvelope(b []byte, n int, several bool) []byte {
	b = append(b, `{"event_id":`...)
	if several {
		b = rawjson.AppendString(b, m.ID+"-"+strconv.Itoa(n))
		b = append(b, `,"source_event_id":`...)
	}
	b = rawjson.AppendString(b, m.ID)
	b = append(b, `,"event":`...)
	b = rawjson.AppendString(b, m.Type)
	b = append(b, ',')
	b = m.appendData(b)
	b = append(b, `,"timestamp":"`...)
	return append(AppendTime(b, m.Time), `"}`...)
}

// FormatTime prints t as RFC 3339 in UTC, with fractions only where there are
// some.
func FormatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// AppendTime appends what [FormatTime] returns.
func AppendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, time.RFC3339Nano) }
