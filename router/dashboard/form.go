package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/problem"
)

// form gives the fields of a form that are not empty.
func (v *visit) form(names ...string) url.Values {
	q := url.Values{}
	for _, name := range names {
		if value := strings.TrimSpace(strings.Clone(v.c.FormValue(name))); value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// formTimes reads the fields since and until of a form.
func formTimes(now time.Time, form url.Values) (since, until time.Time, err error) {
	if since, err = formTime(now, "since", form.Get("since")); err == nil {
		until, err = formTime(now, "until", form.Get("until"))
	}
	return since, until, err
}

// formTime reads a time as people write it: in UTC, with less than all of its
// digits, or how long ago it was.
func formTime(now time.Time, name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	ago := text
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n < 100_000 {
			ago = strconv.Itoa(n*24) + "h"
		}
	}
	if d, err := time.ParseDuration(ago); err == nil && d >= 0 {
		return now.Add(-d).UTC(), nil
	}
	return time.Time{}, problem.New(http.StatusBadRequest, "bad_parameter",
		"%s must be a time in UTC such as 2026-01-31 12:00, or how long ago, such as 90s, 2h or 7d, not %q", name, text)
}

// rows is how many a page of a list has: about as many as can be seen at once.
const rows = "20"

// listed is what a list asks the API for by the page's form.
func (v *visit) listed(names ...string) (url.Values, error) {
	q := v.filter(append(names, "cursor")...)
	q.Set("limit", rows)
	for _, name := range []string{"since", "until"} {
		t, err := formTime(v.d.now(), name, q.Get(name))
		if err != nil {
			return nil, err
		}
		if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	return q, nil
}

// older is the link to the page behind, empty where there is none.
func older(path string, filter url.Values, next string) string {
	if next == "" {
		return ""
	}
	q := url.Values{}
	for name, values := range filter {
		q[name] = values
	}
	q.Set("cursor", next)
	return path + "?" + q.Encode()
}
