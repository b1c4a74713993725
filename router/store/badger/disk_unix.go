//go:build linux || darwin || freebsd

package badger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// freeBytes is the space that a process without privileges may still use.
func freeBytes(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("free space at %s: %w", path, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// lockFolder keeps other processes out until the file is closed. The lock ends
// with the process, however that ends.
func lockFolder(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(path, "weir.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the store at %s %w", path, ErrInUse)
		}
		return nil, fmt.Errorf("locking the store at %s: %w", path, err)
	}
	return f, nil
}
