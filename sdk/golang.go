package sdk

import (
	"context"
	"embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// GoImportPath is the import path of the Go SDK, here and where it is written.
const GoImportPath = "github.com/weirhq/weir/sdk/go"

// GoVersion is the oldest version of Go that can build a plugin.
const GoVersion = "1.24"

//go:embed go/*.go go/typed go/README.md
var goFiles embed.FS

var golang = Language{
	Name:     "go",
	Title:    "Go",
	detect:   detectGo,
	scaffold: scaffoldGo,
	build:    buildGo,
	command:  commandGo,
}

// detectGo finds a file that is no test: plugins of other languages may be
// tested in Go.
func detectGo(dir string) bool {
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return false
	}
	for _, s := range sources {
		if !strings.HasSuffix(s, "_test.go") {
			return true
		}
	}
	return false
}

// scaffoldGo writes the SDK as a module of its own: it is none in this
// repository, since go:embed can't reach into another module.
func scaffoldGo(dir, name string) error {
	fill := strings.NewReplacer("NAME", name, "IMPORT", GoImportPath, "VERSION", GoVersion)
	files := []file{{"sdk/go.mod", "module " + GoImportPath + "\n\ngo " + GoVersion + "\n"}}
	files, err := appendSDK(files, goFiles, "go")
	if err != nil {
		return err
	}
	for _, f := range goScaffold {
		files = append(files, file{f.name, fill.Replace(f.text)})
	}
	return writeNew(dir, append(files, goldenCase(name)))
}

func buildGo(ctx context.Context, dir, out string, _ io.Writer) error {
	return goBuild(ctx, dir, out, "-buildmode=c-shared")
}

func commandGo(ctx context.Context, dir, out string, _ io.Writer) error {
	return goBuild(ctx, dir, out, "-buildmode=exe")
}

func goBuild(ctx context.Context, dir, out, mode string) error {
	tool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("the Go toolchain is needed and not in PATH: install Go %s or later from https://go.dev/dl or your system's packages (Debian: apt install golang-go)", GoVersion)
	}
	// -trimpath and no VCS stamp: the same source gives the same module, and
	// its hash names the build.
	build := exec.CommandContext(ctx, tool, "build", mode, "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, ".")
	build.Dir = dir
	// A workspace or flags of the user's would change what is built, and
	// another toolchain would be downloaded. GOPROXY stays: a plugin of the
	// scaffold fetches nothing, and one with modules of its own may have to.
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0")
	if err := run(build, "go build"); err != nil {
		return err
	}
	return stamp(out, "Go", [2]string{"go", strings.TrimPrefix(versionOf(ctx, tool, "env", "GOVERSION"), "go")})
}

var goScaffold = []file{
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
	{"README.md", scaffoldReadme("Go VERSION or later, no network needed")},
}
