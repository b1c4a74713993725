package plugins_test

import (
	"context"
	"testing"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/plugintest"
)

// grows answers 7, which means nothing, where the memory has more pages than after
// the warm-up, which it does this in as well, or where what it grows by is not
// zero. It leaves something there.
func grows(pages, by int) []byte {
	const opMemorySize, opStore8, opGreater, opSubtract, opShiftLeft = 0x3f, 0x3a, 0x4b, 0x6b, 0x74
	body := append([]byte{opMemorySize, 0, opConst}, sleb(int64(pages+by))...)
	body = append(body, opGreater, opIf, blockEmpty, opConst, 7, opReturn, opEnd)
	body = append(append(append(body, opConst), sleb(int64(by))...), opMemoryGrow, 0, opDrop)
	for n := range by { // the first byte of each page
		at := append([]byte{opMemorySize, 0, opConst}, sleb(int64(n+1))...)
		at = append(at, opSubtract, opConst, 16, opShiftLeft)
		body = append(append(body, at...), opLoad8, 0, 0, opIf, blockEmpty, opConst, 7, opReturn, opEnd)
		body = append(append(body, at...), opConst, 1, opStore8, 0, 0)
	}
	return append(body, opConst, 0)
}

// What a guest has grown by is taken back after the event, so that its instance
// serves the next one, which sees nothing of it.
func TestGrowthIsTakenBack(t *testing.T) {
	for name, g := range map[string]guest{
		"a small memory":                 {transform: grows(1, 1)},
		"a memory that is watched":       {transform: grows(8, 1), pages: 8},
		"by more than a few zeros":       {transform: grows(8, 9), pages: 8},
		"a memory at the module's limit": {transform: grows(2, 1), pages: 2, maxPages: 4},
	} {
		p := plugintest.Load(t, plugins.Spec{Name: "p", Wasm: g.build()})
		run := func() {
			if _, err := p.Run(context.Background(), message("t", "{}"), "r"); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for range 20 {
			run()
		}
		// An instance takes hundreds.
		if got := testing.AllocsPerRun(50, run); g.maxPages == 0 && got > 10 {
			t.Errorf("%s: %v allocations a call: each has an instance of its own", name, got)
		}
	}
}
