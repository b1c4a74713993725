package routing

import (
	"strings"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
)

// Verdict says why a route takes an event or does not.
type Verdict struct {
	Route   string
	Matched bool
	// Reason is the first thing that failed, in words; empty when it matched.
	Reason string
	// Terms are those of the condition, with their values.
	Terms []expr.Term
}

// Explain says of every route, in order, whether it takes e and why not. Plugins
// are not run: what they did is in the store.
func (t *Table) Explain(e *event.Event) []Verdict {
	in := expr.NewInput(event.NewMessage(e))
	verdicts := make([]Verdict, len(t.routes))
	taken := false
	for i, r := range t.routes {
		verdicts[i] = r.explain(e, in)
		taken = taken || verdicts[i].Matched && !r.Fallback
	}
	for i, r := range t.routes {
		if r.Fallback && taken && verdicts[i].Matched {
			verdicts[i].Matched = false
			verdicts[i].Reason = "it is a fallback, and another route took the event"
		}
	}
	return verdicts
}

func (r *route) explain(e *event.Event, in *expr.Input) Verdict {
	v := Verdict{Route: r.Name}
	if !r.from(e.Source) {
		v.Reason = "source is " + e.Source
		if r.From != nil {
			v.Reason += ", not " + strings.Join(r.From, " or ")
		} else {
			v.Reason += ", which a route must name"
		}
		return v
	}
	if r.Events != nil && !matchAny(r.Events, e.Type) {
		v.Reason = "type is " + e.Type + ", not " + strings.Join(r.Events, " or ")
		return v
	}
	if r.When != nil {
		v.Terms = r.When.Explain(in)
		for _, term := range v.Terms {
			if !term.OK {
				v.Reason = term.Reason
				return v
			}
		}
	}
	v.Matched = true
	return v
}

func matchAny(patterns []string, eventType string) bool {
	for _, p := range patterns {
		if event.MatchType(p, eventType) {
			return true
		}
	}
	return false
}
