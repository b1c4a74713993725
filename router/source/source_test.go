package source

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
	"github.com/weirhq/weir/router/problem"
)

var received = time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))

func program(t testing.TB, text string) *expr.Program {
	t.Helper()
	e, diags := hclsyntax.ParseExpression([]byte(text), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	p, diags := expr.Compile(e, expr.SourceScope)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

func open(t testing.TB, c config.Source) *Source {
	t.Helper()
	if c.Name == "" {
		c.Name = "shop"
	}
	s, err := New(&c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func native(t testing.TB) *Source {
	return open(t, config.Source{Name: "events", Format: config.SourceNative})
}

func request(contentType, body string, header ...event.Field) *Request {
	if contentType != "" {
		header = append([]event.Field{{Name: "content-type", Value: contentType}}, header...)
	}
	return &Request{Path: "/in/shop", Header: header, ContentType: contentType, Body: []byte(body), Received: received}
}

func accept(t *testing.T, s *Source, r *Request) *event.Event {
	t.Helper()
	taken, err := s.Accept(r)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if len(taken.Events) != 1 {
		t.Fatalf("%d events", len(taken.Events))
	}
	return taken.Events[0]
}

func refused(t *testing.T, s *Source, r *Request, status int, code, detail string) *problem.Problem {
	t.Helper()
	taken, err := s.Accept(r)
	if err == nil {
		t.Fatalf("taken: %+v", taken.Events)
	}
	var p *problem.Problem
	if !errors.As(err, &p) {
		t.Fatalf("not a problem: %v", err)
	}
	if taken.Events != nil {
		t.Error("events beside a problem")
	}
	if p.Status != status || p.Code != code || !strings.Contains(p.Detail, detail) {
		t.Fatalf("refused with %d %s, want %d %s with %q", p.Status, p, status, code, detail)
	}
	return p
}

func TestNativeWhole(t *testing.T) {
	body := ` { "subject": "cart\u002f7","data" : { "total": 1.0, "n":12345678901234567890 } , "event":"order.created",
		"timestamp":"2024-01-01T13:00:00.5+01:00","event_id":"A-1","tenant":"acme" } `
	e := accept(t, native(t), request("application/json; charset=utf-8", body, event.Field{Name: "x-a", Value: "b"}))
	want := &event.Event{
		ID: "A-1", Given: true, Type: "order.created", Source: "events", Subject: "cart/7", Tenant: "acme",
		Time: time.Date(2024, 1, 1, 12, 0, 0, 5e8, time.UTC), Received: received.UTC(),
		ContentType: "application/json",
		Header:      []event.Field{{Name: "content-type", Value: "application/json; charset=utf-8"}, {Name: "x-a", Value: "b"}},
		Data:        []byte(`{ "total": 1.0, "n":12345678901234567890 }`),
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("got  %+v\nwant %+v", e, want)
	}
	if e.Time.Location() != time.UTC || e.Received.Location() != time.UTC {
		t.Error("times are not in UTC")
	}
}

func TestNativeLeast(t *testing.T) {
	e := accept(t, native(t), request("application/json", `{"event":"a","data":null}`))
	if string(e.Data) != "null" || !e.Time.Equal(received) || e.Given || e.OriginID != "" {
		t.Errorf("got %+v", e)
	}
	if !strings.HasPrefix(e.ID, "evt_") || !event.ValidID(e.ID) {
		t.Errorf("id is %q", e.ID)
	}
	other := accept(t, native(t), request("", `{"event":"a","data":null}`))
	if other.ID == e.ID {
		t.Error("two events have the same id")
	}
}

func TestTimestamps(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2024-01-01T00:00:00Z":           time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
		"2024-01-01t00:00:00z":           time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
		"2024-01-01T00:00:00.123456789Z": time.Date(2024, 1, 1, 0, 0, 0, 123456789, time.UTC),
		"2024-01-01T00:30:00-23:59":      time.Date(2024, 1, 2, 0, 29, 0, 0, time.UTC),
	} {
		if got, ok := parseTime(text); !ok || !got.Equal(want) {
			t.Errorf("%s: got %v, %v", text, got, ok)
		}
	}
}

func TestNativeDuplicateMembersLastCounts(t *testing.T) {
	e := accept(t, native(t), request("application/json", `{"event":"a","data":1,"event":"b","d\u0061ta":2}`))
	if e.Type != "b" || string(e.Data) != "2" {
		t.Errorf("type %q, data %s", e.Type, e.Data)
	}
}

func TestNativeNullMembersAreAbsent(t *testing.T) {
	e := accept(t, native(t), request("application/json",
		`{"event":"a","data":1,"event_id":null,"subject":null,"tenant":null,"timestamp":null}`))
	if e.Given || e.Subject != "" || e.Tenant != "" || !e.Time.Equal(received) {
		t.Errorf("got %+v", e)
	}
}

func TestNativeRefused(t *testing.T) {
	long := strings.Repeat("x", 300)
	tests := []struct {
		name, contentType, body string
		status                  int
		code, detail            string
	}{
		{"empty", "application/json", ``, 400, "malformed_json", "line 1, column 1"},
		{"cut off", "application/json", "{\"event\":\n \"a\",", 400, "malformed_json", "line 2"},
		{"two documents", "application/json", `{} {}`, 400, "malformed_json", "byte 3"},
		{"not UTF-8", "application/json", "{\"event\":\"\xff\",\"data\":1}", 400, "malformed_json", ""},
		{"string", "application/json", `"a"`, 400, "wrong_type", "string"},
		{"null", "application/json", `null`, 400, "wrong_type", "null"},
		{"no event", "application/json", `{"data":1}`, 400, "missing_member", `"event"`},
		{"no data", "application/json", `{"event":"a"}`, 400, "missing_member", `"data"`},
		{"event a number", "application/json", `{"event":1,"data":1}`, 400, "wrong_type", `"event"`},
		{"event null", "application/json", `{"event":null,"data":1}`, 400, "wrong_type", "null"},
		{"id a number", "application/json", `{"event":"a","data":1,"event_id":7}`, 400, "wrong_type", `"event_id"`},
		{"tenant an object", "application/json", `{"event":"a","data":1,"tenant":{}}`, 400, "wrong_type", `"tenant"`},
		{"timestamp a number", "application/json", `{"event":"a","data":1,"timestamp":1700000000}`, 400, "wrong_type", "must be a string"},
		{"unknown, near", "application/json", `{"event":"a","data":1,"subjct":"s"}`, 400, "unknown_member", `did you mean "subject"?`},
		{"unknown, other name", "application/json", `{"type":"a","data":1}`, 400, "unknown_member", `did you mean "event"?`},
		{"unknown, case", "application/json", `{"Event":"a","data":1}`, 400, "unknown_member", `did you mean "event"?`},
		{"unknown, far", "application/json", `{"event":"a","data":1,"colour":"s"}`, 400, "unknown_member", "it has event, data"},
		{"empty type", "application/json", `{"event":"","data":1}`, 400, "bad_type", "empty"},
		{"space in type", "application/json", `{"event":"a b","data":1}`, 400, "bad_type", "U+0020"},
		{"control in type", "application/json", `{"event":"a\u0000","data":1}`, 400, "bad_type", "U+0000"},
		{"long type", "application/json", `{"event":"` + long + `","data":1}`, 400, "bad_type", "300 bytes"},
		{"reserved", "application/json", `{"event":"weir.test","data":1}`, 400, "reserved_type", "weir."},
		{"empty id", "application/json", `{"event":"a","data":1,"event_id":""}`, 400, "bad_id", ""},
		{"id with a slash", "application/json", `{"event":"a","data":1,"event_id":"a/b"}`, 400, "bad_id", "1 to 128"},
		{"long id", "application/json", `{"event":"a","data":1,"event_id":"` + long + `"}`, 400, "bad_id", ""},
		{"control in subject", "application/json", `{"event":"a","data":1,"subject":"\n"}`, 400, "bad_subject", "U+000A"},
		{"long tenant", "application/json", `{"event":"a","data":1,"tenant":"` + long + `"}`, 400, "bad_tenant", ""},
		{"date only", "application/json", `{"event":"a","data":1,"timestamp":"2024-01-01"}`, 400, "bad_timestamp", "RFC 3339"},
		{"no zone", "application/json", `{"event":"a","data":1,"timestamp":"2024-01-01T00:00:00"}`, 400, "bad_timestamp", ""},
		{"comma", "application/json", `{"event":"a","data":1,"timestamp":"2024-01-01T00:00:00,5Z"}`, 400, "bad_timestamp", ""},
		{"hour of one digit", "application/json", `{"event":"a","data":1,"timestamp":"2024-01-01T1:00:00+01:00"}`, 400, "bad_timestamp", ""},
		{"offset of days", "application/json", `{"event":"a","data":1,"timestamp":"2024-01-01T00:00:00+24:00"}`, 400, "bad_timestamp", ""},
		{"no such day", "application/json", `{"event":"a","data":1,"timestamp":"2024-02-30T00:00:00Z"}`, 400, "bad_timestamp", ""},
		{"year 1", "application/json", `{"event":"a","data":1,"timestamp":"0001-01-01T00:00:00Z"}`, 400, "bad_timestamp", ""},
		{"form", "application/x-www-form-urlencoded", `{"event":"a","data":1}`, 415, "unsupported_media_type", "application/json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refused(t, native(t), request(tt.contentType, tt.body), tt.status, tt.code, tt.detail)
		})
	}
}

func TestMalformedJSONNamesThePlace(t *testing.T) {
	p := refused(t, native(t), request("application/json", "{\n  \"event\" \"a\"}"), 400, "malformed_json", "line 2, column 11 (byte 12)")
	if p.Extra["line"] != 2 || p.Extra["column"] != 11 || p.Extra["offset"] != 12 {
		t.Errorf("members are %v", p.Extra)
	}
}

func TestIdempotencyKey(t *testing.T) {
	key := func(v string) event.Field { return event.Field{Name: "idempotency-key", Value: v} }
	const body = `{"event":"a","data":1}`
	e := accept(t, native(t), request("application/json", body, key("k-1")))
	if e.ID != "k-1" || !e.Given || e.OriginID != "" {
		t.Errorf("got %+v", e)
	}
	e = accept(t, native(t), request("application/json", `{"event":"a","data":1,"event_id":"own"}`, key("k-1")))
	if e.ID != "own" || !e.Given {
		t.Errorf("the event's own id does not win: %+v", e)
	}
	e = accept(t, native(t), request("application/json", body, key(`"quoted key"`)))
	if e.ID != event.HashID(`"quoted key"`) || e.OriginID != `"quoted key"` || !e.Given {
		t.Errorf("one that does not fit: %+v", e)
	}
	e = accept(t, native(t), request("application/json", body, key("")))
	if e.Given {
		t.Errorf("an empty one counts: %+v", e)
	}
	refused(t, native(t), request("application/json", body, key(strings.Repeat("k", event.MaxOriginID+1))), 400, "bad_id", "Idempotency-Key")
}

func TestRawContentTypes(t *testing.T) {
	tests := []struct{ name, contentType, body, want string }{
		{"json", "application/json", ` {"a": 1.0} `, "application/json"},
		{"json with parameters", "application/vnd.github+json; charset=utf-8", `[]`, "application/vnd.github+json; charset=utf-8"},
		{"none, json", "", `{"a":1}`, "application/json"},
		{"none, text", "", `{"a":1`, "text/plain"},
		{"none, empty", "", ``, "text/plain"},
		{"none, bytes", "", "\xff\xfe", "application/octet-stream"},
		{"form", "application/x-www-form-urlencoded", "a=1&b", "application/x-www-form-urlencoded"},
		{"text that is no json", "text/plain", `{"a"`, "text/plain"},
	}
	s := open(t, config.Source{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := accept(t, s, request(tt.contentType, tt.body))
			if e.ContentType != tt.want || string(e.Data) != tt.body {
				t.Errorf("got %q, %q", e.ContentType, e.Data)
			}
			if e.Type != "shop" || e.Source != "shop" || e.Given || e.ID == "" {
				t.Errorf("got %+v", e)
			}
		})
	}
	refused(t, s, request("application/json", `{"a"`), 400, "malformed_json", "line 1, column 5")
	refused(t, s, request("application/problem+json", ``), 400, "malformed_json", "")
	refused(t, s, request("text/\x01plain", ``), 415, "bad_content_type", "")
	refused(t, s, request("text/"+strings.Repeat("p", 300), ``), 415, "bad_content_type", "")
}

func TestContentEncoding(t *testing.T) {
	s := open(t, config.Source{})
	encoding := func(v string) *Request {
		return request("application/json", `{}`, event.Field{Name: "content-encoding", Value: v})
	}
	for _, v := range []string{"", "identity", " Identity "} {
		accept(t, s, encoding(v))
	}
	for _, v := range []string{"gzip", "identity, gzip", "br"} {
		refused(t, s, encoding(v), 415, "unsupported_encoding", v)
	}
}

func github(t testing.TB) *Source {
	return open(t, config.Source{
		Name: "github", Format: config.SourceRaw,
		Verify: config.Verify{Kind: "github", Secrets: []config.Secret{"It's a Secret to Everybody"}},
		Type:   program(t, `"github.${header["x-github-event"]}"`),
		ID:     program(t, `header["x-github-delivery"]`),
	})
}

func TestGitHub(t *testing.T) {
	s := github(t)
	const signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	r := request("", "Hello, World!",
		event.Field{Name: "x-github-event", Value: "push"},
		event.Field{Name: "x-github-delivery", Value: "72d3162e-cc78-11e3-81ab-4c9367dc0958"},
		event.Field{Name: "x-hub-signature-256", Value: signature})
	e := accept(t, s, r)
	if e.Type != "github.push" || e.ID != "72d3162e-cc78-11e3-81ab-4c9367dc0958" || !e.Given {
		t.Errorf("got %+v", e)
	}
	kept := false
	for _, f := range e.Header {
		kept = kept || f == event.Field{Name: "x-hub-signature-256", Value: signature}
	}
	if !kept {
		t.Error("the signature is not kept")
	}
	r.Body = []byte("Hello, World?")
	refused(t, s, r, 401, "signature_mismatch", "")
	refused(t, s, request("", ""), 401, "signature_missing", "")
	// Verification comes before everything else: a stranger learns nothing.
	refused(t, s, request("application/json", "{", event.Field{Name: "content-encoding", Value: "gzip"}), 401, "signature_missing", "")
}

func TestFormKeepsItsBytes(t *testing.T) {
	s := open(t, config.Source{Type: program(t, `body.payload`), Subject: program(t, `query.from`)})
	r := request("application/x-www-form-urlencoded", "payload=a%2Eb&x=1")
	r.Query = url.Values{"from": {"there"}}
	e := accept(t, s, r)
	if e.Type != "a.b" || e.Subject != "there" || string(e.Data) != "payload=a%2Eb&x=1" {
		t.Errorf("got %+v, data %s", e, e.Data)
	}
}

func TestExpressions(t *testing.T) {
	body := request("application/json", `{"kind":"k","id":7,"odd":"a b/c","empty":"","null":null,"weir":"weir.x"}`)
	tests := []struct {
		name              string
		c                 config.Source
		typ, id, originID string
		given             bool
		status            int
		code, detail      string
	}{
		{name: "type and number as id", c: config.Source{Type: program(t, `body.kind`), ID: program(t, `body.id`)}, typ: "k", id: "7", given: true},
		{name: "an id that does not fit", c: config.Source{ID: program(t, `body.odd`)}, typ: "shop", id: event.HashID("a b/c"), originID: "a b/c", given: true},
		{name: "an empty id is none", c: config.Source{ID: program(t, `body.empty`)}, typ: "shop"},
		{name: "missing", c: config.Source{Type: program(t, `body.nothing`)}, status: 422, code: "expression_failed", detail: "type"},
		{name: "null", c: config.Source{ID: program(t, `body.null`)}, status: 422, code: "expression_failed", detail: "id"},
		{name: "missing header", c: config.Source{Subject: program(t, `header["x-nothing"]`)}, status: 422, code: "expression_failed", detail: "subject"},
		{name: "type with a space", c: config.Source{Type: program(t, `body.odd`)}, status: 422, code: "expression_failed", detail: "U+0020"},
		{name: "empty type", c: config.Source{Type: program(t, `body.empty`)}, status: 422, code: "expression_failed", detail: "empty"},
		{name: "reserved", c: config.Source{Type: program(t, `body.weir`)}, status: 400, code: "reserved_type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, tt.c)
			if tt.status != 0 {
				refused(t, s, body, tt.status, tt.code, tt.detail)
				return
			}
			e := accept(t, s, body)
			if e.Type != tt.typ || tt.id != "" && e.ID != tt.id || e.OriginID != tt.originID || e.Given != tt.given {
				t.Errorf("got type %q, id %q of %q, given %v", e.Type, e.ID, e.OriginID, e.Given)
			}
		})
	}
}

