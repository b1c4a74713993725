// Package tracing tells an OpenTelemetry collector of events' ways, by OTLP over
// HTTP.
//
// # Spans
//
// A trace has one span for the request that took the event in, below it one for
// each route that took it, below that its plugins and its deliveries, and below a
// delivery its attempts. The parent of the first is that of the producer's
// traceparent (W3C Trace Context); an attempt's request carries its own.
//
// # Invariants
//
//   - Off is free. A nil [Tracer] is tracing that is off: all methods can be called,
//     return at once and allocate nothing.
//   - A trace survives a restart. Of a trace only the first span is stored, with the
//     event. The ids of all others follow from it and from the delivery, so that an
//     attempt that is made days later has the same parent.
//   - Nothing waits for a collector. Spans that it does not take in time are
//     dropped, and the log says so once in a while; shutdown is bounded.
//   - Spans are made when they have ended, from what is recorded anyway. What a span
//     holds is in the store too: no payloads, no headers, no secrets.
package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

const (
	// sendFor is how long one batch of spans is tried, and flushFor how long
	// shutdown waits for the last ones.
	sendFor  = 10 * time.Second
	flushFor = 5 * time.Second
	// sendEvery is the most that a span waits.
	sendEvery   = time.Second
	flagSampled = byte(trace.FlagsSampled)
)

// Tracer makes spans. A nil one is tracing that is off. It is safe for concurrent
// use.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	closing  sync.Once
	exporter sdktrace.SpanExporter
	log      hclog.Logger
}

// Open begins to trace, or gives nil where the configuration says nothing of it. It
// does not wait for the collector.
func Open(ctx context.Context, c config.Tracing, version string, log hclog.Logger) (*Tracer, error) {
	if c.Endpoint == nil {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.Endpoint.String()), otlptracehttp.WithTimeout(sendFor))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "weir"), attribute.String("service.version", version)),
		resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("tracing: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&quiet{SpanExporter: exporter, log: log}, sdktrace.WithBatchTimeout(sendEvery), sdktrace.WithExportTimeout(sendFor)),
		sdktrace.WithResource(about), sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Sample))),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/weirhq/weir"), exporter: exporter, log: log}, nil
}

// On reports whether anything is traced.
func (t *Tracer) On() bool { return t != nil }

// Close sends what is left, for a bounded time.
func (t *Tracer) Close(ctx context.Context) {
	if t == nil {
		return
	}
	t.closing.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, flushFor)
		defer cancel()
		if err := t.provider.Shutdown(ctx); err != nil {
			// Else a request under way would go on.
			done, cancel := context.WithCancel(context.Background())
			cancel()
			_ = t.exporter.Shutdown(done) // it is the context's
			t.log.Warn("the last spans are lost, because the collector does not take them (tracing.endpoint)", "error", err)
		}
	})
}

// Ingest is a request on its way to the store.
type Ingest struct {
	span trace.Span
	// Trace is what the events of the request are stored with.
	Trace *event.Trace
}

// Ingest begins the span of a request that a source has taken. traceparent is the
// request's header; where it is none that can be read, a span in ctx is the parent.
func (t *Tracer) Ingest(ctx context.Context, source, traceparent string, received time.Time, events int) Ingest {
	if t == nil {
		return Ingest{}
	}
	if parent, ok := parse(traceparent); ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	_, span := t.tracer.Start(ctx, "ingest "+source, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(received),
		trace.WithAttributes(attribute.String("weir.source", source), attribute.Int("weir.events", events)))
	c := span.SpanContext()
	return Ingest{span, &event.Trace{TraceID: c.TraceID(), SpanID: c.SpanID(), Flags: byte(c.TraceFlags())}}
}

// End ends the span when the events are on disk, or with what kept them from it.
func (i Ingest) End(accepted []store.Accepted, err error) {
	if i.span == nil {
		return
	}
	if len(accepted) == 1 {
		i.span.SetAttributes(attribute.String("weir.event_id", accepted[0].ID), attribute.Bool("weir.duplicate", accepted[0].Duplicate))
	}
	if err != nil {
		i.span.SetStatus(codes.Error, err.Error())
	}
	i.span.End()
}

// recorded reports whether spans of an event are sent.
func (t *Tracer) recorded(e *event.Event) bool {
	return t != nil && e.Trace != nil && e.Trace.Flags&flagSampled != 0
}

// Routed tells of the routes that took an event, and of their plugins, when that is
// just decided. Plugins ran one after another: their spans are laid out by how long
// each took.
func (t *Tracer) Routed(e *event.Event, r *store.Routing) {
	if !t.recorded(e) {
		return
	}
	end := time.Now()
	at := end
	for i := range r.Matches {
		for k := range r.Matches[i].Plugins {
			at = at.Add(-r.Matches[i].Plugins[k].Duration)
		}
	}
	for i := range r.Matches {
		m := &r.Matches[i]
		id := routeSpan(e, m.Route)
		from := at
		for k := range m.Plugins {
			v := &m.Plugins[k]
			attributes := []attribute.KeyValue{
				attribute.String("weir.plugin", v.Plugin), attribute.String("weir.build", v.Build), attribute.Int("weir.message", v.Message),
				attribute.String("weir.verdict", verdict(v)), attribute.Int64("weir.fuel", v.Fuel),
			}
			t.span(e, id, trace.SpanID{}, "plugin "+v.Plugin, trace.SpanKindInternal, at, at.Add(v.Duration), v.Class, attributes)
			at = at.Add(v.Duration)
		}
		deliveries, failed := 0, ""
		for k := range r.Deliveries {
			if d := &r.Deliveries[k]; d.Match == i {
				deliveries++
				if d.Lane == store.RoutingLane {
					failed = "a plugin failed"
				}
			}
		}
		t.span(e, e.Trace.SpanID, id, "route "+m.Route, trace.SpanKindInternal, from, at, failed, []attribute.KeyValue{
			attribute.String("weir.event_id", e.ID), attribute.String("weir.event_type", e.Type), attribute.String("weir.route", m.Route),
			attribute.String("weir.config", r.Config), attribute.Int("weir.deliveries", deliveries),
		})
	}
}

