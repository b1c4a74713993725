package sdk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ErrExists is a scaffold that would overwrite a file.
var ErrExists = errors.New("file exists already")

// pluginName is that of a plugin block, and so of a plugin.
var pluginName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// NewGo writes a plugin in Go, ready to build, and the SDK beside it to dir,
// which is made if it is missing. The name is that of a plugin block. Nothing is
// overwritten: a file that is there already is [ErrExists], and then nothing is
// written.
func NewGo(dir, name string) error {
	if !pluginName.MatchString(name) {
		return fmt.Errorf("%q can't be a plugin's name: use a-z, 0-9, _ and -, and begin with a letter", name)
	}
	fill := strings.NewReplacer("NAME", name, "IMPORT", GoImportPath, "VERSION", GoVersion)
	for _, f := range goScaffold {
		path := filepath.Join(dir, f.name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%w: %s", ErrExists, path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("folder of the plugin: %w", err)
		}
	}
	if err := WriteGo(filepath.Join(dir, "sdk")); err != nil {
		return err
	}
	for _, f := range goScaffold {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(fill.Replace(f.text)), 0o644); err != nil {
			return fmt.Errorf("writing the plugin: %w", err)
		}
	}
	return nil
}

var goScaffold = []struct{ name, text string }{
	{"main.go", `package main

import weir "IMPORT"

func main() {}

// transform changes the event on its way to the destinations. Return weir.Drop
// to send nothing, or an error to have it kept as a dead letter.
//
//go:wasmexport weir_transform
func transform() int32 {
	return weir.Transform(func(m *weir.Message) error {
		m.Remove("password")
		return m.Set("plugin", "NAME")
	})
}
`},
	{"go.mod", `module weir.local/NAME

go VERSION

require IMPORT v0.0.0

replace IMPORT => ./sdk
`},
	{".gitignore", "*.wasm\n"},
	{"README.md", `# NAME

A plugin for Weir. Build it (Go VERSION or later, no network needed):

    weir plugin build

Use it in router.hcl:

    plugin "NAME" {
      wasm = "NAME.wasm"
    }

and put plugin.NAME into the through list of a route. What the SDK can do is in
sdk/README.md.
`},
}
