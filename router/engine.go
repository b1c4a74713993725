package router

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/source"
	"github.com/weirhq/weir/router/stats"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/stream"
	"github.com/weirhq/weir/router/tracing"
)

// engine is the router as its HTTP side sees it: more than an embedding program
// is promised.
type engine struct{ *Router }

func (e engine) Source(path string) *source.Source             { return e.setup.Load().sources[path] }
func (e engine) Metrics(accept string) ([]byte, string, error) { return e.metrics.Text(accept) }
func (e engine) Store() store.Store                            { return e.store }
func (e engine) Table() *routing.Table                         { return e.reader.Table() }
func (e engine) Sending(lane string, ref store.Ref) bool {
	return e.lanes.Sending(lane, ref)
}

func (e engine) InFlight(lane string) []store.Ref { return e.lanes.InFlight(lane) }

// Opened reports whether more than Ready and Keys may be asked.
func (e engine) Opened() bool { return e.opened.Load() }

// Keys are the tokens that open the router.
func (e engine) Keys() *api.Keys {
	if s := e.setup.Load(); s != nil {
		return s.keys
	}
	return e.early
}

func (e engine) Plugins() []api.Plugin { return e.setup.Load().pluginStatus() }
func (e engine) Stats() *stats.Book    { return e.book }

func (e engine) Stream() *stream.Hub { return e.stream }

// Traces reports whether the traceparent of a request is of use.
func (e engine) Traces() bool { return e.tracer.On() }

// Tally counts what sources take and refuse.
func (e engine) Tally() *source.Tally { return &e.tally }

// Accept stores the events of a request as one record. It returns when they are on
// disk: from then on they are not lost.
func (e engine) Accept(ctx context.Context, s *source.Source, taken source.Taken) ([]store.Accepted, error) {
	if len(taken.Events) == 0 {
		return nil, nil
	}
	span := e.tracer.Ingest(ctx, s.Name(), tracing.Parent{Traceparent: taken.Traceparent, Tracestate: taken.Tracestate}, taken.Events)
	record := newRecord(len(taken.Events))
	for i, x := range taken.Events {
		record.Events[i] = store.NewEvent{Event: x, Dedupe: s.Dedupe(), Alias: alias(taken.Signature, i)}
	}
	result, err := e.store.Commit(ctx, record)
	span.End(result.Events, err)
	if err == nil {
		e.count(s.Name(), result.Events)
	}
	return result.Events, err
}

// count counts what was taken, and what was there before.
func (e engine) count(source string, accepted []store.Accepted) {
	repeated := 0
	for i := range accepted {
		if accepted[i].Duplicate {
			repeated++
		}
	}
	e.tally.Took(source, len(accepted)-repeated)
	if repeated > 0 {
		e.tally.Repeated(source, repeated)
	}
}

// newRecord has room for n events. Nearly all records have one, and are one allocation.
func newRecord(n int) *store.Record {
	if n > 1 {
		return &store.Record{Events: make([]store.NewEvent, n)}
	}
	one := &struct {
		record store.Record
		events [1]store.NewEvent
	}{}
	one.record.Events = one.events[:n]
	return &one.record
}

// alias is the second name of event i of a request with a signature, empty where
// none is remembered.
func alias(signature []byte, i int) string {
	if len(signature) == 0 {
		return ""
	}
	sum := sha256.Sum256(signature)
	return strconv.Itoa(i) + " " + hex.EncodeToString(sum[:])
}

// Reload reads the configuration again and takes it over. What is refused is logged:
// an alert tells of it hours after somebody has asked.
func (e engine) Reload(ctx context.Context, orphan bool) (*api.Reloaded, error) {
	done, err := e.ReloadFiles(ctx, orphan)
	if err != nil {
		e.log.Error("a reload by the API was refused, the old configuration goes on", "error", err)
	}
	return done, err
}

// Config is what runs, with its secrets masked.
func (e engine) Config() *api.Config {
	s := e.setup.Load()
	out := &api.Config{SHA256: s.config.Hash, Loaded: s.loaded, Files: []api.ConfigFile{}, LastReload: e.lastReload.Load()}
	for _, f := range s.config.Files {
		out.Files = append(out.Files, api.ConfigFile{Name: f.Name, Text: string(f.Masked)})
	}
	return out
}
