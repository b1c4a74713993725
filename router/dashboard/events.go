package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/webhook"
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
	// Destinations are those that its deliveries were for, and the webhooks that it is
	// explained for.
	Destinations []string
	// Whose says which of them is whose webhook.
	Whose map[string]string
	// Stuck are the deliveries that somebody may want to send, Sum says how the rest
	// stands, and Tone how good that is.
	Stuck     []stuck
	Sum, Tone string
	Curl      string
	Path      string
}

// stuck is a delivery that has not gone well, and Lane what is wrong with its
// destination, where that is not well either: then sending again is not enough.
type stuck struct {
	api.Delivery
	Lane string
	// Stopped says that nothing is sent before its destination is resumed.
	Stopped bool
}

// shownLanes is of how many destinations an event's page says what is wrong.
const shownLanes = 10

// lanes says it.
func (p *eventPage) lanes(v *visit) error {
	type lane struct {
		text    string
		stopped bool
	}
	words := map[string]lane{}
	for i := range p.Stuck {
		name := p.Stuck[i].Destination
		l, known := words[name]
		if !known && name != "" && len(words) < shownLanes {
			var d api.Destination
			var gone *problem.Problem
			switch err := v.get("/api/destinations/"+url.PathEscape(name), nil, &d); {
			case errors.As(err, &gone) && gone.Status == http.StatusNotFound:
			case err != nil:
				return err
			case d.Status != "active":
				is, then := inWords(v.d.now(), &d)
				if !strings.HasPrefix(is, d.Status) {
					is = d.Status + ": " + is
				}
				l = lane{name + " is " + is + "; " + then + ".", stopped(&d)}
			}
			words[name] = l
		}
		p.Stuck[i].Lane, p.Stuck[i].Stopped = l.text, l.stopped
	}
	return nil
}

func oneEvent(v *visit) (*view, error) {
	var p eventPage
	q := v.filter("source", "destination")
	if err := v.get("/api/events/"+v.param("id")+"/explain", q, &p.Explanation); err != nil {
		return nil, err
	}
	p.Whose = map[string]string{}
	for _, r := range p.Routes {
		if of := whose(r.Tenant, r.UID, r.URL); of != "" {
			p.Whose[r.Route] = of
		}
		for _, d := range r.Deliveries {
			if d.Status == "dead" || d.Status == "retrying" {
				p.Stuck = append(p.Stuck, stuck{Delivery: d})
			}
			if d.Destination != "" && !slices.Contains(p.Destinations, d.Destination) {
				p.Destinations = append(p.Destinations, d.Destination)
			}
		}
		// One that a filter or a plugin kept the event from can be sent it once that is mended.
		if webhook.IsID(r.Route) && !slices.Contains(p.Destinations, r.Route) {
			p.Destinations = append(p.Destinations, r.Route)
		}
		if r.Matched {
			p.Matched = append(p.Matched, r)
		} else {
			p.Others = append(p.Others, r)
		}
	}
	if err := p.lanes(v); err != nil {
		return nil, err
	}
	p.Sum, p.Tone = p.sum()
	p.Path = "/ui/events/" + url.PathEscape(p.Event.ID) + "?" + url.Values{"source": {p.Event.Source}}.Encode()
	p.Curl = curl(&p.Event, "http://"+string(v.c.Request().Host()))
	return &view{Page: "event", Title: p.Event.ID, Section: "events", Live: "kinds=event,attempt&events=" + url.QueryEscape(p.Event.Type), Data: p}, nil
}

// sum says in a sentence how it stands with what is not stuck, and with which class
// it is shown.
func (p *eventPage) sum() (text, tone string) {
	states := map[string]int{}
	all := 0
	for _, r := range p.Matched {
		for _, d := range r.Deliveries {
			states[d.Status]++
			all++
		}
	}
	under := states["waiting"] + states["sending"]
	var parts []string
	for _, s := range []struct {
		n    int
		word string
	}{{under, "under way"}, {states["delivered"], "delivered"}, {states["cancelled"], "cancelled"}} {
		if s.n > 0 {
			parts = append(parts, count(s.n)+" "+s.word)
		}
	}
	switch {
	case !p.Routed:
		return "It waits for its turn to be routed.", "caution"
	case len(p.Matched) == 0:
		return "No route took it, so nothing was sent. Why is said below.", "caution"
	case all == 0:
		return "Nothing was sent: a plugin dropped it.", "caution"
	case states["delivered"] == all && p.MoreWebhooks == 0:
		return "Delivered: " + plural(all, "delivery") + ", nothing is left to do.", "done"
	case len(parts) == 0:
		return "", ""
	case p.MoreWebhooks > 0:
		return "Of those shown: " + strings.Join(parts, ", ") + ". " + plural(p.MoreWebhooks, "more registered webhook") + " took it.", "quiet"
	case len(p.Stuck) > 0:
		return "Of the others: " + strings.Join(parts, ", ") + ".", "quiet"
	}
	return plural(all, "delivery") + ": " + strings.Join(parts, ", ") + ".", "caution"
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
		m.raw(rowOf(`top key`))
		m.eventLink(e.ID, e.Source)
		m.in(``)
		m.text(e.Type)
		m.in(`data-before="from"`)
		m.text(e.Source)
		m.quiet(`for `, e.Tenant, ``)
		m.in(`class="number"`)
		m.raw(written(size(int64(e.Size))))
		m.in(`class="last"`)
		m.time(e.Received)
		m.raw(rowEnd)
	}
}
