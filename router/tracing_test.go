package router

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
	"github.com/weirhq/weir/router/tracing"
)

// otlp is a collector that decodes what it is sent.
type otlp struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*spans.Span
}

func startCollector(t *testing.T) *otlp {
	t.Helper()
	c := &otlp{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		b, err := io.ReadAll(body)
		var in collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(b, &in)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, of := range in.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// named gives the spans of a name.
func (c *otlp) named(name string) []*spans.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*spans.Span
	for _, s := range c.spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

func (c *otlp) one(t *testing.T, name string) *spans.Span {
	t.Helper()
	found := c.named(name)
	if len(found) != 1 {
		t.Fatalf("%d spans %q", len(found), name)
	}
	return found[0]
}

// An event's trace begins at its producer and goes on over a restart to its last
// attempt, which tells its receiver.
func TestTrace(t *testing.T) {
	collector := startCollector(t)
	var mu sync.Mutex
	var told []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, strings.Join(r.Header.Values("traceparent"), ","))
		if len(told) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer receiver.Close()
	dir := t.TempDir()
	hcl := fmt.Sprintf(`
server {
  listen = "127.0.0.1:0"
}
tracing {
  endpoint = %q
}
plugin "p" {
  wasm = %q
}
destination "out" {
  url             = %q
  forward_headers = ["traceparent"]
  retry {
    schedule = ["0s", "1h"]
  }
}
route "all" {
  through = [plugin.p]
  to      = [destination.out]
}
`, collector.URL, module(t, "set-all"), receiver.URL)
	r := start(t, dir, hcl, Options{})
	const producer = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	req := httptest.NewRequest(http.MethodPost, "http://localhost/events", strings.NewReader(`{"event":"order","event_id":"o-1","data":{"secret":"hush"}}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("traceparent", producer)
	res, err := r.Handler().Test(req, -1)
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatal(res, err)
	}
	attempts := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(told) == n }
	}
	await(t, "the first attempt", attempts(1))
	shut(t, r) // it flushes
	ingest, route, plugin := collector.one(t, "ingest events"), collector.one(t, "route all"), collector.one(t, "plugin p")
	if len(collector.named("delivery out")) != 0 {
		t.Error("the delivery has ended before it has")
	}
	r = start(t, dir, hcl, Options{})
	if _, err := (engine{r}).RetryDelivery(t.Context(), store.Ref{Position: 1}); err != nil {
		t.Fatal(err)
	}
	await(t, "the second attempt", attempts(2))
	shut(t, r)
	delivery, tries := collector.one(t, "delivery out"), collector.named("attempt out")
	if len(tries) != 2 {
		t.Fatalf("%d attempts", len(tries))
	}
	for _, c := range []struct {
		what   string
		span   *spans.Span
		parent []byte
		kind   spans.Span_SpanKind
		failed bool
	}{
		{"ingest", ingest, unhex(t, "b7ad6b7169203331"), spans.Span_SPAN_KIND_SERVER, false},
		{"route", route, ingest.SpanId, spans.Span_SPAN_KIND_INTERNAL, false},
		{"plugin", plugin, route.SpanId, spans.Span_SPAN_KIND_INTERNAL, false},
		{"delivery", delivery, route.SpanId, spans.Span_SPAN_KIND_PRODUCER, false},
		{"first attempt", tries[0], delivery.SpanId, spans.Span_SPAN_KIND_CLIENT, true},
		{"second attempt", tries[1], delivery.SpanId, spans.Span_SPAN_KIND_CLIENT, false},
	} {
		s := c.span
		if hex.EncodeToString(s.TraceId) != "0af7651916cd43dd8448eb211c80319c" || string(s.ParentSpanId) != string(c.parent) || s.Kind != c.kind ||
			s.EndTimeUnixNano < s.StartTimeUnixNano || (s.GetStatus().GetCode() == spans.Status_STATUS_CODE_ERROR) != c.failed {
			t.Errorf("%s: %v", c.what, s)
		}
		if strings.Contains(s.String(), "hush") {
			t.Errorf("%s tells the payload: %v", c.what, s)
		}
	}
	for i, header := range told {
		if want := fmt.Sprintf("00-0af7651916cd43dd8448eb211c80319c-%x-01", tries[i].SpanId); header != want {
			t.Errorf("attempt %d came with traceparent %q, want %q", i+1, header, want)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is not sampled is told to the receiver, and to no collector; and a collector
// that hangs keeps nobody waiting.
func TestTraceNotSampled(t *testing.T) {
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer hanging.Close()
	told := make(chan string, 2)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.Header.Get("traceparent") }))
	defer receiver.Close()
	r := start(t, t.TempDir(), fmt.Sprintf(`
tracing {
  endpoint = %q
  sample   = 0
}
destination "out" {
  url = %q
}
route "all" {
  to = [destination.out]
}
`, hanging.URL, receiver.URL), Options{})
	publish(t, r, "x", "one")
	if header := <-told; len(header) != 55 || !strings.HasSuffix(header, "-00") {
		t.Errorf("not sampled: traceparent %q", header)
	}
	e, err := r.store.Event(t.Context(), 1)
	if err != nil || e.Trace == nil || e.Trace.Flags != 0 {
		t.Errorf("stored as %+v, %v", e, err)
	}
	// A span that the collector does not take: the flush gives up when it is told.
	r.tracer.Attempted(&event.Event{Trace: &event.Trace{TraceID: [16]byte{1}, SpanID: [8]byte{1}, Flags: 1}}, tracing.Attempt{Attempt: &store.Attempt{Number: 1, Started: time.Now()}, To: store.Retrying})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.tracer.Close(ctx)
	if ctx.Err() == nil {
		t.Error("the flush ended before the collector answered")
	}
}
