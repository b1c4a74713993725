package sdk

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed as/weir as/README.md
var assemblyScriptFiles embed.FS

// The compiler is run by a program of ours, and fetched as locked.
var (
	//go:embed as/build.mjs
	assemblyScriptBuild string
	//go:embed as/compiler.json
	assemblyScriptManifest string
	//go:embed as/compiler.lock.json
	assemblyScriptLock string
)

// AssemblyScriptVersion is that of the compiler that is fetched: one that still
// runs on Node 18, which is what Debian 12 has.
const AssemblyScriptVersion = "0.27.37"

var assemblyScript = Language{
	Name:     "as",
	Title:    "AssemblyScript",
	detect:   func(dir string) bool { return assemblyScriptRoot(dir) != "" },
	scaffold: scaffoldAssemblyScript,
	build:    buildAssemblyScript,
}

// assemblyScriptRoot is the file that exports the handlers, relative to the folder.
// The folder assembly tells AssemblyScript from TypeScript.
func assemblyScriptRoot(dir string) string {
	for _, name := range []string{"assembly/plugin.ts", "assembly/index.ts"} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			return name
		}
	}
	return ""
}

func scaffoldAssemblyScript(dir, name string) error {
	files, err := appendSDK(nil, assemblyScriptFiles, "as")
	if err != nil {
		return err
	}
	return writeNew(dir, append(files, scaffold(name, assemblyScriptScaffold)...))
}

const nodeMissing = "%s is needed to build a plugin in AssemblyScript, and not in PATH: install Node.js 18 or later with npm (Debian and Ubuntu: apt install nodejs npm; elsewhere: https://nodejs.org)"

// assemblyScriptHandlers are the functions that a plugin may export, with what the
// file around it does for each.
var assemblyScriptHandlers = []struct{ name, helper, text string }{
	{"filter", "__filtered", "export function weir_filter(): i32 { return __filtered(filter(__begin())); }\n"},
	{"transform", "__transformed", "export function weir_transform(): i32 { return __transformed(transform(__begin())); }\n"},
	{"init", "__started", "export function weir_init(): i32 { __begin(); init(); return __started(); }\n"},
}

var exportedFunction = regexp.MustCompile(`(?m)^\s*export\s+function\s+([A-Za-z_][A-Za-z0-9_]*)`)

// assemblyScriptEntry is the file around a plugin: it exports what the ABI asks for.
func assemblyScriptEntry(root string, source []byte) (string, error) {
	var exported []string
	for _, m := range exportedFunction.FindAllSubmatch(source, -1) {
		exported = append(exported, string(m[1]))
	}
	var handlers []string
	imports, text := []string{"__begin", "__panic"}, ""
	for _, h := range assemblyScriptHandlers {
		if slices.Contains(exported, h.name) {
			handlers = append(handlers, h.name)
			imports = append(imports, h.helper)
			text += h.text
		}
	}
	if !slices.Contains(handlers, "filter") && !slices.Contains(handlers, "transform") {
		return "", fmt.Errorf("%s exports neither filter nor transform: write \"export function transform(m: Message): Flow\" or \"export function filter(m: Message): bool\"", root)
	}
	return fmt.Sprintf("import { %s } from \"weir\";\nimport { %s } from \"./%s\";\n", strings.Join(imports, ", "), strings.Join(handlers, ", "), strings.TrimSuffix(root, ".ts")) +
		"export function weir_abi_v1(): void {}\n" + text +
		"function abort(message: string | null, file: string | null, line: u32, column: u32): void {\n" +
		"  __panic(message ? message : \"aborted\", file ? file : \"\", line);\n}\n", nil
}

func buildAssemblyScript(ctx context.Context, dir, out string, progress io.Writer) error {
	node, err := exec.LookPath("node")
	if err != nil {
		return fmt.Errorf(nodeMissing, "node")
	}
	compiler, err := findAssemblyScript(ctx, dir, progress)
	if err != nil {
		return err
	}
	root := assemblyScriptRoot(dir)
	source, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(root)))
	if err != nil {
		return err
	}
	entry, err := assemblyScriptEntry(root, source)
	if err != nil {
		return err
	}
	folder, cleanup, err := sdkFolder(dir, "weir/index.ts", assemblyScriptFiles, "as")
	if err != nil {
		return err
	}
	defer cleanup()
	module := url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(compiler, "dist", "asc.js"))}
	task, err := json.Marshal(map[string]string{"asc": module.String(), "sdk": folder, "out": out, "entry": entry})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, node, "--input-type=module", "-", string(task))
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(assemblyScriptBuild)
	cmd.Env = append(os.Environ(), "NODE_OPTIONS=")
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("asc: %w\n%s", err, bytes.TrimSpace(text))
	}
	if _, err := progress.Write(text); err != nil { // warnings
		return err
	}
	if err := refuseHostImports(out); err != nil {
		return errors.Join(err, os.Remove(out))
	}
	var made struct{ Version string }
	if about, err := os.ReadFile(filepath.Join(compiler, "package.json")); err == nil {
		_ = json.Unmarshal(about, &made) // a version that can't be read is none
	}
	return stamp(out, "AssemblyScript", [2]string{"asc", made.Version})
}

