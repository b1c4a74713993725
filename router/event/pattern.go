package event

import "strings"

// MatchType reports whether an event type fits a pattern, in which * stands for any
// run of characters, the empty one included.
func MatchType(pattern, eventType string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == eventType
	}
	s, ok := strings.CutPrefix(eventType, head)
	if !ok {
		return false
	}
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], next
	}
}
