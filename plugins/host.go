// Package plugins runs filters and transforms, which are WebAssembly modules
// that speak ABI version 1 (docs/abi.md), for the routes of the router.
//
// Invariants:
//   - A plugin is pure: what it answers follows from the event, the module and
//     the plugin's config. Its clock stands at the event's received time, its
//     random source is seeded by the event's id, it has no files, no network,
//     no arguments and no environment.
//   - Nothing of one event is visible to the next. Every instance of a plugin is
//     in the same state when its event comes: that after weir_init and the
//     warm-up. Memory and globals are put back to it after each event, and an
//     instance that has other state, or that grew to its limit, is used once. [Reuse] gives
//     this up.
//   - The work of a guest is metered by package meter, the same on every machine,
//     and so is what the host does for it. A deadline is the second guard.
//   - A call can't hurt the host or another call: memory, fuel, results, log and
//     stderr are capped, and an instance that failed is never used again.
//   - The message given to a call is never changed, and what a call returns
//     shares nothing with the guest's memory or the host's buffers.
//   - What a module may import and must export is checked by [Inspect] before
//     any of its code runs.
//   - Plugins that nobody calls can always be made anew: they may lose their
//     instances when others need the memory.
//
// Every plugin has one goroutine that makes instances ahead of need;
// [Plugin.Close] ends it and waits for the calls that are running. [Host.Close]
// closes every plugin that is still open.
package plugins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// ErrClosed is what a call gets when its plugin or host was closed.
var ErrClosed = errors.New("the plugin is closed")

// DefaultIdle is the memory of instances that wait for events, in bytes.
const DefaultIdle = 256 << 20

// DefaultCacheBytes is what compiled modules may take on disk: a hundred of Go, about.
const DefaultCacheBytes = 1 << 30

// Options of a [Host]. The zero value is ready to use.
type Options struct {
	// CacheDir keeps compiled modules between runs of the process, where it is
	// not empty. It is made if it is missing. Whoever can write there can run
	// code in the host. Modules that were not loaded for 30 days are removed.
	CacheDir string
	// CacheBytes is how much compiled modules may take there, in bytes; 0 means
	// [DefaultCacheBytes]. Those that nobody loaded for the longest time go first,
	// and none that is in use here or was loaded in the last ten minutes.
	CacheBytes int64
	// Idle is how much memory instances that wait for events may take together,
	// in bytes; 0 means [DefaultIdle]. Plugins that were not called for the
	// longest time lose theirs, and make new ones when they are called.
	Idle int64
	// Logger gets what plugins log and what goes wrong in the background. None
	// by default.
	Logger hclog.Logger
}

// Host compiles and holds plugins. It is safe for concurrent use.
type Host struct {
	folder     string
	cacheBytes int64
	idle       int64
	logger     hclog.Logger
	tidying    sync.Mutex

	mu      sync.Mutex
	closed  bool
	plugins map[*Plugin]struct{}
	builds  map[buildKey]*build
	held    int64          // bytes of instances and snapshots
	loading sync.WaitGroup // calls of Load; added to under mu while not closed
}

// NewHost returns a host without plugins. The caller must close it. ctx is for
// the start alone: where it has ended there is no host, and one that is made
// outlives it.
func NewHost(ctx context.Context, o Options) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start of the plugin host: %w", err)
	}
	h := &Host{
		folder: o.CacheDir, cacheBytes: o.CacheBytes, idle: o.Idle, logger: o.Logger,
		plugins: map[*Plugin]struct{}{}, builds: map[buildKey]*build{},
	}
	if h.logger == nil {
		h.logger = hclog.NewNullLogger()
	}
	if h.idle == 0 {
		h.idle = DefaultIdle
	}
	if h.cacheBytes == 0 {
		h.cacheBytes = DefaultCacheBytes
	}
	if h.folder != "" {
		if err := os.MkdirAll(h.folder, 0o755); err != nil {
			return nil, fmt.Errorf("cache of compiled plugins: %w", err)
		}
		h.tidy()
	}
	return h, nil
}

// tidy keeps the cache in its bounds.
func (h *Host) tidy() {
	h.tidying.Lock()
	defer h.tidying.Unlock()
	if err := h.tidyCache(time.Now()); err != nil {
		h.logger.Warn("old compiled plugins stay in the cache", "error", err)
	}
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
	return errors.Join(errs...)
}

// begin lets a Load work, unless the host is closed. The caller ends it by
// h.loading.Done.
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

// hold counts memory that instances take, or give back where bytes is negative.
// It is called without locks.
func (h *Host) hold(bytes int64) {
	h.mu.Lock()
	h.held += bytes
	over := h.held > h.idle && bytes > 0
	h.mu.Unlock()
	for over {
		over = h.rest()
	}
}

// rest takes the instances from the plugin that was not called for the longest
// time, and reports whether to go on.
func (h *Host) rest() bool {
	h.mu.Lock()
	var oldest *Plugin
	for p := range h.plugins {
		if p.resting() {
			continue
		}
		if oldest == nil || p.called.Load() < oldest.called.Load() {
			oldest = p
		}
	}
	h.mu.Unlock()
	if oldest == nil {
		return false
	}
	freed := oldest.rest()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held -= freed
	return freed > 0 && h.held > h.idle
}
