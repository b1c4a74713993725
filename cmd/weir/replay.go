package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
)

func newReplay(g *globals) *cobra.Command {
	f := &filters{}
	var o api.ReplayOptions
	all, detach := false, false
	cmd := &cobra.Command{
		Use:   "replay [EVENT]",
		Short: "Deliver stored events again, out of order: one by its id, or those that flags choose",
		Example: `  weir replay order-7
  weir replay order-7 --to crm --dry-run
  weir replay --type 'order.*' --since 1h --dry-run
  weir replay --source shop --to crm --rate 100`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("limit") {
				return usage("a replay has no --limit; --since and --until choose a time")
			}
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			// The source also says which event is meant, where several have the id.
			chosen := f.kind+f.destination+f.tenant+f.since+f.until != "" || all
			switch {
			case len(args) == 1 && (chosen || detach || o.Rate != 0):
				return usage("name an event, or choose events by flags, not both; of one event there is --source, --to, --routes, --new-ids and --dry-run")
			case len(args) == 0 && !chosen && f.source == "":
				return usage("name an event, choose events by flags such as --type and --since, or say --all")
			}
			if len(args) == 1 {
				return ask(cmd, g, func(ctx context.Context, c *client) (err error) {
					if o.To, err = destinationNamed(ctx, c, o.To); err != nil {
						return err
					}
					return replayEvent(ctx, cmd, g, c, args[0], f.source, &o.EventReplayOptions)
				})
			}
			times := deadLetterFilter{}
			if err := times.times(q); err != nil {
				return err
			}
			o.Type, o.Source, o.Tenant, o.Destination, o.Since, o.Until = f.kind, f.source, f.tenant, f.destination, times.Since, times.Until
			return ask(cmd, g, func(ctx context.Context, c *client) (err error) {
				for _, name := range []*string{&o.To, &o.Destination} {
					if *name, err = destinationNamed(ctx, c, *name); err != nil {
						return err
					}
				}
				return replayMany(ctx, cmd, g, c, &o, detach)
			})
		},
	}
	f.register(cmd)
	fl := cmd.Flags()
	_ = fl.MarkHidden("limit") // a replay has none
	fl.StringVar(&f.destination, "destination", "", "events that went to this destination, which alone gets them unless --to says otherwise")
	fl.BoolVar(&all, "all", false, "all events")
	fl.StringVar(&o.To, "to", "", "only to this destination")
	fl.StringVar(&o.Routes, "routes", "original", "original: as they were routed; current: by the configuration of now")
	fl.BoolVar(&o.NewIDs, "new-ids", false, "with new webhook-ids, which receivers have not seen")
	fl.IntVar(&o.Rate, "rate", 0, "events a second; without it as many as can be")
	fl.BoolVar(&o.DryRun, "dry-run", false, "send nothing: say what would be sent, or count it")
	fl.BoolVar(&detach, "detach", false, "do not wait for its end")
	cmd.AddCommand(newReplayLs(g), newReplayOne(g, "show", http.MethodGet, "Show how far a replay is"),
		newReplayOne(g, "cancel", http.MethodDelete, "End a replay; what it has made goes on"))
	return cmd
}

// replayMany starts a replay and follows it to its end. Who stops following leaves it
// running.
func replayMany(ctx context.Context, cmd *cobra.Command, g *globals, c *client, o *api.ReplayOptions, detach bool) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var r api.Replay
	if err := c.post(ctx, "/api/replays", body, &r); err != nil {
		return err
	}
	if !o.DryRun && !detach {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		goesOn := fmt.Errorf("the replay goes on by itself: weir replay show %[1]s says how far it is, weir replay cancel %[1]s ends it", r.ID)
		bar := newProgress(cmd.ErrOrStderr(), int(r.Total), r.ID)
		defer bar.end()
		for {
			bar.stepTo(int(r.Looked))
			if r.Status != "running" {
				break
			}
			select {
			case <-ctx.Done():
				return goesOn
			case <-time.After(200 * time.Millisecond):
			}
			if err := c.get(ctx, "/api/replays/"+url.PathEscape(r.ID), nil, &r); ctx.Err() != nil {
				return goesOn
			} else if err != nil {
				return fmt.Errorf("%w; the replay is kept: weir replay show %s", err, r.ID)
			}
		}
		bar.end()
	}
	return g.print(cmd.OutOrStdout(), r, func(t *table) {
		if r.DryRun {
			text := "would send " + ofEvents(r.Deliveries, r.Events)
			if r.Partial {
				text += ", and more: counting stopped after 20 seconds"
			}
			t.line(text + notReplayed(r.Skipped, r.Failed))
			return
		}
		t.line(fmt.Sprintf("%s %s: %s, out of order%s", r.ID, r.Status, ofEvents(r.Deliveries, r.Events), notReplayed(r.Skipped, r.Failed)))
	})
}

