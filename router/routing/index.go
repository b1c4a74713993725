package routing

import (
	"slices"
	"strings"

	"github.com/weirhq/weir/router/event"
)

// index finds the routes whose patterns fit a type without trying each pattern:
// exact types by a map, patterns by what stands before their first *.
type index struct {
	any      []int // routes without patterns
	exact    map[string][]int
	prefixes map[string][]wildcard
	lengths  []int // of the keys of prefixes, each once
}

type wildcard struct {
	pattern string
	route   int
}

func (x *index) add(route int, patterns []string) {
	if patterns == nil {
		x.any = append(x.any, route)
		return
	}
	for _, p := range patterns {
		head, _, wild := strings.Cut(p, "*")
		if !wild {
			if x.exact == nil {
				x.exact = map[string][]int{}
			}
			x.exact[p] = append(x.exact[p], route)
			continue
		}
		if x.prefixes == nil {
			x.prefixes = map[string][]wildcard{}
		}
		if _, ok := x.prefixes[head]; !ok && !slices.Contains(x.lengths, len(head)) {
			x.lengths = append(x.lengths, len(head))
		}
		x.prefixes[head] = append(x.prefixes[head], wildcard{p, route})
	}
}

// find appends the routes that may take a type, in no order; a route whose
// patterns fit twice comes twice.
func (x *index) find(to []int, eventType string) []int {
	to = append(to, x.any...)
	to = append(to, x.exact[eventType]...)
	for _, n := range x.lengths {
		if n > len(eventType) {
			continue
		}
		for _, w := range x.prefixes[eventType[:n]] {
			if event.MatchType(w.pattern, eventType) {
				to = append(to, w.route)
			}
		}
	}
	return to
}
