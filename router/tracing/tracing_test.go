package tracing

import (
	"context"
	"testing"
	"time"

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
