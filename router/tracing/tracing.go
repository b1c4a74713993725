// Package tracing tells an OpenTelemetry collector of events' ways, by OTLP over
// HTTP.
//
// # Spans
//
// A trace has one span for the request that took the event in, below it one for
// each route that took it, below that its plugins and its deliveries, and below a
// delivery its attempts. The parent of the first is that of the producer's
// traceparent (W3C Trace Context), else that of the event, where it is a CloudEvent
// with the extension for distributed tracing; an attempt's request carries its own,
// and the tracestate that came in.
//
// What follows from a delivery is below it: the reply that became an event, and the
// router's own event that tells of its end. A replay is a trace of its own, with a
// link to the event's: it may be made days later, and more than once. Below its first
// span are its routes, with their plugins where they ran anew. A test of a webhook is a
// trace of its own, too. Of what is
// pulled there is no attempt: its delivery ends when it is acknowledged, and the
// message carries the delivery.
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
		sdktrace.WithSampler(sampler{sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Sample))}),
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
type Ingest struct{ spans []ingestSpan }

// ingestSpan is that of one event of a request, or of all that have none of their own.
type ingestSpan struct {
	trace.Span
	event int // -1: several
}

// Ingest begins the span of a request that a source has taken, and gives it to its
// events. parent has the request's headers; where they name no span, an event's own
// attributes do (CloudEvents, Distributed Tracing), each event of a batch its own, and
// else a span in ctx is the parent.
func (t *Tracer) Ingest(ctx context.Context, source string, parent Parent, events []*event.Event) (i Ingest) {
	if t == nil {
		return i
	}
	named, ok := parent.parse()
	if ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, named)
	}
	var rest []int
	for n, e := range events {
		if own, has := parentOf(e).parse(); has && !ok {
			e.Trace = i.begin(t, trace.ContextWithRemoteSpanContext(ctx, own), source, e.Received, n, 1)
		} else {
			rest = append(rest, n)
		}
	}
	if len(rest) == 0 {
		return i
	}
	one := -1
	if len(rest) == 1 {
		one = rest[0]
	}
	shared := i.begin(t, ctx, source, events[rest[0]].Received, one, len(rest))
	for _, n := range rest {
		events[n].Trace = shared
	}
	return i
}

func (i *Ingest) begin(t *Tracer, ctx context.Context, source string, received time.Time, n, events int) *event.Trace {
	_, span := t.tracer.Start(ctx, "ingest "+source, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(received),
		trace.WithAttributes(attribute.String("weir.source", source), attribute.Int("weir.events", events)))
	i.spans = append(i.spans, ingestSpan{span, n})
	return traceOf(span)
}

func traceOf(span trace.Span) *event.Trace {
	c := span.SpanContext()
	return &event.Trace{TraceID: c.TraceID(), SpanID: c.SpanID(), Flags: byte(c.TraceFlags()), State: c.TraceState().String()}
}

// End ends the spans when the events are on disk, or with what kept them from it.
func (i Ingest) End(accepted []store.Accepted, err error) {
	for _, span := range i.spans {
		if n := span.event; n >= 0 && n < len(accepted) {
			span.SetAttributes(attribute.String("weir.event_id", accepted[n].ID), attribute.Bool("weir.duplicate", accepted[n].Duplicate))
		}
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// recorded reports whether spans of an event are sent.
func (t *Tracer) recorded(e *event.Event) bool {
	return t != nil && e.Trace != nil && e.Trace.Flags&flagSampled != 0
}

// Routed tells of the routes that took an event, and of their plugins, when that is
// just decided. Plugins ran one after another: their spans are laid out by how long
// each took.
func (t *Tracer) Routed(e *event.Event, r *store.Routing) {
	if t.recorded(e) {
		t.routes(e.Trace, e, r, "")
	}
}

// Replayed tells of a replay of an event, whose deliveries r has, when it is on disk.
// It is a trace of its own, with a link to the event's; below it are the routes, with
// those plugins that ran for it.
func (t *Tracer) Replayed(e *event.Event, r *store.Routing) {
	if !t.recorded(e) || len(r.Deliveries) == 0 {
		return
	}
	in, replay := *e.Trace, r.Deliveries[0].Replay
	in.TraceID, in.SpanID = traceID(e, replay), derived(e, "replay "+replay, store.Ref{}, 0)
	began := t.routes(&in, e, r, replay)
	t.span(&in, trace.SpanID{}, in.SpanID, "replay", trace.SpanKindInternal, began, time.Now(), "", []attribute.KeyValue{
		attribute.String("weir.replay", replay), attribute.String("weir.event_id", e.ID), attribute.String("weir.event_type", e.Type),
		attribute.String("weir.source", e.Source), attribute.Int("weir.deliveries", len(r.Deliveries)),
	}, trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: e.Trace.TraceID, SpanID: e.Trace.SpanID, TraceFlags: trace.TraceFlags(e.Trace.Flags), Remote: true,
	})})
}

