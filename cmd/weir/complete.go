package main

import (
	"context"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/source/verify"
	"github.com/weirhq/weir/sdk"
)

// completeFor is how long a shell waits for the running router's names, and
// completeMost how many it is given.
const (
	completeFor  = 2 * time.Second
	completeMost = 100
	// aboutWidth is how many columns of what tells a name from others are shown.
	aboutWidth = 60
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
				fit = append(fit, briefly(name))
			}
		}
		return fit, cobra.ShellCompDirectiveNoFileComp
	}
}

// briefly is a name, and what tells it from others, as one short line.
func briefly(name string) string {
	name, about, told := strings.Cut(strings.ReplaceAll(printable(name), "\n", " "), "\t")
	if !told {
		return name
	}
	return name + "\t" + runewidth.Truncate(about, aboutWidth, "…")
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

// sourceNames are those of the configuration that runs.
func (g *globals) sourceNames() completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list api.RouteList
		err := c.get(ctx, "/api/routes", nil, &list)
		var names []string
		for _, s := range list.Sources {
			names = append(names, s.Name+"\t"+s.Path)
		}
		return names, err
	})
}

func (g *globals) pluginNames() completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list api.PluginList
		err := c.get(ctx, "/api/plugins", nil, &list)
		var names []string
		for _, p := range list.Plugins {
			names = append(names, p.Name+"\t"+p.Wasm)
		}
		return names, err
	})
}

// pulled are what listen can go on with.
func (g *globals) pulled() completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list api.DestinationList
		err := c.get(ctx, "/api/destinations", url.Values{"limit": {strconv.Itoa(pageLimit)}}, &list)
		var names []string
		for _, d := range list.Destinations {
			if d.Kind == "pull" {
				names = append(names, d.Name+"\t"+d.Status)
			}
		}
		return names, err
	})
}

func (g *globals) webhookUIDs() completion {
	return g.names(func(ctx context.Context, c *client) ([]string, error) {
		var list api.WebhookList
		err := c.get(ctx, "/api/webhooks", url.Values{"limit": {strconv.Itoa(pageLimit)}}, &list)
		var names []string
		for _, w := range list.Webhooks {
			if w.UID != "" {
				names = append(names, w.UID+"\t"+w.URL)
			}
		}
		return names, err
	})
}

// eventOrDelivery offers deliveries to who has begun to type the id of one.
func (g *globals) eventOrDelivery() completion {
	event, delivery := g.eventIDs(), g.deliveryIDs("/api/deliveries")
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if strings.HasPrefix(typed, "dlv") {
			return delivery(cmd, args, typed)
		}
		return event(cmd, args, typed)
	}
}

// fixedWords offers fixed words: none, for what is free text.
func fixedWords(words ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// fileNames offers files of these endings, any where there is none, and folders.
func fileNames(endings ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		if len(endings) == 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return endings, cobra.ShellCompDirectiveFilterFileExt
	}
}

// folderNames offers folders.
func folderNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// argumentNames are what the arguments of a command are names of. Those that are
// not here are free text, or there are none.
func (g *globals) argumentNames() map[string]completion {
	delivery, dead := g.deliveryIDs("/api/deliveries"), g.deliveryIDs("/api/dead-letters")
	of := map[string]completion{
		"events show": g.eventIDs().once(), "events retry": g.eventIDs(), "events cancel": g.eventIDs(), "explain": g.eventOrDelivery().once(),
		"replay": g.eventIDs().once(), "replay show": g.replayIDs().once(), "replay cancel": g.replayIDs().once(),
		"deliveries show": delivery.once(), "deliveries retry": delivery, "deliveries cancel": delivery,
		"dead-letters show": dead.once(), "dead-letters retry": dead, "dead-letters cancel": dead,
		"webhooks delete": g.webhookIDs(), "fmt": fileNames("hcl"),
		"plugin build": completion(folderNames).once(), "plugin test": completion(folderNames).once(),
		"plugin bench": fileNames("wasm").once(), "plugin inspect": fileNames("wasm").once(),
	}
	for _, verb := range []string{"show", "pause", "resume", "recover", "cancel"} {
		of["destinations "+verb] = g.destinationNames().once()
	}
	for _, verb := range []string{"show", "update", "test", "rotate", "pause", "resume"} {
		of["webhooks "+verb] = g.webhookIDs().once()
	}
	return of
}

// flagNames are what a flag's value is a name of, by the flag's name, or by the
// command's first word and that where commands differ. Those that are not here are
// free text.
func (g *globals) flagNames() map[string]completion {
	kind := g.seen(func(e *api.Event) string { return e.Type })
	conditions := fixedWords("active", "failing", "open", "held", "paused", "disabled", "orphaned")
	var languages []string
	for _, l := range sdk.Languages() {
		languages = append(languages, l.Name+"\t"+l.Title)
	}
	return map[string]completion{
		"destination": g.destinationNames(), "to": g.destinationNames(), "listener": g.pulled(),
		"source": g.sourceNames(), "plugin": g.pluginNames(), "uid": g.webhookUIDs(),
		"tenant": g.seen(func(e *api.Event) string { return e.Tenant }),
		"type":   kind, "events": kind, "event": kind,
		"events id": g.eventIDs(),

		"status": fixedWords(states...), "destinations status": conditions, "webhooks status": conditions,
		"dead-letters status": fixedWords("dead"), "sink status": fixedWords(),
		"routes": fixedWords("original", "current"), "kinds": fixedWords("event", "attempt", "state"), "output": fixedWords("text", "json"),
		"format": fixedWords("envelope", "raw", "cloudevents", "cloudevents-binary"),
		"sign":   fixedWords(verify.Kinds()...), "sink sign": fixedWords("hmac", "standard", "ed25519"),
		"lang": fixedWords(languages...), "abi": fixedWords(string(plugins.ABIWeir), string(plugins.ABIStdio)),
		"isolation": fixedWords(string(plugins.Pure), string(plugins.Reuse)),

		"config": fileNames("hcl"), "plugin config": fixedWords(), "plugin event": fileNames("json"),
		"wasm": fileNames("wasm"), "log": fileNames(), "dir": folderNames,
	}
}

// completeNames tells the shell what to offer for the arguments and flags of every
// command below root.
func completeNames(root *cobra.Command, g *globals) {
	arguments, flags := g.argumentNames(), g.flagNames()
	var each func(cmd *cobra.Command, path string)
	each = func(cmd *cobra.Command, path string) {
		// Else a shell offers files.
		cmd.ValidArgsFunction = fixedWords()
		if f, ok := arguments[path]; ok {
			cmd.ValidArgsFunction = f
		}
		group, _, _ := strings.Cut(path, " ")
		tell := func(flag *pflag.Flag) {
			f, ok := flags[group+" "+flag.Name]
			if !ok {
				f, ok = flags[flag.Name]
			}
			if !ok {
				f = fixedWords()
			}
			_ = cmd.RegisterFlagCompletionFunc(flag.Name, f) // fails only where the flag has one
		}
		cmd.Flags().VisitAll(tell)
		cmd.PersistentFlags().VisitAll(tell)
		for _, sub := range cmd.Commands() {
			each(sub, strings.TrimSpace(path+" "+sub.Name()))
		}
	}
	each(root, "")
}
