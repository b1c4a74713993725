package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// find leads to what has an id, or searches the events for what is none.
func (d *Dashboard) find(c *fiber.Ctx) error {
	v := &visit{c: c, d: d}
	text := v.query("id")
	var to string
	switch {
	case text == "":
		to = "/ui/events"
	case strings.HasPrefix(text, "dlv_"):
		to = "/deliveries/"
	case webhook.IsID(text):
		to = "/webhooks/"
	case strings.HasPrefix(text, store.ReplayPrefix), strings.HasPrefix(text, store.NewIDsPrefix):
		to = "/replays/"
	case event.IsWebhookID(text):
		to = "/ui/deliveries?" + url.Values{"webhook_id": {text}}.Encode()
	}
	if strings.HasSuffix(to, "/") {
		to += url.PathEscape(text)
		var p *problem.Problem
		if err := v.get("/api"+to, nil, &struct{}{}); errors.As(err, &p) && p.Status == http.StatusNotFound {
			to = "" // a producer may have called an event so
		} else {
			to = "/ui" + to // which says what is wrong, too
		}
	}
	if to == "" {
		var err error
		if to, err = v.eventOr(text); err != nil {
			return d.refuse(c, err)
		}
	}
	return c.Redirect(to, http.StatusSeeOther)
}

// eventOr is the page of the event that has the text as its id, or of the webhook that
// has it as its uid, or the search for it.
func (v *visit) eventOr(text string) (string, error) {
	var e api.Event
	err := v.get("/api/events/"+url.PathEscape(text), nil, &e)
	var p *problem.Problem
	switch {
	case err == nil, errors.As(err, &p) && p.Status == http.StatusConflict: // of several sources
		return "/ui/events/" + url.PathEscape(text), nil
	case p != nil && (p.Status == http.StatusNotFound || p.Status == http.StatusBadRequest):
		return v.webhookOr(text)
	}
	return "", err
}

// webhookOr is the page of the webhook that has the text as its uid, or the list of
// those of several tenants, or the search for the text in events.
func (v *visit) webhookOr(text string) (string, error) {
	var list api.WebhookList
	var p *problem.Problem
	if err := v.get("/api/webhooks", url.Values{"uid": {text}, "limit": {"2"}}, &list); err != nil && !errors.As(err, &p) {
		return "", err
	}
	switch len(list.Webhooks) {
	case 0:
		return "/ui/events?" + url.Values{"text": {text}}.Encode(), nil
	case 1:
		return "/ui/webhooks/" + url.PathEscape(list.Webhooks[0].ID), nil
	}
	return "/ui/webhooks?" + url.Values{"uid": {text}}.Encode(), nil
}
