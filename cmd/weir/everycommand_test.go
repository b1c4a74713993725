package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirhq/weir/router/api"
)

// eachCommand visits every command that does something, with its path below weir.
// What cobra brings itself, help and completion, is documented by cobra; hidden ones
// are there to be refused.
func eachCommand(cmd *cobra.Command, visit func(path string, cmd *cobra.Command)) {
	for _, sub := range cmd.Commands() {
		if sub.Name() == "help" || sub.Name() == "completion" || sub.Hidden {
			continue
		}
		if path := strings.TrimPrefix(sub.CommandPath(), "weir "); !sub.HasSubCommands() || path == "replay" {
			visit(path, sub)
		}
		eachCommand(sub, visit)
	}
}

// words are those of a line as a shell makes them.
func words(line string) (list []string) {
	var word strings.Builder
	var quote rune
	begun := false
	for _, c := range line {
		switch {
		case quote == 0 && (c == '\'' || c == '"'):
			quote, begun = c, true
		case c == quote:
			quote = 0
		case quote == 0 && c == ' ':
			if begun {
				list = append(list, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	if begun {
		list = append(list, word.String())
	}
	return list
}

// Every command has examples of its own, and each is right: its command is there,
// and takes these flags and as many arguments.
func TestExamplesOfCommands(t *testing.T) {
	n := 0
	eachCommand(newRoot(), func(path string, cmd *cobra.Command) {
		n++
		own := false
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			line, _, _ = strings.Cut(line, " <")
			for _, part := range strings.Split(line, " && ") {
				args := words(part)
				if len(args) < 2 || args[0] != "weir" {
					t.Errorf("weir %s: the example %q is no command of weir", path, part)
					continue
				}
				found, rest, err := newRoot().Find(args[1:])
				if err == nil {
					err = found.ParseFlags(rest)
				}
				if err == nil {
					err = found.ValidateArgs(found.Flags().Args())
				}
				if err != nil {
					t.Errorf("weir %s: the example %q: %v", path, part, err)
				}
				own = own || found != nil && found.CommandPath() == cmd.CommandPath()
			}
		}
		if !own {
			t.Errorf("weir %s --help has no example of it", path)
		}
		if cmd.Short == "" {
			t.Errorf("weir %s says nothing of itself", path)
		}
	})
	if n < 40 {
		t.Errorf("only %d commands were found", n)
	}
}

// withoutJSON are the commands that -o json means nothing to.
var withoutJSON = map[string]string{
	"serve": "it prints nothing: its log is JSON with log { json = true }",
}

// inProcess runs a command of this process, which may end it by reading enough of
// its output.
func inProcess(ctx context.Context, out io.Writer, stdin string, args ...string) (int, string) {
	root := newRoot()
	var errOut bytes.Buffer
	root.SetOut(out)
	root.SetErr(&errOut)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(&errOut, err)
	}
	return exitCode(err), errOut.String()
}

// crowd is a router with something of everything.
type crowd struct {
	*running
	dir, hook string
	dead      []string
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	address := freeAddress(t)
	writeFile(t, dir, "pass/plugin.c", "#include \"weir.h\"\nWEIR_FILTER {\n\treturn 1;\n}\n")
	writeFile(t, dir, "pass/testdata/order.json", `{"event":{"type":"order","data":1},"want":{"filter":"keep","messages":[{"data":1}]}}`)
	if code, text := inProcess(t.Context(), io.Discard, "", "plugin", "build", filepath.Join(dir, "pass")); code != 0 {
		t.Fatal(text)
	}
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf(`
server {
  listen = %q
}
source "mail" {
  verify "none" {}
  reply {
    status       = 200
    content_type = "text/xml"
    body         = "<taken/>"
  }
}
plugin "pass" {
  wasm = "pass/pass.wasm"
}
destination "crm" {
  url = "http://127.0.0.1:1/"
  retry {
    schedule = ["0s"]
  }
}
destination "queue" {
  url = "pull:"
}
route "all" {
  from = [source.events]
  to   = [destination.crm, destination.queue]
}
webhooks {
  allow_http     = true
  allow_networks = ["127.0.0.0/8"]
  plugins        = [plugin.pass]
}
`, address))
	t.Setenv("WEIR_CONFIG", config)
	t.Chdir(dir)
	c := &crowd{running: serveFile(t, config, address), dir: dir}
	for i := range 5 {
		if status, body := post(t, c.base+"/events", fmt.Sprintf(`{"event":"order","event_id":"order-%d","tenant":"acme","data":1}`, i)); status != http.StatusAccepted {
			t.Fatal(status, body)
		}
	}
	await(t, "five dead letters", func() bool {
		list := struct {
			DeadLetters []api.Delivery `json:"dead_letters"`
		}{}
		var out bytes.Buffer
		if code, text := inProcess(t.Context(), &out, "", "dead-letters", "ls", "-o", "json"); code != 0 {
			t.Fatal(text)
		}
		if err := json.Unmarshal(out.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		c.dead = nil
		for _, d := range list.DeadLetters {
			c.dead = append(c.dead, d.ID)
		}
		return len(c.dead) == 5
	})
	// Nothing is sent any more, so that what is done with deliveries finds them as
	// they were.
	if code, text := inProcess(t.Context(), io.Discard, "", "destinations", "pause", "crm"); code != 0 {
		t.Fatal(text)
	}
	var out bytes.Buffer
	if code, text := inProcess(t.Context(), &out, "", "webhooks", "create", receiver.URL, "--event", "nothing", "--uid", "shop", "-o", "json"); code != 0 {
		t.Fatal(text)
	}
	var w api.Webhook
	if err := json.Unmarshal(out.Bytes(), &w); err != nil {
		t.Fatal(err)
	}
	c.hook = w.ID
	return c
}

// Whatever a command prints is JSON with -o json, -o takes nothing else than text
// beside it, and a shell is offered names for what is a name.
func TestEveryCommand(t *testing.T) {
	c := newCrowd(t)
	var replay api.Replay
	var out bytes.Buffer
	if code, text := inProcess(t.Context(), &out, "", "replay", "--type", "none", "--detach", "-o", "json"); code != 0 {
		t.Fatal(text)
	}
	if err := json.Unmarshal(out.Bytes(), &replay); err != nil {
		t.Fatal(err)
	}
	// What each command is run with.
	args := map[string]string{
		"reload": "", "validate": "", "fmt": "--check --diff", "send": "--type cart", "listen": "--listener queue --count 1", "tail": "--count 1", "sink": "",
		"events ls": "", "events show": "order-0", "events retry": "order-0", "events cancel": "order-0",
		"deliveries ls": "", "deliveries show": c.dead[0], "deliveries retry": c.dead[0], "deliveries cancel": c.dead[0],
		"dead-letters ls": "", "dead-letters show": c.dead[1], "dead-letters retry": c.dead[1], "dead-letters cancel": c.dead[2],
		"destinations ls": "", "destinations show": "crm", "destinations pause": "crm", "destinations recover": "crm", "destinations cancel": "crm", "destinations resume": "crm",
		"webhooks ls": "", "webhooks create": "https://shop.example.com/ --event order", "webhooks show": c.hook, "webhooks update": c.hook + " --description x", "webhooks test": c.hook,
		"webhooks rotate": c.hook, "webhooks pause": c.hook, "webhooks resume": c.hook, "webhooks delete": c.hook,
		"explain": "order-0", "replay": "order-0", "replay ls": "", "replay show": replay.ID, "replay cancel": replay.ID,
		"plugin new": "new --lang c", "plugin build": "pass", "plugin test": "pass", "plugin bench": "pass/pass.wasm -n 1", "plugin inspect": "pass/pass.wasm",
		"doctor": "", "version": "",
	}
	offered(t)
	eachCommand(newRoot(), func(path string, cmd *cobra.Command) {
		with, known := args[path]
		switch reason := withoutJSON[path]; {
		case reason != "":
			if known || !strings.Contains(cmd.Long, "prints nothing") {
				t.Errorf("weir %s is said to have no -o json, since %s, and its help does not say so", path, reason)
			}
			return
		case !known:
			t.Errorf("weir %s: say what it is run with, so that what -o json prints can be looked at", path)
			return
		}
		all := append(strings.Fields(path), strings.Fields(with)...)
		if code, text := inProcess(t.Context(), io.Discard, "", append(slices.Clone(all), "-o", "yaml")...); code != 2 || !strings.Contains(text, "text or json") {
			t.Errorf("weir %s -o yaml: %d %s", path, code, text)
		}
		if path == "webhooks delete" { // below, after what looks at the webhook
			return
		}
		c.printsJSON(t, path, append(all, "-o", "json"))
	})
	c.printsJSON(t, "webhooks delete", []string{"webhooks", "delete", c.hook, "-o", "json"})
	// A source may answer its provider with anything.
	c.printsJSON(t, "send", []string{"send", "--source", "mail", "-o", "json"})
}

// printsJSON runs a command, and looks at what it prints.
func (c *crowd) printsJSON(t *testing.T, path string, args []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out io.Writer
	var text bytes.Buffer
	out = &text
	switch path {
	case "sink": // it ends when it is told to
		out = writerFunc(func(b []byte) (int, error) { cancel(); return text.Write(b) })
	case "tail": // from now on: something happens until it has seen it
		done := make(chan struct{})
		defer func() { <-done }()
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				if code, text := inProcess(ctx, io.Discard, "", "send", "--type", "cart"); code != 0 && ctx.Err() == nil {
					t.Error(text)
					return
				}
			}
		}()
		defer cancel()
	}
	code, errOut := inProcess(ctx, out, "", args...)
	if code != 0 && path != "doctor" { // which may find something about this machine
		t.Errorf("weir %s: code %d\n%s%s", strings.Join(args, " "), code, text.String(), errOut)
		return
	}
	n := 0
	for in := json.NewDecoder(&text); ; n++ {
		var v any
		if err := in.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Errorf("weir %s prints what is no JSON: %v", strings.Join(args, " "), err)
			return
		}
	}
	if n == 0 {
		t.Errorf("weir %s prints nothing\n%s", strings.Join(args, " "), errOut)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// What is free text or a number, of which a shell can't offer any.
var (
	freeArguments = []string{"plugin new", "webhooks create"}
	freeFlags     = []string{
		"activate-after", "addr", "count", "data", "delay", "description", "fail", "filter", "forward", "fuel", "header", "id", "limit", "memory", "metadata",
		"overlap", "plugin config", "public-key", "rate", "repeat", "calls", "secret", "server", "since", "sink status", "subject", "text", "token", "until", "url", "var", "webhook-id",
	}
)

// offered looks at what a shell is offered: something for each argument and each
// flag that is the name of something, and no files where none is meant.
func offered(t *testing.T) {
	t.Helper()
	offer := func(what string, free bool, args ...string) {
		t.Helper()
		var out bytes.Buffer
		code, text := inProcess(t.Context(), &out, "", append([]string{cobra.ShellCompRequestCmd}, args...)...)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		directive := lines[len(lines)-1]
		files := directive == ":0" || directive == ":8" || directive == ":16"
		switch {
		case code != 0:
			t.Errorf("%s: %d %s", what, code, text)
		case free && (len(lines) > 1 || files):
			t.Errorf("%s is free text, and a shell is offered %q", what, lines)
		case !free && len(lines) < 2 && !files:
			t.Errorf("%s is the name of something, and a shell is offered nothing", what)
		}
	}
	seen := map[string]bool{} // commands of a group have the same flags
	eachCommand(newRoot(), func(path string, cmd *cobra.Command) {
		at := strings.Fields(path)
		_, arguments, _ := strings.Cut(cmd.Use, " ")
		takes := strings.TrimLeft(strings.ReplaceAll(strings.ReplaceAll(arguments, "[--check] ", ""), "[--diff] ", ""), "[") != ""
		offer("the argument of weir "+path, !takes || slices.Contains(freeArguments, path), append(slices.Clone(at), "")...)
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || f.Hidden || seen[at[0]+f.Name+f.Usage] {
				return
			}
			seen[at[0]+f.Name+f.Usage] = true
			free := slices.Contains(freeFlags, at[0]+" "+f.Name) || slices.Contains(freeFlags, f.Name) && path+f.Name != "events lsid"
			offer("--"+f.Name+" of weir "+path, free, append(slices.Clone(at), "--"+f.Name, "")...)
		})
	})
	for _, f := range []string{"config", "output"} {
		offer("--"+f, false, "events", "ls", "--"+f, "")
	}
	if _, err := os.Stat("router.hcl"); err != nil {
		t.Error(err)
	}
}
