package dashboard

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/weirhq/weir/router/api"
)

// bars draws counts over time as columns, what failed on top of what went well, as
// SVG (https://www.w3.org/TR/SVG2/). What it draws is said in words for those who
// don't see it.
func bars(points []api.StatsPoint, what string, value func(*api.StatsPoint) (good, bad uint64)) template.HTML {
	const width, height, foot = 600.0, 120.0, 18.0
	if len(points) == 0 {
		return ""
	}
	var most, sumGood, sumBad uint64
	for i := range points {
		good, bad := value(&points[i])
		most = max(most, good+bad)
		sumGood += good
		sumBad += bad
	}
	var b strings.Builder
	label := plural(sumGood, what)
	if sumBad > 0 {
		label += fmt.Sprintf(", %s failed", count(sumBad))
	}
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s"><line class="axis" x1="0" y1="%[4]g" x2="%[1]g" y2="%[4]g"/>`,
		width, height+foot, template.HTMLEscapeString(label), height)
	step := width / float64(len(points))
	for i := range points {
		good, bad := value(&points[i])
		if most == 0 || good+bad == 0 {
			continue
		}
		tall := func(n uint64) float64 {
			if n == 0 {
				return 0
			}
			return max(1.5, float64(n)/float64(most)*(height-14)) // one is never invisible
		}
		x, g, r := float64(i)*step+step*0.1, tall(good), tall(bad)
		title := fmt.Sprintf("%s: %s", points[i].Time.UTC().Format("Jan 2 15:04"), count(good))
		if bad > 0 {
			title += fmt.Sprintf(", %s failed", count(bad))
		}
		fmt.Fprintf(&b, `<g><title>%s</title>`, template.HTMLEscapeString(title))
		if g > 0 {
			fmt.Fprintf(&b, `<rect class="bar" x="%.2f" y="%.2f" width="%.2f" height="%.2f"/>`, x, height-g, step*0.8, g)
		}
		if r > 0 {
			fmt.Fprintf(&b, `<rect class="fail" x="%.2f" y="%.2f" width="%.2f" height="%.2f"/>`, x, height-g-r, step*0.8, r)
		}
		b.WriteString(`</g>`)
	}
	format := "15:04"
	if points[len(points)-1].Time.Sub(points[0].Time) > 12*time.Hour {
		format = "Jan 2 15:04"
	}
	fmt.Fprintf(&b, `<text x="0" y="%[1]g">%[2]s</text><text x="%[3]g" y="%[1]g" text-anchor="end">%[4]s</text><text x="%[3]g" y="11" text-anchor="end">%[5]s</text></svg>`,
		height+14, points[0].Time.UTC().Format(format), width, points[len(points)-1].Time.UTC().Format(format), count(most))
	return template.HTML(b.String())
}

// spark is a small line without words, beside a number that says more.
func spark(points []api.StatsPoint) template.HTML {
	const width, height = 96.0, 22.0
	var most uint64
	for i := range points {
		most = max(most, points[i].Delivered+points[i].Failed, points[i].Events)
	}
	if most == 0 || len(points) < 2 {
		return ""
	}
	var line strings.Builder
	for i := range points {
		n := max(points[i].Delivered, points[i].Events)
		fmt.Fprintf(&line, "%.1f,%.1f ", float64(i)/float64(len(points)-1)*width, height-1-float64(n)/float64(most)*(height-2))
	}
	var marks strings.Builder
	for i := range points {
		if points[i].Failed > 0 {
			fmt.Fprintf(&marks, `<circle class="fail" cx="%.1f" cy="%.1f" r="1.6"/>`, float64(i)/float64(len(points)-1)*width,
				height-1-float64(min(points[i].Failed, most))/float64(most)*(height-2))
		}
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %.0f %.0f" width="96" height="22" aria-hidden="true"><polyline points="%s"/>%s</svg>`,
		width, height, strings.TrimSpace(line.String()), marks.String()))
}
