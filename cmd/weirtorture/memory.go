package main

import (
	"sync"
	"time"
)

// memoryRoom is by how much the second half of a run may have more anonymous
// memory than the first: a heap breathes, a leak goes on.
const memoryRoom = 64 << 20

// memory watches a router's anonymous memory until stop.
type memory struct {
	w       *weir
	end     chan struct{}
	wg      sync.WaitGroup
	samples []int64
	err     error
}

func watchMemory(w *weir) *memory {
	m := &memory{w: w, end: make(chan struct{})}
	m.wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-m.end:
				return
			case <-tick.C:
			}
			n, err := w.anonymous()
			if err != nil {
				m.err = err // the last one counts: it may be gone by now
				return
			}
			m.samples = append(m.samples, n)
		}
	})
	return m
}

// stop returns the most memory in MiB in the first and the second half, and a
// violation when it grew.
func (m *memory) stop() (first, second int64, err error) {
	close(m.end)
	m.wg.Wait()
	if m.err != nil {
		return 0, 0, m.err
	}
	half := len(m.samples) / 2
	for i, n := range m.samples {
		if i < half {
			first = max(first, n)
		} else {
			second = max(second, n)
		}
	}
	if second > first+memoryRoom {
		err = violated("anonymous memory grew from %d to %d MiB", first>>20, second>>20)
	}
	return first >> 20, second >> 20, err
}