func TestNativeExpressionsWin(t *testing.T) {
	s := open(t, config.Source{Format: config.SourceNative, Type: program(t, `"x.${body.event}"`), ID: program(t, `body.data.id`)})
	e := accept(t, s, request("application/json", `{"event":"a","data":{"id":"d-1"},"event_id":"e-1"}`))
	if e.Type != "x.a" || e.ID != "d-1" || string(e.Data) != `{"id":"d-1"}` {
		t.Errorf("got %+v", e)
	}
}

func TestHeaders(t *testing.T) {
	s := open(t, config.Source{Subject: program(t, `try(header["authorization"], "unseen")`)})
	e := accept(t, s, request("", "x",
		event.Field{Name: "authorization", Value: "Bearer s3cret"},
		event.Field{Name: "cookie", Value: "a=s3cret"},
		event.Field{Name: "proxy-authorization", Value: "s3cret"},
		event.Field{Name: "x-two", Value: "1"}, event.Field{Name: "x-two", Value: "2"}))
	want := []event.Field{{Name: "x-two", Value: "1"}, {Name: "x-two", Value: "2"}}
	if !reflect.DeepEqual(e.Header, want) {
		t.Errorf("kept %v", e.Header)
	}
	if e.Subject != "unseen" {
		t.Errorf("an expression sees a credential: %q", e.Subject)
	}

	many := func(n, size int) *Request {
		r := request("", "x")
		for i := range n {
			name := fmt.Sprintf("x-%03d", i)
			r.Header = append(r.Header, event.Field{Name: name, Value: strings.Repeat("v", size-len(name))})
		}
		return r
	}
	plain := open(t, config.Source{})
	if e := accept(t, plain, many(MaxHeaders, 128)); len(e.Header) != MaxHeaders {
		t.Errorf("%d headers are kept", len(e.Header))
	}
	refused(t, plain, many(MaxHeaders+1, 10), 431, "headers_too_large", "129 headers")
	refused(t, plain, many(MaxHeaders, 129), 431, "headers_too_large", "16512 bytes")
}

