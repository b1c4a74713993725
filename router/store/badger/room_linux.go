package badger

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// allocate gives the first n bytes of a file their blocks. It changes the file's
// length only when grow says so. Where the file system can't, it returns
// errors.ErrUnsupported.
func allocate(f *os.File, n int64, grow bool) error {
	mode := uint32(unix.FALLOC_FL_KEEP_SIZE)
	if grow {
		mode = 0
	}
	for {
		err := unix.Fallocate(int(f.Fd()), mode, 0, n)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return fmt.Errorf("allocating %s: %w", f.Name(), errors.ErrUnsupported)
		}
		return fmt.Errorf("allocating %d MiB for %s: %w", n>>20, f.Name(), err)
	}
}

// blocksOf is what a file takes on disk.
func blocksOf(path string) int64 {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return 0
	}
	return st.Blocks * 512
}
