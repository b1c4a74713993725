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

// leastRoom is how much garbage may pile up at least, in bytes: with less the
// collector would run all the time where much lives or many wait.
const leastRoom = 48 << 20

// paceMemory keeps the collector's soft limit a fifth above what lives, until ctx
// ends. Who sets GOMEMLIMIT or GOGC decides instead.
func paceMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		debug.SetMemoryLimit(collectorLimit(memoryInUse()))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// memoryInUse is what lives of the heap, and what the limit counts beside the
// heap: stacks and the runtime's own.
func memoryInUse() (live, beside uint64) {
	sample := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(sample)
	beside = sample[1].Value.Uint64()
	for _, heap := range sample[2:] {
		beside -= min(beside, heap.Value.Uint64())
	}
	return sample[0].Value.Uint64(), beside
}

func collectorLimit(live, beside uint64) int64 {
	return int64(max(leastMemory, live+beside+max(leastRoom, live/5)))
}
