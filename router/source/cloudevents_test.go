package source

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/rawjson"
)

const wholeCloudEvent = `{"specversion":"1.0","id":"A-1","source":"/shop/7","type":"order.paid","subject":"cart/7","time":"2024-01-01T13:00:00+01:00",
	"datacontenttype":"application/json; charset=utf-8","dataschema":"https://example.com/s.json","traceparent":"00-ab","priority":3,"urgent":true,"none":null,
	"data":{ "total": 1.0 }}`

var wholeAsEvent = &event.Event{
	ID: "A-1", Given: true, Scope: "/shop/7", Type: "order.paid", Source: "events", Subject: "cart/7",
	Time: time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC), Received: received.UTC(),
	ContentType: "application/json; charset=utf-8", Data: []byte(`{ "total": 1.0 }`),
}

func TestStructured(t *testing.T) {
	stray := event.Field{Name: "ce-stray", Value: "x"}
	want := *wholeAsEvent
	want.Header = []event.Field{
		{Name: "content-type", Value: structuredType}, {Name: "ce-source", Value: "/shop/7"}, {Name: "ce-dataschema", Value: "https://example.com/s.json"},
		{Name: "ce-traceparent", Value: "00-ab"}, {Name: "ce-priority", Value: "3"}, {Name: "ce-urgent", Value: "true"},
	}
	if e := accept(t, native(t), request(structuredType, wholeCloudEvent, stray)); !reflect.DeepEqual(e, &want) {
		t.Errorf("got  %+v\nwant %+v", e, &want)
	}
	taken := acceptAll(t, native(t), request(batchedType, "["+wholeCloudEvent+","+wholeCloudEvent+"]"))
	want.Header[0].Value = batchedType
	if !taken.Batch || len(taken.Events) != 2 || !reflect.DeepEqual(taken.Events[1], &want) {
		t.Errorf("got %+v", taken.Events[1])
	}
}

func binaryHeader(more ...string) []event.Field {
	h := []event.Field{{Name: "Ce-Specversion", Value: "1.0"}, {Name: "CE-ID", Value: "A-1"}, {Name: "ce-source", Value: "/shop/7"}, {Name: "ce-type", Value: "order.paid"}}
	for i := 0; i < len(more); i += 2 {
		h = append(h, event.Field{Name: more[i], Value: more[i+1]})
	}
	return h
}

func TestBinary(t *testing.T) {
	want := *wholeAsEvent
	want.Header = []event.Field{
		{Name: "content-type", Value: want.ContentType}, {Name: "ce-source", Value: "/shop/7"}, {Name: "ce-dataschema", Value: "https://example.com/s.json"},
		{Name: "ce-text", Value: "Euro € 😀"},
	}
	header := binaryHeader("ce-subject", "cart%2F7", "ce-time", "2024-01-01T12:00:00Z", "ce-dataschema", "https://example.com/s.json", "ce-text", "Euro%20%E2%82%AC%20%F0%9F%98%80", "ce-datacontenttype", "text/plain")
	if e := accept(t, native(t), request(want.ContentType, `{ "total": 1.0 }`, header...)); !reflect.DeepEqual(e, &want) {
		t.Errorf("got  %+v\nwant %+v", e, &want)
	}
}

// Escapes are taken away where they are some: the SDKs write none.
func TestDecodeAttribute(t *testing.T) {
	for value, want := range map[string]string{
		"plain": "plain", "a%20b": "a b", "100%": "100%", "%zz": "%zz", "Euro €": "Euro €", "%E2%82%AC": "€", "%ff": "%ff",
		`"a \"b\" \\ c"`: `a "b" \ c`, `"`: `"`, `""`: "", `"a%20b"`: "a b", "": "",
	} {
		if got := decodeAttribute(value); got != want {
			t.Errorf("%s is read as %q, want %q", value, got, want)
		}
	}
}

