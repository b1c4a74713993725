package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/store"
)

// Kind is that of the documents.
const Kind = "webhook"

const idPrefix = "wh_"

// IsID reports whether a name is that of a registered webhook, which no
// destination of the configuration can have: labels begin with no wh_ followed by
// upper-case letters.
func IsID(name string) bool {
	rest, ok := strings.CutPrefix(name, idPrefix)
	if !ok {
		return false
	}
	_, err := ulid.ParseStrict(rest)
	return err == nil
}

// Changes is how a registry changes what routing decides by. change is called
// while no event is being routed, with the position of the newest event that is
// stored.
type Changes func(change func(last uint64) error) error

// Lanes is told of each webhook that comes, changes or goes.
type Lanes interface {
	// Open makes the lane of a webhook ready, before anything is posted to it. With
	// its error the webhook is not registered.
	Open(ctx context.Context, w *Webhook) error
	// Changed says that what it sends with has changed.
	Changed(w *Webhook)
	// Deleted says that nothing may be sent any more, and that what waits is to be
	// cancelled; [Registry.Bury] ends it.
	Deleted(w *Webhook)
}

// Rules are what the configuration says of webhooks.
type Rules struct {
	Limit int
	// CheckURL is nil for a URL that may be registered. Its error is shown.
	CheckURL func(ctx context.Context, u *url.URL) error
	// AllowsPlugin reports whether a webhook may name a plugin.
	AllowsPlugin func(name string) bool
	// Format is the one of webhooks that don't say it.
	Format string
}

// Options of a registry.
type Options struct {
	// Keyring is nil where there is no key: then nothing can be registered.
	Keyring *Keyring
	// Past opens what webhooks took before, nil: that is not known.
	Past    *Keyring
	Changes Changes
	Lanes   Lanes
	// Rules gives those that hold now.
	Rules func() Rules
	Now   func() time.Time
	// Refuse, where not nil, is the error of every change.
	Refuse error
}

// Registry is all the registered webhooks. Its methods may be called from any
// goroutine.
type Registry struct {
	store   store.Store
	index   *routing.Webhooks
	keyring *Keyring
	o       Options

	changing sync.Mutex // held by the one that makes a change
	// begun has, of webhooks that were changed since the start, what index.Again was when
	// they began to take what they take. Whoever holds changing may use it.
	begun map[string]uint64
	step  int // pastStep, but for tests

	mu   sync.RWMutex
	byID map[string]*Webhook
	ids  []string          // of those that are not deleted, ascending: by time of creation
	uids map[string]string // id by tenant and uid
	gone map[string]*Webhook
}

var errNoKeyring = problem.New(http.StatusServiceUnavailable, "no_secret_key",
	"there is no key to encrypt secrets with: set %s, or let the router make its key file (its log says why it could not)", KeyVariable)

// Open reads the registrations and gives routing what they take. It fails where a
// secret can't be opened.
func Open(ctx context.Context, st store.Store, index *routing.Webhooks, o Options) (*Registry, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Registry{
		store: st, index: index, keyring: o.Keyring, o: o,
		byID: map[string]*Webhook{}, uids: map[string]string{}, gone: map[string]*Webhook{}, begun: map[string]uint64{}, step: pastStep,
	}
	docs, err := st.Documents(ctx, Kind)
	if err != nil {
		return nil, fmt.Errorf("read the webhooks: %w", err)
	}
	closed, first := 0, error(nil)
	for _, d := range docs {
		w, err := decode(d.Name, d.Value)
		if err != nil {
			return nil, err
		}
		rules, err := w.rules()
		if err != nil {
			return nil, err
		}
		index.Set(w.ID, rules)
		if !w.Deleted.IsZero() {
			r.gone[w.ID] = w
			continue
		}
		r.put(w)
		if o.Keyring == nil {
			continue
		}
		for _, s := range inUse(w.Secrets, o.Now()) {
			if _, err := o.Keyring.Open(s.Sealed, w.ID); err != nil {
				closed++
				if first == nil {
					first = fmt.Errorf("of webhook %s: %w", w.ID, err)
				}
			}
		}
	}
	if first != nil {
		return nil, fmt.Errorf("%d secrets of registered webhooks can't be decrypted, the first one %w; give the right key as %s, or the earlier one beside it in %s", closed, first, KeyVariable, PreviousKeysVariable)
	}
	return r, nil
}

// HasSecrets reports whether the store holds secrets, which need a key.
func HasSecrets(ctx context.Context, st store.Store) (bool, error) {
	docs, err := st.Documents(ctx, Kind)
	if err != nil {
		return false, fmt.Errorf("read the webhooks: %w", err)
	}
	return len(docs) > 0, nil
}

