package source

import (
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
)

// FuzzTimestamp holds times against time.Parse, and printing against reading.
func FuzzTimestamp(f *testing.F) {
	for _, seed := range []string{
		"2024-01-01T12:00:00Z", "2024-02-29t23:59:60z", "1677-12-31T23:00:00-01:00", "2261-12-31T23:59:59.999999999Z",
		"2024-01-01T12:00:00+23:59", "2024-01-01T12:00:00+24:00", "2024-01-01T1:00:00Z", "2024-01-01T12:00:00,5Z", "2024-01-01 12:00:00Z", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseTime(s)
		if !ok {
			return
		}
		want, err := time.Parse(time.RFC3339, strings.ToUpper(s))
		if err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Fatalf("%q is %s, want %s, %v", s, got, want, err)
		}
		if !time.Unix(0, got.UnixNano()).Equal(got) {
			t.Fatalf("%q does not fit into nanoseconds", s)
		}
		if again, ok := parseTime(event.FormatTime(got)); !ok || !again.Equal(got) {
			t.Fatalf("%q is printed as %s, read as %s, %v", s, event.FormatTime(got), again, ok)
		}
	})
}
