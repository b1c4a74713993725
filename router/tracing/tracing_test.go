package tracing

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/store"
)

// Tracing that is off costs no allocation on an event's way.
func TestOffIsFree(t *testing.T) {
	var off *Tracer
	e := &event.Event{Position: 1, Received: time.Now()}
	r := &store.Routing{Position: 1, Matches: []store.Match{{Route: "r", Plugins: []store.Verdict{{Plugin: "p"}}}}, Deliveries: []store.Delivery{{Lane: "d"}}}
	accepted := []store.Accepted{{ID: "a"}}
	attempt := &store.Attempt{Number: 1}
	events := []*event.Event{e}
	parent := Parent{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b"}
	of := Delivery{Event: e, Ref: store.Ref{Position: 1}}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		off.Ingest(ctx, "events", parent, events).End(accepted, nil)
		off.Routed(e, r)
		if off.Traceparent(e, of.Ref, 1, "rpl_1")+off.Tracestate(e)+off.PullParent(of)+off.EventParent(e) != "" || off.On() || off.Reply(e, of.Ref, "") != nil {
			t.Error("it is on")
		}
		off.Told(e, of)
		off.Pulled(of, "r", "d", e.Received)
		off.Attempted(e, Attempt{Attempt: attempt, OK: true, To: store.Delivered})
	}); n != 0 {
		t.Errorf("tracing that is off allocates %v times an event", n)
	}
}

// An attempt's id is the same whenever it is asked, and another for anything else.
func TestDerivedIDs(t *testing.T) {
	e := &event.Event{Position: 1, Trace: &event.Trace{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Flags: 1}}
	other := *e
	other.Position = 2
	seen := map[string]string{}
	for what, header := range map[string]string{
		"first": traceparent(e, 0, 1), "second attempt": traceparent(e, 0, 2), "another delivery": traceparent(e, 1, 1), "another of the batch": traceparent(&other, 0, 1),
	} {
		if was := seen[header]; was != "" || len(header) != 55 {
			t.Errorf("%s: %q, as %s", what, header, was)
		}
		seen[header] = what
		if _, ok := (Parent{Traceparent: header}).parse(); !ok {
			t.Errorf("%s: %q is no traceparent", what, header)
		}
	}
	if traceparent(e, 0, 1) != traceparent(e, 0, 1) {
		t.Error("it changes")
	}
}

func traceparent(e *event.Event, index uint32, number int) string {
	return (&Tracer{}).Traceparent(e, store.Ref{Position: e.Position, Index: index}, number, "")
}

// What is no traceparent is none (W3C Trace Context, section 3.2.2).
func TestParse(t *testing.T) {
	for header, want := range map[string]bool{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":       true,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00":       true,
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what":  true, // a later version
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":       false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":       false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01":       false,
		"00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01":       false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra": false,
		"00-0af7651916cd43dd-b7ad6b7169203331-01":                       false,
		"": false, "garbage": false,
	} {
		if _, ok := (Parent{Traceparent: header}).parse(); ok != want {
			t.Errorf("%q: %v", header, ok)
		}
	}
}

// said is a log that may be read while it is written.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Nothing waits for a collector that never answers: neither events, far more than are
// kept for it, nor the end.
func TestCollectorThatHangs(t *testing.T) {
	asked, release := make(chan struct{}, 1), make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-release
	}))
	defer collector.Close()
	defer close(release)
	endpoint, err := url.Parse(collector.URL)
	if err != nil {
		t.Fatal(err)
	}
	var log said
	tracer, err := Open(t.Context(), config.Tracing{Endpoint: endpoint, Sample: 1}, "test", hclog.New(&hclog.LoggerOptions{Output: &log}))
	if err != nil {
		t.Fatal(err)
	}
	e := &event.Event{ID: "a", Received: time.Now()}
	more := func(n int) {
		for range n {
			tracer.Ingest(t.Context(), "events", Parent{}, []*event.Event{e}).End([]store.Accepted{{ID: "a"}}, nil)
		}
	}
	more(1)
	<-asked // it has the first ones, and keeps them
	more(20 * sdktrace.DefaultMaxQueueSize)
	if !tracer.recorded(e) {
		t.Error("the event is not recorded any more")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the router can't wait
	tracer.Close(ctx)
	if !strings.Contains(log.String(), "the last spans are lost") {
		t.Errorf("the log says %q", log.String())
	}
}

type refusing struct{}

func (refusing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	return errors.New("503 from the collector")
}

func (refusing) Shutdown(context.Context) error { return nil }

// A collector that refuses spans is told of once in a while, not with each batch.
func TestCollectorThatRefuses(t *testing.T) {
	var said bytes.Buffer
	q := &quiet{SpanExporter: refusing{}, log: hclog.New(&hclog.LoggerOptions{Output: &said})}
	batch := make([]sdktrace.ReadOnlySpan, 3)
	for range 100 {
		if err := q.ExportSpans(t.Context(), batch); err != nil {
			t.Fatal(err) // OpenTelemetry would print it
		}
	}
	if n := strings.Count(said.String(), "503 from the collector"); n != 1 {
		t.Errorf("told %d times", n)
	}
	q.told = q.told.Add(-tellEvery)
	said.Reset()
	if err := q.ExportSpans(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := said.String(); !strings.Contains(got, "spans=300") || !strings.Contains(got, "tracing.endpoint") {
		t.Errorf("the log says %q", got)
	}
}
