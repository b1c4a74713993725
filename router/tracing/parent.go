package tracing

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// parse reads a traceparent header (W3C Trace Context, section 3.2). One that is
// malformed counts for nothing, as the recommendation says.
func parse(traceparent string) (trace.SpanContext, bool) {
	if traceparent == "" {
		return trace.SpanContext{}, false
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": traceparent})
	c := trace.SpanContextFromContext(ctx)
	return c, c.IsValid()
}

// tellEvery is how often the log has it that spans are lost.
const tellEvery = time.Minute

// quiet keeps the errors of an exporter from OpenTelemetry's global handler, which
// belongs to the program that embeds the router.
type quiet struct {
	sdktrace.SpanExporter
	log hclog.Logger

	mu   sync.Mutex
	told time.Time
	lost int
}

func (q *quiet) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := q.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost += len(spans)
	if now := time.Now(); now.Sub(q.told) >= tellEvery {
		q.log.Warn("the collector does not take spans (tracing.endpoint); they are lost, and events are not", "spans", q.lost, "error", err)
		q.told, q.lost = now, 0
	}
	return nil
}