// assemblyScriptInstead says what there is in the place of what AssemblyScript's
// library asks of a JavaScript host.
var assemblyScriptInstead = map[string]string{
	"Date.now": "now()", "seed": "random() in the place of Math.random()", "trace": "info()",
	"console.log": "info()", "console.info": "info()", "console.warn": "warn()", "console.error": "log(Level.Error, …)", "console.debug": "log(Level.Debug, …)",
}

// refuseHostImports says, in the words of the source, what the plugin uses that
// isn't there.
func refuseHostImports(path string) error {
	wasm, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sections, err := readSections(wasm)
	if err != nil {
		return err
	}
	for _, s := range sections {
		if s.id != sectionImport {
			continue
		}
		items, err := readItems(s)
		if err != nil {
			return err
		}
		for _, item := range items {
			if instead, ok := assemblyScriptInstead[item.name]; ok && item.module == "env" {
				return fmt.Errorf("the plugin uses %s, which asks for a JavaScript host: import { … } from \"weir\" and use %s", item.name, instead)
			}
		}
	}
	return nil
}

// findAssemblyScript returns the compiler's folder: the plugin's own in
// node_modules, as Node looks for it, or the one in the user's cache, which npm
// fetches the first time.
func findAssemblyScript(ctx context.Context, dir string, progress io.Writer) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		own := filepath.Join(at, "node_modules", "assemblyscript")
		if _, err := os.Stat(filepath.Join(own, "dist", "asc.js")); err == nil {
			return own, nil
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the folder for the AssemblyScript compiler: %w (set XDG_CACHE_HOME or HOME)", err)
	}
	kept := filepath.Join(cache, "weir", "assemblyscript-"+AssemblyScriptVersion)
	compiler := filepath.Join(kept, "node_modules", "assemblyscript")
	if _, err := os.Stat(kept); err == nil {
		return compiler, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the AssemblyScript compiler: %w", err)
	}
	return compiler, fetchAssemblyScript(ctx, kept, progress)
}

// fetchAssemblyScript has npm install the compiler into a folder, whole or not at
// all.
func fetchAssemblyScript(ctx context.Context, kept string, progress io.Writer) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf(nodeMissing, "npm")
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(kept), "assemblyscript-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	if err := writeFiles(temporary, []file{{"package.json", assemblyScriptManifest}, {"package-lock.json", assemblyScriptLock}}); err != nil {
		return err
	}
	fmt.Fprintf(progress, "fetching AssemblyScript %s from npm: this once, then it is kept in %s\n", AssemblyScriptVersion, kept)
	cmd := exec.CommandContext(ctx, npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = temporary
	if err := run(cmd, "npm ci"); err != nil {
		return fmt.Errorf("fetching AssemblyScript %s, which needs npm's registry or its cache: %w", AssemblyScriptVersion, err)
	}
	if err := os.Rename(temporary, kept); err != nil && !errors.Is(err, fs.ErrExist) { // another build was first
		return err
	}
	return nil
}

var assemblyScriptScaffold = []file{
	{"assembly/plugin.ts", `import { Flow, Message } from "weir";

/** Changes the event on its way to the destinations. Return Flow.Drop to send nothing,
 *  or fail("why") to have it kept as a dead letter. */
export function transform(m: Message): Flow {
  m.remove("password");
  m.set("plugin", "NAME");
  return Flow.Send;
}
`},
	// For editors: weir plugin build needs neither.
	{"package.json", `{
  "name": "NAME",
  "private": true,
  "devDependencies": {
    "assemblyscript": "` + AssemblyScriptVersion + `"
  }
}
`},
	{"assembly/tsconfig.json", `{
  "extends": "assemblyscript/std/assembly.json",
  "compilerOptions": {
    "paths": { "weir": ["../sdk/weir/index.ts"] }
  },
  "include": ["./**/*.ts"]
}
`},
	{".gitignore", "*.wasm\nnode_modules/\n"},
	{"README.md", scaffoldReadme("Node.js 18 or later with npm, which fetches the compiler the first time")},
}
