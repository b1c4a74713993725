package event

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/router/rawjson"
)

func TestCloudEventStructured(t *testing.T) {
	at := time.Date(2024, 1, 1, 12, 0, 0, 5e8, time.FixedZone("", 3600))
	for _, c := range []struct {
		name    string
		m       Message
		n       int
		several bool
		want    string
	}{
		{
			"JSON", Message{ID: "evt_1", Source: "shop", Type: "order.paid", Time: at, ContentType: "application/json", Data: []byte(`{"total": 1.0}`)}, 0, false,
			`{"specversion":"1.0","id":"evt_1","source":"/weir/shop","type":"order.paid","time":"2024-01-01T11:00:00.5Z","datacontenttype":"application/json","data":{"total": 1.0}}`,
		},
		{
			"one of several", Message{ID: "evt_1", Source: "shop", Type: "a", Subject: "s", Time: at, ContentType: "application/vnd.x+json", Data: []byte(`[]`)}, 2, true,
			`{"specversion":"1.0","id":"evt_1-2","source":"/weir/shop","type":"a","subject":"s","time":"2024-01-01T11:00:00.5Z","sourceeventid":"evt_1","datacontenttype":"application/vnd.x+json","data":[]}`,
		},
		{
			"attributes that were kept", Message{
				ID: "1", Source: "events", Type: "a", Time: at, ContentType: "text/xml", Data: []byte("<a/>"),
				Header:    []Field{{"ce-source", "//other/thing"}, {"ce-zone", "eu"}, {"ce-dataschema", "https://x/y"}, {"ce-bad-name", "x"}, {"ce-id", "x"}, {"other", "x"}},
				SetHeader: []Field{{"ce-zone", "us"}, {"ce-added", `"`}, {"x-y", "z"}},
			}, 0, false,
			`{"specversion":"1.0","id":"1","source":"//other/thing","type":"a","time":"2024-01-01T11:00:00.5Z","added":"\"","dataschema":"https://x/y","zone":"us","datacontenttype":"text/xml","data":"<a/>"}`,
		},
		{
			"bytes", Message{ID: "1", Source: "s", Type: "a", Time: at, ContentType: "image/png", Data: []byte{0xff, 0}}, 0, false,
			`{"specversion":"1.0","id":"1","source":"/weir/s","type":"a","time":"2024-01-01T11:00:00.5Z","datacontenttype":"image/png","data_base64":"/wA="}`,
		},
		{
			"a form stays its text", Message{ID: "1", Source: "s", Type: "a", Time: at, ContentType: "application/x-www-form-urlencoded", Data: []byte("a=1&b=2")}, 0, false,
			`{"specversion":"1.0","id":"1","source":"/weir/s","type":"a","time":"2024-01-01T11:00:00.5Z","datacontenttype":"application/x-www-form-urlencoded","data":"a=1&b=2"}`,
		},
		{
			"no content type", Message{ID: "1", Source: "s", Type: "a", Time: at, Data: []byte("hi")}, 0, false,
			`{"specversion":"1.0","id":"1","source":"/weir/s","type":"a","time":"2024-01-01T11:00:00.5Z","datacontenttype":"text/plain; charset=utf-8","data":"hi"}`,
		},
		{
			"no data", Message{ID: "1", Source: "s", Type: "a", Time: at}, 0, false,
			`{"specversion":"1.0","id":"1","source":"/weir/s","type":"a","time":"2024-01-01T11:00:00.5Z"}`,
		},
	} {
		if got := string(c.m.AppendCloudEvent(nil, c.n, c.several)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestCloudEventBinary(t *testing.T) {
	m := Message{
		ID: "evt_1", Source: "shop", Type: "order.paid", Subject: "Ünder 100%", Time: time.Unix(0, 0), ContentType: "application/json",
		Data: []byte(`{}`), Header: []Field{{"ce-a", `say "hi"`}}, SetHeader: []Field{{"ce-source", "/by/a/plugin"}},
	}
	got, contentType := m.CloudEventHeader(1, true)
	want := []Field{
		{"ce-specversion", "1.0"}, {"ce-id", "evt_1-1"}, {"ce-source", "/by/a/plugin"}, {"ce-type", "order.paid"},
		{"ce-subject", "%C3%9Cnder%20100%25"}, {"ce-time", "1970-01-01T00:00:00Z"}, {"ce-sourceeventid", "evt_1"},
		{"ce-a", "say%20%22hi%22"},
	}
	if !reflect.DeepEqual(got, want) || contentType != "application/json" {
		t.Errorf("got %q, %q\nwant %q", got, contentType, want)
	}
}

// FuzzCloudEvent: whatever texts an event has, what is sent is JSON that gives
// them and data back, and headers that can be sent.
func FuzzCloudEvent(f *testing.F) {
	f.Add("evt_1", "order.paid", "s", "application/json", "one", []byte(`{"a" : 1.0}`))
	f.Add("", "\xff\x00\"\\", "\u2028", "text/plain", "X", []byte("text\x01"))
	f.Add("e", "t", "%", "", "dataschema", []byte{0xff})
	f.Fuzz(func(t *testing.T, id, typ, subject, contentType, name string, data []byte) {
		if IsJSON(contentType) && rawjson.Valid(data) != nil {
			return // ingest refuses it
		}
		m := &Message{ID: id, Type: typ, Source: "s", Subject: subject, ContentType: contentType, Data: data, Header: []Field{{"ce-" + name, subject}}}
		b := m.AppendCloudEvent(nil, 0, false)
		if !utf8.Valid(b) || rawjson.Valid(b) != nil {
			t.Fatalf("not JSON: %q", b)
		}
		var read struct {
			ID, Type, Subject string
			Data              json.RawMessage
			Base64            []byte `json:"data_base64"`
		}
		if err := json.Unmarshal(b, &read); err != nil {
			t.Fatal(err)
		}
		clean := func(s string) string { return string([]rune(s)) }
		if read.ID != clean(id) || read.Type != clean(typ) || read.Subject != clean(subject) {
			t.Fatalf("%q is read as %+v", b, read)
		}
		switch {
		case len(data) == 0:
		case IsJSON(contentType):
			if !bytes.Contains(b, append([]byte(`"data":`), data...)) {
				t.Fatalf("%q does not hold %q", b, data)
			}
		case utf8.Valid(data):
			var text string
			if err := json.Unmarshal(read.Data, &text); err != nil || text != string(data) {
				t.Fatalf("%q holds %q, want %q", b, text, data)
			}
		case !bytes.Equal(read.Base64, data):
			t.Fatalf("%q holds %s, want %s", b, base64.StdEncoding.EncodeToString(read.Base64), data)
		}
		header, _ := m.CloudEventHeader(0, false)
		for _, h := range header {
			if !ValidHeaderName(h.Name) || !ValidHeaderValue(h.Value) {
				t.Fatalf("the header %q: %q can't be sent", h.Name, h.Value)
			}
		}
	})
}
