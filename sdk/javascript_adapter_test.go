package sdk

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// adapterFlags compile js/adapter.c to js/adapter.wasm with clang 14. The base is
// behind the engine's data, and all of it must end below the engine's stack.
var adapterFlags = []string{
	"--target=wasm32", "-O2", "-std=c11", "-nostdlib", "-ffreestanding", "-mbulk-memory", "-fno-ident",
	"-Wall", "-Wextra", "-Werror",
	"-Wl,--no-entry", "-Wl,--global-base=92160", "-Wl,-z,stack-size=8192", "-Wl,--initial-memory=589824", "-Wl,--strip-all",
}

var updateAdapter = flag.Bool("update-adapter", false, "keep what the adapter compiles to")

// TestAdapter compiles the adapter and compares it with what is kept.
func TestAdapter(t *testing.T) {
	linker, err := exec.LookPath("wasm-ld-14")
	if err != nil {
		t.Fatal("wasm-ld-14 is needed: apt install lld-14 clang-14")
	}
	out := filepath.Join(t.TempDir(), "adapter.wasm")
	clang := exec.Command("clang-14", append(adapterFlags, "-fuse-ld="+linker, "adapter.c", "-o", out)...)
	clang.Dir = "js"
	if text, err := clang.CombinedOutput(); err != nil {
		t.Fatalf("clang-14: %v\n%s", err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if *updateAdapter {
		if err := os.WriteFile("js/adapter.wasm", wasm, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(wasm, adapterWasm) {
		t.Fatal("js/adapter.wasm is not what js/adapter.c gives: go test ./sdk -run TestAdapter -update-adapter, then put the hash that the next build tells into mergedSHA256")
	}
}
