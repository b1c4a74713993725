package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/api"
)

func newWebhooks(g *globals) *cobra.Command {
	cmd := &cobra.Command{Use: "webhooks", Short: "Register webhooks, and look after them"}
	cmd.AddCommand(
		listWebhooks(g), createWebhook(g), showWebhook(g), updateWebhook(g), testWebhook(g), rotateWebhook(g),
		pauseWebhook(g, "pause", "Send nothing to a webhook; what comes for it waits"),
		pauseWebhook(g, "resume", "Go on with a webhook that is paused or disabled"),
		deleteWebhooks(g),
	)
	return cmd
}

// webhookPath is that of a webhook, which may be named by its uid, too.
func webhookPath(ctx context.Context, c *client, name string) (string, error) {
	const all = "/api/webhooks"
	if strings.HasPrefix(name, "wh_") {
		return all + "/" + url.PathEscape(name), nil
	}
	found, err := webhooksWithUID(ctx, c, name)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("there is no webhook with the uid %q; weir webhooks ls lists them", name)
	case len(found) > 1:
		return "", severalWithUID(name, found)
	}
	return all + "/" + found[0].ID, nil
}

// whose is what people know a webhook by: its tenant and uid, as far as it has them.
func whose(tenant, uid string) string {
	if tenant == "" || uid == "" {
		return tenant + uid
	}
	return tenant + "/" + uid
}

// destinationNamed is the name of a destination, or the id of the webhook that has it
// as its uid. A name of neither is given back: the router says what is wrong with it.
func destinationNamed(ctx context.Context, c *client, name string) (string, error) {
	if name == "" || strings.HasPrefix(name, "wh_") || strings.HasPrefix(name, "@") {
		return name, nil
	}
	var refused *refusal
	switch err := c.get(ctx, destinationPath(name, ""), nil, new(api.Destination)); {
	case err == nil:
		return name, nil
	case !errors.As(err, &refused) || refused.code != "destination_not_found":
		return "", err
	}
	found, err := webhooksWithUID(ctx, c, name)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return name, nil
	case len(found) > 1:
		return "", severalWithUID(name, found)
	}
	return found[0].ID, nil
}

func webhooksWithUID(ctx context.Context, c *client, uid string) ([]api.Webhook, error) {
	var found api.WebhookList
	err := c.get(ctx, "/api/webhooks", url.Values{"uid": {uid}, "limit": {"2"}}, &found)
	return found.Webhooks, err
}

// severalWithUID names the first two: a uid is its tenant's own.
func severalWithUID(uid string, found []api.Webhook) error {
	var ids []string
	for i := range found {
		ids = append(ids, fmt.Sprintf("%s of %s", found[i].ID, cmp.Or(found[i].Tenant, "no tenant")))
	}
	return fmt.Errorf("webhooks of several tenants have the uid %q, such as %s: name the one by its id", uid, strings.Join(ids, " and "))
}

