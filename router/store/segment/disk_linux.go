package segment

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// allocate gives a stretch of a file its blocks, and leaves its length. Where the file
// system can't, it returns errors.ErrUnsupported.
func allocate(f *os.File, from, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, n)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return errors.ErrUnsupported
		}
		return err
	}
}

// flush has what was written to a file, and its length, reach the disk.
func flush(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
