package api

import (
	"fmt"
	"testing"
)

// The busiest rows are given in the order that they had, as many as are wanted,
// also where many are equally busy.
func TestBusiestRows(t *testing.T) {
	row := func(name string, n uint64) StatsRow { return StatsRow{Destination: name, Deliveries: n} }
	all := []StatsRow{row("a", 1), row("b", 5), row("c", 3), row("d", 3), row("e", 3), row("f", 0)}
	for top, want := range map[int]string{1: "b", 2: "bc", 3: "bcd", 4: "bcde", 5: "abcde", 6: "abcdef", 7: "abcdef"} {
		rows, more := busiest(all, top)
		got := ""
		for _, r := range rows {
			got += r.Destination
		}
		if got != want || more != max(0, len(all)-top) {
			t.Errorf("the busiest %d are %s, and %d more; want %s", top, got, more, want)
		}
	}
	if rows, more := busiest(nil, 3); fmt.Sprint(rows, more) != "[] 0" {
		t.Errorf("of nothing there are %v, and %d more", rows, more)
	}
}
