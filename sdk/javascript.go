package sdk

import (
	"context"
	"embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

//go:embed js/weir.d.ts js/README.md
var javascriptFiles embed.FS

var javascript = Language{
	Name:     "js",
	Title:    "JavaScript",
	detect:   func(dir string) bool { return scriptFile(dir) != "" },
	scaffold: scaffoldJavaScript,
	build:    buildJavaScript,
}

func scaffoldJavaScript(dir, name string) error {
	files, err := appendSDK(nil, javascriptFiles, "js")
	if err != nil {
		return err
	}
	for _, f := range javascriptScaffold {
		files = append(files, file{f.name, strings.ReplaceAll(f.text, "NAME", name)})
	}
	return writeNew(dir, append(files, goldenCase(name)))
}

// buildJavaScript bundles the script and puts it into the engine. Both are done
// by this program: Node is needed for the engine only, the first time.
func buildJavaScript(ctx context.Context, dir, out string, progress io.Writer) error {
	name := scriptFile(dir)
	b, err := bundleScript(dir, name, progress)
	if err != nil {
		return err
	}
	engine, err := loadEngine(ctx, progress)
	if err != nil {
		return err
	}
	wasm, err := pack(engine, b, name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, wasm, 0o644); err != nil {
		return fmt.Errorf("writing the plugin: %w", err)
	}
	return nil
}

// pack puts a script into the engine and takes away the exports that the script
// does not answer.
func pack(engine []byte, b *bundle, name string) ([]byte, error) {
	sections, err := readSections(engine)
	if err != nil {
		return nil, err
	}
	if err := replaceSegment(sections, scriptMarker, b.segment()); err != nil {
		return nil, err
	}
	err = editItems(sections, sectionExport, func(items []wasmItem) []wasmItem {
		return slices.DeleteFunc(items, func(item wasmItem) bool {
			handler, ok := strings.CutPrefix(item.name, "weir_")
			return ok && (handler == "filter" || handler == "transform") && !slices.Contains(b.exports, handler)
		})
	})
	if err != nil {
		return nil, err
	}
	language := "JavaScript"
	if strings.HasSuffix(name, "ts") {
		language = "TypeScript"
	}
	made := producersSection([]producerField{
		{"language", [][2]string{{language, ""}}},
		{"processed-by", [][2]string{{"weir sdk/js", ""}, {"quickjs-wasmfile-release-sync", engineVersion}, {"esbuild", esbuildVersion}}},
	})
	return writeSections(append(sections, made)), nil
}

var javascriptScaffold = []file{
	{"plugin.js", `// Changes events on their way to the destinations. Return false to send nothing;
// an exception has the event kept as a dead letter.

/** @param {import("weir").Event} event */
export function transform(event) {
  event.remove("password");
  event.set("plugin", "NAME");
}
`},
	{"package.json", `{
  "name": "NAME",
  "private": true,
  "type": "module"
}
`},
	{"tsconfig.json", `{
  "compilerOptions": {
    "target": "es2023",
    "lib": ["es2023"],
    "types": [],
    "module": "esnext",
    "moduleResolution": "bundler",
    "allowJs": true,
    "checkJs": true,
    "strict": true,
    "noEmit": true
  },
  "include": ["*.js", "*.ts", "sdk/weir.d.ts"]
}
`},
	{".gitignore", "*.wasm\nnode_modules/\n"},
	{"README.md", strings.Replace(scaffoldReadme("Node and npm for the first one, then no network needed"), "What the SDK can do", `For TypeScript rename plugin.js to plugin.ts: nothing else has to change. Packages
that npm has put into node_modules can be imported. What the SDK can do`, 1)},
}
