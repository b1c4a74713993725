package expr

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"sort"
	"strings"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/text/unicode/norm"

	"github.com/weirhq/weir/router/rawjson"
)

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray  // raw JSON
	kindObject // raw JSON
	kindList   // made by an expression
	kindMap    // made by an expression
)

// value is what an expression gives. Strings are in NFC and, like raw, may share
// memory with the input.
type value struct {
	kind  kind
	truth bool
	scale uint8
	coef  int64
	big   *big.Float
	text  string
	raw   []byte
	made  *made
}

// made is a list or an object that an expression made. Keys are sorted and nil
// for a list.
type made struct {
	keys   []string
	values []value
}

var (
	errNull      = errors.New("the value is null")
	errNotBool   = errors.New("a bool is required")
	errNotNumber = errors.New("a number is required")
)

func boolValue(b bool) value     { return value{kind: kindBool, truth: b} }
func stringValue(s string) value { return value{kind: kindString, text: normal(s)} }

func numberValue(n number) value {
	return value{kind: kindNumber, coef: n.coef, scale: n.scale, big: n.big}
}

func (v value) number() number { return number{coef: v.coef, scale: v.scale, big: v.big} }

// normal returns s in NFC.
func normal(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return norm.NFC.String(s) // returns s itself where it is normal
		}
	}
	return s
}

// fromJSON reads one JSON value. A string without escapes shares raw's memory.
func fromJSON(raw []byte) (value, error) {
	switch rawjson.KindOf(raw) {
	case rawjson.Null:
		return value{}, nil
	case rawjson.Bool:
		return boolValue(bytes.TrimSpace(raw)[0] == 't'), nil
	case rawjson.Number:
		n, ok := parseNumber(shared(bytes.TrimSpace(raw)))
		if !ok {
			return value{}, errNumberRange
		}
		return numberValue(n), nil
	case rawjson.String:
		raw = bytes.TrimSpace(raw)
		if bytes.IndexByte(raw, '\\') < 0 && len(raw) >= 2 {
			return stringValue(shared(raw[1 : len(raw)-1])), nil
		}
		s, ok := rawjson.Unquote(raw)
		if !ok {
			return value{}, errors.New("the value is no JSON")
		}
		return stringValue(s), nil
	case rawjson.Array:
		return value{kind: kindArray, raw: raw}, nil
	case rawjson.Object:
		return value{kind: kindObject, raw: raw}, nil
	}
	return value{}, errors.New("the value is no JSON")
}

