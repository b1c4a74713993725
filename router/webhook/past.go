package webhook

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/store"
)

// What a webhook took before is kept to explain what it did, in documents that a
// change writes once and nothing changes. Routing does not have them in memory.
const (
	// kindPast are rules by the last position that they held for: the first one at or
	// after a position is that of the position.
	kindPast = "webhook.past"
	// kindAgain are rules by version that may have routed older events again, for
	// replays by the current routes and dead letters. They are there beside those.
	kindAgain = "webhook.again"
	// kindPastKey has the id of the key that all of them are encrypted with.
	kindPastKey = "webhook.past.key"
	pastKeyName = "key"
)

// pastStep is how many of them are looked at together.
const pastStep = 256

// pastRule is a rule that holds no more.
type pastRule struct {
	Rule
	// Last is the last position of the log that it held for.
	Last   uint64 `json:"last"`
	Tenant string `json:"tenant,omitempty"`
}

// pastName names a document of a webhook's rule so that documents of one webhook are
// in the order of a number.
func pastName(id string, n uint64) string { return fmt.Sprintf("%s.%016x", id, n) }

func (r *Registry) sealPast(kind, id string, n uint64, p *pastRule) (store.Document, error) {
	if r.keyring == nil {
		return store.Document{}, errNoKeyring
	}
	b, err := json.Marshal(p)
	if err != nil {
		return store.Document{}, fmt.Errorf("encode what webhook %s took: %w", id, err)
	}
	name := pastName(id, n)
	// What a rule is kept for has to be known without the key, too.
	return store.Document{Kind: kind, Name: name, Value: appendPast(p.From, p.Last, r.keyring.SealBytes(b, kind+" "+name))}, nil
}

// appendPast is a document of a rule: the first and the last position that it held
// for, then what is sealed.
func appendPast(from, last uint64, sealed []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16+len(sealed)), from)
	return append(binary.BigEndian.AppendUint64(b, last), sealed...)
}

// cutPast is what appendPast has put together.
func cutPast(b []byte) (from, last uint64, sealed []byte, err error) {
	if len(b) < 16 {
		return 0, 0, nil, errors.New("what is kept of a webhook is not whole")
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), b[16:], nil
}

func (r *Registry) openPast(d *store.Document) (*pastRule, error) {
	_, _, sealed, err := cutPast(d.Value)
	if err != nil {
		return nil, err
	}
	if r.o.Past == nil {
		return nil, errors.New("what the webhook took then is encrypted, and there is no key")
	}
	b, err := r.o.Past.OpenBytes(sealed, d.Kind+" "+d.Name)
	if err != nil {
		return nil, fmt.Errorf("what the webhook took then: %w", err)
	}
	p := &pastRule{}
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("what the webhook took then can't be read: %w", err)
	}
	return p, nil
}

