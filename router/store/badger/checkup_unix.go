//go:build linux || darwin || freebsd

package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folderInUse asks for the lock of lockFolder, and gives it back at once.
func folderInUse(path string) (bool, error) {
	f, err := os.Open(filepath.Join(path, "weir.lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the lock of the store: %w", err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("the lock of the store: %w", err)
	}
	return false, nil
}
