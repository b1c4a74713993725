package routing

import (
	"context"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
)

// Plugin is what a table needs of a loaded plugin.
type Plugin interface {
	Build() string
	Run(ctx context.Context, m *event.Message, route string) (*plugins.Result, error)
	// Rehearse is as Run and leaves no trace.
	Rehearse(ctx context.Context, m *event.Message, route string) (*plugins.Result, error)
}

// Shadow is what a table needs of a build that runs beside a plugin. It must not
// block.
type Shadow interface {
	Observe(m *event.Message, route string, r *plugins.Result, err error)
}

// Loaded is a plugin as it was loaded, with its shadow where it has one.
type Loaded struct {
	Plugin Plugin
	Shadow Shadow
	// Hold keeps the plugin when it fails again and again. It belongs to the
	// loaded plugin, so that a reload which leaves that alone does not let it go.
	Hold *Hold
}

// Spec is what to load for a plugin block.
func Spec(p *config.Plugin) plugins.Spec {
	return plugins.Spec{
		Name: p.Name, Wasm: p.Wasm, Config: p.Config, Memory: p.Memory, Fuel: p.Fuel, InitFuel: p.InitFuel,
		Deadline: p.Deadline, Isolation: plugins.Isolation(p.Isolation), ABI: plugins.ABI(p.ABI),
	}
}

// ShadowSpec is what to load for the shadow of a plugin block.
func ShadowSpec(p *config.Plugin) plugins.Spec {
	s := Spec(p)
	s.Wasm = p.Shadow.Wasm
	return s
}
