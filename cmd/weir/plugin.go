package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/sdk"
)

// newPlugin returns the command "plugin": making, building and looking at
// plugins. None of it needs a running router or a network.
func newPlugin(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Make, build, test and measure WebAssembly plugins",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newPluginNew(g), newPluginBuild(g), newPluginTest(g), newPluginBench(g), newPluginInspect(g))
	return cmd
}

func newPluginNew(g *globals) *cobra.Command {
	var lang, dir string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a new plugin and its SDK to a folder",
		Example: `  weir plugin new redact
  weir plugin build redact`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if dir == "" {
				dir = name
			}
			if err := sdk.New(lang, dir, name); err != nil {
				return fmt.Errorf("plugin new: %w", err)
			}
			made := struct {
				Dir  string `json:"dir"`
				Name string `json:"name"`
				Lang string `json:"lang"`
			}{dir, name, lang}
			return g.print(cmd.OutOrStdout(), made, func(t *table) {
				t.line(fmt.Sprintf("wrote %s\nnext: weir plugin build %s", dir, dir))
			})
		},
	}
	cmd.Flags().StringVar(&lang, "lang", "go", "language: "+languageNames())
	cmd.Flags().StringVar(&dir, "dir", "", "folder to write to (default NAME)")
	return cmd
}

// languageNames lists what --lang takes, each with what it stands for.
func languageNames() string {
	var names []string
	for _, l := range sdk.Languages() {
		names = append(names, l.Name+" ("+l.Title+")")
	}
	return strings.Join(names, ", ")
}

func newPluginBuild(g *globals) *cobra.Command {
	var out, abi, output string
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build the plugin in a folder and check that the router can use it",
		Long: `Build compiles the plugin in DIR (default the current folder) to WebAssembly and
checks its exports and imports. The file is DIR/<name of the folder>.wasm unless
--wasm says otherwise. With --abi stdio it compiles a program in Go or C that reads
the event on stdin.`,
		Example: `  weir plugin build redact
  weir plugin build redact --wasm plugins/redact.wasm -o json
  weir plugin build total --abi stdio`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			// A file may be given by -o, too, as compilers take it.
			if strings.HasSuffix(output, ".wasm") && out == "" {
				out, output = output, "text"
			}
			g.output = output
			if err := g.check(); err != nil {
				return err
			}
			if out == "" {
				full, err := filepath.Abs(dir)
				if err != nil {
					return fmt.Errorf("plugin build: %w", err)
				}
				out = filepath.Join(dir, filepath.Base(full)+".wasm")
			}
			build := sdk.Build
			switch plugins.ABI(abi) {
			case plugins.ABIWeir:
			case plugins.ABIStdio:
				build = sdk.BuildCommand
			default:
				return &exitError{code: 2, err: fmt.Errorf("plugin build: --abi takes weir or stdio, not %q", abi)}
			}
			if err := build(cmd.Context(), dir, out, cmd.ErrOrStderr()); err != nil {
				return fmt.Errorf("plugin build: %w", err)
			}
			info, err := inspectFile(out, plugins.ABI(abi))
			if err != nil {
				// Nobody should find a file that the router refuses.
				return fmt.Errorf("plugin build: %w", errors.Join(err, os.Remove(out)))
			}
			built := struct {
				Wasm string `json:"wasm"`
				*plugins.Info
			}{out, info}
			return g.print(cmd.OutOrStdout(), built, func(t *table) {
				t.line(fmt.Sprintf("built %s: %s, %d bytes, sha256 %s", out, info.Kind, info.Size, info.SHA256))
			})
		},
	}
	cmd.Flags().StringVar(&out, "wasm", "", "the file to write (default DIR/<name of the folder>.wasm)")
	// It stands in for the global flag of this name.
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json; or the file to write, where it ends in .wasm")
	cmd.Flags().StringVar(&abi, "abi", string(plugins.ABIWeir), "weir or stdio")
	return cmd
}
