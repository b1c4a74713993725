package config

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/mattn/go-isatty"
	"github.com/mitchellh/go-wordwrap"
)

// Report is what was found in a configuration.
type Report struct {
	// Diagnostics are in the order of files and lines.
	Diagnostics hcl.Diagnostics
	// Files are the files that were read, by the names that diagnostics use.
	// Secrets in their bytes are masked.
	Files map[string]*hcl.File
	// Inputs are all the files that were read, or should have been.
	Inputs Inputs
}

// Error is a configuration that can't be used, as an error.
type Error struct{ Report *Report }

// Error gives the first mistake with its place, and how many there are.
func (e *Error) Error() string {
	var first *hcl.Diagnostic
	n := 0
	for _, d := range e.Report.Diagnostics {
		if d.Severity == hcl.DiagError {
			if first == nil {
				first = d
			}
			n++
		}
	}
	if first == nil {
		return "configuration"
	}
	s := first.Summary
	if first.Detail != "" {
		s += ": " + first.Detail
	}
	if first.Subject != nil {
		s = place(*first.Subject) + ": " + s
	}
	if n > 1 {
		s += fmt.Sprintf(" (and %d more)", n-1)
	}
	return s
}

func (r *Report) add(d *hcl.Diagnostic) {
	// Two readers of one part may say the same.
	for _, have := range r.Diagnostics {
		if have.Summary == d.Summary && have.Detail == d.Detail && samePlace(have.Subject, d.Subject) {
			return
		}
	}
	d.Expression, d.EvalContext, d.Extra = nil, nil, nil // they hold values
	r.Diagnostics = append(r.Diagnostics, d)
}

func samePlace(a, b *hcl.Range) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func (r *Report) finish() *Report {
	sort.SliceStable(r.Diagnostics, func(i, j int) bool {
		a, b := r.Diagnostics[i].Subject, r.Diagnostics[j].Subject
		switch {
		case a == nil || b == nil:
			return a == nil && b != nil
		case a.Filename != b.Filename:
			return a.Filename < b.Filename
		}
		return a.Start.Byte < b.Start.Byte
	})
	return r
}

// HasErrors reports whether the configuration can't be used.
func (r *Report) HasErrors() bool { return r.Diagnostics.HasErrors() }

// Err returns the report as an [*Error], nil where it has none.
func (r *Report) Err() error {
	if !r.HasErrors() {
		return nil
	}
	return &Error{Report: r}
}

