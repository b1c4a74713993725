package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/router/api"
)

type webhooksPage struct {
	api.WebhookList
	Filter   url.Values
	Next     string
	Statuses []string
}

var webhookFilters = []string{"tenant", "uid", "type", "status"}

func webhooks(v *visit) (*view, error) {
	p := webhooksPage{Filter: v.filter(webhookFilters...), Statuses: []string{"active", "failing", "open", "held", "paused", "disabled"}}
	if err := v.get("/api/webhooks", v.filter(append(webhookFilters, "cursor")...), &p.WebhookList); err != nil {
		return nil, err
	}
	if p.WebhookList.Next != "" {
		next := v.filter(webhookFilters...)
		next.Set("cursor", p.WebhookList.Next)
		p.Next = "/ui/webhooks?" + next.Encode()
	}
	return &view{Page: "webhooks", Title: "Webhooks", Section: "webhooks", Data: p}, nil
}

type webhookPage struct {
	api.Webhook
	// Lane is its queue.
	Lane api.Destination
	// Plugins are those that it may have, and the one that it has.
	Plugins []string
	// Secret and Tested are what a form has just brought, Cut that those before the
	// secret are cut off.
	Secret string
	Cut    bool
	Tested string
	Back   string
}

func oneWebhook(v *visit) (*view, error) { return showWebhook(v, webhookPage{}) }

func showWebhook(v *visit, p webhookPage) (*view, error) {
	if err := v.get("/api/webhooks/"+v.param("id"), nil, &p.Webhook); err != nil {
		return nil, err
	}
	if err := v.get("/api/destinations/"+v.param("id"), nil, &p.Lane); err != nil {
		return nil, err
	}
	var loaded api.PluginList
	if err := v.get("/api/plugins", nil, &loaded); err != nil {
		return nil, err
	}
	for i := range loaded.Plugins {
		if loaded.Plugins[i].Webhooks {
			p.Plugins = append(p.Plugins, loaded.Plugins[i].Name)
		}
	}
	if p.Plugin != "" && !slices.Contains(p.Plugins, p.Plugin) {
		p.Plugins = append(p.Plugins, p.Plugin)
	}
	p.Back = "/ui/webhooks/" + url.PathEscape(p.ID)
	return &view{Page: "webhook", Title: p.ID, Section: "webhooks", Live: "kinds=attempt,state&destination=" + url.QueryEscape(p.ID), Data: p}, nil
}

// words are what a field holds, parted by commas, spaces or lines.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' || r == '\t' })
}

// registerWebhook shows the secret once: there is no page that shows it again.
func registerWebhook(v *visit) (*view, error) {
	body := map[string]any{"url": strings.TrimSpace(v.c.FormValue("url")), "events": words(v.c.FormValue("events"))}
	for _, name := range []string{"tenant", "uid", "description", "filter", "secret"} {
		if value := strings.TrimSpace(v.c.FormValue(name)); value != "" {
			body[name] = value
		}
	}
	var made api.Webhook
	if err := v.call(http.MethodPost, "/api/webhooks", nil, body, &made); err != nil {
		return nil, err
	}
	return &view{Page: "webhook-made", Title: "Webhook registered", Section: "webhooks", Data: made}, nil
}

func editWebhook(v *visit) (string, error) {
	body := map[string]any{"url": strings.TrimSpace(v.c.FormValue("url")), "events": words(v.c.FormValue("events"))}
	for _, name := range []string{"filter", "plugin", "description"} {
		if !v.c.Request().PostArgs().Has(name) {
			continue
		}
		// A plugin that it keeps may be one that is not allowed any more.
		if name == "plugin" && v.c.FormValue(name) == v.c.FormValue("had_plugin") {
			continue
		}
		body[name] = nil // takes it away
		if value := strings.TrimSpace(v.c.FormValue(name)); value != "" {
			body[name] = value
		}
	}
	if err := v.call(http.MethodPatch, "/api/webhooks/"+v.param("id"), nil, body, nil); err != nil {
		return "", err
	}
	return "It is changed, for events from now on.", nil
}

func testWebhook(v *visit) (string, error) {
	var r api.TestResult
	if err := v.call(http.MethodPost, "/api/webhooks/"+v.param("id")+"/test", nil, nil, &r); err != nil {
		return "", err
	}
	text := fmt.Sprintf("The test event: %s, in %s.", describeOutcome(r.Outcome, r.Status), milliseconds(r.LatencyMS))
	if r.Error != "" {
		text += " " + r.Error
	}
	return text, nil
}

func rotateWebhook(v *visit) (*view, error) {
	cut := v.c.FormValue("cut") != ""
	body := map[string]any{}
	if cut {
		body["overlap"] = "0s"
	}
	var w api.Webhook
	if err := v.call(http.MethodPost, "/api/webhooks/"+v.param("id")+"/rotate", nil, body, &w); err != nil {
		return nil, err
	}
	return showWebhook(v, webhookPage{Secret: w.Secret, Cut: cut})
}

func changeWebhook(verb, done string) func(*visit) (string, error) {
	return func(v *visit) (string, error) {
		if err := v.call(http.MethodPost, "/api/webhooks/"+v.param("id")+"/"+verb, nil, nil, nil); err != nil {
			return "", err
		}
		return done, nil
	}
}

func deleteWebhook(v *visit) (string, error) {
	if err := v.call(http.MethodDelete, "/api/webhooks/"+v.param("id"), nil, nil, nil); err != nil {
		return "", err
	}
	return "The webhook is deleted; what waited for it is cancelled.", nil
}

func (m *markup) webhookRows(list []api.Webhook) {
	for i := range list {
		w := &list[i]
		m.raw(rowOf(`first key`) + `<a class="id" href="/ui/webhooks/`)
		m.path(w.ID)
		m.raw(`">`)
		m.text(w.ID)
		m.raw(`</a>`)
		name := w.UID
		if name != "" && w.Description != "" {
			name += ": "
		}
		m.under(name + w.Description)
		m.in(``)
		m.badge(w.Status)
		m.quiet(``, w.Reason, ``)
		m.in(`class="id line"`)
		m.text(w.URL)
		m.in(``)
		m.text(strings.Join(w.Events, ", "))
		m.in(`data-before="tenant"`)
		m.text(w.Tenant)
		m.in(`class="last" data-before="registered"`)
		m.time(w.Created)
		m.raw(rowEnd)
	}
}
