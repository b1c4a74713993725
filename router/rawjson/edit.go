package rawjson

import (
	"errors"
	"fmt"
	"slices"
)

// ErrNoPlace is an edit of a place that is not there and can't be made.
var ErrNoPlace = errors.New("no such place")

// ErrValue is a value that is not one JSON value, or that would nest the data
// deeper than [MaxDepth].
var ErrValue = errors.New("not one JSON value")

// Set returns data with value at p. An object that is missing on the way is
// made, a new key is appended last, and index = length appends to an array. The
// empty path replaces all of data. Of duplicate keys the last is set.
//
// Errors: [ErrNoPlace] where the path leads through something that is neither
// an object nor an array, or past the end of an array; [ErrValue].
func Set(data []byte, p Path, value []byte) ([]byte, error) { return AppendSet(nil, data, p, value) }

// AppendSet appends what [Set] returns to b, which shares nothing with data and
// value. On an error it returns nil, and what b had is as it was.
func AppendSet(b, data []byte, p Path, value []byte) ([]byte, error) {
	depth, at, msg := scan(value, nil)
	if msg != "" {
		return nil, fmt.Errorf("%w: %w", ErrValue, syntaxError(value, at, msg))
	}
	if len(p)+depth > MaxDepth {
		return nil, fmt.Errorf("%w: it would be nested deeper than %d levels", ErrValue, MaxDepth)
	}
	if len(p) == 0 {
		return append(b, value...), nil
	}
	reached, start, ok := locate(data, p)
	if !ok {
		return nil, ErrNoPlace
	}
	if reached == len(p) {
		return splice(b, data, start, skipValue(data, start), value), nil
	}
	c := open(data[start:])
	for c.next() {
	}
	if c.bad || !c.object && c.count != p[reached].index {
		return nil, ErrNoPlace
	}
	return insert(b, data, start+c.end, c.count > 0, c.object, p[reached:], value), nil
}

// insert puts a new member or element at the offset at, behind the last one.
func insert(b, data []byte, at int, comma, object bool, p Path, value []byte) []byte {
	b = slices.Grow(b, len(data)+len(value)+16*len(p))
	b = append(b, data[:at]...)
	if comma {
		b = append(b, ',')
	}
	if object {
		b = appendKey(b, p[0].name)
	}
	for _, s := range p[1:] {
		b = append(b, '{')
		b = appendKey(b, s.name)
	}
	b = append(b, value...)
	for range p[1:] {
		b = append(b, '}')
	}
	return append(b, data[at:]...)
}

// Remove returns data without the value at p: a member with its key and all its
// duplicates, or an element of an array, with one comma and the space beside
// it. All of data can't be removed.
//
// Errors: [ErrNoPlace].
func Remove(data []byte, p Path) ([]byte, error) { return AppendRemove(nil, data, p) }

// AppendRemove appends what [Remove] returns to b, which shares nothing with
// data. On an error it returns nil.
func AppendRemove(b, data []byte, p Path) ([]byte, error) {
	if len(p) == 0 {
		return nil, ErrNoPlace
	}
	last := p[len(p)-1]
	p = p[:len(p)-1]
	reached, offset, ok := locate(data, p)
	if !ok || reached < len(p) {
		return nil, ErrNoPlace
	}
	place := data[offset:]
	b = slices.Grow(b, len(data))
	b = append(b, data[:offset]...)
	kept, removed, previous := 0, 0, 0
	c := open(place)
	for c.next() {
		if c.count == 1 {
			b = append(b, place[:c.start]...)
		}
		if c.at(last) {
			removed++
		} else {
			if kept > 0 {
				b = append(b, place[previous:c.start]...)
			}
			b = append(b, place[c.start:c.end]...)
			kept++
		}
		previous = c.end
	}
	if c.bad || removed == 0 {
		return nil, ErrNoPlace
	}
	return append(b, place[previous:]...), nil
}

func splice(b, data []byte, start, end int, value []byte) []byte {
	b = slices.Grow(b, len(data)-(end-start)+len(value))
	b = append(b, data[:start]...)
	b = append(b, value...)
	return append(b, data[end:]...)
}

func appendKey(b []byte, name string) []byte {
	b = AppendString(b, name)
	return append(b, ':')
}
