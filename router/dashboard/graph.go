package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"

	"github.com/weirhq/weir/router/api"
)

// graph is the routing as parts and what flows between them, in layers: sources,
// routes, the plugins of chains one after another, destinations.
type graph struct {
	nodes  []*node
	byName map[string]*node
	edges  []*edge
}

type node struct {
	// kind and name, href and tone are what is drawn; a node without a kind only
	// holds a place for an edge that passes a layer.
	kind, name, href, tone string
	layer                  int
	x, y                   float64
}

type edge struct {
	from, to *node
	count    uint64
	// by are places that it passes.
	by []*node
}

func newGraph() *graph { return &graph{byName: map[string]*node{}} }

func (g *graph) node(kind, name, href string, layer int) *node {
	n := g.byName[kind+"."+name]
	if n == nil {
		n = &node{kind: kind, name: name, href: href, layer: layer}
		g.byName[kind+"."+name] = n
		g.nodes = append(g.nodes, n)
	}
	n.layer = max(n.layer, layer)
	return n
}

func (g *graph) edge(from, to *node, count uint64) {
	for _, e := range g.edges {
		if e.from == from && e.to == to {
			e.count += count
			return
		}
	}
	g.edges = append(g.edges, &edge{from: from, to: to, count: count})
}

// add draws a route in. tones are those of destinations that are not well; left
// counts the destinations that are not drawn, and more what went to them.
func (g *graph) add(r *api.Route, last int, tones map[string]string, left int, more uint64) {
	route := g.node("route", r.Name, "/ui/routes?route="+template.URLQueryEscaper(r.Name), 1)
	for _, f := range r.From {
		g.edge(g.node("source", f.Name, "/ui/events?source="+template.URLQueryEscaper(f.Name), 0), route, f.Count)
	}
	at := route
	for i, f := range r.Through {
		n := g.node("plugin", f.Name, "/ui/plugins/"+template.URLQueryEscaper(f.Name), 2+i)
		if n != at {
			g.edge(at, n, f.Count)
		}
		at = n
	}
	for _, f := range r.To {
		n := g.node("destination", f.Name, "/ui/destinations/"+template.URLQueryEscaper(f.Name), last)
		n.tone = tones[f.Name]
		g.edge(at, n, f.Count)
	}
	if left > 0 {
		g.edge(at, g.node("destinations", r.Name+": "+count(left)+" more", "/ui/destinations", last), more)
	}
}

// depth is the layer of the destinations of some routes.
func depth(routes []api.Route) int {
	last := 2
	for i := range routes {
		last = max(last, 2+len(routes[i].Through))
	}
	return last
}

// layers sets the nodes in order, so that few edges cross, and gives edges that
// pass a layer a place in it.
func (g *graph) layers() [][]*node {
	most := 0
	for _, n := range g.nodes {
		most = max(most, n.layer)
	}
	layers := make([][]*node, most+1)
	for _, n := range g.nodes {
		layers[n.layer] = append(layers[n.layer], n)
	}
	for _, e := range g.edges {
		for l := e.from.layer + 1; l < e.to.layer; l++ {
			place := &node{layer: l}
			e.by = append(e.by, place)
			layers[l] = append(layers[l], place)
		}
	}
	rank := map[*node]float64{}
	number := func(list []*node) {
		for i, n := range list {
			rank[n] = (float64(i) + 0.5) / float64(len(list))
		}
	}
	for _, list := range layers {
		number(list)
	}
	// Each node goes to the middle of its neighbours: from the left, then from the
	// right, and again.
	for round := range 4 {
		for i := range layers {
			l := i
			if round%2 == 1 {
				l = len(layers) - 1 - i
			}
			middle := map[*node]float64{}
			for _, n := range layers[l] {
				sum, k := 0.0, 0.0
				for _, e := range g.edges {
					stops := e.stops()
					for j, s := range stops {
						if s != n {
							continue
						}
						if round%2 == 0 && j > 0 {
							sum, k = sum+rank[stops[j-1]], k+1
						}
						if round%2 == 1 && j < len(stops)-1 {
							sum, k = sum+rank[stops[j+1]], k+1
						}
					}
				}
				if middle[n] = rank[n]; k > 0 {
					middle[n] = sum / k
				}
			}
			slices.SortStableFunc(layers[l], func(a, b *node) int {
				switch d := middle[a] - middle[b]; {
				case d < -1e-9:
					return -1
				case d > 1e-9:
					return 1
				}
				return 0
			})
			number(layers[l])
		}
	}
	return layers
}

