package main

import (
	"encoding/json"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Line is one line of the table.
type Line struct {
	Row  string `json:"row"`
	What string `json:"what"`
	// Unit is that of Figure and Reference.
	Unit   string  `json:"unit"`
	Figure float64 `json:"figure"`
	// Against names the reference, empty where there is none.
	Against   string  `json:"against,omitempty"`
	Reference float64 `json:"reference,omitempty"`
	// Ratio is Figure to Reference, 0 where it has no meaning.
	Ratio float64 `json:"ratio,omitempty"`
	// Target says what is to be reached, empty for lines that only inform.
	Target string `json:"target,omitempty"`
	// Limit is the target as a ratio, or as a figure where there is no ratio.
	Limit   float64 `json:"limit,omitempty"`
	Reached bool    `json:"reached"`
}

// only makes a line without a target.
func only(what, unit string, figure float64, against string, reference float64) Line {
	return Line{What: what, Unit: unit, Figure: figure, Against: against, Reference: reference, Ratio: ratio(figure, reference)}
}

// atLeast makes a line whose ratio must not be less than limit.
func atLeast(what, unit string, figure float64, against string, reference, limit float64) Line {
	l := only(what, unit, figure, against, reference)
	l.Target, l.Limit, l.Reached = fmt.Sprintf("≥ %.2f ×", limit), limit, l.Ratio >= limit
	return l
}

// atMost makes a line whose ratio must not be more than limit. A ratio to
// nothing has no meaning and is not reached, unless the figure is nothing too.
func atMost(what, unit string, figure float64, against string, reference, limit float64) Line {
	l := only(what, unit, figure, against, reference)
	l.Target, l.Limit = fmt.Sprintf("≤ %.2f ×", limit), limit
	l.Reached = figure <= limit*max(reference, 0)
	return l
}

// under makes a line whose figure must not be more than limit.
func under(what, unit string, figure, limit float64) Line {
	return Line{What: what, Unit: unit, Figure: figure, Target: fmt.Sprintf("≤ %g %s", limit, unit), Limit: limit, Reached: figure <= limit}
}

// within gives a line a target for its figure.
func (l Line) within(limit float64, target string) Line {
	l.Target, l.Limit, l.Reached = target, ratio(limit, l.Reference), l.Figure <= limit
	return l
}

// ratio is 0 where it has no meaning.
func ratio(figure, reference float64) float64 {
	if reference <= 0 {
		return 0
	}
	return figure / reference
}

// median is the middle value, or the mean of the two in the middle; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// quantile is the smallest value that at least a part q of all does not exceed;
// 0 of none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return s[min(max(int(math.Ceil(q*float64(len(s))))-1, 0), len(s)-1)]
}

// Report is what a run found.
type Report struct {
	Machine     string    `json:"machine"`
	Started     time.Time `json:"started"`
	Turn        string    `json:"turn"`
	Rounds      int       `json:"rounds"`
	Lines       []Line    `json:"lines"`
	NotMeasured []string  `json:"not_measured"`
}

// Table is the report for people, in Markdown that also reads well as it is.
func (r *Report) Table() string {
	cells := [][]string{{"row", "what", "Weir", "reference", "ratio", "target", ""}}
	for _, l := range r.Lines {
		reference, of, mark := "", "", ""
		if l.Against != "" {
			reference = l.Against + ": " + number(l.Reference)
		}
		if l.Ratio != 0 {
			of = fmt.Sprintf("%.2f", l.Ratio)
		}
		if l.Target != "" {
			mark = "not reached"
			if l.Reached {
				mark = "reached"
			}
		}
		cells = append(cells, []string{l.Row, l.What, number(l.Figure) + " " + l.Unit, reference, of, l.Target, mark})
	}
	width := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, text := range line {
			width[i] = max(width[i], utf8.RuneCountInString(text))
		}
	}
	var w strings.Builder
	for n, line := range cells {
		for i, text := range line {
			fmt.Fprintf(&w, "| %s%s ", text, strings.Repeat(" ", width[i]-utf8.RuneCountInString(text)))
		}
		w.WriteString("|\n")
		if n == 0 {
			for _, n := range width {
				w.WriteString("| " + strings.Repeat("-", max(n, 3)) + strings.Repeat(" ", max(0, n-max(n, 3))) + " ")
			}
			w.WriteString("|\n")
		}
	}
	return w.String()
}

// number has about three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// plotted is how many times the target a bar shows at most.
const plotted = 3

// Plot draws the ratios that have a target, each as a part of its target, since
// their targets are far apart.
func (r *Report) Plot() string {
	var lines []Line
	for _, l := range r.Lines {
		if l.Target != "" && l.Ratio > 0 && l.Limit > 0 {
			lines = append(lines, l)
		}
	}
	const left, wide, high = 330, 360, 26
	x := func(v float64) float64 { return left + min(v, plotted)/plotted*wide }
	var w strings.Builder
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n",
		left+wide+170, high*(len(lines)+2))
	fmt.Fprintf(&w, `<rect width="100%%" height="100%%" fill="white"/><text x="8" y="18">Ratio to the reference; the tick is the target; bars end at %d times it</text>`+"\n", plotted)
	for i, l := range lines {
		y := high * (i + 1)
		fill := "#c0504d"
		if l.Reached {
			fill = "#4f9d69"
		}
		end := x(l.Ratio / l.Limit)
		fmt.Fprintf(&w, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+18, html.EscapeString(l.What+" / "+l.Against))
		fmt.Fprintf(&w, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, left, y+5, end-left, high-10, fill)
		fmt.Fprintf(&w, `<path d="M%.1f %dv%d" stroke="black" stroke-width="2"/>`, x(1), y+2, high-4)
		fmt.Fprintf(&w, `<text x="%.1f" y="%d">%.2f (%s)</text>`+"\n", max(end, x(1))+6, y+18, l.Ratio, html.EscapeString(l.Target))
	}
	w.WriteString("</svg>\n")
	return w.String()
}

// Write writes bench.json and bench.svg into the folder dir.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.json"), append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bench.svg"), []byte(r.Plot()), 0o644)
}
