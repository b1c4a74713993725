package dashboard

import (
	"cmp"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/store"
)

// windows are what can be chosen, with how many points their charts have.
var windows = []struct {
	Name, Title string
	Points      int
}{{"1h", "last hour", 60}, {"24h", "last 24 hours", 48}, {"7d", "last 7 days", 84}}

// notActive are the statuses of destinations that somebody should look at.
var notActive = []string{"failing", "open", "held", "paused", "disabled", "orphaned"}

// shownBroken is how many of them the overview shows.
const shownBroken = 20

// broken is something that somebody should look at, in words.
type broken struct {
	Destination api.Destination
	// Text is what is wrong, Then what waits and what happens next.
	Text, Then string
	// Href is its page.
	Href string
}

type overviewPage struct {
	Window  string
	Title   string
	Windows []string
	// Broken are the first of those that are not well, MoreBroken says how many
	// more there are.
	Broken     []broken
	MoreBroken int
	NotActive  string
	// Unrouted counts the dead letters of routing itself.
	Unrouted uint64
	// Back is this page, for the forms on it.
	Back string
	// Total is everything of the window, Waiting what is in all lanes now, Dead all
	// that was given up.
	Total         api.StatsRow
	Waiting, Dead uint64
	Oldest        *time.Time
	// Charts over the window.
	Events, Deliveries, Reasons, Depth, Age template.HTML
	Failures                                []failure
	// Types and Destinations are those with the most deliveries; the rest is counted.
	Types, Destinations         []api.StatsRow
	MoreTypes, MoreDestinations int
}

type failure struct {
	Reason string
	Count  uint64
}

// failures are those of a row by reason, the most frequent first.
func failures(r *api.StatsRow) []failure {
	var all []failure
	for reason, n := range r.Failures {
		all = append(all, failure{reason, n})
	}
	slices.SortFunc(all, func(a, b failure) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason)) })
	return all
}

// overview answers: is all well, and if not, what is broken?
func overview(v *visit) (*view, error) {
	p := overviewPage{Window: "24h", Title: windows[1].Title, NotActive: strings.Join(notActive, ","), Back: "/"}
	points := windows[1].Points
	for _, w := range windows {
		p.Windows = append(p.Windows, w.Name)
		if w.Name == v.query("window") {
			p.Window, p.Title, points = w.Name, w.Title, w.Points
			p.Back = "/?window=" + w.Name
		}
	}
	ask := func(by string, points int) (api.Stats, error) {
		q := url.Values{"window": {p.Window}}
		if by != "" {
			q.Set("by", by)
			q.Set("top", rows)
		}
		if points > 0 {
			q.Set("points", strconv.Itoa(points))
		}
		var s api.Stats
		err := v.get("/api/stats", q, &s)
		return s, err
	}
	all, err := ask("", points)
	if err != nil {
		return nil, err
	}
	if len(all.Rows) > 0 {
		p.Total = all.Rows[0]
		p.Events, p.Deliveries = eventBars(p.Total.Points), deliveryBars(p.Total.Points)
		p.Failures = failures(&p.Total)
		p.Reasons = failureBars(p.Total.Points, p.Failures)
	}
	p.Depth, p.Age = queueBars(all.Queue)
	types, err := ask("event", 24)
	if err != nil {
		return nil, err
	}
	p.Types, p.MoreTypes = counted(types.Rows), types.More
	destinations, err := ask("destination", 24)
	if err != nil {
		return nil, err
	}
	p.Destinations, p.MoreDestinations = counted(destinations.Rows), destinations.More
	var lanes api.DestinationList
	q := url.Values{"status": {strings.Join(notActive, ",")}, "limit": {strconv.Itoa(shownBroken)}}
	if err := v.get("/api/destinations", q, &lanes); err != nil {
		return nil, err
	}
	for i := range lanes.Destinations {
		d := &lanes.Destinations[i]
		text, then := inWords(v.d.now(), d)
		p.Broken = append(p.Broken, broken{*d, text, then, "/ui/destinations/" + url.PathEscape(d.Name)})
	}
	// The worst first: what fails, then what somebody has stopped.
	slices.SortStableFunc(p.Broken, func(a, b broken) int {
		return cmp.Or(cmp.Compare(tone(a.Destination.Status), tone(b.Destination.Status)), cmp.Compare(b.Destination.Depth, a.Destination.Depth))
	})
	if t := lanes.Total; t != nil {
		p.Waiting, p.Dead, p.Oldest = t.Depth, t.Dead, t.Oldest
		p.MoreBroken = -len(p.Broken)
		for _, status := range notActive {
			p.MoreBroken += t.Statuses[status]
		}
	}
	var letters api.DeadLetterList
	q = url.Values{"destination": {store.RoutingLane}, "limit": {"1"}}
	if err := v.get("/api/dead-letters", q, &letters); err != nil {
		return nil, err
	}
	p.Unrouted = letters.Total
	p.Dead += p.Unrouted
	return &view{Page: "overview", Title: "Overview", Section: "overview", Live: "kinds=event,attempt,state", Data: p}, nil
}

