package dashboard

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/problem"
)

// replayFields are what the form of a replay has, as the API calls them.
var replayFields = []string{"type", "source", "tenant", "destination", "since", "until", "to", "routes", "rate", "new_ids"}

type replaysPage struct {
	api.ReplayList
	// Form is what the form has, Counted what it would do where that was asked.
	Form    url.Values
	Counted *api.Replay
}

func replays(v *visit) (*view, error) {
	return showReplays(v, replaysPage{Form: v.filter(replayFields...)})
}

func showReplays(v *visit, p replaysPage) (*view, error) {
	if err := v.get("/api/replays", nil, &p.ReplayList); err != nil {
		return nil, err
	}
	return &view{Page: "replays", Title: "Replays", Section: "replays", Data: p}, nil
}

// startReplay counts what the form asks for, or begins it and leads to its page.
func (d *Dashboard) startReplay(c *fiber.Ctx) error {
	v := &visit{c: c, d: d}
	form := v.form(replayFields...)
	ask, err := v.replayOptions(form)
	if err != nil {
		return d.refuse(c, err)
	}
	ask.DryRun = c.FormValue("do") != "start"
	var r api.Replay
	if err := v.call(http.MethodPost, "/api/replays", nil, ask, &r); err != nil {
		return d.refuse(c, err)
	}
	if !ask.DryRun {
		return c.Redirect("/ui/replays/"+url.PathEscape(r.ID), http.StatusSeeOther)
	}
	shown, err := showReplays(v, replaysPage{Form: form, Counted: &r})
	if err != nil {
		return d.refuse(c, err)
	}
	return d.render(c, http.StatusOK, shown)
}

func (v *visit) replayOptions(form url.Values) (*api.ReplayOptions, error) {
	o := &api.ReplayOptions{
		Type: form.Get("type"), Source: form.Get("source"), Tenant: form.Get("tenant"), Destination: form.Get("destination"),
		EventReplayOptions: api.EventReplayOptions{To: form.Get("to"), Routes: form.Get("routes"), NewIDs: form.Get("new_ids") != ""},
	}
	var err error
	if o.Since, o.Until, err = formTimes(v.d.now(), form); err != nil {
		return nil, err
	}
	if text := form.Get("rate"); text != "" {
		if o.Rate, err = strconv.Atoi(text); err != nil {
			return nil, problem.New(http.StatusBadRequest, "bad_parameter", "the rate must be a number of events a second, not %q", text)
		}
	}
	return o, nil
}

func oneReplay(v *visit) (*view, error) {
	var r api.Replay
	if err := v.get("/api/replays/"+v.param("id"), nil, &r); err != nil {
		return nil, err
	}
	return &view{Page: "replay", Title: "Replay " + r.ID, Section: "replays", Data: r}, nil
}

func cancelReplay(v *visit) (string, error) {
	if err := v.call(http.MethodDelete, "/api/replays/"+v.param("id"), nil, nil, nil); err != nil {
		return "", err
	}
	return "The replay is cancelled. What it has made goes on.", nil
}

// replayEvent delivers one event again, to all or to one.
func replayEvent(v *visit) (string, error) {
	o := api.EventReplayOptions{To: v.c.FormValue("to"), Routes: v.c.FormValue("routes"), NewIDs: v.c.FormValue("new_ids") != ""}
	q := url.Values{}
	if source := v.c.FormValue("source"); source != "" {
		q.Set("source", source)
	}
	var r api.EventReplay
	if err := v.call(http.MethodPost, "/api/events/"+v.param("id")+"/replay", q, o, &r); err != nil {
		return "", err
	}
	text := plural(r.Deliveries, "delivery") + " made, out of order, by the replay " + r.ID + "."
	if r.Skipped > 0 {
		text += " " + plural(r.Skipped, "destination") + " left out, which are gone."
	}
	if r.Failed > 0 {
		text += " " + plural(r.Failed, "route") + " failed; the router's log says why."
	}
	return text, nil
}

// progress is how far something is, in hundredths; what is nothing is done.
func progress(done, total uint64) int {
	if total == 0 {
		return 100
	}
	return int(min(done, total) * 100 / total)
}
