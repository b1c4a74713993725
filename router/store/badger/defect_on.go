//go:build weirdefect

package badger

import (
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// defect is what this build does wrong: WEIR_DEFECT names it. make torture runs
// each of its proofs against such a router first, because a proof that can't
// fail proves nothing. The tag weirdefect is set by nobody else.
var defect = os.Getenv("WEIR_DEFECT")

const (
	// defectNoSync leaves flushing to the kernel.
	defectNoSync = "nosync"
	// defectEarly answers before the flush, which follows soon.
	defectEarly = "early"
	// defectUnguarded does not look after free space.
	defectUnguarded = "unguarded"

	// defectDrop answers events that it does not store.
	defectDrop = "drop"
	// defectAlter changes a byte of what it stores.
	defectAlter = "alter"
	// defectTwice stores an event once more, with another id.
	defectTwice = "twice"
	// defectSwallow routes an event nowhere.
	defectSwallow = "swallow"
	// defectMixed gives the deliveries of an event two formats.
	defectMixed = "mixed"
	// defectForget does not record outcomes.
	defectForget = "forget"
	// defectStorm makes every retry due at once.
	defectStorm = "storm"
	// defectMislabel records a wrong reason.
	defectMislabel = "mislabel"
	// defectHoard keeps memory for every record.
	defectHoard = "hoard"
	// defectStall holds events up.
	defectStall = "stall"
)

var (
	defectCount atomic.Uint64
	defectMu    sync.Mutex
	hoarded     [][]byte
)

// every is true once in n calls.
func every(n uint64) bool { return defectCount.Add(1)%n == 0 }

// spoil does to a record what the defect says. answered: it is to be answered
// with the result, and not committed.
func spoil(r *store.Record) (result store.Result, answered bool) {
	switch {
	case defect == defectDrop && len(r.Events) > 0 && every(50):
		for _, e := range r.Events {
			result.Events = append(result.Events, store.Accepted{ID: e.Event.ID, Position: 1})
		}
		return result, true
	case defect == defectAlter && len(r.Events) > 0 && every(50):
		for _, e := range r.Events {
			if i := slices.Index(e.Event.Data, 'x'); i >= 0 {
				e.Event.Data[i] = 'y'
			}
		}
	case defect == defectTwice && len(r.Events) > 0 && every(50):
		again := *r.Events[0].Event
		again.ID, again.Given = event.NewID(time.Now()), false
		r.Events = append(r.Events, store.NewEvent{Event: &again})
	case defect == defectSwallow && len(r.Events) > 0 && every(50):
		for _, e := range r.Events {
			e.Event.Source = "weir" // a route gets those only where it names them
		}
	case defect == defectMixed && len(r.Routings) > 0:
		for _, x := range r.Routings {
			if len(x.Deliveries) > 1 && every(50) {
				x.Deliveries[1].Format = map[string]string{"raw": "envelope"}[x.Deliveries[1].Format]
				if x.Deliveries[1].Format == "" {
					x.Deliveries[1].Format = "raw"
				}
			}
		}
	case defect == defectForget && len(r.Outcomes) > 0:
		// What was retried stays so in the store: the cursor hides the others.
		for _, lane := range r.Outcomes {
			for _, o := range lane.Outcomes {
				if o.From == store.Retrying {
					return result, true
				}
			}
		}
	case len(r.Outcomes) > 0 && (defect == defectStorm || defect == defectMislabel):
		for _, lane := range r.Outcomes {
			for i := range lane.Outcomes {
				o := &lane.Outcomes[i]
				if defect == defectStorm && o.To == store.Retrying {
					o.Due = time.Unix(0, 0)
				}
				if defect == defectMislabel && o.Attempt != nil && o.Attempt.Reason != "" {
					o.Attempt.Reason = "status"
				}
			}
		}
	case defect == defectHoard && len(r.Events)+len(r.Outcomes) > 0:
		kept := make([]byte, 512<<10)
		for i := 0; i < len(kept); i += 4096 {
			kept[i] = 1
		}
		defectMu.Lock()
		hoarded = append(hoarded, kept)
		defectMu.Unlock()
	case defect == defectStall && len(r.Events) > 0:
		defectMu.Lock()
		time.Sleep(600 * time.Millisecond)
		defectMu.Unlock()
	}
	return result, false
}

// answerEarly answers the events of a batch that is not written yet. The pause is
// what a flush in the background would leave between the two.
func (b *batch) answerEarly() {
	early := func(req *request) bool { return len(req.events) > 0 }
	for _, req := range b.requests {
		if early(req) {
			req.answer(nil)
		}
	}
	b.requests = slices.DeleteFunc(b.requests, early)
	time.Sleep(5 * time.Millisecond)
}
