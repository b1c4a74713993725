package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/golden"
	"github.com/weirhq/weir/router/rawjson"
)

// benchOptions are what "plugin bench" was told.
type benchOptions struct {
	event     string
	config    string
	calls     int
	isolation string
	spec      specFlags
}

// benchReport is what "plugin bench" says with -o json.
type benchReport struct {
	Wasm  string `json:"wasm"`
	Build string `json:"build"`
	// Event names what the plugin was given, Bytes is the size of its data.
	Event string `json:"event"`
	Bytes int    `json:"bytes"`
	// Outcome is what came of it.
	Outcome string     `json:"outcome"`
	Calls   int        `json:"calls"`
	Rows    []benchRow `json:"rows"`
}

// benchRow is one isolation's cost of a call.
type benchRow struct {
	Isolation plugins.Isolation `json:"isolation"`
	P50       time.Duration     `json:"p50_ns"`
	P99       time.Duration     `json:"p99_ns"`
	Mean      time.Duration     `json:"mean_ns"`
	// Fuel is the least and the most that a call took, in units: the same where
	// the plugin is pure.
	Fuel    int64 `json:"fuel"`
	MaxFuel int64 `json:"max_fuel"`
	// Allocs and AllocBytes are the host's for a call.
	Allocs     float64 `json:"allocs"`
	AllocBytes float64 `json:"alloc_bytes"`
}

// warmUps are calls before those that are measured.
const warmUps = 200

