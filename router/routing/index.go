package routing

import (
	"slices"
	"strings"

	"github.com/weirhq/weir/router/event"
)

// index finds the routes whose patterns fit a type without trying each pattern:
// exact types by a map, patterns by what stands before their first *, each
// pattern once however many routes have it.
type index struct {
	any      []int // routes without patterns
	exact    map[string][]int
	prefixes map[string][]wildcard
	lengths  []int // of the keys of prefixes, each once
}

type wildcard struct {
	pattern string
	routes  []int
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
		list := x.prefixes[head]
		if len(list) == 0 && !slices.Contains(x.lengths, len(head)) {
			x.lengths = append(x.lengths, len(head))
		}
		if i := find(list, p); i >= 0 {
			list[i].routes = append(list[i].routes, route)
		} else {
			x.prefixes[head] = append(list, wildcard{p, []int{route}})
		}
	}
}

// remove takes out what add has put in with the same arguments.
func (x *index) remove(route int, patterns []string) {
	if patterns == nil {
		x.any = without(x.any, route)
		return
	}
	for _, p := range patterns {
		head, _, wild := strings.Cut(p, "*")
		if !wild {
			if x.exact[p] = without(x.exact[p], route); len(x.exact[p]) == 0 {
				delete(x.exact, p)
			}
			continue
		}
		list := x.prefixes[head]
		i := find(list, p)
		if i < 0 {
			continue // the pattern stands twice in the list
		}
		if list[i].routes = without(list[i].routes, route); len(list[i].routes) == 0 {
			list = slices.Delete(list, i, i+1)
		}
		if x.prefixes[head] = list; len(list) == 0 {
			delete(x.prefixes, head)
			x.lengths = x.lengths[:0]
			for head := range x.prefixes {
				if !slices.Contains(x.lengths, len(head)) {
					x.lengths = append(x.lengths, len(head))
				}
			}
		}
	}
}

func find(list []wildcard, pattern string) int {
	return slices.IndexFunc(list, func(w wildcard) bool { return w.pattern == pattern })
}

func without(list []int, route int) []int {
	return slices.DeleteFunc(list, func(r int) bool { return r == route })
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
				to = append(to, w.routes...)
			}
		}
	}
	return to
}
