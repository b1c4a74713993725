package sdk

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed c/weir.h c/README.md
var cFiles embed.FS

var c = Language{
	Name:     "c",
	Title:    "C",
	detect:   func(dir string) bool { return len(cSources(dir)) > 0 },
	scaffold: scaffoldC,
	build: func(ctx context.Context, dir, out string, progress io.Writer) error {
		return buildC(ctx, dir, out, progress, false)
	},
	command: func(ctx context.Context, dir, out string, progress io.Writer) error {
		return buildC(ctx, dir, out, progress, true)
	},
}

// cSources are the files that are compiled: those of the folder, and of src.
func cSources(dir string) []string {
	var sources []string
	for _, pattern := range []string{"*.c", "src/*.c"} {
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return nil
		}
		for _, path := range found {
			sources = append(sources, filepath.Dir(pattern)+"/"+filepath.Base(path))
		}
	}
	return sources
}

func scaffoldC(dir, name string) error {
	files, err := appendSDK(nil, cFiles, "c")
	if err != nil {
		return err
	}
	return writeNew(dir, append(files, scaffold(name, cScaffold)...))
}

// clangVersions are the suffixes under which systems install clang and its linker,
// the plain name first.
var clangVersions = []string{"", "-22", "-21", "-20", "-19", "-18", "-17", "-16", "-15", "-14", "-13"}

const clangMissing = "clang with the WebAssembly linker is needed and not in PATH: install clang and lld (Debian and Ubuntu: apt install clang lld; Fedora: dnf install clang lld; macOS: brew install llvm lld), or set WASI_SDK_PATH to a wasi-sdk"

const libcMissing = "the plugin includes headers of a C library, and clang found none for WebAssembly: install one (Debian and Ubuntu: apt install wasi-libc libclang-rt-dev-wasm32; elsewhere: set WASI_SDK_PATH to a wasi-sdk, https://github.com/WebAssembly/wasi-sdk), or do without: weir.h needs none"

// findClang returns a compiler and, where the compiler would not find it by
// itself, the linker.
func findClang(ctx context.Context) (compiler, linker string, err error) {
	if root := os.Getenv("WASI_SDK_PATH"); root != "" {
		if path, err := exec.LookPath(filepath.Join(root, "bin", "clang")); err == nil {
			return path, "", nil
		}
	}
	for _, version := range clangVersions {
		path, err := exec.LookPath("clang" + version)
		if err != nil {
			continue
		}
		// Apple's has no WebAssembly.
		targets, err := exec.CommandContext(ctx, path, "--print-targets").Output()
		if err != nil || !strings.Contains(string(targets), "wasm32") {
			continue
		}
		name, err := exec.CommandContext(ctx, path, "-print-prog-name=wasm-ld").Output()
		if err == nil && filepath.IsAbs(strings.TrimSpace(string(name))) {
			return path, "", nil
		}
		if linker := findLinker(version); linker != "" {
			return path, linker, nil
		}
	}
	return "", "", errors.New(clangMissing)
}

// findLinker returns the linker for WebAssembly, of a version where there is that.
func findLinker(version string) string {
	for _, v := range append([]string{version}, clangVersions...) {
		if path, err := exec.LookPath("wasm-ld" + v); err == nil {
			return path
		}
	}
	return ""
}

// freestanding are the headers that a compiler has without a C library.
var freestanding = []string{"float.h", "iso646.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdnoreturn.h", "wasm_simd128.h"}

var includeLine = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*<([^>]+)>`)

// needsLibc reports whether a source of the plugin includes a header of a C
// library.
func needsLibc(dir string) (bool, error) {
	needs := false
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if path != dir && (e.Name() == "sdk" || e.Name() == "testdata" || strings.HasPrefix(e.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(path); ext != ".c" && ext != ".h" {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range includeLine.FindAllSubmatch(text, -1) {
			if name := string(m[1]); name != "weir.h" && !slices.Contains(freestanding, name) {
				needs = true
			}
		}
		return err
	})
	return needs, err
}

// buildC compiles without a C library unless the plugin includes one's headers, or
// is a command, which needs one.
func buildC(ctx context.Context, dir, out string, progress io.Writer, command bool) error {
	clang, linker, err := findClang(ctx)
	if err != nil {
		return err
	}
	libc, err := needsLibc(dir)
	if err != nil {
		return err
	}
	header, cleanup, err := sdkFolder(dir, "weir.h", cFiles, "c")
	if err != nil {
		return err
	}
	defer cleanup()
	// Paths are relative, so that __FILE__ and with it the module is the same
	// wherever the folder lies.
	args := []string{"-std=gnu11", "-O2", "-Wall", "-Werror=implicit-function-declaration", "-mbulk-memory", "-fno-ident", "-I", header, "-I", "."}
	libc = libc || command
	switch {
	case command:
		args = append(args, "--target=wasm32-wasi", "-mexec-model=command")
	case libc:
		args = append(args, "--target=wasm32-wasi", "-mexec-model=reactor")
	default:
		args = append(args, "--target=wasm32", "-ffreestanding", "-nostdlib", "-Wl,--no-entry")
	}
	// A stack that overflows runs into the bottom of the memory, and traps.
	args = append(args, "-Wl,-z,stack-size=65536", "-Wl,--stack-first")
	if linker != "" {
		args = append(args, "-fuse-ld="+linker)
	}
	args = append(args, "-o", out)
	cmd := exec.CommandContext(ctx, clang, append(args, cSources(dir)...)...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("clang: %w\n%s", err, strings.TrimSpace(string(text)))
		if libc && !hasLibc(ctx, clang) {
			err = fmt.Errorf("%s\n%w", libcMissing, err)
		}
		return err
	}
	if _, err := progress.Write(text); err != nil { // warnings
		return err
	}
	_, version, _ := strings.Cut(versionOf(ctx, clang, "--version"), "clang version ")
	return stamp(out, "C", [2]string{"clang", version})
}

// hasLibc reports whether a compiler finds a C library's header.
func hasLibc(ctx context.Context, clang string) bool {
	cmd := exec.CommandContext(ctx, clang, "--target=wasm32-wasi", "-E", "-x", "c", "-")
	cmd.Stdin = strings.NewReader("#include <string.h>\n")
	return cmd.Run() == nil
}

var cScaffold = []file{
	{"NAME.c", `#include "weir.h"

// Changes the event on its way to the destinations. Return WEIR_DROP to send
// nothing, or weir_fail("why") to have it kept as a dead letter.
WEIR_TRANSFORM {
	weir_remove("password");
	return weir_set_string("plugin", "NAME");
}
`},
	{".gitignore", "*.wasm\n"},
	{"compile_flags.txt", "--target=wasm32\n-Isdk\n"}, // for editors
	{"README.md", scaffoldReadme("clang and lld, Debian: apt install clang lld")},
}
