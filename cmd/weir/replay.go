package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
)

func newReplay(g *globals) *cobra.Command {
	var source string
	var o api.EventReplayOptions
	cmd := &cobra.Command{
		Use:   "replay EVENT",
		Short: "Deliver a stored event again, out of order",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				return replayEvent(ctx, cmd, g, c, args[0], source, &o)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&source, "source", "", "which source's, where several have the id")
	f.StringVar(&o.To, "to", "", "only to this destination")
	f.StringVar(&o.Routes, "routes", "original", "original: as it was routed; current: by the configuration of now")
	f.BoolVar(&o.NewIDs, "new-ids", false, "with a new webhook-id, which receivers have not seen")
	return cmd
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
		text := fmt.Sprintf("%s: %d to be sent, out of order", out.ID, out.Deliveries)
		if out.Skipped > 0 {
			text += fmt.Sprintf(", %d whose destination is gone", out.Skipped)
		}
		if out.Failed > 0 {
			text += fmt.Sprintf(", %d routes whose plugin failed", out.Failed)
		}
		t.line(text)
		t.line(strings.Join(out.DeliveryIDs, "\n"))
	})
}
