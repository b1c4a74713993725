package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/router/rawjson"
)

// FuzzEnvelope holds what receivers and plugins are sent against encoding/json:
// whatever texts an event has, both are JSON that gives them back, and data's
// own bytes stand in them.
func FuzzEnvelope(f *testing.F) {
	f.Add("evt_1", "order.paid", "s", "application/json", "x-one", []byte(`{"a" : 1.0}`), int64(1700000000123456789), 3)
	f.Add("", "\xff\x00\"\\", "\u2028", "text/plain; charset=utf-8", "X", []byte("text\x01"), int64(-1), -1)
	f.Add("e", "t", "", "image/png", "", []byte{0xff, 0xfe}, int64(0), 0)
	f.Add("e", "t", "", "application/x-www-form-urlencoded", "a", []byte("a=1&a=%"), int64(1), 63)
	f.Fuzz(func(t *testing.T, id, typ, subject, contentType, header string, data []byte, at int64, n int) {
		if IsJSON(contentType) && rawjson.Valid(data) != nil {
			return // ingest refuses it
		}
		m := &Message{
			ID: id, Type: typ, Source: "s", Subject: subject, ContentType: contentType, Data: data, Time: time.Unix(0, at),
			Header:    []Field{{strings.ToLower(header), id}, {"twice", "1"}, {"twice", "2"}},
			SetHeader: []Field{{"set", subject}},
		}
		single, several, seen := m.AppendEnvelope(nil, n, false), m.AppendEnvelope(nil, n, true), m.AppendJSON([]byte("before"))
		seen, ok := bytes.CutPrefix(seen, []byte("before"))
		if !ok {
			t.Fatalf("what stood before is gone: %q", seen)
		}
		view, viewed := m.View()
		for _, b := range [][]byte{single, several, seen} {
			if !utf8.Valid(b) || rawjson.Valid(b) != nil {
				t.Fatalf("not JSON: %q", b)
			}
			if viewed && !bytes.Contains(b, append([]byte(`"data":`), view...)) {
				t.Fatalf("%q does not hold the data as it stands: %q", b, view)
			}
		}
		type sent struct {
			EventID       string `json:"event_id"`
			SourceEventID string `json:"source_event_id"`
			Event         string
			Data          json.RawMessage
			DataBase64    []byte `json:"data_base64"`
			Timestamp     time.Time
			ID            string
			Type          string
			Source        string
			Subject       string
			Time          time.Time
			Header        map[string]string
		}
		read := func(b []byte) (v sent) {
			if err := json.Unmarshal(b, &v); err != nil {
				t.Fatalf("%q: %v", b, err)
			}
			if !viewed && !bytes.Equal(v.DataBase64, data) {
				t.Fatalf("data %x arrives as %x", data, v.DataBase64)
			}
			return v
		}
		clean := func(s string) string { return string([]rune(s)) } // what UTF-8 can't hold becomes U+FFFD
		one := read(single)
		if one.EventID != clean(id) || one.SourceEventID != "" || one.Event != clean(typ) || !one.Timestamp.Equal(m.Time) {
			t.Fatalf("%q is read as %+v", single, one)
		}
		if many := read(several); many.SourceEventID != clean(id) || !strings.HasPrefix(many.EventID, clean(id)+"-") {
			t.Fatalf("%q is read as %+v", several, many)
		}
		plugin := read(seen)
		if plugin.ID != clean(id) || plugin.Type != clean(typ) || plugin.Source != "s" || plugin.Subject != clean(subject) || !plugin.Time.Equal(m.Time) {
			t.Fatalf("%q is read as %+v", seen, plugin)
		}
		for name, value := range plugin.Header {
			if want, ok := m.HeaderValue(name); ok && value != clean(want) {
				t.Fatalf("header %q is %q, want %q", name, value, want)
			}
		}
	})
}
