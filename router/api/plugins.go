package api

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/problem"
)

func (s *server) listPlugins(c *fiber.Ctx) error {
	if q := newQuery(c); q.err != nil {
		return q.err
	}
	list := PluginList{Plugins: []Plugin{}}
	for _, p := range s.engine.Plugins() {
		if p.Shadow != nil {
			p.Shadow.Differences = nil
		}
		list.Plugins = append(list.Plugins, p)
	}
	return give(c, list)
}

func (s *server) showPlugin(c *fiber.Ctx) error {
	if q := newQuery(c); q.err != nil {
		return q.err
	}
	name := strings.Clone(c.Params("name"))
	for _, p := range s.engine.Plugins() {
		if p.Name == name {
			return give(c, p)
		}
	}
	return problem.New(http.StatusNotFound, "plugin_not_found", "the configuration has no plugin %q; GET /api/plugins lists them", name)
}

// shadowed finds what a plugin's shadow gave otherwise for an event on a route.
func shadowed(list []Plugin, plugin, route string, e *Event) []plugins.Difference {
	var found []plugins.Difference
	for _, p := range list {
		if p.Name != plugin || p.Shadow == nil {
			continue
		}
		for _, d := range p.Shadow.Differences {
			if d.Event == e.ID && d.Source == e.Source && d.Route == route {
				found = append(found, d)
			}
		}
	}
	return found
}
