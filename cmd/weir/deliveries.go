package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/store"
)

func newDeliveries(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "deliveries", Short: "Look at deliveries, and send them again"}
	f := &filters{}
	webhookID := ""
	ls := &cobra.Command{
		Use: "ls", Short: "List deliveries, newest event first", Args: cobra.NoArgs,
		Example: `  weir deliveries ls --destination crm --status retrying
  weir deliveries ls --type 'order.*' --since 2h -o json
  weir deliveries ls --webhook-id msg_grd5xcxg23w2v7ozvkbqman4vq --since 2d`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			if webhookID != "" {
				q.Set("webhook_id", webhookID)
			}
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				if err := f.names(ctx, c, q); err != nil {
					return err
				}
				all, more, err := listDeliveries(ctx, c, q, f.limit)
				if err != nil {
					return err
				}
				sayMore(cmd, more, len(all))
				return g.print(cmd.OutOrStdout(), api.DeliveryList{Deliveries: all}, func(t *table) {
					t.head("RECEIVED", "ID", "TYPE", "ROUTE", "DESTINATION", "STATUS", "TRIES", "LAST")
					for i := range all {
						d := &all[i]
						t.row(clock(d.Received), d.ID, d.Type, d.Route, destinationOf(d), statusOf(d), strconv.Itoa(triesOf(d)), lastOf(d))
					}
				})
			})
		},
	}
	f.register(ls)
	ls.Flags().StringVar(&f.destination, "destination", "", "name of the destination, or a webhook's uid")
	ls.Flags().StringVar(&f.status, "status", "", "waiting, sending, retrying, delivered, dead or cancelled")
	ls.Flags().StringVar(&webhookID, "webhook-id", "", "what the receiver got as the header webhook-id; all is looked at, so say --since")
	show := newDeliveryShow(g)
	cmd.AddCommand(ls, show,
		newDeliveryMove(g, &deliveryRetry, "Send deliveries again that are dead, cancelled or wait for their next attempt",
			`Send deliveries again that are dead, cancelled or wait for their next attempt: by
id, or those that a list with the same flags shows.`),
		newDeliveryMove(g, &deliveryCancel, "End deliveries that wait, are retrying or dead, by id or by filter",
			`End deliveries that wait, are retrying or dead: by id, or those that a list with
the same flags shows, and that are not ended already.`))
	return cmd
}

func newDeliveryShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show DELIVERY", Short: "Show one delivery with every attempt", Args: cobra.ExactArgs(1),
		Example: "  weir deliveries show dlv_00000000010000",
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				var d api.Delivery
				if err := c.get(ctx, "/api/deliveries/"+url.PathEscape(args[0]), nil, &d); err != nil {
					return err
				}
				return g.print(cmd.OutOrStdout(), d, func(t *table) { printDelivery(t, &d) })
			})
		},
	}
}

// deliveryMove is retry or cancel.
type deliveryMove struct {
	call, done string
	// of are the states that it makes sense for.
	of []store.State
	// then says what comes next of a delivery.
	then func(*api.Delivery) string
}

var (
	deliveryRetry = deliveryMove{
		"retry", "to be sent again", []store.State{store.Dead, store.Cancelled, store.Retrying},
		func(*api.Delivery) string { return "out of order, due now" },
	}
	deliveryCancel = deliveryMove{
		"cancel", "cancelled", []store.State{store.Waiting, store.Retrying, store.Dead},
		func(d *api.Delivery) string { return d.Status },
	}
)

// among gives the ids of those of a list, newest first, that it makes sense for,
// oldest first.
func (m *deliveryMove) among(list []api.Delivery) (ids []string) {
	for i := range slices.Backward(list) {
		if slices.Contains(m.of, store.State(list[i].Status)) {
			ids = append(ids, list[i].ID)
		}
	}
	return ids
}

// sayPaused tells a person of deliveries that are due and not sent, because their
// destination is paused or disabled: of the first ten destinations, and as far as
// that can be asked.
func sayPaused(ctx context.Context, cmd *cobra.Command, c *client, destinations ...string) {
	asked := map[string]bool{}
	for _, name := range destinations {
		if name == "" || asked[name] {
			continue
		}
		if len(asked) == 10 {
			return
		}
		asked[name] = true
		var d api.Destination
		if err := c.get(ctx, destinationPath(name, ""), nil, &d); err != nil {
			continue
		}
		if d.Status == "paused" || d.Status == "disabled" {
			saySilent(cmd, &d)
		}
	}
}

func saySilent(cmd *cobra.Command, d *api.Destination) {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s is %s: nothing is sent before weir destinations resume %s\n", d.Name, d.Status, d.Name)
}

