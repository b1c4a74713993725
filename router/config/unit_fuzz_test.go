package config

import (
	"testing"
	"time"
)

// FuzzUnit reads any text as a time span and as a size. What is taken is printed
// as something that is read as the same; time.ParseDuration agrees where it
// knows the units.
func FuzzUnit(f *testing.F) {
	for _, seed := range []string{"", "0s", "1ms", "1d1h1m1s1ms", "90s", "1h30m", "7d", "1.5h", ".", "1e9s", "36500d", "999999999999999d", "1MiB", "1.5 GiB", "1KB", "1 ", "-1s", "0B", "1125899906842624KiB"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s); err == nil {
			if d < 0 || d > 100*365*24*time.Hour {
				t.Fatalf("%q is %d", s, d)
			}
			whole := d.Truncate(time.Millisecond)
			if again, err := ParseDuration(FormatDuration(whole)); err != nil || again != whole {
				t.Fatalf("%q is printed as %q and read as %s, %v", s, FormatDuration(whole), again, err)
			}
			// Both are exact to far below a millisecond.
			if want, err := time.ParseDuration(s); err == nil && (d-want).Abs() > time.Millisecond {
				t.Fatalf("%q is %s, want %s", s, d, want)
			}
		}
		if n, err := ParseSize(s); err == nil {
			if n < 0 || n > 1<<60 {
				t.Fatalf("%q is %d", s, n)
			}
			if again, err := ParseSize(FormatSize(n)); n < 1<<53 && (err != nil || again != n) {
				t.Fatalf("%q is printed as %q and read as %d, %v", s, FormatSize(n), again, err)
			}
		}
	})
}
