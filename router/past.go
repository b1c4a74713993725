package router

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/routing"
)

// keptTables is how many tables are kept ready that nobody asks at the moment:
// who looks at one event mostly looks at another of the same time.
const keptTables = 2

// past has tables of configurations that do not run, to explain what they did.
// Their plugins are loaded when they are asked for.
type past struct {
	loading chan struct{} // has room for the one that loads
	mu      sync.Mutex    // guards list
	list    []*pastTable
}

func newPast() *past { return &past{loading: make(chan struct{}, 1)} }

type pastTable struct {
	id    string
	table *routing.Table
	free  func()
	users int
}

// use gives the table of an id, and loads it where it has to. done lets go of it.
// Tables are loaded one at a time; who wants one that is there does not wait for that.
func (p *past) use(ctx context.Context, id string, load func() (*routing.Table, func(), error)) (t *routing.Table, done func(), err error) {
	if x := p.take(id); x != nil {
		return x.table, func() { p.giveBack(x) }, nil
	}
	select {
	case p.loading <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() { <-p.loading }()
	x := p.take(id) // another one may have loaded it
	if x == nil {
		table, free, err := load()
		if err != nil {
			return nil, nil, err
		}
		x = &pastTable{id: id, table: table, free: free, users: 1}
		p.mu.Lock()
		p.list = append(p.list, x)
		p.shrink(keptTables)
		p.mu.Unlock()
	}
	return x.table, func() { p.giveBack(x) }, nil
}

// take gives the table of an id to one more user, nil where it is not loaded.
func (p *past) take(id string) *pastTable {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.list, func(x *pastTable) bool { return x.id == id })
	if i < 0 {
		return nil
	}
	x := p.list[i]
	x.users++
	p.list = append(slices.Delete(p.list, i, i+1), x) // the newest is last
	return x
}

func (p *past) giveBack(x *pastTable) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x.users--
	p.shrink(keptTables)
}

// shrink lets go of the oldest that nobody uses, down to a number.
func (p *past) shrink(most int) {
	for i := 0; i < len(p.list) && len(p.list) > most; {
		if x := p.list[i]; x.users == 0 {
			x.free()
			p.list = slices.Delete(p.list, i, i+1)
			continue
		}
		i++
	}
}

// close lets go of all. Nobody asks any more.
func (p *past) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shrink(0)
}

// loadTable compiles a configuration that does not run. free closes its plugins.
func (r *Router) loadTable(ctx context.Context, c *config.Config) (t *routing.Table, free func(), err error) {
	if r.host == nil { // only past.use comes here then, one at a time
		if r.host, err = plugins.NewHost(ctx, plugins.Options{CacheDir: r.cacheDir, Logger: r.log.Named("plugin")}); err != nil {
			return nil, nil, fmt.Errorf("start the plugin host: %w", err)
		}
	}
	s := &setup{config: c, plugins: map[string]*loadedPlugin{}, registered: &r.registered}
	free = func() {
		if err := s.discard(nil); err != nil {
			r.log.Warn("a plugin of an earlier configuration did not close well", "error", err)
		}
	}
	if err := r.loadPlugins(ctx, s, nil); err != nil {
		free()
		return nil, nil, err
	}
	return s.table(), free, nil
}
