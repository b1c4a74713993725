package router

import (
	"context"
	"errors"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/lane"
	"github.com/weirhq/weir/router/metrics"
	"github.com/weirhq/weir/router/replay"
	"github.com/weirhq/weir/router/routing"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/webhook"
)

// newMetrics makes the metrics of a router; those of its configuration's blocks
// begin at nought, so that the first of anything is seen as an increase.
func (r *Router) newMetrics() *metrics.Metrics {
	m := metrics.New(metrics.Options{
		PerWebhook: r.config.Metrics.PerWebhook, IsWebhook: webhook.IsID, Read: r.reading, Logger: r.log.Named("metrics"),
	})
	m.Reloaded(true)
	return m
}

// running notes the configuration that routes from now on.
func (r *Router) running(s *setup) {
	r.metrics.Running(s.config.Hash)
	for _, d := range s.config.Destinations {
		r.metrics.Lane(d.Name)
	}
	for _, x := range s.config.Routes {
		r.metrics.Route(x.Name)
	}
}

// countAttempt counts an outcome of a lane.
func (r *Router) countAttempt(destination string, w *lane.Work, result *lane.Result, o *store.Outcome) {
	l := r.metrics.Lane(destination)
	if !result.Cancelled {
		reason := result.Attempt.Reason
		if reason == "" && !result.OK {
			reason = "status"
		}
		l.Attempt(reason, result.Attempt.Latency, w.Event.Received)
	}
	ended(l, o.To)
}

// countByHand counts the end of a delivery that no attempt has brought, but a hand,
// an acknowledgement, or its age.
func (r *Router) countByHand(destination string, to store.State) {
	ended(r.metrics.Lane(destination), to)
}

func ended(l *metrics.Lane, to store.State) {
	switch to {
	case store.Delivered:
		l.Delivered()
	case store.Dead:
		l.Dead()
	case store.Cancelled:
		l.Cancelled()
	}
}

// countRouted counts what an event's routing decided.
func (r *Router) countRouted(_ *event.Event, d *routing.Decision) {
	for i := range d.Routing.Matches {
		r.metrics.Route(d.Routing.Matches[i].Route).Matched()
	}
	for route := range d.Failed {
		r.metrics.Route(route).Failed()
	}
	for i := range d.Routing.Deliveries {
		if x := &d.Routing.Deliveries[i]; x.Lane == store.RoutingLane {
			r.metrics.Route(d.Routing.Matches[x.Match].Route).Failed()
			if x.Dead != "" {
				r.metrics.Lane(store.RoutingLane).Dead()
			}
		}
	}
}

// alarming are refusals that somebody gets up for: they are nought from the beginning,
// so that the first is seen as an increase. Others are there once there are some.
var alarming = []string{"disk_full", "store_failed", "busy"}

// reading is what a scrape reads of counts that the router keeps anyway.
func (r *Router) reading(ctx context.Context) (metrics.Reading, error) {
	var out metrics.Reading
	s := r.setup.Load()
	byName := map[string]*metrics.Source{}
	source := func(name string) *metrics.Source {
		if byName[name] == nil {
			byName[name] = &metrics.Source{Name: name, Refused: map[string]uint64{}}
			for _, reason := range alarming {
				byName[name].Refused[reason] = 0
			}
		}
		return byName[name]
	}
	for _, x := range s.config.Sources {
		source(x.Name)
	}
	for _, c := range r.tally.Counts() {
		switch x := source(c.Source); {
		case c.Repeated:
			x.Repeated = c.N
		case c.Reason == "":
			x.Taken = c.N
		default:
			x.Refused[c.Reason] = c.N
		}
	}
	for _, x := range byName {
		out.Sources = append(out.Sources, *x)
	}
	for name, p := range s.plugins {
		reading := pluginReading(name, p.plugin.Stats())
		_, reading.Held = p.hold.Held()
		out.Plugins = append(out.Plugins, reading)
	}
	out.Ready = r.Ready() == nil
	for _, x := range r.replays.All() {
		if x.Status == replay.Running {
			out.Replays++
		}
	}
	free, least, failed := r.space()
	out.Free, out.MinFree = free, least
	queues, err := r.queues(ctx, s)
	out.Queues = queues
	return out, errors.Join(failed, err)
}

func pluginReading(name string, s plugins.Stats) metrics.Plugin {
	p := metrics.Plugin{Name: name, Calls: map[string]uint64{}, Seconds: s.Duration.Seconds(), Fuel: s.Fuel}
	for verdict, n := range s.Transforms {
		p.Calls[string(verdict)] += n
	}
	for class, n := range s.Errors {
		p.Calls["error_"+string(class)] += n
	}
	decided := s.Calls
	for _, n := range p.Calls {
		decided -= min(n, decided)
	}
	// A call has one verdict: where a transform came after, it is the transform's.
	drop := min(s.Filters[plugins.Drop], decided)
	if keep := decided - drop; keep > 0 {
		p.Calls[string(plugins.Keep)] = keep
	}
	if drop > 0 {
		p.Calls[string(plugins.Drop)] = drop
	}
	return p
}

// queues says what waits for each destination of the configuration, and for those
// that it has no more.
func (r *Router) queues(ctx context.Context, s *setup) ([]metrics.Queue, error) {
	byName := map[string]*metrics.Queue{}
	queue := func(name string) *metrics.Queue {
		if byName[name] == nil {
			byName[name] = &metrics.Queue{Destination: name}
		}
		return byName[name]
	}
	for _, d := range s.config.Destinations {
		queue(d.Name)
	}
	lanes, err := r.store.Lanes(ctx)
	destination := func(lane string) string {
		if webhook.IsID(lane) && !r.config.Metrics.PerWebhook {
			return metrics.SharedWebhooks
		}
		return lane
	}
	var some []store.Lane
	for i := range lanes {
		name, waiting := lanes[i].Name, lanes[i].Counts.Waiting+lanes[i].Counts.Retrying
		if waiting == 0 && name != store.RoutingLane && destination(name) == name && !(engine{r}).configured(name) {
			continue // it is gone: else webhooks that come and go are series for ever
		}
		q := queue(destination(name))
		q.Depth += waiting
		if waiting > 0 {
			some = append(some, lanes[i])
		}
	}
	oldest, failed := r.oldestOf(ctx, some)
	now := time.Now()
	for name, received := range oldest {
		q := queue(destination(name))
		q.Oldest = max(q.Oldest, now.Sub(received))
	}
	out := make([]metrics.Queue, 0, len(byName))
	for _, q := range byName {
		out = append(out, *q)
	}
	return out, errors.Join(failed, err)
}

// waits says how many deliveries wait for all destinations, and how old the oldest
// event of them is.
func (r *Router) waits(ctx context.Context) (depth uint64, oldest time.Duration, err error) {
	queues, err := r.queues(ctx, r.setup.Load())
	for i := range queues {
		if queues[i].Destination == store.RoutingLane {
			continue // it is none
		}
		depth += queues[i].Depth
		oldest = max(oldest, queues[i].Oldest)
	}
	return depth, oldest, err
}