// stops are the nodes and places of an edge, from its beginning to its end.
func (e *edge) stops() []*node {
	return append(append([]*node{e.from}, e.by...), e.to)
}

// Sizes of a drawing, in pixels.
const (
	nodeTall  = 44.0
	placeTall = 20.0
	rowGap    = 14.0
	edgeRoom  = 92.0 // between two layers
)

// across draws the layers as columns.
func (g *graph) across(label string) template.HTML {
	const wide = 156.0
	layers := g.layers()
	tall := 0.0
	heights := make([]float64, len(layers))
	for i, list := range layers {
		for _, n := range list {
			heights[i] += n.tall() + rowGap
		}
		tall = max(tall, heights[i])
	}
	for i, list := range layers {
		y := (tall - heights[i]) / 2
		for _, n := range list {
			n.x, n.y = float64(i)*(wide+edgeRoom), y+(n.tall()+rowGap)/2
			y += n.tall() + rowGap
		}
	}
	width := float64(len(layers))*(wide+edgeRoom) - edgeRoom
	return g.draw(label, "graph across", width, tall, wide, func(n *node) (in, out [2]float64) {
		return [2]float64{n.x, n.y}, [2]float64{n.x + wide, n.y}
	}, false)
}

// down draws the layers as rows, for what is narrow.
func (g *graph) down(label string) template.HTML {
	const width, room = 300.0, 46.0
	layers := g.layers()
	y, most := 0.0, 1
	for _, list := range layers {
		most = max(most, len(list))
	}
	wide := max(90, (width-rowGap*float64(most-1))/float64(most))
	whole := max(width, wide*float64(most)+rowGap*float64(most-1))
	for _, list := range layers {
		if len(list) == 0 {
			continue
		}
		used := wide*float64(len(list)) + rowGap*float64(len(list)-1)
		for i, n := range list {
			n.x, n.y = (whole-used)/2+float64(i)*(wide+rowGap), y+nodeTall/2
		}
		y += nodeTall + room
	}
	return g.draw(label, "graph down", whole, y-room, wide, func(n *node) (in, out [2]float64) {
		half := nodeTall / 2
		if n.kind == "" {
			half = 0
		}
		return [2]float64{n.x + wide/2, n.y - half}, [2]float64{n.x + wide/2, n.y + half}
	}, true)
}

func (n *node) tall() float64 {
	if n.kind == "" {
		return placeTall
	}
	return nodeTall
}

