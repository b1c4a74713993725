package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/routing"
)

func newDoctor(g *globals) *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the configuration, the store and this machine, and say what to do",
		Long: `Checks what a router needs, whether one runs or not, and changes nothing: the
configuration and its secrets, plugins (compiled and started), the address, the
store's folder, file system, free space and rows, open files, memory, the clock.
What is not in order comes with what to do. While a router has the store open, the
router is asked. Exits with 1 when something fails; warnings are no failure.`,
		Example: `  weir doctor
  weir doctor --deep -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{machine: thisMachine(), configPath: g.config, vars: g.variables(), server: g.server, token: g.token, deep: deep, now: time.Now}
			d.examine(cmd.Context())
			a := d.assessment()
			if err := g.print(cmd.OutOrStdout(), a, a.write); err != nil {
				return err
			}
			if a.Failures > 0 {
				return &exitError{code: 1}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "read the whole store and check every row, not only what a start reads")
	return cmd
}

// What a finding can be.
const (
	findingOK   = "ok"
	findingWarn = "warn"
	findingFail = "fail"
)

// finding is one line of the doctor's.
type finding struct {
	Status string `json:"status"`
	Check  string `json:"check"`
	Found  string `json:"found"`
	// Do is what to do about it, empty where all is well.
	Do string `json:"do,omitempty"`
}

type assessment struct {
	Findings []finding `json:"findings"`
	Failures int       `json:"failures"`
	Warnings int       `json:"warnings"`
}

func (a *assessment) write(t *table) {
	for _, f := range a.Findings {
		t.row(f.Status, f.Check, f.Found)
		for line := range strings.SplitSeq(f.Do, "\n") {
			if line != "" {
				t.row("", "", "→ "+line)
			}
		}
	}
	t.flush()
	switch {
	case a.Failures > 0:
		t.line(fmt.Sprintf("%s, %s.", count(a.Failures, "failure"), count(a.Warnings, "warning")))
	case a.Warnings > 0:
		t.line(count(a.Warnings, "warning") + ".")
	default:
		t.line("All is well.")
	}
}

// doctor gathers findings. Each check stands for itself: one that can't be made
// says why, and the others go on.
type doctor struct {
	machine    machine
	configPath string
	vars       map[string]string
	server     string
	token      string
	deep       bool
	now        func() time.Time

	// config is what was loaded; where it has mistakes, what can be told of it
	// all the same, or nil.
	config *config.Config
	// running is the router that answers, nil when none does.
	running *client
	list    []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.list = append(d.list, finding{findingOK, check, fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, do, format string, args ...any) {
	d.list = append(d.list, finding{findingWarn, check, fmt.Sprintf(format, args...), do})
}

func (d *doctor) fail(check, do, format string, args ...any) {
	d.list = append(d.list, finding{findingFail, check, fmt.Sprintf(format, args...), do})
}

func (d *doctor) assessment() *assessment {
	a := &assessment{Findings: d.list}
	for _, f := range d.list {
		switch f.Status {
		case findingFail:
			a.Failures++
		case findingWarn:
			a.Warnings++
		}
	}
	return a
}

func (d *doctor) examine(ctx context.Context) {
	usable := d.checkConfig()
	if usable {
		d.checkPlugins(ctx)
	}
	if d.config != nil {
		d.checkAddress(ctx)
		d.checkStore(ctx)
		d.checkFiles()
		d.checkMemory()
	}
	d.checkClock()
}

// summaryUnset is what a configuration says of a variable that is not set.
const (
	summaryUnset   = "Environment variable is not set"
	summaryNoValue = "Variable has no value"
)

// checkConfig says whether a router would start with it.
func (d *doctor) checkConfig() bool {
	c, report := config.Load(d.configPath, config.Options{CheckPlugin: checkPlugin, Vars: d.vars})
	if c != nil {
		d.config = c
		if _, n := report.Count(); n > 0 {
			d.warn("configuration", d.validate("shows each with its line"), "%s: %s: %s", d.configPath, count(n, "warning"), report.Diagnostics[0].Summary)
		} else {
			d.ok("configuration", "%s", strings.TrimSuffix(strings.Replace(summary(c, report), "The configuration is valid", d.configPath, 1), "."))
		}
		return true
	}
	// Secrets are for themselves: this shell may just not have them.
	var unset []string
	rest := &config.Report{}
	for _, x := range report.Diagnostics {
		switch {
		case x.Severity != hcl.DiagError:
		case x.Summary == summaryUnset || x.Summary == summaryNoValue:
			unset = append(unset, strings.TrimSuffix(x.Detail, "."))
		default:
			rest.Diagnostics = append(rest.Diagnostics, x)
		}
	}
	if err := rest.Err(); err != nil {
		d.fail("configuration", d.validate("shows each with its line"), "%s", err)
	}
	if len(unset) > 0 {
		d.fail("secrets", "set them as the router's service does, or run weir doctor in its environment", "%s: %s", count(len(unset), "variable")+" not set", strings.Join(unset, "; "))
	}
	// Where the store is, and the address, may be known all the same.
	d.config, _ = config.Load(d.configPath, config.Options{ToAsk: true, Vars: d.vars})
	if d.config == nil {
		d.warn("store", "mend the configuration and run weir doctor again", "not looked at: the configuration has errors")
	}
	return false
}

func (d *doctor) validate(what string) string {
	return fmt.Sprintf("weir validate -c %s %s", d.configPath, what)
}

// checkPlugins compiles and starts each plugin as a router would.
func (d *doctor) checkPlugins(ctx context.Context) {
	if len(d.config.Plugins) == 0 {
		return
	}
	host, err := plugins.NewHost(ctx, plugins.Options{})
	if err != nil {
		d.fail("plugins", "report this", "no plugin can be run: %s", err)
		return
	}
	for _, p := range d.config.Plugins {
		check := "plugin " + p.Name
		started := time.Now()
		plugin, err := host.Load(ctx, routing.Spec(p))
		if err != nil {
			var own *plugins.Error
			do := "build it again: weir plugin build; weir plugin inspect shows what it has"
			if errors.As(err, &own) {
				do = "its own code fails when it starts: look at its weir_init and its config"
			}
			d.fail(check, do, "%s: %s", p.Path, err)
			continue
		}
		info := plugin.Info()
		d.ok(check, "%s, ABI %d, %s, compiled and started in %s", info.Kind, info.ABI, bytesText(int64(info.Size)), time.Since(started).Round(time.Millisecond))
	}
	if err := host.Close(ctx); err != nil {
		d.warn("plugins", "report this", "closing them: %s", err)
	}
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (n+1023)>>10)
}