// ran is how long plugins ran for routes.
func ran(matches []store.Match) (d time.Duration) {
	for i := range matches {
		for k := range matches[i].Plugins {
			d += matches[i].Plugins[k].Duration
		}
	}
	return d
}

// plugins tells of the calls of a route's plugins, one after another from a time on. It
// returns when the last one ended.
func (t *Tracer) plugins(in *event.Trace, above trace.SpanID, m *store.Match, at time.Time) time.Time {
	for k := range m.Plugins {
		v := &m.Plugins[k]
		attributes := []attribute.KeyValue{
			attribute.String("weir.plugin", v.Plugin), attribute.String("weir.build", v.Build), attribute.Int("weir.message", v.Message),
			attribute.String("weir.verdict", verdict(v)), attribute.Int64("weir.fuel", v.Fuel),
		}
		t.span(in, above, trace.SpanID{}, "plugin "+v.Plugin, trace.SpanKindInternal, at, at.Add(v.Duration), v.Class, attributes)
		at = at.Add(v.Duration)
	}
	return at
}

// routes tells of routes that were just decided, in a trace below its span, and returns
// when the first plugin was called.
func (t *Tracer) routes(in *event.Trace, e *event.Event, r *store.Routing, replay string) (began time.Time) {
	began = time.Now().Add(-ran(r.Matches))
	at := began
	for i := range r.Matches {
		m := &r.Matches[i]
		id := routeSpan(e, m.Route, replay)
		from := at
		at = t.plugins(in, id, m, at)
		deliveries, failed := 0, ""
		for k := range r.Deliveries {
			if d := &r.Deliveries[k]; d.Match == i {
				deliveries++
				if d.Lane == store.RoutingLane {
					failed = "a plugin failed"
				}
			}
		}
		t.span(in, in.SpanID, id, "route "+m.Route, trace.SpanKindInternal, from, at, failed, []attribute.KeyValue{
			attribute.String("weir.event_id", e.ID), attribute.String("weir.event_type", e.Type), attribute.String("weir.route", m.Route),
			attribute.String("weir.config", r.Config), attribute.Int("weir.deliveries", deliveries),
		})
	}
	return began
}

