package router

import (
	"context"
	"errors"
	"net/http"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/source"
)

// TableOf gives the table that routed the event at a position, by a configuration
// of a hash.
func (e engine) TableOf(ctx context.Context, _ uint64, hash string) (*routing.Table, func(), error) {
	t := e.reader.Table()
	switch {
	case t.Hash() != hash:
		return nil, nil, errors.New("the configuration that routed the event is not the one that runs")
	case !e.inspect:
		return t, func() {}, nil
	}
	return e.past.use(hash, func() (*routing.Table, func(), error) { return e.loadTable(ctx, e.config) })
}

// Imagine makes the event that a source would make of a request. It counts for no
// rate, and nobody has to prove who they are: nothing comes of it.
func (e engine) Imagine(r *source.Request, name string) (*event.Event, error) {
	s := e.setup.Load()
	src := s.imagined
	if name != "" && name != "events" {
		if s.source(name) == nil && name != event.SourceReply {
			return nil, problem.New(http.StatusNotFound, "source_not_found", "there is no source %q", name)
		}
		var err error
		if src, err = source.New(&config.Source{Name: name, Path: "/in/" + name, Format: config.SourceNative, Verify: config.Verify{Kind: "none"}}); err != nil {
			return nil, err
		}
	}
	taken, err := src.Accept(r)
	if err != nil {
		return nil, err
	}
	if len(taken.Events) != 1 || taken.Batch {
		return nil, problem.New(http.StatusBadRequest, "one_event", "explain takes one event, not a list")
	}
	return taken.Events[0], nil
}
