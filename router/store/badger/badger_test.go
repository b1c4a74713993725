package badger_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/store/badger"
	"github.com/weirhq/weir/router/store/storetest"
)

// system is a folder. A crash opens a copy of it, taken while the store was
// open: what kill -9 would leave.
type system struct {
	root  string
	round int
	open  store.Store
}

func newSystem() (storetest.System, error) {
	root, err := os.MkdirTemp("", "weir-store")
	return &system{root: root}, err
}

func (s *system) folder() string { return filepath.Join(s.root, string(rune('a'+s.round))) }

func (s *system) Open(ctx context.Context, o storetest.Options) (store.Store, error) {
	st, err := badger.Open(ctx, badger.Options{
		Path: s.folder(), Retention: o.Retention, MaxAge: o.MaxAge, DeadAge: o.DeadAge,
		MinFree: o.MinFree, Now: o.Now, Free: func(string) (int64, error) { return o.Free(), nil },
	})
	if err != nil {
		return nil, err
	}
	s.open = st
	return st, nil
}

func (s *system) Crash(context.Context) error {
	old := s.folder()
	s.round++
	if err := copyFolder(s.folder(), old); err != nil {
		return err
	}
	return errors.Join(s.open.Close(), os.RemoveAll(old))
}

func (s *system) Remove() error { return os.RemoveAll(s.root) }

// copyFolder copies a folder as it is at one moment: again, when files came or
// went meanwhile.
func copyFolder(to, from string) error {
	for {
		before, err := folderState(from)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(to, 0o700); err != nil {
			return err
		}
		err = nil
		for name := range before {
			if err = copySparse(filepath.Join(to, name), filepath.Join(from, name)); err != nil {
				break
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		after, listErr := folderState(from)
		if listErr != nil {
			return listErr
		}
		if err == nil && maps.Equal(before, after) {
			return nil
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
}

// folderState gives the sizes of files. The manifest grows with each table.
func folderState(path string) (map[string]int64, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sizes[e.Name()] = info.Size()
	}
	return sizes, nil
}

// copySparse copies what is not a hole, and leaves the holes: nearly all of a log.
func copySparse(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	end, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	err = eachData(in, end, func(from, to int64) error {
		_, err := io.Copy(io.NewOffsetWriter(out, from), io.NewSectionReader(in, from, to-from))
		return err
	})
	return errors.Join(err, out.Truncate(end))
}

// eachData calls f with each stretch of a file that is not a hole.
func eachData(file *os.File, end int64, f func(from, to int64) error) error {
	for at := int64(0); at < end; {
		from, err := file.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		if at, err = file.Seek(from, unix.SEEK_HOLE); err == nil {
			err = f(from, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestConforms(t *testing.T) { storetest.Run(t, newSystem) }

func TestEqualsModel(t *testing.T) {
	for seed := range uint64(2) {
		if err := storetest.Compare(t.Context(), newSystem, seed+1, 200); err != nil {
			t.Error(err)
		}
		if err := storetest.CompareRetention(t.Context(), newSystem, seed+1, 120); err != nil {
			t.Error(err)
		}
	}
}