// put takes in a webhook that is not deleted. Callers hold mu, or are alone.
func (r *Registry) put(w *Webhook) {
	old := r.byID[w.ID]
	if old == nil {
		// Ids ascend but for clocks that go back.
		i, _ := slices.BinarySearch(r.ids, w.ID)
		r.ids = slices.Insert(r.ids, i, w.ID)
	} else if old.UID != "" {
		delete(r.uids, uidKey(old.Tenant, old.UID))
	}
	r.byID[w.ID] = w
	if w.UID != "" {
		r.uids[uidKey(w.Tenant, w.UID)] = w.ID
	}
}

func uidKey(tenant, uid string) string { return tenant + "\x00" + uid }

// Len is how many there are.
func (r *Registry) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.ids)
}

// All gives those that there are, in the order of their creation, and Gone those
// that were deleted and are not buried.
func (r *Registry) All() []*Webhook {
	list, _ := r.List(Query{Limit: r.Len()})
	return list
}

// Gone gives those that were deleted and are not buried.
func (r *Registry) Gone() []*Webhook {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []*Webhook
	for _, w := range r.gone {
		list = append(list, w)
	}
	return list
}

// Get gives one.
func (r *Registry) Get(id string) (*Webhook, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if w := r.byID[id]; w != nil {
		return w, nil
	}
	return nil, notFound(id)
}

// IsGone reports whether there is no webhook of an id.
func (r *Registry) IsGone(id string) bool {
	_, err := r.Get(id)
	return err != nil
}

func notFound(id string) *problem.Problem {
	return problem.New(http.StatusNotFound, "webhook_not_found", "there is no webhook %q", shorten(id))
}

// Query selects webhooks. Empty fields select all.
type Query struct {
	Tenant, UID string
	// Type: those whose patterns fit it.
	Type string
	// Where, where not nil, must say yes.
	Where func(*Webhook) bool
	// After is the id of the last one of the page before.
	After string
	// Limit is the most that are given.
	Limit int
}

// List gives webhooks in the order of their creation. next is the After of the
// next page, empty where there is none.
func (r *Registry) List(q Query) (list []*Webhook, next string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	i, found := slices.BinarySearch(r.ids, q.After)
	if found {
		i++
	}
	for ; i < len(r.ids); i++ {
		w := r.byID[r.ids[i]]
		if q.Tenant != "" && w.Tenant != q.Tenant || q.UID != "" && w.UID != q.UID || q.Type != "" && !w.takes(q.Type) || q.Where != nil && !q.Where(w) {
			continue
		}
		if len(list) == q.Limit {
			return list, list[len(list)-1].ID
		}
		list = append(list, w)
	}
	return list, ""
}

// Create registers a webhook. It returns when that is on disk. secret is the one
// that was made, empty where it was given.
func (r *Registry) Create(ctx context.Context, f *Fields) (w *Webhook, secret string, err error) {
	if err := r.ready(); err != nil {
		return nil, "", err
	}
	rules := r.o.Rules()
	rule := Rule{Events: f.Events, Filter: value(f.Filter), Plugin: value(f.Plugin), Format: value(f.Format)}
	if rule.Format == "" {
		rule.Format = rules.Format
	}
	if err := r.check(ctx, f, &rules); err != nil {
		return nil, "", err
	}
	now := r.o.Now().UTC()
	w = &Webhook{
		ID: idPrefix + ulid.MustNewDefault(now).String(), Revision: 1, Created: now, Updated: now,
		URL: *f.URL, Tenant: value(f.Tenant), UID: value(f.UID), Description: value(f.Description), Metadata: object(f.Metadata),
	}
	given := value(f.Secret)
	if given == "" {
		secret = newSecret()
		given = secret
	}
	w.Secrets = []Secret{{Sealed: r.keyring.Seal(given, w.ID), Created: now, Active: now}}
	err = r.change(ctx, func(last uint64) (*Webhook, []store.Document, error) {
		switch {
		case r.Len() >= rules.Limit:
			return nil, nil, problem.New(http.StatusConflict, "too_many_webhooks", "%d webhooks are registered, which is the limit (webhooks.limit)", rules.Limit)
		case r.taken(w):
			return nil, nil, uidTaken(w)
		}
		rule.From, rule.Version = last+1, uint64(w.Revision)
		w.Rules = []Rule{rule}
		return w, nil, nil
	})
	if err != nil {
		return nil, "", err
	}
	return w, secret, nil
}

