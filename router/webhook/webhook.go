// Package webhook keeps the registered webhooks: URLs that customers give over the
// API, each with the types of events that it wants. A registered webhook is a route
// and a destination in one.
//
// Invariants:
//   - A registration is a document of the store. A change is answered when it is on
//     disk.
//   - A change holds from a position of the log on: for every event that is stored
//     after it, and none before. The document keeps what held before as long as
//     events of that time may have to be routed, so an event that was being routed
//     when the router was cut off is routed by the registrations of that time.
//   - What it took before is kept as long as an event that it took something of, in
//     documents of its own, encrypted, which only explanations read.
//   - One change writes one document, and one or two of what held before, however
//     many webhooks and changes there are.
//   - A uid is there once among the webhooks of a tenant.
//   - Secrets are encrypted in the document, and nothing but an attempt, and the
//     answer that made one, holds them in the clear.
//   - What is deleted stays, as a document that says so, until nothing is routed by
//     it any more and nothing waits in its lane.
//
// # Goroutines
//
// A [Registry] starts none. Its changes are made one at a time, by their callers.
package webhook

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/routing"
)

// TestType is the type of the event that a test sends.
const TestType = "weir.test"

// Webhook is a registration, as its document has it. It is replaced as a whole
// by a change, and never changed.
type Webhook struct {
	ID string `json:"id"`
	// Revision counts the changes, from 1.
	Revision int       `json:"revision"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	URL      string    `json:"url"`
	Tenant   string    `json:"tenant,omitempty"`
	// UID is the owner's own name for it, once in a tenant.
	UID         string `json:"uid,omitempty"`
	Description string `json:"description,omitempty"`
	// Metadata is an object of texts, nil where there is none.
	Metadata json.RawMessage `json:"metadata,omitempty"`
	// Secrets are newest first.
	Secrets []Secret `json:"secrets"`
	// Rules say what it takes, by position of the log. The last one holds now.
	Rules []Rule `json:"rules"`
	// Deleted is when it was deleted, zero where it is not.
	Deleted time.Time `json:"deleted,omitzero"`
}

// Rule is what a webhook takes from a position on.
type Rule struct {
	From uint64 `json:"from"`
	// Version is the webhook's revision that made it.
	Version uint64 `json:"version,omitempty"`
	// Off: nothing.
	Off    bool     `json:"off,omitempty"`
	Events []string `json:"events,omitempty"`
	Filter string   `json:"filter,omitempty"`
	Plugin string   `json:"plugin,omitempty"`
	Format string   `json:"format,omitempty"`
}

func (r *Rule) same(o *Rule) bool {
	return r.Off == o.Off && slices.Equal(r.Events, o.Events) && r.Filter == o.Filter && r.Plugin == o.Plugin && r.Format == o.Format
}

// Rule is what it takes now.
func (w *Webhook) Rule() *Rule { return &w.Rules[len(w.Rules)-1] }

// ETag is that of its revision (RFC 9110, section 8.8.3).
func (w *Webhook) ETag() string { return fmt.Sprintf(`"%d"`, w.Revision) }

// Target is its URL parsed.
func (w *Webhook) Target() (*url.URL, error) {
	u, err := url.Parse(w.URL)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: its URL can't be read", w.ID) // the error would show the URL
	}
	return u, nil
}

// takes reports whether one of its patterns fits a type.
func (w *Webhook) takes(eventType string) bool {
	return slices.ContainsFunc(w.Rule().Events, func(p string) bool { return event.MatchType(p, eventType) })
}

// patternSteps bounds what the patterns of a filter may do for one event: some 20 ms
// at worst, while all others wait for their routing. It leaves 8 KiB of text to a
// pattern of 32 instructions.
const patternSteps = 256 << 10

// rules compiles what it takes.
func (w *Webhook) rules() ([]*routing.Rule, error) {
	list := make([]*routing.Rule, len(w.Rules))
	for i := range w.Rules {
		var err error
		if list[i], err = w.Rules[i].compile(w.ID, w.Tenant); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// compile makes of a webhook's rule what routing decides by.
func (r *Rule) compile(id, tenant string) (*routing.Rule, error) {
	out := &routing.Rule{From: r.From, Version: r.Version, Off: r.Off, Tenant: tenant, Events: r.Events, Plugin: r.Plugin, Format: r.Format}
	if r.Filter == "" {
		return out, nil
	}
	filter, err := expr.Parse(r.Filter, expr.EventScope)
	if err != nil {
		return nil, fmt.Errorf("the filter of webhook %s: %w", id, err)
	}
	filter.BoundPatterns(patternSteps)
	out.Filter = filter
	return out, nil
}

// next is a copy of w for a change that holds after position last, without the
// rules that no event is routed by any more: past are those, which ended at or
// before progress.
func (w *Webhook) next(last, progress uint64, now time.Time, rule Rule) (n *Webhook, past []pastRule) {
	c := *w
	n = &c
	n.Revision++
	n.Updated = now
	n.Secrets = inUse(w.Secrets, now)
	n.Rules = nil
	for i, r := range w.Rules {
		if i+1 == len(w.Rules) || w.Rules[i+1].From > progress+1 {
			n.Rules = append(n.Rules, r)
		} else {
			past = append(past, pastRule{Rule: r, Last: w.Rules[i+1].From - 1, Tenant: w.Tenant})
		}
	}
	rule.From, rule.Version = last+1, uint64(n.Revision)
	if rule.same(w.Rule()) {
		return n, past
	}
	if k := len(n.Rules); n.Rules[k-1].From == rule.From {
		n.Rules = n.Rules[:k-1] // no event came in between
	}
	n.Rules = append(n.Rules, rule)
	return n, past
}

func decode(name string, b []byte) (*Webhook, error) {
	w := &Webhook{}
	if err := json.Unmarshal(b, w); err != nil {
		return nil, fmt.Errorf("the document of webhook %s: %w", name, err)
	}
	if w.ID != name || len(w.Rules) == 0 {
		return nil, fmt.Errorf("the document of webhook %s is not whole", name)
	}
	for i := range w.Rules { // documents of before rules had versions: any will do that no two have
		if r := &w.Rules[i]; r.Version == 0 {
			r.Version = uint64(max(w.Revision-len(w.Rules)+1+i, i+1))
		}
	}
	return w, nil
}

func (w *Webhook) encode() ([]byte, error) {
	b, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode webhook %s: %w", w.ID, err)
	}
	return b, nil
}
