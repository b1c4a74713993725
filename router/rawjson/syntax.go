// Package rawjson reads and edits JSON as bytes. It finds a value by its path
// without parsing the rest, and an edit leaves every other byte as it was, so
// that what a producer wrote (spaces, order, 1.0, integers beyond 2^53) is what
// a receiver gets.
//
// Invariants:
//   - Only [Valid] judges. The other functions expect data that passed it; on
//     other data they answer something, but never panic and never loop.
//   - Of duplicate keys the last one counts, at every level of a path.
//   - Keys are compared after their escapes are decoded.
//   - Reading does not allocate: values are parts of the data given.
//   - Editing never writes into the data given: the result is a new slice.
//   - Nothing recurses, so nesting costs no stack. Data nested deeper than
//     [MaxDepth] is refused.
//
// All functions are safe for concurrent use.
package rawjson

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may be nested.
const MaxDepth = 10000

// SyntaxError says where data stops being one JSON value.
type SyntaxError struct {
	// Offset is the byte at which the error was noticed, from 0.
	Offset int
	// Line and Column count from 1, Column in characters.
	Line, Column int
	// Msg says what is wrong there.
	Msg string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// Valid returns nil when data is exactly one JSON value (RFC 8259) with nothing
// but white space around it, else a [*SyntaxError]. Strings must be UTF-8.
func Valid(data []byte) error {
	if _, at, msg := scan(data, nil); msg != "" {
		return syntaxError(data, at, msg)
	}
	return nil
}

// ValidMembers is [Valid] that on its way, where data is an object, calls f for each
// member as [EachMember] does. What f has seen counts only where the result is nil:
// data may turn out to be no JSON further on.
func ValidMembers(data []byte, f func(key, value []byte)) error {
	if _, at, msg := scan(data, f); msg != "" {
		return syntaxError(data, at, msg)
	}
	return nil
}

func syntaxError(data []byte, at int, msg string) *SyntaxError {
	before := data[:at]
	start := bytes.LastIndexByte(before, '\n') + 1
	return &SyntaxError{
		Offset: at,
		Line:   bytes.Count(before, []byte{'\n'}) + 1,
		Column: utf8.RuneCount(before[start:]) + 1,
		Msg:    msg,
	}
}

// Messages of scan that more than one place uses.
const (
	msgEnd   = "unexpected end of the JSON value"
	msgValue = "expected a value"
)

// scan walks over all of data, and calls member, where it is not nil, for each
// member of the outermost object. It returns the deepest nesting, or the place and
// text of the first error.
func scan(data []byte, member func(key, value []byte)) (deepest, at int, msg string) {
	const (
		wantValue = iota
		wantKey
		wantComma
	)
	var inObject [MaxDepth/64 + 1]uint64 // one bit a level
	depth, i, want := 0, 0, wantValue
	var key, keyEnd, value int // of the outermost object's member
	end := 0                   // behind the last value
	for {
		if i < len(data) && data[i] <= ' ' {
			i = skipSpace(data, i)
		}
		if i == len(data) {
			if want == wantComma && depth == 0 {
				return deepest, 0, ""
			}
			return 0, i, msgEnd
		}
		c := data[i]
		switch want {
		case wantValue:
			switch {
			case c == '"':
				i, msg = scanString(data, i)
			case c == '{' || c == '[':
				if depth == MaxDepth {
					return 0, i, fmt.Sprintf("nested deeper than %d levels", MaxDepth)
				}
				word, bit := depth/64, uint64(1)<<(depth%64)
				depth++
				deepest = max(deepest, depth)
				i = skipSpace(data, i+1)
				if c == '{' {
					inObject[word] |= bit
					want = wantKey
					if i < len(data) && data[i] == '}' {
						want = wantComma
					}
				} else {
					inObject[word] &^= bit
					if i < len(data) && data[i] == ']' {
						want = wantComma
					}
				}
				if want == wantComma {
					i++
					depth--
					end = i
				}
				continue
			case c == '-' || '0' <= c && c <= '9':
				i, msg = scanNumber(data, i)
			case c == 't':
				i, msg = scanWord(data, i, "true")
			case c == 'f':
				i, msg = scanWord(data, i, "false")
			case c == 'n':
				i, msg = scanWord(data, i, "null")
			default:
				msg = msgValue
			}
			if msg != "" {
				return 0, i, msg
			}
			end, want = i, wantComma
		case wantKey:
			if c != '"' {
				return 0, i, "expected a key in double quotes"
			}
			start := i
			if i, msg = scanString(data, i); msg != "" {
				return 0, i, msg
			}
			if depth == 1 {
				key, keyEnd = start, i
			}
			i = skipSpace(data, i)
			if i == len(data) {
				return 0, i, msgEnd
			}
			if data[i] != ':' {
				return 0, i, "expected a colon after the key"
			}
			i = skipSpace(data, i+1)
			if depth == 1 {
				value = i
			}
			want = wantValue
		case wantComma:
			if depth == 0 {
				return 0, i, "unexpected data after the value"
			}
			object := inObject[(depth-1)/64]&(1<<((depth-1)%64)) != 0
			if object && depth == 1 && member != nil && (c == ',' || c == '}') {
				member(data[key:keyEnd:keyEnd], data[value:end:end])
			}
			i++
			switch {
			case c == ',' && object:
				want = wantKey
			case c == ',':
				want = wantValue
			case c == '}' && object, c == ']' && !object:
				depth--
				end = i
			case object:
				return 0, i - 1, "expected a comma or }"
			default:
				return 0, i - 1, "expected a comma or ]"
			}
		}
	}
}

func scanWord(data []byte, i int, word string) (int, string) {
	for j := 0; j < len(word); j++ {
		if i+j == len(data) {
			return i + j, msgEnd
		}
		if data[i+j] != word[j] {
			return i, msgValue
		}
	}
	return i + len(word), ""
}

func scanNumber(data []byte, i int) (int, string) {
	digits := func() bool {
		start := i
		for i < len(data) && '0' <= data[i] && data[i] <= '9' {
			i++
		}
		return i > start
	}
	missing := func() (int, string) {
		if i == len(data) {
			return i, msgEnd
		}
		return i, "expected a digit"
	}
	if data[i] == '-' {
		i++
	}
	if i < len(data) && data[i] == '0' {
		i++
		if i < len(data) && '0' <= data[i] && data[i] <= '9' {
			return i, "a number must not begin with 0"
		}
	} else if !digits() {
		return missing()
	}
	if i < len(data) && data[i] == '.' {
		i++
		if !digits() {
			return missing()
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		if !digits() {
			return missing()
		}
	}
	return i, ""
}

// scanString checks the string whose opening quote is at i.
func scanString(data []byte, i int) (int, string) {
	i++
	for {
		for i+8 <= len(data) {
			if m := unplain(binary.LittleEndian.Uint64(data[i:])); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		if i == len(data) {
			return i, msgEnd
		}
		c := data[i]
		switch {
		case c == '"':
			return i + 1, ""
		case c == '\\':
			if i+1 == len(data) {
				return i + 1, msgEnd
			}
			switch data[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				if i+6 > len(data) {
					return len(data), msgEnd
				}
				if _, ok := hex4(data[i+2 : i+6]); !ok {
					return i, "expected four hexadecimal digits after \\u"
				}
				i += 6
			default:
				return i, "unknown escape in a string"
			}
		case c < 0x20:
			return i, "control character in a string"
		case c < utf8.RuneSelf:
			i++
		default:
			// Text in one script goes on in it.
			for i < len(data) && data[i] >= utf8.RuneSelf {
				r, size := utf8.DecodeRune(data[i:])
				if r == utf8.RuneError && size == 1 {
					return i, "invalid UTF-8 in a string"
				}
				i += size
			}
		}
	}
}

// unplain has the high bit set of the first byte, counted from the lowest, of eight
// that does not simply stand for itself in a string: a quote, a backslash, a control
// character, or a part of a character beyond ASCII. It is 0 where there is none. The
// bits above that one mean nothing: subtracting borrows from the bytes above.
func unplain(w uint64) uint64 {
	const ones = 0x0101010101010101
	quote := (w ^ ones*'"') - ones
	backslash := (w ^ ones*'\\') - ones
	control := w - ones*0x20
	return (w | quote | backslash | control) & (ones * 0x80)
}

func hex4(b []byte) (rune, bool) {
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
