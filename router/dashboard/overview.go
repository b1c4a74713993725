package dashboard

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/api"
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
	Text        string
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
	// Total is everything of the window, Waiting and Dead what is in all lanes now.
	Total         api.StatsRow
	Waiting, Dead uint64
	Oldest        *time.Time
	// Charts over the window.
	Events, Deliveries, Reasons, Depth, Age template.HTML
	// Shades are what the parts of Reasons are.
	Shades   []series
	Failures []failure
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
	p := overviewPage{Window: "24h", Title: windows[1].Title, NotActive: strings.Join(notActive, ",")}
	points := windows[1].Points
	for _, w := range windows {
		p.Windows = append(p.Windows, w.Name)
		if w.Name == v.query("window") {
			p.Window, p.Title, points = w.Name, w.Title, w.Points
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
		p.Reasons, p.Shades = failureBars(p.Total.Points, p.Failures)
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
		p.Broken = append(p.Broken, broken{*d, inWords(v.d.now(), d)})
	}
	if t := lanes.Total; t != nil {
		p.Waiting, p.Dead, p.Oldest = t.Depth, t.Dead, t.Oldest
		p.MoreBroken = -len(p.Broken)
		for _, status := range notActive {
			p.MoreBroken += t.Statuses[status]
		}
	}
	return &view{Page: "overview", Title: "Overview", Section: "overview", Live: "kinds=event,attempt,state", Data: p}, nil
}

// counted leaves out rows of which there is nothing to say.
func counted(rows []api.StatsRow) []api.StatsRow {
	return slices.DeleteFunc(rows, func(r api.StatsRow) bool { return r.Events+r.Deliveries+r.Attempts == 0 })
}

// inWords says what is wrong with a destination and what happens next.
func inWords(now time.Time, d *api.Destination) string {
	text := ""
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
	text += fmt.Sprintf(", %s waiting", count(d.Depth))
	if d.Dead > 0 {
		text += fmt.Sprintf(", %s given up", count(d.Dead))
	}
	if d.Next != nil && d.Next.After(now) {
		what := "goes on"
		if d.Status == "open" {
			what = "next probe"
		}
		text += ", " + what + " " + until(now, *d.Next)
	}
	return text
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
		m.raw("<tr>\n<td>")
		if r.Destination != "" {
			m.destinationLink(r.Destination)
		} else {
			m.raw(`<a href="/ui/events?type=`)
			m.param(r.Event)
			m.raw(`">`)
			m.text(r.Event)
			m.raw(`</a>`)
		}
		m.raw(`</td>`)
		m.number(r.Deliveries)
		m.raw(`<td class="number">`)
		m.rate(r.SuccessRate)
		m.raw(`</td>`)
		m.number(r.Retries)
		m.raw(`<td>`)
		for _, reason := range slices.Sorted(maps.Keys(r.Failures)) {
			m.raw(`<span class="bad" title="`)
			m.text(reason)
			m.raw(`">`)
			m.count(r.Failures[reason])
			m.raw(` `)
			m.text(failureWord(reason))
			m.raw(`</span> `)
		}
		m.raw(`</td>`)
		for _, ms := range []float64{r.Latency.AverageMS, r.Latency.P50MS, r.Latency.P95MS, r.Latency.P99MS} {
			m.raw(`<td class="number">`)
			m.raw(written(milliseconds(ms)))
			m.raw(`</td>`)
		}
		m.raw(`<td>`)
		m.spark(r.Points)
		m.raw("</td></tr>\n")
	}
}
