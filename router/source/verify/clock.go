package verify

import (
	"math"
	"strconv"
	"time"

	"github.com/weirhq/weir/router/problem"
)

// parseSeconds reads Unix seconds: digits only, as they are signed.
func parseSeconds(s string) (time.Time, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || n > math.MaxInt32*1000 {
		return time.Time{}, false
	}
	return time.Unix(int64(n), 0), true
}

func malformedTime(where string) *problem.Problem {
	return refuse("timestamp_malformed", "%s is not a number of seconds since 1970", where)
}

// checkTime refuses a signed time that is further from the request's than the
// tolerance. It comes after the signature: a stranger learns nothing from the
// clock.
func checkTime(r *Request, at time.Time, tolerance time.Duration) *problem.Problem {
	switch age := r.Time.Sub(at); {
	case age > tolerance:
		return refuse("timestamp_too_old", "the request was signed %s ago, more than the tolerance of %s", age.Round(time.Second), tolerance)
	case age < -tolerance:
		return refuse("timestamp_in_future", "the request was signed for %s from now, more than the tolerance of %s: a clock is wrong",
			(-age).Round(time.Second), tolerance)
	}
	return nil
}
