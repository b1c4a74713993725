package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a document.
type block struct {
	file string
	line int
	info string
	text string
}

// documents are those whose commands and configurations are run.
func documents(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", "../..", "ls-files", "--cached", "--others", "--exclude-standard", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(out))
	if len(files) < 5 {
		t.Fatalf("only %v", files)
	}
	return files
}

func blocks(t *testing.T, file string) []block {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var current *block
	for i, line := range strings.Split(string(b), "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && current == nil:
			current = &block{file: file, line: i + 1, info: strings.TrimPrefix(strings.TrimSpace(line), "```")}
		case fence:
			all = append(all, *current)
			current = nil
		case current != nil:
			current.text += line + "\n"
		}
	}
	if current != nil {
		t.Fatalf("%s:%d: the block has no end", file, current.line)
	}
	return all
}

var (
	envCall  = regexp.MustCompile(`env\("([A-Z_]+)"\)`)
	wasmPath = regexp.MustCompile(`(?:wasm|shadow)\s*=\s*"([^"]+)"`)
)

// emptyCommand is a WASI command that does nothing, for abi = "stdio".
const emptyCommand = "\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x05\x03\x01\x00\x01" +
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" + "\x0a\x04\x01\x02\x00\x0b"

// sandbox is a folder with what a configuration of the docs needs: modules where
// it names some, and the secrets that it asks the environment for.
func sandbox(t *testing.T, hcl, module string) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	for _, m := range wasmPath.FindAllStringSubmatch(hcl, -1) {
		b, err := os.ReadFile(module)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(hcl, m[0]+"\n  abi") {
			b = []byte(emptyCommand)
		}
		writeFile(t, dir, m[1], string(b))
	}
	for _, m := range envCall.FindAllStringSubmatch(hcl, -1) {
		env = append(env, m[1]+"=a-secret-of-the-docs-test-"+m[1])
	}
	if strings.Contains(hcl, `"weir.crt"`) {
		writeCertificate(t, dir, "hooks.example.com")
	}
	writeFile(t, dir, "router.hcl", hcl)
	return dir, env
}

// exampleModule is a plugin that the docs' plugin blocks can name.
func exampleModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{{"plugin", "new", "redact", "--lang", "go"}, {"plugin", "build", "redact"}} {
		if out, errOut, code := weir(t, dir, args...); code != 0 {
			t.Fatalf("weir %v: %s%s", args, out, errOut)
		}
	}
	return filepath.Join(dir, "redact/redact.wasm")
}

// definitions are what fragments may refer to without writing it.
var definitions = map[string]string{
	`source "github"`:       "source \"github\" {\n  verify \"none\" {}\n}\n",
	`plugin "redact"`:       "plugin \"redact\" {\n  wasm = \"redact.wasm\"\n}\n",
	`destination "crm"`:     "destination \"crm\" {\n  url = \"http://127.0.0.1:1/\"\n}\n",
	`destination "archive"`: "destination \"archive\" {\n  url = \"stdout:\"\n}\n",
}

// complete makes a whole configuration of a fragment: lines of conditions become
// routes, and what it refers to is added.
func complete(fragment string) string {
	if strings.HasPrefix(fragment, "when ") {
		var routes strings.Builder
		for i, line := range strings.Split(strings.TrimSpace(fragment), "\n") {
			fmt.Fprintf(&routes, "route \"r%d\" {\n  %s\n  to = [destination.crm]\n}\n", i, line)
		}
		fragment = routes.String()
	}
	for name, text := range definitions {
		if !strings.Contains(fragment, name) {
			fragment += text
		}
	}
	return fragment
}

func TestDocumentedConfigurations(t *testing.T) {
	module := exampleModule(t)
	n := 0
	for _, file := range documents(t) {
		for _, b := range blocks(t, file) {
			if !strings.HasPrefix(b.info, "hcl") {
				continue
			}
			n++
			t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) {
				text := b.text
				if b.info == "hcl fragment" {
					text = complete(text)
				} else if b.info != "hcl" {
					t.Fatalf("a block of %q", b.info)
				}
				dir, env := sandbox(t, text, module)
				cmd := exec.Command(weirBinary, "validate")
				cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				if strings.HasPrefix(b.text, "when ") {
					return // lines of several routes: no file by itself
				}
				if out, errOut, code := weirStdin(t, dir, b.text, "fmt", "--check", "-"); code != 0 {
					t.Errorf("weir fmt would change it\n%s%s", out, errOut)
				}
			})
		}
	}
	if n < 5 {
		t.Errorf("only %d configurations were found", n)
	}
}

