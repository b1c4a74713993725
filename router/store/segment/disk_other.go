//go:build !linux

package segment

import (
	"errors"
	"os"
)

func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }

func flush(f *os.File) error { return f.Sync() }
