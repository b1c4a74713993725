package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/attempt/receiver"
)

// sinkGrace is how long answers under way may take once the sink is told to
// stop.
const sinkGrace = 3 * time.Second

func newSink(g *globals) *cobra.Command {
	var o receiver.Options
	c := &cobra.Command{
		Use:   "sink",
		Short: "Receive deliveries for development: check their signatures, print what arrives",
		Long: `Receive deliveries for development: check their signatures, print what arrives.

It listens on loopback only, takes any path, and prints one line for each
attempt. With --secret it checks X-Webhook-Signature and webhook-signature, and
answers 401 where one of them is missing or does not match. Where a destination
has sign blocks, --sign says which, --header the header of sign "hmac", and
--public-key the key of sign "ed25519".`,
		Example: `  weir sink --addr 127.0.0.1:9000 --secret "$CRM_SECRET"
  weir sink --fail 2      # each delivery is refused twice, then taken`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer cancel()
			return runSink(ctx, cmd, g, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Addr, "addr", "127.0.0.1:0", "loopback address to listen on; port 0 picks a free one")
	f.StringVar(&o.Secret, "secret", "", "secret that deliveries are signed with (WEIR_SINK_SECRET)")
	f.StringSliceVar(&o.Sign, "sign", nil, "`schemes` that there must be a signature of: hmac, standard, ed25519")
	f.StringVar(&o.PublicKey, "public-key", "", "public `key` (whpk_...) of sign \"ed25519\"")
	f.StringVar(&o.Header, "header", "", "`name` of the header of sign \"hmac\" (default X-Webhook-Signature)")
	f.IntVar(&o.Status, "status", 200, "status to answer")
	f.DurationVar(&o.Delay, "delay", 0, "wait before each answer")
	f.IntVar(&o.Fail, "fail", 0, "answer 503 to the first `N` attempts of each delivery")
	f.StringVar(&o.Log, "log", "", "append one JSON object for each arrival to this `file`, before answering")
	return c
}

func runSink(ctx context.Context, cmd *cobra.Command, g *globals, o receiver.Options) error {
	if o.Secret == "" {
		o.Secret = envOr("WEIR_SINK_SECRET", "")
	}
	if o.Fail < 0 || o.Delay < 0 {
		return &exitError{code: 2, err: errors.New("--fail and --delay can't be negative")}
	}
	var mu sync.Mutex
	out := cmd.OutOrStdout()
	o.Arrived = func(a receiver.Arrival) {
		mu.Lock()
		defer mu.Unlock()
		if g.output == "json" {
			_, _ = out.Write(a.JSON()) // a closed pipe must not stop the receiver
			return
		}
		fmt.Fprintln(out, a)
	}
	// Held until the address is printed: it comes first.
	mu.Lock()
	r, err := receiver.Start(o)
	if err != nil {
		mu.Unlock()
		return err
	}
	err = printAddress(cmd, g, r.URL())
	mu.Unlock()
	if err == nil {
		select {
		case <-ctx.Done():
		case <-r.Done():
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), sinkGrace)
	defer cancel()
	return errors.Join(err, r.Close(grace))
}

func printAddress(cmd *cobra.Command, g *globals, url string) error {
	if g.output == "json" {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"url": url})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "sink listens on %s\n", url)
	return err
}
