package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
)

func newDestinations(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "destinations", Short: "Look at destinations and what waits for them, and act on it"}
	status := ""
	ls := &cobra.Command{
		Use: "ls", Short: "List destinations with their state and depth", Args: cobra.NoArgs,
		Example: `  weir destinations ls
  weir destinations ls --status failing,open,held -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				list, err := listDestinations(ctx, c, status)
				if err != nil {
					return err
				}
				return g.print(cmd.OutOrStdout(), list, func(t *table) {
					owned := slices.ContainsFunc(list.Destinations, func(d api.Destination) bool { return d.Tenant+d.UID != "" })
					row := func(name, of string, more ...string) []string {
						if owned {
							return append([]string{name, of}, more...)
						}
						return append([]string{name}, more...)
					}
					t.head(row("NAME", "TENANT/UID", "STATE", "DEPTH", "OLDEST", "DEAD", "DELIVERED", "URL")...)
					for i := range list.Destinations {
						d := &list.Destinations[i]
						t.row(row(d.Name, whose(d.Tenant, d.UID), stateOf(d), strconv.FormatUint(d.Depth, 10), ageOf(d), strconv.FormatUint(d.Dead, 10),
							strconv.FormatUint(d.Delivered, 10), d.URL)...)
					}
				})
			})
		},
	}
	ls.Flags().StringVar(&status, "status", "", "active, failing, open, held, paused, disabled or orphaned; several with commas between")
	cmd.AddCommand(ls, newDestinationCall(g, "show", "Show one destination", ""),
		newDestinationCall(g, "pause", "Send nothing until resume; what comes waits", "/pause"),
		newDestinationCall(g, "resume", "Go on after a pause, a 410, or an open breaker", "/resume"),
		newRecover(g), newEmpty(g))
	return cmd
}

// listDestinations gives all of them.
func listDestinations(ctx context.Context, c *client, status string) (*api.DestinationList, error) {
	q := url.Values{}
	if status != "" {
		q.Set("status", status)
	}
	all := &api.DestinationList{Destinations: []api.Destination{}}
	_, err := follow(ctx, c, "/api/destinations", q, math.MaxInt, func(page *api.DestinationList) (int, string) {
		all.Destinations = append(all.Destinations, page.Destinations...)
		if page.Total != nil {
			all.Total = page.Total
		}
		return len(all.Destinations), page.Next
	})
	return all, err
}

func destinationPath(name, call string) string {
	return "/api/destinations/" + url.PathEscape(name) + call
}

// newDestinationCall is a command that shows the destination as it is then.
func newDestinationCall(g *globals, name, short, call string) *cobra.Command {
	return &cobra.Command{
		Use: name + " DESTINATION", Short: short, Args: cobra.ExactArgs(1),
		Example: "  weir destinations " + name + " crm",
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				var d api.Destination
				destination, err := destinationNamed(ctx, c, args[0])
				switch {
				case err != nil:
				case call == "":
					err = c.get(ctx, destinationPath(destination, ""), nil, &d)
				default:
					err = c.post(ctx, destinationPath(destination, call), nil, &d)
				}
				if err != nil {
					return err
				}
				return g.print(cmd.OutOrStdout(), d, func(t *table) { printDestination(t, &d) })
			})
		},
	}
}

func newRecover(g *globals) *cobra.Command {
	f := &filters{limit: 1}
	cmd := &cobra.Command{
		Use: "recover DESTINATION", Short: "Send again what is dead, of events received in a time", Args: cobra.ExactArgs(1),
		Example: "  weir destinations recover crm --since 1d",
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			var filter deadLetterFilter
			if err := filter.times(q); err != nil {
				return err
			}
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				if filter.Destination, err = destinationNamed(ctx, c, args[0]); err != nil {
					return err
				}
				// The name is checked by the first call; what is left goes by filter.
				body, err := json.Marshal(map[string]any{"since": filter.Since, "until": filter.Until})
				if err != nil {
					return err
				}
				var moved api.Moved
				if err := c.post(ctx, destinationPath(filter.Destination, "/recover"), body, &moved); err != nil {
					return err
				}
				bar := moveProgress(ctx, cmd, c, &filter.DeadLetterFilter, "to be sent again")
				defer bar.end()
				if err := moveDead(ctx, c, "retry", &filter.DeadLetterFilter, &moved, bar); err != nil {
					return err
				}
				bar.end()
				if moved.Moved > 0 {
					sayPaused(ctx, cmd, c, args[0])
				}
				return g.print(cmd.OutOrStdout(), moved, func(t *table) { printMoved(t, &moved, "to be sent again") })
			})
		},
	}
	f.registerTimes(cmd)
	return cmd
}

func newEmpty(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "cancel DESTINATION", Short: "Cancel all that waits for a destination or is retrying", Args: cobra.ExactArgs(1),
		Example: "  weir destinations cancel crm",
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				destination, err := destinationNamed(ctx, c, args[0])
				if err != nil {
					return err
				}
				var all api.Moved
				for {
					var moved api.Moved
					if err := c.post(ctx, destinationPath(destination, "/cancel"), nil, &moved); err != nil {
						return fmt.Errorf("%w (%d were cancelled)", err, all.Moved)
					}
					all.Moved += moved.Moved
					if moved.Next == "" {
						break
					}
				}
				return g.print(cmd.OutOrStdout(), all, func(t *table) { printMoved(t, &all, "cancelled") })
			})
		},
	}
}

func printMoved(t *table, m *api.Moved, what string) {
	text := fmt.Sprintf("%d %s", m.Moved, what)
	if m.Skipped > 0 {
		text += fmt.Sprintf(", %d are being sent or are in another state by now", m.Skipped)
	}
	t.line(text)
}

func stateOf(d *api.Destination) string {
	if d.Next != nil {
		return d.Status + " until " + clock(*d.Next)
	}
	return d.Status
}

func ageOf(d *api.Destination) string {
	if d.Oldest == nil {
		return ""
	}
	return (time.Duration(d.OldestSeconds * float64(time.Second))).Round(time.Second).String()
}

func printDestination(t *table, d *api.Destination) {
	t.pair("name", d.Name)
	t.pair("kind", d.Kind)
	t.pair("tenant", d.Tenant)
	t.pair("uid", d.UID)
	t.pair("url", d.URL)
	t.pair("state", stateOf(d))
	t.pair("reason", d.Reason)
	if d.Since != nil {
		t.pair("since", clock(*d.Since))
	}
	if d.LastFailure != nil {
		f := api.Attempt{Outcome: d.LastFailure.Reason, Status: d.LastFailure.Status, Error: d.LastFailure.Error}
		t.pair("last failure", outcomeOf(&f))
		t.pair("failed attempts", fmt.Sprintf("%d since the last success", d.Failures))
	}
	if d.FailingSince != nil {
		t.pair("failing since", clock(*d.FailingSince))
	}
	t.pair("depth", fmt.Sprintf("%d: %d waiting, %d retrying; %d are being sent", d.Depth, d.Waiting, d.Retrying, d.Sending))
	t.pair("oldest", ageOf(d))
	t.pair("ended", fmt.Sprintf("%d delivered, %d dead, %d cancelled", d.Delivered, d.Dead, d.Cancelled))
}