func ofEvents(deliveries, events int) string {
	return counted(deliveries, "delivery", "deliveries") + " of " + counted(events, "event", "events")
}

// counted is a number with its noun.
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + more
}

func notReplayed(skipped, failed int) string {
	text := ""
	if skipped > 0 {
		text += fmt.Sprintf("; %d left out, whose destination is gone", skipped)
	}
	if failed > 0 {
		text += fmt.Sprintf("; %d failed, see the router's log", failed)
	}
	return text
}

func newReplayLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List replays, newest first", Args: cobra.NoArgs, Example: "  weir replay ls -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				var list api.ReplayList
				if err := c.get(ctx, "/api/replays", nil, &list); err != nil {
					return err
				}
				return g.print(cmd.OutOrStdout(), list, func(t *table) { printReplays(t, list.Replays) })
			})
		},
	}
}

func newReplayOne(g *globals, name, method, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " REPLAY", Short: short, Args: cobra.ExactArgs(1),
		Example: "  weir replay " + name + " rpl_01JDQ5ZC8B6S0F4M9T2V7X1A3E",
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				var r api.Replay
				if err := c.call(ctx, method, "/api/replays/"+url.PathEscape(args[0]), nil, &r); err != nil {
					return err
				}
				return g.print(cmd.OutOrStdout(), r, func(t *table) { printReplays(t, []api.Replay{r}) })
			})
		},
	}
}

func printReplays(t *table, list []api.Replay) {
	t.head("CREATED", "ID", "STATUS", "LOOKED AT", "EVENTS", "DELIVERIES", "SKIPPED", "FAILED")
	for i := range list {
		r := &list[i]
		created := ""
		if r.Created != nil {
			created = clock(*r.Created)
		}
		t.row(created, r.ID, r.Status, fmt.Sprintf("%d of %d", r.Looked, r.Total), strconv.Itoa(r.Events), strconv.Itoa(r.Deliveries),
			strconv.Itoa(r.Skipped), strconv.Itoa(r.Failed))
	}
}

func replayEvent(ctx context.Context, cmd *cobra.Command, g *globals, c *client, id, source string, o *api.EventReplayOptions) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	path := "/api/events/" + url.PathEscape(id) + "/replay"
	if q := sourceQuery(source); q != nil {
		path += "?" + q.Encode()
	}
	var out api.EventReplay
	if err := c.post(ctx, path, body, &out); err != nil {
		return err
	}
	return g.print(cmd.OutOrStdout(), out, func(t *table) {
		if out.DryRun {
			t.line(fmt.Sprintf("would send %s%s", counted(out.Deliveries, "delivery", "deliveries"), notReplayed(out.Skipped, out.Failed)))
			t.head("ROUTE", "DESTINATION", "WEBHOOK-ID")
			for _, s := range out.WouldSend {
				t.row(s.Route, s.Destination, cmp.Or(s.WebhookID, "a new one"))
			}
			return
		}
		t.line(fmt.Sprintf("%s: %d to be sent, out of order%s", out.ID, out.Deliveries, notReplayed(out.Skipped, out.Failed)))
		t.line(strings.Join(out.DeliveryIDs, "\n"))
	})
}
