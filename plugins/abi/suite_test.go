package abi_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/abi"
	"github.com/weirhq/weir/plugins/golden"
	"github.com/weirhq/weir/router/event"
)

// weirHost is the host of package plugins.
type weirHost struct{ host *plugins.Host }

func (h weirHost) Load(ctx context.Context, wasm, config []byte, memory int64) (abi.Plugin, error) {
	p, err := h.host.Load(ctx, plugins.Spec{Name: "guest", Wasm: wasm, Config: config, Memory: memory, Deadline: time.Minute})
	if err != nil {
		return nil, err
	}
	return weirPlugin{p}, nil
}

type weirPlugin struct{ *plugins.Plugin }

func (p weirPlugin) Run(ctx context.Context, m *event.Message, route string) (golden.Outcome, error) {
	return golden.OutcomeOf(p.Plugin.Run(ctx, m, route))
}

func guests(t *testing.T) []*abi.Guest {
	t.Helper()
	all, err := abi.Guests()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 60 {
		t.Fatalf("only %d guests", len(all))
	}
	return all
}

// The router's own host conforms.
func TestHostConforms(t *testing.T) {
	ctx := context.Background()
	h, err := plugins.NewHost(ctx, plugins.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	for _, g := range guests(t) {
		t.Run(g.Name, func(t *testing.T) {
			wrong, err := g.Check(ctx, weirHost{h})
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range wrong {
				t.Errorf("%s\n%s", g.About, w)
			}
		})
	}
}

// Every module is what wat2wasm makes of the text beside it, and nothing lies
// there that belongs to no guest.
func TestModulesAreMadeOfTheirTexts(t *testing.T) {
	texts, err := filepath.Glob("testdata/*.wat")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, g := range guests(t) {
		names[g.Name] = true
	}
	dir := t.TempDir()
	for _, text := range texts {
		name := strings.TrimSuffix(filepath.Base(text), ".wat")
		if !names[name] {
			t.Errorf("%s has no manifest", text)
		}
		delete(names, name)
	}
	for name := range names {
		t.Errorf("%s has no text", name)
	}
	make := exec.Command("node", append([]string{"compile.mjs", dir}, texts...)...)
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("node compile.mjs (npm ci in this folder installs what it needs): %v\n%s", err, out)
	}
	modules, err := filepath.Glob("testdata/*.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range modules {
		made, err := os.ReadFile(filepath.Join(dir, filepath.Base(module)))
		if err != nil {
			t.Errorf("%s has no text: %v", module, err)
			continue
		}
		kept, err := os.ReadFile(module)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made, kept) {
			t.Errorf("%s is not what its text gives: run node compile.mjs testdata testdata/*.wat", module)
		}
	}
	if len(modules) != len(texts) {
		t.Errorf("%d texts and %d modules", len(texts), len(modules))
	}
}

// The guests use every import of the ABI, and do without any SDK.
func TestGuestsCoverTheImports(t *testing.T) {
	texts, err := filepath.Glob("testdata/*.wat")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, text := range texts {
		b, err := os.ReadFile(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	for _, name := range slices.Sorted(slices.Values([]string{"read", "write", "get", "set", "remove", "header", "set_header", "remove_header", "emit", "log", "fail"})) {
		if !bytes.Contains(all, []byte("(call $"+name)) {
			t.Errorf("nobody calls %s", name)
		}
	}
}