// Count returns how many errors and warnings there are.
func (r *Report) Count() (errors, warnings int) {
	for _, d := range r.Diagnostics {
		if d.Severity == hcl.DiagError {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// textWidth is where Write wraps the details of diagnostics.
const textWidth = 100

// Write is [Report.WriteText] at the usual width, in colour where w is a
// terminal and NO_COLOR is not set.
func (r *Report) Write(w io.Writer) error {
	f, ok := w.(*os.File)
	return r.WriteText(w, textWidth, ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "")
}

// WriteText writes the report for people: each diagnostic with its line and a
// caret under what it is about. Details are wrapped at width columns, 0: not.
func (r *Report) WriteText(w io.Writer, width uint, color bool) error {
	var b strings.Builder
	for _, d := range r.Diagnostics {
		r.text(&b, d, width, color)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) text(b *strings.Builder, d *hcl.Diagnostic, width uint, color bool) {
	word, on, off := "Error", "", ""
	if d.Severity != hcl.DiagError {
		word = "Warning"
	}
	if color {
		on, off = "\x1b[1;31m", "\x1b[0m"
		if d.Severity != hcl.DiagError {
			on = "\x1b[1;33m"
		}
	}
	fmt.Fprintf(b, "%s%s%s: %s\n\n", on, word, off, d.Summary)
	if d.Subject != nil {
		at := *d.Subject
		fmt.Fprintf(b, "  on %s line %d", at.Filename, at.Start.Line)
		if s := r.context(at); s != "" {
			fmt.Fprintf(b, ", in %s", s)
		}
		b.WriteString(":\n")
		if line, from, to, ok := r.line(at); ok {
			fmt.Fprintf(b, "%4d: %s\n", at.Start.Line, line)
			// Tabs stay tabs, so that the caret stands below its text.
			pad := strings.Map(func(c rune) rune {
				if c == '\t' {
					return c
				}
				return ' '
			}, line[:from])
			n := max(1, utf8.RuneCountInString(line[from:to]))
			fmt.Fprintf(b, "      %s%s%s%s\n", pad, on, strings.Repeat("^", n), off)
		}
		b.WriteString("\n")
	}
	if d.Detail != "" {
		detail := d.Detail
		if width > 0 {
			detail = wordwrap.WrapString(detail, width)
		}
		fmt.Fprintf(b, "%s\n\n", detail)
	}
}

func (r *Report) context(at hcl.Range) string {
	f := r.Files[at.Filename]
	if f == nil {
		return ""
	}
	if n, ok := f.Nav.(interface{ ContextString(int) string }); ok && n != nil {
		return n.ContextString(at.Start.Byte)
	}
	return ""
}

// line returns the first line of a range and the part of it that is meant.
func (r *Report) line(at hcl.Range) (line string, from, to int, ok bool) {
	f := r.Files[at.Filename]
	if f == nil || at.Start.Byte > len(f.Bytes) {
		return "", 0, 0, false
	}
	start := strings.LastIndexByte(string(f.Bytes[:at.Start.Byte]), '\n') + 1
	line, _, _ = strings.Cut(string(f.Bytes[start:]), "\n")
	line = strings.ToValidUTF8(strings.TrimRight(line, "\r"), "?")
	from = min(at.Start.Byte-start, len(line))
	to = max(from, min(at.End.Byte-start, len(line)))
	return line, from, to, true
}

type jsonReport struct {
	FormatVersion string           `json:"format_version"`
	Valid         bool             `json:"valid"`
	ErrorCount    int              `json:"error_count"`
	WarningCount  int              `json:"warning_count"`
	Diagnostics   []jsonDiagnostic `json:"diagnostics"`
}

type jsonDiagnostic struct {
	Severity string       `json:"severity"`
	Summary  string       `json:"summary"`
	Detail   string       `json:"detail"`
	Range    *jsonRange   `json:"range,omitempty"`
	Snippet  *jsonSnippet `json:"snippet,omitempty"`
}

type jsonRange struct {
	Filename string       `json:"filename"`
	Start    jsonPosition `json:"start"`
	End      jsonPosition `json:"end"`
}

type jsonPosition struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

type jsonSnippet struct {
	Context              *string  `json:"context"`
	Code                 string   `json:"code"`
	StartLine            int      `json:"start_line"`
	HighlightStartOffset int      `json:"highlight_start_offset"`
	HighlightEndOffset   int      `json:"highlight_end_offset"`
	Values               []string `json:"values"`
}

// MarshalJSON gives the report in the shape of terraform validate -json, format
// version 1.0. The list of values is always empty: values may be secret.
func (r *Report) MarshalJSON() ([]byte, error) {
	errors, warnings := r.Count()
	out := jsonReport{
		FormatVersion: "1.0", Valid: errors == 0, ErrorCount: errors, WarningCount: warnings,
		Diagnostics: []jsonDiagnostic{},
	}
	for _, d := range r.Diagnostics {
		j := jsonDiagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity != hcl.DiagError {
			j.Severity = "warning"
		}
		if d.Subject != nil {
			at := *d.Subject
			j.Range = &jsonRange{Filename: at.Filename, Start: position(at.Start), End: position(at.End)}
			if line, from, to, ok := r.line(at); ok {
				if from == to && to < len(line) {
					to++ // an empty place is shown as one character
				}
				j.Snippet = &jsonSnippet{
					Code: line, StartLine: at.Start.Line,
					HighlightStartOffset: from, HighlightEndOffset: to, Values: []string{},
				}
				if s := r.context(at); s != "" {
					j.Snippet.Context = &s
				}
			}
		}
		out.Diagnostics = append(out.Diagnostics, j)
	}
	return json.Marshal(out)
}

func position(p hcl.Pos) jsonPosition {
	return jsonPosition{Line: p.Line, Column: p.Column, Byte: p.Byte}
}
