package webhook

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/problem"
)

func TestParsePatch(t *testing.T) {
	f, err := ParsePatch([]byte(`{"filter":null,"metadata":null,"description":""}`))
	if err != nil || f.Filter == nil || *f.Filter != "" || string(f.Metadata) != "null" || f.URL != nil || f.Events != nil {
		t.Fatalf("%+v, %v", f, err)
	}
	for body, code := range map[string]string{
		`{"secret":"the given one of 16"}`: "bad_secret",
		`{"tenant":"x"}`:                   "bad_tenant",
		`{"url":null}`:                     "bad_url",
		`{"events":null}`:                  "bad_events",
		`{"id":"wh_x"}`:                    "unknown_member",
		"{\"url\":\"\xff\"}":               "malformed_json",
		`{"url":"https://a`:                "malformed_json",
		strings.Repeat("[", 100000):        "malformed_json",
		`{"metadata":` + strings.Repeat(`{"a":`, 20000) + `1`: "malformed_json",
	} {
		var p *problem.Problem
		if _, err := ParsePatch([]byte(body)); !errors.As(err, &p) || p.Code != code || strings.Contains(p.Detail, "the given") {
			t.Errorf("%.60s: %v, want %s", body, err, code)
		}
	}
}

func TestParseRotation(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for body, want := range map[string]time.Time{
		``:                        {},
		`{}`:                      {},
		`{"activate_after":null}`: {},
		`{"activate_after":"1h"}`: now.Add(time.Hour),
		`{"activate_after":"2026-01-02T05:04:05+01:00"}`: now.Add(time.Hour),
		`{"activate_after":"2020-01-01T00:00:00Z"}`:      {},
	} {
		if r, err := ParseRotation([]byte(body), now); err != nil || !r.Activate.Equal(want) {
			t.Errorf("%s: %+v, %v, want %s", body, r, err, want)
		}
	}
	for _, body := range []string{`{"activate_after":"soon"}`, `{"activate_after":"31d"}`, `{"activate_after":7}`, `{"secret":"x"}`, `{"overlap":"25h"}`, `{"overlap":"-1s"}`, `{"overlap":0}`, `{"overlap":""}`, `{"lap":"1h"}`, `[]`} {
		if _, err := ParseRotation([]byte(body), now); err == nil {
			t.Errorf("%s was taken", body)
		}
	}
	for body, want := range map[string]time.Duration{`{"overlap":"0s"}`: 0, `{"overlap":"1h"}`: time.Hour, `{"overlap":"1d"}`: Overlap} {
		if r, err := ParseRotation([]byte(body), now); err != nil || r.Overlap == nil || *r.Overlap != want {
			t.Errorf("%s: %+v, %v, want %s", body, r, err, want)
		}
	}
}

func TestSecretsThatCanBeGiven(t *testing.T) {
	for secret, good := range map[string]bool{
		strings.Repeat("a", 16): true, strings.Repeat("a", 256): true, strings.Repeat("a", 15): false, strings.Repeat("a", 257): false,
		"sixteen printable": true, " begins with space": false, "with a tab\tin the middle": false, "été, à seize caractères": false,
		"whsec_" + strings.Repeat("AAAA", 8): true, "whsec_" + strings.Repeat("AAAA", 7): false,
		"whsec_" + strings.Repeat("AAAA", 21): true, "whsec_" + strings.Repeat("AAAA", 22): false, "whsec_no base64 at all here!": false,
		newSecret(): true,
	} {
		if p := checkSecret(secret); (p == nil) != good {
			t.Errorf("%q: %v", secret, p)
		}
	}
}

// What held before is kept as long as an event of that time may have to be routed.
func TestRulesOfEarlierPositions(t *testing.T) {
	var past []string
	w := &Webhook{ID: "wh_a", Revision: 1, Rules: []Rule{{From: 5, Events: []string{"a"}}}}
	change := func(last, progress uint64, pattern string, want ...uint64) {
		t.Helper()
		rule := *w.Rule()
		rule.Events = []string{pattern}
		var ended []pastRule
		w, ended = w.next(last, progress, time.Time{}, rule)
		for _, p := range ended {
			past = append(past, fmt.Sprintf("%d-%d", p.From, p.Last))
		}
		var got []uint64
		for _, r := range w.Rules {
			got = append(got, r.From)
		}
		if len(got) != len(want) {
			t.Fatalf("rules from %v, want %v", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("rules from %v, want %v", got, want)
			}
		}
	}
	change(9, 7, "b", 5, 10) // events 8 and 9 are not routed
	change(9, 7, "c", 5, 10) // no event came since
	change(9, 7, "c", 5, 10) // nothing changes
	change(12, 9, "d", 10, 13)
	change(14, 14, "e", 13, 15) // what holds until the change is routed by it
	change(16, 16, "f", 15, 17)
	change(20, 16, "g", 17, 21)
	change(22, 16, "h", 17, 21, 23) // from 17 on they may have to be routed
	if w.Rule().Events[0] != "h" || w.Revision != 9 || w.Rule().Version != 9 {
		t.Errorf("%+v", w)
	}
	if got := strings.Join(past, " "); got != "5-9 10-12 13-14 15-16" {
		t.Errorf("kept for explanations: %s", got)
	}
}

func FuzzParseCreate(f *testing.F) {
	f.Add([]byte(`{"url":"https://example.com/a","events":["a.*"],"filter":"event.data.a == 1","metadata":{"a":"b"},"secret":"whsec_AAAA"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		fields, err := ParseCreate(body)
		var p *problem.Problem
		if err != nil && !errors.As(err, &p) {
			t.Errorf("%q: %v is no problem", body, err)
		}
		if err != nil {
			return
		}
		w := &Webhook{URL: *fields.URL, Rules: []Rule{{Events: fields.Events, Filter: value(fields.Filter)}}}
		if _, err := w.Target(); err != nil {
			t.Errorf("%q: %v", body, err)
		}
		if _, err := w.rules(); err != nil {
			t.Errorf("%q: %v", body, err)
		}
	})
}
