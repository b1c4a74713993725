package tracing

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/weirhq/weir/router/event"
)

// Parent is the span that a request, or an event, says that it comes from, as the
// headers of these names write it.
type Parent struct{ Traceparent, Tracestate string }

// parse reads the headers (W3C Trace Context, sections 3.2 and 3.3). A traceparent
// that is malformed counts for nothing, and so does a tracestate by itself, as the
// recommendation says.
func (p Parent) parse() (trace.SpanContext, bool) {
	if p.Traceparent == "" {
		return trace.SpanContext{}, false
	}
	// The context keeps parts of the text, which may be the request's buffer.
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{
		"traceparent": p.Traceparent, "tracestate": strings.Clone(p.Tracestate),
	})
	c := trace.SpanContextFromContext(ctx)
	return c, c.IsValid()
}

// The attributes of CloudEvents' extension for distributed tracing, as an event keeps
// them.
const (
	parentAttribute = "ce-traceparent"
	stateAttribute  = "ce-tracestate"
)

// parentOf is what an event says itself.
func parentOf(e *event.Event) (p Parent) {
	for i := range e.Header {
		switch f := &e.Header[i]; f.Name {
		case parentAttribute:
			p.Traceparent = f.Value
		case stateAttribute:
			p.Tracestate = f.Value
		}
	}
	return p
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
