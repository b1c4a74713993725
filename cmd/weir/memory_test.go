package main

import "testing"

// A limit below what lives would have the collector run without end.
func TestCollectorLimitLeavesRoom(t *testing.T) {
	for live, want := range map[uint64]int64{0: 192 << 20, 100 << 20: 192 << 20, 400 << 20: 500 << 20, 4 << 30: 5 << 30} {
		if got := collectorLimit(live); got != want {
			t.Errorf("%d bytes live: the limit is %d, want %d", live, got, want)
		}
	}
}
