package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/router/api"
)

// series is a part of each column of a chart.
type series struct {
	// Name is said where there are several; class is how it is drawn.
	Name, class string
	values      []float64
}

// chart is a picture of values over time, with what is said of it.
type chart struct {
	times []time.Time
	// say is a value in words, label the whole chart for those who don't see it.
	say   func(float64) string
	label string
	parts []series
}

// columns draws a chart, the parts of a column one on the other, as SVG
// (https://www.w3.org/TR/SVG2/).
func (c *chart) columns() template.HTML {
	const width, height = 600.0, 120.0
	if len(c.times) == 0 {
		return ""
	}
	sums := make([]float64, len(c.times))
	most := 0.0
	for _, s := range c.parts {
		for i, v := range s.values {
			sums[i] += v
			most = max(most, sums[i])
		}
	}
	top := "none"
	if most > 0 {
		top = c.say(most)
	}
	m := markup{b: make([]byte, 0, len(c.times)*roomForColumn)}
	// The scale is beside the picture, which is stretched, so that it can be read on
	// a narrow screen.
	m.raw(`<p class="scale" aria-hidden="true"><span>`)
	m.text(top)
	m.raw(`</span><span>`)
	if len(c.times) > 1 {
		m.text(span(c.times[1].Sub(c.times[0])))
		m.raw(` a column`)
	}
	m.raw(`</span></p><svg class="chart columns" viewBox="0 0 600 120" preserveAspectRatio="none" role="img" aria-label="`)
	m.text(c.label)
	m.raw(`"><path class="grid" d="M0,0H600M0,60H600"/>`)
	step := width / float64(len(c.times))
	for i, at := range c.times {
		if sums[i] == 0 {
			continue
		}
		m.raw(`<g><title>`)
		m.b = at.UTC().AppendFormat(m.b, "Jan 2 15:04")
		between := written(`: `)
		for _, s := range c.parts {
			if v := s.values[i]; v > 0 {
				m.raw(between)
				m.text(strings.TrimSpace(c.say(v) + " " + s.Name))
				between = `, `
			}
		}
		m.raw(`</title>`)
		y := height
		for _, s := range c.parts {
			if s.values[i] == 0 {
				continue
			}
			tall := max(1.5, s.values[i]/most*height) // one is never invisible
			y -= tall
			m.raw(`<rect class="`)
			m.text(s.class)
			m.raw(`" x="`)
			m.decimal(float64(i)*step + step*0.1)
			m.raw(`" y="`)
			m.decimal(y)
			m.raw(`" width="`)
			m.decimal(step * 0.8)
			m.raw(`" height="`)
			m.decimal(tall)
			m.raw(`"/>`)
		}
		m.raw(`</g>`)
	}
	format := "15:04"
	if c.times[len(c.times)-1].Sub(c.times[0]) > 12*time.Hour {
		format = "Jan 2 15:04"
	}
	m.raw(`</svg><p class="scale" aria-hidden="true"><span>`)
	m.b = c.times[0].UTC().AppendFormat(m.b, format)
	m.raw(`</span><span>now</span></p>`)
	return template.HTML(m.b)
}

// roomForColumn is about how many bytes a column takes.
const roomForColumn = 160

func sayCount(v float64) string { return count(uint64(v)) }

// over makes a chart of what points have.
func over(points []api.StatsPoint, what string, parts ...series) *chart {
	c := &chart{say: sayCount, parts: parts}
	sum := uint64(0)
	for i := range points {
		c.times = append(c.times, points[i].Time)
	}
	var rest []string
	for i, s := range parts {
		n := uint64(0)
		for _, v := range s.values {
			n += uint64(v)
		}
		if i == 0 && s.Name == "" {
			sum = n
		} else if n > 0 {
			rest = append(rest, count(n)+" "+s.Name)
		}
	}
	c.label = strings.Join(append([]string{plural(sum, what)}, rest...), ", ")
	if parts == nil || parts[0].Name != "" {
		c.label = what + ": " + strings.Join(rest, ", ")
	}
	return c
}

func values(points []api.StatsPoint, of func(*api.StatsPoint) uint64) []float64 {
	all := make([]float64, len(points))
	for i := range points {
		all[i] = float64(of(&points[i]))
	}
	return all
}

// eventBars draws the events that came.
func eventBars(points []api.StatsPoint) template.HTML {
	return over(points, "event", series{"", "bar", values(points, func(p *api.StatsPoint) uint64 { return p.Events })}).columns()
}

// deliveryBars draws what failed on top of what went well.
func deliveryBars(points []api.StatsPoint) template.HTML {
	return over(points, "delivery", series{"", "bar", values(points, func(p *api.StatsPoint) uint64 { return p.Delivered })},
		series{"failed", "fail", values(points, func(p *api.StatsPoint) uint64 { return p.Failed })}).columns()
}

