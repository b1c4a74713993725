package event

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "A-Z_0.9:x": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "a/b": false, "é": false, "a\n": false, "a\x00": false,
	} {
		if got := ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v", id, got)
		}
	}
}

func TestHashID(t *testing.T) {
	a, b := HashID("urn:x/1"), HashID("urn:x/2")
	if a == b || a != HashID("urn:x/1") || !ValidID(a) || !strings.HasPrefix(a, "evt_") || len(a) != 30 {
		t.Errorf("%q and %q", a, b)
	}
}

func TestRouterMadeIDsCarryTheirPosition(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, position := range []uint64{1, 2, 1 << 20, 1<<48 - 1} {
		fresh := NewID(now)
		id := IDAt(fresh, position)
		got, ok := PositionOf(id)
		if !ok || got != position || !ValidID(id) {
			t.Errorf("%s at %d gives back %d, %v", id, position, got, ok)
		}
		if id[:14] != fresh[:14] {
			t.Errorf("%s lost the time of %s", id, fresh)
		}
		if IDAt(NewID(now), position) == id {
			t.Errorf("nothing of %s is random", id)
		}
	}
	for _, id := range []string{"", "evt_", "order-1", "evt_0", HashID("x"), "evt_" + strings.Repeat("U", 26), "msg_" + strings.Repeat("0", 26)} {
		if position, ok := PositionOf(id); ok {
			t.Errorf("%q claims the position %d", id, position)
		}
		if got := IDAt(id, 5); got != id {
			t.Errorf("%q became %q", id, got)
		}
	}
}

// A webhook-id must never change between versions: receivers remember it.
func TestWebhookID(t *testing.T) {
	base := WebhookID(7, "evt_1", "big-orders", 0, "crm")
	if base != "msg_ctz72b5nfvjmz545vxyshfo62b" {
		t.Errorf("the id has changed to %s", base)
	}
	seen := map[string]bool{base: true}
	for _, other := range []string{
		WebhookID(8, "evt_1", "big-orders", 0, "crm"),
		WebhookID(7, "evt_2", "big-orders", 0, "crm"),
		WebhookID(7, "evt_1", "big-order", 0, "scrm"),
		WebhookID(7, "evt_1", "big-orders", 1, "crm"),
		WebhookID(7, "evt_1", "big-orders", 0, "crm2"),
		WebhookID(7, "evt_1big", "-orders", 0, "crm"),
	} {
		if seen[other] || strings.Contains(other, ".") || len(other) != 30 {
			t.Errorf("%s is no id of its own", other)
		}
		seen[other] = true
	}
}

func TestView(t *testing.T) {
	for _, c := range []struct {
		contentType, data, want string
		ok                      bool
	}{
		{"application/json", `{"a": 1.0}`, `{"a": 1.0}`, true},
		{"application/cloudevents+json; charset=utf-8", ` [1]`, ` [1]`, true},
		{"Text/JSON", `1`, `1`, true},
		{"application/x-www-form-urlencoded", "b=2&a=1&b=3&c=%C3%A9+x&d", `{"b":["2","3"],"a":"1","c":"é x","d":""}`, true},
		{"application/x-www-form-urlencoded", "", `{}`, true},
		{"application/x-www-form-urlencoded", "a=%zz", `"a=%zz"`, true},
		{"text/plain", "say \"hi\"\n", `"say \"hi\"\n"`, true},
		{"", "plain", `"plain"`, true},
		{"image/png", "\xff\xd8", "", false},
	} {
		got, ok := View(c.contentType, []byte(c.data))
		if string(got) != c.want || ok != c.ok {
			t.Errorf("View(%q, %q) = %s, %v; want %s", c.contentType, c.data, got, ok, c.want)
		}
		if ok && !json.Valid(got) {
			t.Errorf("%s is not JSON", got)
		}
	}
}

func message(contentType, data string) *Message {
	return NewMessage(&Event{
		ID: "evt_1", Type: "order.paid", Source: "events", Time: time.Date(2024, 1, 1, 13, 0, 0, 500, time.FixedZone("", 3600)),
		ContentType: contentType, Data: []byte(data),
		Header: []Field{{"x-a", "1"}, {"x-b", "2"}, {"x-a", "3"}},
	})
}

func TestEnvelope(t *testing.T) {
	for _, c := range []struct {
		m       *Message
		n       int
		several bool
		want    string
	}{
		{message("application/json", `{"b":1.0,  "a":12345678901234567890}`), 0, false,
			`{"event_id":"evt_1","event":"order.paid","data":{"b":1.0,  "a":12345678901234567890},"timestamp":"2024-01-01T12:00:00.0000005Z"}`},
		{message("application/json", `null`), 2, true,
			`{"event_id":"evt_1-2","source_event_id":"evt_1","event":"order.paid","data":null,"timestamp":"2024-01-01T12:00:00.0000005Z"}`},
		{message("image/png", "\xff\x00"), 0, false,
			`{"event_id":"evt_1","event":"order.paid","data_base64":"/wA=","timestamp":"2024-01-01T12:00:00.0000005Z"}`},
	} {
		if got := string(c.m.AppendEnvelope(nil, c.n, c.several)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestMessageAsJSON(t *testing.T) {
	m := message("application/json", `{"a":1}`)
	m.Subject = "s"
	m.SetHeader = []Field{{"x-b", "set"}, {"x-c", "new"}}
	want := `{"id":"evt_1","type":"order.paid","source":"events","subject":"s","time":"2024-01-01T12:00:00.0000005Z","header":{"x-a":"1, 3","x-b":"set","x-c":"new"},"data":{"a":1}}`
	if got := string(m.AppendJSON(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestHeaderValue(t *testing.T) {
	m := message("application/json", `1`)
	if v, ok := m.HeaderValue("X-A"); !ok || v != "1, 3" {
		t.Errorf("x-a is %q, %v", v, ok)
	}
	if _, ok := m.HeaderValue("x-none"); ok {
		t.Error("a header that is not there")
	}
	m.SetHeader = []Field{{"x-a", "set"}}
	if v, _ := m.HeaderValue("x-a"); v != "set" {
		t.Errorf("x-a is %q, though a plugin set it", v)
	}
}

func BenchmarkEnvelope(b *testing.B) {
	m := message("application/json", `{"pad":"`+strings.Repeat("x", 1000)+`"}`)
	buf := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.AppendEnvelope(buf[:0], 0, false)
	}
}

func BenchmarkWebhookID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		WebhookID(7, "evt_01jd8xkz0v3q5f2m9c7w4r6t8y", "big-orders", 0, "crm")
	}
}
