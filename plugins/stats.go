package plugins

import (
	"errors"
	"maps"
	"sync"
	"time"
)

// Stats is what a [Plugin] did since it was loaded. Calls of a shadow, of the
// warm-up and of weir_init are not in it.
type Stats struct {
	// Since is when it was loaded.
	Since time.Time
	// Calls is how many messages it was given.
	Calls uint64
	// Filters and Transforms count what each function decided, Errors the calls
	// that failed, by class. A call has at most one of each.
	Filters    map[Verdict]uint64
	Transforms map[Verdict]uint64
	Errors     map[Class]uint64
	// Fuel is what all calls took, in units, and Duration their wall-clock time.
	Fuel     uint64
	Duration time.Duration
	// Instances is how many there are now, Memory what they and the snapshot
	// take, in bytes.
	Instances int
	Memory    int64
	// Restored is how many pages of 4 KiB were put back after the last call.
	Restored int
}

// tally counts calls. It is safe for concurrent use.
type tally struct {
	mu    sync.Mutex
	stats Stats
}

func (t *tally) begin(now time.Time) {
	t.stats = Stats{Since: now, Filters: map[Verdict]uint64{}, Transforms: map[Verdict]uint64{}, Errors: map[Class]uint64{}}
}

// count adds a call that the plugin had its say in.
func (t *tally) count(r *Result, err error) {
	e, failed := errors.AsType[*Error](err)
	if err != nil && !failed {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Calls++
	if failed {
		t.stats.Errors[e.Class]++
		t.stats.Fuel += uint64(e.Fuel)
		t.stats.Duration += e.Duration
		return
	}
	if r.Filter != None {
		t.stats.Filters[r.Filter]++
	}
	if r.Transform != None {
		t.stats.Transforms[r.Transform]++
	}
	t.stats.Fuel += uint64(r.Fuel)
	t.stats.Duration += r.Duration
}

// Stats returns what the plugin did so far.
func (p *Plugin) Stats() Stats {
	p.tally.mu.Lock()
	s := p.tally.stats
	s.Filters, s.Transforms, s.Errors = maps.Clone(s.Filters), maps.Clone(s.Transforms), maps.Clone(s.Errors)
	p.tally.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Instances, s.Memory, s.Restored = len(p.live), p.held, int(p.restored.Load())
	return s
}
