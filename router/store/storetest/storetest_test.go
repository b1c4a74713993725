package storetest_test

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/router/store/storetest"
)

func TestMemoryConforms(t *testing.T) { storetest.Run(t, storetest.NewMemory()) }

// TestBrokenIsRefused shows that each invariant has a case that fails when it
// does not hold.
func TestBrokenIsRefused(t *testing.T) {
	broken := map[storetest.Flaw]string{ // by a case of which invariant
		storetest.ForgetsNewest:        "1 ",
		storetest.TearsRecords:         "2 ",
		storetest.KeepsRefused:         "2 ",
		storetest.LeavesGaps:           "3 ",
		storetest.KeepsLentData:        "3 ",
		storetest.ReceivedGoesBack:     "3 ",
		storetest.ForgetsIDs:           "4 ",
		storetest.DedupesAcrossSources: "4 ",
		storetest.ForgetsAliases:       "4 ",
		storetest.SkipsEvents:          "5 ",
		storetest.RoutesTwice:          "5 ",
		storetest.SkipsPostings:        "6 ",
		storetest.GivesSettled:         "6 ",
		storetest.BelievesFrom:         "7 ",
		storetest.MiscountsDead:        "7 ",
		storetest.HidesFinished:        "7 ",
		storetest.LosesAttempts:        "7 ",
		storetest.RetriesInLogOrder:    "8 ",
		storetest.KeepsFinishedRetries: "8 ",
		storetest.CursorGoesBack:       "9 ",
		storetest.LosesByCursor:        "9 ",
		storetest.RowsForIdleLanes:     "10 ",
		storetest.ExpiresWaiting:       "11 ",
		storetest.LeavesIndexes:        "11 ",
		storetest.KeepsEverything:      "11 ",
		storetest.ListsTwice:           "lists",
		storetest.TakesWhenFull:        "full",
	}
	for flaw, invariant := range broken {
		t.Run(string(flaw), func(t *testing.T) {
			refused := false
			for _, c := range storetest.Cases() {
				if !strings.HasPrefix(c.Name, invariant) {
					continue
				}
				if err := storetest.RunCase(t.Context(), storetest.NewMemory(flaw), c); err != nil {
					t.Logf("%s: %v", c.Name, err)
					refused = true
				}
			}
			if !refused {
				t.Errorf("no case of invariant %q refuses a store where %s", invariant, flaw)
			}
		})
	}
}

func TestModelComparesWithItself(t *testing.T) {
	if err := storetest.Compare(t.Context(), storetest.NewMemory(), 1, 300); err != nil {
		t.Error(err)
	}
	if err := storetest.Compare(t.Context(), storetest.NewMemory(storetest.MiscountsDead), 1, 300); err == nil {
		t.Error("a store that miscounts equals the model")
	}
}
