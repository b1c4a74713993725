package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/webhook"
)

// Webhook is a registered webhook. Its secrets are never shown, but for Secret in
// the answer that has made it.
type Webhook struct {
	ID  string `json:"id"`
	URL string `json:"url"`
	// Status is active, failing, open, held, paused or disabled.
	Status string `json:"status"`
	// Reason why it is disabled.
	Reason      string          `json:"reason,omitempty"`
	Events      []string        `json:"events"`
	Tenant      string          `json:"tenant,omitempty"`
	UID         string          `json:"uid,omitempty"`
	Filter      string          `json:"filter,omitempty"`
	Plugin      string          `json:"plugin,omitempty"`
	Format      string          `json:"format"`
	Description string          `json:"description,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	// Secret is in the answer that has made it only.
	Secret string `json:"secret,omitempty"`
	// Signing has the secrets' times, the newest first.
	Signing []SecretTimes `json:"signing"`
	Created time.Time     `json:"created"`
	Updated time.Time     `json:"updated"`
	// Revision counts the changes; the ETag is this number in quotes.
	Revision int `json:"revision"`
}

// SecretTimes says when a secret is used.
type SecretTimes struct {
	Created time.Time `json:"created"`
	// ActivateAfter is from when on X-Webhook-Signature is by it.
	ActivateAfter time.Time `json:"activate_after"`
	// Until is when it is not used any more; without, it is used until the next
	// rotation.
	Until *time.Time `json:"until,omitempty"`
}

// WebhookList is a page of webhooks, in the order of their creation.
type WebhookList struct {
	Webhooks []Webhook `json:"webhooks"`
	Next     string    `json:"next,omitempty"`
}

// TestResult is the attempt of a test.
type TestResult struct {
	EventID   string `json:"event_id"`
	WebhookID string `json:"webhook_id"`
	Attempt
}

func (s *server) webhook(w *webhook.Webhook) (Webhook, error) {
	state, why, err := s.engine.WebhookState(context.Background(), w.ID)
	rule := w.Rule()
	out := Webhook{
		ID: w.ID, URL: w.URL, Status: state, Reason: why, Events: rule.Events, Tenant: w.Tenant, UID: w.UID, Filter: rule.Filter, Plugin: rule.Plugin,
		Format: rule.Format, Description: w.Description, Metadata: w.Metadata, Created: w.Created, Updated: w.Updated, Revision: w.Revision,
	}
	now := s.now()
	for _, x := range w.Secrets {
		t := SecretTimes{Created: x.Created, ActivateAfter: x.Active}
		if !x.Until.IsZero() {
			if until := x.Until; now.Before(until) {
				t.Until = &until
			} else {
				continue
			}
		}
		out.Signing = append(out.Signing, t)
	}
	return out, err
}

// answer is one webhook, with its ETag.
func (s *server) answer(c *fiber.Ctx, status int, w *webhook.Webhook, secret string) error {
	out, err := s.webhook(w)
	if err != nil {
		return err
	}
	out.Secret = secret
	c.Set(fiber.HeaderETag, w.ETag())
	if secret != "" {
		c.Set(fiber.HeaderCacheControl, "no-store")
	}
	return give(c.Status(status), out)
}

// copyBody copies: what is kept of it outlives the request.
func copyBody(c *fiber.Ctx) []byte { return bytes.Clone(c.Request().Body()) }

// noBody refuses what would be ignored.
func noBody(c *fiber.Ctx) error {
	if b := bytes.TrimSpace(c.Request().Body()); len(b) > 0 && string(b) != "{}" {
		return problem.New(http.StatusBadRequest, "unexpected_body", "%s %s takes no body", c.Method(), c.Path())
	}
	return nil
}

func (s *server) createWebhook(c *fiber.Ctx) error {
	f, err := webhook.ParseCreate(copyBody(c))
	if err != nil {
		return err
	}
	w, secret, err := s.engine.Webhooks().Create(context.Background(), f)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderLocation, "/api/webhooks/"+w.ID)
	return s.answer(c, http.StatusCreated, w, secret)
}

func (s *server) listWebhooks(c *fiber.Ctx) error {
	q := newQuery(c, "tenant", "uid", "type", "status", "cursor", "limit")
	page := q.page()
	ask := webhook.Query{Tenant: q.text("tenant"), UID: q.text("uid"), Type: q.text("type"), After: page.Cursor, Limit: page.Limit}
	if page.Cursor != "" && !webhook.IsID(page.Cursor) {
		return problem.New(http.StatusBadRequest, "bad_cursor", "the cursor is malformed: give what the page before gave as next")
	}
	var failed error
	if status := q.oneOf("status", "active", "failing", "open", "held", "paused", "disabled"); status != "" {
		ask.Where = func(w *webhook.Webhook) bool {
			state, _, err := s.engine.WebhookState(context.Background(), w.ID)
			failed = cmp.Or(failed, err)
			return state == status
		}
	}
	if q.err != nil {
		return q.err
	}
	found, next := s.engine.Webhooks().List(ask)
	list := WebhookList{Webhooks: []Webhook{}, Next: next}
	for _, w := range found {
		out, err := s.webhook(w)
		failed = cmp.Or(failed, err)
		list.Webhooks = append(list.Webhooks, out)
	}
	if failed != nil {
		return failed
	}
	return give(c, list)
}

func webhookID(c *fiber.Ctx) string { return strings.Clone(c.Params("id")) }

// match is what If-Match asks for (RFC 9110, section 13.1.1).
func match(c *fiber.Ctx) string { return strings.Clone(strings.TrimSpace(c.Get(fiber.HeaderIfMatch))) }

func (s *server) showWebhook(c *fiber.Ctx) error {
	w, err := s.engine.Webhooks().Get(webhookID(c))
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, w, "")
}

func (s *server) updateWebhook(c *fiber.Ctx) error {
	f, err := webhook.ParsePatch(copyBody(c))
	if err != nil {
		return err
	}
	w, err := s.engine.Webhooks().Update(context.Background(), webhookID(c), match(c), f)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, w, "")
}

func (s *server) deleteWebhook(c *fiber.Ctx) error {
	if err := noBody(c); err != nil {
		return err
	}
	if _, err := s.engine.Webhooks().Delete(context.Background(), webhookID(c), match(c)); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

func (s *server) testWebhook(c *fiber.Ctx) error {
	if err := noBody(c); err != nil {
		return err
	}
	result, err := s.engine.TestWebhook(context.Background(), webhookID(c))
	if err != nil {
		return err
	}
	return c.JSON(result)
}

func (s *server) rotateWebhook(c *fiber.Ctx) error {
	r, err := webhook.ParseRotation(copyBody(c), s.now())
	if err != nil {
		return err
	}
	w, secret, err := s.engine.Webhooks().Rotate(context.Background(), webhookID(c), match(c), r)
	if err != nil {
		return err
	}
	return s.answer(c, http.StatusOK, w, secret)
}

// pauseWebhook changes the webhook's lane and answers the webhook as it is then.
func (s *server) pauseWebhook(change func(context.Context, string) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		if err := noBody(c); err != nil {
			return err
		}
		w, err := s.engine.Webhooks().Get(webhookID(c))
		if err != nil {
			return err
		}
		if err := change(context.Background(), w.ID); err != nil {
			return err
		}
		return s.answer(c, http.StatusOK, w, "")
	}
}
