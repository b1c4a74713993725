package sdk

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rustCompilers are all of PATH: the oldest that the SDK supports may be there
// beside a newer one.
func rustCompilers(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		path, err := exec.LookPath(filepath.Join(folder, "rustc"))
		if err != nil {
			continue
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(all, real) {
			all = append(all, real)
		}
	}
	if len(all) == 0 {
		t.Fatal(rustMissing)
	}
	return all
}

// TestRustCrate runs the SDK's own tests on this machine, by every rustc that is
// there, and without a warning.
func TestRustCrate(t *testing.T) {
	for _, rustc := range rustCompilers(t) {
		t.Run(rustc, func(t *testing.T) {
			tests := filepath.Join(t.TempDir(), "tests")
			compile := exec.Command(rustc, "--edition", "2021", "--test", "--crate-name", "weir", "-Dwarnings", "-o", tests, "rust/src/lib.rs")
			// A link to rustup is rustc under this name only.
			compile.Args[0] = "rustc"
			if out, err := compile.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if out, err := exec.Command(tests).CombinedOutput(); err != nil || !strings.Contains(string(out), "test result: ok") {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// fakeRustc writes a rustc to a folder of its own and makes that all of PATH.
func fakeRustc(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rustc"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("HOME", dir)
}

// What is missing is named, with the way to get it.
func TestRustToolchainMissing(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"no target":            {"exit 0\n", "rustup target add wasm32-unknown-unknown"},
		"a target not on disk": {"echo /nowhere\n", "lacks the target"},
		"it fails":             {"exit 1\n", "lacks the target"},
	} {
		t.Run(name, func(t *testing.T) {
			fakeRustc(t, c.script)
			if _, err := findRust(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("no linker", func(t *testing.T) {
		libraries := t.TempDir()
		if err := os.WriteFile(filepath.Join(libraries, "libstd-1.rlib"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		fakeRustc(t, `case "$*" in *target-libdir*) echo `+libraries+`;; *-vV*) echo "LLVM version: 18.1";; esac`+"\n")
		if _, err := findRust(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "install lld") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no rustc", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		t.Setenv("HOME", t.TempDir())
		if _, err := findRust(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "libstd-rust-dev-wasm32") {
			t.Errorf("got %v", err)
		}
	})
}

func TestRustDependencies(t *testing.T) {
	for text, want := range map[string][]string{
		"[dependencies]\nweir = { path = \"sdk\" }\n":                                         nil,
		"[dependencies]\nweir = \"1\"\nserde = \"1\"\n[dev-dependencies]\nquickcheck = \"1\"": {"serde"},
		"[dependencies.serde]\nversion = \"1\"\n[dependencies.weir]\npath = \"sdk\"\n":        {"serde"},
		"[package]\nname = \"x\"\n":                                                           nil,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Cargo.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := rustDependencies(dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}