func verdict(v *store.Verdict) string {
	switch {
	case v.Class != "":
		return "failed"
	case v.Transform != "":
		return v.Transform
	}
	return v.Filter
}

// Traceparent is the header of an attempt's request, empty where the event has no
// trace.
func (t *Tracer) Traceparent(e *event.Event, ref store.Ref, number int) string {
	if t == nil || e.Trace == nil {
		return ""
	}
	id := attemptSpan(e, ref, number)
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, e.Trace.TraceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[:])
	b = append(b, "-0"...)
	return string(append(b, '0'+e.Trace.Flags&flagSampled))
}

// Attempt is what is told of an attempt.
type Attempt struct {
	Ref                store.Ref
	Route, Destination string
	Replay             string
	*store.Attempt
	// OK: it was delivered. To is the state that the delivery is in now.
	OK bool
	To store.State
}

// Attempted tells of an attempt, and of the delivery where it has ended.
func (t *Tracer) Attempted(e *event.Event, a Attempt) {
	if !t.recorded(e) {
		return
	}
	failed := ""
	if !a.OK {
		failed = a.Reason
	}
	end := a.Started.Add(a.Latency)
	delivery := deliverySpan(e, a.Ref)
	attributes := []attribute.KeyValue{
		attribute.String("weir.delivery", a.Ref.String()), attribute.String("weir.destination", a.Destination), attribute.Int("weir.attempt", a.Number),
	}
	if a.Status != 0 {
		attributes = append(attributes, attribute.Int("http.response.status_code", a.Status))
	}
	if failed != "" {
		attributes = append(attributes, attribute.String("error.type", failed))
	}
	for _, phase := range []struct {
		name string
		time time.Duration
	}{{"dns", a.DNS}, {"connect", a.Connect}, {"tls", a.TLS}, {"first_byte", a.FirstByte}} {
		if phase.time > 0 {
			attributes = append(attributes, attribute.Float64("weir."+phase.name+"_ms", float64(phase.time)/float64(time.Millisecond)))
		}
	}
	t.span(e, delivery, attemptSpan(e, a.Ref, a.Number), "attempt "+a.Destination, trace.SpanKindClient, a.Started, end, failed, attributes)
	if !a.To.Final() {
		return
	}
	began, failed := e.Received, ""
	if a.Replay != "" && a.Number == 1 {
		began = a.Started
	}
	if a.To != store.Delivered {
		failed = string(a.To)
	}
	t.span(e, routeSpan(e, a.Route), delivery, "delivery "+a.Destination, trace.SpanKindProducer, began, end, failed, []attribute.KeyValue{
		attribute.String("weir.delivery", a.Ref.String()), attribute.String("weir.destination", a.Destination), attribute.String("weir.state", string(a.To)),
		attribute.Int("weir.attempts", a.Number), attribute.String("weir.event_id", e.ID), attribute.String("weir.event_type", e.Type),
	})
}

// span sends one that has ended. id may be zero.
func (t *Tracer) span(e *event.Event, parent, id trace.SpanID, name string, kind trace.SpanKind, from, to time.Time, failed string, attributes []attribute.KeyValue) {
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: e.Trace.TraceID, SpanID: parent, TraceFlags: trace.TraceFlags(e.Trace.Flags), Remote: true,
	}))
	if id.IsValid() {
		ctx = context.WithValue(ctx, spanID{}, id)
	}
	_, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(from), trace.WithAttributes(attributes...))
	if failed != "" {
		span.SetStatus(codes.Error, failed)
	}
	span.End(trace.WithTimestamp(to))
}

// The ids of spans that others are below of follow from the trace.

func routeSpan(e *event.Event, route string) trace.SpanID {
	return derived(e, "route "+route, store.Ref{}, 0)
}

func deliverySpan(e *event.Event, ref store.Ref) trace.SpanID { return derived(e, "delivery", ref, 0) }

func attemptSpan(e *event.Event, ref store.Ref, number int) trace.SpanID {
	return derived(e, "attempt", ref, number)
}

func derived(e *event.Event, what string, ref store.Ref, number int) (id trace.SpanID) {
	var room [96]byte
	b := append(append(room[:0], e.Trace.TraceID[:]...), e.Trace.SpanID[:]...)
	// The position, so that the events of a batch, which share a span, differ.
	b = binary.BigEndian.AppendUint64(b, e.Position)
	b = binary.BigEndian.AppendUint32(b, ref.Index)
	b = binary.BigEndian.AppendUint32(b, uint32(number))
	sum := sha256.Sum256(append(b, what...))
	copy(id[:], sum[:])
	id[0] |= 1 // zero is none
	return id
}

// spanID is the key of a context with the id that the next span is to have.
type spanID struct{}

// ids gives the ids of spans: those that are derived, else random ones.
type ids struct{}

func (ids) NewIDs(context.Context) (id trace.TraceID, span trace.SpanID) {
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1)
	return id, random()
}

func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if id, ok := ctx.Value(spanID{}).(trace.SpanID); ok {
		return id
	}
	return random()
}

func random() (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1)
	return id
}
