package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/sdk"
)

// TestPluginOutsideTheCheckout does in each language what somebody does who has the
// binary, the toolchain and an empty folder: makes a plugin, builds it, tests it,
// measures it.
func TestPluginOutsideTheCheckout(t *testing.T) {
	dir := t.TempDir()
	// Nothing is fetched but what the toolchain itself fetches, and settings of
	// the user's don't get in the way.
	env := append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=vendor", "GOWORK="+filepath.Join(dir, "none.work"), "GOMODCACHE="+filepath.Join(dir, "modcache"), "CARGO_NET_OFFLINE=true", "CFLAGS=-broken", "NODE_OPTIONS=--broken")
	weir := func(t *testing.T, want string, args ...string) {
		t.Helper()
		cmd := exec.Command(weirBinary, args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("weir %s: %v\n%s\nwant %q", strings.Join(args, " "), err, out, want)
		}
	}
	for _, l := range sdk.Languages() {
		t.Run(l.Name, func(t *testing.T) {
			wasm := l.Name + "/" + l.Name + ".wasm"
			weir(t, "wrote "+l.Name, "plugin", "new", "redact", "--lang", l.Name, "--dir", l.Name)
			weir(t, "built "+wasm+": transform, ", "plugin", "build", l.Name)
			weir(t, "1 passed, 0 failed, pure", "plugin", "test", l.Name, "--repeat", "50")
			weir(t, "weir_abi_v1", "plugin", "inspect", wasm)
			weir(t, `"language": "`+l.Title+`"`, "plugin", "inspect", wasm, "-o", "json")
			weir(t, "reuse", "plugin", "bench", wasm, "-n", "20")
			readme, err := os.ReadFile(filepath.Join(dir, l.Name, "sdk", "README.md"))
			if err != nil || bytes.Count(readme, []byte("\n")) > 60 {
				t.Errorf("the SDK's README is no screen: %v", err)
			}
		})
	}
	// The same source gives the same bytes, wherever it lies.
	if err := os.CopyFS(filepath.Join(dir, "elsewhere/c"), os.DirFS(filepath.Join(dir, "c"))); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "elsewhere/go"), os.DirFS(filepath.Join(dir, "go"))); err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"go", "c"} {
		weir(t, "built other/"+lang+".wasm", "plugin", "build", "elsewhere/"+lang, "-o", "other/"+lang+".wasm")
		first, err := os.ReadFile(filepath.Join(dir, lang, lang+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(filepath.Join(dir, "other", lang+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s: the same source gave two different builds", lang)
		}
	}
}

// runPlugin runs the command in process.
func runPlugin(args ...string) (string, error) {
	cmd := newRoot()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append([]string{"plugin"}, args...))
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func TestPluginRefusals(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) { writeFile(t, dir, name, text) }
	write("taken/go.mod", "module mine\n")
	write("empty/notes.txt", "nothing to build")
	write("tested/main_test.go", "package main\n")
	write("broken/main.go", "package main\nfunc main() { missing() }\n")
	write("broken/go.mod", "module broken\n")
	write("command/main.go", "package main\nfunc main() {}\n")
	write("command/go.mod", "module command\n")
	write("mixed/main.go", "package main\n")
	write("mixed/plugin.js", "export function filter() { return true }\n")
	write("js/plugin.js", "export function transform(event) {\n  event.remove('a'\n}\n")
	write("jsnone/plugin.js", "export function transfrom(event) {}\n")
	write("jsimport/plugin.js", "import { x } from 'nowhere'\nexport function filter() { return x }\n")
	write("as/assembly/plugin.ts", "import { Flow, Message } from \"weir\";\nexport function transform(m: Message): Flow {\n  return Flow.Sned;\n}\n")
	write("ashost/assembly/plugin.ts", "import { Flow, Message } from \"weir\";\nexport function transform(m: Message): Flow {\n  m.set(\"at\", Date.now());\n  return Flow.Send;\n}\n")
	write("asnone/assembly/plugin.ts", "export function transfrom(): void {}\n")
	write("rust/src/lib.rs", "use weir::Message;\nweir::filter!(keep);\nfn keep(m: &Message) -> bool {\n    m.boool(\"ok\")\n}\n")
	write("rustnone/src/lib.rs", "use weir::Flow;\npub fn transform() -> Flow {\n    Flow::Send\n}\n")
	write("c/plugin.c", "#include \"weir.h\"\nWEIR_FILTER {\n\treturn weir_get_boool(\"ok\");\n}\n")
	write("cnone/plugin.c", "#include \"weir.h\"\nint transform(void) { return 0; }\n")
	write("no.wasm", "MZ")
	cases := []struct {
		want []string
		args []string
	}{
		{[]string{`unknown language "cobol": use one of go, js, as, rust, c`}, []string{"new", "x", "--lang", "cobol"}},
		{[]string{"can't be a plugin's name"}, []string{"new", "../x", "--dir", filepath.Join(dir, "bad")}},
		{[]string{"exists already"}, []string{"new", "x", "--dir", filepath.Join(dir, "taken")}},
		{[]string{"accepts 1 arg"}, []string{"new"}},
		{[]string{"there is no plugin in", "weir plugin new NAME"}, []string{"build", filepath.Join(dir, "empty")}},
		{[]string{"there is no plugin in"}, []string{"build", filepath.Join(dir, "tested")}},
		{[]string{"no such file"}, []string{"build", filepath.Join(dir, "absent")}},
		{[]string{"holds sources of go, js", "give each a folder of its own"}, []string{"build", filepath.Join(dir, "mixed")}},
		{[]string{"main.go:2:15: undefined: missing"}, []string{"build", filepath.Join(dir, "broken")}},
		{[]string{"export missing: weir_abi_v1"}, []string{"build", filepath.Join(dir, "command")}},
		{[]string{`Expected ")" but found "}"`, "plugin.js:3:0"}, []string{"build", filepath.Join(dir, "js")}},
		{[]string{"plugin.js exports neither filter nor transform"}, []string{"build", filepath.Join(dir, "jsnone")}},
		{[]string{`Could not resolve "nowhere"`, "plugin.js:1"}, []string{"build", filepath.Join(dir, "jsimport")}},
		{[]string{"Property 'Sned' does not exist", "assembly/plugin.ts(3,"}, []string{"build", filepath.Join(dir, "as")}},
		{[]string{"Date.now, which asks for a JavaScript host", "use now()"}, []string{"build", filepath.Join(dir, "ashost")}},
		{[]string{"assembly/plugin.ts exports neither filter nor transform"}, []string{"build", filepath.Join(dir, "asnone")}},
		{[]string{"no method named `boool`", "src/lib.rs:4:"}, []string{"build", filepath.Join(dir, "rust")}},
		{[]string{"export missing", "weir::transform!"}, []string{"build", filepath.Join(dir, "rustnone")}},
		{[]string{"weir_get_boool", "plugin.c:3:"}, []string{"build", filepath.Join(dir, "c")}},
		{[]string{"export missing", "WEIR_TRANSFORM"}, []string{"build", filepath.Join(dir, "cnone")}},
		{[]string{"weir builds commands in go, c"}, []string{"build", "--abi", "stdio", filepath.Join(dir, "js")}},
		{[]string{"--abi takes weir or stdio"}, []string{"build", "--abi", "x", filepath.Join(dir, "js")}},
		{[]string{"not a usable WebAssembly module"}, []string{"inspect", filepath.Join(dir, "no.wasm")}},
		{[]string{"no such file"}, []string{"inspect", filepath.Join(dir, "absent.wasm")}},
		{[]string{"--abi takes weir or stdio"}, []string{"inspect", "--abi", "x", filepath.Join(dir, "no.wasm")}},
	}
	for _, c := range cases {
		out, err := runPlugin(c.args...)
		if err == nil {
			t.Errorf("%v: no error, output %q", c.args, out)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: got %v, want %q", c.args, err, want)
			}
		}
	}
	for _, name := range []string{"bad", "command/command.wasm", "rustnone/rustnone.wasm", "c/c.wasm", "taken/main.go", "taken/sdk"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s was left behind", name)
		}
	}
}

// Without its toolchain a build says how to get it.
func TestPluginToolchainMissing(t *testing.T) {
	dir := t.TempDir()
	for _, l := range sdk.Languages() {
		if out, err := runPlugin("new", "x", "--lang", l.Name, "--dir", filepath.Join(dir, l.Name)); err != nil {
			t.Fatal(err, out)
		}
	}
	// Neither tools nor what was fetched with them.
	t.Setenv("PATH", dir)
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("WASI_SDK_PATH", "")
	for name, want := range map[string]string{
		"go": "install Go", "js": "apt install nodejs npm", "as": "apt install nodejs npm", "rust": "apt install rustc", "c": "apt install clang lld",
	} {
		if _, err := runPlugin("build", filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