// A URI's own escapes stay, whether the sender escaped them again or not.
func TestBinarySource(t *testing.T) {
	for value, want := range map[string]string{
		"/shop/%C3%BC": "/shop/%C3%BC", "/shop/%25C3%25BC": "/shop/%C3%BC", "/a%20b": "/a%20b", "/100%": "/100%", "https%3A%2F%2Fa.example": "https://a.example",
	} {
		header := binaryHeader()
		header[2].Value = value
		if e := accept(t, native(t), request("", "1", header...)); e.Scope != want {
			t.Errorf("%s is read as %q, want %q", value, e.Scope, want)
		}
	}
}

func TestCloudEventData(t *testing.T) {
	structured := func(rest string) *Request {
		return request(structuredType, `{"specversion":"1.0","id":"1","source":"/s","type":"t"`+rest+`}`)
	}
	binary := func(contentType, body string) *Request { return request(contentType, body, binaryHeader()...) }
	for name, tt := range map[string]struct {
		r                 *Request
		contentType, data string
	}{
		"no type":                  {structured(`,"data":"text"`), "application/json", `"text"`},
		"no data":                  {structured(``), "application/json", `null`},
		"null":                     {structured(`,"data":null`), "application/json", `null`},
		"text":                     {structured(`,"datacontenttype":"text/xml","data":"<a/>"`), "text/xml", `<a/>`},
		"an object that is no XML": {structured(`,"datacontenttype":"text/xml","data":{"a" : 1}`), "text/xml", `{"a" : 1}`},
		"base64":                   {structured(`,"datacontenttype":"image/png","data_base64":"/w=="`), "image/png", "\xff"},
		"base64 of JSON":           {structured(`,"data_base64":"eyJhIjoxfQ=="`), "application/json", `{"a":1}`},
		"base64 and null":          {structured(`,"data_base64":"eyJhIjoxfQ==","data":null`), "application/json", `{"a":1}`},
		"duplicate":                {structured(`,"data":1,"data":2`), "application/json", `2`},
		"binary JSON":              {binary("application/json", ` {"a":1} `), "application/json", ` {"a":1} `},
		"binary XML":               {binary("text/xml", `<a/>`), "text/xml", `<a/>`},
		"binary bytes":             {binary("image/png", "\xff"), "image/png", "\xff"},
		"binary nothing":           {binary("", ""), "application/json", "null"},
		"binary no JSON":           {binary("application/json", ""), "application/json", "null"},
		"binary no type":           {binary("", `{"a":1}`), "application/json", `{"a":1}`},
		// What the JavaScript SDK makes of the data "hello".
		"binary bare text":  {binary("application/json", `hello`), "text/plain; charset=utf-8", `hello`},
		"binary bare bytes": {binary("application/json", "\xff"), "application/octet-stream", "\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			if e := accept(t, native(t), tt.r); e.ContentType != tt.contentType || string(e.Data) != tt.data {
				t.Errorf("got %s %q, want %s %q", e.ContentType, e.Data, tt.contentType, tt.data)
			}
		})
	}
}

