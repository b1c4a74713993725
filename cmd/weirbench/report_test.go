package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{4}, 4}, {[]float64{9, 1, 5}, 5}, {[]float64{8, 2, 4, 6}, 5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[len(hundred)-1-i] = float64(i + 1)
	}
	for _, c := range []struct {
		values  []float64
		q, want float64
	}{{nil, 0.5, 0}, {hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred, 0, 1}, {[]float64{7}, 0.99, 7}} {
		if got := quantile(c.values, c.q); got != c.want {
			t.Errorf("quantile %v of %d values is %v, want %v", c.q, len(c.values), got, c.want)
		}
	}
}

func TestLinesKnowTheirTargets(t *testing.T) {
	for name, c := range map[string]struct {
		line    Line
		ratio   float64
		reached bool
	}{
		"at least, reached":        {atLeast("", "", 70, "R2", 100, 0.7), 0.7, true},
		"at least, missed":         {atLeast("", "", 69, "R2", 100, 0.7), 0.69, false},
		"at least, no reference":   {atLeast("", "", 69, "R2", 0, 0.7), 0, false},
		"at most, reached":         {atMost("", "", 8, "R4", 4, 2), 2, true},
		"at most, missed":          {atMost("", "", 9, "R4", 4, 2), 2.25, false},
		"at most, no reference":    {atMost("", "", 9, "R4", 0, 2), 0, false},
		"at most, before the time": {atMost("", "", 9, "R4", -1, 2), 0, false},
		"under, reached":           {under("", "", 6, 6), 0, true},
		"under, missed":            {under("", "", 6.1, 6), 0, false},
		"within, reached":          {only("", "", 5, "", 1).within(5, ""), 5, true},
		"within, missed":           {only("", "", 5.1, "", 1).within(5, ""), 5.1, false},
	} {
		if c.line.Ratio != c.ratio || c.line.Reached != c.reached {
			t.Errorf("%s: ratio %v, reached %v", name, c.line.Ratio, c.line.Reached)
		}
	}
}

func TestTable(t *testing.T) {
	r := &Report{Lines: []Line{
		atLeast("ingest", "events/s", 50, "R2", 100, 0.7),
		under("disk", "KiB/event", 2.345, 6),
	}}
	r.Lines[0].Row, r.Lines[1].Row = "ingest", "disk"
	want := `| row    | what   | Weir           | reference | ratio | target        |             |
| ------ | ------ | -------------- | --------- | ----- | ------------- | ----------- |
| ingest | ingest | 50.0 events/s  | R2: 100   | 0.50  | ≥ 0.70 ×      | not reached |
| disk   | disk   | 2.35 KiB/event |           |       | ≤ 6 KiB/event | reached     |
`
	if got := r.Table(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// The plot is well-formed, and shows only what has a ratio and a target.
func TestPlot(t *testing.T) {
	r := &Report{Lines: []Line{
		atLeast("a <b>", "", 50, "R2", 100, 0.7), under("no ratio", "", 1, 6), only("no target", "", 1, "R1", 2),
	}}
	plot := r.Plot()
	for d := xml.NewDecoder(strings.NewReader(plot)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, plot)
		}
	}
	if !strings.Contains(plot, "a &lt;b&gt; / R2") || strings.Contains(plot, "no ratio") || strings.Contains(plot, "no target") {
		t.Errorf("not what was asked for:\n%s", plot)
	}
}

// What the load puts into an event is what the receiver counts it by.
func TestEventBody(t *testing.T) {
	e := newEventBody()
	for _, n := range []uint64{0, 1, 123_456, maxPages*pageSize - 1} {
		b := e.fill(n, 10)
		if got, ok := sequence(b); !ok || got != n || len(b) != eventSize {
			t.Errorf("%d came back as %d, %v, in %d bytes", n, got, ok, len(b))
		}
	}
	if b := string(e.fill(27, 10)); !strings.Contains(b, `"bench.t00007"`) {
		t.Errorf("27 of 10 types: %s", b)
	}
	for _, bad := range []string{"", `"seq":`, `"seq":12`, `"seq":10000000x0,`, `"seq":0000000001,`, `"seq":9999999999,`} {
		if n, ok := sequence([]byte(bad)); ok {
			t.Errorf("%q is counted as %d", bad, n)
		}
	}
}

func TestSetCountsWhatComesTwice(t *testing.T) {
	var s set
	e := newEventBody()
	s.arrived(e.fill(5, 1), 100)
	s.arrived(e.fill(5, 1), 200)
	s.arrived(e.fill(pageSize+1, 1), 300)
	s.arrived([]byte("{}"), 400)
	if s.arrivals.Load() != 4 || s.distinct.Load() != 2 || s.malformed.Load() != 1 {
		t.Errorf("%d arrivals, %d distinct, %d malformed", s.arrivals.Load(), s.distinct.Load(), s.malformed.Load())
	}
	if first := s.page(5).first[5].Load(); first != 100 {
		t.Errorf("the first came at %d", first)
	}
}

func TestCPUTime(t *testing.T) {
	got, err := cpuTime("12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20\n")
	if err != nil || got != 1750*time.Millisecond {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := cpuTime("12 (weir) S 1"); err == nil {
		t.Error("a short line is taken")
	}
}

func TestCoreTime(t *testing.T) {
	got, err := parseCoreTime("cpu  1 2 3 4 5 6 7 8 9 10")
	want := coreTime{all: 36 * clockTick, busy: 19 * clockTick, stolen: 8 * clockTick}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3 x 5 6 7 8"} {
		if _, err := parseCoreTime(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestChoose(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(rows) {
		t.Errorf("%d rows, %v", len(all), err)
	}
	if one, err := choose("disk"); err != nil || len(one) != 1 || one[0].name != "disk" {
		t.Errorf("%v, %v", one, err)
	}
	if _, err := choose("nothing"); err == nil {
		t.Error("a row that is not there is taken")
	}
}