// ready is nil where secrets can be stored.
func (r *Registry) ready() error {
	switch {
	case r.o.Refuse != nil:
		return r.o.Refuse
	case r.keyring == nil:
		return errNoKeyring
	}
	return nil
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// object is the metadata of a body; null takes it away.
func object(b []byte) []byte {
	if string(b) == "null" {
		return nil
	}
	return b
}

// check is for what depends on the configuration.
func (r *Registry) check(ctx context.Context, f *Fields, rules *Rules) error {
	if name := value(f.Plugin); name != "" && !rules.AllowsPlugin(name) {
		return invalid("plugin", "the configuration allows registered webhooks no plugin %q (webhooks.plugins)", name)
	}
	if f.URL == nil {
		return nil
	}
	u, err := parseURL(*f.URL)
	if err != nil {
		return err
	}
	return rules.CheckURL(ctx, u)
}

func (r *Registry) taken(w *Webhook) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, ok := r.uids[uidKey(w.Tenant, w.UID)]
	return ok && w.UID != "" && id != w.ID
}

func uidTaken(w *Webhook) error {
	return problem.New(http.StatusConflict, "uid_taken", "the tenant has a webhook with the uid %q already", w.UID)
}

// Update changes a webhook. match, where not empty, is the ETag that it must have.
func (r *Registry) Update(ctx context.Context, id, match string, f *Fields) (*Webhook, error) {
	rules := r.o.Rules()
	if err := r.check(ctx, f, &rules); err != nil {
		return nil, err
	}
	return r.edit(ctx, id, match, func(w *Webhook, rule *Rule) error {
		set(&w.URL, f.URL)
		set(&w.UID, f.UID)
		set(&w.Description, f.Description)
		if f.Metadata != nil {
			w.Metadata = object(f.Metadata)
		}
		set(&rule.Filter, f.Filter)
		set(&rule.Plugin, f.Plugin)
		if set(&rule.Format, f.Format); rule.Format == "" {
			rule.Format = rules.Format
		}
		if f.Events != nil {
			rule.Events = f.Events
		}
		if r.taken(w) {
			return uidTaken(w)
		}
		return nil
	})
}

func set(to, s *string) {
	if s != nil {
		*to = *s
	}
}

// Rotate gives a webhook another secret. The one before is used beside it for
// [Overlap], or as long as the rotation says, after the new one is active. made is
// the new one where it was not given.
func (r *Registry) Rotate(ctx context.Context, id, match string, rotation *Rotation) (w *Webhook, made string, err error) {
	if err := r.ready(); err != nil {
		return nil, "", err
	}
	secret := rotation.Secret
	if secret == "" {
		made = newSecret()
		secret = made
	}
	w, err = r.edit(ctx, id, match, func(w *Webhook, _ *Rule) error {
		now := w.Updated
		active, overlap := now, Overlap
		if rotation.Activate.After(now) {
			active = rotation.Activate
		}
		if rotation.Overlap != nil {
			overlap = *rotation.Overlap
		}
		until := active.Add(overlap)
		all := []Secret{{Sealed: r.keyring.Seal(secret, w.ID), Created: now, Active: active}}
		for _, s := range w.Secrets {
			cut := rotation.Overlap != nil && until.Before(s.Until)
			if cut || s.Until.IsZero() || s.Active.After(now) && until.After(s.Until) {
				s.Until = until
			}
			// A rotation that has not begun makes way for this one.
			if s.Active.After(active) {
				s.Active = active
			}
			all = append(all, s)
		}
		if all = inUse(all, now); len(all) > maxSecrets {
			return problem.New(http.StatusConflict, "too_many_secrets", `the webhook has %d secrets, because it was rotated again and again within %s: wait until one has ended, or end them with "overlap": "0s"`,
				len(w.Secrets), Overlap)
		}
		w.Secrets = all
		return nil
	})
	return w, made, err
}

// Delete takes a webhook away. What waits in its lane is cancelled later.
func (r *Registry) Delete(ctx context.Context, id, match string) (*Webhook, error) {
	return r.edit(ctx, id, match, func(w *Webhook, rule *Rule) error {
		*rule = Rule{Off: true}
		w.Deleted = w.Updated
		// Nothing is signed any more.
		w.Secrets, w.URL, w.Metadata, w.Description = nil, "", nil, ""
		return nil
	})
}

