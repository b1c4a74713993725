package dashboard

import (
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/api"
	"github.com/weirhq/weir/router/attempt"
	"github.com/weirhq/weir/router/store"
)

// hostile is a text that does harm wherever it is not escaped.
const hostile = `"><script>alert('1')</script>&amp;<b class="`

// fill puts the hostile text into every string of a value.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	}
}

func filled[T any]() (x T) {
	fill(reflect.ValueOf(&x).Elem())
	return x
}

// Whatever a field holds, it is text: rows are well-formed, and have the elements
// and attributes that they should have.
func TestRowsEscape(t *testing.T) {
	delivery := filled[api.Delivery]()
	dead := delivery
	dead.Status = "dead"
	destination := filled[api.Destination]()
	destination.Dead = 1
	byType := filled[api.StatsRow]()
	byType.Destination = ""
	for name, write := range map[string]func(*markup){
		"events":       func(m *markup) { m.eventRows([]api.Event{filled[api.Event]()}) },
		"deliveries":   func(m *markup) { m.deliveryRows([]api.Delivery{delivery, dead}) },
		"dead letters": func(m *markup) { m.deadLetterRows([]api.Delivery{delivery, dead}) },
		"destinations": func(m *markup) {
			p := destinationsPage{Stats: map[string]api.StatsRow{hostile: filled[api.StatsRow]()}}
			hook := destination
			hook.Kind = "webhook"
			p.Destinations = []api.Destination{destination, hook}
			m.destinationRows(&p)
		},
		"webhooks":   func(m *markup) { m.webhookRows([]api.Webhook{filled[api.Webhook]()}) },
		"statistics": func(m *markup) { m.statsRows([]api.StatsRow{filled[api.StatsRow](), byType}) },
	} {
		m := markup{now: time.Now()}
		write(&m)
		read := xml.NewDecoder(strings.NewReader("<table>" + string(m.b) + "</table>"))
		read.AutoClose = xml.HTMLAutoClose
		read.Strict = false
		said := false
		for {
			token, err := read.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, m.b)
			}
			switch token := token.(type) {
			case xml.StartElement:
				if n := token.Name.Local; n == "script" || n == "b" {
					t.Errorf("%s have the element %s:\n%s", name, n, m.b)
				}
			case xml.CharData:
				said = said || string(token) == hostile
			}
		}
		if !said {
			t.Errorf("%s do not say what they should:\n%s", name, m.b)
		}
	}
}

// A chart says what its series are called, and only says it.
func TestChartsEscape(t *testing.T) {
	now := time.Now()
	points := []api.StatsPoint{{Time: now, Failures: map[string]uint64{hostile: 3}}, {Time: now.Add(time.Hour)}}
	drawn := failureBars(points, []failure{{hostile, 3}})
	if strings.Contains(string(drawn), "<script") || !strings.Contains(string(drawn), "&lt;script") {
		t.Error(drawn)
	}
}

// Every reason that a delivery or an attempt may have is said in words.
func TestReasonsInWords(t *testing.T) {
	for _, reason := range []string{
		attempt.ReasonDNS, attempt.ReasonRefused, attempt.ReasonReset, attempt.ReasonTLS, attempt.ReasonAuth, attempt.ReasonTimeout, attempt.ReasonStatus,
		attempt.ReasonBlocked, attempt.ReasonTooLarge, attempt.ReasonProtocol, attempt.ReasonConfig, attempt.ReasonIO, attempt.ReasonStopped,
		attempt.ReasonPlugin, attempt.ReasonNoRoute,
	} {
		if describeOutcome(reason, 500) == reason || failureWord(reason) == reason {
			t.Errorf("%s has no words", reason)
		}
	}
	for _, reason := range []store.Reason{store.ReasonAttempts, store.ReasonGone, store.ReasonExpired, store.ReasonRouting} {
		if strings.HasSuffix(describeEnd(string(reason)), ": "+string(reason)) {
			t.Errorf("%s has no words", reason)
		}
	}
}

// A line of the data that looks like the head of a difference is none.
func TestDiffLines(t *testing.T) {
	var got []string
	for _, l := range diffLines("--- before\n+++ after\n@@ -1,2 +1,2 @@\n a\n--- b\n+++ c\n") {
		got = append(got, l.Class+"|"+l.Text)
	}
	if want := []string{"quiet|@@ -1,2 +1,2 @@", "| a", "taken|--- b", "added|+++ c"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

// The page of an event says that nothing is left to do only where it knows of all.
func TestSumOfSome(t *testing.T) {
	p := eventPage{Matched: []api.RouteVerdict{{Deliveries: []api.Delivery{{Status: "delivered"}, {Status: "delivered"}}}}}
	p.Routed = true
	if text, tone := p.sum(); text != "Delivered: 2 deliveries, nothing is left to do." || tone != "done" {
		t.Errorf("%s: %q", tone, text)
	}
	p.MoreWebhooks = 3
	if text, tone := p.sum(); text != "Of those shown: 2 delivered. 3 more registered webhooks took it." || tone != "quiet" {
		t.Errorf("%s: %q", tone, text)
	}
}
