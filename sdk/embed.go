// Package sdk carries the guest SDKs, so that the weir command can write them
// beside a new plugin without a network. The Go SDK is no module of its own in
// this repository, since go:embed can't reach into another module: it becomes
// one where it is written, under the same import path.
package sdk

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// GoImportPath is the import path of the Go SDK, here and where it is written.
const GoImportPath = "github.com/weirhq/weir/sdk/go"

// GoVersion is the oldest version of Go that can build a plugin.
const GoVersion = "1.24"

//go:embed go/*.go go/README.md
var goFiles embed.FS

// WriteGo writes the Go SDK to dir, which is made if it is missing, as a module
// of its own. Files of the same names are replaced; tests are left out.
func WriteGo(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of the SDK: %w", err)
	}
	entries, err := goFiles.ReadDir("go")
	if err != nil {
		return fmt.Errorf("embedded SDK: %w", err)
	}
	files := map[string][]byte{"go.mod": []byte("module " + GoImportPath + "\n\ngo " + GoVersion + "\n")}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		if files[e.Name()], err = fs.ReadFile(goFiles, "go/"+e.Name()); err != nil {
			return fmt.Errorf("embedded SDK: %w", err)
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("writing the SDK: %w", err)
		}
	}
	return nil
}
