package router

import (
	"context"
	"fmt"

	"github.com/weirhq/weir/router/archive"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/routing"
)

// A delivery may be sent before its routing is committed. So that an event whose
// routing a crash has cut off is routed by the same configuration again, what of
// a configuration decides is in the archive before it routes the first event.

// resume tells the reader which configurations were routing when the router was
// cut off, and begins the epoch of c.
func (r *Router) resume(ctx context.Context, c *config.Config) error {
	list := r.archive.Epochs()
	progress := r.store.Progress()
	// No event after it can have been decided.
	until := min(r.store.Last(), progress+routing.MaxAhead)
	if !archive.Running(list) {
		until = progress // nothing was cut off
	}
	id, err := r.archive.ID(c)
	if err != nil {
		return err
	}
	var earlier []routing.Earlier
	for _, e := range list {
		end := min(e.End(until), until)
		if end <= progress || end < e.From || e.ID == id {
			continue
		}
		from := max(e.From, progress+1)
		table, done, err := r.earlierTable(ctx, e.ID)
		if err != nil {
			r.log.Error("events that were being routed when the router was cut off are routed by the new configuration, because the old one cannot be restored; a receiver may get one of them twice, with other bytes",
				"from", from, "to", end, "error", err)
			continue
		}
		r.log.Warn("events that were being routed when the router was cut off are routed by the configuration of that time",
			"from", from, "to", end, "config", table.Hash()[:12])
		earlier = append(earlier, routing.Earlier{Table: table, From: from, Until: end, Done: done})
	}
	if err := r.archive.Begin(ctx, c, until); err != nil {
		for _, e := range earlier {
			e.Done()
		}
		return err
	}
	r.reader.Resume(earlier, until)
	return nil
}

// openArchive reads which configurations are kept, and the key that they are
// encrypted with.
func (r *Router) openArchive(ctx context.Context, c *config.Config) error {
	var err error
	if r.keys, err = r.keyring(ctx, c); err != nil {
		return err
	}
	var sealer archive.Sealer // nil, and no nil keyring, where there is no key
	if r.keys != nil {
		sealer = r.keys
	}
	r.archive, err = archive.Open(ctx, r.store, sealer)
	return err
}

// earlierTable compiles a configuration that is kept. free frees its plugins.
func (r *Router) earlierTable(ctx context.Context, id string) (t *routing.Table, free func(), err error) {
	c, err := r.archive.Config(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("the configuration %.12s: %w", id, err)
	}
	return r.loadTable(ctx, c)
}
