package metrics

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
)

// readTimeout bounds what a scrape may ask of the store.
const readTimeout = 10 * time.Second

// reader is the collector of what others count.
type reader struct {
	read func(ctx context.Context) (Reading, error)
	log  hclog.Logger
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	ingested = desc("weir_events_ingested_total", "Events that were taken and are on disk.", "source")
	rejected = desc("weir_events_rejected_total", "Requests to a source that were refused, by the code of the answer.", "source", "reason")
	depth    = desc("weir_queue_depth", "Deliveries that wait for their first or next attempt.", "destination")
	oldest   = desc("weir_queue_oldest_seconds", "Age of the oldest event that waits.", "destination")
	calls    = desc("weir_plugin_calls_total", "Messages that a plugin was given since it was loaded, by what it said.", "plugin", "verdict")
	took     = desc("weir_plugin_duration_seconds", "Time that a plugin's calls took.", "plugin")
	fuel     = desc("weir_plugin_fuel_used_total", "Units of work that a plugin's calls took since it was loaded.", "plugin")
)

func (r *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ingested, rejected, depth, oldest, calls, took, fuel} {
		ch <- d
	}
}

func (r *reader) Collect(ch chan<- prometheus.Metric) {
	if r.read == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	now, err := r.read(ctx)
	if err != nil && r.log != nil {
		r.log.Warn("some metrics can't be read", "error", err)
	}
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for _, s := range now.Sources {
		count(ingested, s.Taken, s.Name)
		for reason, n := range s.Refused {
			count(rejected, n, s.Name, reason)
		}
	}
	for _, q := range now.Queues {
		ch <- prometheus.MustNewConstMetric(depth, prometheus.GaugeValue, float64(q.Depth), q.Destination)
		ch <- prometheus.MustNewConstMetric(oldest, prometheus.GaugeValue, q.Oldest.Seconds(), q.Destination)
	}
	for _, p := range now.Plugins {
		var all uint64
		for verdict, n := range p.Calls {
			count(calls, n, p.Name, verdict)
			all += n
		}
		ch <- prometheus.MustNewConstSummary(took, all, p.Seconds, nil, p.Name)
		count(fuel, p.Fuel, p.Name)
	}
}