// The server uses its buffers again: an event must not change with them.
// Data is lent, as Taken says; the rest is the event's own.
func TestEventOwnsItsMemory(t *testing.T) {
	for name, s := range map[string]*Source{"native": native(t), "raw": open(t, config.Source{ID: program(t, `body.event_id`)})} {
		buffer := []byte(`{"event":"a","data":{"k":"v"},"event_id":"id-1","subject":"s"}`)
		before := string(buffer)
		r := request("application/json", before)
		r.Body = buffer
		e := accept(t, s, r)
		copied := *e
		for i := range buffer {
			buffer[i] = 'x'
		}
		if !reflect.DeepEqual(e, &copied) || e.ID != "id-1" {
			t.Errorf("%s: changed to %+v", name, e)
		}
	}
}

// The server hands over its own strings, with names as they came.
func TestHeadersAreCopiedAndLowered(t *testing.T) {
	s := open(t, config.Source{
		Verify: config.Verify{Kind: "hmac", Secrets: []config.Secret{"k"}, Header: "X-Shop-Signature"},
		Type:   program(t, `header["x-type"]`), Subject: program(t, `query.from`), ID: program(t, `header["x-id"]`),
	})
	body := []byte("data")
	mac := hmac.New(sha256.New, []byte("k"))
	mac.Write(body)
	var buffers [][]byte
	unsafely := func(text string) string {
		b := []byte(text)
		buffers = append(buffers, b)
		return unsafe.String(&b[0], len(b))
	}
	var header []event.Field
	for _, f := range []event.Field{
		{Name: "X-Type", Value: "Order.Paid"}, {Name: "X-ID", Value: "odd id"}, {Name: "Authorization", Value: "s3cret"},
		{Name: "COOKIE", Value: "s3cret"}, {Name: "X-Shop-Signature", Value: hex.EncodeToString(mac.Sum(nil))}, {Name: "Content-Encoding", Value: "identity"},
	} {
		header = append(header, event.Field{Name: unsafely(f.Name), Value: unsafely(f.Value)})
	}
	r := &Request{
		Header: header, Query: url.Values{"from": {unsafely("there")}},
		ContentType: unsafely("text/plain"), Body: body, Received: received,
	}
	e := accept(t, s, r)
	for _, b := range buffers {
		for i := range b {
			b[i] = '#'
		}
	}
	want := []event.Field{
		{Name: "x-type", Value: "Order.Paid"}, {Name: "x-id", Value: "odd id"},
		{Name: "x-shop-signature", Value: hex.EncodeToString(mac.Sum(nil))}, {Name: "content-encoding", Value: "identity"},
	}
	if !reflect.DeepEqual(e.Header, want) {
		t.Errorf("kept %v", e.Header)
	}
	if e.Type != "Order.Paid" || e.Subject != "there" || e.OriginID != "odd id" || e.ID != event.HashID("odd id") || e.ContentType != "text/plain" {
		t.Errorf("got %+v", e)
	}
	refused(t, open(t, config.Source{}), request("", "x", event.Field{Name: "CONTENT-ENCODING", Value: "gzip"}), 415, "unsupported_encoding", "gzip")
	if e := accept(t, native(t), request("", `{"event":"a","data":1}`, event.Field{Name: "Idempotency-Key", Value: "k-1"})); e.ID != "k-1" {
		t.Errorf("the id is %q", e.ID)
	}
}

