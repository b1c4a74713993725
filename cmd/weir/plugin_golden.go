package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"
	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/golden"
	"github.com/weirhq/weir/router/config"
)

// goldenOptions are what "plugin test" was told.
type goldenOptions struct {
	wasm   string
	update bool
	repeat int
	spec   specFlags
}

// goldenReport is what "plugin test" says with -o json.
type goldenReport struct {
	Wasm   string       `json:"wasm"`
	Build  string       `json:"build"`
	Passed int          `json:"passed"`
	Failed int          `json:"failed"`
	Pure   *bool        `json:"pure,omitempty"` // after --repeat
	Cases  []goldenCase `json:"cases"`
}

type goldenCase struct {
	Name    string `json:"name"`
	File    string `json:"file"`
	Passed  bool   `json:"passed"`
	Updated bool   `json:"updated,omitempty"`
	Fuel    int64  `json:"fuel"`
	Diff    string `json:"diff,omitempty"`
	Stderr  string `json:"stderr,omitempty"`
}

func newPluginTest(g *globals) *cobra.Command {
	var o goldenOptions
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run a plugin on its golden events and compare what comes out",
		Long: `Test runs the plugin in DIR (default the current folder) on the events in
DIR/testdata/*.json and compares what comes out with what each of them wants. It
tests the module that "weir plugin build" wrote, or the one of --wasm.`,
		Example: `  weir plugin test redact
  weir plugin test redact --update
  weir plugin test redact --repeat 100`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			report, err := testPlugin(cmd, dir, o)
			if report == nil {
				return fmt.Errorf("plugin test: %w", err)
			}
			printed := g.print(cmd.OutOrStdout(), report, func(t *table) { showGolden(t, report) })
			switch {
			case err != nil:
				return fmt.Errorf("plugin test: %w", errors.Join(err, printed))
			case printed != nil:
				return printed
			case report.Failed > 0:
				return &exitError{code: 1}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.wasm, "wasm", "", "the module (default DIR/<name of the folder>.wasm)")
	cmd.Flags().BoolVar(&o.update, "update", false, "write what comes out into the files that differ")
	cmd.Flags().IntVar(&o.repeat, "repeat", 0, "then run each event so often again, in random order: the bytes and the fuel must be the same")
	o.spec.add(cmd)
	return cmd
}

