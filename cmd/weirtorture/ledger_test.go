package main

import (
	"fmt"
	"strings"
	"testing"
)

// post is a receiver's log of one arrival.
func post(l *ledger, lane, webhookID string, body string, taken bool) {
	l.arrived(lane, webhookID, []byte(body), func(uint64, int) bool { return taken })
}

func envelope(number uint64, size int) string {
	return fmt.Sprintf(`{"event_id":"x","event":"a","data":%s,"timestamp":"2024-01-01T12:00:00Z"}`, data(number, size))
}

// A ledger must notice each way in which a router can break its word, and must
// be content with what it may do.
func TestLedger(t *testing.T) {
	everywhere := func(string, uint64) []string { return []string{"one"} }
	for name, test := range map[string]struct {
		happen func(l *ledger, n uint64)
		want   string // part of a violation; "" is none
	}{
		"delivered once": {func(l *ledger, n uint64) {
			l.accept(n, l.givenID(n))
			post(l, "one", "msg_1", envelope(n, 10), true)
		}, ""},
		"repeated with the same id and bytes": {func(l *ledger, n uint64) {
			l.accept(n, l.givenID(n))
			post(l, "one", "msg_1", envelope(n, 10), true)
			post(l, "one", "msg_1", envelope(n, 10), true)
		}, ""},
		"refused, then taken": {func(l *ledger, n uint64) {
			l.accept(n, l.givenID(n))
			post(l, "one", "msg_1", envelope(n, 10), false)
			post(l, "one", "msg_1", envelope(n, 10), true)
		}, ""},
		"never answered, and lost": {func(l *ledger, n uint64) {}, ""},
		"never answered, and delivered": {func(l *ledger, n uint64) {
			post(l, "one", "msg_1", envelope(n, 10), true)
		}, ""},
		"answered after the power was cut, and lost": {func(l *ledger, n uint64) {
			l.seal(true)
			l.accept(n, l.givenID(n))
		}, ""},
		"lost":                 {func(l *ledger, n uint64) { l.accept(n, l.givenID(n)) }, "never reached one"},
		"only ever refused":    {func(l *ledger, n uint64) { l.accept(n, l.givenID(n)); post(l, "one", "msg_1", envelope(n, 10), false) }, "never reached one"},
		"answered as another":  {func(l *ledger, n uint64) { l.accept(n, "evt_1"); post(l, "one", "msg_1", envelope(n, 10), true) }, "answered as evt_1"},
		"never sent":           {func(l *ledger, n uint64) { post(l, "one", "msg_1", envelope(n+10, 10), true) }, "never sent"},
		"no event at all":      {func(l *ledger, n uint64) { post(l, "one", "msg_1", "hello", true) }, "never sent"},
		"without a webhook-id": {func(l *ledger, n uint64) { post(l, "one", "", envelope(n, 10), true) }, "without a webhook-id"},
		"at another lane": {func(l *ledger, n uint64) {
			l.accept(n, l.givenID(n))
			post(l, "one", "msg_1", envelope(n, 10), true)
			post(l, "two", "msg_2", envelope(n, 10), true)
		}, "reached two, where no route sends it"},
		"doubled with another id": {func(l *ledger, n uint64) {
			post(l, "one", "msg_1", envelope(n, 10), true)
			post(l, "one", "msg_2", envelope(n, 10), true)
		}, "two webhook-ids"},
		"repeated with other bytes": {func(l *ledger, n uint64) {
			post(l, "one", "msg_1", envelope(n, 10), true)
			post(l, "one", "msg_1", strings.Replace(envelope(n, 10), "2024", "2025", 1), true)
		}, "other bytes"},
		"one id for two events": {func(l *ledger, n uint64) {
			post(l, "one", "msg_1", envelope(n, 10), true)
			post(l, "one", "msg_1", envelope(l.begin("a"), 10), true)
		}, "the webhook-id msg_1 came with"},
		"altered": {func(l *ledger, n uint64) {
			post(l, "one", "msg_1", strings.Replace(envelope(n, 10), `"pad":"x`, `"pad":"y`, 1), true)
		}, "other data"},
		"cut short": {func(l *ledger, n uint64) {
			post(l, "one", "msg_1", string(data(n, 100)[:120]), true)
		}, "other data"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger("test")
			l.begin("a")
			test.happen(l, l.begin("a"))
			v := l.found()
			v.add(l.missing(everywhere))
			v.add(l.stray(everywhere))
			if test.want == "" {
				if v.count > 0 {
					t.Errorf("found %v", v.texts)
				}
				return
			}
			if v.count != 1 || !strings.Contains(v.texts[0], test.want) {
				t.Errorf("found %d: %v, want one with %q", v.count, v.texts, test.want)
			}
		})
	}
}

func TestDataIsReadBack(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 100_000} {
		for _, n := range []uint64{1, 9, 1 << 40} {
			body := envelope(n, size)
			h, at, ok := readHead([]byte(body))
			if !ok || h.N != n || h.Size != size || !strings.HasPrefix(body[at:], string(data(n, size))) {
				t.Errorf("%d, %d bytes: read as %+v, %v", n, size, h, ok)
			}
		}
	}
}

func TestViolationsAreCounted(t *testing.T) {
	var v violations
	if v.err() != nil {
		t.Error("none is an error")
	}
	for i := range examples + 5 {
		v.addf("number %d", i)
	}
	more := v
	v.add(more)
	if text := v.err().Error(); !strings.Contains(text, "number 9\nand 20 more") || strings.Contains(text, "number 10") {
		t.Errorf("told as %q", text)
	}
}
