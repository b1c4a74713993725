package badger

import "testing"

// KeepTables has small tables stay as they are until the test ends, instead of
// being compacted at once.
func KeepTables(tb testing.TB) {
	was := levelZeroTables
	levelZeroTables = 5
	tb.Cleanup(func() { levelZeroTables = was })
}

// CheckLess has Open check only the last block of each table until the test ends, as of
// tables that are too much to be read then.
func CheckLess(tb testing.TB) {
	was := checkedFirst
	checkedFirst = 0
	tb.Cleanup(func() { checkedFirst = was })
}
