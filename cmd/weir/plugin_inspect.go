package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/meter"
	"github.com/weirhq/weir/plugins/origin"
	"github.com/weirhq/weir/router/config"
)

// inspection is what can be said of a module without running it.
type inspection struct {
	*plugins.Info
	*origin.Origin
	// Metered says that its work can be counted, Unmetered why not: then no
	// router takes it.
	Metered   bool   `json:"metered"`
	Unmetered string `json:"unmetered,omitempty"`
	// Restorable says that an instance can be put back after an event,
	// Volatile why not: then each event gets a new one.
	Restorable bool   `json:"restorable"`
	Volatile   string `json:"volatile,omitempty"`
}

func newPluginInspect(g *globals) *cobra.Command {
	var abi string
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what a module exports, imports and needs",
		Example: `  weir plugin inspect redact/redact.wasm
  weir plugin inspect total/total.wasm --abi stdio -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := inspect(args[0], plugins.ABI(abi))
			if err != nil {
				return fmt.Errorf("plugin inspect: %w", err)
			}
			return g.print(cmd.OutOrStdout(), v, v.show)
		},
	}
	cmd.Flags().StringVar(&abi, "abi", string(plugins.ABIWeir), "weir or stdio")
	return cmd
}

func inspect(path string, abi plugins.ABI) (*inspection, error) {
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	v := &inspection{}
	if v.Info, err = inspectModule(path, wasm, abi); err != nil {
		return nil, err
	}
	if v.Origin, err = origin.Of(wasm); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := meter.Rewrite(wasm, meter.Options{})
	switch {
	case errors.Is(err, meter.ErrMalformed):
		return nil, fmt.Errorf("%s: %w", path, err)
	case err != nil:
		v.Unmetered = err.Error()
	default:
		v.Metered, v.Volatile = true, m.Volatile
		v.Restorable = m.Volatile == ""
	}
	return v, nil
}

func (v *inspection) show(t *table) {
	if v.ABI > 0 {
		t.pair("abi", strconv.Itoa(v.ABI))
	}
	t.pair("kind", string(v.Kind))
	t.pair("size", fmt.Sprintf("%s (%d bytes)", roundSize(int64(v.Size)), v.Size))
	t.pair("sha256", v.SHA256)
	t.pair("language", v.Language)
	t.pair("built with", strings.Join(v.Tools, ", "))
	memory := config.FormatSize(v.MemoryMin) + " to start"
	if v.MemoryMax > 0 {
		memory += ", at most " + config.FormatSize(v.MemoryMax)
	}
	t.pair("memory", memory)
	t.pair("start section", yes(v.Start, "yes: its code runs before weir_init", "no"))
	t.pair("metered", yes(v.Metered, "yes", "no: "+v.Unmetered))
	if v.Metered {
		t.pair("put back", yes(v.Restorable, "yes: memory and globals after each event", "no, each event gets a new instance: "+v.Volatile))
	}
	t.pair("exports", strings.Join(v.Exports, " "))
	t.pair("imports", strings.Join(v.Imports, " "))
}

func yes(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// roundSize is a size for people, of two or three digits.
func roundSize(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// inspectModule says whether a module can be a plugin.
func inspectModule(path string, wasm []byte, abi plugins.ABI) (*plugins.Info, error) {
	inspect := plugins.Inspect
	switch abi {
	case plugins.ABIWeir:
	case plugins.ABIStdio:
		inspect = plugins.InspectStdio
	default:
		return nil, &exitError{code: 2, err: fmt.Errorf("--abi takes weir or stdio, not %q", abi)}
	}
	info, err := inspect(wasm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return info, nil
}

// inspectFile is inspectModule of a file.
func inspectFile(path string, abi plugins.ABI) (*plugins.Info, error) {
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return inspectModule(path, wasm, abi)
}