func newPluginBench(g *globals) *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench FILE",
		Short: "Measure what a call of a plugin costs",
		Long: `Bench calls the plugin again and again with one event and shows the time of a
call (50th and 99th percentile), its fuel, and the memory that the host allocates
for it. Times depend on the machine, fuel does not. The event is one like those in
testdata (see weir plugin test); without --event it is an order of 1 KiB.`,
		Example: `  weir plugin bench redact/redact.wasm
  weir plugin bench redact/redact.wasm --event redact/testdata/card.json --config '{"fields": ["card"]}'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := benchPlugin(cmd, args[0], o)
			if err != nil {
				return fmt.Errorf("plugin bench: %w", err)
			}
			return g.print(cmd.OutOrStdout(), report, func(t *table) { showBench(t, report) })
		},
	}
	cmd.Flags().StringVar(&o.event, "event", "", "a golden event")
	cmd.Flags().StringVar(&o.config, "config", "", "the plugin's config as JSON (default that of the event)")
	cmd.Flags().IntVarP(&o.calls, "calls", "n", 5000, "how many calls to measure")
	cmd.Flags().StringVar(&o.isolation, "isolation", "", "pure or reuse (default both)")
	o.spec.add(cmd)
	return cmd
}

func benchPlugin(cmd *cobra.Command, path string, o benchOptions) (*benchReport, error) {
	if o.calls < 1 {
		return nil, &exitError{code: 2, err: fmt.Errorf("-n %d: it is at least 1", o.calls)}
	}
	isolations := []plugins.Isolation{plugins.Pure, plugins.Reuse}
	if o.spec.abi == string(plugins.ABIStdio) {
		isolations = isolations[:1] // a command begins anew for each event
	}
	if o.isolation != "" {
		if !slices.Contains(isolations, plugins.Isolation(o.isolation)) {
			return nil, &exitError{code: 2, err: fmt.Errorf("--isolation takes %s, not %q", oneOf(isolations), o.isolation)}
		}
		isolations = []plugins.Isolation{plugins.Isolation(o.isolation)}
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := benchEvent(o)
	if err != nil {
		return nil, err
	}
	spec, err := o.spec.spec(path, wasm)
	if err != nil {
		return nil, err
	}
	spec.Config = c.Config
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
	report := &benchReport{Wasm: path, Build: info.SHA256, Event: c.Name, Bytes: len(c.Event.Data), Calls: o.calls}
	bar := newProgress(cmd.ErrOrStderr(), len(isolations)*o.calls, "calls")
	defer bar.end()
	for _, isolation := range isolations {
		spec.Isolation = isolation
		p, err := h.Load(ctx, spec)
		if err != nil {
			return nil, err
		}
		row, outcome, err := measure(ctx, p, c, o.calls, bar)
		if err != nil {
			return nil, err
		}
		row.Isolation, report.Outcome = isolation, outcome
		report.Rows = append(report.Rows, row)
		if err := p.Close(ctx); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// oneOf lists what can be chosen.
func oneOf(isolations []plugins.Isolation) string {
	names := make([]string, len(isolations))
	for i, isolation := range isolations {
		names[i] = string(isolation)
	}
	return strings.Join(names, " or ")
}

// benchEvent is the event to give.
func benchEvent(o benchOptions) (*golden.Case, error) {
	c, err := golden.Parse([]byte(sampleEvent()), ".")
	if o.event != "" {
		c, err = golden.Read(o.event)
	} else {
		c.Name = "an order"
	}
	if err != nil {
		return nil, err
	}
	if o.config != "" {
		if err := rawjson.Valid([]byte(o.config)); err != nil {
			return nil, &exitError{code: 2, err: fmt.Errorf("--config is not JSON: %w", err)}
		}
		c.Config = []byte(o.config)
	}
	return c, nil
}

// sampleEvent is an order with 1 KiB of data.
func sampleEvent() string {
	var items strings.Builder
	for i := range 10 {
		fmt.Fprintf(&items, `{"sku":"sku-%04d","quantity":%d,"price":%d.50,"title":"A thing for the house"},`, 7*i, i%3+1, 10+i)
	}
	return `{"event":{"type":"order.paid","source":"events","data":{"id":"ord_1","customer":{"id":"cus_1","email":"ada@example.com"},"total":199.5,"currency":"USD","items":[` +
		strings.TrimSuffix(items.String(), ",") + `],"note":"` + strings.Repeat("please ring twice ", 5) + `"}}}`
}

// measure calls a plugin, one call after another.
func measure(ctx context.Context, p *plugins.Plugin, c *golden.Case, calls int, bar *progress) (benchRow, string, error) {
	var row benchRow
	var outcome string
	for range min(warmUps, calls) {
		r, err := p.Run(ctx, c.Event, c.Route)
		if err != nil {
			return row, "", err
		}
		outcome = outcomeText(r)
	}
	took := make([]time.Duration, calls)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range took {
		began := time.Now()
		r, err := p.Run(ctx, c.Event, c.Route)
		took[i] = time.Since(began)
		if err != nil {
			return row, "", err
		}
		if i == 0 || r.Fuel < row.Fuel {
			row.Fuel = r.Fuel
		}
		row.MaxFuel = max(row.MaxFuel, r.Fuel)
		row.Mean += took[i]
		if bar.bar != nil {
			bar.step()
		}
	}
	runtime.ReadMemStats(&after)
	row.Mean /= time.Duration(calls)
	slices.Sort(took)
	row.P50, row.P99 = took[calls/2], took[min(calls-1, calls*99/100)]
	row.Allocs = float64(after.Mallocs-before.Mallocs) / float64(calls)
	row.AllocBytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(calls)
	return row, outcome, nil
}

// outcomeText says what came of a call.
func outcomeText(r *plugins.Result) string {
	switch {
	case r.Filter == plugins.Drop:
		return "dropped by the filter"
	case len(r.Messages) == 1:
		return "1 message"
	}
	return strconv.Itoa(len(r.Messages)) + " messages"
}

func showBench(t *table, r *benchReport) {
	t.line(fmt.Sprintf("%s (build %.12s): %d calls with %s, %d bytes of data → %s", r.Wasm, r.Build, r.Calls, r.Event, r.Bytes, r.Outcome))
	t.head("isolation", "p50", "p99", "fuel", "host allocations")
	for _, row := range r.Rows {
		fuel := strconv.FormatInt(row.Fuel, 10)
		if row.MaxFuel != row.Fuel {
			fuel += " to " + strconv.FormatInt(row.MaxFuel, 10)
		}
		t.row(string(row.Isolation), short(row.P50), short(row.P99), fuel, fmt.Sprintf("%.1f, %.0f bytes", row.Allocs, row.AllocBytes))
	}
}

// short is a duration with three digits.
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= 100*unit {
			return d.Round(unit).String()
		}
		if d >= 10*unit {
			return d.Round(unit / 10).String()
		}
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}
