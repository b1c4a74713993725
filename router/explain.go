package router

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/weirhq/weir/router/archive"
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/source"
)

// TableOf gives the table that routed the event at a position, by a configuration
// of a hash: the one that runs, or one that is kept.
func (e engine) TableOf(ctx context.Context, position uint64, hash string) (*routing.Table, func(), error) {
	s, running := e.setup.Load(), e.reader.Table()
	id, err := e.archive.Find(position, hash)
	if errors.Is(err, archive.ErrLost) && hash == s.config.Hash {
		id, err = e.archive.ID(s.config)
	}
	if err != nil {
		return nil, nil, err
	}
	now, err := e.archive.ID(s.config)
	switch {
	case err != nil:
		return nil, nil, err
	case now == id && !e.inspect && running.Hash() == hash:
		return running, func() {}, nil
	case now == id:
		return e.past.use(ctx, id, func() (*routing.Table, func(), error) { return e.loadTable(ctx, s.config) })
	}
	return e.past.use(ctx, id, func() (*routing.Table, func(), error) { return e.earlierTable(ctx, id) })
}

// ChangedSecrets names the destinations whose secrets are others now than they were
// in the configuration that routed the event at a position.
func (e engine) ChangedSecrets(ctx context.Context, position uint64, hash string) ([]string, error) {
	id, err := e.archive.Find(position, hash)
	if errors.Is(err, archive.ErrLost) || e.inspect { // who asks a store need not have them
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return e.archive.ChangedSecrets(ctx, id, e.setup.Load().config)
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
	made := taken.Events[0]
	made.Data = bytes.Clone(made.Data) // plugins that run for too long may outlive the request
	return made, nil
}
