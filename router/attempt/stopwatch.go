package attempt

import (
	"context"
	"net/http/httptrace"
	"sync"
	"time"
)

// stopwatch takes the phases of making a connection. Package net may go on
// dialling a second address after the first one answered, so everything is under
// a lock, and a stopwatch is used once.
type stopwatch struct {
	mu                sync.Mutex
	dns, connect, tls time.Time // when each began
	took              Phases
}

func (w *stopwatch) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { w.start(&w.dns) },
		DNSDone:  func(httptrace.DNSDoneInfo) { w.stop(&w.dns, &w.took.DNS) },
		// From the first address's start to the last one's end.
		ConnectStart: func(string, string) { w.start(&w.connect) },
		ConnectDone:  func(string, string, error) { w.stop(&w.connect, &w.took.Connect) },
	})
}

// start notes when a phase began first.
func (w *stopwatch) start(at *time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at.IsZero() {
		*at = time.Now()
	}
}

func (w *stopwatch) stop(at *time.Time, took *time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*took = time.Since(*at)
}

func (w *stopwatch) phases() Phases {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.took
}