// Commands of one document run one after another in one folder, with a router
// running that takes what they send. Each must succeed.
func TestDocumentedCommands(t *testing.T) {
	n := 0
	for _, file := range documents(t) {
		var scripts []block
		for _, b := range blocks(t, file) {
			if b.info == "sh" {
				scripts = append(scripts, b)
			}
		}
		if len(scripts) == 0 {
			continue
		}
		n += len(scripts)
		t.Run(file, func(t *testing.T) {
			r, config := configured(t, "destination \"out\" {\n  url = \"stdout:\"\n}\ndestination \"crm\" {\n  url = \"stdout:\"\n}\nroute \"all\" {\n  to = [destination.out, destination.crm]\n}\n")
			dir := filepath.Dir(config)
			for _, b := range scripts {
				for line := range strings.SplitSeq(strings.TrimSpace(b.text), "\n") {
					runDocumented(t, b, line, dir, r.base)
				}
			}
		})
	}
	if n < 3 {
		t.Errorf("only %d blocks of commands were found", n)
	}
}

var (
	namedCommand = regexp.MustCompile("`weir ([^`]+)`")
	commandWord  = regexp.MustCompile(`^[a-z][a-z-]*$`)
	commandFlag  = regexp.MustCompile(`^--[a-z-]+$`)
)

// Commands that guides for operators name in their text exist, with their flags.
func TestNamedCommands(t *testing.T) {
	helps := map[string]string{}
	for _, file := range []string{"docs/operations.md", "docs/troubleshooting.md"} {
		text, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range namedCommand.FindAllStringSubmatch(string(text), -1) {
			words := strings.Fields(m[1])
			n := 0
			// A word of two commands is one, a third is a name.
			for n < len(words) && n < 2 && commandWord.MatchString(words[n]) {
				n++
			}
			command := strings.Join(words[:n], " ")
			if _, ok := helps[command]; !ok {
				out, errOut, code := weir(t, t.TempDir(), append(strings.Fields(command), "--help")...)
				if code != 0 || !strings.Contains(out, "weir "+command) {
					t.Errorf("%s: `weir %s`: there is no such command: %s", file, m[1], errOut)
				}
				helps[command] = out
			}
			for _, w := range words[n:] {
				if commandFlag.MatchString(w) && !strings.Contains(helps[command], w+" ") {
					t.Errorf("%s: `weir %s`: there is no %s", file, m[1], w)
				}
			}
		}
	}
	if len(helps) < 10 {
		t.Errorf("only %d commands were found", len(helps))
	}
}

func runDocumented(t *testing.T, b block, line, dir, server string) {
	t.Helper()
	switch {
	case strings.HasPrefix(line, "apt-get "):
		// The machine may have them all; .ci/toolchains installs what it has not.
		ci, err := os.ReadFile("../../.ci/toolchains")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(strings.TrimPrefix(line, "apt-get install -y")) {
			if !strings.Contains(string(ci), name) {
				t.Errorf("%s: .ci/toolchains does not install %s", b.file, name)
			}
		}
		return
	case strings.HasPrefix(line, "make "):
		// They run this test, or what it would take minutes to run here.
		if out, err := exec.Command("sh", "-c", "cd ../.. && make -n "+strings.TrimPrefix(line, "make ")).CombinedOutput(); err != nil {
			t.Errorf("%s: %s: %v\n%s", b.file, line, err, out)
		}
		return
	}
	cmd := exec.Command("sh", "-euc", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(weirBinary)+":"+os.Getenv("PATH"), "WEIR_SERVER="+server)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %s: %v\n%s", b.file, b.line, line, err, out)
	}
}

// documentedPlugins are the languages of plugins in documents, by the words behind a block's
// fence, and the file that the block is.
var documentedPlugins = map[string]struct{ lang, file string }{
	"go":                       {"go", "main.go"},
	"js plugin":                {"js", "plugin.js"},
	"ts plugin":                {"js", "plugin.ts"},
	"ts assemblyscript plugin": {"as", "assembly/plugin.ts"},
	"rust plugin":              {"rust", "src/lib.rs"},
	"c plugin":                 {"c", "shown.c"},
}

