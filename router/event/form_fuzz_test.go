package event

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzForm holds the JSON view of a form against net/url and encoding/json. What
// is no form is seen as text.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"a=1&b=x+y&a=2", "&&", "a", "=", "%zz=1", "a=%00&%61=2", "payload=%7B%22a%22%3A1%7D", "é=ü&é=\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		view, ok := View("application/x-www-form-urlencoded", []byte(body))
		if ok != utf8.ValidString(body) {
			t.Fatalf("%q: a view is there: %v", body, ok)
		}
		if !ok || strings.Contains(body, ";") {
			return // net/url refuses semicolons, which browsers don't part at
		}
		want, err := url.ParseQuery(body)
		if err != nil {
			var text string
			if err := json.Unmarshal(view, &text); err != nil || text != body {
				t.Fatalf("%q is seen as %s", body, view)
			}
			return
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(view, &got); err != nil {
			t.Fatalf("%q is seen as %s: %v", body, view, err)
		}
		clean := func(s string) string { return string([]rune(s)) }
		names := map[string]bool{}
		for name, values := range want {
			if !utf8.ValidString(name) {
				return // two such names may become one
			}
			names[name] = true
			var list []string
			if len(values) == 1 {
				list = make([]string, 1)
				err = json.Unmarshal(got[name], &list[0])
			} else {
				err = json.Unmarshal(got[name], &list)
			}
			if err != nil || len(list) != len(values) {
				t.Fatalf("%q: %q is seen as %s", body, name, got[name])
			}
			for i, v := range values {
				if list[i] != clean(v) {
					t.Fatalf("%q: %q is seen as %s", body, name, got[name])
				}
			}
		}
		if len(got) != len(names) {
			t.Fatalf("%q is seen as %s", body, view)
		}
	})
}