// One text and one list for all headers.
func TestKeptAllocations(t *testing.T) {
	s := open(t, config.Source{})
	header := []event.Field{{Name: "Content-Type", Value: "text/plain"}, {Name: "X-A", Value: "1"}, {Name: "Cookie", Value: "c"}, {Name: "x-b", Value: "2"}}
	if n := testing.AllocsPerRun(100, func() {
		if list, err := s.kept(header); err != nil || len(list) != 3 {
			t.Error(list, err)
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func TestNewErrors(t *testing.T) {
	for _, c := range []config.Source{
		{Name: "a", Verify: config.Verify{Kind: "github"}},
		{Name: "a", Verify: config.Verify{Kind: "nobody"}},
		{Name: "a", Format: "xml"},
	} {
		if _, err := New(&c); err == nil || !strings.Contains(err.Error(), `source "a"`) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	s := open(t, config.Source{Name: "n", Path: "/in/n", Dedupe: time.Hour})
	if s.Name() != "n" || s.Path() != "/in/n" || s.Dedupe() != time.Hour {
		t.Errorf("got %q %q %s", s.Name(), s.Path(), s.Dedupe())
	}
}

// Whatever comes in, either a problem or an event whose data stands in the body.
func FuzzNative(f *testing.F) {
	for _, seed := range []string{
		`{"event":"a","data":{}}`, `{"event":"a","data":1,"event_id":"x","timestamp":"2024-01-01T00:00:00Z"}`,
		`[]`, `{"event":"\ud800","data":"\u0000"}`, `{"data":`, "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(seed))
	}
	s := native(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		taken, err := s.Accept(&Request{Body: body, Received: received})
		if err != nil {
			var p *problem.Problem
			if !errors.As(err, &p) || p.Status < 400 || p.Status > 499 || p.Code == "" {
				t.Fatalf("not a client's problem: %v", err)
			}
			return
		}
		if taken.Batch {
			return // see FuzzEnvelope
		}
		e := taken.Events[0]
		if !bytes.Contains(body, e.Data) || len(e.Data) == 0 {
			t.Errorf("data %q is not the producer's", e.Data)
		}
		if event.CheckType(e.Type) != nil || !event.ValidID(e.ID) || e.Time.IsZero() {
			t.Errorf("taken: %+v", e)
		}
	})
}

// What an event costs: the headers' text and list, the event with the list that it is
// in, its type and its id; and with the race detector, which takes things out of pools,
// at times two more.
func TestAcceptAllocations(t *testing.T) {
	s := native(t)
	r := request("application/json", `{"event":"order.paid","data":{"total":1}}`, event.Field{Name: "User-Agent", Value: "x"}, event.Field{Name: "Host", Value: "localhost"})
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.Accept(r); err != nil {
			t.Fatal(err)
		}
	}); n > 7 {
		t.Errorf("an event takes %v allocations", n)
	}
}

func BenchmarkAccept(b *testing.B) {
	s := native(b)
	r := request("application/json", `{"event":"order.paid","data":{"seq":1000000000`+strings.Repeat(`,"field_00":"0123456789abcdef"`, 30)+`}}`,
		event.Field{Name: "User-Agent", Value: "fasthttp"}, event.Field{Name: "Host", Value: "localhost:8080"}, event.Field{Name: "Content-Length", Value: "1024"})
	b.ReportAllocs()
	b.SetBytes(int64(len(r.Body)))
	for b.Loop() {
		if _, err := s.Accept(r); err != nil {
			b.Fatal(err)
		}
	}
}
