package sdk

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// The engine that runs JavaScript is QuickJS, as npm has it compiled to
// WebAssembly. It is fetched when the first plugin is built, merged with the
// adapter, and kept in the user's cache: see [loadEngine].
//
// The engine's layout of memory would take 5 MiB for its stack. Ours, in bytes:
//
//	1024    the engine's data
//	92160   the adapter's data and stack
//	114688  the engine's stack, which grows down from
//	311296  the heap, which grows up
const (
	engineStackTop = 311296
	engineMemory   = 9 // pages of 64 KiB at the start
)

// engineFile is the engine in npm's folder, and the bytes that it must have:
// what is patched, and what its exports are called, holds for these only.
const (
	engineVersion = "0.32.0"
	engineFile    = "node_modules/@jitl/quickjs-wasmfile-release-sync/dist/emscripten-module.wasm"
	engineSHA256  = "105c3bed22d457e43e3d1c3c1c6959fda62a8fe06f0fc8a985303c3a2be72232"
)

// mergedSHA256 is what the merge must give. It makes the same plugin have the
// same bytes on every machine, and a damaged cache no plugin.
const mergedSHA256 = "78ac995c49e73a23040f16e94fc58d1381561678e71295e9ac699c105823faca"

// engineImports are the minified names of what the engine imports, and what the
// adapter calls them.
var engineImports = map[string]string{
	"a": "memory", "b": "assert_fail", "c": "fd_write", "d": "fd_close", "e": "environ_get",
	"f": "environ_sizes_get", "g": "module_name", "h": "module_source", "i": "interrupted",
	"j": "set_timer", "k": "resize_heap", "l": "keepalive_clear", "m": "localtime", "n": "tzset",
	"o": "fd_seek", "p": "date_now", "q": "abort", "r": "exit", "s": "host_call", "t": "free_host_ref",
}

// engineExports are the minified names of what the adapter imports, and what the
// engine's glue file calls them.
var engineExports = map[string]string{
	"u": "constructors", "v": "malloc", "M": "free", "K": "QTS_NewRuntime",
	"D": "QTS_RuntimeSetMaxStackSize", "N": "QTS_NewContext", "pa": "QTS_Eval", "ma": "QTS_Call",
	"Da": "QTS_NewFunction", "U": "QTS_NewObject", "_": "QTS_NewString", "Y": "QTS_NewFloat64",
	"X": "QTS_NewArrayBuffer", "aa": "QTS_GetArrayBuffer", "ba": "QTS_GetArrayBufferLength",
	"ua": "QTS_GetGlobalObject", "ha": "QTS_GetProp", "ja": "QTS_SetProp", "$": "QTS_GetString",
	"S": "QTS_FreeCString", "T": "QTS_DupValuePointer", "P": "QTS_FreeValuePointer",
	"na": "QTS_ResolveException", "fa": "QTS_IsJobPending", "ga": "QTS_ExecutePendingJob",
	"wa": "QTS_PromiseState", "xa": "QTS_PromiseResult",
}

// enginePatches move the engine's stack and heap: its linker wrote both as
// numbers.
var enginePatches = []struct {
	what     string
	offset   int
	old, new []byte
}{
	// An i32.const, in as many bytes as it had.
	{"the top of the stack", 2308, []byte{0xe0, 0xc0, 0xc5, 0x02}, []byte{
		engineStackTop&0x7f | 0x80, engineStackTop>>7&0x7f | 0x80, engineStackTop>>14&0x7f | 0x80, 0,
	}},
	{"the start of the heap", 502953, []byte{0x60, 0x60, 0x51, 0}, []byte{
		engineStackTop & 0xff, engineStackTop >> 8 & 0xff, engineStackTop >> 16, 0,
	}},
}

// adapterWasm is adapter.c, compiled as adapterFlags say. It is kept compiled so
// that nobody needs a C compiler; a test compiles it again and compares.
//
//go:embed js/adapter.wasm
var adapterWasm []byte

//go:embed js/script.wat
var scriptWat []byte

//go:embed js/engine.json
var engineManifest []byte

//go:embed js/engine.lock.json
var engineLock []byte

// scriptMarker is what script.wat has in the place of a script.
const scriptMarker = "weir:script"

// keptExports are what a plugin may export.
const keptExports = `[
  {"name": "memory", "root": true, "export": "memory"},
  {"name": "abi", "root": true, "export": "weir_abi_v1"},
  {"name": "init", "root": true, "export": "weir_init"},
  {"name": "filter", "root": true, "export": "weir_filter"},
  {"name": "transform", "root": true, "export": "weir_transform"}
]
`

// loadEngine returns the engine, merged with the adapter and ready for a script:
// from the user's cache, or made from npm's packages and put there. Making it
// takes some seconds and the network, which is said on progress.
func loadEngine(ctx context.Context, progress io.Writer) ([]byte, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("the folder for the JavaScript engine: %w (set XDG_CACHE_HOME or HOME)", err)
	}
	path := filepath.Join(cache, "weir", "javascript-"+mergedSHA256[:16]+".wasm")
	wasm, err := os.ReadFile(path)
	if err == nil && hashOf(wasm) == mergedSHA256 {
		return wasm, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the JavaScript engine: %w", err)
	}
	if wasm, err = makeEngine(ctx, progress); err != nil {
		return nil, err
	}
	if got := hashOf(wasm); got != mergedSHA256 {
		return nil, fmt.Errorf("the JavaScript engine came out with the SHA-256 %s and not %s: npm's packages are not those that this weir was made for", got, mergedSHA256)
	}
	return wasm, keepEngine(path, wasm)
}