// run moves deliveries one by one, and prints them.
func (m *deliveryMove) run(ctx context.Context, cmd *cobra.Command, g *globals, c *client, ids []string) error {
	if len(ids) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "Nothing is %s: see what there is with weir deliveries ls.\n", m.done)
	}
	all := []api.Delivery{}
	bar := newProgress(cmd.ErrOrStderr(), len(ids), m.done)
	defer bar.end()
	for _, id := range ids {
		bar.step()
		var d api.Delivery
		if err := c.post(ctx, "/api/deliveries/"+url.PathEscape(id)+"/"+m.call, nil, &d); err != nil {
			if !strings.Contains(err.Error(), id) {
				err = fmt.Errorf("%s: %w", id, err)
			}
			if len(ids) == 1 {
				return err
			}
			return fmt.Errorf("%w (%d of %d are %s)", err, len(all), len(ids), m.done)
		}
		all = append(all, d)
	}
	if m.call == "retry" {
		var to []string
		for i := range all {
			to = append(to, all[i].Destination)
		}
		sayPaused(ctx, cmd, c, to...)
	}
	return g.print(cmd.OutOrStdout(), api.DeliveryList{Deliveries: all}, func(t *table) {
		for i := range all {
			t.row(all[i].ID, all[i].EventID, destinationOf(&all[i]), m.then(&all[i]))
		}
	})
}

func newDeliveryMove(g *globals, m *deliveryMove, short, long string) *cobra.Command {
	f := &filters{}
	cmd := &cobra.Command{
		Use: m.call + " [DELIVERY…]", Short: short, Long: long,
		Example: fmt.Sprintf("  weir deliveries %[1]s dlv_00000000010000\n  weir deliveries %[1]s --destination crm --type 'cart.*'", m.call),
		RunE: func(cmd *cobra.Command, ids []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			given := f.kind + f.source + f.destination + f.tenant + f.since + f.until + f.status
			if (len(ids) > 0) == (given != "") {
				return &exitError{code: 2, err: errors.New("name deliveries, or choose them by flags such as --destination")}
			}
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				if len(ids) == 0 {
					if err := f.names(ctx, c, q); err != nil {
						return err
					}
					list, more, err := listDeliveries(ctx, c, q, f.limit)
					if err != nil {
						return err
					}
					ids = m.among(list)
					if more {
						defer fmt.Fprintf(cmd.ErrOrStderr(), "The newest %d were looked at, and there are more: do it again, or with a larger --limit.\n", f.limit)
					}
				}
				return m.run(ctx, cmd, g, c, ids)
			})
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.destination, "destination", "", "name of the destination, or a webhook's uid")
	var of []string
	for _, s := range m.of {
		of = append(of, string(s))
	}
	cmd.Flags().StringVar(&f.status, "status", "", "one of "+strings.Join(of, ", "))
	return cmd
}

func listDeliveries(ctx context.Context, c *client, q url.Values, limit int) (all []api.Delivery, more bool, err error) {
	all = []api.Delivery{}
	more, err = follow(ctx, c, "/api/deliveries", q, limit, func(page *api.DeliveryList) (int, string) {
		all = append(all, page.Deliveries...)
		return len(all), page.Next
	})
	return all, more, err
}

func destinationOf(d *api.Delivery) string {
	if d.Kind == "routing" {
		return store.RoutingLane
	}
	return d.Destination
}

func statusOf(d *api.Delivery) string {
	switch {
	case d.Reason != "":
		return d.Status + " (" + d.Reason + ")"
	case d.Due != nil:
		return d.Status + ", due " + clock(*d.Due)
	}
	return d.Status
}

// triesOf is the number of the last attempt: a list holds no other.
func triesOf(d *api.Delivery) int {
	if n := len(d.Attempts); n > 0 {
		return d.Attempts[n-1].Number
	}
	return 0
}

func lastOf(d *api.Delivery) string {
	if n := len(d.Attempts); n > 0 {
		return outcomeOf(&d.Attempts[n-1])
	}
	return firstLine(d.Note)
}

func outcomeOf(a *api.Attempt) string {
	text := a.Outcome
	if a.Status != 0 {
		text += " " + strconv.Itoa(a.Status)
	}
	if a.Error != "" {
		text += ": " + firstLine(a.Error)
	}
	return text
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	if r := []rune(line); len(r) > 100 {
		return string(r[:99]) + "…"
	}
	return line
}

func printDelivery(t *table, d *api.Delivery) {
	t.pair("id", d.ID)
	t.pair("event", d.EventID)
	t.pair("type", d.Type)
	t.pair("sent as", d.MessageType)
	t.pair("route", d.Route)
	t.pair("destination", destinationOf(d))
	t.pair("webhook-id", d.WebhookID)
	t.pair("status", statusOf(d))
	t.pair("note", d.Note)
	t.flush()
	printAttempts(t, "", d)
}

// phasesOf says what of an attempt took how long, in milliseconds.
func phasesOf(p *api.Phases) string {
	if p == nil {
		return ""
	}
	var parts []string
	for _, phase := range []struct {
		name string
		took float64
	}{{"DNS", p.DNS}, {"connect", p.Connect}, {"TLS", p.TLS}, {"first byte", p.FirstByte}} {
		if phase.took > 0 {
			parts = append(parts, fmt.Sprintf("%s %.1f", phase.name, phase.took))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func printAttempts(t *table, margin string, d *api.Delivery) {
	for i := range d.Attempts {
		a := &d.Attempts[i]
		t.line(fmt.Sprintf("%sattempt %d  %s  %s  %.1f ms%s", margin, a.Number, a.Started.Format(time.RFC3339), outcomeOf(a), a.LatencyMS, phasesOf(a.Phases)))
		if a.Response != "" {
			t.line(margin + "           answered: " + firstLine(a.Response))
		}
	}
}
