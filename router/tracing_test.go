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

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/replay"
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

// heard are the requests that a receiver got, by path.
type heard struct {
	*httptest.Server
	mu  sync.Mutex
	got map[string][]http.Header
	// bodies are those of the same requests.
	bodies map[string][]string
}

func listenTo(t *testing.T, answer func(w http.ResponseWriter, path string)) *heard {
	t.Helper()
	h := &heard{got: map[string][]http.Header{}, bodies: map[string][]string{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		h.got[r.URL.Path] = append(h.got[r.URL.Path], r.Header)
		h.bodies[r.URL.Path] = append(h.bodies[r.URL.Path], string(b))
		h.mu.Unlock()
		answer(w, r.URL.Path)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *heard) count(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got[path])
}

// What follows from an event is in its trace: the reply to it, the router's own event
// that tells of its end, and what is pulled. A replay has a trace of its own, which
// links to it. A CloudEvent brings its trace itself, and takes it on.
func TestTraceFollows(t *testing.T) {
	collector := startCollector(t)
	receiver := listenTo(t, func(w http.ResponseWriter, path string) {
		switch path {
		case "/asked":
			_, _ = io.WriteString(w, `{"price":7}`)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	r := start(t, t.TempDir(), fmt.Sprintf(`
server {
  listen = "127.0.0.1:0"
}
tracing {
  endpoint = %q
}
destination "asked" {
  url        = "%[2]s/asked"
  reply_type = "priced"
}
destination "broken" {
  url = "%[2]s/broken"
  retry {
    schedule = ["0s"]
  }
}
destination "cloud" {
  url    = "%[2]s/cloud"
  format = "cloudevents"
}
destination "told" {
  url    = "%[2]s/told"
  format = "cloudevents"
}
destination "queue" {
  url = "pull:"
}
route "all" {
  to = [destination.asked, destination.broken, destination.cloud, destination.queue]
}
route "follows" {
  from   = [source.reply, source.weir]
  events = ["priced", "weir.delivery.dead"]
  to     = [destination.told]
}
`, collector.URL, receiver.URL), Options{})
	const producer, state = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=a,other=b"
	req := httptest.NewRequest(http.MethodPost, "http://localhost/events", strings.NewReader(`{"total":1}`))
	for name, value := range map[string]string{
		"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": "o-1", "ce-source": "/shop", "ce-type": "order", "ce-traceparent": producer, "ce-tracestate": state,
	} {
		req.Header.Set(name, value)
	}
	res, err := r.Handler().Test(req, -1)
	if err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatal(res, err)
	}
	await(t, "all attempts", func() bool {
		return receiver.count("/asked") == 1 && receiver.count("/broken") == 1 && receiver.count("/cloud") == 1 && receiver.count("/told") == 2
	})
	page, err := (engine{r}).Pull(t.Context(), "queue", api.PullQuery{Limit: 10, Wait: time.Minute})
	if err != nil || len(page.Messages) != 1 {
		t.Fatal(page, err)
	}
	if _, err := (engine{r}).Acknowledge(t.Context(), "queue", page.Next); err != nil {
		t.Fatal(err)
	}
	x, err := r.store.Event(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (engine{r}).ReplayEvent(t.Context(), x, replay.Ask{To: "cloud"}); err != nil {
		t.Fatal(err)
	}
	await(t, "the replay", func() bool { return receiver.count("/cloud") == 2 })
	shut(t, r)

	ingest, route := collector.one(t, "ingest events"), collector.named("route all")[0]
	asked, broken, queue, clouds := collector.one(t, "delivery asked"), collector.one(t, "delivery broken"), collector.one(t, "delivery queue"), collector.named("delivery cloud")
	if len(clouds) != 2 {
		t.Fatalf("%d deliveries to cloud", len(clouds))
	}
	reply, dead := collector.one(t, "reply priced"), collector.one(t, "weir.delivery.dead")
	parents := map[string]bool{}
	for _, s := range collector.named("route follows") {
		parents[string(s.ParentSpanId)] = true
	}
	if !parents[string(reply.SpanId)] || !parents[string(dead.SpanId)] {
		t.Error("what became of the reply, and of what was told of the dead letter, is not below them")
	}
	for _, c := range []struct {
		what   string
		span   *spans.Span
		parent []byte
	}{
		{"ingest", ingest, unhex(t, "b7ad6b7169203331")}, {"asked", asked, route.SpanId}, {"queue", queue, route.SpanId},
		{"reply", reply, asked.SpanId}, {"dead", dead, broken.SpanId}, {"first to cloud", clouds[0], route.SpanId},
	} {
		if hex.EncodeToString(c.span.TraceId) != "0af7651916cd43dd8448eb211c80319c" || string(c.span.ParentSpanId) != string(c.parent) || c.span.TraceState != state {
			t.Errorf("%s: %v", c.what, c.span)
		}
	}
	again, replayed, routes := clouds[1], collector.one(t, "replay"), collector.named("route all")
	if len(replayed.ParentSpanId) > 0 || string(replayed.TraceId) == string(ingest.TraceId) || len(replayed.Links) != 1 ||
		string(replayed.Links[0].TraceId) != string(ingest.TraceId) || string(replayed.Links[0].SpanId) != string(ingest.SpanId) {
		t.Errorf("the replay: %v", replayed)
	}
	if len(routes) != 2 || string(routes[1].ParentSpanId) != string(replayed.SpanId) || string(again.ParentSpanId) != string(routes[1].SpanId) ||
		string(again.TraceId) != string(replayed.TraceId) {
		t.Errorf("below the replay: %v, %v", routes, again)
	}

	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	for path, headers := range receiver.got {
		for i, h := range headers {
			if got := h.Values("tracestate"); len(got) != 1 || got[0] != state {
				t.Errorf("%s %d: tracestate %q", path, i, got)
			}
			of := hex.EncodeToString(ingest.TraceId)
			if path == "/cloud" && i == 1 {
				of = hex.EncodeToString(again.TraceId)
			}
			if !strings.HasPrefix(h.Get("traceparent"), "00-"+of+"-") {
				t.Errorf("%s %d: traceparent %q, of trace %s", path, i, h.Get("traceparent"), of)
			}
		}
	}
	// The extension has the trace that the transmission began with, in each hop.
	for i, body := range receiver.bodies["/cloud"] {
		if !strings.Contains(body, `"traceparent":"`+producer+`"`) || !strings.Contains(body, `"tracestate":"`+state+`"`) {
			t.Errorf("cloud %d: %s", i, body)
		}
	}
	for _, body := range receiver.bodies["/told"] {
		if !strings.Contains(body, `"traceparent":"00-0af7651916cd43dd8448eb211c80319c-`) {
			t.Errorf("told: %s", body)
		}
	}
	if m := page.Messages[0]; m.Headers["traceparent"] != fmt.Sprintf("00-%x-%x-01", ingest.TraceId, queue.SpanId) || m.Headers["tracestate"] != state {
		t.Errorf("pulled with %v", m.Headers)
	}
}

// A batch's events have each their own parent; the header of the request counts for
// all of them, with all that its tracestate lists.
func TestTraceOfBatch(t *testing.T) {
	collector := startCollector(t)
	r := start(t, t.TempDir(), fmt.Sprintf(`
server {
  listen = "127.0.0.1:0"
}
tracing {
  endpoint = %q
}
`, collector.URL), Options{})
	const one, two, header = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c", "2cf7651916cd43dd8448eb211c80319c"
	send := func(ids string, headers http.Header) {
		t.Helper()
		var list []string
		for i, trace := range []string{one, two, ""} {
			extension := ""
			if trace != "" {
				extension = `,"traceparent":"00-` + trace + `-b7ad6b7169203331-01"`
			}
			list = append(list, fmt.Sprintf(`{"specversion":"1.0","id":"%s-%d","source":"/s","type":"t"%s}`, ids, i, extension))
		}
		req := httptest.NewRequest(http.MethodPost, "http://localhost/events", strings.NewReader("["+strings.Join(list, ",")+"]"))
		req.Header = headers
		req.Header.Set("Content-Type", "application/cloudevents-batch+json")
		res, err := r.Handler().Test(req, -1)
		if err != nil || res.StatusCode != http.StatusAccepted {
			t.Fatal(res, err)
		}
	}
	send("own", http.Header{})
	send("all", http.Header{"Traceparent": {"00-" + header + "-b7ad6b7169203331-00"}, "Tracestate": {"a=1", "b=2"}})
	events, err := r.store.Events(t.Context(), 1, 10)
	if err != nil || len(events) != 6 {
		t.Fatal(len(events), err)
	}
	traces := make([]string, len(events))
	for i, e := range events {
		traces[i] = hex.EncodeToString(e.Trace.TraceID[:])
		if i >= 3 && (e.Trace.Flags != 0 || e.Trace.State != "a=1,b=2") {
			t.Errorf("event %d has %+v", i, e.Trace)
		}
	}
	if traces[0] != one || traces[1] != two || traces[2] == one || traces[2] == two || len(traces[2]) != 32 {
		t.Errorf("events with traces of their own have %q", traces[:3])
	}
	if traces[3] != header || traces[4] != header || traces[5] != header {
		t.Errorf("events of a request with a trace have %q", traces[3:])
	}
	shut(t, r)
	if n := len(collector.named("ingest events")); n != 3 { // the other request is not sampled
		t.Errorf("%d spans", n)
	}
}

// A replay by the current routes has spans for what it routes by, and so has the test of
// a webhook; a plugin that runs again for a dead letter is below the attempt to route.
func TestTraceOfWhatRunsAgain(t *testing.T) {
	collector := startCollector(t)
	in := newInbox(t)
	dir := t.TempDir()
	hcl := func(plugin string) string {
		return fmt.Sprintf(`
server {
  listen = "127.0.0.1:0"
}
tracing {
  endpoint = %q
}
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
  plugins        = [plugin.p]
}
plugin "p" {
  wasm = %q
}
destination "out" {
  url = "%s/out"
}
route "all" {
  through = [plugin.p]
  to      = [destination.out]
}
`, collector.URL, plugin, in.URL)
	}
	r := start(t, dir, hcl(module(t, "read-fields")), Options{}) // it fails
	if status, a, _ := call(t, r, "POST", "/events", `{"event":"order","event_id":"o-1","data":{"total":1}}`); status != http.StatusAccepted {
		t.Fatalf("%d %v", status, a)
	}
	await(t, "the dead letter", func() bool {
		_, list, _ := call(t, r, "GET", "/api/dead-letters", "")
		return list["total"] == 1.0
	})
	if _, err := r.Reload(t.Context(), parse(t, dir, hcl(module(t, "set-all"))), false); err != nil {
		t.Fatal(err)
	}
	if status, a, _ := call(t, r, "POST", "/api/dead-letters/retry", `{}`); status != http.StatusAccepted || a["moved"] != 1.0 {
		t.Fatalf("%d %v", status, a)
	}
	await(t, "the delivery", func() bool { return len(in.at("/out")) == 1 })
	id := register(t, r, in.registration("/a", `,"plugin":"p"`))
	if status, a, _ := call(t, r, "POST", "/api/webhooks/"+id+"/test", ""); status != http.StatusOK {
		t.Fatalf("%d %v", status, a)
	}
	if status, a, _ := call(t, r, "POST", "/api/replays", `{"routes":"current"}`); status != http.StatusAccepted {
		t.Fatalf("%d %v", status, a)
	}
	await(t, "the replay", func() bool { return len(in.at("/out")) == 2 })
	shut(t, r)

	below := func(what string, child, parent *spans.Span) {
		t.Helper()
		if child == nil || parent == nil || string(child.TraceId) != string(parent.TraceId) || string(child.ParentSpanId) != string(parent.SpanId) {
			t.Errorf("%s: %v is not below %v", what, child, parent)
		}
	}
	within := func(root *spans.Span, name string) (found *spans.Span) {
		for _, s := range collector.named(name) {
			if string(s.TraceId) == string(root.TraceId) {
				found = s
			}
		}
		return found
	}
	test := collector.one(t, "test "+id)
	hook, delivery, attempted := within(test, "route "+id), within(test, "delivery "+id), within(test, "attempt "+id)
	below("the test's route", hook, test)
	below("the test's plugin", within(test, "plugin p"), hook)
	below("the test's delivery", delivery, hook)
	below("the test's attempt", attempted, delivery)
	if got, want := in.at("/a")[0].header.Get("traceparent"), fmt.Sprintf("00-%x-%x-01", test.TraceId, attempted.SpanId); got != want {
		t.Errorf("the test's traceparent is %s, want %s", got, want)
	}
	ingest, replayed := collector.one(t, "ingest events"), collector.one(t, "replay")
	if len(replayed.Links) != 1 || string(replayed.Links[0].SpanId) != string(ingest.SpanId) {
		t.Errorf("the replay: %v", replayed)
	}
	route := within(replayed, "route all")
	below("the replay's route", route, replayed)
	below("the replay's plugin", within(replayed, "plugin p"), route)
	below("the replay's delivery", within(replayed, "delivery out"), route)
	again := within(ingest, "attempt @routing")
	for _, s := range collector.named("plugin p") {
		if string(s.TraceId) == string(ingest.TraceId) && s.Status.GetCode() != spans.Status_STATUS_CODE_ERROR {
			below("the plugin that ran again", s, again)
			again = nil
		}
	}
	if again != nil {
		t.Error("the plugin that ran again has no span")
	}
}
