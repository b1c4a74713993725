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
func newPlugin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Make, build, test and measure WebAssembly plugins",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newPluginNew(), newPluginBuild(), newPluginTest(), newPluginBench(), newPluginInspect())
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
			if dir == "" {
				dir = name
			}
			if err := sdk.New(lang, dir, name); err != nil {
				return fmt.Errorf("plugin new: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\nnext: weir plugin build %s\n", dir, dir)
			return nil
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

func newPluginBuild() *cobra.Command {
	var out, abi string
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build the plugin in a folder and check that the router can use it",
		Long: `Build compiles the plugin in DIR (default the current folder) to WebAssembly and
checks its exports and imports. The file is DIR/<name of the folder>.wasm unless
-o says otherwise. With --abi stdio it compiles a program in Go or C that reads the
event on stdin.`,
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
			fmt.Fprintf(cmd.OutOrStdout(), "built %s: %s, %d bytes, sha256 %s\n", out, info.Kind, info.Size, info.SHA256)
			return nil
		},
	}
	// The name is that of the global flag, which it stands in for here.
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write")
	cmd.Flags().StringVar(&abi, "abi", string(plugins.ABIWeir), "weir or stdio")
	return cmd
}
