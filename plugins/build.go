package plugins

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/weirhq/weir/plugins/meter"
)

// buildKey names a compiled module: what it is compiled from and how.
type buildKey struct {
	sha256 string
	pages  uint32 // the most memory
}

// folder is where the cache keeps it.
func (k buildKey) folder() string {
	return fmt.Sprintf("%s-m%d-v%d", k.sha256, k.pages, meter.Version)
}

// build is a module that is rewritten and compiled. The plugins that have the
// same module and memory share it.
type build struct {
	key      buildKey
	users    int // under Host.mu
	done     chan struct{}
	err      error // set when done is closed, as all below
	cache    wazero.CompilationCache
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	globals  []string
	volatile string
}

// acquire returns the build of a module, which it compiles if nobody has. The
// caller releases it.
func (h *Host) acquire(ctx context.Context, key buildKey, wasm []byte) (*build, error) {
	h.mu.Lock()
	b := h.builds[key]
	mine := b == nil
	if mine {
		b = &build{key: key, done: make(chan struct{})}
		h.builds[key] = b
	}
	b.users++
	h.mu.Unlock()
	if mine {
		b.err = b.compile(h, wasm)
		close(b.done)
		if h.folder != "" {
			h.tidy()
		}
	}
	<-b.done
	err := b.err
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, h.release(b))
	}
	return b, nil
}

// release frees a build that nobody uses any more.
func (h *Host) release(b *build) error {
	h.mu.Lock()
	b.users--
	last := b.users == 0
	if last {
		delete(h.builds, b.key)
	}
	h.mu.Unlock()
	if !last {
		return nil
	}
	return b.free()
}

// compile fills a build in. It does not end with any caller's context: others may
// wait for the same build.
func (b *build) compile(h *Host, wasm []byte) error {
	m, err := meter.Rewrite(wasm, meter.Options{MaxPages: b.key.pages, Fuel: DefaultInitFuel})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotWasm, err)
	}
	b.globals, b.volatile = m.Globals, m.Volatile
	folder := ""
	if h.folder != "" {
		folder = filepath.Join(h.folder, b.key.folder())
	}
	if err = b.open(folder, m.Wasm); err == nil || folder == "" {
		return err
	}
	// What the cache has may be damaged.
	first := err
	if err := errors.Join(b.free(), os.RemoveAll(folder)); err != nil {
		return errors.Join(first, err)
	}
	return b.open(folder, m.Wasm)
}

// open makes a runtime and compiles in it.
func (b *build) open(folder string, wasm []byte) (err error) {
	ctx := context.Background()
	b.cache = wazero.NewCompilationCache()
	if folder != "" {
		if b.cache, err = wazero.NewCompilationCacheWithDir(folder); err != nil {
			return fmt.Errorf("cache of compiled plugins: %w", err)
		}
		// The time tells a later start that it is in use.
		now := time.Now()
		if err := os.Chtimes(folder, now, now); err != nil {
			return fmt.Errorf("cache of compiled plugins: %w", err)
		}
	}
	b.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCompilationCache(b.cache).
		WithMemoryLimitPages(b.key.pages))
	if err := instantiateWASI(ctx, b.runtime); err != nil {
		return fmt.Errorf("WASI: %w", err)
	}
	if err := instantiateImports(ctx, b.runtime); err != nil {
		return fmt.Errorf("imports: %w", err)
	}
	// All cores take part.
	ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	if b.compiled, err = b.runtime.CompileModule(ctx, wasm); err != nil {
		return fmt.Errorf("the module is damaged or uses what is not supported: %w", err)
	}
	return nil
}

// free closes the runtime, and the compiled code apart: the runtime leaves it in
// the cache.
func (b *build) free() error {
	ctx := context.Background()
	var errs []error
	if b.compiled != nil {
		errs = append(errs, b.compiled.Close(ctx))
	}
	if b.runtime != nil {
		errs = append(errs, b.runtime.Close(ctx))
	}
	if b.cache != nil {
		errs = append(errs, b.cache.Close(ctx))
	}
	b.compiled, b.runtime, b.cache = nil, nil, nil
	return errors.Join(errs...)
}

// cacheAge is how long a compiled module that nobody loads is kept.
const cacheAge = 30 * 24 * time.Hour

// cacheFresh is how long a folder is left alone whatever the cache's size: another
// process may be writing there.
const cacheFresh = 10 * time.Minute

// tidyCache removes compiled modules that nobody loaded for long, or that another
// version of Weir made, and then, until they take most bytes at the most, those that
// nobody loaded for the longest time. Several processes may do so at once: a module
// that is gone is compiled again, and one that is loaded needs its file no more.
func (h *Host) tidyCache(now time.Time) error {
	entries, err := os.ReadDir(h.folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	type kept struct {
		path string
		used time.Time
		size int64
	}
	var list []kept
	var total int64
	var errs []error
	for _, e := range entries {
		if !e.IsDir() || !ourCache(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // it is gone
		}
		path := filepath.Join(h.folder, e.Name())
		if now.Sub(info.ModTime()) >= cacheAge || !strings.HasSuffix(e.Name(), fmt.Sprintf("-v%d", meter.Version)) {
			errs = append(errs, os.RemoveAll(path))
			continue
		}
		size := folderSize(path)
		total += size
		if now.Sub(info.ModTime()) >= cacheFresh && !h.uses(e.Name()) {
			list = append(list, kept{path, info.ModTime(), size})
		}
	}
	slices.SortFunc(list, func(a, b kept) int { return a.used.Compare(b.used) })
	for _, k := range list {
		if total <= h.cacheBytes {
			break
		}
		errs = append(errs, os.RemoveAll(k.path))
		total -= k.size
	}
	return errors.Join(errs...)
}

// uses reports whether a plugin of this host was compiled to a folder of the cache.
func (h *Host) uses(folder string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key := range h.builds {
		if key.folder() == folder {
			return true
		}
	}
	return false
}

// folderSize is the bytes of the files in a folder, as far as they can be seen.
func folderSize(path string) (size int64) {
	_ = filepath.WalkDir(path, func(_ string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // another process may be taking it away
		}
		if info, err := e.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	return size
}

// ourCache reports whether a folder has a name that this or an earlier version
// gave it: nothing else is removed.
func ourCache(name string) bool {
	if strings.HasPrefix(name, "wazero-") {
		return true
	}
	sum, _, ok := strings.Cut(name, "-m")
	if !ok || len(sum) != 64 {
		return false
	}
	_, err := hex.DecodeString(sum)
	return err == nil
}