// edit changes a copy of a webhook and stores it.
func (r *Registry) edit(ctx context.Context, id, match string, edit func(*Webhook, *Rule) error) (*Webhook, error) {
	if r.o.Refuse != nil {
		return nil, r.o.Refuse
	}
	var w *Webhook
	err := r.change(ctx, func(last uint64) (*Webhook, []store.Document, error) {
		old, err := r.Get(id)
		if err != nil {
			return nil, nil, err
		}
		if match != "" && match != "*" && match != old.ETag() {
			return nil, nil, problem.New(http.StatusPreconditionFailed, "changed_meanwhile", "the webhook has changed: it is %s, not %s", old.ETag(), shorten(match))
		}
		draft, rule := *old, *old.Rule()
		now := r.o.Now().UTC()
		draft.Updated, draft.Secrets = now, inUse(old.Secrets, now)
		if err := edit(&draft, &rule); err != nil {
			return nil, nil, err
		}
		var past []pastRule
		w, past = draft.next(last, r.store.Progress(), now, rule)
		kept, err := r.keep(old, last, past, !w.Rule().same(old.Rule()))
		return w, kept, err
	})
	return w, err
}

// change makes one change: it is stored before the first event is routed by it.
// make gives the webhook as it shall be, and what is kept of what it was.
func (r *Registry) change(ctx context.Context, make func(last uint64) (*Webhook, []store.Document, error)) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	return r.o.Changes(func(last uint64) error {
		w, kept, err := make(last)
		if err != nil {
			return err
		}
		rules, err := w.rules()
		if err != nil {
			return err
		}
		b, err := w.encode()
		if err != nil {
			return err
		}
		if w.Revision == 1 {
			if err := r.o.Lanes.Open(ctx, w); err != nil {
				return err
			}
		}
		// Not the caller's context: a commit that was begun is waited for.
		if _, err := r.store.Commit(context.WithoutCancel(ctx), &store.Record{Documents: append(kept, store.Document{Kind: Kind, Name: w.ID, Value: b})}); err != nil {
			if w.Revision == 1 {
				r.o.Lanes.Deleted(w)
			}
			return fmt.Errorf("store the webhook: %w", err)
		}
		r.index.Set(w.ID, rules)
		if w.Rule().Version == uint64(w.Revision) {
			r.begun[w.ID] = r.index.Again()
		}
		r.mu.Lock()
		if w.Deleted.IsZero() {
			r.put(w)
		} else {
			r.take(w)
		}
		r.mu.Unlock()
		switch {
		case !w.Deleted.IsZero():
			r.o.Lanes.Deleted(w)
		case w.Revision > 1:
			r.o.Lanes.Changed(w)
		}
		return nil
	})
}

// take moves a webhook to those that are gone. Callers hold mu.
func (r *Registry) take(w *Webhook) {
	old := r.byID[w.ID]
	delete(r.byID, w.ID)
	if i, ok := slices.BinarySearch(r.ids, w.ID); ok {
		r.ids = slices.Delete(r.ids, i, i+1)
	}
	if old != nil && old.UID != "" {
		delete(r.uids, uidKey(old.Tenant, old.UID))
	}
	r.gone[w.ID] = w
}

// Bury ends what is left of a deleted webhook. All events that it may have taken
// are routed, and nothing waits in its lane.
func (r *Registry) Bury(ctx context.Context, w *Webhook) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	record := &store.Record{Documents: []store.Document{{Kind: Kind, Name: w.ID}}}
	for i := range w.Rules[:len(w.Rules)-1] { // the last one takes nothing
		d, err := r.sealPast(kindPast, w.ID, w.Rules[i+1].From-1, &pastRule{Rule: w.Rules[i], Last: w.Rules[i+1].From - 1, Tenant: w.Tenant})
		if err != nil {
			return err
		}
		record.Documents = append(record.Documents, d)
	}
	if _, err := r.store.Commit(ctx, record); err != nil {
		return fmt.Errorf("end webhook %s: %w", w.ID, err)
	}
	delete(r.begun, w.ID)
	r.index.Set(w.ID, nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.gone, w.ID)
	return nil
}

// Reseal encrypts with the key that seals now what was encrypted with another, so
// that that one can be given up. It says how many webhooks it has changed.
func (r *Registry) Reseal(ctx context.Context) (int, error) {
	if r.keyring == nil {
		return 0, nil
	}
	n := 0
	for _, w := range r.All() {
		if !slices.ContainsFunc(w.Secrets, func(s Secret) bool { return !r.keyring.current(s.Sealed) }) {
			continue
		}
		_, err := r.edit(ctx, w.ID, "", func(w *Webhook, _ *Rule) error {
			w.Secrets = slices.Clone(w.Secrets)
			for i := range w.Secrets {
				secret, err := r.keyring.Open(w.Secrets[i].Sealed, w.ID)
				if err != nil {
					return err
				}
				w.Secrets[i].Sealed = r.keyring.Seal(secret, w.ID)
			}
			return nil
		})
		var p *problem.Problem
		if errors.As(err, &p) && p.Status == http.StatusNotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return n, fmt.Errorf("encrypt the secrets of webhook %s anew: %w", w.ID, err)
		}
		n++
	}
	return n, r.resealPast(ctx)
}
