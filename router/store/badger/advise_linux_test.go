package badger

import (
	"os"
	"strings"
	"testing"
)

// advised counts the mappings of logs in a folder that are marked as read at
// random, and all of them.
func advised(t *testing.T, folder string) (marked, all int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inLog := false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		flags, isFlags := strings.CutPrefix(line, "VmFlags:")
		switch {
		case isFlags && inLog:
			all++
			if strings.Contains(flags+" ", " rr ") {
				marked++
			}
			inLog = false
		case strings.Contains(line, folder) && strings.HasSuffix(line, ".mem"):
			inLog = true
		}
	}
	return marked, all
}

func TestLogsAreAdvised(t *testing.T) {
	s := open(t)
	if marked, all := advised(t, s.opts.Path); all == 0 || marked != all {
		t.Errorf("%d of %d logs are advised when the store is open", marked, all)
	}
	for range 12 { // more than one log holds
		commit(t, s, record(7<<20))
	}
	if s.advice.next < 2 {
		t.Errorf("no log was begun: the next is %d", s.advice.next)
	}
	if marked, all := advised(t, s.opts.Path); all == 0 || marked != all {
		t.Errorf("%d of %d logs are advised after one was full", marked, all)
	}
}
