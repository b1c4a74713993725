package replay

import (
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Routes says what decides where a replayed event goes.
type Routes string

// The routes of a replay.
const (
	// Original: what routing decided when the event came, with the same bytes.
	Original Routes = "original"
	// Current: the configuration and the registered webhooks of now.
	Current Routes = "current"
)

// Ask is what is asked of a replay. Empty fields of the filter choose all events.
type Ask struct {
	// Type is a pattern: * stands for any run of characters.
	Type   string `json:"type,omitempty"`
	Source string `json:"source,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	// Destination chooses events that led to a delivery for it.
	Destination string `json:"destination,omitempty"`
	// Since is inclusive and Until exclusive, by the time received.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// To is the only destination that gets them, empty for all.
	To     string `json:"to,omitempty"`
	Routes Routes `json:"routes"`
	// NewIDs gives the deliveries a webhook-id of their own.
	NewIDs bool `json:"new_ids,omitempty"`
}

// takes reports whether an event is chosen, whatever it led to.
func (a *Ask) takes(e *event.Event) bool {
	return (a.Type == "" || event.MatchType(a.Type, e.Type)) &&
		(a.Source == "" || a.Source == e.Source) &&
		(a.Tenant == "" || a.Tenant == e.Tenant) &&
		!e.Received.Before(a.Since) && (a.Until.IsZero() || e.Received.Before(a.Until))
}

// NewID returns the id of a new replay. It says whether its deliveries have a
// webhook-id of their own, see [store.Delivery.WebhookID].
func NewID(now time.Time, newIDs bool) string {
	prefix := store.ReplayPrefix
	if newIDs {
		prefix = store.NewIDsPrefix
	}
	return prefix + strings.ToLower(ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()).String())
}

// Redelivery is what of one event is delivered again.
type Redelivery struct {
	// Routing is a further one of the event, nil where nothing is delivered.
	Routing *store.Routing
	// Skipped counts deliveries whose destination is not there any more, Failed
	// routes whose plugin failed.
	Skipped, Failed int
}

// Again gives what routing decided for e, to be delivered again at a time. to, where
// it is not empty, is the only destination; there says of one whether it is there
// still. Deliveries of replays are left out, and of one that was routed more than
// once the last counts.
func Again(e *event.Event, decided *store.Routing, to, id string, now time.Time, there func(destination string) bool) Redelivery {
	type key struct {
		route, lane string
		n           int
	}
	last := map[key]int{}
	for i := range decided.Deliveries {
		d := &decided.Deliveries[i]
		if d.Replay == "" && d.Lane != store.RoutingLane && (to == "" || d.Lane == to) {
			last[key{decided.Matches[d.Match].Route, d.Lane, d.N}] = i
		}
	}
	out := Redelivery{}
	r := &store.Routing{Position: e.Position, Config: decided.Config, Again: true}
	matches, contents := map[int]int{}, map[int]int{-1: -1}
	for i := range decided.Deliveries {
		d := &decided.Deliveries[i]
		if n, ok := last[key{decided.Matches[d.Match].Route, d.Lane, d.N}]; !ok || n != i {
			continue
		}
		if !there(d.Lane) {
			out.Skipped++
			continue
		}
		if _, ok := matches[d.Match]; !ok {
			matches[d.Match] = len(r.Matches)
			// Its plugins have not run.
			r.Matches = append(r.Matches, store.Match{Route: decided.Matches[d.Match].Route})
		}
		if _, ok := contents[d.Content]; !ok {
			contents[d.Content] = len(r.Contents)
			r.Contents = append(r.Contents, decided.Contents[d.Content])
		}
		r.Deliveries = append(r.Deliveries, store.Delivery{
			Match: matches[d.Match], N: d.N, Several: d.Several, Content: contents[d.Content],
			Lane: d.Lane, Format: d.Format, Due: now, Replay: id,
		})
	}
	if len(r.Deliveries) > 0 {
		out.Routing = r
	}
	return out
}
