package rawjson

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// ErrPath is a path that can't be read: an empty segment, a backslash before
// anything but a dot or a backslash, or bytes that are not UTF-8.
var ErrPath = errors.New("malformed path")

// Segment is one step of a path: a key in an object, and where it is all digits
// also an index in an array.
type Segment struct {
	name  string
	index int // -1 where name is no index
}

// Name returns the key, with its escapes decoded.
func (s Segment) Name() string { return s.name }

// Index returns the place in an array, from 0, or -1 where the segment can only
// be a key.
func (s Segment) Index() int { return s.index }

// Name returns the segment called name. Any name will do here, also one that
// [ParsePath] can't express, such as the empty one.
func Name(name string) Segment { return Segment{name: name, index: parseIndex(name)} }

// Path leads to a value. The empty path is all of the data.
type Path []Segment

// ParsePath reads segments parted by dots, such as "pull_request.labels.0.name".
// A dot in a key is written `\.` and a backslash `\\`. Any error is an
// [ErrPath].
func ParsePath(s string) (Path, error) { return AppendPath(nil, s) }

// AppendPath is [ParsePath] into a path that is used again. On an error it
// returns nil. Segments without escapes share s.
func AppendPath(p Path, s string) (Path, error) {
	if s == "" {
		return p, nil
	}
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%w: it is not UTF-8", ErrPath)
	}
	start, escaped := 0, false
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] == '\\' {
			if i+1 == len(s) || s[i+1] != '.' && s[i+1] != '\\' {
				return nil, fmt.Errorf("%w: %q has a backslash at %d that is not before a dot or a backslash", ErrPath, s, i)
			}
			escaped = true
			i++
			continue
		}
		if i < len(s) && s[i] != '.' {
			continue
		}
		name := s[start:i]
		if name == "" {
			return nil, fmt.Errorf("%w: %q has an empty segment", ErrPath, s)
		}
		if escaped {
			name = unescapeSegment(name)
		}
		p = append(p, Name(name))
		start, escaped = i+1, false
	}
	return p, nil
}

func unescapeSegment(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// String returns the path as [ParsePath] reads it.
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		for j := 0; j < len(s.name); j++ {
			if s.name[j] == '.' || s.name[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(s.name[j])
		}
	}
	return b.String()
}

// parseIndex returns -1 for what is not all digits. A number that is too large
// stays an index, one that no array reaches.
func parseIndex(s string) int {
	if s == "" {
		return -1
	}
	n := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < '0' || c > '9' {
			return -1
		}
		if n > (math.MaxInt-9)/10 {
			n = math.MaxInt
			continue
		}
		n = n*10 + int(c-'0')
	}
	return n
}