// testPlugin runs the cases. Where the report is not nil, it is to be shown even
// if there is an error.
func testPlugin(cmd *cobra.Command, dir string, o goldenOptions) (*goldenReport, error) {
	if o.repeat < 0 {
		return nil, &exitError{code: 2, err: fmt.Errorf("--repeat %d: it is a number of runs", o.repeat)}
	}
	path := o.wasm
	if path == "" {
		var err error
		if path, err = builtModule(dir); err != nil {
			return nil, err
		}
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	cases, err := golden.Load(filepath.Join(dir, "testdata"))
	if err != nil {
		return nil, err
	}
	spec, err := o.spec.spec(path, wasm)
	if err != nil {
		return nil, err
	}
	info, err := inspectModule(path, wasm, spec.ABI)
	if err != nil {
		return nil, err
	}
	ctx := cmd.Context()
	h, err := plugins.NewHost(ctx, plugins.Options{})
	if err != nil {
		return nil, err
	}
	defer h.Close(context.WithoutCancel(ctx)) // frees memory; the process ends soon
	runner := golden.NewRunner(h, spec)
	report := &goldenReport{Wasm: path, Build: info.SHA256, Cases: make([]goldenCase, 0, len(cases))}
	outcomes := make([]golden.Outcome, len(cases))
	bar := newProgress(cmd.ErrOrStderr(), len(cases), "golden events")
	for i, c := range cases {
		if outcomes[i], err = runner.Run(ctx, c); err != nil {
			bar.end()
			return report, fmt.Errorf("%s: %w", c.Path, err)
		}
		r, err := judge(c, outcomes[i], o.update)
		if err != nil {
			bar.end()
			return report, err
		}
		report.add(r)
		bar.step()
	}
	bar.end()
	if o.repeat == 0 || report.Failed > 0 {
		return report, nil
	}
	bar = newProgress(cmd.ErrOrStderr(), o.repeat*len(cases), "again, in random order")
	err = runner.Repeat(ctx, cases, outcomes, o.repeat, bar.step)
	bar.end()
	pure := err == nil
	report.Pure = &pure
	return report, err
}

// judge compares one outcome with its case, and writes it there where that was
// asked for.
func judge(c *golden.Case, o golden.Outcome, update bool) (goldenCase, error) {
	r := goldenCase{Name: c.Name, File: c.Path, Fuel: o.Fuel, Passed: true}
	if c.Want != nil {
		want, got := c.Compare(o)
		r.Passed = want == got
		r.Diff = udiff.Unified("want", "got", want, got)
	} else {
		r.Passed = false
		r.Diff = "it has no \"want\": write it, or let --update write\n" + c.Describe(o)
	}
	if r.Passed {
		r.Diff = ""
		return r, nil
	}
	if update {
		text, err := os.ReadFile(c.Path)
		if err != nil {
			return r, err
		}
		if text, err = c.Updated(text, o); err != nil {
			return r, fmt.Errorf("%s: %w", c.Path, err)
		}
		if err := os.WriteFile(c.Path, text, 0o644); err != nil {
			return r, err
		}
		r.Passed, r.Updated, r.Diff = true, true, ""
		return r, nil
	}
	r.Stderr = o.Stderr
	return r, nil
}

func (r *goldenReport) add(c goldenCase) {
	if c.Passed {
		r.Passed++
	} else {
		r.Failed++
	}
	r.Cases = append(r.Cases, c)
}

func showGolden(t *table, r *goldenReport) {
	updated := 0
	for _, c := range r.Cases {
		switch {
		case c.Updated:
			updated++
			t.line("wrote " + c.Name)
		case c.Passed:
			t.line("ok    " + c.Name)
		default:
			t.line("FAIL  " + c.Name + "\n" + indentLines(c.Diff))
			if c.Stderr != "" {
				t.line(indentLines("stderr:\n" + c.Stderr))
			}
		}
	}
	sum := fmt.Sprintf("%d passed, %d failed", r.Passed, r.Failed)
	if updated > 0 {
		sum = fmt.Sprintf("%d passed, %d of them rewritten", r.Passed, updated)
	}
	if r.Pure != nil && *r.Pure {
		sum += ", pure"
	}
	t.line(fmt.Sprintf("%s (%s, build %.12s)", sum, r.Wasm, r.Build))
}

func indentLines(text string) string {
	return "      " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n      ")
}

// builtModule finds the module of the plugin in a folder, as "plugin build" names
// it, and refuses one that is older than what it was built from.
func builtModule(dir string) (string, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, filepath.Base(full)+".wasm")
	built, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(dir); err != nil {
			return "", err
		}
		return "", fmt.Errorf("%s is not there: run weir plugin build %s first, or name a module by --wasm", path, dir)
	}
	if err != nil {
		return "", err
	}
	newest, at, err := newestSource(dir)
	if err != nil {
		return "", err
	}
	if at.After(built.ModTime()) {
		return "", fmt.Errorf("%s is older than %s: run weir plugin build %s first", path, newest, dir)
	}
	return path, nil
}

// sources are the endings of files that plugins are built from.
var sources = []string{".go", ".mod", ".c", ".h", ".rs", ".ts", ".js", ".mjs", ".toml"}

// notSources are folders with what tests and tools leave.
var notSources = []string{"testdata", "node_modules", "target", "build"}

func newestSource(dir string) (path string, at time.Time, err error) {
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != dir && (slices.Contains(notSources, d.Name()) || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case !d.Type().IsRegular() || !slices.Contains(sources, filepath.Ext(p)) || strings.HasSuffix(p, "_test.go"):
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.ModTime().After(at) {
			path, at = p, info.ModTime()
		}
		return nil
	})
	return path, at, err
}

// specFlags are the flags of commands that load a module, named as in a plugin
// block.
type specFlags struct {
	memory string
	fuel   int64
	abi    string
}

func (f *specFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.memory, "memory", "32MiB", "the most memory that it may use")
	cmd.Flags().Int64Var(&f.fuel, "fuel", plugins.DefaultFuel, "units of work for a call, beside those for the event's size")
	cmd.Flags().StringVar(&f.abi, "abi", string(plugins.ABIWeir), "weir or stdio")
}

// spec is for one module. The deadline is long, since fuel ends what would not
// end, on any machine.
func (f *specFlags) spec(path string, wasm []byte) (plugins.Spec, error) {
	memory, err := config.ParseSize(f.memory)
	if err != nil {
		return plugins.Spec{}, &exitError{code: 2, err: fmt.Errorf("--memory: %w", err)}
	}
	if f.fuel <= 0 {
		return plugins.Spec{}, &exitError{code: 2, err: fmt.Errorf("--fuel %d: it is more than 0", f.fuel)}
	}
	if !slices.Contains([]string{string(plugins.ABIWeir), string(plugins.ABIStdio)}, f.abi) {
		return plugins.Spec{}, &exitError{code: 2, err: fmt.Errorf("--abi takes weir or stdio, not %q", f.abi)}
	}
	name := strings.TrimSuffix(filepath.Base(path), ".wasm")
	return plugins.Spec{Name: cmp.Or(name, "plugin"), Wasm: wasm, Memory: memory, Fuel: f.fuel, ABI: plugins.ABI(f.abi), Deadline: time.Minute}, nil
}
