package main

import "testing"

// A limit below what lives would have the collector run without end, and one with
// little room above it nearly so.
func TestCollectorLimitLeavesRoom(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ live, beside, want uint64 }{
		{0, 0, 192}, {100, 10, 192}, {150, 50, 248}, {400, 20, 500}, {5000, 0, 6000},
	} {
		if got := collectorLimit(c.live*mib, c.beside*mib); got != int64(c.want*mib) {
			t.Errorf("%d and %d MiB are in use: the limit is %d MiB, want %d", c.live, c.beside, got/mib, c.want)
		}
	}
	if live, beside := memoryInUse(); beside == 0 || beside > 1<<30 {
		t.Errorf("%d bytes live and %d beside", live, beside)
	}
}
