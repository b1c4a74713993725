package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Language is one that plugins are written in.
type Language struct {
	// Name is what --lang takes: go, js, as, rust or c.
	Name string
	// Title is for people, such as "AssemblyScript".
	Title string

	// detect reports whether a folder holds a plugin of this language.
	detect func(dir string) bool
	// scaffold writes a plugin called name, ready to build, and the SDK beside
	// it. It overwrites nothing: see writeNew.
	scaffold func(dir, name string) error
	// build compiles the plugin in dir to the file out, whose folder exists.
	// The same source must give the same bytes, wherever it lies: the hash of
	// the module names the build. It says on progress what takes long.
	build func(ctx context.Context, dir, out string, progress io.Writer) error
	// command compiles a program with a main function, for abi = "stdio", in the
	// same way. nil where the language needs tools of its own for that.
	command func(ctx context.Context, dir, out string, progress io.Writer) error
}

// languages are in the order in which people are told of them.
var languages = []Language{golang, javascript, assemblyScript, rust, c}

// Languages returns the languages that plugins can be written in.
func Languages() []Language { return append([]Language(nil), languages...) }

// ErrExists is a scaffold that would overwrite a file.
var ErrExists = errors.New("file exists already")

// pluginName is that of a plugin block, and so of a plugin.
var pluginName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// New writes a plugin in a language, ready to build, and the SDK beside it to
// dir, which is made if it is missing. lang is the Name of one of [Languages],
// name that of a plugin block. Nothing is overwritten: a file that is there
// already is [ErrExists], and then nothing is written.
func New(lang, dir, name string) error {
	if !pluginName.MatchString(name) {
		return fmt.Errorf("%q can't be a plugin's name: use a-z, 0-9, _ and -, and begin with a letter", name)
	}
	for _, l := range languages {
		if l.Name == lang {
			return l.scaffold(dir, name)
		}
	}
	return fmt.Errorf("unknown language %q: use one of %s", lang, names(languages))
}

// Build compiles the plugin in dir to the WebAssembly module out, in the
// language that the files of dir are in. The same source gives the same bytes.
// It writes to progress what takes long, and nothing where all is quick. Where a
// toolchain is missing, the error says how to get it.
func Build(ctx context.Context, dir, out string, progress io.Writer) error {
	l, err := LanguageOf(dir)
	if err != nil {
		return err
	}
	return compile(l.build, ctx, dir, out, progress)
}

// BuildCommand is [Build] for a plugin with abi = "stdio": the program in dir, which
// has a main function and needs no SDK, becomes a WASI command.
func BuildCommand(ctx context.Context, dir, out string, progress io.Writer) error {
	l, err := LanguageOf(dir)
	if err != nil {
		return err
	}
	if l.command == nil {
		var able []Language
		for _, l := range languages {
			if l.command != nil {
				able = append(able, l)
			}
		}
		return fmt.Errorf("weir builds commands in %s, and %s holds one in %s: build it with tools of your own for the target wasm32-wasi, and the router takes it", names(able), dir, l.Title)
	}
	return compile(l.command, ctx, dir, out, progress)
}

// LanguageOf returns the language that the files of a folder are in.
func LanguageOf(dir string) (*Language, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	var found []Language
	for _, l := range languages {
		if l.detect(dir) {
			found = append(found, l)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("there is no plugin in %s: no source file of %s (make one with: weir plugin new NAME)", dir, names(languages))
	case 1:
		return &found[0], nil
	default:
		return nil, fmt.Errorf("%s holds sources of %s: a plugin has one language, so give each a folder of its own", dir, names(found))
	}
}

// compile runs a compiler with paths that hold wherever it runs.
func compile(with func(context.Context, string, string, io.Writer) error, ctx context.Context, dir, out string, progress io.Writer) error {
	full, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	target, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return with(ctx, full, target, progress)
}

func names(list []Language) string {
	var all []string
	for _, l := range list {
		all = append(all, l.Name)
	}
	return strings.Join(all, ", ")
}
