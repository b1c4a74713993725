package weir

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Value is a JSON value as its bytes stand, a string with its quotes. The empty
// Value is one that is not there.
type Value []byte

// Text returns s as a JSON string.
func Text(s string) Value { return appendString(make([]byte, 0, len(s)+2), s) }

// Exists reports whether the value is there, null included.
func (v Value) Exists() bool { return len(v) > 0 }

// String returns what a string says, and of any other value its JSON text.
func (v Value) String() string {
	if s, ok := unquote(v); ok {
		return s
	}
	return string(v)
}

// Int returns an integer, 0 for anything else. A string that holds one counts.
func (v Value) Int() int64 {
	n, err := strconv.ParseInt(v.String(), 10, 64)
	if err != nil {
		return int64(v.Float()) // 1e3 and 1.0 are integers too
	}
	return n
}

// Float returns a number, 0 for anything else. A string that holds one counts.
func (v Value) Float() float64 {
	f, err := strconv.ParseFloat(v.String(), 64)
	if err != nil {
		return 0
	}
	return f
}

// Bool reports whether the value is true.
func (v Value) Bool() bool { return string(v) == "true" }

// Get returns the value at a path, empty where there is none. Of duplicate keys
// the last counts.
func (v Value) Get(path string) Value {
	for path != "" {
		var name string
		name, path = cutSegment(path)
		v = v.step(name)
	}
	return v
}

// cutSegment takes the first segment off a path.
func cutSegment(path string) (name, rest string) {
	var b []byte
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '.':
			rest = path[i+1:]
			if len(b) == 0 || rest == "" {
				panic("malformed path: an empty segment")
			}
			return string(b), rest
		case path[i] != '\\':
			b = append(b, path[i])
		case i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '\\'):
			i++
			b = append(b, path[i])
		default:
			panic("malformed path: a backslash that is not before a dot or a backslash")
		}
	}
	return string(b), ""
}

func (v Value) step(name string) Value {
	var found Value
	if v.is('[') {
		index, err := strconv.ParseUint(name, 10, 31)
		if err != nil {
			return nil
		}
		v.Each(func(_ string, e Value) bool {
			if index == 0 {
				found = e
				return false
			}
			index--
			return true
		})
		return found
	}
	v.Each(func(key string, e Value) bool {
		if key == name {
			found = e
		}
		return true
	})
	return found
}

func (v Value) is(bracket byte) bool {
	i := space(v, 0)
	return i < len(v) && v[i] == bracket
}

// Each calls f for each element of an array (the key is then empty) or each
// member of an object, in order, until f returns false. Of anything else there
// are none.
func (v Value) Each(f func(key string, value Value) bool) {
	object := v.is('{')
	if !object && !v.is('[') {
		return
	}
	for i := space(v, 0) + 1; i < len(v); {
		i = space(v, i)
		if i == len(v) || v[i] == '}' || v[i] == ']' {
			return
		}
		if v[i] == ',' {
			i++
			continue
		}
		key := ""
		if object {
			end := skip(v, i)
			key, _ = unquote(v[i:end])
			if i = space(v, end); i == len(v) || v[i] != ':' {
				return
			}
			i = space(v, i+1)
		}
		end := skip(v, i)
		if end == i || !f(key, v[i:end]) {
			return
		}
		i = end
	}
}

func space(v []byte, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\n' || v[i] == '\r' || v[i] == '\t') {
		i++
	}
	return i
}

// skip returns the offset behind the value at i. The host has checked that it is
// JSON.
func skip(v []byte, i int) int {
	depth := 0
	for i < len(v) {
		switch v[i] {
		case '"':
			for i++; i < len(v) && v[i] != '"'; i++ {
				if v[i] == '\\' {
					i++
				}
			}
			i = min(i+1, len(v))
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case ',', ':', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return i
			}
			i++
			continue
		default:
			for i < len(v) && !delimiter(v[i]) {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

func delimiter(c byte) bool {
	switch c {
	case ',', ':', '}', ']', '{', '[', '"', ' ', '\n', '\r', '\t':
		return true
	}
	return false
}

// unquote decodes a JSON string. A lone surrogate becomes U+FFFD.
func unquote(v []byte) (string, bool) {
	i := space(v, 0)
	if i == len(v) || v[i] != '"' {
		return "", false
	}
	end := skip(v, i)
	if end < i+2 {
		return "", false
	}
	s := v[i+1 : end-1]
	if plain(s) {
		return string(s), true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := hex4(s[i+1:])
			i += min(4, len(s)-i-1)
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if i+2 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
					pair = utf16.DecodeRune(r, hex4(s[i+3:]))
				}
				if r = pair; r != utf8.RuneError {
					i += 6
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, s[i])
		}
	}
	return string(b), true
}

// plain reports whether a string's bytes stand for themselves.
func plain(s []byte) bool {
	for _, c := range s {
		if c == '\\' {
			return false
		}
	}
	return true
}

func hex4(s []byte) rune {
	if len(s) < 4 {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(s[:4]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}

// appendValue appends a Go value as JSON, or returns a [Value] as it is.
func appendValue(b []byte, value any) (Value, bool) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), true
	case Value:
		return v, true
	case string:
		return appendString(b, v), true
	case bool:
		return strconv.AppendBool(b, v), true
	case int:
		return strconv.AppendInt(b, int64(v), 10), true
	case int64:
		return strconv.AppendInt(b, v, 10), true
	case int32:
		return strconv.AppendInt(b, int64(v), 10), true
	case uint64:
		return strconv.AppendUint(b, v, 10), true
	case uint32:
		return strconv.AppendUint(b, uint64(v), 10), true
	case float64:
		if v != v || v-v != 0 {
			return nil, false // JSON has neither NaN nor infinity
		}
		return strconv.AppendFloat(b, v, 'g', -1, 64), true
	}
	return nil, false
}

const hexDigits = "0123456789abcdef"

func appendString(b []byte, s string) []byte {
	if printable(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// printable reports whether s is ASCII that needs no escape.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x80 || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
