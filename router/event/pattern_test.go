package event

import "testing"

func TestMatchType(t *testing.T) {
	for _, c := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"order.paid", "order.paid", true},
		{"order.paid", "order.paid2", false},
		{"order.*", "order.paid", true},
		{"order.*", "order.", true},
		{"order.*", "order", false},
		{"*", "", true},
		{"*.paid", "order.paid", true},
		{"*.paid", "order.paid.late", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "acb", false},
		{"a*a", "a", false},
		{"**", "x", true},
		{"", "", true},
		{"", "x", false},
	} {
		if got := MatchType(c.pattern, c.eventType); got != c.want {
			t.Errorf("MatchType(%q, %q) = %v", c.pattern, c.eventType, got)
		}
	}
}
