package rawjson

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzString holds strings, both ways, against encoding/json.
func FuzzString(f *testing.F) {
	for _, seed := range []string{"", "a", "\"\\/\b\f\n\r\t\x00\x7f", "é\u2028\U0001f600", "\xff", `"\ud83d\ude00"`, `"\ud800"`, `"\u0041"`, `"a`, `""`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean := string([]rune(s)) // what UTF-8 can't hold becomes U+FFFD
		encoded := AppendString([]byte("x"), s)[1:]
		var back string
		if err := json.Unmarshal(encoded, &back); err != nil || back != clean {
			t.Fatalf("%q is written as %s, which is %q, %v", s, encoded, back, err)
		}
		if own, ok := Unquote(encoded); !ok || own != clean || !EqualString(encoded, clean) || EqualString(encoded, clean+"x") {
			t.Fatalf("%q is written as %s and read as %q, %v", s, encoded, own, ok)
		}
		if !utf8.ValidString(s) || Valid([]byte(s)) != nil || KindOf([]byte(s)) != String {
			return
		}
		var want string
		if err := json.Unmarshal([]byte(s), &want); err != nil {
			t.Fatalf("%q is taken for a string: %v", s, err)
		}
		// The caller gives a value as it stands, without what is round it.
		value, ok := Get([]byte(s), nil)
		if !ok {
			t.Fatalf("%q is not found", s)
		}
		if got, ok := Unquote(value); !ok || got != want || !EqualString(value, want) {
			t.Fatalf("%q is read as %q, %v; want %q", s, got, ok, want)
		}
	})
}
