package weir

import (
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tinyPackages are those of the standard library that the SDK may use: TinyGo's list
// (tinygo.org/docs/reference/lang-support/stdlib) says of each that it is imported
// and that its tests pass.
var tinyPackages = []string{"errors", "strconv", "unicode/utf16", "unicode/utf8", "unsafe"}

// directive is a word to the compiler; of those, TinyGo knows wasmimport and
// wasmexport (since 0.34).
var directive = regexp.MustCompile(`(?m)^//(go:\w+|export|line)\b`)

// What TinyGo compiles of the SDK needs nothing that TinyGo lacks: no other package,
// no other directive, no goroutine, no cgo.
func TestNothingThatTinyGoLacks(t *testing.T) {
	context := build.Default
	context.GOOS, context.GOARCH, context.BuildTags, context.CgoEnabled = "wasip1", "wasm", []string{"tinygo"}, false
	p, err := context.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range p.Imports {
		if !slices.Contains(tinyPackages, path) {
			t.Errorf("%s imports %q", p.ImportPos[path], path)
		}
	}
	if !slices.Contains(p.GoFiles, "rest_tinygo.go") || slices.Contains(p.GoFiles, "rest.go") || len(p.CgoFiles)+len(p.SFiles) > 0 {
		t.Errorf("TinyGo is given %q, %q, %q", p.GoFiles, p.CgoFiles, p.SFiles)
	}
	for _, name := range p.GoFiles {
		text, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range directive.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains([]string{"go:build", "go:wasmimport", "go:wasmexport"}, found[1]) {
				t.Errorf("%s: the directive %s", name, found[1])
			}
		}
		if strings.Contains(string(text), "go func") {
			t.Errorf("%s starts a goroutine", name)
		}
	}
}
