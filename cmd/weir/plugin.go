package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/sdk"
)

// newPlugin returns the command "plugin": making, building and looking at
// plugins. None of it needs a running router or a network.
func newPlugin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Make, build and inspect WebAssembly plugins",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newPluginNew(), newPluginBuild(), newPluginInspect())
	return cmd
}

func newPluginNew() *cobra.Command {
	var lang, dir string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a new plugin and its SDK to a folder",
		Example: `  weir plugin new redact
  weir plugin build redact`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if err := checkLang(lang); err != nil {
				return err
			}
			if dir == "" {
				dir = name
			}
			if err := sdk.NewGo(dir, name); err != nil {
				return fmt.Errorf("plugin new: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\nnext: weir plugin build %s\n", filepath.Join(dir, "main.go"), dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&lang, "lang", "go", "language: go")
	cmd.Flags().StringVar(&dir, "dir", "", "folder to write to (default NAME)")
	return cmd
}

// checkLang tells languages that come later from those that don't.
func checkLang(lang string) error {
	switch {
	case lang == "go":
		return nil
	case slices.Contains([]string{"js", "as", "rust", "c"}, lang):
		return fmt.Errorf("--lang %s is not supported yet: use --lang go", lang)
	}
	return fmt.Errorf("unknown language %q: use --lang go", lang)
}

func newPluginBuild() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build the plugin in a folder and check that the router can use it",
		Long: `Build compiles the plugin in DIR (default the current folder) to WebAssembly and
checks its exports and imports. The file is DIR/<name of the folder>.wasm unless
-o says otherwise.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			if out == "" {
				full, err := filepath.Abs(dir)
				if err != nil {
					return fmt.Errorf("plugin build: %w", err)
				}
				out = filepath.Join(dir, filepath.Base(full)+".wasm")
			}
			if err := buildGoPlugin(cmd, dir, out); err != nil {
				return fmt.Errorf("plugin build: %w", err)
			}
			info, err := inspectFile(out)
			if err != nil {
				// Nobody should find a file that the router refuses.
				return fmt.Errorf("plugin build: %w", errors.Join(err, os.Remove(out)))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "built %s: %s, %d bytes, sha256 %s\n", out, info.Kind, info.Size, info.SHA256)
			return nil
		},
	}
	// The name is that of the global flag, which it stands in for here.
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write")
	return cmd
}

func buildGoPlugin(cmd *cobra.Command, dir, out string) error {
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if sources, err := filepath.Glob(filepath.Join(dir, "*.go")); err != nil || len(sources) == 0 {
		return fmt.Errorf("there are no .go files in %s (other languages are not supported yet)", dir)
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("the Go toolchain is needed and not in PATH: install Go %s or later from https://go.dev/dl or your system's packages (Debian: apt install golang-go)", sdk.GoVersion)
	}
	full, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	// -trimpath and no VCS stamp: the same source gives the same module, and
	// its hash names the build.
	build := exec.CommandContext(cmd.Context(), goTool, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", full, ".")
	build.Dir = dir
	// A workspace or flags of the user's would change what is built, and
	// another toolchain would be downloaded. GOPROXY stays: a plugin of the
	// scaffold fetches nothing, and one with modules of its own may have to.
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(string(text)))
	}
	return nil
}

func newPluginInspect() *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what a module exports, imports and needs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := inspectFile(args[0])
			if err != nil {
				return fmt.Errorf("plugin inspect: %w", err)
			}
			// The command is made without the global flags, and finds theirs
			// by name once it has a parent.
			g := &globals{output: "text"}
			if f := cmd.Flag("output"); f != nil {
				g.output = f.Value.String()
			}
			if err := g.check(); err != nil {
				return err
			}
			return g.print(cmd.OutOrStdout(), info, func(t *table) {
				t.pair("abi", strconv.Itoa(info.ABI))
				t.pair("kind", string(info.Kind))
				t.pair("size", fmt.Sprintf("%d bytes", info.Size))
				t.pair("sha256", info.SHA256)
				t.pair("memory", fmt.Sprintf("%d bytes to start", info.MemoryMin))
				t.pair("exports", strings.Join(info.Exports, " "))
				t.pair("imports", strings.Join(info.Imports, " "))
			})
		},
	}
}

func inspectFile(path string) (*plugins.Info, error) {
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	info, err := plugins.Inspect(wasm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return info, nil
}
