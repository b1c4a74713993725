package plugins

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// FuzzCall plays any sequence of imports with any texts, as a hostile guest
// would. Data that claims JSON stays JSON, what was written is read, a refused
// change changes nothing, the limits hold, and the input is never touched.
func FuzzCall(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "a.b", `{"x":1}`, []byte(`{"a":{"b":[1]},"dup":1,"dup":2}`), true)
	f.Add([]byte{3, 8, 3, 8, 4, 8, 0, 8}, "X-Header", `"text"`, []byte(`{"X-Header":1}`), true)
	f.Add([]byte{10, 0, 11, 0, 2, 3, 12}, "application/json", "\xff", []byte("a=1&b=2"), false)
	f.Add([]byte{8, 8, 8, 13, 9, 5, 6, 7}, "", "", []byte{0xff}, false)
	f.Fuzz(func(t *testing.T, script []byte, a, b string, data []byte, isJSON bool) {
		in := &event.Message{
			ID: "evt_1", Type: "t", Source: "s", Data: data,
			Header: []event.Field{{Name: "x-one", Value: "1"}, {Name: "x-one", Value: "2"}},
		}
		if isJSON {
			if rawjson.Valid(data) != nil {
				return // ingest refuses it
			}
			in.ContentType = "application/json"
		}
		before, beforeData := *in, bytes.Clone(data)
		c := &call{}
		c.begin(stageTransform, in, "r")
		for _, op := range script[:min(len(script), 200)] {
			held, results := c.msg, len(c.results)
			held.Data = bytes.Clone(held.Data) // it stands in a buffer
			var code int32
			switch op % 14 {
			case 0:
				code = c.write(fieldData, []byte(b))
			case 1:
				if code = c.write(fieldType, []byte(b)); code == 0 && (c.msg.Type != b || event.CheckType(b) != nil) {
					t.Fatalf("type %q is written as %q", b, c.msg.Type)
				}
			case 2:
				if v, code := c.get([]byte(a)); code == 0 && rawjson.Valid(v) != nil {
					t.Fatalf("%q at %q gives %q", c.msg.Data, a, v)
				}
			case 3:
				if code = c.set([]byte(a), []byte(b)); code == 0 {
					if v, code := c.get([]byte(a)); code != 0 || !bytes.Equal(bytes.TrimSpace(v), bytes.TrimSpace([]byte(b))) {
						t.Fatalf("%q was set at %q; got %q, %d", b, a, v, code)
					}
				}
			case 4:
				code = c.remove([]byte(a))
			case 5:
				if code = c.setHeader(a, b); code == 0 {
					if v, code := c.header(a); code != 0 || string(v) != b || event.ReservedHeader(a) {
						t.Fatalf("header %q was set to %q; got %q, %d", a, b, v, code)
					}
				}
			case 6:
				if code = c.removeHeader(a); code == 0 {
					if v, code := c.header(a); code != codeNone {
						t.Fatalf("header %q was removed; got %q, %d", a, v, code)
					}
				}
			case 7:
				code = c.write(uint32(op)|uint32(len(b))<<8, []byte(b))
			case 8:
				if code = c.emit(); code == 0 && (len(c.results) != results+1 || !reflect.DeepEqual(c.msg, *in)) {
					t.Fatalf("after an emit there are %d results and %+v", len(c.results), c.msg)
				}
			case 9:
				c.log(int32(op), []byte(b))
			case 10:
				code = c.write(fieldContentType, []byte(a))
			case 11:
				code = c.write(fieldSubject, []byte(b))
			case 12:
				c.fail([]byte(b))
			case 13:
				a, b = b, a
			}
			if code > 0 || code < codeLimit {
				t.Fatalf("operation %d answers %d", op%14, code)
			}
			if code < 0 && (!reflect.DeepEqual(c.msg, held) || len(c.results) != results) {
				t.Fatalf("operation %d answers %d and changed %+v to %+v", op%14, code, held, c.msg)
			}
			if event.IsJSON(c.msg.ContentType) && !json.Valid(c.msg.Data) {
				t.Fatalf("operation %d left data that is no JSON: %q", op%14, c.msg.Data)
			}
			if c.size != messageSize(&c.msg) || len(c.results) > MaxResults || c.resultBytes > MaxResultBytes || c.logBytes > maxLogBytes {
				t.Fatalf("size %d, %d results of %d bytes, %d of log", c.size, len(c.results), c.resultBytes, c.logBytes)
			}
			if field, code := c.field(fieldMessage, nil); code != 0 || !json.Valid(field) {
				t.Fatalf("the message as JSON is %q, %d", field, code)
			}
		}
		if !reflect.DeepEqual(*in, before) || !bytes.Equal(data, beforeData) {
			t.Fatalf("the input was changed from %+v to %+v", before, *in)
		}
	})
}
