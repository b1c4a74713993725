package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
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
	t := &table{w: w, tab: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	text(t)
	return errors.Join(t.err, t.tab.Flush())
}

// table writes aligned columns. The first error is kept.
type table struct {
	w   io.Writer
	tab *tabwriter.Writer
	err error
}

func (t *table) head(cells ...string) { t.row(cells...) }

func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	_, err := fmt.Fprintln(t.tab, strings.Join(cells, "\t"))
	t.keep(err)
}

// pair writes a name and its value, and nothing where there is no value.
func (t *table) pair(name, value string) {
	if value != "" {
		t.row(name, value)
	}
}

func (t *table) flush() { t.keep(t.tab.Flush()) }

// line writes text of its own width.
func (t *table) line(s string) {
	t.flush()
	_, err := fmt.Fprintln(t.w, printable(s))
	t.keep(err)
}

func (t *table) keep(err error) {
	if t.err == nil {
		t.err = err
	}
}

// printable keeps what strangers sent from driving the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return '�'
	}, s)
}

// clock is a time as tables show it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000Z") }
