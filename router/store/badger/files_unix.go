//go:build linux || darwin || freebsd

package badger

import (
	"errors"

	"golang.org/x/sys/unix"
)

// filesLeft is how many more files must be possible for a compaction to run.
const filesLeft = 64

// filesShort says that the process has few files left to open. The kernel gives
// the lowest free number, so one look tells.
func filesShort() bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	fd, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 0)
	if errors.Is(err, unix.EMFILE) {
		return true
	}
	if err != nil {
		return false
	}
	if unix.Close(fd) != nil {
		return false
	}
	return uint64(fd)+filesLeft > uint64(limit.Cur)
}
