package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/config"
)

func newValidate(g *globals) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Find everything that is wrong with a configuration, without starting",
		Long: `Reads the configuration as serve would, and tells everything that is wrong with
it, each with its file and line: syntax, unknown names, types, modules that are
missing or unusable, secrets that are not set. Exits with 1 when it can't be used.`,
		Example: `  weir validate
  weir validate --config /etc/weir -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, report := g.load(config.Options{CheckPlugin: checkPlugin})
			out := cmd.OutOrStdout()
			var err error
			if asJSON || g.output == "json" {
				enc := json.NewEncoder(out)
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				err = enc.Encode(report)
			} else {
				err = writeReport(out, report)
				if err == nil && c != nil {
					_, err = fmt.Fprintln(out, summary(c, report))
				}
			}
			if err != nil {
				return err
			}
			if report.HasErrors() {
				return &exitError{code: 1}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as -o json: what was found, in the shape of terraform validate -json")
	return cmd
}

// writeReport prints diagnostics for people, and how many errors there are.
func writeReport(out io.Writer, r *config.Report) error {
	if err := r.Write(out); err != nil {
		return err
	}
	if n, _ := r.Count(); n > 0 {
		_, err := fmt.Fprintf(out, "The configuration has %s.\n", count(n, "error"))
		return err
	}
	return nil
}

func summary(c *config.Config, r *config.Report) string {
	s := fmt.Sprintf("The configuration is valid: %s, %s, %s, %s",
		count(len(c.Sources), "source"), count(len(c.Plugins), "plugin"),
		count(len(c.Destinations), "destination"), count(len(c.Routes), "route"))
	if _, n := r.Count(); n > 0 {
		s += "; " + count(n, "warning")
	}
	return s + "."
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