// keep gives the documents of what a change ends: rules that nothing is routed by
// any more, and the one that w had until then where events may have been routed
// again by it.
func (r *Registry) keep(w *Webhook, last uint64, past []pastRule, ended bool) ([]store.Document, error) {
	var list []store.Document
	for i := range past {
		d, err := r.sealPast(kindPast, w.ID, past[i].Last, &past[i])
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	if rule := w.Rule(); ended && r.usedAgain(w.ID) {
		d, err := r.sealPast(kindAgain, w.ID, rule.Version, &pastRule{Rule: *rule, Last: last, Tenant: w.Tenant})
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// usedAgain reports whether events may have been routed again since the webhook takes
// what it takes. They may have before a start. Only the one that makes a change calls
// it, while nothing is routed.
func (r *Registry) usedAgain(id string) bool {
	since, ok := r.begun[id]
	return !ok || since != r.index.Again()
}

// Took is what a webhook takes, or took, of an event: its rule of a version or, where
// that is 0, of the event's position. Where the rule is nil, why says for people
// why, and is empty for a webhook that there never was.
func (r *Registry) Took(ctx context.Context, e *event.Event, id string, version uint64) (rule *routing.Rule, why string, err error) {
	if rule := r.index.Find(id, e.Position, version); rule != nil {
		return rule, "", nil
	}
	kind, n := kindPast, e.Position
	if version != 0 {
		kind, n = kindAgain, version
	}
	list, err := r.store.DocumentsFrom(ctx, kind, pastName(id, n), 1)
	if err != nil {
		return nil, "", fmt.Errorf("look for what webhook %s took: %w", id, err)
	}
	if len(list) > 0 && strings.HasPrefix(list[0].Name, id+".") && (version == 0 || list[0].Name == pastName(id, n)) {
		from, _, _, err := cutPast(list[0].Value)
		if err == nil && version == 0 && from > e.Position {
			return nil, r.before(e, id), nil
		}
		p, err := r.openPast(&list[0])
		if err != nil {
			return nil, err.Error(), nil
		}
		rule, err := p.compile(id, p.Tenant)
		if err != nil {
			return nil, err.Error(), nil
		}
		return rule, "", nil
	}
	switch known, err := r.known(ctx, id); {
	case err != nil:
		return nil, "", err
	case version != 0:
		return nil, "what the webhook took when the event was routed again is not known any more", nil
	case r.IsGone(id) && known:
		return nil, "the webhook was deleted", nil
	case r.IsGone(id):
		return nil, "", nil
	}
	return nil, r.before(e, id), nil
}

// known reports whether anything is kept of a webhook that is gone.
func (r *Registry) known(ctx context.Context, id string) (bool, error) {
	list, err := r.store.DocumentsFrom(ctx, kindPast, pastName(id, 0), 1)
	if err != nil {
		return false, fmt.Errorf("look for what webhook %s took: %w", id, err)
	}
	return len(list) > 0 && strings.HasPrefix(list[0].Name, id+"."), nil
}

// before says why a webhook has no rule for an event that came before those that it
// has.
func (r *Registry) before(e *event.Event, id string) string {
	if w, err := r.Get(id); err == nil && !e.Received.Before(w.Created) {
		return "what the webhook took then is not known any more" // a store of before it was kept
	}
	return "the webhook is newer than the event"
}

// Prune deletes what webhooks took before and no stored event needs any more. It says
// how many documents those were.
func (r *Registry) Prune(ctx context.Context) (int, error) {
	if r.o.Refuse != nil {
		return 0, nil
	}
	n := 0
	for _, kind := range []string{kindPast, kindAgain} {
		// Between clear and stored no event is left.
		clear, stored := uint64(1), uint64(0)
		left := func(from, last uint64) (bool, error) {
			if kind == kindAgain {
				from = 1
			}
			if from < clear || from > stored {
				found, err := r.store.Events(ctx, from, 1)
				if err != nil {
					return false, fmt.Errorf("look for events of what webhooks took before: %w", err)
				}
				if len(found) == 0 {
					return false, nil
				}
				clear, stored = from, found[0].Position
			}
			return stored <= last, nil
		}
		err := r.eachPast(ctx, kind, func(d *store.Document) (*store.Document, error) {
			// One that is damaged explains nothing.
			if from, last, _, err := cutPast(d.Value); err == nil {
				if needed, err := left(from, last); needed || err != nil {
					return nil, err
				}
			}
			n++
			return &store.Document{Kind: kind, Name: d.Name}, nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// resealPast encrypts with the key of now what was kept with another. What can't be
// opened is left as it is: its key may come back.
func (r *Registry) resealPast(ctx context.Context) error {
	b, err := r.store.Document(ctx, kindPastKey, pastKeyName)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return fmt.Errorf("read which key sealed what webhooks took: %w", err)
	case string(b) == r.keyring.ID():
		return nil
	}
	some := false
	for _, kind := range []string{kindPast, kindAgain} {
		err := r.eachPast(ctx, kind, func(d *store.Document) (*store.Document, error) {
			some = true
			from, last, sealed, err := cutPast(d.Value)
			if err != nil {
				return nil, nil
			}
			owner := kind + " " + d.Name
			clear, err := r.keyring.OpenBytes(sealed, owner)
			if err != nil {
				return nil, nil
			}
			return &store.Document{Kind: kind, Name: d.Name, Value: appendPast(from, last, r.keyring.SealBytes(clear, owner))}, nil
		})
		if err != nil {
			return fmt.Errorf("encrypt what webhooks took anew: %w", err)
		}
	}
	if !some {
		return nil
	}
	_, err = r.store.Commit(ctx, &store.Record{Documents: []store.Document{{Kind: kindPastKey, Name: pastKeyName, Value: []byte(r.keyring.ID())}}})
	return err
}

// eachPast goes through the documents of a kind, a bounded number at a time, and
// commits what do gives for them.
func (r *Registry) eachPast(ctx context.Context, kind string, do func(*store.Document) (*store.Document, error)) error {
	for from := ""; ; {
		list, err := r.store.DocumentsFrom(ctx, kind, from, r.step)
		if err != nil {
			return err
		}
		all := len(list) < r.step
		if len(list) > 0 && list[0].Name == from {
			list = list[1:] // the last one of those before
		}
		record := &store.Record{}
		for i := range list {
			change, err := do(&list[i])
			if err != nil {
				return err
			}
			if change != nil {
				record.Documents = append(record.Documents, *change)
			}
		}
		if len(record.Documents) > 0 {
			if _, err := r.store.Commit(ctx, record); err != nil {
				return err
			}
		}
		if all {
			return nil
		}
		from = list[len(list)-1].Name
	}
}
