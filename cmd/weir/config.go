package main

import (
	"fmt"
	"io"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/config"
)

// loadConfig reads a configuration and prints what is wrong with it, warnings
// included, to w.
func loadConfig(path string, w io.Writer) (*config.Config, error) {
	c, report := config.Load(path, config.Options{CheckPlugin: checkPlugin})
	return c, told(report, w)
}

// told prints what a report has. Its error is that of a configuration that can't be
// used.
func told(report *config.Report, w io.Writer) error {
	if err := report.Write(w); err != nil {
		return fmt.Errorf("print diagnostics: %w", err)
	}
	if report.HasErrors() {
		return &exitError{code: 1}
	}
	return nil
}

// checkPlugin says what is wrong with a module, without running it.
func checkPlugin(wasm []byte, p *config.Plugin) error {
	inspect := plugins.Inspect
	if p.ABI == string(plugins.ABIStdio) {
		inspect = plugins.InspectStdio
	}
	_, err := inspect(wasm)
	return err
}
