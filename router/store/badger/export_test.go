package badger

import "testing"

// KeepTables has small tables stay as they are until the test ends, instead of
// being compacted at once.
func KeepTables(tb testing.TB) {
	was := levelZeroTables
	levelZeroTables = 5
	tb.Cleanup(func() { levelZeroTables = was })
}