// keepEngine writes the engine to the cache, whole or not at all: another build
// may be reading it.
func keepEngine(path string, wasm []byte) error {
	wrap := func(err error) error { return fmt.Errorf("keeping the JavaScript engine: %w", err) }
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return wrap(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "javascript-*")
	if err != nil {
		return wrap(err)
	}
	_, err = f.Write(wasm)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return wrap(errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// makeEngine fetches the engine and merges it with the adapter.
func makeEngine(ctx context.Context, progress io.Writer) (wasm []byte, err error) {
	npm, err := findNode("npm")
	if err != nil {
		return nil, err
	}
	node, err := findNode("node")
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(progress, "fetching the JavaScript engine by npm, once for all plugins")
	dir, err := os.MkdirTemp("", "weir-javascript-")
	if err != nil {
		return nil, fmt.Errorf("a folder for npm: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = writeFiles(dir, []file{
		{"package.json", string(engineManifest)}, {"package-lock.json", string(engineLock)},
		{"script.wat", string(scriptWat)}, {"adapter.wasm", string(adapterWasm)}, {"keep.json", keptExports},
	})
	if err != nil {
		return nil, err
	}
	fetch := exec.CommandContext(ctx, npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	fetch.Dir = dir
	if err := run(fetch, "fetching the JavaScript engine by npm ci, which needs the network this once"); err != nil {
		return nil, err
	}
	engine, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(engineFile)))
	if err != nil {
		return nil, fmt.Errorf("the JavaScript engine: %w", err)
	}
	if engine, err = patchEngine(engine); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "engine.wasm"), engine, 0o644); err != nil {
		return nil, fmt.Errorf("the JavaScript engine: %w", err)
	}
	tool := func(name string, args ...string) error {
		cmd := exec.CommandContext(ctx, node, append([]string{filepath.Join("node_modules", "binaryen", "bin", name)}, args...)...)
		cmd.Dir = dir
		return run(cmd, "making the JavaScript engine: "+name)
	}
	features := []string{"--mvp-features", "--enable-bulk-memory", "--enable-bulk-memory-opt", "--enable-mutable-globals", "--enable-sign-ext", "--enable-nontrapping-float-to-int", "--enable-multivalue", "--enable-reference-types"}
	if err := tool("wasm-as", append(features, "script.wat", "-o", "script.wasm")...); err != nil {
		return nil, err
	}
	if err := tool("wasm-merge", append(features, "adapter.wasm", "adapter", "engine.wasm", "engine", "script.wasm", "script", "--rename-export-conflicts", "-o", "merged.wasm")...); err != nil {
		return nil, err
	}
	if err := tool("wasm-metadce", append(features, "merged.wasm", "--graph-file", "keep.json", "-o", "kept.wasm")...); err != nil {
		return nil, err
	}
	if wasm, err = os.ReadFile(filepath.Join(dir, "kept.wasm")); err != nil {
		return nil, fmt.Errorf("the JavaScript engine: %w", err)
	}
	return wasm, nil
}

// patchEngine moves the engine's stack and heap, and gives what it imports and
// exports the names that the adapter has for them.
func patchEngine(wasm []byte) ([]byte, error) {
	if got := hashOf(wasm); got != engineSHA256 {
		return nil, fmt.Errorf("the JavaScript engine that npm gave has the SHA-256 %s and not %s: it is not the one that this weir was made for", got, engineSHA256)
	}
	wasm = bytes.Clone(wasm)
	for _, p := range enginePatches {
		at := wasm[p.offset:]
		if !bytes.HasPrefix(at, p.old) {
			return nil, fmt.Errorf("%w: %s of the JavaScript engine is not where it should be", errWasm, p.what)
		}
		copy(at, p.new)
	}
	sections, err := readSections(wasm)
	if err != nil {
		return nil, err
	}
	err = editItems(sections, sectionImport, func(items []wasmItem) []wasmItem {
		for i := range items {
			items[i].module, items[i].name = "adapter", engineImports[items[i].name]
			if items[i].kind == kindMemory {
				items[i].rest = []byte{0, 0} // as much as the adapter has
			}
		}
		return items
	})
	if err != nil {
		return nil, err
	}
	err = editItems(sections, sectionExport, func(items []wasmItem) []wasmItem {
		var kept []wasmItem
		for _, item := range items {
			if name := engineExports[item.name]; name != "" {
				item.name = name
				kept = append(kept, item)
			}
		}
		return kept
	})
	if err != nil {
		return nil, err
	}
	return writeSections(sections), nil
}

// findNode finds a program of Node.
func findNode(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is needed to build plugins in JavaScript and not in PATH: install Node 18 or later with npm, from https://nodejs.org or your system's packages (Debian: apt install nodejs npm)", program)
	}
	return path, nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
