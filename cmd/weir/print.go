package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

func (g *globals) check() error {
	if g.output != "text" && g.output != "json" {
		return &exitError{code: 2, err: fmt.Errorf("-o takes text or json, not %q", g.output)}
	}
	return nil
}

// print writes v as JSON where that was asked for, else what text makes of it.
func (g *globals) print(w io.Writer, v any, text func(t *table)) error {
	if g.output == "json" {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	t := newTable(w)
	text(t)
	t.flush()
	return t.err
}

// table writes aligned columns. Where w is a terminal, those that have a head fit
// its width, and words for states are coloured; anywhere else nothing is left out.
// The first error is kept.
type table struct {
	w io.Writer
	terminal
	rows   [][]string
	headed bool
	err    error
}

func newTable(w io.Writer) *table { return &table{w: w, terminal: terminalOf(w)} }

// head begins a table whose columns have names.
func (t *table) head(cells ...string) {
	t.flush()
	t.row(cells...)
	t.headed = true
}

func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(printable(c), "\t", " ")
	}
	t.rows = append(t.rows, cells)
}

// pair writes a name and its value, and nothing where there is no value.
func (t *table) pair(name, value string) {
	if value != "" {
		t.row(name, value)
	}
}

// flush writes the rows that wait for their widths.
func (t *table) flush() {
	fitting := t.headed && t.width > 0
	widths := t.widths()
	if fitting {
		if widths = t.fit(); widths == nil {
			t.blocks()
			t.rows, t.headed = nil, false
			return
		}
	}
	for n, cells := range t.rows {
		var line strings.Builder
		for i, c := range cells {
			if fitting {
				c = runewidth.Truncate(strings.ReplaceAll(c, "\n", " "), widths[i], "…")
			}
			text := c
			if t.headed {
				text = t.cell(n, t.rows[0][i], c)
			}
			line.WriteString(text)
			if i < len(cells)-1 {
				line.WriteString(strings.Repeat(" ", max(0, widths[i]-runewidth.StringWidth(c))+gap))
			}
		}
		t.write(strings.TrimRight(line.String(), " "))
	}
	t.rows, t.headed = nil, false
}

// cell paints what stands out: the head, and states.
func (t *table) cell(row int, head, text string) string {
	switch {
	case row == 0:
		return t.paint(bold, text)
	case head == "STATUS" || head == "STATE" || head == "REASON":
		return t.paint(toneOf(text), text)
	}
	return text
}

// gap is between two columns.
const gap = 2

func (t *table) widths() []int {
	var widths []int
	for _, cells := range t.rows {
		for i, c := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], runewidth.StringWidth(c))
		}
	}
	return widths
}

// fit makes the columns fit the terminal: long ones are shortened, then times lose
// their fractions, and so on, and then columns go that say nothing. What is copied from
// a table stays whole. It gives nil where that is still too much.
func (t *table) fit() []int {
	all := t.rows
	for range 2 {
		t.rows = make([][]string, len(all))
		for i := range all {
			t.rows[i] = slices.Clone(all[i])
		}
		if widths := t.narrow(); widths != nil {
			return widths
		}
		all = telling(all)
	}
	t.rows = all
	return nil
}

// narrow shortens columns and times step by step, until all fit, or gives nil.
func (t *table) narrow() []int {
	for _, step := range []struct{ narrowest, from, to int }{
		{16, 0, len(clockLayout)}, {16, 0, len("2006-01-02 15:04:05")}, {6, 0, len("2006-01-02 15:04:05")}, {6, len("2006-01-02 "), len("2006-01-02 15:04:05")},
	} {
		t.cutTimes(step.from, step.to)
		widths := t.widths()
		if shorten(widths, t.rows[0], t.width, step.narrowest) {
			return widths
		}
	}
	return nil
}

// telling leaves out the columns that have nothing, or 0, in each row.
func telling(rows [][]string) [][]string {
	var columns []int
	for i := range rows[0] {
		if slices.ContainsFunc(rows[1:], func(cells []string) bool { return cells[i] != "" && cells[i] != "0" }) {
			columns = append(columns, i)
		}
	}
	if len(columns) == 0 {
		return rows
	}
	out := make([][]string, len(rows))
	for n, cells := range rows {
		for _, i := range columns {
			out[n] = append(out[n], cells[i])
		}
	}
	return out
}

// blocks writes each row as lines of a name and a value, for terminals that are too
// narrow for columns.
func (t *table) blocks() {
	head, margin := t.rows[0], 0
	for _, name := range head {
		margin = max(margin, runewidth.StringWidth(name))
	}
	for n, cells := range t.rows[1:] {
		if n > 0 {
			t.write("")
		}
		for i, c := range cells {
			if c == "" {
				continue
			}
			if c = strings.ReplaceAll(c, "\n", " "); !whole(head[i]) {
				c = runewidth.Truncate(c, max(1, t.width-margin-gap), "…")
			}
			t.write(t.paint(bold, head[i]) + strings.Repeat(" ", margin-runewidth.StringWidth(head[i])+gap) + t.cell(n+1, head[i], c))
		}
	}
}

// whole says of a column that it is not shortened: what people copy.
func whole(head string) bool {
	return slices.Contains([]string{"ID", "NAME", "RECEIVED", "CREATED"}, head)
}

// cutTimes leaves a part of each time, which may have lost its end before.
func (t *table) cutTimes(from, to int) {
	for i, name := range t.rows[0] {
		for _, cells := range t.rows[1:] {
			if (name == "RECEIVED" || name == "CREATED") && len(cells[i]) >= len("2006-01-02 15:04:05") {
				cells[i] = cells[i][from:min(to, len(cells[i]))]
			}
		}
	}
}

// shorten makes the widest columns shorter until all fit a width, and says whether
// they do.
func shorten(widths []int, head []string, width, narrowest int) bool {
	for {
		sum, widest := gap*(len(widths)-1), -1
		for i, w := range widths {
			sum += w
			if !(i < len(head) && whole(head[i])) && w > narrowest && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if sum <= width || widest < 0 {
			return sum <= width
		}
		widths[widest]--
	}
}

// line writes text of its own width. A mark that it begins with is coloured.
func (t *table) line(s string) {
	t.flush()
	s = printable(s)
	margin := len(s) - len(strings.TrimLeft(s, " "))
	if mark, rest, ok := strings.Cut(s[margin:], " "); ok && (mark == "✓" || mark == "✗") {
		s = s[:margin] + t.paint(toneOf(mark), mark) + " " + rest
	}
	t.write(s)
}

func (t *table) write(s string) {
	_, err := fmt.Fprintln(t.w, s)
	if t.err == nil {
		t.err = err
	}
}

// printable keeps what strangers sent from driving the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return '�' // it turns what follows round
		}
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return '�'
	}, s)
}

// clock is a time as tables show it.
func clock(t time.Time) string { return t.UTC().Format(clockLayout) }

const clockLayout = "2006-01-02 15:04:05.000Z"