// Tested tells of a test of a registered webhook: e is the event that it is made with,
// which is stored nowhere. It begins the trace; end is called once, with the attempt,
// or with nil and why nothing was sent.
func (t *Tracer) Tested(ctx context.Context, e *event.Event, webhook string) (end func(r *store.Routing, a *store.Attempt, why error)) {
	if t == nil {
		return func(*store.Routing, *store.Attempt, error) {}
	}
	_, span := t.tracer.Start(ctx, "test "+webhook, trace.WithTimestamp(e.Received), trace.WithAttributes(
		attribute.String("weir.event_id", e.ID), attribute.String("weir.event_type", e.Type), attribute.String("weir.destination", webhook)))
	e.Trace = traceOf(span)
	return func(r *store.Routing, a *store.Attempt, why error) {
		if t.recorded(e) && r != nil {
			t.routes(e.Trace, e, r, "")
		}
		if a != nil {
			to := store.Delivered
			if a.Reason != "" {
				to = store.Dead
			}
			t.Attempted(e, Attempt{Route: webhook, Destination: webhook, Attempt: a, OK: a.Reason == "", To: to})
		}
		if why != nil {
			span.SetStatus(codes.Error, why.Error())
		}
		span.End()
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
// trace. replay is the id of the replay that the delivery belongs to, or empty.
func (t *Tracer) Traceparent(e *event.Event, ref store.Ref, number int, replay string) string {
	if t == nil || e.Trace == nil {
		return ""
	}
	own := event.Trace{TraceID: traceID(e, replay), SpanID: attemptSpan(e, ref, number), Flags: e.Trace.Flags & flagSampled}
	return own.Traceparent()
}

// Tracestate is the header that goes with it: what came in.
func (t *Tracer) Tracestate(e *event.Event) string {
	if t == nil || e.Trace == nil {
		return ""
	}
	return e.Trace.State
}

// PullParent is the header of a message that is pulled: its delivery, which ends when
// it is acknowledged.
func (t *Tracer) PullParent(d Delivery) string {
	if t == nil || d.Event == nil || d.Event.Trace == nil {
		return ""
	}
	e := d.Event
	own := event.Trace{TraceID: traceID(e, d.Replay), SpanID: deliverySpan(e, d.Ref), Flags: e.Trace.Flags & flagSampled}
	return own.Traceparent()
}

// EventParent is the header of an event that is shown to a listener, to which there is
// no delivery.
func (t *Tracer) EventParent(e *event.Event) string {
	if t == nil {
		return ""
	}
	return e.Trace.Traceparent()
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
	// Reply is the event that the answer has become, or nil.
	Reply *event.Event
	// Again is what a route that was run again has led to, or nil.
	Again *store.Routing
}

// Delivery is one that something follows from. The zero value is none.
type Delivery struct {
	Event  *event.Event
	Ref    store.Ref
	Replay string
}

// Reply is the trace of an event that an answer becomes, nil where the one that was
// delivered has none. Its span is below the delivery, and follows from it, since a
// crash may make the same event again.
func (t *Tracer) Reply(e *event.Event, ref store.Ref, replay string) *event.Trace {
	if t == nil || e.Trace == nil {
		return nil
	}
	return &event.Trace{TraceID: traceID(e, replay), SpanID: derived(e, "reply", ref, 0), Flags: e.Trace.Flags, State: e.Trace.State}
}

// Told gives one of the router's own events its trace: below the delivery that it
// tells of, else one that begins with it.
func (t *Tracer) Told(e *event.Event, of Delivery) {
	if t == nil {
		return
	}
	attributes := []attribute.KeyValue{attribute.String("weir.event_id", e.ID), attribute.String("weir.event_type", e.Type)}
	if of.Event == nil || of.Event.Trace == nil {
		_, span := t.tracer.Start(context.Background(), e.Type, trace.WithTimestamp(e.Received), trace.WithAttributes(attributes...))
		e.Trace = traceOf(span)
		span.End(trace.WithTimestamp(e.Received))
		return
	}
	from := of.Event.Trace
	e.Trace = &event.Trace{TraceID: traceID(of.Event, of.Replay), SpanID: derived(of.Event, "told "+e.ID, of.Ref, 0), Flags: from.Flags, State: from.State}
	if t.recorded(e) {
		t.span(e.Trace, deliverySpan(of.Event, of.Ref), e.Trace.SpanID, e.Type, trace.SpanKindInternal, e.Received, e.Received, "", attributes)
	}
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
	in := *e.Trace
	in.TraceID = traceID(e, a.Replay)
	t.span(&in, delivery, attemptSpan(e, a.Ref, a.Number), "attempt "+a.Destination, trace.SpanKindClient, a.Started, end, failed, attributes)
	if a.Again != nil {
		at := end.Add(-ran(a.Again.Matches))
		for i := range a.Again.Matches {
			at = t.plugins(&in, attemptSpan(e, a.Ref, a.Number), &a.Again.Matches[i], at)
		}
	}
	if r := a.Reply; r != nil && r.Trace != nil {
		t.span(&in, delivery, r.Trace.SpanID, "reply "+r.Type, trace.SpanKindInternal, end, end, "", []attribute.KeyValue{
			attribute.String("weir.event_id", r.ID), attribute.String("weir.event_type", r.Type), attribute.String("weir.destination", a.Destination),
		})
	}
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
	t.ended(Delivery{e, a.Ref, a.Replay}, a.Route, a.Destination, began, end, failed,
		attribute.String("weir.state", string(a.To)), attribute.Int("weir.attempts", a.Number))
}

// Pulled tells of a delivery that was acknowledged.
func (t *Tracer) Pulled(d Delivery, route, destination string, at time.Time) {
	if t.recorded(d.Event) {
		t.ended(d, route, destination, d.Event.Received, at, "", attribute.String("weir.state", string(store.Delivered)))
	}
}

// ended tells of a delivery.
func (t *Tracer) ended(d Delivery, route, destination string, from, to time.Time, failed string, more ...attribute.KeyValue) {
	e, in, above := d.Event, *d.Event.Trace, routeSpan(d.Event, route, d.Replay)
	attributes := append(more, attribute.String("weir.delivery", d.Ref.String()), attribute.String("weir.destination", destination),
		attribute.String("weir.event_id", e.ID), attribute.String("weir.event_type", e.Type))
	if d.Replay != "" {
		in.TraceID = traceID(e, d.Replay)
		attributes = append(attributes, attribute.String("weir.replay", d.Replay), attribute.String("weir.route", route))
	}
	t.span(&in, above, deliverySpan(e, d.Ref), "delivery "+destination, trace.SpanKindProducer, from, to, failed, attributes)
}

// span sends one that has ended, of a trace that is recorded. Without a parent it is
// the trace's first. id may be zero.
func (t *Tracer) span(in *event.Trace, parent, id trace.SpanID, name string, kind trace.SpanKind, from, to time.Time, failed string, attributes []attribute.KeyValue, links ...trace.Link) {
	ctx := context.Background()
	if parent.IsValid() {
		state, _ := trace.ParseTraceState(in.State) // it was written by a TraceState
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: in.TraceID, SpanID: parent, TraceFlags: trace.TraceFlags(in.Flags), TraceState: state, Remote: true,
		}))
	}
	ctx = context.WithValue(ctx, chosen{}, chosenIDs{in.TraceID, id})
	_, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(from), trace.WithAttributes(attributes...), trace.WithLinks(links...))
	if failed != "" {
		span.SetStatus(codes.Error, failed)
	}
	span.End(trace.WithTimestamp(to))
}

