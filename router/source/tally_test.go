package source

import (
	"reflect"
	"sync"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	var tally Tally
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				tally.Took("b", 2)
				tally.Repeated("b", 3)
				tally.Refused("b", "signature_missing", time.Now())
				tally.Refused("a", "busy", time.Now())
			}
		})
	}
	group.Wait()
	want := []Count{{"a", "busy", false, 800}, {"b", "", false, 1600}, {"b", "", true, 2400}, {"b", "signature_missing", false, 800}}
	if got := tally.Counts(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

// What tells of refusals tells at once, then once a minute, and forgets none.
func TestTallyTells(t *testing.T) {
	var tally Tally
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, step := range []struct {
		after          time.Duration
		source, reason string
		n              uint64
		tell           bool
	}{
		{0, "shop", "schema", 1, true},
		{0, "shop", "signature_missing", 1, true}, // each reason by itself
		{0, "till", "schema", 1, true},            // and each source
		{time.Second, "shop", "schema", 0, false},
		{59 * time.Second, "shop", "schema", 0, false},
		{time.Minute, "shop", "schema", 3, true},
		{61 * time.Second, "shop", "schema", 0, false},
		{-time.Hour, "shop", "schema", 2, true}, // the clock was set back
		{-time.Hour + time.Second, "shop", "schema", 0, false},
	} {
		if n, tell := tally.Refused(step.source, step.reason, start.Add(step.after)); n != step.n || tell != step.tell {
			t.Errorf("%s %s after %s: %d %t, want %d %t", step.source, step.reason, step.after, n, tell, step.n, step.tell)
		}
	}
}
