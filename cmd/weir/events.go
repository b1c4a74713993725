package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
)

// filters are the flags that lists share. Those that a list has no use for are
// not registered on it.
type filters struct {
	kind, source, destination, status, tenant, since, until string
	limit                                                   int
}

var states = []string{"waiting", "sending", "retrying", "delivered", "dead", "cancelled"}

func (f *filters) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.kind, "type", "", "event type; * stands for any run of characters")
	fl.StringVar(&f.source, "source", "", "name of the source")
	fl.StringVar(&f.tenant, "tenant", "", "tenant")
	f.registerTimes(cmd)
	fl.IntVar(&f.limit, "limit", 50, "at most this many")
}

func (f *filters) registerTimes(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.since, "since", "", "from this time on: 2024-01-01T12:00:00Z, 2024-01-01, or how long ago: 90s, 2h, 7d")
	fl.StringVar(&f.until, "until", "", "before this time")
}

func (f *filters) query(now time.Time) (url.Values, error) {
	q := url.Values{}
	for name, v := range map[string]string{
		"type": f.kind, "source": f.source, "destination": f.destination, "status": f.status, "tenant": f.tenant,
	} {
		if v != "" {
			q.Set(name, v)
		}
	}
	for name, v := range map[string]string{"since": f.since, "until": f.until} {
		if v == "" {
			continue
		}
		t, err := when(v, now)
		if err != nil {
			return nil, &exitError{code: 2, err: fmt.Errorf("--%s: %w", name, err)}
		}
		q.Set(name, t.Format(time.RFC3339Nano))
	}
	if f.status != "" && !slices.Contains(states, f.status) {
		return nil, &exitError{code: 2, err: fmt.Errorf("--status takes one of %s, not %q", strings.Join(states, ", "), f.status)}
	}
	if f.limit < 1 {
		return nil, &exitError{code: 2, err: errors.New("--limit must be at least 1")}
	}
	return q, nil
}

// names puts the id of the webhook into a query whose destination is its uid.
func (f *filters) names(ctx context.Context, c *client, q url.Values) error {
	if f.destination == "" {
		return nil
	}
	name, err := destinationNamed(ctx, c, f.destination)
	if err != nil {
		return err
	}
	q.Set("destination", name)
	return nil
}

// when reads a time, in UTC where it does not say otherwise and as lists print it,
// or how long ago it was.
func when(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	text := s
	if n := len(s); n > 1 && s[n-1] == 'd' {
		if days, err := strconv.Atoi(s[:n-1]); err == nil {
			text = strconv.Itoa(days*24) + "h"
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("%q is neither a time such as 2024-01-01T12:00:00Z nor a duration such as 2h or 7d", s)
	}
	return now.Add(-d).UTC(), nil
}

// ask runs fn with a client and closes it.
func ask(cmd *cobra.Command, g *globals, fn func(ctx context.Context, c *client) error) error {
	c, err := connect(cmd.Context(), g)
	if err != nil {
		return err
	}
	return errors.Join(fn(cmd.Context(), c), c.close())
}

// askLive is ask of a running router only, with a context that ends when the command
// is interrupted.
func askLive(cmd *cobra.Command, g *globals, fn func(ctx context.Context, c *client) error) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd.SetContext(ctx)
	return ask(cmd, g, func(ctx context.Context, c *client) error {
		if c.offline {
			return errors.New("no router runs: start one with weir serve, or name one with --server")
		}
		return fn(ctx, c)
	})
}

func newEvents(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "events", Short: "Look at stored events"}
	f := &filters{}
	var id, text string
	ls := &cobra.Command{
		Use: "ls", Short: "List events, newest first, or search them", Args: cobra.NoArgs,
		Example: `  weir events ls --type 'order.*' --since 1h
  weir events ls --text ada@example.com --since 7d
  weir events ls --destination crm --status dead -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			for name, v := range map[string]string{"id": id, "text": text} {
				if v != "" {
					q.Set(name, v)
				}
			}
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				if err := f.names(ctx, c, q); err != nil {
					return err
				}
				list, more, err := listEvents(ctx, cmd, c, q, f.limit)
				if err != nil {
					return err
				}
				sayMore(cmd, more, len(list.Events))
				saySearched(cmd, list)
				return g.print(cmd.OutOrStdout(), list, func(t *table) {
					t.head("RECEIVED", "ID", "TYPE", "SOURCE", "BYTES")
					for _, e := range list.Events {
						t.row(clock(e.Received), e.ID, e.Type, e.Source, strconv.Itoa(e.Size))
					}
				})
			})
		},
	}
	f.register(ls)
	ls.Flags().StringVar(&id, "id", "", "the id of an event, which several sources may have")
	ls.Flags().StringVar(&text, "text", "", "what is in the data, the id or the subject, in either case")
	ls.Flags().StringVar(&f.destination, "destination", "", "with a delivery to this destination, or webhook by its uid")
	ls.Flags().StringVar(&f.status, "status", "", "with a delivery that is waiting, sending, retrying, delivered, dead or cancelled")
	var source string
	show := &cobra.Command{
		Use: "show EVENT", Short: "Show one event with its headers and data", Args: cobra.ExactArgs(1),
		Example: `  weir events show order-7
  weir events show order-7 --source shop -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				var e api.Event
				if err := c.get(ctx, "/api/events/"+url.PathEscape(args[0]), sourceQuery(source), &e); err != nil {
					return err
				}
				return g.print(cmd.OutOrStdout(), e, func(t *table) { printEvent(t, &e) })
			})
		},
	}
	show.Flags().StringVar(&source, "source", "", "which source's, where several have the id")
	cmd.AddCommand(ls, show,
		newEventMove(g, &deliveryRetry, "Send what an event led to again, as far as it is dead, cancelled or waits for its next attempt"),
		newEventMove(g, &deliveryCancel, "End what an event led to, as far as it waits, is retrying or dead"))
	return cmd
}

