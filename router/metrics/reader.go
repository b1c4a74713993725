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
	repeated = desc("weir_events_duplicates_total", "Events that were answered as duplicates of one on disk.", "source")
	rejected = desc("weir_events_rejected_total", "Requests to a source that were refused, by the code of the answer.", "source", "reason")
	depth    = desc("weir_queue_depth", "Deliveries that wait for their first or next attempt.", "destination")
	oldest   = desc("weir_queue_oldest_seconds", "Age of the oldest event that waits.", "destination")
	calls    = desc("weir_plugin_calls_total", "Messages that a plugin was given since it was loaded, by what it said.", "plugin", "verdict")
	took     = desc("weir_plugin_duration_seconds", "Time that a plugin's calls took.", "plugin")
	fuel     = desc("weir_plugin_fuel_used_total", "Units of work that a plugin's calls took since it was loaded.", "plugin")
	held     = desc("weir_plugin_held", "1 while a plugin is held, because it failed again and again, else 0.", "plugin")
	ready    = desc("weir_ready", "1 while events are taken and delivered, as /readyz says, else 0.")
	free     = desc("weir_store_free_bytes", "Free space of the store's disk.")
	minFree  = desc("weir_store_min_free_bytes", "Free space below which events are refused.")
	replays  = desc("weir_replays_running", "Replays that have not ended.")
	clock    = desc("weir_time_seconds", "The clock of the router's machine, in seconds since 1970.")
)

func (r *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ingested, repeated, rejected, depth, oldest, calls, took, fuel, held, ready, free, minFree, replays, clock} {
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
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	one := map[bool]float64{true: 1}
	gauge(ready, one[now.Ready])
	gauge(clock, float64(time.Now().UnixMilli())/1000)
	gauge(replays, float64(now.Replays))
	gauge(free, float64(now.Free))
	gauge(minFree, float64(now.MinFree))
	for _, s := range now.Sources {
		count(ingested, s.Taken, s.Name)
		count(repeated, s.Repeated, s.Name)
		for reason, n := range s.Refused {
			count(rejected, n, s.Name, reason)
		}
	}
	for _, q := range now.Queues {
		gauge(depth, float64(q.Depth), q.Destination)
		gauge(oldest, q.Oldest.Seconds(), q.Destination)
	}
	for _, p := range now.Plugins {
		var all uint64
		for verdict, n := range p.Calls {
			count(calls, n, p.Name, verdict)
			all += n
		}
		ch <- prometheus.MustNewConstSummary(took, all, p.Seconds, nil, p.Name)
		count(fuel, p.Fuel, p.Name)
		gauge(held, one[p.Held], p.Name)
	}
}
