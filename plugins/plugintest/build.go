// Package plugintest builds plugins for tests and loads them into a host.
package plugintest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/sdk"
)

// BuildGo compiles the plugin in dir, which belongs to this module, and returns
// its WebAssembly. Go's build cache makes a second time quick.
func BuildGo(t testing.TB, dir string) []byte {
	t.Helper()
	return Build(t, dir)
}

// built are the plugins of this process, by folder.
var built sync.Map

type module struct {
	once sync.Once
	wasm []byte
	err  error
}

// Build compiles the plugin in dir, in whatever language it is, as weir plugin
// build does, once for each process. A toolchain that is missing fails the test,
// and says how to get it.
func Build(t testing.TB, dir string) []byte {
	t.Helper()
	return build(t, dir, sdk.Build)
}

// BuildCommand is [Build] of a program for abi = "stdio".
func BuildCommand(t testing.TB, dir string) []byte {
	t.Helper()
	return build(t, dir, sdk.BuildCommand)
}

func build(t testing.TB, dir string, with func(context.Context, string, string, io.Writer) error) []byte {
	t.Helper()
	full, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	entry, _ := built.LoadOrStore(full, new(module))
	m := entry.(*module)
	m.once.Do(func() {
		out := filepath.Join(t.TempDir(), "plugin.wasm")
		if m.err = with(context.Background(), full, out, os.Stderr); m.err == nil {
			m.wasm, m.err = os.ReadFile(out)
		}
	})
	if m.err != nil {
		t.Fatalf("building %s: %v", dir, m.err)
	}
	return slices.Clone(m.wasm)
}

// Load loads a plugin into a host of its own; both are closed with the test.
// Where the spec has no deadline it is a minute, since the machine may be busy.
func Load(t testing.TB, s plugins.Spec) *plugins.Plugin {
	t.Helper()
	if s.Deadline == 0 {
		s.Deadline = time.Minute
	}
	ctx := context.Background()
	h, err := plugins.NewHost(ctx, plugins.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	p, err := h.Load(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
