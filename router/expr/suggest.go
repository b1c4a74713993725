package expr

import "github.com/agext/levenshtein"

// DidYouMean returns the end of a message about an unknown name: a question with
// the name that was probably meant, or nothing where none is close.
func DidYouMean(given string, names []string) string {
	best, distance := "", 3
	for _, name := range names {
		d := levenshtein.Distance(given, name, nil)
		if d < distance && d < len(name) {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return ` Did you mean "` + best + `"?`
}
