package dashboard

import (
	"cmp"
	"html/template"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/router/api"
)

// drawn is how many routes one picture has at most, drawnTo how many destinations
// of each.
const (
	drawn   = 40
	drawnTo = 20
)

type routesPage struct {
	api.RouteList
	// Shown are those that the filter chooses, the first of them; More counts the
	// rest.
	Shown  []shownRoute
	More   int
	Filter string
	Whole  template.HTML
}

type shownRoute struct {
	api.Route
	// MoreTo counts the destinations that are not shown.
	MoreTo int
	Graph  template.HTML
}

// routes draws how events go, with what went.
func routes(v *visit) (*view, error) {
	p := routesPage{Filter: v.query("route")}
	if err := v.get("/api/routes", nil, &p.RouteList); err != nil {
		return nil, err
	}
	var broken api.DestinationList
	if err := v.get("/api/destinations", url.Values{"status": {strings.Join(notActive, ",")}, "limit": {"1000"}}, &broken); err != nil {
		return nil, err
	}
	tones := map[string]string{}
	for _, d := range broken.Destinations {
		tones[d.Name] = d.Status
	}
	chosen := p.Routes
	if p.Filter != "" {
		chosen = slices.DeleteFunc(slices.Clone(chosen), func(r api.Route) bool { return !strings.Contains(r.Name, p.Filter) })
	}
	if len(chosen) > drawn {
		p.More = len(chosen) - drawn
		chosen = chosen[:drawn]
	}
	last := depth(chosen)
	whole := newGraph()
	for i := range chosen {
		r, more := chosen[i], uint64(0)
		all := len(r.To)
		r.To, more = shownTo(r.To, tones)
		left := all - len(r.To)
		whole.add(&r, last, tones, left, more)
		one := newGraph()
		one.add(&r, depth(chosen[i:i+1]), tones, left, more)
		p.Shown = append(p.Shown, shownRoute{r, left, one.down("Route " + r.Name)})
	}
	if w := p.Webhooks; w != nil && p.Filter == "" {
		n := whole.node("webhooks", plural(w.Registered, "webhook"), "/ui/webhooks", last)
		for _, f := range w.From {
			whole.edge(whole.node("source", f.Name, "/ui/events?source="+url.QueryEscape(f.Name), 0), n, f.Count)
		}
	}
	if len(whole.nodes) > 0 {
		p.Whole = whole.across("How events go")
	}
	return &view{Page: "routes", Title: "Routes", Section: "routes", Live: "kinds=event,state", Data: p}, nil
}

// shownTo chooses destinations to draw: those that are not well, then those that most
// goes to; more is what goes to the others.
func shownTo(all []api.Flow, tones map[string]string) (shown []api.Flow, more uint64) {
	if len(all) <= drawnTo {
		return all, 0
	}
	shown = slices.Clone(all)
	slices.SortStableFunc(shown, func(a, b api.Flow) int {
		if well := tones[a.Name] == ""; well != (tones[b.Name] == "") {
			if well {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.Count, a.Count)
	})
	for _, f := range shown[drawnTo:] {
		more += f.Count
	}
	return shown[:drawnTo], more
}
