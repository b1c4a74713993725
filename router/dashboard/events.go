package dashboard

import (
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/router/api"
)

// eventsPage is the list of events.
type eventsPage struct {
	api.EventList
	// Filter is what the form has, Next the link to the next page.
	Filter   url.Values
	Next     string
	Statuses []string
}

var eventFilters = []string{"type", "source", "tenant", "since", "until", "text", "destination", "status"}

// events lists them, newest first, or what a search finds of them.
func events(v *visit) (*view, error) {
	p := eventsPage{Filter: v.filter(eventFilters...), Statuses: deliveryStatuses}
	q, err := v.listed(eventFilters...)
	if err != nil {
		return nil, err
	}
	if err := v.get("/api/events", q, &p.EventList); err != nil {
		return nil, err
	}
	p.Next = older("/ui/events", p.Filter, p.EventList.Next)
	shown := &view{Page: "events", Title: "Events", Section: "events", Data: p}
	if v.query("cursor") == "" { // what is older does not change
		shown.Live = "kinds=event"
		if p.Filter.Get("status") != "" {
			shown.Live = "kinds=event,attempt"
		}
	}
	return shown, nil
}

// eventPage is one event, where it went and why.
type eventPage struct {
	api.Explanation
	// Matched and Others are the routes that took it and those that did not.
	Matched, Others []api.RouteVerdict
	// Destinations are those that its deliveries were for.
	Destinations []string
	Curl         string
	Path         string
}

func oneEvent(v *visit) (*view, error) {
	var p eventPage
	q := v.filter("source", "destination")
	if err := v.get("/api/events/"+v.param("id")+"/explain", q, &p.Explanation); err != nil {
		return nil, err
	}
	for _, r := range p.Routes {
		for _, d := range r.Deliveries {
			if d.Destination != "" && !slices.Contains(p.Destinations, d.Destination) {
				p.Destinations = append(p.Destinations, d.Destination)
			}
		}
		if r.Matched {
			p.Matched = append(p.Matched, r)
		} else {
			p.Others = append(p.Others, r)
		}
	}
	p.Path = "/ui/events/" + url.PathEscape(p.Event.ID) + "?" + url.Values{"source": {p.Event.Source}}.Encode()
	p.Curl = curl(&p.Event, "http://"+string(v.c.Request().Host()))
	return &view{Page: "event", Title: p.Event.ID, Section: "events", Live: "kinds=event,attempt&events=" + url.QueryEscape(p.Event.Type), Data: p}, nil
}

// curl is a command that sends the event's data as a new event.
func curl(e *api.Event, base string) string {
	data := string(e.Data)
	if data == "" {
		return ""
	}
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	body := `{"event":` + quoteJSON(e.Type) + `,"data":` + data + `}`
	return "curl " + quote(base+"/events") + " -H 'content-type: application/json' -d " + quote(body)
}

func (m *markup) eventRows(list []api.Event) {
	for i := range list {
		e := &list[i]
		m.raw("<tr>\n<td>")
		m.eventLink(e.ID, e.Source)
		m.raw(`</td><td>`)
		m.text(e.Type)
		m.raw(`</td><td>`)
		m.text(e.Source)
		m.quiet(`for `, e.Tenant, ``)
		m.raw(`</td><td class="number">`)
		m.raw(written(size(int64(e.Size))))
		m.raw(`</td><td>`)
		m.time(e.Received)
		m.raw("</td></tr>\n")
	}
}
