package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
)

// deadLetterFilter is what the flags of a list ask for, as the API takes it.
type deadLetterFilter struct{ api.DeadLetterFilter }

// deadQuery is the query of filters for dead letters, all of which have one status.
func (f *filters) deadQuery(now time.Time) (url.Values, error) {
	if f.status != "" && f.status != "dead" {
		return nil, usage("--status takes dead, which all dead letters are, not %q", f.status)
	}
	q, err := f.query(now)
	q.Del("status")
	return q, err
}

func (f *filters) registerDead(cmd *cobra.Command) {
	f.register(cmd)
	cmd.Flags().StringVar(&f.destination, "destination", "", "name of the destination; @routing: routes whose plugin failed")
	cmd.Flags().StringVar(&f.status, "status", "", "dead, which all of them are")
}

// times takes the times over from a query.
func (f *deadLetterFilter) times(q url.Values) error {
	for name, into := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		v := q.Get(name)
		if v == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return err
		}
		*into = t
	}
	return nil
}

func newDeadLetters(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "dead-letters", Short: "Look at what could not be delivered or routed; send it again or give it up"}
	f := &filters{}
	ls := &cobra.Command{
		Use: "ls", Short: "List dead letters, newest event first", Args: cobra.NoArgs,
		Example: `  weir dead-letters ls --destination crm --since 1d
  weir dead-letters ls --destination @routing -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.deadQuery(time.Now())
			if err != nil {
				return err
			}
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				if err := f.names(ctx, c, q); err != nil {
					return err
				}
				list, more, err := listDeadLetters(ctx, c, q, f.limit)
				if err != nil {
					return err
				}
				all := list.DeadLetters
				sayMore(cmd, more, len(all))
				return g.print(cmd.OutOrStdout(), list, func(t *table) {
					t.head("RECEIVED", "ID", "TYPE", "ROUTE", "DESTINATION", "REASON", "TRIES", "LAST")
					for i := range all {
						d := &all[i]
						t.row(clock(d.Received), d.ID, d.Type, d.Route, destinationOf(d), d.Reason, strconv.Itoa(triesOf(d)), lastOf(d))
					}
				})
			})
		},
	}
	f.registerDead(ls)
	show := newDeliveryShow(g)
	show.Use, show.Short, show.Example = "show DEAD-LETTER", "Show one dead letter with every attempt", "  weir dead-letters show dlv_00000000010000"
	cmd.AddCommand(ls, show,
		newDeadLetterMove(g, "retry", "Send dead letters again, by id or by filter, or run their route again", "to be sent again"),
		newDeadLetterMove(g, "cancel", "Give dead letters up, by id or by filter", "cancelled"))
	return cmd
}

func listDeadLetters(ctx context.Context, c *client, q url.Values, limit int) (list api.DeadLetterList, more bool, err error) {
	list.DeadLetters = []api.Delivery{}
	more, err = follow(ctx, c, "/api/dead-letters", q, limit, func(page *api.DeadLetterList) (int, string) {
		list.DeadLetters, list.Total = append(list.DeadLetters, page.DeadLetters...), page.Total
		return len(list.DeadLetters), page.Next
	})
	return list, more, err
}

// newDeadLetterMove is retry or cancel.
func newDeadLetterMove(g *globals, name, short, done string) *cobra.Command {
	f := &filters{}
	all := false
	cmd := &cobra.Command{
		Use: name + " [DEAD-LETTER…]", Short: short,
		Example: "  weir dead-letters " + name + " dlv_00000000010000\n  weir dead-letters " + name + " --destination crm --since 1d\n  weir dead-letters " + name + " --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.deadQuery(time.Now())
			if err != nil {
				return err
			}
			given := f.kind + f.source + f.destination + f.tenant + f.since + f.until + f.status
			switch {
			case len(args) > 0 && (given != "" || all):
				return &exitError{code: 2, err: errors.New("name dead letters, or choose them by flags, not both")}
			case len(args) == 0 && given == "" && !all:
				return &exitError{code: 2, err: errors.New("name dead letters, choose them by flags such as --destination, or say --all")}
			}
			filter := deadLetterFilter{api.DeadLetterFilter{Type: f.kind, Source: f.source, Destination: f.destination, Tenant: f.tenant}}
			if len(args) == 0 && cmd.Flags().Changed("limit") {
				filter.Limit = f.limit
			}
			if err := filter.times(q); err != nil {
				return err
			}
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				var moved api.Moved
				var err error
				if filter.Destination, err = destinationNamed(ctx, c, f.destination); err != nil {
					return err
				}
				if len(args) > 0 {
					err = moveNamed(ctx, c, name, args, &moved)
				} else {
					bar := moveProgress(ctx, cmd, c, &filter.DeadLetterFilter, done)
					err = moveFirst(ctx, c, name, &filter.DeadLetterFilter, &moved, bar)
					bar.end()
				}
				if err != nil {
					return err
				}
				if name == "retry" && moved.Moved > 0 {
					sayPausedDead(ctx, cmd, c, args, filter.Destination)
				}
				return g.print(cmd.OutOrStdout(), moved, func(t *table) { printMoved(t, &moved, done) })
			})
		},
	}
	f.registerDead(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters")
	limit := cmd.Flags().Lookup("limit")
	limit.Usage, limit.DefValue = "at most this many; without it all", "0"
	return cmd
}

// sayPausedDead is sayPaused for dead letters: the first ten of those that are named,
// those of one destination, or any.
func sayPausedDead(ctx context.Context, cmd *cobra.Command, c *client, ids []string, destination string) {
	if destination != "" {
		sayPaused(ctx, cmd, c, destination)
		return
	}
	var to []string
	for _, id := range ids[:min(len(ids), 10)] {
		var d api.Delivery
		if c.get(ctx, "/api/deliveries/"+url.PathEscape(id), nil, &d) == nil {
			to = append(to, d.Destination)
		}
	}
	if len(ids) > 0 {
		sayPaused(ctx, cmd, c, to...)
		return
	}
	var list api.DestinationList
	if c.get(ctx, "/api/destinations", url.Values{"status": {"paused,disabled"}}, &list) != nil {
		return
	}
	said := 0
	for i := range list.Destinations {
		if d := &list.Destinations[i]; d.Depth > 0 && said < 10 {
			saySilent(cmd, d)
			said++
		}
	}
}

// moveNamed moves dead letters by their ids.
func moveNamed(ctx context.Context, c *client, call string, ids []string, moved *api.Moved) error {
	for len(ids) > 0 {
		n := min(len(ids), 1000)
		body, err := json.Marshal(map[string]any{"ids": ids[:n]})
		if err != nil {
			return err
		}
		var step api.Moved
		if err := c.post(ctx, "/api/dead-letters/"+call, body, &step); err != nil {
			return err
		}
		moved.Moved += step.Moved
		moved.Skipped += step.Skipped
		ids = ids[n:]
	}
	return nil
}

// moveStepSize is how many one call moves, where somebody watches how far it is.
const moveStepSize = 1000

// moveProgress is a bar of the dead letters that a filter fits, as far as that is
// known.
func moveProgress(ctx context.Context, cmd *cobra.Command, c *client, f *api.DeadLetterFilter, what string) *progress {
	if terminalOf(cmd.ErrOrStderr()).width == 0 {
		return &progress{}
	}
	total := -1
	if f.Limit > 0 {
		total = f.Limit
	} else if f.Type+f.Source+f.Tenant == "" && f.Since.IsZero() && f.Until.IsZero() {
		q := url.Values{"limit": {"1"}}
		if f.Destination != "" {
			q.Set("destination", f.Destination)
		}
		var list api.DeadLetterList
		if c.get(ctx, "/api/dead-letters", q, &list) == nil {
			total = int(list.Total)
		}
	}
	return newProgress(cmd.ErrOrStderr(), total, what)
}

// moveFirst moves dead letters by a filter, in as many calls as that takes.
func moveFirst(ctx context.Context, c *client, call string, f *api.DeadLetterFilter, moved *api.Moved, bar *progress) error {
	moved.Next = f.Cursor
	if err := moveStep(ctx, c, call, f, f.Limit, moved, bar); err != nil {
		return err
	}
	return moveDead(ctx, c, call, f, moved, bar)
}

// moveDead goes on where a call has stopped, if it has.
func moveDead(ctx context.Context, c *client, call string, f *api.DeadLetterFilter, moved *api.Moved, bar *progress) error {
	most := f.Limit
	for moved.Next != "" && (most == 0 || moved.Moved < most) {
		left := 0
		if most > 0 {
			left = most - moved.Moved
		}
		if err := moveStep(ctx, c, call, f, left, moved, bar); err != nil {
			return err
		}
	}
	moved.Next = ""
	return nil
}

// moveStep is one call, of at most so many: 0 for as many as it gets to.
func moveStep(ctx context.Context, c *client, call string, f *api.DeadLetterFilter, most int, moved *api.Moved, bar *progress) error {
	ask := *f
	ask.Cursor, ask.Limit = moved.Next, most
	if bar.bar != nil && (most == 0 || most > moveStepSize) {
		ask.Limit = moveStepSize
	}
	body, err := json.Marshal(&ask)
	if err != nil {
		return err
	}
	var step api.Moved
	if err := c.post(ctx, "/api/dead-letters/"+call, body, &step); err != nil {
		return fmt.Errorf("%w (%d are done)", err, moved.Moved)
	}
	moved.Moved += step.Moved
	moved.Skipped += step.Skipped
	moved.Next = step.Next
	bar.stepTo(moved.Moved)
	return nil
}