// The plugins that the documents show are built as they stand, and give what the
// golden events of the same document want.
func TestDocumentedPlugins(t *testing.T) {
	seen, events := map[string]int{}, 0
	dir := t.TempDir()
	tested := map[string]bool{} // the same plugin stands in several documents
	for _, file := range documents(t) {
		var golden []block
		for _, b := range blocks(t, file) {
			if b.info == "json golden" {
				golden = append(golden, b)
			}
		}
		events += len(golden)
		for _, b := range blocks(t, file) {
			of, ok := documentedPlugins[b.info]
			if !ok || of.lang == "go" && !strings.Contains(b.text, "package main") {
				continue
			}
			seen[b.info]++
			filter := !strings.Contains(b.text, "ransform")
			if key := b.info + b.text; tested[key] {
				continue
			} else if len(golden) > 0 || filter {
				tested[key] = true
			}
			t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) {
				folder := fmt.Sprintf("%s/%d", strings.ReplaceAll(file, "/", "-"), b.line)
				run := func(args ...string) {
					t.Helper()
					if out, errOut, code := weir(t, dir, args...); code != 0 {
						t.Fatal(out, errOut)
					}
				}
				run("plugin", "new", "shown", "--lang", of.lang, "--dir", folder)
				// What the scaffold has in the place of the block.
				for _, name := range []string{"plugin.js", "testdata/signed-up.json"} {
					if err := os.RemoveAll(filepath.Join(dir, folder, name)); err != nil {
						t.Fatal(err)
					}
				}
				writeFile(t, dir, folder+"/"+of.file, b.text)
				for _, g := range golden {
					writeFile(t, dir, fmt.Sprintf("%s/testdata/line-%d.json", folder, g.line), g.text)
				}
				run("plugin", "build", folder)
				if len(golden) > 0 && !filter {
					run("plugin", "test", folder)
				}
			})
		}
	}
	for info := range documentedPlugins {
		if seen[info] == 0 {
			t.Errorf("no document shows a plugin in a block of %q", info)
		}
	}
	if events < 3 {
		t.Errorf("only %d golden events were found", events)
	}
}

// Links between documents lead somewhere.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:|]+)\)`)
	n := 0
	for _, file := range documents(t) {
		b, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			n++
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d links were found", n)
	}
}

// Every direct dependency has its line, and every line a dependency.
func TestDependenciesAreDocumented(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := map[string]bool{}
	for line := range strings.SplitSeq(string(mod), "\n") {
		if f := strings.Fields(line); len(f) == 2 && strings.HasPrefix(f[1], "v") {
			direct[f[0]] = true
			if !strings.Contains(string(doc), "`"+f[0]+"`") {
				t.Errorf("%s has no line", f[0])
			}
		}
	}
	if len(direct) < 10 {
		t.Errorf("only %v", direct)
	}
	for _, m := range regexp.MustCompile("`([a-z.]+/[^`]+)`").FindAllStringSubmatch(string(doc), -1) {
		if !direct[m[1]] {
			t.Errorf("%s has a line, and is no dependency", m[1])
		}
	}
}

// The order of imports is the one that the architecture's page shows.
func TestImportsPointOneWay(t *testing.T) {
	doc, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?m)^rawjson.*cmd/weir$").FindString(string(doc))
	rank := map[string]int{}
	for i, level := range strings.Split(m, " < ") {
		for _, name := range strings.Split(level, ", ") {
			rank[name] = i + 1
		}
	}
	const module = "github.com/weirhq/weir/"
	short := func(path string) string {
		name := strings.TrimPrefix(strings.TrimPrefix(path, module), "router/")
		if first, _, nested := strings.Cut(name, "/"); nested && rank[name] == 0 {
			return first // store/badger, attempt/receiver and the like
		}
		return name
	}
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}}{{range .Imports}} {{.}}{{end}}", "../../router/...", "../../plugins").Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		imports := strings.Fields(line)
		from := short(imports[0])
		for _, path := range imports[1:] {
			to := short(path)
			if !strings.HasPrefix(path, module) || from == to {
				continue
			}
			n++
			if rank[from] == 0 || rank[to] == 0 || rank[to] >= rank[from] {
				t.Errorf("%s imports %s, against %s", from, to, m)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d imports were looked at", n)
	}
}