func listWebhooks(g *globals) *cobra.Command {
	var tenant, uid, kind, status string
	var limit int
	cmd := &cobra.Command{
		Use: "ls", Short: "List registered webhooks, the oldest first", Args: cobra.NoArgs,
		Example: `  weir webhooks ls --tenant acme
  weir webhooks ls --status failing,disabled -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return &exitError{code: 2, err: errors.New("--limit must be at least 1")}
			}
			q := url.Values{}
			for name, v := range map[string]string{"tenant": tenant, "uid": uid, "type": kind, "status": status} {
				if v != "" {
					q.Set(name, v)
				}
			}
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				list := api.WebhookList{Webhooks: []api.Webhook{}}
				more, err := follow(ctx, c, "/api/webhooks", q, limit, func(page *api.WebhookList) (int, string) {
					list.Webhooks = append(list.Webhooks, page.Webhooks...)
					return len(list.Webhooks), page.Next
				})
				if err != nil {
					return err
				}
				sayMore(cmd, more, len(list.Webhooks))
				return g.print(cmd.OutOrStdout(), list, func(t *table) {
					t.head("ID", "STATUS", "TENANT", "UID", "EVENTS", "URL")
					for i := range list.Webhooks {
						w := &list.Webhooks[i]
						t.row(w.ID, w.Status, w.Tenant, w.UID, strings.Join(w.Events, ","), w.URL)
					}
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&tenant, "tenant", "", "those of a tenant")
	f.StringVar(&uid, "uid", "", "those with a uid")
	f.StringVar(&kind, "type", "", "those that take a type of events")
	f.StringVar(&status, "status", "", "active, failing, open, held, paused or disabled")
	f.IntVar(&limit, "limit", 50, "at most this many")
	return cmd
}

// registration are the flags of what can be said of a webhook.
type registration struct {
	url, filter, plugin, format, description, uid string
	events, metadata                              []string
}

func (r *registration) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVarP(&r.events, "event", "e", nil, "type of events; * stands for any run of characters; may be repeated")
	f.StringSliceVar(&r.events, "events", nil, "the same, as listen and tail call it")
	f.Lookup("events").Hidden = true
	f.StringVar(&r.url, "url", "", "where it is sent to")
	f.StringVar(&r.uid, "uid", "", "a name of your own, once in a tenant")
	f.StringVar(&r.filter, "filter", "", `condition, such as 'event.data.total > 100'`)
	f.StringVar(&r.plugin, "plugin", "", "plugin that the configuration allows")
	f.StringVar(&r.format, "format", "", "envelope, raw, cloudevents or cloudevents-binary")
	f.StringVar(&r.description, "description", "", "text for people")
	f.StringArrayVar(&r.metadata, "metadata", nil, "NAME=TEXT; may be repeated")
}

// body has what was given, an empty text as null.
func (r *registration) body(cmd *cobra.Command) (map[string]any, error) {
	body := map[string]any{}
	for name, v := range map[string]string{
		"url": r.url, "uid": r.uid, "filter": r.filter, "plugin": r.plugin, "format": r.format, "description": r.description,
	} {
		switch {
		case v != "":
			body[name] = v
		case cmd.Flags().Changed(name):
			body[name] = nil
		}
	}
	if len(r.events) > 0 {
		body["events"] = r.events
	}
	if cmd.Flags().Changed("metadata") {
		m := map[string]string{}
		for _, pair := range r.metadata {
			name, v, ok := strings.Cut(pair, "=")
			if !ok {
				return nil, &exitError{code: 2, err: fmt.Errorf("--metadata takes NAME=TEXT, not %q", pair)}
			}
			m[name] = v
		}
		body["metadata"] = m
	}
	return body, nil
}

// secretOf reads a flag's secret, or the file that it names: what is on a command
// line others on the machine can see.
func secretOf(flag string) (string, error) {
	name, file := strings.CutPrefix(flag, "@")
	if !file {
		return flag, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("--secret: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// change asks for an action on a webhook, on all where it has no name, and prints
// the webhook as it is then.
func change(cmd *cobra.Command, g *globals, method, name, action string, body map[string]any) error {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return err
		}
	}
	return ask(cmd, g, func(ctx context.Context, c *client) error {
		path, err := "/api/webhooks", error(nil)
		if name != "" {
			if path, err = webhookPath(ctx, c, name); err != nil {
				return err
			}
		}
		var w api.Webhook
		if err := c.call(ctx, method, path+action, b, &w); err != nil {
			return err
		}
		return g.print(cmd.OutOrStdout(), w, func(t *table) { printWebhook(t, &w) })
	})
}

func createWebhook(g *globals) *cobra.Command {
	r := &registration{}
	var secret, tenant string
	cmd := &cobra.Command{
		Use: "create URL", Short: "Register a webhook; a secret that is made is shown once", Args: cobra.MaximumNArgs(1),
		Example: `  weir webhooks create https://shop.example.com/hooks --event 'order.*'
  weir webhooks create https://shop.example.com/hooks --tenant acme --filter 'event.data.total > 100'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == (r.url == "") {
				return usage("say where it is sent to: weir webhooks create URL")
			}
			if len(args) > 0 {
				r.url = args[0]
			}
			body, err := r.body(cmd)
			if err != nil {
				return err
			}
			if tenant != "" {
				body["tenant"] = tenant
			}
			if secret != "" {
				if body["secret"], err = secretOf(secret); err != nil {
					return err
				}
			}
			return change(cmd, g, http.MethodPost, "", "", body)
		},
	}
	r.register(cmd)
	cmd.Flags().StringVar(&tenant, "tenant", "", "only events of this tenant")
	cmd.Flags().StringVar(&secret, "secret", "", "the secret, or @FILE that holds it; made when left out")
	return cmd
}

func showWebhook(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show WEBHOOK", Short: "Show a webhook", Args: cobra.ExactArgs(1),
		Example: "  weir webhooks show wh_01JDQ5ZC8B6S0F4M9T2V7X1A3E",
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, g, http.MethodGet, args[0], "", nil)
		},
	}
}

func updateWebhook(g *globals) *cobra.Command {
	r := &registration{}
	cmd := &cobra.Command{
		Use: "update WEBHOOK", Short: `Change a webhook; what is not given stays, "" takes away`, Args: cobra.ExactArgs(1),
		Example: `  weir webhooks update wh_01JDQ5ZC8B6S0F4M9T2V7X1A3E --event order.paid --event order.refunded
  weir webhooks update wh_01JDQ5ZC8B6S0F4M9T2V7X1A3E --filter ""`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := r.body(cmd)
			if err != nil {
				return err
			}
			if len(body) == 0 {
				return &exitError{code: 2, err: errors.New("say what to change: see weir webhooks update --help")}
			}
			return change(cmd, g, http.MethodPatch, args[0], "", body)
		},
	}
	r.register(cmd)
	return cmd
}

