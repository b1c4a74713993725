// Package metrics counts what Prometheus reads at /metrics. What parts of the
// router count anyway is read when it is asked for; what only Prometheus wants is
// counted by handles that are found once for each destination and route.
//
// Invariants:
//   - The number of series is bounded by the configuration, not by what is sent:
//     registered webhooks share one destination and one route unless PerWebhook
//     is set.
//   - Names and labels are part of the contract with whoever draws them.
package metrics

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// SharedWebhooks is the destination and the route that registered webhooks are
// counted as.
const SharedWebhooks = "webhooks"

// Options of metrics.
type Options struct {
	// PerWebhook counts each registered webhook by its id.
	PerWebhook bool
	// IsWebhook says whether a destination or a route is a registered webhook.
	IsWebhook func(name string) bool
	// Read is asked at each scrape for what others count. Its error is logged, and
	// what it gave is served.
	Read   func(ctx context.Context) (Reading, error)
	Logger hclog.Logger
}

// Reading is what is counted elsewhere, at one moment.
type Reading struct {
	Sources []Source
	Queues  []Queue
	Plugins []Plugin
	// Ready: events are taken and delivered.
	Ready bool
	// Free is the free space of the store's disk in bytes, and MinFree that below which
	// events are refused.
	Free, MinFree int64
	// Replays that have not ended.
	Replays int
}

// Source counts what came in through one.
type Source struct {
	Name string
	// Taken counts events, Repeated those that were there before, and Refused requests
	// by the code of their problem.
	Taken, Repeated uint64
	Refused         map[string]uint64
}

// Queue is what waits for one destination.
type Queue struct {
	Destination string
	Depth       uint64
	// Oldest is the age of the oldest event of it.
	Oldest time.Duration
}

// Plugin counts what one did.
type Plugin struct {
	Name  string
	Calls map[string]uint64 // by verdict
	// Seconds is the time that all calls took.
	Seconds float64
	Fuel    uint64
	// Held: it is called now and then only, because it failed again and again.
	Held bool
}

// Metrics is the registry with all that is counted. Its methods may be called from
// any goroutine.
type Metrics struct {
	o        Options
	registry *prometheus.Registry

	deliveries, attempts *prometheus.CounterVec
	duration, latency    *prometheus.HistogramVec
	matches, failures    *prometheus.CounterVec
	sync                 prometheus.Histogram
	reloaded             prometheus.Gauge
	info                 *prometheus.GaugeVec

	lanes, routes sync.Map // of *Lane and *Route by name
}

