package plugins_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
)

// The cache keeps within its size: what was loaded longest ago goes, and nothing that
// is in use, or may be in the use of another process, or is not the cache's.
func TestCacheIsBounded(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	other := filepath.Join(dir, "notes")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	module := func(answer int32) []byte { return guest{filter: constant(answer)}.build() }
	folder := func(p *plugins.Plugin) string {
		found, err := filepath.Glob(filepath.Join(dir, p.Build()+"-*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("folders of %.8s: %v, %v", p.Build(), found, err)
		}
		return found[0]
	}
	age := func(path string, hours time.Duration) {
		when := time.Now().Add(-hours * time.Hour)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	open := func(most int64) *plugins.Host {
		h, err := plugins.NewHost(ctx, plugins.Options{CacheDir: dir, CacheBytes: most})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	load := func(h *plugins.Host, answer int32) *plugins.Plugin {
		p, err := h.Load(ctx, plugins.Spec{Name: "p", Wasm: module(answer), Deadline: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	h := open(0)
	oldest, older, used, young := folder(load(h, 0)), folder(load(h, 1)), "", ""
	if err := h.Close(ctx); err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	if err := filepath.WalkDir(older, func(_ string, e os.DirEntry, err error) error {
		if info, _ := e.Info(); err == nil && !e.IsDir() {
			size += info.Size()
		}
		return err
	}); err != nil || size == 0 {
		t.Fatalf("%d bytes: %v", size, err)
	}
	age(oldest, 3)
	age(older, 2)

	h = open(2*size + size/2) // for two
	defer func() {
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	used = folder(load(h, 2)) // the third takes the oldest away
	there := func(want string) {
		t.Helper()
		got := ""
		for _, f := range []struct{ name, path string }{{"oldest", oldest}, {"older", older}, {"used", used}, {"young", young}, {"other", other}} {
			if _, err := os.Stat(f.path); f.path != "" && err == nil {
				got += " " + f.name
			}
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("there are%s, want %s", got, want)
		}
	}
	there("older used other")
	age(used, 4) // in use all the same
	young = folder(load(h, 3))
	there("used young other")
	load(h, 4)
	there("used young other") // young was loaded just now
}