// The ids of spans that others are below of follow from the trace.

// routeSpan is that of a route, in the trace of the event or, where replay is its id, of
// a replay.
func routeSpan(e *event.Event, route, replay string) trace.SpanID {
	if replay != "" {
		route += " " + replay // names of routes have no spaces
	}
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

// traceID is the trace that a delivery of an event belongs to: the event's, or one of
// its own for a replay of it.
func traceID(e *event.Event, replay string) (id trace.TraceID) {
	if replay == "" {
		return e.Trace.TraceID
	}
	var room [96]byte
	b := append(append(room[:0], e.Trace.TraceID[:]...), e.Trace.SpanID[:]...)
	b = binary.BigEndian.AppendUint64(b, e.Position)
	sum := sha256.Sum256(append(b, replay...))
	copy(id[:], sum[:])
	id[0] |= 1 // zero is none
	return id
}

// chosen is the key of a context with the ids that the next span is to have. Such a
// span is recorded: whether its trace is was decided when it began.
type chosen struct{}

// chosenIDs has a span's id that may be zero, and its trace's.
type chosenIDs struct {
	trace trace.TraceID
	span  trace.SpanID
}

// sampler leaves the decision on spans that begin with an event to the one inside.
type sampler struct{ sdktrace.Sampler }

func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if _, ok := p.ParentContext.Value(chosen{}).(chosenIDs); ok {
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample, Tracestate: trace.SpanContextFromContext(p.ParentContext).TraceState()}
	}
	return s.Sampler.ShouldSample(p)
}

// ids gives the ids of spans: those that are derived, else random ones.
type ids struct{}

func (ids) NewIDs(ctx context.Context) (id trace.TraceID, span trace.SpanID) {
	if of, ok := ctx.Value(chosen{}).(chosenIDs); ok {
		return of.trace, of.span
	}
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1)
	return id, random()
}

func (ids) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if of, ok := ctx.Value(chosen{}).(chosenIDs); ok && of.span.IsValid() {
		return of.span
	}
	return random()
}

func random() (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1)
	return id
}