// New returns metrics of a router.
func New(o Options) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"destination"})
	}
	m := &Metrics{
		o: o, registry: prometheus.NewRegistry(),
		deliveries: counter("weir_deliveries_total", "Deliveries that have ended, by how.", "destination", "outcome"),
		attempts:   counter("weir_attempts_total", "Attempts, by outcome, and by reason where they failed.", "destination", "outcome", "reason"),
		duration: histogram("weir_attempt_duration_seconds", "Time that an attempt took.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}),
		latency: histogram("weir_delivery_latency_seconds", "Time from ingest to the successful attempt.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 86400}),
		matches:  counter("weir_route_matches_total", "Events that a route took.", "route"),
		failures: counter("weir_route_errors_total", "Events whose condition failed, or for which a plugin ended the route.", "route"),
		sync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_store_sync_duration_seconds", Help: "Time until a group of records was on disk.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_config_last_reload_success", Help: "1 when the last load of the configuration was taken over, 0 when it was refused.",
		}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_config_info", Help: "The configuration that runs, by its hash.",
		}, []string{"sha256"}),
	}
	m.registry.MustRegister(m.deliveries, m.attempts, m.duration, m.latency, m.matches, m.failures, m.sync, m.reloaded, m.info,
		&reader{read: o.Read, log: o.Logger}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Lane counts what becomes of the deliveries of one destination.
type Lane struct {
	delivered, dead, cancelled prometheus.Counter
	succeeded                  prometheus.Counter
	duration, latency          prometheus.Observer
	attempts                   *prometheus.CounterVec
	destination                string
	failed                     sync.Map // of prometheus.Counter by reason
}

func (m *Metrics) shared(name string) string {
	if !m.o.PerWebhook && m.o.IsWebhook != nil && m.o.IsWebhook(name) {
		return SharedWebhooks
	}
	return name
}

// Lane finds the handles of a destination.
func (m *Metrics) Lane(destination string) *Lane {
	destination = m.shared(destination)
	if l, ok := m.lanes.Load(destination); ok {
		return l.(*Lane)
	}
	l, _ := m.lanes.LoadOrStore(destination, &Lane{
		delivered: m.deliveries.WithLabelValues(destination, "delivered"),
		dead:      m.deliveries.WithLabelValues(destination, "dead"),
		cancelled: m.deliveries.WithLabelValues(destination, "cancelled"),
		succeeded: m.attempts.WithLabelValues(destination, "delivered", ""),
		duration:  m.duration.WithLabelValues(destination), latency: m.latency.WithLabelValues(destination),
		attempts: m.attempts, destination: destination,
	})
	return l.(*Lane)
}

// Attempt counts one; reason is empty for a success. since is when its event was
// received.
func (l *Lane) Attempt(reason string, took time.Duration, received time.Time) {
	l.duration.Observe(took.Seconds())
	if reason == "" {
		l.succeeded.Inc()
		l.latency.Observe(max(0, time.Since(received).Seconds()))
		return
	}
	c, ok := l.failed.Load(reason)
	if !ok {
		c, _ = l.failed.LoadOrStore(reason, l.attempts.WithLabelValues(l.destination, "failed", reason))
	}
	c.(prometheus.Counter).Inc()
}

// Delivered, Dead and Cancelled count deliveries that have ended.
func (l *Lane) Delivered() { l.delivered.Inc() }

// Dead counts one that was given up.
func (l *Lane) Dead() { l.dead.Inc() }

// Cancelled counts one that was taken back.
func (l *Lane) Cancelled() { l.cancelled.Inc() }

// Route counts what one route did.
type Route struct{ matches, errors prometheus.Counter }

// Route finds the handles of a route.
func (m *Metrics) Route(name string) *Route {
	name = m.shared(name)
	if r, ok := m.routes.Load(name); ok {
		return r.(*Route)
	}
	r, _ := m.routes.LoadOrStore(name, &Route{m.matches.WithLabelValues(name), m.failures.WithLabelValues(name)})
	return r.(*Route)
}

// Forget takes a registered webhook that is gone off the metrics, where it is counted by
// its id: else who registers and deletes again and again makes them grow for ever.
func (m *Metrics) Forget(name string) {
	if m.shared(name) != name {
		return
	}
	m.lanes.Delete(name)
	m.routes.Delete(name)
	of := prometheus.Labels{"destination": name}
	m.deliveries.DeletePartialMatch(of)
	m.attempts.DeletePartialMatch(of)
	m.duration.DeletePartialMatch(of)
	m.latency.DeletePartialMatch(of)
	m.matches.DeletePartialMatch(prometheus.Labels{"route": name})
	m.failures.DeletePartialMatch(prometheus.Labels{"route": name})
}

// Matched counts an event that the route took.
func (r *Route) Matched() { r.matches.Inc() }

// Failed counts an event on which the route failed.
func (r *Route) Failed() { r.errors.Inc() }

// Synced counts a flush of the store.
func (m *Metrics) Synced(took time.Duration) { m.sync.Observe(took.Seconds()) }

// Running says which configuration runs.
func (m *Metrics) Running(sha256 string) {
	m.info.Reset()
	m.info.WithLabelValues(sha256).Set(1)
}

// Reloaded says whether the last load of a configuration was taken over.
func (m *Metrics) Reloaded(ok bool) {
	if m.reloaded.Set(0); ok {
		m.reloaded.Set(1)
	}
}

// Text is all of it in the format that an Accept header asks for, with its content
// type.
func (m *Metrics) Text(accept string) ([]byte, string, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil, "", err
	}
	format := expfmt.NegotiateIncludingOpenMetrics(http.Header{"Accept": {accept}})
	var b bytes.Buffer
	enc := expfmt.NewEncoder(&b, format)
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return nil, "", err
		}
	}
	if c, ok := enc.(expfmt.Closer); ok {
		if err := c.Close(); err != nil {
			return nil, "", err
		}
	}
	return b.Bytes(), string(format), nil
}
