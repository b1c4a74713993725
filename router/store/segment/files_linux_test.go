package segment

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the process has no file left to open, a group that begins a segment is refused,
// and the next one is not.
func TestNoFileLeft(t *testing.T) {
	l := open(t, Options{NoSync: true, NoRoom: true, Folder: t.TempDir()})
	fill(t, l, 100, 1)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err := l.Append(2, true, false, []Entry{entryAt(2, 100)})
	if back := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, ErrNoSpace) || l.Last() != 1 {
		t.Errorf("the last is %d, error %v", l.Last(), err)
	}
	fill(t, l, 100, 1, 1)
	check(t, l, 100, 1, 3)
}