// counted leaves out rows of which there is nothing to say.
func counted(rows []api.StatsRow) []api.StatsRow {
	return slices.DeleteFunc(rows, func(r api.StatsRow) bool { return r.Events+r.Deliveries+r.Attempts == 0 })
}

// inWords says what is wrong with a destination, and what waits and happens next.
func inWords(now time.Time, d *api.Destination) (text, then string) {
	switch d.Status {
	case "failing", "open":
		text = "failing"
		if f := d.LastFailure; f != nil {
			text = describeOutcome(f.Reason, f.Status)
		}
		if d.FailingSince != nil {
			text += " since " + since(now, *d.FailingSince)
		}
	case "held":
		text = "the receiver asked for time"
	case "paused":
		text = "paused by hand"
		if d.Since != nil {
			text += " since " + since(now, *d.Since)
		}
	case "disabled":
		text = "disabled"
		if d.Reason != "" {
			text += ": " + d.Reason
		}
		if d.Since != nil {
			text += ", since " + since(now, *d.Since)
		}
	case "orphaned":
		text = "no longer configured"
	default:
		text = d.Status
	}
	parts := []string{count(d.Depth) + " waiting"}
	if d.Depth == 0 {
		parts[0] = "nothing waits"
	}
	if d.Dead > 0 {
		parts = append(parts, count(d.Dead)+" given up")
	}
	if d.Next != nil && d.Next.After(now) {
		what := "goes on"
		if d.Status == "open" {
			what = "next probe"
		}
		parts = append(parts, what+" "+until(now, *d.Next))
	}
	return text, strings.Join(parts, ", ")
}

// since is a time of day, with the day where it was another one.
func since(now, t time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("Jan 2 15:04")
}

func (m *markup) statsRows(list []api.StatsRow) {
	for i := range list {
		r := &list[i]
		m.raw(rowOf(`first key`))
		if r.Destination != "" {
			m.destinationLink(r.Destination)
			m.whose(r.Webhook)
		} else {
			m.raw(`<a href="/ui/events?type=`)
			m.param(r.Event)
			m.raw(`">`)
			m.text(r.Event)
			m.raw(`</a>`)
		}
		m.number(r.Deliveries, `deliveries`)
		m.in(`class="number" data-after="success"`)
		m.rate(r.SuccessRate)
		m.number(r.Retries, `retries`)
		m.in(`class="line"`)
		for i, reason := range slices.Sorted(maps.Keys(r.Failures)) {
			if i > 0 {
				m.raw(`, `)
			}
			m.raw(`<span class="bad whole" title="`)
			m.text(reason)
			m.raw(`">`)
			m.count(r.Failures[reason])
			m.raw(` `)
			m.text(failureWord(reason))
			m.raw(`</span>`)
		}
		for _, l := range []struct {
			name written
			ms   float64
		}{{`average`, r.Latency.AverageMS}, {`p50`, r.Latency.P50MS}, {`p95`, r.Latency.P95MS}, {`p99`, r.Latency.P99MS}} {
			m.in(`class="number" data-before="` + l.name + `"`)
			if r.Attempts > 0 {
				m.raw(written(milliseconds(l.ms)))
			}
		}
		m.in(`class="last"`)
		m.spark(r.Points)
		m.raw(rowEnd)
	}
}
