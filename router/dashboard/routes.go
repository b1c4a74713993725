package dashboard

import (
	"html/template"
	"net/url"
	"slices"
	"strings"

	"github.com/weirhq/weir/router/api"
)

// drawn is how many routes one picture has at most.
const drawn = 40

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
	Graph template.HTML
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
		r := &chosen[i]
		whole.add(r, last, tones)
		one := newGraph()
		one.add(r, depth(chosen[i:i+1]), tones)
		p.Shown = append(p.Shown, shownRoute{*r, one.down("Route " + r.Name)})
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
