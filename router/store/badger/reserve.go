package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// reserve is a file whose blocks are kept for the database's flushes and
// compactions: what they write can't be allocated beforehand.
type reserve struct {
	file  *os.File
	held  int64
	armed bool // the handler of SIGBUS gives it back, piece by piece
}

const reserveName = "weir.reserve"

// openReserve takes what a run before has left.
func openReserve(folder string) (*reserve, error) {
	f, err := os.OpenFile(filepath.Join(folder, reserveName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the store's reserve of space: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the store's reserve of space: %w", err), f.Close())
	}
	r := &reserve{file: f, held: min(info.Size(), blocksOf(f.Name()))}
	r.armed = defect != defectUnguarded && arm(f, r.held)
	return r, nil
}

// left is what it holds now.
func (r *reserve) left() int64 {
	if r.armed {
		r.held = armedLeft()
	}
	return r.held
}

// fill makes it hold n bytes again.
func (r *reserve) fill(n int64) error {
	if err := allocate(r.file, n, true); err != nil {
		return err
	}
	r.held = n
	if r.armed {
		refill(n)
	}
	return nil
}

// shrink frees n bytes of it. Nothing may be written meanwhile that could need it.
func (r *reserve) shrink(n int64) error {
	left := max(r.left()-n, 0)
	if r.armed {
		refill(left) // first: the handler cuts the file where it thinks that it ends
	}
	if err := r.file.Truncate(left); err != nil {
		return fmt.Errorf("giving back some of the store's reserve of space: %w", err)
	}
	r.held = left
	return nil
}

// giveBack frees all of it where it can't be freed at the moment of need.
func (r *reserve) giveBack() (bool, error) {
	if r.armed || r.held == 0 {
		return false, nil
	}
	if err := r.file.Truncate(0); err != nil {
		return false, fmt.Errorf("giving back the store's reserve of space: %w", err)
	}
	r.held = 0
	return true, nil
}

func (r *reserve) close() error {
	if r.armed {
		disarm()
	}
	if err := r.file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return fmt.Errorf("the store's reserve of space: %w", err)
	}
	return nil
}
