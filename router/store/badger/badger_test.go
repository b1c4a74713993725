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

// copySparse leaves holes where there are zeroes.
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
	buf, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	var at int64
	for {
		n, err := io.ReadFull(in, buf)
		if n > 0 && string(buf[:n]) != string(zero[:n]) {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out.Truncate(at)
		}
		if err != nil {
			return err
		}
	}
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
