package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// leastMemory is the memory, in bytes, below which the collector has no reason to
// hurry. The store's write buffers are most of what lives, and Go's default would
// let as much garbage again pile up before it collects.
const leastMemory = 192 << 20

// paceMemory keeps the collector's soft limit at a quarter more than what lives, and
// at leastMemory, until ctx ends. Who sets GOMEMLIMIT or GOGC decides instead.
func paceMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		metrics.Read(sample)
		debug.SetMemoryLimit(collectorLimit(sample[0].Value.Uint64()))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func collectorLimit(live uint64) int64 { return int64(max(leastMemory, live+live/4)) }
