package source

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/rawjson"
)

// raw takes the body as the event's data.
func (m *making) raw() error {
	r := m.request
	contentType := strings.TrimSpace(r.ContentType)
	if err := event.CheckContentType(contentType); err != nil {
		return badContentType("the Content-Type header", err)
	}
	switch {
	case contentType == "":
		contentType = guess(r.Body)
	case event.IsJSON(contentType):
		if err := rawjson.Valid(r.Body); err != nil {
			return malformed(err)
		}
	}
	e := m.event()
	e.Type = m.source.name
	e.ContentType = strings.Clone(contentType)
	e.Data = r.Body
	var view []byte
	if m.source.seesBody() {
		view, _ = event.View(e.ContentType, e.Data)
	}
	return m.add(e, m.header, view)
}

func badContentType(where string, err error) error {
	return problem.New(http.StatusUnsupportedMediaType, "bad_content_type", "%s %s", where, err)
}

// seesBody reports whether there is any expression, which may need the view of a
// body.
func (s *Source) seesBody() bool {
	return s.typ != nil || s.id != nil || s.subject != nil || s.tenant != nil
}

// guess names the content type of a body that came without one.
func guess(body []byte) string {
	switch {
	case rawjson.Valid(body) == nil:
		return "application/json"
	case utf8.Valid(body):
		return "text/plain"
	}
	return "application/octet-stream"
}

// malformed is the problem of a body that is not the JSON that it claims to be.
func malformed(err error) *problem.Problem {
	var s *rawjson.SyntaxError
	if !errors.As(err, &s) {
		return problem.New(http.StatusBadRequest, "malformed_json", "the body is not JSON: %s", err)
	}
	return problem.New(http.StatusBadRequest, "malformed_json",
		"the body is not JSON: line %d, column %d (byte %d): %s", s.Line, s.Column, s.Offset, s.Msg).
		With("line", s.Line).With("column", s.Column).With("offset", s.Offset)
}
