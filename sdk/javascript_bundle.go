package sdk

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// esbuildVersion is that of the bundler, as in go.mod. It is no look at what this
// program was built from: tests are built from nothing that can be told.
const esbuildVersion = "0.28.2"

// scriptRuntime is what scripts import from "weir".
//
//go:embed js/runtime.js
var scriptRuntime string

// scriptNames are the files that a plugin may begin with, the first that is
// there counts: where plugin.ts was compiled to plugin.js, both are.
var scriptNames = []string{"plugin.ts", "plugin.mts", "plugin.js", "plugin.mjs"}

// scriptFile returns the file that the plugin in dir begins with, or "".
func scriptFile(dir string) string {
	for _, name := range scriptNames {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// bundle is a plugin's source, with all that it imports, as one script.
type bundle struct {
	script  []byte
	exports []string // what the author's file exports
	places  []place
	files   []string // the author's, in the order of a place's file
}

// runtimeNamespace is where esbuild keeps what is not in files.
const runtimeNamespace = "weir"

// bundleScript makes one script of the file name in dir and its imports.
// Warnings go to progress.
func bundleScript(dir, name string, progress io.Writer) (*bundle, error) {
	options := api.BuildOptions{
		Bundle: true, AbsWorkingDir: dir, Outfile: "bundle.js", Write: false,
		Format: api.FormatESModule, Metafile: true, LogLevel: api.LogLevelSilent,
		// What the engine has: neither Node nor a browser.
		Platform: api.PlatformNeutral, Target: api.ES2023,
		MainFields: []string{"module", "main"},
		Plugins:    []api.Plugin{runtimeModules},
	}
	// What a file exports is told of modules only, and in one of those the
	// engine would wait for promises.
	asModule := options
	asModule.EntryPoints = []string{"./" + name}
	result := api.Build(asModule)
	if len(result.Errors) > 0 {
		return nil, buildErrors(result.Errors)
	}
	for _, warning := range api.FormatMessages(result.Warnings, api.FormatMessagesOptions{Kind: api.WarningMessage}) {
		if _, err := io.WriteString(progress, warning); err != nil {
			return nil, fmt.Errorf("telling a warning: %w", err)
		}
	}
	b := &bundle{}
	var err error
	if b.exports, err = exportsOf(result.Metafile); err != nil {
		return nil, err
	}
	if !slices.Contains(b.exports, "filter") && !slices.Contains(b.exports, "transform") {
		return nil, fmt.Errorf("%s exports neither filter nor transform: begin one of them with `export function filter(event) {` or `export function transform(event) {`", name)
	}
	options.Metafile = false
	options.Format = api.FormatIIFE
	options.Banner = map[string]string{"js": `"use strict";`}
	options.Sourcemap = api.SourceMapExternal
	options.SourcesContent = api.SourcesContentExclude
	options.Stdin = &api.StdinOptions{
		Contents:   fmt.Sprintf("import { start } from 'weir:runtime'\nimport * as plugin from %q\nstart(plugin)\n", "./"+name),
		ResolveDir: dir, Sourcefile: runtimeNamespace + ":start",
	}
	result = api.Build(options)
	if len(result.Errors) > 0 {
		return nil, buildErrors(result.Errors)
	}
	for _, f := range result.OutputFiles {
		if strings.HasSuffix(f.Path, ".map") {
			if b.places, b.files, err = readSourceMap(f.Contents); err != nil {
				return nil, fmt.Errorf("the source map of %s: %w", name, err)
			}
		} else {
			b.script = f.Contents
		}
	}
	return b, nil
}

// runtimeModules gives esbuild the module "weir", which is the part of the
// runtime that scripts may use.
var runtimeModules = api.Plugin{Name: "weir", Setup: func(build api.PluginBuild) {
	build.OnResolve(api.OnResolveOptions{Filter: `^weir(:runtime)?$`}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
		path := "api"
		if args.Path == "weir:runtime" {
			path = "runtime"
		}
		return api.OnResolveResult{Path: path, Namespace: runtimeNamespace}, nil
	})
	build.OnLoad(api.OnLoadOptions{Filter: `.*`, Namespace: runtimeNamespace}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
		text := `export { config, drop, fail, path } from "weir:runtime"`
		if args.Path == "runtime" {
			text = scriptRuntime
		}
		return api.OnLoadResult{Contents: &text}, nil
	})
}}

func buildErrors(messages []api.Message) error {
	text := strings.Join(api.FormatMessages(messages, api.FormatMessagesOptions{Kind: api.ErrorMessage}), "")
	return errors.New("the script can't be built:\n" + strings.TrimRight(text, "\n"))
}

// exportsOf reads from esbuild's metafile what the one output exports.
func exportsOf(metafile string) ([]string, error) {
	var meta struct {
		Outputs map[string]struct{ Exports []string }
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return nil, fmt.Errorf("what esbuild says of the script: %w", err)
	}
	for _, o := range meta.Outputs {
		return o.Exports, nil
	}
	return nil, errors.New("esbuild gave no script")
}
