package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Misread says in words of JSON why encoding/json could not read a body: the member,
// what is expected there and what was given. Other errors it says as they are.
func Misread(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var at *time.ParseError
	switch {
	case errors.As(err, &kind):
		where := "the body"
		if member := memberOf(kind.Field); member != "" {
			where = member
		}
		given, _, _ := strings.Cut(kind.Value, " ") // a number has its digits behind it
		if given == "number" && strings.Contains(expected(kind.Type), "number") {
			return fmt.Sprintf("%s: %s is expected, and another number was given", where, expected(kind.Type))
		}
		return fmt.Sprintf("%s: %s is expected, and %s was given", where, expected(kind.Type), kindOf(given))
	case errors.As(err, &at):
		return clip(at.Value) + " is not a time of RFC 3339"
	case errors.As(err, &syntax):
		return fmt.Sprintf("byte %d: %v", syntax.Offset, syntax)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends before it is whole"
	}
	text := err.Error()
	// These two have no types of their own.
	if name, ok := strings.CutPrefix(text, "json: unknown field "); ok {
		return "there is no member " + clip(name)
	}
	if strings.HasPrefix(text, "Time.UnmarshalJSON: ") {
		return "a time of RFC 3339 is expected, and something else was given"
	}
	return text
}

// memberOf is a path without the names of Go's types, which no member begins like.
func memberOf(path string) string {
	var kept []string
	for part := range strings.SplitSeq(path, ".") {
		if part != "" && !unicode.IsUpper(rune(part[0])) {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ".")
}

func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "an object"
}

func kindOf(given string) string {
	switch given {
	case "string":
		return "a text"
	case "bool":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	return "a " + given
}

// clip bounds what of a body is said again.
func clip(s string) string {
	if r := []rune(s); len(r) > 64 {
		return string(r[:64]) + "…"
	}
	return s
}