// draw is the picture (https://www.w3.org/TR/SVG2/). Its links have their texts, so
// that it can be walked by keyboard; what it shows is in a table, too.
func (g *graph) draw(label, class string, width, height, wide float64, ends func(*node) (in, out [2]float64), vertical bool) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="%s" viewBox="-2 -2 %.0f %.0f" width="%.0f" height="%.0f" role="group" aria-label="%s">`,
		class, width+4, height+4, width+4, height+4, template.HTMLEscapeString(label))
	var most uint64
	for _, e := range g.edges {
		most = max(most, e.count)
	}
	for _, e := range g.edges {
		strength := 1.5
		if most > 0 {
			strength += 4 * math.Log1p(float64(e.count)) / math.Log1p(float64(most))
		}
		state := ""
		if e.count == 0 {
			state = " idle"
		}
		stops := e.stops()
		fmt.Fprintf(&b, `<path class="edge%s" stroke-width="%.1f" d="`, state, strength)
		for i := range stops[1:] {
			_, from := ends(stops[i])
			to, _ := ends(stops[i+1])
			begin := "M"
			if i > 0 { // across the place
				begin = "L"
			}
			fmt.Fprintf(&b, "%s%.0f,%.0f ", begin, from[0], from[1])
			if vertical {
				m := (from[1] + to[1]) / 2
				fmt.Fprintf(&b, "C%.0f,%.0f %.0f,%.0f %.0f,%.0f ", from[0], m, to[0], m, to[0], to[1])
			} else {
				m := (from[0] + to[0]) / 2
				fmt.Fprintf(&b, "C%.0f,%.0f %.0f,%.0f %.0f,%.0f ", m, from[1], m, to[1], to[0], to[1])
			}
		}
		b.WriteString(`"/>`)
	}
	var said [][2]float64
	for _, e := range g.edges {
		_, from := ends(e.from)
		to, _ := ends(e.stops()[1])
		at := place(from, to, vertical, said)
		said = append(said, at)
		fmt.Fprintf(&b, `<text class="flow" x="%.0f" y="%.0f">%s</text>`, at[0], at[1]+4, brief(e.count))
	}
	letters := int((wide - 20) / 7.6)
	for _, n := range g.nodes {
		name := n.name
		if r := []rune(name); len(r) > letters {
			name = string(r[:letters-1]) + "…"
		}
		what := n.kind
		if n.tone != "" && wide < 130 {
			what = n.tone
		} else if n.tone != "" {
			what += ", " + n.tone
		}
		fmt.Fprintf(&b, `<a href="%s"><title>%s %s</title><rect class="node %s" x="%.0f" y="%.0f" width="%.0f" height="%.0f" rx="8"/><text class="kind" x="%.0f" y="%.0f">%s</text><text x="%.0f" y="%.0f">%s</text></a>`,
			template.HTMLEscapeString(n.href), what, template.HTMLEscapeString(n.name), tone(n.tone), n.x, n.y-nodeTall/2, wide, nodeTall,
			n.x+10, n.y-5, what, n.x+10, n.y+13, template.HTMLEscapeString(name))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// place is where on an edge its number is said: in the middle, or beside it where
// another number is.
func place(from, to [2]float64, vertical bool, said [][2]float64) [2]float64 {
	const wide, tall = 34.0, 15.0 // room for a number
	middle := [2]float64{(from[0] + to[0]) / 2, (from[1] + to[1]) / 2}
	for _, t := range []float64{0.5, 0.38, 0.62, 0.28, 0.72, 0.2, 0.8} {
		// The curve that draw makes: its ends and twice the middle between them.
		a, b, c := (1-t)*(1-t)*(1-t), 3*t*(1-t), t*t*t
		along, across := 0, 1
		if vertical {
			along, across = 1, 0
		}
		var at [2]float64
		at[along] = a*from[along] + b*middle[along] + c*to[along]
		at[across] = (a+b*(1-t))*from[across] + (b*t+c)*to[across]
		if !slices.ContainsFunc(said, func(o [2]float64) bool { return math.Abs(o[0]-at[0]) < wide && math.Abs(o[1]-at[1]) < tall }) {
			return at
		}
	}
	return middle
}

// brief is a number in little room: 12.3k.
func brief(n uint64) string {
	for _, u := range []struct {
		size uint64
		name string
	}{{1_000_000_000, "G"}, {1_000_000, "M"}, {10_000, "k"}} {
		if n >= u.size {
			size := u.size
			if u.name == "k" {
				size = 1000
			}
			return fmt.Sprintf("%.1f%s", math.Floor(float64(n)/float64(size)*10)/10, u.name)
		}
	}
	return count(n)
}
