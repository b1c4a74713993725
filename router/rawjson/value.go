package rawjson

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is the type of a JSON value.
type Kind byte

// The kinds. None is what data that begins no value has.
const (
	None Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

var kindNames = [...]string{"none", "null", "bool", "number", "string", "array", "object"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

// KindOf returns the kind of value by its first byte.
func KindOf(value []byte) Kind {
	i := skipSpace(value, 0)
	if i == len(value) {
		return None
	}
	switch c := value[i]; {
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == '"':
		return String
	case c == 't', c == 'f':
		return Bool
	case c == 'n':
		return Null
	case c == '-', '0' <= c && c <= '9':
		return Number
	}
	return None
}

// Get returns the bytes of the value at p as they stand, strings with their
// quotes, and whether there is one. The empty path gives data itself.
func Get(data []byte, p Path) (value []byte, ok bool) {
	if len(p) == 0 {
		return data, true
	}
	reached, start, ok := locate(data, p)
	if !ok || reached < len(p) {
		return nil, false
	}
	return data[start:skipValue(data, start)], true
}

// Key returns the value of the last member called name of an object.
func Key(object []byte, name string) (value []byte, ok bool) {
	c := openObject(object)
	for c.next() {
		if EqualString(c.key(), name) {
			value, ok = c.value(), true
		}
	}
	if c.bad {
		return nil, false
	}
	return value, ok
}

// Index returns element i, from 0, of an array.
func Index(array []byte, i int) (value []byte, ok bool) {
	c := openArray(array)
	for c.next() {
		if c.count-1 == i {
			return c.value(), true
		}
	}
	return nil, false
}

// EachMember calls f for each member of an object in order, duplicates
// included, until f returns false. The key has its quotes: compare it by
// [EqualString], decode it by [Unquote]. It returns false where data is no
// object.
func EachMember(object []byte, f func(key, value []byte) bool) bool {
	c := openObject(object)
	for c.next() {
		if !f(c.key(), c.value()) {
			return true
		}
	}
	return !c.bad
}

// EachElement calls f for each element of an array in order until f returns
// false. It returns false where data is no array.
func EachElement(array []byte, f func(value []byte) bool) bool {
	c := openArray(array)
	for c.next() {
		if !f(c.value()) {
			return true
		}
	}
	return !c.bad
}

// Len returns the number of elements of an array or of members of an object
// (duplicates counted), and false for anything else.
func Len(value []byte) (int, bool) {
	c := open(value)
	for c.next() {
	}
	return c.count, !c.bad
}

// Unquote decodes a JSON string. A lone surrogate becomes U+FFFD. It returns
// false where value is no string. It allocates the result only.
func Unquote(value []byte) (string, bool) {
	raw, ok := inner(value)
	if !ok {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), true
	}
	b := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		if raw[0] != '\\' {
			n := bytes.IndexByte(raw, '\\')
			if n < 0 {
				n = len(raw)
			}
			b = append(b, raw[:n]...)
			raw = raw[n:]
			continue
		}
		r, n := decodeEscape(raw)
		if n == 0 {
			return "", false
		}
		b = utf8.AppendRune(b, r)
		raw = raw[n:]
	}
	return string(b), true
}

// EqualString reports whether value is a JSON string that decodes to s. It does
// not allocate.
func EqualString(value []byte, s string) bool {
	raw, ok := inner(value)
	if !ok {
		return false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw) == s
	}
	for len(raw) > 0 {
		if raw[0] != '\\' {
			if s == "" || raw[0] != s[0] {
				return false
			}
			raw, s = raw[1:], s[1:]
			continue
		}
		r, n := decodeEscape(raw)
		if n == 0 {
			return false
		}
		var b [utf8.UTFMax]byte
		size := utf8.EncodeRune(b[:], r)
		if len(s) < size || s[:size] != string(b[:size]) {
			return false
		}
		raw, s = raw[n:], s[size:]
	}
	return s == ""
}

// inner returns what stands between the quotes of a string.
func inner(value []byte) ([]byte, bool) {
	i := skipSpace(value, 0)
	if i == len(value) || value[i] != '"' {
		return nil, false
	}
	end := skipString(value, i)
	if end < 0 {
		return nil, false
	}
	return value[i+1 : end-1], true
}

// decodeEscape reads the escape at the start of b and returns the number of
// bytes that it takes, 0 where it is none.
func decodeEscape(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		if len(b) < 6 {
			return 0, 0
		}
		r, ok := hex4(b[2:6])
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
			if low, ok := hex4(b[8:12]); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					return pair, 12
				}
			}
		}
		return utf8.RuneError, 6
	}
	return 0, 0
}
