package store

// What is kept of a delivery that is tried again and again, as a receiver can
// have it by asking for more time: a row must not grow without bound.
const (
	// MaxAttempts is how many attempts are kept: the first, and the newest.
	MaxAttempts = 200
	// MaxAttemptBodies is how many of the newest keep their response body.
	MaxAttemptBodies = 16
)

// AppendAttempt adds an attempt to those of a delivery, within the bounds. Every
// implementation keeps attempts by it. Numbers tell what was left out.
func AppendAttempt(list []Attempt, a Attempt) []Attempt {
	list = append(list, a)
	if len(list) > MaxAttempts {
		list = append(list[:1], list[2:]...)
	}
	if n := len(list) - MaxAttemptBodies; n > 0 {
		list[n-1].Body = nil
	}
	return list
}
