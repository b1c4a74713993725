package router

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/attempt/guard"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// cancelledWebhook is the note of what waited for a webhook that was deleted.
const cancelledWebhook = "the webhook was deleted"

// buryEvery is how often what is left of deleted webhooks is looked at, while there
// are some.
const buryEvery = 200 * time.Millisecond

// webhooks is the router as its registered webhooks see it.
type webhooks struct {
	*Router
	registry *webhook.Registry
	mu       sync.Mutex
	hooks    map[string]*hook
	// deleted wakes the one that buries.
	deleted chan struct{}
}

// openWebhooks reads the registrations and makes their lanes.
func (r *Router) openWebhooks(ctx context.Context, c *config.Config) error {
	w := &webhooks{Router: r, hooks: map[string]*hook{}, deleted: make(chan struct{}, 1)}
	r.webhooks = w
	keyring, err := r.keys, error(nil)
	var refuse error
	if r.inspect {
		refuse = notRunning()
		keyring = nil // it answers questions, and secrets are no answer
	}
	w.registry, err = webhook.Open(ctx, r.store, &r.registered, webhook.Options{
		Keyring: keyring, Past: r.keys, Changes: r.reader.Change, Lanes: w, Rules: w.rules, Refuse: refuse,
	})
	if err != nil || r.inspect {
		return err
	}
	for _, x := range w.registry.All() {
		if err := w.Open(ctx, x); err != nil {
			return err
		}
	}
	for _, x := range w.registry.Gone() {
		if err := w.Open(ctx, x); err != nil {
			return err
		}
		w.Deleted(x)
	}
	n, err := w.registry.Reseal(ctx)
	if n > 0 {
		r.log.Info("secrets of webhooks are encrypted with the new key", "webhooks", n, "key", keyring.ID())
	}
	return err
}

// keyring gives the keys that secrets are encrypted with, nil where there is none.
func (r *Router) keyring(ctx context.Context, c *config.Config) (*webhook.Keyring, error) {
	path := webhook.KeyFile(c.Store.Path)
	if r.inspect {
		k, _, err := webhook.LoadKeyring(os.LookupEnv, path, false)
		if err != nil {
			r.log.Warn("what needs the key is not answered", "error", err)
		}
		return k, nil
	}
	needed, err := webhook.HasSecrets(ctx, r.store)
	if err != nil {
		return nil, err
	}
	k, made, err := webhook.LoadKeyring(os.LookupEnv, path, !needed)
	switch {
	case err != nil && !needed:
		r.log.Warn("webhooks can't be registered, and plugins' config is kept in the clear, because there is no key to encrypt with", "error", err)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("the key of the webhooks' secrets: %w", err)
	case k == nil:
		return nil, fmt.Errorf("the store has registered webhooks, and the key of their secrets is gone: bring back %s, or set %s", path, webhook.KeyVariable)
	case made:
		r.log.Warn("made the key that secrets of registered webhooks and plugins' config are encrypted with: keep a copy elsewhere, without it they are lost", "file", path)
	}
	return k, nil
}

// rules are those of the configuration that runs.
func (w *webhooks) rules() webhook.Rules {
	s := w.setup.Load()
	return webhook.Rules{
		Limit:  s.config.Webhooks.Limit,
		Format: string(s.config.Webhooks.Destination.Format),
		CheckURL: func(ctx context.Context, u *url.URL) error {
			err := s.guard.CheckURL(ctx, u)
			var blocked *guard.Blocked
			if errors.As(err, &blocked) {
				return problem.New(http.StatusUnprocessableEntity, guard.Code, "url: %v", blocked).With("member", "url")
			}
			return err
		},
		AllowsPlugin: func(name string) bool {
			for _, p := range s.config.Webhooks.Plugins {
				if p.Name == name {
					return true
				}
			}
			return false
		},
	}
}

// guardOf is what the webhooks block allows.
func guardOf(c *config.Config) *guard.Guard {
	return guard.New(guard.Rules{
		AllowHTTP: c.Webhooks.AllowHTTP, AllowNetworks: c.Webhooks.AllowNetworks, AllowPorts: c.Webhooks.AllowPorts,
	})
}

// Open makes the lane of a webhook ready.
func (w *webhooks) Open(ctx context.Context, x *webhook.Webhook) error {
	h := &hook{webhooks: w, webhook: x}
	if err := w.lanes.Add(ctx, x.ID, w.policyOf(&w.setup.Load().config.Webhooks.Destination), h.try); err != nil {
		return err
	}
	w.mu.Lock()
	w.hooks[x.ID] = h
	w.mu.Unlock()
	return nil
}

