package routing

import (
	"os"
	"path/filepath"
	"testing"
)

// writeModule writes a file for plugin blocks to name; the tests' plugins are
// fakes, and nothing compiles it.
func writeModule(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "m.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
}
