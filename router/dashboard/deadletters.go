package dashboard

import (
	"net/http"
	"net/url"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/problem"
)

type deadLettersPage struct {
	api.DeadLetterList
	Filter url.Values
	Next   string
	Back   string
}

var deadLetterFilters = []string{"destination", "type", "source", "tenant", "since", "until"}

func deadLetters(v *visit) (*view, error) {
	p := deadLettersPage{Filter: v.filter(deadLetterFilters...)}
	if err := v.get("/api/dead-letters", v.filter(append(deadLetterFilters, "cursor")...), &p.DeadLetterList); err != nil {
		return nil, err
	}
	p.Back = "/ui/dead-letters?" + v.filter(append(deadLetterFilters, "cursor")...).Encode()
	if p.DeadLetterList.Next != "" {
		next := v.filter(deadLetterFilters...)
		next.Set("cursor", p.DeadLetterList.Next)
		p.Next = "/ui/dead-letters?" + next.Encode()
	}
	return &view{Page: "dead-letters", Title: "Dead letters", Section: "dead-letters", Data: p}, nil
}

// actionTime is how long a form may go on with a change in steps.
const actionTime = 10 * time.Second

// moveDead retries or cancels the dead letters that are ticked, or all that the
// form's filter fits.
func moveDead(verb, past string) func(*visit) (string, error) {
	return func(v *visit) (string, error) {
		var f api.DeadLetterFilter
		form, err := url.ParseQuery(string(v.c.Request().Body()))
		if err != nil {
			return "", problem.New(http.StatusBadRequest, "malformed_form", "the form can't be read: %v", err)
		}
		path := "/api/dead-letters/" + verb
		if form.Get("which") != "all" {
			if f.IDs = form["id"]; len(f.IDs) == 0 {
				return "Nothing was ticked.", nil
			}
			var moved api.Moved
			if err := v.call(http.MethodPost, path, nil, f, &moved); err != nil {
				return "", err
			}
			return movedText(&moved, past), nil
		}
		f.Type, f.Source, f.Destination, f.Tenant = form.Get("type"), form.Get("source"), form.Get("destination"), form.Get("tenant")
		for name, to := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
			if text := form.Get(name); text != "" {
				if *to, err = time.Parse(time.RFC3339, text); err != nil {
					return "", problem.New(http.StatusBadRequest, "bad_parameter", "%s must be a time such as 2024-01-01T12:00:00Z, not %q", name, text)
				}
			}
		}
		sum := api.Moved{}
		for began := time.Now(); ; {
			var moved api.Moved
			if err := v.call(http.MethodPost, path, nil, f, &moved); err != nil {
				return "", err
			}
			sum.Moved += moved.Moved
			sum.Skipped += moved.Skipped
			if f.Cursor = moved.Next; f.Cursor == "" || time.Since(began) > actionTime {
				sum.Next = f.Cursor
				return movedText(&sum, past), nil
			}
		}
	}
}
