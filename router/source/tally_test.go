package source

import (
	"reflect"
	"sync"
	"testing"
)

func TestTally(t *testing.T) {
	var tally Tally
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				tally.Took("b", 2)
				tally.Repeated("b", 3)
				tally.Refused("b", "signature_missing")
				tally.Refused("a", "busy")
			}
		})
	}
	group.Wait()
	want := []Count{{"a", "busy", false, 800}, {"b", "", false, 1600}, {"b", "", true, 2400}, {"b", "signature_missing", false, 800}}
	if got := tally.Counts(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
