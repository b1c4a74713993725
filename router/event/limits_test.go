package event

import (
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		check func(string) error
		s     string
		want  string // of the error; empty: none
	}{
		{"type", CheckType, "order.created", ""},
		{"type", CheckType, "bestellung.geändert", ""},
		{"type", CheckType, strings.Repeat("t", MaxType), ""},
		{"type", CheckType, "", "is empty"},
		{"type", CheckType, strings.Repeat("t", MaxType+1), "257 bytes"},
		{"type", CheckType, "a b", "U+0020"},
		{"type", CheckType, "a\u00a0b", "U+00A0"},
		{"type", CheckType, "a\tb", "U+0009"},
		{"type", CheckType, "\xff", "UTF-8"},
		{"subject", CheckSubject, "", ""},
		{"subject", CheckSubject, "cart 7 é", ""},
		{"subject", CheckSubject, strings.Repeat("s", MaxSubject), ""},
		{"subject", CheckSubject, strings.Repeat("s", MaxSubject+1), "1025 bytes"},
		{"subject", CheckSubject, "a\nb", "U+000A"},
		{"subject", CheckSubject, "a\u0085b", "U+0085"},
		{"subject", CheckSubject, "\xff", "UTF-8"},
		{"tenant", CheckTenant, strings.Repeat("t", MaxTenant), ""},
		{"tenant", CheckTenant, strings.Repeat("t", MaxTenant+1), "257 bytes"},
		{"content type", CheckContentType, "", ""},
		{"content type", CheckContentType, "text/plain; charset=utf-8", ""},
		{"content type", CheckContentType, strings.Repeat("t", MaxContentType), ""},
		{"content type", CheckContentType, strings.Repeat("t", MaxContentType+1), "257 bytes"},
		{"content type", CheckContentType, "text/pl\tain", "0x09"},
		{"content type", CheckContentType, "text/é", "0xc3"},
		{"content type", CheckContentType, "text/plain ", "space"},
	} {
		err := c.check(c.s)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %.20q: %v, want %q", c.name, c.s, err, c.want)
		}
	}
}

func TestMediaType(t *testing.T) {
	for contentType, want := range map[string]string{
		"": "", "application/json": "application/json", "Application/JSON": "application/json",
		"application/json; charset=utf-8": "application/json", " text/plain ;a=b;a=b": "text/plain",
		"application/json;": "application/json", ";": "", "nonsense": "nonsense",
	} {
		if got := MediaType(contentType); got != want {
			t.Errorf("MediaType(%q) = %q, want %q", contentType, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		if !IsJSON("application/json; charset=utf-8") || IsForm("application/json; charset=utf-8") {
			t.Error("not JSON")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
