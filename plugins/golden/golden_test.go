package golden

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/router/event"
)

func parse(t *testing.T, text string) *Case {
	t.Helper()
	c, err := Parse([]byte(text), t.TempDir())
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := parse(t, `{"event":{}}`)
	m := c.Event
	if m.ID != "evt_1" || m.Type != "test.event" || m.Source != "events" || m.ContentType != "application/json" || string(m.Data) != "{}" ||
		m.Header != nil || !m.Time.Equal(DefaultTime) || !m.Received.Equal(DefaultTime) || c.Route != "test" || c.Config != nil || c.Want != nil {
		t.Errorf("got %+v, %+v", c, m)
	}
}

func TestEventAsWritten(t *testing.T) {
	c := parse(t, `{"event":{"id":"a","type":"b","source":"c","subject":"d","tenant":"e","time":"2024-02-03T04:05:06+01:00",
		"received":"2024-02-03T05:00:00Z","header":{"X-B":"1","x-a":["2","3"]},"data":{ "n" : 1.0 }},"route":"r","config":{"k": 1}}`)
	m := c.Event
	if m.ID != "a" || m.Type != "b" || m.Source != "c" || m.Subject != "d" || m.Tenant != "e" || c.Route != "r" || string(c.Config) != `{"k": 1}` ||
		string(m.Data) != `{ "n" : 1.0 }` || m.Time != time.Date(2024, 2, 3, 3, 5, 6, 0, time.UTC) || m.Received.Hour() != 5 {
		t.Errorf("got %+v, %+v", c, m)
	}
	if h := m.Header; len(h) != 3 || h[0] != (event.Field{Name: "x-b", Value: "1"}) || h[2] != (event.Field{Name: "x-a", Value: "3"}) {
		t.Errorf("got header %v", h)
	}
	for text, want := range map[string]string{
		`{"event":{"content_type":"text/plain","data":"a=1"}}`:        "a=1",
		`{"event":{"content_type":"image/png","data_base64":"/wA="}}`: "\xff\x00",
		`{"event":{"data_text":" [1] "}}`:                             " [1] ",
		`{"event":{"data":null}}`:                                     "null",
		`{"event":{"content_type":""}}`:                               "",
	} {
		if got := string(parse(t, text).Event.Data); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                     "not one JSON value",
		`{"ref":"refs/heads/main"}`:             `unknown field "ref"`,
		`{}`:                                    `no "event"`,
		`{"event":{"tpye":"x"}}`:                `unknown field "tpye"`,
		`{"event":{"id":"a b"}}`:                "id",
		`{"event":{"type":""}}`:                 "type: is empty",
		`{"event":{"data":1,"data_text":"1"}}`:  "exclude each other",
		`{"event":{"data_text":"{"}}`:           "not JSON",
		`{"event":{"data_base64":"?"}}`:         "data_base64",
		`{"event":{"data_file":"absent.json"}}`: "data_file",
		`{"event":{"content_type":"text/plain","data":{}}}`:     "is a string",
		`{"event":{"header":{"a b":"1"}}}`:                      "no name of one",
		`{"event":{"header":{"a":1}}}`:                          "cannot unmarshal",
		`{"event":{},"config":1,"config_file":"x"}`:             "exclude",
		`{"event":{},"config_file":"absent.json"}`:              "config_file",
		`{"event":{},"want":{"filter":"maybe"}}`:                "maybe",
		`{"event":{},"want":{"filter":"drop","messages":[{}]}}`: "no messages",
		`{"event":{},"want":{"error":{},"messages":[]}}`:        "not both",
		`{"event":{},"want":{"logs":["hello"]}}`:                "is no line",
		`{"event":{},"want":{"messages":[{"headers":{}}]}}`:     `unknown field "headers"`,
	} {
		if _, err := Parse([]byte(text), t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// came is an outcome of one message that begins as the case's event.
func came(c *Case, change func(*event.Message)) Outcome {
	m := *c.Event
	change(&m)
	return Outcome{Messages: []*event.Message{&m}}
}

func TestCompare(t *testing.T) {
	const in = `{"event":{"data":{"a":1},"header":{"x-in":"1"}},"want":`
	same := func(*event.Message) {}
	data := func(s string) func(*event.Message) { return func(m *event.Message) { m.Data = []byte(s) } }
	cases := []struct {
		want   string
		change func(*event.Message)
		differ string // what a difference shows, empty where there is none
	}{
		{`{}`, same, ""},
		{`{"messages":[{}]}`, same, ""},
		{`{"messages":[]}`, same, `{}`},
		{`{"messages":[{},{}]}`, same, `{}`},
		{`{"filter":"keep"}`, same, "filter"},
		{`{"filter":"drop"}`, same, "filter"},
		{`{"error":{}}`, same, "error"},
		{`{"messages":[{"type":"test.event"}]}`, same, ""},
		{`{"messages":[{"type":"x"}]}`, same, `"type": "x"`},
		{`{}`, func(m *event.Message) { m.Type = "x" }, `"type": "x"`},
		{`{"messages":[{"type":"x","subject":"s"}]}`, func(m *event.Message) { m.Type, m.Subject = "x", "s" }, ""},
		{`{}`, data(`{"a": 1}`), `"a": 1`}, // a byte is other than in the event
		{`{"messages":[{"data":{"a":1}}]}`, data(`{"a": 1.0}`), ""},
		{`{"messages":[{"data":{"a":1}}]}`, data(`{"a":"1"}`), `"a": "1"`},
		{`{"messages":[{"data":{"b":2,"a":1}}]}`, data(`{"a":1,"b":2}`), ""},
		{`{"messages":[{"data":[1,2]}]}`, data(`[2,1]`), "2"},
		{`{"messages":[{"data":{"n":12345678901234567890}}]}`, data(`{"n":12345678901234567891}`), "12345678901234567891"},
		{`{"messages":[{"data":{"n":1e3}}]}`, data(`{"n":1000.0}`), ""},
		{`{"messages":[{"data_text":"{\"a\":1}"}]}`, data(`{"a":1}`), ""},
		{`{"messages":[{"data_text":"{\"a\":1}"}]}`, data(`{"a": 1}`), `{\"a\": 1}`},
		{`{"messages":[{"data_base64":"eyJhIjoxfQ=="}]}`, data(`{"a": 1}`), "eyJhIjogMX0="},
		{`{"messages":[{"header":{"X-New":"v"}}]}`, func(m *event.Message) { m.SetHeader = []event.Field{{Name: "x-new", Value: "v"}} }, ""},
		{`{}`, func(m *event.Message) { m.SetHeader = []event.Field{{Name: "x-new", Value: "v"}} }, "x-new"},
		{`{"messages":[{"header":{"x-in":null}}]}`, func(m *event.Message) { m.Header = nil }, ""},
		{`{}`, func(m *event.Message) { m.Header = nil }, `"x-in": null`},
		{`{"messages":[{"content_type":"text/plain","data":"hi"}]}`, func(m *event.Message) { m.ContentType, m.Data = "text/plain", []byte("hi") }, ""},
		{`{"messages":[{"content_type":"text/plain","data":"hi"}]}`, func(m *event.Message) { m.ContentType, m.Data = "text/plain", []byte("ho") }, `"ho"`},
		{`{"logs":[]}`, same, ""},
		{`{"logs":["info: x"]}`, same, "info: x"},
	}
	for _, test := range cases {
		c := parse(t, in+test.want+"}")
		want, got := c.Compare(came(c, test.change))
		if test.differ == "" {
			if want != got {
				t.Errorf("%s: want\n%sgot\n%s", test.want, want, got)
			}
			continue
		}
		if want == got || !strings.Contains(want+got, test.differ) {
			t.Errorf("%s: want\n%sgot\n%sand %q in it", test.want, want, got, test.differ)
		}
	}
}

func TestCompareOfErrorsAndFilters(t *testing.T) {
	failed := Outcome{Class: plugins.ClassPlugin, Text: "no amount in data"}
	for _, test := range []struct {
		want    string
		outcome Outcome
		equal   bool
	}{
		{`{"error":{"class":"plugin","text":"no amount"}}`, failed, true},
		{`{"error":{"text":"no amount"}}`, failed, true},
		{`{"error":{}}`, failed, true},
		{`{"error":{"class":"trap"}}`, failed, false},
		{`{"error":{"class":"plugin","text":"other"}}`, failed, false},
		{`{}`, failed, false},
		{`{"filter":"drop"}`, Outcome{Filter: plugins.Drop}, true},
		{`{"filter":"keep"}`, Outcome{Filter: plugins.Drop}, false},
		{`{}`, Outcome{Filter: plugins.Drop}, false},
		{`{"messages":[]}`, Outcome{Filter: plugins.Drop}, false}, // a filter's drop is no transform's
		{`{"messages":[]}`, Outcome{}, true},
		{`{"messages":[],"logs":["warn: w"]}`, Outcome{Logs: []plugins.Log{{Level: 4, Text: "w"}}}, true},
	} {
		c := parse(t, `{"event":{},"want":`+test.want+`}`)
		if want, got := c.Compare(test.outcome); (want == got) != test.equal {
			t.Errorf("%s: want\n%sgot\n%s", test.want, want, got)
		}
	}
}

func TestUpdated(t *testing.T) {
	for _, test := range []struct{ in, out string }{
		{"{\n  \"event\": {}\n}\n", "{\n  \"event\": {},\n  \"want\": {\n    \"messages\": [\n      {\n        \"data\": {\n          \"b\": 1.0,\n          \"a\": 2\n        }\n      }\n    ]\n  }\n}\n"},
		{`{"want": {}, "event" : {}}`, "{\"want\": {\n    \"messages\": [\n      {\n        \"data\": {\n          \"b\": 1.0,\n          \"a\": 2\n        }\n      }\n    ]\n  }, \"event\" : {}}"},
	} {
		c := parse(t, test.in)
		o := came(c, func(m *event.Message) { m.Data = []byte(`{"b":1.0,"a":2}`) })
		got, err := c.Updated([]byte(test.in), o)
		if err != nil || string(got) != test.out {
			t.Errorf("%s, %v", got, err)
		}
		again := parse(t, string(got))
		if want, got := again.Compare(o); want != got {
			t.Errorf("updated, and still different: %s%s", want, got)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(dir); !errors.Is(err, ErrNoCases) {
		t.Errorf("an empty folder: %v", err)
	}
	write("b.json", `{"event":{"data_file":"push.json"},"config_file":"table.json"}`)
	write("a.json", `{"event":{}}`)
	write("push.json", `{"ref":"main"}`)
	write("table.json", `{"k":1}`)
	cases, err := Load(dir)
	if err != nil || len(cases) != 2 || cases[0].Name != "a" || cases[1].Name != "b" || string(cases[1].Event.Data) != `{"ref":"main"}` || string(cases[1].Config) != `{"k":1}` {
		t.Errorf("got %v, %v", cases, err)
	}
	write("lost.json", `{"ref":"main"}`)
	if _, err = Load(dir); err == nil || !strings.Contains(err.Error(), "lost.json") {
		t.Errorf("a payload that no case names: %v", err)
	}
}

func TestNumbers(t *testing.T) {
	for s, want := range map[string]string{
		"1": "1", "1.0": "1", "1e0": "1", "10e-1": "1", "-0": "0", "0.0e9": "0", "0.10": "0.1", "1E-1": "0.1", "100": "100", "1e2": "100",
		"-1.50": "-1.5", "12345678901234567891": "12345678901234567891", "1e400": "1e400", "10e399": "1e400", "0.001": "0.001", "1e-400": "1e-400",
		"1e99999999999999999999": "1e99999999999999999999",
	} {
		if got := number(s); got != want {
			t.Errorf("%s: got %s, want %s", s, got, want)
		}
	}
}