// newEventMove is [newDeliveryMove] of all deliveries of some events.
func newEventMove(g *globals, m *deliveryMove, short string) *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use: m.call + " EVENT…", Short: short, Args: cobra.MinimumNArgs(1),
		Example: "  weir events " + m.call + " order-8",
		RunE: func(cmd *cobra.Command, events []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				var ids []string
				for _, e := range events {
					var all []api.Delivery
					q := url.Values{}
					if source != "" {
						q.Set("source", source)
					}
					_, err := follow(ctx, c, "/api/events/"+url.PathEscape(e)+"/deliveries", q, math.MaxInt, func(page *api.DeliveryList) (int, string) {
						all = append(all, page.Deliveries...)
						return len(all), page.Next
					})
					if err != nil {
						return err
					}
					slices.Reverse(all) // those of an event are listed by their numbers
					ids = append(ids, m.among(all)...)
				}
				return m.run(ctx, cmd, g, c, ids)
			})
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "which source's, where several have the id")
	return cmd
}

// listEvents follows pages until it has enough, or the log ends. A search that
// looks at much says how far it is where somebody watches.
func listEvents(ctx context.Context, cmd *cobra.Command, c *client, q url.Values, limit int) (*api.EventList, bool, error) {
	all := &api.EventList{Events: []api.Event{}}
	bar := &progress{}
	defer func() { bar.end() }()
	more, err := follow(ctx, c, "/api/events", q, limit, func(page *api.EventList) (int, string) {
		all.Events = append(all.Events, page.Events...)
		if s := page.Searched; s != nil {
			if all.Searched == nil {
				all.Searched = &api.Searched{To: s.To}
			}
			all.Searched.Count += s.Count
			if s.Count > 0 {
				all.Searched.From = s.From
			}
		}
		if page.Next != "" && len(all.Events) < limit {
			if bar.bar == nil {
				bar = newProgress(cmd.ErrOrStderr(), -1, "searching")
			}
			bar.stepTo(all.Searched.Count)
		}
		return len(all.Events), page.Next
	})
	return all, more, err
}

// saySearched tells a person who has found nothing where it was looked for: what is
// older has gone with the store's retention.
func saySearched(cmd *cobra.Command, list *api.EventList) {
	if s := list.Searched; len(list.Events) == 0 && s != nil && s.Count > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "No event fits, of %d that were received from %s to %s.\n", s.Count, clock(s.From), clock(s.To))
	}
}

func sourceQuery(source string) url.Values {
	if source == "" {
		return nil
	}
	return url.Values{"source": {source}}
}

func printEvent(t *table, e *api.Event) {
	t.pair("id", e.ID)
	t.pair("origin id", e.OriginID)
	t.pair("type", e.Type)
	t.pair("source", e.Source)
	t.pair("subject", e.Subject)
	t.pair("tenant", e.Tenant)
	t.pair("reply to", e.Cause)
	t.pair("time", e.Time.Format(time.RFC3339Nano))
	t.pair("received", e.Received.Format(time.RFC3339Nano))
	t.pair("content type", e.ContentType)
	t.flush()
	if len(e.Header) > 0 {
		t.line("header        " + string(e.Header))
	}
	switch {
	case e.Data != nil:
		t.line("data")
		t.line(indent(e.Data))
	case e.DataBase64 != nil:
		t.line(fmt.Sprintf("data         %d bytes that are not text", len(e.DataBase64)))
	}
}

func indent(data json.RawMessage) string {
	out, err := json.MarshalIndent(data, "  ", "  ")
	if err != nil {
		return "  " + string(data)
	}
	return "  " + string(out)
}
