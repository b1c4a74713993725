package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/problem"
)

// FuzzEnvelope holds the native envelope against encoding/json: both see the
// same members, or Weir has a reason that it tells.
func FuzzEnvelope(f *testing.F) {
	for _, seed := range []string{
		`{"event":"a","data":{}}`, `{"event":"a","data": [1.0, "\u0000"] ,"event_id":"x","timestamp":"2024-01-01T00:00:00Z"}`,
		`{"event":"a","event":"b","data":1,"data":2,"tenant":"t","subject":"s\ud800"}`,
		`{"subject":"s","tenant":"t","event_id":"i","timestamp":"2024-01-01T00:00:00Z","event":"a","data":1,"subject":"u","tenant":"v","event_id":"j","timestamp":"2025-01-01T00:00:00Z"}`, `{"\u0065vent":"a","data":null,"event_id":null}`,
		`{"Event":"a","data":1}`, `{"event":"weir.x","data":1}`, `{"event":"a b","data":1}`, `{"event":7,"data":1}`, ` {"event":"é","data":"é"}`,
		`{"event":"a","data":1,"timestamp":"2024-02-30T00:00:00Z"}`, `[]`, `{}`, `[{"event":"a","data":1},{"event":"b","data":2}]`, `{"event":"a","data":1,"x":1}`,
	} {
		f.Add([]byte(seed))
	}
	s := native(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		taken, err := s.Accept(&Request{Body: body, Received: received})
		if !bytes.Equal(body, before) {
			t.Fatalf("the body was changed from %q to %q", before, body)
		}
		var want map[string]json.RawMessage // of duplicates the last one
		wantErr := json.Unmarshal(body, &want)
		if err != nil {
			var p *problem.Problem
			if !errors.As(err, &p) || p.Status < 400 || p.Status > 499 || p.Code == "" || !utf8.ValidString(p.Detail) {
				t.Fatalf("not a client's problem: %v", err)
			}
			if malformed := !json.Valid(body) || !utf8.Valid(body); malformed != (p.Code == "malformed_json") {
				t.Fatalf("%q is refused with %s: %s", body, p.Code, p.Detail)
			}
			return
		}
		if taken.Batch {
			var list []json.RawMessage
			if err := json.Unmarshal(body, &list); err != nil || len(list) != len(taken.Events) {
				t.Fatalf("%q is taken as %d events: %v", body, len(taken.Events), err)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("taken: %q, but %v", body, wantErr)
		}
		member := func(name string) (s string) {
			if v := want[name]; v != nil {
				if err := json.Unmarshal(v, &s); err != nil {
					t.Fatalf("%q: %s is taken: %v", body, name, err)
				}
			}
			return s
		}
		e := taken.Events[0]
		if e.Type != member("event") || e.Subject != member("subject") || e.Tenant != member("tenant") {
			t.Fatalf("%q is taken as %+v", body, e)
		}
		if id := member("event_id"); e.Given != (id != "") || e.Given && e.ID != id || !event.ValidID(e.ID) {
			t.Fatalf("%q has the id %q, given %v", body, e.ID, e.Given)
		}
		if !bytes.Equal(e.Data, bytes.TrimSpace(want["data"])) {
			t.Fatalf("%q has the data %q, want %q", body, e.Data, want["data"])
		}
		for name := range want {
			switch name {
			case "event", "data", "timestamp", "event_id", "subject", "tenant":
			default:
				t.Fatalf("%q: %q is ignored", body, name)
			}
		}
		if at := member("timestamp"); at != "" {
			if w, err := time.Parse(time.RFC3339, upperTZ(at)); err != nil || !e.Time.Equal(w) {
				t.Fatalf("%q has the time %s, want %s, %v", body, e.Time, w, err)
			}
		} else if !e.Time.Equal(received) {
			t.Fatalf("%q has the time %s", body, e.Time)
		}
	})
}

// upperTZ makes the letters of RFC 3339 what Go takes.
func upperTZ(s string) string {
	return string(bytes.Map(func(r rune) rune {
		switch r {
		case 't':
			return 'T'
		case 'z':
			return 'Z'
		}
		return r
	}, []byte(s)))
}

// FuzzRaw takes any body under any content type: what is taken is kept byte for
// byte, and has a JSON view where its content type says so.
func FuzzRaw(f *testing.F) {
	f.Add("", []byte(`{"a":1}`))
	f.Add("application/json", []byte(`{"a":1,}`))
	f.Add("application/vnd.x+json; v=1", []byte(` [1] `))
	f.Add("application/x-www-form-urlencoded", []byte("a=1&a=2"))
	f.Add("text/plain\r\nx: y", []byte("text"))
	f.Add("image/png", []byte{0xff})
	s := open(f, config.Source{})
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		taken, err := s.Accept(&Request{ContentType: contentType, Body: body, Received: received})
		if err != nil {
			var p *problem.Problem
			if !errors.As(err, &p) || p.Status < 400 || p.Status > 499 || p.Code == "" {
				t.Fatalf("not a client's problem: %v", err)
			}
			return
		}
		e := taken.Events[0]
		if !bytes.Equal(e.Data, body) || event.CheckContentType(e.ContentType) != nil {
			t.Fatalf("%q %q is taken as %+v", contentType, body, e)
		}
		view, ok := event.View(e.ContentType, e.Data)
		if ok && !json.Valid(view) || !ok && utf8.Valid(body) {
			t.Fatalf("%q %q is seen as %q", contentType, body, view)
		}
	})
}
