package main

import (
	"context"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
)

// completeFor is how long a shell waits for the running router's names, and
// completeMost how many it is given.
const (
	completeFor  = 2 * time.Second
	completeMost = 100
)

// completion offers names of the running router to a shell. Where none answers, or
// it does not let us look, there are none.
type completion func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// names makes a completion of what list asks the router for: each a name, and what
// tells it from others after a tab.
func (g *globals) names(list func(ctx context.Context, c *client) ([]string, error)) completion {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.Background(), completeFor)
		defer cancel()
		if g.token == "" { // no command runs, which would read it
			g.token = os.Getenv("WEIR_TOKEN")
		}
		_, c, err := connectRunning(ctx, g)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer func() { _ = c.close() }() // what it answered is what counts
		all, err := list(ctx, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var fit []string
		for _, name := range all {
			if strings.HasPrefix(name, typed) && len(fit) < completeMost {
				fit = append(fit, printable(name))
			}
		}
		return fit, cobra.ShellCompDirectiveNoFileComp
	}
}

// once keeps a completion to the first argument.
func (f completion) once() completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return f(cmd, args, typed)
	}
}

func (g *globals) destinationNames() completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list api.DestinationList
		err := c.get(ctx, "/api/destinations", url.Values{"limit": {strconv.Itoa(pageLimit)}}, &list)
		var names []string
		for _, d := range list.Destinations {
			names = append(names, d.Name+"\t"+d.Status)
		}
		return names, err
	})
}

func (g *globals) webhookIDs() completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list api.WebhookList
		err := c.get(ctx, "/api/webhooks", url.Values{"limit": {strconv.Itoa(pageLimit)}}, &list)
		var names []string
		for _, w := range list.Webhooks {
			names = append(names, w.ID+"\t"+w.URL)
		}
		return names, err
	})
}

// eventIDs are the newest ones.
func (g *globals) eventIDs() completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list api.EventList
		err := c.get(ctx, "/api/events", url.Values{"limit": {strconv.Itoa(pageLimit)}}, &list)
		var names []string
		for _, e := range list.Events {
			names = append(names, e.ID+"\t"+e.Type)
		}
		return names, err
	})
}

func (g *globals) deliveryIDs(path string) completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list struct {
			Deliveries  []api.Delivery `json:"deliveries"`
			DeadLetters []api.Delivery `json:"dead_letters"`
		}
		err := c.get(ctx, path, url.Values{"limit": {strconv.Itoa(pageLimit)}}, &list)
		var names []string
		for _, d := range append(list.Deliveries, list.DeadLetters...) {
			names = append(names, d.ID+"\t"+d.Status+" to "+destinationOf(&d)+", "+d.EventID)
		}
		return names, err
	})
}

func (g *globals) replayIDs() completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list api.ReplayList
		err := c.get(ctx, "/api/replays", nil, &list)
		var names []string
		for _, r := range list.Replays {
			names = append(names, r.ID+"\t"+r.Status)
		}
		return names, err
	})
}

// seen are names that the newest events have, such as their types.
func (g *globals) seen(of func(*api.Event) string) completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list api.EventList
		err := c.get(ctx, "/api/events", url.Values{"limit": {strconv.Itoa(pageLimit)}}, &list)
		var names []string
		known := map[string]bool{}
		for i := range list.Events {
			if name := of(&list.Events[i]); name != "" && !known[name] {
				known[name] = true
				names = append(names, name)
			}
		}
		return names, err
	})
}

// fixedWords offers fixed words.
func fixedWords(words ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNames tells the shell what to offer for the arguments and flags of every
// command below root.
func completeNames(root *cobra.Command, g *globals) {
	destination, delivery := g.destinationNames(), g.deliveryIDs("/api/deliveries")
	args := map[string]completion{
		"events show": g.eventIDs().once(), "explain": g.eventIDs().once(), "replay": g.eventIDs().once(),
		"replay show": g.replayIDs().once(), "replay cancel": g.replayIDs().once(),
		"deliveries show": delivery.once(), "deliveries retry": delivery, "deliveries cancel": delivery,
		"dead-letters show": g.deliveryIDs("/api/dead-letters").once(), "dead-letters retry": g.deliveryIDs("/api/dead-letters"), "dead-letters cancel": g.deliveryIDs("/api/dead-letters"),
	}
	for _, verb := range []string{"show", "pause", "resume", "recover", "cancel"} {
		args["destinations "+verb] = destination.once()
	}
	for _, verb := range []string{"show", "update", "test", "rotate", "pause", "resume", "delete"} {
		args["webhooks "+verb] = g.webhookIDs()
	}
	flags := map[string]completion{
		"destination": destination, "to": destination, "routes": fixedWords("original", "current"), "kinds": fixedWords("event", "attempt", "state"),
		"source": g.seen(func(e *api.Event) string { return e.Source }), "tenant": g.seen(func(e *api.Event) string { return e.Tenant }),
		"type": g.seen(func(e *api.Event) string { return e.Type }), "events": g.seen(func(e *api.Event) string { return e.Type }),
		"status": fixedWords(states...), "output": fixedWords("text", "json"),
	}
	// Words of which other commands know others.
	ofDestinations := fixedWords("active", "failing", "open", "held", "paused", "disabled", "orphaned")
	own := map[string]completion{"destinations": ofDestinations, "webhooks": ofDestinations, "dead-letters": fixedWords("dead"), "sink": fixedWords()}
	var each func(cmd *cobra.Command, path string)
	each = func(cmd *cobra.Command, path string) {
		if f, ok := args[path]; ok {
			cmd.ValidArgsFunction = f
		}
		group, _, _ := strings.Cut(path, " ")
		for name, f := range flags {
			if words, ok := own[group]; ok && name == "status" {
				f = words
			}
			if cmd.Flags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, f) // fails only where the flag is not, or has one
			}
		}
		for _, sub := range cmd.Commands() {
			each(sub, strings.TrimSpace(path+" "+sub.Name()))
		}
	}
	each(root, "")
}
