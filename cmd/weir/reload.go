package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/problem"
)

func newReload(g *globals) *cobra.Command {
	var orphan bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the running router take over its configuration files as they are now",
		Long: `The running router reads again the files that it was started with, its modules
included, and takes them over without losing an event. What is wrong is refused
whole, and the old configuration goes on. SIGHUP does the same.`,
		Example: `  weir validate && weir reload
  weir reload --orphan`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// The store alone has nothing to reload.
			_, c, err := connectRunning(cmd.Context(), g)
			if errors.Is(err, errNoRouter) {
				return fmt.Errorf("%w: where it still listens elsewhere, name it with --server; weir serve starts one", err)
			}
			if err != nil {
				return err
			}
			return errors.Join(reload(cmd, g, c, orphan), c.close())
		},
	}
	cmd.Flags().BoolVar(&orphan, "orphan", false, "go on though deliveries wait for a destination that would be gone")
	return cmd
}

func reload(cmd *cobra.Command, g *globals, c *client, orphan bool) error {
	body, err := json.Marshal(map[string]bool{"orphan": orphan})
	if err != nil {
		return err
	}
	var done api.Reloaded
	if err := c.post(cmd.Context(), "/api/reload", body, &done); err != nil {
		return err
	}
	return g.print(cmd.OutOrStdout(), done, func(t *table) {
		for _, change := range done.Changes {
			t.row(change.Block, strings.ReplaceAll(change.Result, "_", " "))
		}
	})
}

// files are those of a router's configuration.
type files struct {
	path string
	vars map[string]string

	mu     sync.Mutex
	inputs config.Inputs
}

// first reads them for the start and prints what is wrong to w.
func (f *files) first(w io.Writer) (*config.Config, error) {
	c, report := f.load()
	return c, told(report, w)
}

func (f *files) load() (*config.Config, *config.Report) {
	c, report := config.Load(f.path, config.Options{CheckPlugin: checkPlugin, Vars: f.vars})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inputs = report.Inputs
	return c, report
}

// read is what was read last.
func (f *files) read() config.Inputs {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inputs
}

// again reads them again. What is wrong becomes a problem that shows it as validate
// does.
func (f *files) again() (*config.Config, error) {
	c, report := f.load()
	if !report.HasErrors() {
		return c, nil
	}
	var text strings.Builder
	if err := report.WriteText(&text, 0, false); err != nil {
		return nil, err
	}
	return nil, problem.New(422, "config_rejected", "the configuration is refused, and the old one goes on:\n\n%s", strings.TrimSpace(text.String()))
}
