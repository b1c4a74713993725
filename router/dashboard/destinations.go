package dashboard

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/router/api"
)

type destinationsPage struct {
	api.DestinationList
	// Filter is what the form has, Next the link to the next page.
	Filter   url.Values
	Next     string
	Statuses []string
	// NotActive asks for all statuses but that one.
	NotActive string
	Stats     map[string]api.StatsRow
}

// anyStatus are the choices of the form.
var anyStatus = append([]string{"active"}, notActive...)

func destinations(v *visit) (*view, error) {
	p := destinationsPage{Filter: v.filter("status"), Statuses: anyStatus, NotActive: strings.Join(notActive, ","), Stats: map[string]api.StatsRow{}}
	list := v.filter("status", "cursor")
	list.Set("limit", rows)
	if err := v.get("/api/destinations", list, &p.DestinationList); err != nil {
		return nil, err
	}
	if p.DestinationList.Next != "" {
		next := v.filter("status")
		next.Set("cursor", p.DestinationList.Next)
		p.Next = "/ui/destinations?" + next.Encode()
	}
	var s api.Stats
	q := url.Values{"by": {"destination"}, "points": {"24"}, "destination": {"", ""}}
	for i := range p.Destinations {
		q.Add("destination", p.Destinations[i].Name)
	}
	if err := v.get("/api/stats", q, &s); err != nil {
		return nil, err
	}
	for _, r := range s.Rows {
		p.Stats[r.Destination] = r
	}
	return &view{Page: "destinations", Title: "Destinations", Section: "destinations", Live: "kinds=attempt,state", Data: p}, nil
}

// cause is a group of failed deliveries.
type cause struct {
	Outcome     string
	Status      int
	Count       int
	First, Last time.Time
	Error       string
}

type destinationPage struct {
	api.Destination
	Stats api.StatsRow
	// Words say what is wrong, Then what waits and happens next.
	Words, Then string
	Causes      []cause
	// Failed are all attempts that failed in the window of Stats, by reason.
	Failed []failure
	// Recent are the newest deliveries that have not gone well, which Causes are of.
	Recent []api.Delivery
	Back   string
}

func oneDestination(v *visit) (*view, error) {
	var p destinationPage
	if err := v.get("/api/destinations/"+v.param("name"), nil, &p.Destination); err != nil {
		return nil, err
	}
	p.Words, p.Then = inWords(v.d.now(), &p.Destination)
	p.Back = "/ui/destinations/" + url.PathEscape(p.Name)
	var s api.Stats
	if err := v.get("/api/stats", url.Values{"by": {"destination"}, "destination": {p.Name}, "points": {"48"}}, &s); err != nil {
		return nil, err
	}
	if len(s.Rows) > 0 {
		p.Stats = s.Rows[0]
		p.Failed = failures(&p.Stats)
	}
	for _, status := range []string{"retrying", "dead"} {
		var list api.DeliveryList
		q := url.Values{"destination": {p.Name}, "status": {status}, "limit": {rows}}
		if err := v.get("/api/deliveries", q, &list); err != nil {
			return nil, err
		}
		p.Recent = append(p.Recent, list.Deliveries...)
	}
	p.Causes = causes(p.Recent)
	slices.SortStableFunc(p.Recent, func(a, b api.Delivery) int { return b.Received.Compare(a.Received) })
	return &view{Page: "destination", Title: p.Name, Section: "destinations", Live: "kinds=attempt,state&destination=" + url.QueryEscape(p.Name), Data: p}, nil
}

// causes groups deliveries by how their last attempt failed, the most frequent
// first.
func causes(list []api.Delivery) []cause {
	type key struct {
		outcome string
		status  int
	}
	groups := map[key]*cause{}
	for i := range list {
		if len(list[i].Attempts) == 0 {
			continue
		}
		a := &list[i].Attempts[len(list[i].Attempts)-1]
		k := key{a.Outcome, a.Status}
		g := groups[k]
		if g == nil {
			g = &cause{Outcome: a.Outcome, Status: a.Status, First: a.Started, Last: a.Started}
			groups[k] = g
		}
		g.Count++
		if a.Started.Before(g.First) {
			g.First = a.Started
		}
		if !a.Started.Before(g.Last) {
			g.Last, g.Error = a.Started, a.Error
		}
	}
	var all []cause
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b cause) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Status, b.Status))
	})
	return all
}

// change is a form's button on a destination's page.
func change(verb, done string) func(*visit) (string, error) {
	return func(v *visit) (string, error) {
		if err := v.call(http.MethodPost, "/api/destinations/"+v.param("name")+"/"+verb, nil, struct{}{}, nil); err != nil {
			return "", err
		}
		return done, nil
	}
}

func (m *markup) destinationRows(p *destinationsPage) {
	for i := range p.Destinations {
		d := &p.Destinations[i]
		s := p.Stats[d.Name]
		m.raw(rowOf(`first key`))
		m.destinationLink(d.Name)
		if d.Kind == "webhook" && d.Tenant+d.UID != "" {
			m.under(whose(d.Tenant, d.UID, d.URL))
		}
		m.under(d.URL)
		m.in(`class="last"`)
		m.badge(d.Status)
		m.quiet(``, d.Reason, ``)
		m.number(d.Depth, `waiting`)
		m.in(`data-before="the oldest came"`)
		if d.Oldest != nil {
			m.time(*d.Oldest)
		}
		m.in(`class="number" data-after="dead"`)
		if d.Dead > 0 {
			m.raw(`<a href="/ui/dead-letters?destination=`)
			m.param(d.Name)
			m.raw(`">`)
			m.count(d.Dead)
			m.raw(`</a>`)
		} else {
			m.raw(`0`)
		}
		m.in(`class="number" data-after="success"`)
		m.rate(s.SuccessRate)
		m.in(`class="number" data-before="p95"`)
		if s.Attempts > 0 {
			m.raw(written(milliseconds(s.Latency.P95MS)))
		} else {
			m.raw(`–`)
		}
		m.in(`class="last"`)
		m.spark(s.Points)
		m.raw(rowEnd)
	}
}

// rate is a success rate, where there is one.
func (m *markup) rate(of *float64) {
	if of == nil {
		m.raw(`–`)
		return
	}
	m.raw(written(percent(*of)))
}
