package sdk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "redact")
	if err := New("go", dir, "redact"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"main.go":            GoImportPath,
		"go.mod":             "replace " + GoImportPath + " => ./sdk",
		"README.md":          `plugin "redact"`,
		".gitignore":         "*.wasm",
		"sdk/go.mod":         "module " + GoImportPath,
		"sdk/weir.go":        "package weir",
		"sdk/README.md":      "weir.Filter",
		"sdk/host_wasip1.go": "weir_abi_v1",
		"sdk/rest_tinygo.go": "tinygo",
		"sdk/message.go":     "Emit",
		"sdk/host_other.go":  "!wasip1",
		"sdk/value.go":       "type Value",
		"sdk/rest.go":        "Gosched",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, want %q in it", name, err, want)
		}
		for _, hole := range []string{"NAME", "IMPORT", "VERSION"} {
			if !strings.HasPrefix(name, "sdk/") && strings.Contains(string(text), hole) {
				t.Errorf("%s still has %s", name, hole)
			}
		}
	}
	if mod, err := os.ReadFile(filepath.Join(dir, "go.mod")); err != nil || !strings.HasPrefix(string(mod), "module weir.local/redact\n") {
		// A bare name could be one of the standard library's.
		t.Errorf("go.mod: %s, %v", mod, err)
	}
	if tests, err := filepath.Glob(filepath.Join(dir, "sdk", "*_test.go")); err != nil || len(tests) > 0 {
		t.Errorf("tests were written: %v, %v", tests, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := New("go", dir, "redact"); !errors.Is(err, ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "main.go")); err != nil || string(text) != "mine" {
		t.Errorf("main.go was overwritten: %s, %v", text, err)
	}
	for _, name := range []string{"", "A", "1a", "a/b", "a b", "..", "é"} {
		if err := New("go", filepath.Join(t.TempDir(), "x"), name); err == nil {
			t.Errorf("%q was taken as a name", name)
		}
	}
}