func (w *webhooks) hook(id string) *hook {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hooks[id]
}

// Changed says that what a webhook sends with has changed.
func (w *webhooks) Changed(x *webhook.Webhook) {
	if h := w.hook(x.ID); h != nil {
		h.replace(x)
	}
}

func (w *webhooks) putLane(id string, h *hook) {
	if err := w.lanes.Put(id, w.policyOf(&w.setup.Load().config.Webhooks.Destination), h.try, nil); err != nil {
		w.log.Error("the webhook's lane does not go on", "webhook", id, "error", err) // it was added: this can't be
	}
}

// Deleted lets nothing more be sent, and what waits be cancelled.
func (w *webhooks) Deleted(x *webhook.Webhook) {
	if h := w.hook(x.ID); h != nil {
		h.replace(x)
	}
	if err := w.lanes.Cancel(x.ID, cancelledWebhook, nil); err != nil {
		w.log.Error("what waits for a deleted webhook is not cancelled", "webhook", x.ID, "error", err)
	}
	select {
	case w.deleted <- struct{}{}:
	default:
	}
}

// bury ends what is left of deleted webhooks, until ctx ends.
func (w *webhooks) bury(ctx context.Context) {
	said := ""
	for {
		select {
		case <-w.deleted:
		case <-ctx.Done():
			return
		}
		for len(w.registry.Gone()) > 0 {
			err := w.buryAll(ctx)
			if ctx.Err() != nil || errors.Is(err, store.ErrClosed) {
				return
			}
			if err != nil && err.Error() != said {
				said = err.Error()
				w.log.Error("what waits for a deleted webhook is not cancelled, trying again", "error", err)
			}
			select {
			case <-time.After(buryEvery):
			case <-ctx.Done():
				return
			}
		}
	}
}

func (w *webhooks) buryAll(ctx context.Context) error {
	for _, x := range w.registry.Gone() {
		if w.store.Progress()+1 < x.Rule().From {
			continue // events may still be posted to it
		}
		left, err := w.lanes.CancelRetries(ctx, x.ID, cancelledWebhook)
		if err != nil {
			return err
		}
		if left > 0 || !w.lanes.Remove(x.ID) {
			continue
		}
		w.mu.Lock()
		delete(w.hooks, x.ID)
		w.mu.Unlock()
		if err := w.registry.Bury(ctx, x); err != nil {
			return err
		}
		w.metrics.Forget(x.ID)
	}
	return nil
}

// reconfigure takes over what the webhooks block of a new configuration says.
func (w *webhooks) reconfigure(old, c *config.Config) {
	policy := !sameDestination(&old.Webhooks.Destination, &c.Webhooks.Destination)
	for _, x := range w.registry.All() {
		h := w.hook(x.ID)
		if h == nil {
			continue
		}
		h.replace(x) // the next attempt is guarded by the new rules
		if policy {
			w.putLane(x.ID, h)
		}
		if name := x.Rule().Plugin; name != "" && !w.rules().AllowsPlugin(name) {
			w.log.Warn("a registered webhook names a plugin that is not allowed any more: its events become dead letters", "webhook", x.ID, "plugin", name)
		}
	}
}

// close frees what the senders hold. No attempt runs any more.
func (w *webhooks) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for _, h := range w.hooks {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}

// hook sends to one registered webhook. What it sends with is opened at the first
// attempt: most webhooks are idle.
type hook struct {
	*webhooks
	mu      sync.Mutex
	webhook *webhook.Webhook
	opened  *opened // nil where it is to be opened
}

var errDeleted = errors.New(cancelledWebhook)

// opened is a sender with the attempts that use it. hook.mu guards it.
type opened struct {
	attempt.Sender
	until   time.Time // when the secrets change, zero: not by themselves
	users   int
	retired bool
}

// replace makes the next attempt use another registration.
func (h *hook) replace(x *webhook.Webhook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.webhook = x
	h.retire()
}

// retire frees the sender, now or when its last attempt ends. Callers hold mu.
func (h *hook) retire() {
	o := h.opened
	h.opened = nil
	if o == nil {
		return
	}
	if o.retired = true; o.users == 0 {
		h.free(o)
	}
}

