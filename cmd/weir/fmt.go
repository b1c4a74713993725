package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"github.com/weirhq/weir/router/config"
)

func newFmt(g *globals) *cobra.Command {
	var check, diff bool
	cmd := &cobra.Command{
		Use:   "fmt [--check] [--diff] [PATH...]",
		Short: "Put configuration files into the canonical layout",
		Long: `Rewrites files in the canonical layout: only white space changes. A PATH is a
file, a folder (its *.hcl) or - (standard input to standard output); without one
it is the configuration. With --check or --diff nothing is written, and the exit
code is 2 where a file would change.`,
		Example: `  weir fmt
  weir fmt --check --diff router.hcl
  weir fmt - < router.hcl`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				paths = []string{g.config}
			}
			f := &formatter{check: check, diff: diff, json: g.output == "json", in: cmd.InOrStdin(), out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), files: []laidOut{}}
			for _, p := range paths {
				if err := f.path(p); err != nil {
					return err
				}
			}
			if f.json {
				if err := g.print(f.out, map[string][]laidOut{"files": f.files}, nil); err != nil {
					return err
				}
			}
			switch {
			case f.failed:
				return &exitError{code: 1}
			case f.changed && (check || diff):
				return &exitError{code: 2}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; name the files that would change and exit with 2")
	cmd.Flags().BoolVar(&diff, "diff", false, "write nothing; print what would change and exit with 2")
	return cmd
}

// laidOut is what is said of a file with -o json.
type laidOut struct {
	File    string `json:"file"`
	Changed bool   `json:"changed"`
	// Diff is there with --diff, Text is the layout of standard input.
	Diff string `json:"diff,omitempty"`
	Text string `json:"text,omitempty"`
	// Report says why it can't be read, in the shape of validate.
	Report *config.Report `json:"report,omitempty"`
}

type formatter struct {
	check, diff     bool
	json            bool // files are told at the end, not one by one
	files           []laidOut
	changed, failed bool
	in              io.Reader
	out, errs       io.Writer
}

func (f *formatter) path(p string) error {
	if p == "-" {
		src, err := io.ReadAll(f.in)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		return f.source("<standard input>", src, "")
	}
	info, err := os.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s", p)
	}
	if err != nil {
		return err
	}
	files := []string{p}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(escapeGlob(p), "*.hcl")); err != nil {
			return err
		}
		sort.Strings(files)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := f.source(name, src, name); err != nil {
			return err
		}
	}
	return nil
}

// escapeGlob makes a folder's name match itself only.
func escapeGlob(p string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(p)
}

// source formats one source. An empty file means that the result goes to
// standard output.
func (f *formatter) source(name string, src []byte, file string) error {
	out, report := config.Layout(name, src)
	if report.HasErrors() {
		f.failed = true
		if f.json {
			f.files = append(f.files, laidOut{File: name, Report: report})
			return nil
		}
		return report.Write(f.errs)
	}
	same := bytes.Equal(src, out)
	f.changed = f.changed || !same
	if f.json {
		return f.note(name, file, src, out)
	}
	switch {
	case f.check || f.diff:
		if same {
			return nil
		}
		if f.check {
			if _, err := fmt.Fprintln(f.out, name); err != nil {
				return err
			}
		}
		if f.diff {
			_, err := io.WriteString(f.out, udiff.Unified(name, name+" (formatted)", string(src), string(out)))
			return err
		}
		return nil
	case file == "":
		_, err := f.out.Write(out)
		return err
	case same:
		return nil
	}
	if err := replaceFile(file, out); err != nil {
		return err
	}
	_, err := fmt.Fprintln(f.out, name)
	return err
}

// note is source where the files are told as JSON.
func (f *formatter) note(name, file string, src, out []byte) error {
	note := laidOut{File: name, Changed: !bytes.Equal(src, out)}
	switch {
	case f.diff:
		note.Diff = udiff.Unified(name, name+" (formatted)", string(src), string(out))
	case f.check:
	case file == "":
		note.Text = string(out)
	case note.Changed:
		if err := replaceFile(file, out); err != nil {
			return err
		}
	}
	f.files = append(f.files, note)
	return nil
}

// replaceFile changes a file at once or not at all, and keeps its mode. A link
// stays a link.
func replaceFile(name string, b []byte) (err error) {
	if name, err = filepath.EvalSymlinks(name); err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(name), ".weir-fmt-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(t.Name()))
		}
	}()
	_, err = t.Write(b)
	if err == nil {
		err = t.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = t.Sync()
	}
	if closed := t.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.Rename(t.Name(), name)
}
