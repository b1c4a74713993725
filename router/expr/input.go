package expr

import (
	"net/url"
	"sort"
	"strings"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// Input is what an expression sees. Set the fields of its scope: Message for
// [EventScope]; Body, Header and Query for [SourceScope]. One Input serves any
// number of programs, and the JSON view of data is made once.
type Input struct {
	// Message is the event on its way along a route.
	Message *event.Message
	// Body is the JSON view of a request's body, nil where it has none.
	Body []byte
	// Header holds the request's headers, lower-case names.
	Header []event.Field
	// Query holds the parameters of the request's URL.
	Query url.Values

	view    []byte
	viewed  bool
	headers []byte
	queries []byte
}

// NewInput returns the input for a route's expressions.
func NewInput(m *event.Message) *Input { return &Input{Message: m} }

// Reset points in at another message, so that it can be used again.
func (in *Input) Reset(m *event.Message) { *in = Input{Message: m} }

// data is the JSON view of the message, or nil.
func (in *Input) data() []byte {
	if !in.viewed {
		in.viewed = true
		if in.Message != nil {
			if v, ok := in.Message.View(); ok {
				in.view = v
			}
		}
	}
	return in.view
}

// headerValue returns one header, repeated ones joined by ", ".
func (in *Input) headerValue(name string) (string, bool) {
	if in.Message != nil {
		return in.Message.HeaderValue(name)
	}
	m := event.Message{Header: in.Header}
	return m.HeaderValue(name)
}

// headerJSON is all headers as an object.
func (in *Input) headerJSON() []byte {
	if in.headers == nil {
		m := in.Message
		if m == nil {
			m = &event.Message{Header: in.Header}
		}
		in.headers = m.AppendHeaderJSON(nil)
	}
	return in.headers
}

// queryJSON is the query as an object of strings, a repeated name a list, like
// the JSON view of a form, but in name order: url.Values keeps no other.
func (in *Input) queryJSON() []byte {
	if in.queries != nil {
		return in.queries
	}
	names := make([]string, 0, len(in.Query))
	for name, values := range in.Query {
		if len(values) > 0 {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	b := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = rawjson.AppendString(b, strings.ToValidUTF8(name, "\ufffd"))
		b = append(b, ':')
		values := in.Query[name]
		if len(values) == 1 {
			b = rawjson.AppendString(b, values[0])
			continue
		}
		for j, v := range values {
			if j == 0 {
				b = append(b, '[')
			} else {
				b = append(b, ',')
			}
			b = rawjson.AppendString(b, v)
		}
		b = append(b, ']')
	}
	in.queries = append(b, '}')
	return in.queries
}