func (h *hook) free(o *opened) {
	if err := o.Close(); err != nil {
		h.log.Warn("an old connection of a webhook did not close well", "webhook", h.webhook.ID, "error", err)
	}
}

func (h *hook) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opened == nil {
		return nil
	}
	return h.opened.Close()
}

// sender gives what an attempt is made with. The caller calls done after it.
func (h *hook) sender(now time.Time) (s attempt.Sender, done func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.opened; o != nil && !o.until.IsZero() && !now.Before(o.until) {
		h.retire()
	}
	if h.opened == nil {
		if h.opened, err = h.open(now); err != nil {
			return nil, nil, err
		}
	}
	o := h.opened
	o.users++
	return o, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if o.users--; o.users == 0 && o.retired {
			h.free(o)
		}
	}, nil
}

func (h *hook) open(now time.Time) (*opened, error) {
	x := h.webhook
	if !x.Deleted.IsZero() {
		return nil, errDeleted
	}
	u, err := x.Target()
	if err != nil {
		return nil, err
	}
	keys, err := h.registry.Keys(x, now)
	if err != nil {
		return nil, err
	}
	s := h.setup.Load()
	d := s.config.Webhooks.Destination
	d.Name, d.URL, d.Parsed = x.ID, x.URL, u
	signers, err := keys.Signers()
	if err != nil {
		return nil, err
	}
	sender, err := attempt.Open(&d, attempt.Options{Guard: s.guard, Signers: signers})
	if err != nil {
		return nil, err
	}
	return &opened{Sender: sender, until: keys.Until}, nil
}

// try is one attempt of its lane.
func (h *hook) try(ctx context.Context, work *lane.Work) lane.Result {
	started := time.Now()
	sender, done, err := h.sender(started)
	if errors.Is(err, errDeleted) {
		return lane.Result{Cancelled: true, Note: cancelledWebhook}
	}
	if err != nil {
		return lane.Result{Attempt: store.Attempt{Started: started, Reason: attempt.ReasonConfig, Error: err.Error()}}
	}
	defer done()
	return h.send(work.Delivery.Lane, sender)(ctx, work)
}

// TestWebhook sends a weir.test event to a webhook, at once and whatever its lane
// does, and returns the attempt. Nothing of it is stored.
func (e engine) TestWebhook(ctx context.Context, id string) (*api.TestResult, error) {
	w := e.webhooks
	x, err := w.registry.Get(id)
	if err != nil {
		return nil, err
	}
	h := w.hook(id)
	if h == nil {
		return nil, notRunning()
	}
	now := time.Now().UTC()
	test := &event.Event{
		ID: event.NewID(now), Type: webhook.TestType, Source: "weir", Tenant: x.Tenant, Time: now, Received: now,
		ContentType: "application/json", Data: []byte(`{"webhook":"` + id + `","message":"This is a test of the webhook."}`),
	}
	traced := e.tracer.Tested(ctx, test, id)
	routing, err := e.reader.Table().Try(ctx, test, id)
	if err != nil {
		traced(routing, nil, err)
		return nil, problem.New(http.StatusConflict, "plugin_failed", "the webhook's plugin failed on the test event: %v", err)
	}
	if len(routing.Deliveries) == 0 {
		traced(routing, nil, nil)
		return nil, problem.New(http.StatusConflict, "dropped", "the webhook's plugin dropped the test event, so nothing was sent")
	}
	sender, done, err := h.sender(now)
	if err != nil {
		traced(routing, nil, err)
		return nil, err
	}
	defer done()
	result := e.send(id, sender)(ctx, &lane.Work{Event: test, Routing: routing, Delivery: &routing.Deliveries[0], Number: 1})
	result.Attempt.Number = 1
	traced(routing, &result.Attempt, nil)
	return &api.TestResult{
		EventID: test.ID, WebhookID: event.WebhookID(0, test.ID, id, 0, id), Attempt: api.AttemptOf(&result.Attempt),
	}, nil
}

func notRunning() *problem.Problem {
	return problem.New(http.StatusConflict, "not_running", "no router runs: registered webhooks are changed and tested while one does (weir serve)")
}

// WebhookState is that of a webhook's lane, and why it is disabled where it is.
func (e engine) WebhookState(ctx context.Context, id string) (state, why string, err error) {
	st, err := e.lanes.Status(ctx, id, true)
	return string(st.State), st.Why, err
}

// Webhooks gives the registrations. Without a running router they can be looked at
// only.
func (e engine) Webhooks() *webhook.Registry { return e.webhooks.registry }
