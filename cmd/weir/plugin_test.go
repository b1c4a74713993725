package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/plugintest"
	"github.com/weirhq/weir/router/event"
)

// TestPluginOutsideTheCheckout does what somebody does who has the binary and
// Go, an empty folder, and no network.
func TestPluginOutsideTheCheckout(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "weir")
	if text, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building weir: %v\n%s", err, text)
	}
	dir := t.TempDir()
	weir := func(want string, args ...string) {
		t.Helper()
		cmd := exec.Command(binary, args...)
		cmd.Dir = dir
		// No network, no downloaded modules, and settings of the user's that
		// would get in the way.
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=vendor", "GOWORK="+filepath.Join(dir, "none.work"), "GOMODCACHE="+filepath.Join(dir, "modcache"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("weir %s: %v\n%s\nwant %q", strings.Join(args, " "), err, out, want)
		}
	}
	weir("wrote redact/main.go", "plugin", "new", "redact", "--lang", "go")
	weir("built redact/redact.wasm: transform, ", "plugin", "build", "redact")
	weir("built other/x.wasm: transform, ", "plugin", "build", "redact", "-o", "other/x.wasm")
	weir("weir_abi_v1", "plugin", "inspect", "redact/redact.wasm")

	weir(`"kind": "transform"`, "plugin", "inspect", "redact/redact.wasm", "-o", "json")

	first, err := os.ReadFile(filepath.Join(dir, "redact/redact.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(dir, "other/x.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the same source gave two different builds")
	}
	p := plugintest.Load(t, plugins.Spec{Name: "redact", Wasm: first})
	r, err := p.Run(context.Background(), &event.Message{
		ID: "evt_1", Type: "user.created", Source: "events", Time: time.Unix(1, 0), Received: time.Unix(1, 0),
		ContentType: "application/json", Data: []byte(`{"name":"Ada", "password":"secret"}`),
	}, "r")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(r.Messages[0].Data), `{"name":"Ada","plugin":"redact"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// runPlugin runs the command in process.
func runPlugin(args ...string) (string, error) {
	cmd := newPlugin()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(context.Background())
	return out.String(), err
}

func TestPluginRefusals(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("taken/go.mod", "module mine\n")
	write("empty/notes.txt", "nothing to build")
	write("broken/main.go", "package main\nfunc main() { missing() }\n")
	write("broken/go.mod", "module broken\n")
	write("command/main.go", "package main\nfunc main() {}\n")
	write("command/go.mod", "module command\n")
	write("no.wasm", "MZ")
	cases := []struct {
		want string
		args []string
	}{
		{"--lang js is not supported yet", []string{"new", "x", "--lang", "js"}},
		{"--lang rust is not supported yet", []string{"new", "x", "--lang", "rust"}},
		{"unknown language \"cobol\"", []string{"new", "x", "--lang", "cobol"}},
		{"can't be a plugin's name", []string{"new", "../x", "--dir", filepath.Join(dir, "bad")}},
		{"exists already", []string{"new", "x", "--dir", filepath.Join(dir, "taken")}},
		{"accepts 1 arg", []string{"new"}},
		{"no .go files", []string{"build", filepath.Join(dir, "empty")}},
		{"no such file", []string{"build", filepath.Join(dir, "absent")}},
		{"undefined: missing", []string{"build", filepath.Join(dir, "broken")}},
		{"weir_abi_v1", []string{"build", filepath.Join(dir, "command")}},
		{"not a usable WebAssembly module", []string{"inspect", filepath.Join(dir, "no.wasm")}},
		{"no such file", []string{"inspect", filepath.Join(dir, "absent.wasm")}},
	}
	for _, c := range cases {
		out, err := runPlugin(c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, output %q; want %q", c.args, err, out, c.want)
		}
	}
	for _, name := range []string{"bad", "command/command.wasm", "taken/main.go", "taken/sdk"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s was left behind", name)
		}
	}
	t.Setenv("PATH", dir)
	if _, err := runPlugin("build", filepath.Join(dir, "broken")); err == nil || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("without Go: %v", err)
	}
}

// The example of docs/plugins.md does what the text beside it says.
func TestPluginOfTheDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "```go\n")
	source, _, closed := strings.Cut(after, "```\n")
	if !ok || !closed {
		t.Fatal("docs/plugins.md has no Go block")
	}
	dir := filepath.Join(t.TempDir(), "redact")
	if _, err := runPlugin("new", "redact", "--dir", dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := runPlugin("build", dir); err != nil {
		t.Fatal(err)
	}
	wasm, err := os.ReadFile(filepath.Join(dir, "redact.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	p := plugintest.Load(t, plugins.Spec{Name: "redact", Wasm: wasm})
	for in, want := range map[string]string{
		`{"account":{"test":true}}`:                                     "",
		`{"account":{"id": 7, "password":"x","email":"a@example.com"}}`: `{"account":{"id": 7,"email":"hidden"}}`,
	} {
		r, err := p.Run(context.Background(), &event.Message{
			ID: "evt_1", Type: "account.created", Source: "events", Time: time.Unix(1, 0), Received: time.Unix(1, 0),
			ContentType: "application/json", Data: []byte(in),
		}, "accounts")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, m := range r.Messages {
			got += string(m.Data)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
