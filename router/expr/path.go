package expr

import (
	"errors"
	"fmt"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// ErrMissing is an attribute or element that the event does not have. Compare
// with errors.Is.
var ErrMissing = errors.New("no such attribute")

// missingError is made when the expression is compiled, so that a condition on
// an attribute that most events lack costs no allocation.
type missingError struct{ path *path }

func (e *missingError) Error() string { return e.path.text + ": " + ErrMissing.Error() }
func (e *missingError) Unwrap() error { return ErrMissing }

type base uint8

const (
	baseData base = iota
	baseBody
	baseHeader
	baseQuery
	baseID
	baseType
	baseSource
	baseSubject
	baseTime
	baseTenant
)

var eventMembers = map[string]base{
	"id": baseID, "type": baseType, "source": baseSource, "subject": baseSubject,
	"time": baseTime, "tenant": baseTenant, "header": baseHeader, "data": baseData,
}

// path is an attribute whose place is known when the expression is compiled.
type path struct {
	base base
	rest rawjson.Path
	text string // as it is written
	// missing and isNull are made once, see missingError.
	missing, isNull error
}

func newPath(b base, rest rawjson.Path, text string) *path {
	p := &path{base: b, rest: rest, text: text}
	p.missing = &missingError{path: p}
	p.isNull = fmt.Errorf("%s: %w", text, errNull)
	return p
}

func (p *path) eval(in *Input) (value, error) {
	switch p.base {
	case baseData, baseBody:
		raw, ok := rawjson.Get(p.root(in), p.rest)
		if !ok {
			return value{}, p.missing
		}
		v, err := fromJSON(raw)
		if err != nil {
			return value{}, fmt.Errorf("%s: %w", p.text, err)
		}
		return v, nil
	case baseHeader:
		if len(p.rest) == 1 {
			s, ok := in.headerValue(p.rest[0].Name())
			if !ok {
				return value{}, p.missing
			}
			return stringValue(s), nil
		}
		if len(p.rest) > 1 {
			return value{}, p.missing
		}
		return value{kind: kindObject, raw: in.headerJSON()}, nil
	case baseQuery:
		if len(p.rest) == 1 {
			if list := in.Query[p.rest[0].Name()]; len(list) == 1 {
				return stringValue(list[0]), nil
			}
		}
		raw, ok := rawjson.Get(in.queryJSON(), p.rest)
		if !ok {
			return value{}, p.missing
		}
		return fromJSON(raw)
	}
	if len(p.rest) > 0 || in.Message == nil {
		return value{}, p.missing
	}
	m := in.Message
	switch p.base {
	case baseID:
		return stringValue(m.ID), nil
	case baseType:
		return stringValue(m.Type), nil
	case baseSource:
		return stringValue(m.Source), nil
	case baseTime:
		return stringValue(event.FormatTime(m.Time)), nil
	case baseSubject:
		return optional(m.Subject), nil
	}
	return optional(m.Tenant), nil
}

// optional is null where the event has none.
func optional(s string) value {
	if s == "" {
		return value{}
	}
	return stringValue(s)
}

// root is the JSON that the path starts from, nil where there is none.
func (p *path) root(in *Input) []byte {
	switch p.base {
	case baseData:
		return in.data()
	case baseBody:
		return in.Body
	case baseHeader:
		return in.headerJSON()
	case baseQuery:
		return in.queryJSON()
	}
	return nil
}

// reason says how far the path leads.
func (p *path) reason(in *Input) string {
	root := p.root(in)
	if root == nil {
		if p.base == baseData || p.base == baseBody {
			return "the content is neither JSON nor text"
		}
		return ""
	}
	for i := range p.rest {
		if _, ok := rawjson.Get(root, p.rest[:i+1]); ok {
			continue
		}
		parent, _ := rawjson.Get(root, p.rest[:i])
		where := "it"
		if i > 0 {
			where = fmt.Sprintf("%q", p.rest[i-1].Name())
		}
		name := p.rest[i].Name()
		switch rawjson.KindOf(parent) {
		case rawjson.Object:
			return fmt.Sprintf("%s has no %q", where, name)
		case rawjson.Array:
			n, _ := rawjson.Len(parent)
			return fmt.Sprintf("%s is a list of %d and has no %q", where, n, name)
		case rawjson.Null:
			return fmt.Sprintf("%s is null", where)
		}
		return fmt.Sprintf("%s is %s and has no attributes", where, rawjson.KindOf(parent))
	}
	return ""
}
