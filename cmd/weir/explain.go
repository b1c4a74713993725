package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/rawjson"
	"github.com/weirhq/weir/router/webhook"
)

func newExplain(g *globals) *cobra.Command {
	var source, destination, typ, data, tenant string
	cmd := &cobra.Command{
		Use:   "explain EVENT|DELIVERY",
		Short: "Say where an event went, or did not go, and why",
		Long: `Say where an event went, or did not go, and why: each route's terms with their
values, each plugin with what it changed, and each attempt. With --type instead of
an id it says the same of an event that is not sent.`,
		Example: `  weir explain order-7
  weir explain --type order.created --data '{"total": 80}'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case typ == "" && len(args) == 0:
				return usage("give the id of an event or of a delivery, or --type for an event that is not sent")
			case typ != "" && len(args) > 0:
				return usage("--type is for an event that is not sent, and %s is the id of one that was", args[0])
			case typ == "" && (cmd.Flags().Changed("data") || tenant != ""):
				return usage("--data and --tenant are for an event that is not sent: give its --type")
			}
			var body []byte
			if typ != "" {
				var err error
				if body, err = unsent(cmd, typ, tenant, data); err != nil {
					return err
				}
			}
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				query := url.Values{}
				destination, err := destinationNamed(ctx, c, destination)
				if err != nil {
					return err
				}
				for name, v := range map[string]string{"source": source, "destination": destination} {
					if v != "" {
						query.Set(name, v)
					}
				}
				var e api.Explanation
				if typ != "" {
					path := "/api/explain"
					if len(query) > 0 {
						path += "?" + query.Encode()
					}
					if err := c.post(ctx, path, body, &e); err != nil {
						return err
					}
				} else {
					id := args[0]
					if strings.HasPrefix(id, "dlv_") {
						var d api.Delivery
						if err := c.get(ctx, "/api/deliveries/"+url.PathEscape(id), nil, &d); err != nil {
							return err
						}
						id = d.EventID
						query.Set("source", d.Source)
					}
					if err := c.get(ctx, "/api/events/"+url.PathEscape(id)+"/explain", query, &e); err != nil {
						return err
					}
				}
				return g.print(cmd.OutOrStdout(), e, func(t *table) { printExplanation(t, &e, typ != "") })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&source, "source", "", "which source's, where several have the id; or which an event that is not sent would come from")
	f.StringVar(&destination, "destination", "", "a registered webhook, by its id or uid, to see why it did not get the event")
	f.StringVar(&typ, "type", "", "the type of an event that is not sent")
	f.StringVar(&data, "data", "{}", "its data: JSON, `@file`, or - for standard input")
	f.StringVar(&tenant, "tenant", "", "its tenant")
	return cmd
}

// unsent is the envelope of an event that is not sent.
func unsent(cmd *cobra.Command, typ, tenant, data string) ([]byte, error) {
	b, err := readData(cmd.InOrStdin(), data)
	if err != nil {
		return nil, err
	}
	if err := rawjson.Valid(b); err != nil {
		return nil, usage("--data is not JSON: %w", err)
	}
	body := rawjson.AppendString([]byte(`{"event":`), typ)
	if tenant != "" {
		body = rawjson.AppendString(append(body, `,"tenant":`...), tenant)
	}
	body = append(append(body, `,"data":`...), b...)
	return append(body, '}'), nil
}

func printExplanation(t *table, e *api.Explanation, unsent bool) {
	t.line(e.Event.ID + "  " + e.Event.Type + "  from " + e.Event.Source + "  received " + clock(e.Event.Received))
	switch {
	case unsent:
		t.line("It was not sent. By the current configuration:")
	case !e.Routed:
		t.line("It waits for its turn: routing has not come to it yet. By the current configuration:")
	case e.RoutedBy != e.Current && e.ReasonsBy == e.RoutedBy:
		t.line("It was routed by an earlier configuration, and what follows is by that one.")
	case e.RoutedBy != e.Current:
		t.line("It was routed by another configuration than the current one; reasons of routes that did not match are by the current one: " + e.Lost + ".")
	}
	if e.Event.Cause != "" {
		t.line("It is a reply to " + e.Event.Cause + ".")
	}
	for _, name := range e.SecretsChanged {
		t.line("The secret of " + name + " has changed since: attempts are signed with the one of now.")
	}
	for i := range e.Routes {
		r := &e.Routes[i]
		if !r.Matched {
			t.line("✗ " + routeName(r) + ": " + indented(r.Reason, "    "))
			printTerms(t, r.Terms, r.Reason)
			continue
		}
		t.line("✓ " + routeName(r))
		printTerms(t, r.Terms, "")
		for j := range r.Plugins {
			t.line("    plugin " + pluginLine(&r.Plugins[j]))
			printPlugin(t, &r.Plugins[j], r, unsent)
		}
		for j := range r.Would {
			printWould(t, &r.Would[j])
		}
		if r.Reason != "" {
			t.line("    " + r.Reason)
		}
		if len(r.Deliveries) == 0 && e.Routed || unsent && len(r.Would) == 0 && r.Reason == "" {
			t.line("    nothing to deliver: every message was dropped")
		}
		for j := range r.Deliveries {
			d := &r.Deliveries[j]
			line := "    → " + destinationOf(d) + "  " + statusOf(d) + "  " + d.ID
			if d.Replay != "" {
				line += "  replay " + d.Replay
			}
			t.line(line)
			if d.Note != "" {
				t.line("        " + indented(d.Note, "        "))
			}
			printAttempts(t, "        ", d)
		}
	}
	for i := range e.Replies {
		r := &e.Replies[i]
		t.line("An answer became the event " + r.ID + "  " + r.Type + "  from " + r.Source)
	}
	if e.MoreWebhooks > 0 {
		t.line(fmt.Sprintf("… and %d more registered webhooks took it; --destination shows one", e.MoreWebhooks))
	}
}

// printTerms shows a condition's terms: why one does not hold, and of one that does
// what it looks at. The reason said is that of the route, which stands above.
func printTerms(t *table, terms []api.Term, said string) {
	for i := range terms {
		term := &terms[i]
		mark, why := "✓", term.Reason
		if !term.OK {
			mark = "✗"
		}
		if why == "" {
			var parts []string
			for _, v := range term.Values {
				parts = append(parts, v.Path+" is "+cmp.Or(v.JSON, "missing"))
			}
			why = strings.Join(parts, ", ")
		}
		line := "    " + mark + " " + oneLine(term.Text)
		if why != "" && why != said {
			line += "  (" + indented(why, "      ") + ")"
		}
		t.line(line)
	}
}

// oneLine is an expression as one line, where it was written on several.
func oneLine(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, " ")
}

// indented is a text of several lines, but for the first, behind a margin.
func indented(text, margin string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+margin)
}

// printPlugin says more of a call than its line does.
func printPlugin(t *table, p *api.PluginVerdict, r *api.RouteVerdict, unsent bool) {
	const margin = "        "
	for _, d := range p.Shadow {
		t.line(margin + "its shadow differs in " + d.Kind + ":")
		t.line(margin + "  plugin: " + indented(d.Plugin, margin+"  "))
		t.line(margin + "  shadow: " + indented(d.Shadow, margin+"  "))
	}
	if p.Error != "" && (len(r.Deliveries) == 0 || r.Deliveries[0].Kind != "routing") && !(unsent && r.Reason != "") {
		t.line(margin + indented(p.Error, margin)) // else the dead letter says it
	}
	for _, l := range p.Logs {
		t.line(margin + "it logged: " + indented(l.Text, margin))
	}
	switch {
	case p.Differs != "":
		t.line(margin + "! " + p.Differs)
	case p.NotRecomputed != "":
		t.line(margin + "what it changed is not known: " + p.NotRecomputed)
	}
	for i := range p.After {
		after := &p.After[i]
		if len(p.After) > 1 {
			t.line(fmt.Sprintf("%sresult %d:", margin, i))
		}
		if after.Diff != "" {
			lines := strings.TrimPrefix(after.Diff, "--- before\n+++ after\n")
			t.line(margin + indented(lines, margin))
		} else if p.Transform == "changed" || p.Transform == "emitted" {
			t.line(fmt.Sprintf("%sthe same, or too large to show: %d bytes of data", margin, after.Size))
		}
	}
}

func printWould(t *table, w *api.WouldSend) {
	line := "    → " + w.Destination + "  would be sent " + w.Type
	switch {
	case w.BodyBase64 != nil:
		t.line(fmt.Sprintf("%s: %d bytes of %s", line, w.Size, w.ContentType))
	case w.Cut:
		t.line(fmt.Sprintf("%s (%d bytes): %s…", line, w.Size, w.Body))
	default:
		t.line(line + ": " + w.Body)
	}
}

// routeName says what a route is: a registered webhook is one, too, and its id alone
// says nothing to people.
func routeName(r *api.RouteVerdict) string {
	if !webhook.IsID(r.Route) {
		return "route " + r.Route
	}
	name := "webhook " + r.Route
	var known []string
	for _, s := range []string{whose(r.Tenant, r.UID), r.URL} {
		if s != "" {
			known = append(known, s)
		}
	}
	if len(known) > 0 {
		name += " (" + oneLine(strings.Join(known, ", ")) + ")"
	}
	return name
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
