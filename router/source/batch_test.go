package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
)

func acceptAll(t *testing.T, s *Source, r *Request) Taken {
	t.Helper()
	taken, err := s.Accept(r)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return taken
}

func TestArray(t *testing.T) {
	taken := acceptAll(t, native(t), request("application/json",
		` [ {"event":"a","data": 1.0 }, {"event":"b","data":[],"event_id":"x","subject":"s"} ] `, event.Field{Name: "x-a", Value: "1"}))
	if !taken.Batch || len(taken.Events) != 2 {
		t.Fatalf("got %+v", taken)
	}
	a, b := taken.Events[0], taken.Events[1]
	if a.Type != "a" || string(a.Data) != "1.0" || a.Given || b.Type != "b" || b.ID != "x" || b.Subject != "s" || len(b.Header) != 2 {
		t.Errorf("got %+v, %+v", a, b)
	}
	if taken := acceptAll(t, native(t), request("application/json", "[]")); !taken.Batch || len(taken.Events) != 0 {
		t.Errorf("an empty batch is %+v", taken)
	}
}

func TestLines(t *testing.T) {
	body := "\r\n{\"event\":\"a\",\"data\":1}\r\n\n  {\"event\":\"b\",\"data\":2}"
	for _, contentType := range []string{"application/x-ndjson", "application/ndjson; charset=utf-8"} {
		taken := acceptAll(t, native(t), request(contentType, body))
		if !taken.Batch || len(taken.Events) != 2 || taken.Events[1].Type != "b" {
			t.Errorf("got %+v", taken)
		}
	}
	if taken := acceptAll(t, native(t), request("application/x-ndjson", "")); !taken.Batch || len(taken.Events) != 0 {
		t.Errorf("no line is %+v", taken)
	}
}

// Of a batch nothing is taken where one event is wrong, and the problem says
// which.
func TestBatchRefused(t *testing.T) {
	const good = `{"event":"a","data":1}`
	many := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(good+",", n), ",") + "]" }
	cloud := `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
		code, detail            string
		index                   any
	}{
		{"second", "application/json", "[" + good + `,{"event":"a"}]`, 400, "missing_member", "event 1 (the first is 0): ", 1},
		{"no object", "application/json", "[" + good + `,7]`, 400, "wrong_type", "a JSON number", 1},
		{"nested", "application/json", "[[" + good + `]]`, 400, "wrong_type", "a JSON array", 0},
		{"reserved", "application/json", `[{"event":"weir.x","data":1}]`, 400, "reserved_type", "weir.", 0},
		{"syntax", "application/json", "[" + good + ",]", 400, "malformed_json", "line 1", nil},
		{"too many", "application/json", many(1001), 413, "too_many_events", "1000", 1000},
		{"line", "application/x-ndjson", good + "\n\n{\"event\":}", 400, "malformed_json", "line 3, column 10", 1},
		{"line of two", "application/x-ndjson", good + good, 400, "malformed_json", "line 1", 0},
		{"cloudevents", batchedType, "[" + cloud + `,{"specversion":"1.0","id":"2","source":"/s"}]`, 400, "missing_member", `"type"`, 1},
		{"cloudevents object", batchedType, cloud, 400, "wrong_type", "array", nil},
		{"cloudevents syntax", batchedType, "[" + cloud, 400, "malformed_json", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := refused(t, native(t), request(tt.contentType, tt.body), tt.status, tt.code, tt.detail)
			if p.Extra["index"] != tt.index {
				t.Errorf("index is %v, want %v", p.Extra["index"], tt.index)
			}
		})
	}
	if taken := acceptAll(t, native(t), request("application/json", many(1000))); len(taken.Events) != 1000 {
		t.Errorf("%d events of 1000", len(taken.Events))
	}
}

// Each event is stored with the request's headers: together they are bounded.
func TestBatchHeaders(t *testing.T) {
	body := "[" + strings.TrimSuffix(strings.Repeat(`{"event":"a","data":1},`, 1000), ",") + "]"
	large := event.Field{Name: "x-large", Value: strings.Repeat("x", 10000)}
	p := refused(t, native(t), request("application/json", body, large), 431, "headers_too_large", "keep_headers")
	if p.Extra["index"] == nil {
		t.Error("no index")
	}
	s := open(t, config.Source{Name: "events", Format: config.SourceNative, KeepHeaders: []string{"content-*"}})
	if taken := acceptAll(t, s, request("application/json", body, large)); len(taken.Events) != 1000 || len(taken.Events[0].Header) != 1 {
		t.Errorf("keeps %v", taken.Events[0].Header)
	}
}

func TestIdempotencyKeyOfBatches(t *testing.T) {
	key := event.Field{Name: "Idempotency-Key", Value: "K"}
	e := accept(t, native(t), request("application/json", `{"event":"a","data":1}`, key))
	if e.ID != "K" || !e.Given {
		t.Errorf("got %+v", e)
	}
	for _, tt := range []struct{ contentType, body string }{
		{"application/json", `[{"event":"a","data":1},{"event":"a","data":1,"event_id":"own"},{"event":"a","data":1}]`},
		{"application/x-ndjson", "{\"event\":\"a\",\"data\":1}\n{\"event\":\"a\",\"data\":1,\"event_id\":\"own\"}\n{\"event\":\"a\",\"data\":1}"},
	} {
		taken := acceptAll(t, native(t), request(tt.contentType, tt.body, key))
		var ids []string
		for _, e := range taken.Events {
			ids = append(ids, e.ID)
		}
		if fmt.Sprint(ids) != "[K-0 own K-2]" {
			t.Errorf("ids are %v", ids)
		}
	}
	odd := acceptAll(t, native(t), request("application/json", `[{"event":"a","data":1}]`, event.Field{Name: "Idempotency-Key", Value: "a b"}))
	if e := odd.Events[0]; e.OriginID != "a b-0" || e.ID != event.HashID("a b-0") {
		t.Errorf("got %+v", e)
	}
	refused(t, native(t), request("application/json", `{"event":"a","data":1}`, key, event.Field{Name: "idempotency-key", Value: "L"}), 400, "ambiguous_header", "Idempotency-Key")
	refused(t, native(t), request("application/json", `{"event":"a","data":1}`, event.Field{Name: "Idempotency-Key", Value: strings.Repeat("k", 1017)}), 400, "bad_id", "Idempotency-Key")
}