// shades is how many reasons have a shade of their own; the rest share the last.
const shades = 5

// failureBars draws failed attempts by reason, the most frequent at the bottom.
func failureBars(points []api.StatsPoint, reasons []failure) template.HTML {
	var parts []series
	for i, f := range reasons {
		if i >= shades {
			last := &parts[shades-1]
			last.Name = "of other reasons"
			for k := range points {
				last.values[k] += float64(points[k].Failures[f.Reason])
			}
			continue
		}
		parts = append(parts, series{failureWord(f.Reason), shade(i), values(points, func(p *api.StatsPoint) uint64 { return p.Failures[f.Reason] })})
	}
	return over(points, "Failed attempts", parts...).columns()
}

// shade is how the reason of a place in the order is drawn.
func shade(i int) string { return "shade" + strconv.Itoa(min(i+1, shades)) }

// queueBars draws how many waited, and how old the oldest was.
func queueBars(points []api.QueuePoint) (depth, age template.HTML) {
	d := &chart{say: sayCount, parts: []series{{"waiting", "bar", nil}}}
	a := &chart{say: func(s float64) string { return span(time.Duration(s * float64(time.Second))) }, parts: []series{{"", "bar", nil}}}
	most, oldest := 0.0, 0.0
	for _, p := range points {
		d.times, a.times = append(d.times, p.Time), append(a.times, p.Time)
		d.parts[0].values = append(d.parts[0].values, float64(p.Depth))
		a.parts[0].values = append(a.parts[0].values, p.OldestSeconds)
		most, oldest = max(most, float64(p.Depth)), max(oldest, p.OldestSeconds)
	}
	d.label, a.label = "At most "+sayCount(most)+" waited", "Nothing waited"
	if oldest > 0 {
		a.label = "The oldest was at most " + a.say(oldest) + " old"
	}
	return d.columns(), a.columns()
}

// phaseBar draws what an attempt spent its time with, beside the words.
func phaseBar(a api.Attempt) template.HTML {
	const width, height = 140.0, 8.0
	if a.Phases == nil || a.LatencyMS <= 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart phase" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" aria-hidden="true"><rect class="rest" width="%.0f" height="%.0f"/>`, width, height, width, height, width, height)
	x := 0.0
	for i, ms := range []float64{a.Phases.DNS, a.Phases.Connect, a.Phases.TLS, a.Phases.FirstByte} {
		wide := min(ms/a.LatencyMS*width, width-x)
		if wide > 0 {
			fmt.Fprintf(&b, `<rect class="phase%d" x="%.1f" width="%.1f" height="%.0f"/>`, i+1, x, wide, height)
		}
		x += max(0, wide)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// spark is a small chart without words, beside numbers that say more: what went
// well, and on top of it what failed.
func (m *markup) spark(points []api.StatsPoint) {
	const width, height = 96.0, 22.0
	good := func(p *api.StatsPoint) uint64 { return max(p.Delivered, p.Events) }
	var most, failed uint64
	for i := range points {
		most = max(most, good(&points[i])+points[i].Failed)
		failed += points[i].Failed
	}
	if most == 0 {
		return
	}
	step := width / float64(len(points))
	tall := func(n uint64) float64 {
		if n == 0 {
			return 0
		}
		return max(1.5, float64(n)/float64(most)*height) // one is never invisible
	}
	columns := func(column func(*api.StatsPoint) (from, to float64)) {
		for i := range points {
			from, to := column(&points[i])
			if from == to {
				continue
			}
			m.raw(`M`)
			m.decimal(float64(i) * step)
			m.raw(`,`)
			m.decimal(height - from)
			m.raw(`V`)
			m.decimal(height - to)
			m.raw(`h`)
			m.decimal(step * 0.8)
			m.raw(`V`)
			m.decimal(height - from)
		}
	}
	m.raw(`<svg class="spark" viewBox="0 0 96 22" width="96" height="22" aria-hidden="true"><path d="`)
	columns(func(p *api.StatsPoint) (from, to float64) { return 0, tall(good(p)) })
	if failed > 0 {
		m.raw(`"/><path class="fail" d="`)
		columns(func(p *api.StatsPoint) (from, to float64) {
			from = tall(good(p))
			return from, from + tall(p.Failed)
		})
	}
	m.raw(`"/></svg>`)
}

// decimal adds a place in a picture, as exact as can be seen.
func (m *markup) decimal(f float64) {
	tenths := int64(math.Round(max(0, f) * 10))
	m.b = strconv.AppendInt(m.b, tenths/10, 10)
	if d := tenths % 10; d != 0 {
		m.b = append(m.b, '.', byte('0'+d))
	}
}
