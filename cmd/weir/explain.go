package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
)

func newExplain(g *globals) *cobra.Command {
	var source, destination string
	cmd := &cobra.Command{
		Use:   "explain EVENT|DELIVERY",
		Short: "Say where an event went, or did not go, and why",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				id, query := args[0], sourceQuery(source)
				if strings.HasPrefix(id, "dlv_") {
					var d api.Delivery
					if err := c.get(ctx, "/api/deliveries/"+url.PathEscape(id), nil, &d); err != nil {
						return err
					}
					id, query = d.EventID, sourceQuery(d.Source)
				}
				if destination != "" {
					if query == nil {
						query = url.Values{}
					}
					query.Set("destination", destination)
				}
				var e api.Explanation
				if err := c.get(ctx, "/api/events/"+url.PathEscape(id)+"/explain", query, &e); err != nil {
					return err
				}
				return g.print(cmd.OutOrStdout(), e, func(t *table) { printExplanation(t, &e) })
			})
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "which source's, where several have the id")
	cmd.Flags().StringVar(&destination, "destination", "", "a registered webhook, to see why it did not get the event")
	return cmd
}

func printExplanation(t *table, e *api.Explanation) {
	t.line(e.Event.ID + "  " + e.Event.Type + "  from " + e.Event.Source + "  received " + clock(e.Event.Received))
	if !e.Routed {
		t.line("It waits for its turn: routing has not come to it yet. By the current configuration:")
	} else if e.RoutedBy != e.Current {
		t.line("It was routed by another configuration than the current one; reasons of routes that did not match are by the current one.")
	}
	for i := range e.Routes {
		r := &e.Routes[i]
		if !r.Matched {
			t.line("✗ " + routeName(r.Route) + ": " + r.Reason)
			continue
		}
		t.line("✓ " + routeName(r.Route))
		for j := range r.Plugins {
			t.line("    plugin " + pluginLine(&r.Plugins[j]))
			for _, d := range r.Plugins[j].Shadow {
				t.line("        its shadow differs in " + d.Kind + ":")
				t.line("          plugin: " + strings.ReplaceAll(d.Plugin, "\n", "\n          "))
				t.line("          shadow: " + strings.ReplaceAll(d.Shadow, "\n", "\n          "))
			}
			if text := r.Plugins[j].Error; text != "" && len(r.Deliveries) == 0 || text != "" && r.Deliveries[0].Kind != "routing" {
				t.line("        " + strings.ReplaceAll(text, "\n", "\n        ")) // else the dead letter says it
			}
		}
		if len(r.Deliveries) == 0 && e.Routed {
			t.line("    nothing to deliver: every message was dropped")
		}
		for j := range r.Deliveries {
			d := &r.Deliveries[j]
			t.line("    → " + destinationOf(d) + "  " + statusOf(d) + "  " + d.ID)
			if d.Kind == "routing" && d.Note != "" {
				t.line("        " + strings.ReplaceAll(d.Note, "\n", "\n        "))
			}
			printAttempts(t, "        ", d)
		}
	}
	if e.MoreWebhooks > 0 {
		t.line(fmt.Sprintf("… and %d more registered webhooks took it; --destination shows one", e.MoreWebhooks))
	}
}

// routeName says what a route is: a registered webhook is one, too.
func routeName(name string) string {
	if strings.HasPrefix(name, "wh_") {
		return "webhook " + name
	}
	return "route " + name
}

func pluginLine(v *api.PluginVerdict) string {
	line := v.Plugin
	for _, part := range []string{v.Filter, v.Transform} {
		if part != "" {
			line += "  " + part
		}
	}
	if v.Class != "" {
		line += "  failed (" + v.Class + ")"
	}
	line += fmt.Sprintf("  %d units of fuel in %s", v.Fuel, short(time.Duration(v.TimeMS*float64(time.Millisecond))))
	if len(v.Build) >= 12 {
		line += "  build " + v.Build[:12]
	}
	return line
}
