// Package plugintest builds plugins for tests and loads them into a host.
package plugintest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
)

// BuildGo compiles the plugin in dir, which belongs to this module, and returns
// its WebAssembly. Go's build cache makes a second time quick.
func BuildGo(t testing.TB, dir string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "plugin.wasm")
	build := exec.Command("go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", dir, err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
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
