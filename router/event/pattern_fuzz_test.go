package event

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMatchType holds patterns against regular expressions.
func FuzzMatchType(f *testing.F) {
	for _, seed := range [][2]string{{"order.*", "order.paid"}, {"*", ""}, {"a*b*a", "aba"}, {"**", "x"}, {"*aa*aa", "aaa"}, {"a.c", "abc"}, {"*\n", "\n"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, typ string) {
		if len(pattern) > 200 || !utf8.ValidString(pattern) || !utf8.ValidString(typ) {
			return
		}
		parts := strings.Split(pattern, "*")
		for i, p := range parts {
			parts[i] = regexp.QuoteMeta(p)
		}
		want := regexp.MustCompile(`\A(?s:` + strings.Join(parts, ".*") + `)\z`).MatchString(typ)
		if got := MatchType(pattern, typ); got != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, typ, got, want)
		}
	})
}
