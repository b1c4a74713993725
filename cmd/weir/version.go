package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set when a release is linked: -ldflags "-X main.version=1.2.3".
var version = "dev"

func newVersion(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Example: "  weir version -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Version  string `json:"version"`
				Revision string `json:"revision,omitempty"`
				Go       string `json:"go"`
				ABI      int    `json:"plugin_abi"`
			}{Version: version, Go: runtime.Version(), ABI: 1}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Revision = s.Value
					}
				}
			}
			return g.print(cmd.OutOrStdout(), v, func(t *table) {
				t.line(fmt.Sprintf("weir %s %s (%s, plugin ABI %d)", v.Version, v.Revision, v.Go, v.ABI))
			})
		},
	}
}