func TestCloudEventRefused(t *testing.T) {
	structured := func(body string) *Request { return request(structuredType, body) }
	with := func(rest string) *Request {
		return structured(`{"specversion":"1.0","id":"1","source":"/s","type":"t",` + rest + `}`)
	}
	for name, tt := range map[string]struct {
		r            *Request
		code, detail string
	}{
		"nothing":           {structured(``), "malformed_json", ""},
		"no object":         {structured(`[]`), "wrong_type", "an object"},
		"no version":        {structured(`{"id":"1","source":"/s","type":"t"}`), "missing_member", `"specversion"`},
		"version 0.3":       {structured(`{"specversion":"0.3","id":"1","source":"/s","type":"t"}`), "bad_specversion", `"0.3"`},
		"no id":             {structured(`{"specversion":"1.0","source":"/s","type":"t"}`), "missing_member", `"id"`},
		"empty id":          {structured(`{"specversion":"1.0","id":"","source":"/s","type":"t"}`), "missing_member", `"id"`},
		"id is a number":    {structured(`{"specversion":"1.0","id":1,"source":"/s","type":"t"}`), "wrong_type", `"id" is a JSON number`},
		"no source":         {structured(`{"specversion":"1.0","id":"1","type":"t"}`), "missing_member", `"source"`},
		"no type":           {structured(`{"specversion":"1.0","id":"1","source":"/s","type":null}`), "missing_member", `"type"`},
		"bad type":          {structured(`{"specversion":"1.0","id":"1","source":"/s","type":"a b"}`), "bad_type", ""},
		"reserved":          {structured(`{"specversion":"1.0","id":"1","source":"/s","type":"weir.x"}`), "reserved_type", ""},
		"long id":           {structured(`{"specversion":"1.0","id":"` + strings.Repeat("x", 1025) + `","source":"/s","type":"t"}`), "bad_id", ""},
		"long source":       {structured(`{"specversion":"1.0","id":"1","source":"` + strings.Repeat("x", 1025) + `","type":"t"}`), "bad_attribute", "source"},
		"time":              {with(`"time":"yesterday"`), "bad_timestamp", ""},
		"subject":           {with(`"subject":"a\u0001"`), "bad_attribute", `"subject"`},
		"both":              {with(`"data":1,"data_base64":"MQ=="`), "ambiguous_data", ""},
		"no base64":         {with(`"data_base64":"!"`), "bad_data", ""},
		"base64 no JSON":    {with(`"data_base64":"/w=="`), "malformed_json", ""},
		"extension object":  {with(`"ext":{}`), "wrong_type", `"ext" is a JSON object`},
		"extension name":    {with(`"Ext":"x"`), "bad_attribute", `"Ext"`},
		"extension control": {with(`"ext":"a\nb"`), "bad_attribute", `"ext"`},
		"content type":      {with(`"datacontenttype":"a\u00e9"`), "bad_content_type", "datacontenttype"},
		"many":              {with(manyAttributes(130)), "headers_too_large", "128"},
		"large":             {with(`"ext":"` + strings.Repeat("x", 20000) + `"`), "headers_too_large", ""},
		"binary no id":      {request("", "1", event.Field{Name: "ce-specversion", Value: "1.0"}, event.Field{Name: "ce-type", Value: "t"}), "missing_member", `"id"`},
		"binary twice":      {request("", "1", binaryHeader("Ce-Id", "2")...), "ambiguous_header", "ce-id"},
		"binary name":       {request("", "1", binaryHeader("ce-a-b", "2")...), "bad_attribute", `"a-b"`},
		"binary JSON":       {request("application/json", `{"a":`, binaryHeader()...), "malformed_json", ""},
		"binary array":      {request("application/json", ` [1,]`, binaryHeader()...), "malformed_json", ""},
		"other format":      {request("application/cloudevents+avro", ""), "unsupported_media_type", structuredType},
		"not claimed":       {request("application/json", wholeCloudEvent), "unknown_member", structuredType},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := native(t).Accept(tt.r)
			var p *problem.Problem
			if !errors.As(err, &p) || p.Code != tt.code || !strings.Contains(p.Detail, tt.detail) {
				t.Errorf("got %v, want %s with %q", err, tt.code, tt.detail)
			}
		})
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`"a` + strings.Repeat("b", i%20) + string(rune('a'+i/20)) + `":"x",`)
	}
	return strings.TrimSuffix(b.String(), ",")
}