func testWebhook(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "test WEBHOOK", Short: "Send a weir.test event to a webhook, and show the attempt", Args: cobra.ExactArgs(1),
		Example: "  weir webhooks test wh_01JDQ5ZC8B6S0F4M9T2V7X1A3E",
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				path, err := webhookPath(ctx, c, args[0])
				if err != nil {
					return err
				}
				var r api.TestResult
				if err := c.post(ctx, path+"/test", nil, &r); err != nil {
					return err
				}
				err = g.print(cmd.OutOrStdout(), r, func(t *table) {
					printAttempts(t, "", &api.Delivery{Attempts: []api.Attempt{r.Attempt}})
				})
				if err == nil && r.Outcome != "delivered" {
					return &exitError{code: 1}
				}
				return err
			})
		},
	}
}

func rotateWebhook(g *globals) *cobra.Command {
	var secret, after, overlap string
	cmd := &cobra.Command{
		Use: "rotate WEBHOOK", Short: "Give a webhook another secret; the old one signs beside it for a day", Args: cobra.ExactArgs(1),
		Example: `  weir webhooks rotate wh_01JDQ5ZC8B6S0F4M9T2V7X1A3E --activate-after 1h
  weir webhooks rotate wh_01JDQ5ZC8B6S0F4M9T2V7X1A3E --secret @new-secret --overlap 0s`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			body := map[string]any{}
			if secret != "" {
				if body["secret"], err = secretOf(secret); err != nil {
					return err
				}
			}
			if after != "" {
				body["activate_after"] = after
			}
			if overlap != "" {
				body["overlap"] = overlap
			}
			return change(cmd, g, http.MethodPost, args[0], "/rotate", body)
		},
	}
	cmd.Flags().StringVar(&secret, "secret", "", "the new secret, or @FILE that holds it; made when left out")
	cmd.Flags().StringVar(&after, "activate-after", "", "from when on X-Webhook-Signature is by it: 2024-01-01T12:00:00Z, or how long from now, such as 1h")
	cmd.Flags().StringVar(&overlap, "overlap", "", "how long the secrets before sign too, at most 24h; 0s ends them at once, which is for one that has leaked")
	return cmd
}

func pauseWebhook(g *globals, name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " WEBHOOK", Short: short, Args: cobra.ExactArgs(1),
		Example: "  weir webhooks " + name + " wh_01JDQ5ZC8B6S0F4M9T2V7X1A3E",
		RunE: func(cmd *cobra.Command, args []string) error {
			return change(cmd, g, http.MethodPost, args[0], "/"+name, nil)
		},
	}
}

func deleteWebhooks(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "delete WEBHOOK…", Short: "Take webhooks away; what waits for them is cancelled", Args: cobra.MinimumNArgs(1),
		Example: "  weir webhooks delete wh_01JDQ5ZC8B6S0F4M9T2V7X1A3E",
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, g, func(ctx context.Context, c *client) error {
				deleted := []string{}
				for _, id := range args {
					path, err := webhookPath(ctx, c, id)
					if err == nil {
						err = c.call(ctx, http.MethodDelete, path, nil, nil)
					}
					if err != nil {
						return fmt.Errorf("%s: %w (%d of %d are deleted)", id, err, len(deleted), len(args))
					}
					deleted = append(deleted, id)
				}
				return g.print(cmd.OutOrStdout(), map[string][]string{"deleted": deleted}, func(t *table) {
					for _, id := range deleted {
						t.row(id, "deleted")
					}
				})
			})
		},
	}
}

func printWebhook(t *table, w *api.Webhook) {
	t.pair("id", w.ID)
	t.pair("url", w.URL)
	status := w.Status
	if w.Reason != "" {
		status += " (" + w.Reason + ")"
	}
	t.pair("status", status)
	t.pair("events", strings.Join(w.Events, ", "))
	t.pair("tenant", w.Tenant)
	t.pair("uid", w.UID)
	t.pair("filter", w.Filter)
	t.pair("plugin", w.Plugin)
	t.pair("format", w.Format)
	t.pair("description", w.Description)
	t.pair("metadata", string(w.Metadata))
	t.pair("created", w.Created.Format(time.RFC3339))
	if w.Updated != w.Created {
		t.pair("updated", w.Updated.Format(time.RFC3339))
	}
	for _, s := range w.Signing {
		text := "of " + s.Created.Format(time.RFC3339)
		if s.ActivateAfter.After(s.Created) {
			text += ", X-Webhook-Signature from " + s.ActivateAfter.Format(time.RFC3339)
		}
		if s.Until != nil {
			text += ", until " + s.Until.Format(time.RFC3339)
		}
		t.pair("a secret", text)
	}
	if w.Secret != "" {
		t.pair("secret", w.Secret)
		t.line("Keep the secret: it is not shown again.")
	}
}
