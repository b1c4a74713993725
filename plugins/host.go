// Package plugins runs filters and transforms, which are WebAssembly modules
// that speak ABI version 1 (docs/abi.md), for the routes of the router.
//
// Invariants:
//   - A plugin is pure: what it answers follows from the event, the module and
//     the plugin's config. Its clock stands at the event's received time, its
//     random source is seeded by the event's id, it has no files, no network,
//     no arguments and no environment.
//   - Nothing of one event is visible to the next: an instance is made ahead of
//     need, initialised, warmed up, used for one event and closed. Every
//     instance of a plugin is in the same state when its event comes.
//   - A call can't hurt the host or another call: memory, results, log and
//     stderr are capped, a wall-clock deadline ends endless loops, and an
//     instance that failed is never used again.
//   - The message given to a call is never changed, and what a call returns
//     shares nothing with the guest's memory.
//   - What a module may import and must export is checked by [Inspect] before
//     any of its code runs.
//
// Every plugin has one goroutine that fills its pool; [Plugin.Close] ends it and
// waits for the calls that are running. [Host.Close] closes every plugin that
// is still open.
package plugins

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// ErrClosed is what a call gets when its plugin or host was closed.
var ErrClosed = errors.New("the plugin is closed")

// Options of a [Host]. The zero value is ready to use.
type Options struct {
	// CacheDir keeps compiled modules between runs of the process, where it is
	// not empty. It is made if it is missing. Whoever can write there can run
	// code in the host.
	CacheDir string
	// Logger gets what plugins log and what goes wrong in the background. None
	// by default.
	Logger hclog.Logger
}

// Host compiles and holds plugins. It is safe for concurrent use.
type Host struct {
	cache  wazero.CompilationCache
	logger hclog.Logger

	mu      sync.Mutex
	closed  bool
	plugins map[*Plugin]struct{}
	loading sync.WaitGroup // calls of Load; added to under mu while not closed
}

// NewHost returns a host without plugins. The caller must close it. ctx is for
// the start alone: where it has ended there is no host, and one that is made
// outlives it.
func NewHost(ctx context.Context, o Options) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start of the plugin host: %w", err)
	}
	h := &Host{logger: o.Logger, plugins: map[*Plugin]struct{}{}}
	if h.logger == nil {
		h.logger = hclog.NewNullLogger()
	}
	h.cache = wazero.NewCompilationCache()
	if o.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(o.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("cache of compiled plugins: %w", err)
		}
		h.cache = cache
	}
	return h, nil
}

// Close waits for calls of Load, closes every plugin that is still open, waits
// for their calls (until ctx ends, then they are cut off), and frees what was
// compiled.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.loading.Wait()
	h.mu.Lock()
	open := make([]*Plugin, 0, len(h.plugins))
	for p := range h.plugins {
		open = append(open, p)
	}
	h.mu.Unlock()
	var errs []error
	for _, p := range open {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(append(errs, h.cache.Close(ctx))...)
}

// begin lets a Load use the cache, unless the host is closed. The caller ends it
// by h.loading.Done.
func (h *Host) begin() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.loading.Add(1)
	return nil
}

func (h *Host) add(p *Plugin) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plugins[p] = struct{}{}
}

func (h *Host) forget(p *Plugin) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.plugins, p)
}

// newRuntime makes the runtime of one plugin. Each has its own since a limit of
// memory holds for a whole runtime; the compiled code is shared by the cache.
func (h *Host) newRuntime(ctx context.Context, memory int64) wazero.Runtime {
	return wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().
		WithCompilationCache(h.cache).
		WithMemoryLimitPages(uint32(memory/pageSize)).
		// Slow in tight loops, and the only guard against them until work is
		// metered.
		WithCloseOnContextDone(true))
}

// compiling lets wazero use all cores.
func compiling(ctx context.Context) context.Context {
	return experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
}