// An event is known again by its CloudEvents source and id, whatever its mode,
// and expressions see its attributes.
func TestCloudEventScopeAndExpressions(t *testing.T) {
	s := open(t, config.Source{
		Name: "events", Format: config.SourceNative, KeepHeaders: []string{},
		Tenant: program(t, `header["ce-tenant"]`), Subject: program(t, `try(body.data.name, body.name)`),
	})
	structured := accept(t, s, request(structuredType, `{"specversion":"1.0","id":"odd id","source":"/s","type":"t","tenant":"acme","data":{"name":"n"}}`))
	binary := accept(t, s, request("application/json", `{"name":"n"}`, event.Field{Name: "ce-specversion", Value: "1.0"}, event.Field{Name: "ce-id", Value: "odd id"},
		event.Field{Name: "ce-source", Value: "/s"}, event.Field{Name: "ce-type", Value: "t"}, event.Field{Name: "ce-tenant", Value: "acme"}))
	if !reflect.DeepEqual(structured, binary) || structured.OriginID != "odd id" || structured.Scope != "/s" || structured.Tenant != "acme" || structured.Subject != "n" || len(structured.Header) != 2 {
		t.Errorf("got  %+v\nand %+v", structured, binary)
	}
}

// FuzzCloudEvents gives both forms any bytes: what is taken is what encoding/json
// sees, and the two modes agree.
func FuzzCloudEvents(f *testing.F) {
	f.Add([]byte(wholeCloudEvent), "application/json", "%41")
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data_base64":"AAE=","datacontenttype":"a/b"}`), "text/plain", `"a\"b"`)
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"\ud800","type":"t","data":"x","ext":1e3}`), "", "%")
	f.Add([]byte(`[1]`), "image/png", "\xff")
	s := native(f)
	f.Fuzz(func(t *testing.T, body []byte, contentType, value string) {
		taken, err := s.Accept(request(structuredType, string(body)))
		if err != nil {
			clientsProblem(t, err)
		} else {
			var want map[string]json.RawMessage
			if err := json.Unmarshal(body, &want); err != nil {
				t.Fatalf("taken: %q, but %v", body, err)
			}
			e := taken.Events[0]
			checkEvent(t, e)
			text := func(name string) (s string) {
				if v := want[name]; v != nil {
					if err := json.Unmarshal(v, &s); err != nil {
						t.Fatalf("%q: %s: %v", body, name, err)
					}
				}
				return s
			}
			origin := e.ID
			if e.OriginID != "" {
				origin = e.OriginID
			}
			if e.Type != text("type") || e.Scope != text("source") || origin != text("id") || e.Subject != text("subject") || text("specversion") != "1.0" {
				t.Fatalf("%q is taken as %+v", body, e)
			}
		}
		taken, err = s.Accept(request(contentType, string(body), binaryHeader("ce-ext", value)...))
		if err != nil {
			clientsProblem(t, err)
			return
		}
		checkEvent(t, taken.Events[0])
		if got := string(taken.Events[0].Data); got != string(body) && got != "null" {
			t.Fatalf("%q is kept as %q", body, got)
		}
	})
}

func clientsProblem(t *testing.T, err error) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Status < 400 || p.Status > 499 || p.Code == "" || !utf8.ValidString(p.Detail) {
		t.Fatalf("not a client's problem: %v", err)
	}
}

// checkEvent holds what must be true of every event that is stored.
func checkEvent(t *testing.T, e *event.Event) {
	t.Helper()
	if event.CheckType(e.Type) != nil || !event.ValidID(e.ID) || e.Time.IsZero() || event.CheckSubject(e.Subject) != nil ||
		event.CheckTenant(e.Tenant) != nil || event.CheckContentType(e.ContentType) != nil {
		t.Fatalf("taken: %+v", e)
	}
	if event.IsJSON(e.ContentType) && rawjson.Valid(e.Data) != nil {
		t.Fatalf("%q is stored as %s", e.Data, e.ContentType)
	}
	for _, f := range e.Header {
		if strings.HasPrefix(f.Name, attributePrefix) && !utf8.ValidString(f.Value) {
			t.Fatalf("the header %s is %q", f.Name, f.Value)
		}
	}
}