// shared returns b as a string without a copy. The input does not change while
// it is evaluated, and what leaves the package is copied.
func shared(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (v value) describe() string {
	switch v.kind {
	case kindNull:
		return "null"
	case kindBool:
		return "a bool"
	case kindNumber:
		return "a number"
	case kindString:
		return "a string"
	case kindArray, kindList:
		return "a list"
	}
	return "an object"
}

// toBool converts as HCL does for operands of !, && and ||.
func (v value) toBool() (bool, error) {
	switch v.kind {
	case kindBool:
		return v.truth, nil
	case kindNull:
		return false, errNull
	case kindString:
		switch v.text {
		case "true", "1":
			return true, nil
		case "false", "0":
			return false, nil
		}
	}
	return false, errNotBool
}

// onlyBool does not convert: a condition must give a bool.
func (v value) onlyBool() (bool, error) {
	if v.kind != kindBool {
		return false, fmt.Errorf("the expression gives %s, not a bool", v.describe())
	}
	return v.truth, nil
}

// toNumber converts as HCL does for operands of < and +.
func (v value) toNumber() (number, error) {
	switch v.kind {
	case kindNumber:
		return v.number(), nil
	case kindNull:
		return number{}, errNull
	case kindString:
		if n, ok := parseNumber(v.text); ok {
			return n, nil
		}
	}
	return number{}, errNotNumber
}

// toText converts as HCL does in templates.
func (v value) toText() (string, error) {
	switch v.kind {
	case kindString:
		return v.text, nil
	case kindNumber:
		return v.number().text()
	case kindBool:
		if v.truth {
			return "true", nil
		}
		return "false", nil
	case kindNull:
		return "", errNull
	}
	return "", fmt.Errorf("a string is required, not %s", v.describe())
}

// elements returns those of a list, and false for anything else.
func (v value) elements() ([]value, bool, error) {
	switch v.kind {
	case kindList:
		return v.made.values, true, nil
	case kindArray:
		var list []value
		var failed error
		rawjson.EachElement(v.raw, func(raw []byte) bool {
			var e value
			if e, failed = fromJSON(raw); failed != nil {
				return false
			}
			list = append(list, e)
			return true
		})
		return list, true, failed
	}
	return nil, false, nil
}

// members returns those of an object in key order, the last of duplicate keys,
// and false for anything else.
func (v value) members() (*made, bool, error) {
	switch v.kind {
	case kindMap:
		return v.made, true, nil
	case kindObject:
		last := map[string][]byte{}
		rawjson.EachMember(v.raw, func(key, raw []byte) bool {
			if k, ok := rawjson.Unquote(key); ok {
				last[normal(k)] = raw
			}
			return true
		})
		m := &made{keys: make([]string, 0, len(last)), values: make([]value, 0, len(last))}
		for k := range last {
			m.keys = append(m.keys, k)
		}
		sort.Strings(m.keys)
		for _, k := range m.keys {
			e, err := fromJSON(last[k])
			if err != nil {
				return nil, true, err
			}
			m.values = append(m.values, e)
		}
		return m, true, nil
	}
	return nil, false, nil
}

// index returns the element or member at key.
func (v value) index(key value) (value, error) {
	if key.kind == kindNull {
		return value{}, errors.New("an index is null")
	}
	switch v.kind {
	case kindArray, kindList:
		n, err := key.toNumber()
		if err != nil {
			return value{}, fmt.Errorf("the index of a list: %w", err)
		}
		i, ok := n.index()
		if !ok {
			return value{}, errors.New("the index of a list must be a whole number from 0")
		}
		if v.kind == kindArray {
			if raw, ok := rawjson.Index(v.raw, i); ok {
				return fromJSON(raw)
			}
		} else if i < len(v.made.values) {
			return v.made.values[i], nil
		}
		return value{}, fmt.Errorf("the list has no element %d: %w", i, ErrMissing)
	case kindObject, kindMap:
		name, err := key.toText()
		if err != nil {
			return value{}, fmt.Errorf("the key of an object: %w", err)
		}
		if v.kind == kindObject {
			if raw, ok := rawjson.Key(v.raw, name); ok {
				return fromJSON(raw)
			}
		} else if i := sort.SearchStrings(v.made.keys, name); i < len(v.made.keys) && v.made.keys[i] == name {
			return v.made.values[i], nil
		}
		return value{}, fmt.Errorf("the object has no attribute %q: %w", name, ErrMissing)
	case kindNull:
		return value{}, errNull
	}
	return value{}, fmt.Errorf("%s has no attributes", v.describe())
}

// equal compares without converting: "1" is not 1.
func (v value) equal(w value) (bool, error) {
	switch v.kind {
	case kindNull, kindBool, kindNumber, kindString:
		if v.kind != w.kind {
			return false, nil
		}
		switch v.kind {
		case kindBool:
			return v.truth == w.truth, nil
		case kindNumber:
			return v.number().compare(w.number()) == 0, nil
		case kindString:
			return v.text == w.text, nil
		}
		return true, nil
	case kindArray, kindList:
		if w.kind != kindArray && w.kind != kindList {
			return false, nil
		}
		a, _, err := v.elements()
		if err != nil {
			return false, err
		}
		b, _, err := w.elements()
		if err != nil {
			return false, err
		}
		return equalLists(a, b)
	}
	if w.kind != kindObject && w.kind != kindMap {
		return false, nil
	}
	a, _, err := v.members()
	if err != nil {
		return false, err
	}
	b, _, err := w.members()
	if err != nil {
		return false, err
	}
	for i := range a.keys {
		if len(b.keys) != len(a.keys) || a.keys[i] != b.keys[i] {
			return false, nil
		}
	}
	return equalLists(a.values, b.values)
}

func equalLists(a, b []value) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	for i := range a {
		if same, err := a[i].equal(b[i]); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

// json is the value as JSON, for people.
func (v value) json() string {
	switch v.kind {
	case kindNull:
		return "null"
	case kindString:
		return string(rawjson.AppendString(nil, v.text))
	case kindArray, kindObject:
		return string(bytes.TrimSpace(v.raw))
	case kindList, kindMap:
		var b strings.Builder
		open, end := "[", "]"
		if v.kind == kindMap {
			open, end = "{", "}"
		}
		b.WriteString(open)
		for i, e := range v.made.values {
			if i > 0 {
				b.WriteString(", ")
			}
			if v.kind == kindMap {
				b.Write(rawjson.AppendString(nil, v.made.keys[i]))
				b.WriteString(": ")
			}
			b.WriteString(e.json())
		}
		b.WriteString(end)
		return b.String()
	}
	s, err := v.toText()
	if err != nil {
		return v.describe()
	}
	return s
}
