package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/router/attempt/receiver"
)

// hostile does to its host what the event's type says.
const hostile = `package main

import (
	"os"

	weir "github.com/weirhq/weir/sdk/go"
)

func main() {}

var hoard [][]byte

func deep(n int) int { return deep(n+1) + n }

//go:wasmexport weir_transform
func transform() int32 {
	return weir.Transform(func(m *weir.Message) error {
		switch m.Type() {
		case "bad.panic":
			panic("the plugin's own words")
		case "bad.exit":
			os.Exit(3)
		case "bad.loop":
			for i := 0; ; i++ {
				if i < 0 {
					return nil
				}
			}
		case "bad.memory":
			for {
				hoard = append(hoard, make([]byte, 1<<20))
			}
		case "bad.stack":
			deep(0)
		case "bad.fail":
			return weirError("I do not like it")
		}
		return m.Set("seen", true)
	})
}

type weirError string

func (e weirError) Error() string { return string(e) }
`

// A plugin that traps, loops or eats memory fails that event's route, visibly,
// and nothing else: other routes, and other events of the same route, go on.
func TestHostilePlugin(t *testing.T) {
	dir := t.TempDir()
	if out, errOut, code := weir(t, dir, "plugin", "new", "hostile", "--lang", "go"); code != 0 {
		t.Fatal(out, errOut)
	}
	writeFile(t, dir, "hostile/main.go", hostile)
	if out, errOut, code := weir(t, dir, "plugin", "build", "hostile"); code != 0 {
		t.Fatal(out, errOut)
	}
	changed, plain := &arrivals{}, &arrivals{}
	changedRec := startReceiver(t, receiver.Options{Arrived: changed.add})
	plainRec := startReceiver(t, receiver.Options{Arrived: plain.add})
	address := freeAddress(t)
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf(`
server {
  listen = %q
}
plugin "hostile" {
  wasm     = "hostile/hostile.wasm"
  memory   = "32MiB"
  deadline = "2s"
}
destination "changed" {
  url = %q
}
destination "plain" {
  url = %q
}
route "through" {
  through = [plugin.hostile]
  to      = [destination.changed]
}
route "past" {
  to = [destination.plain]
}
`, address, changedRec.URL(), plainRec.URL()))
	r := serveFile(t, config, address)
	kinds := map[string]struct{ status, class string }{
		"bad.panic":  {"dead", "the plugin's own words"},
		"bad.exit":   {"dead", "exit"},
		"bad.memory": {"dead", "memory"},
		// Each call is paid for, so fuel may end it before the stack does.
		"bad.stack": {"dead", "plugin hostile  failed ("},
		"bad.fail":  {"dead", "I do not like it"},
		"bad.loop":  {"dead", "weir_transform is out of fuel"},
	}
	ids := map[string]string{}
	send := func(kind string) {
		status, a := post(t, r.base+"/events", fmt.Sprintf(`{"event":%q,"data":{"a":1}}`, kind))
		if status != 202 {
			t.Fatalf("%s was answered %d %v", kind, status, a)
		}
		ids[kind] = a["event_id"].(string)
	}
	send("good.before")
	for kind := range kinds {
		send(kind)
	}
	send("good.after")
	await(t, "all to go past the plugin", func() bool { return len(plain.list()) == len(kinds)+2 })
	await(t, "the good ones to come through it", func() bool { return len(changed.list()) == 2 })
	for _, a := range changed.list() {
		if !strings.HasPrefix(a.Event, "good.") || !strings.Contains(a.Body, `{"a":1,"seen":true}`) {
			t.Errorf("through the plugin came %s %s", a.Event, a.Body)
		}
	}
	for kind, want := range kinds {
		var out string
		explained := func() bool {
			out, _, _ = weir(t, dir, "explain", ids[kind])
			return strings.Contains(out, "→ plain  delivered")
		}
		await(t, kind+" to be delivered past the plugin", explained)
		if !strings.Contains(out, want.class) || !strings.Contains(out, "@routing  "+want.status) {
			t.Errorf("explain of %s (want %q, %s):\n%s", kind, want.class, want.status, out)
		}
	}
	out, _, _ := weir(t, dir, "deliveries", "ls", "--status", "dead")
	for kind, want := range kinds {
		if !strings.Contains(out, kind) {
			t.Errorf("%s should be %s:\n%s", kind, want.status, out)
		}
	}

	// With a mended plugin, a retry runs the route again.
	r.stop(t)
	writeFile(t, dir, "hostile/main.go", strings.ReplaceAll(hostile, "bad.panic", "no longer"))
	if out, errOut, code := weir(t, dir, "plugin", "build", "hostile"); code != 0 {
		t.Fatal(out, errOut)
	}
	r = serveFile(t, config, address)
	_, list := get(t, r.base+"/api/events/"+ids["bad.panic"]+"/deliveries")
	var dead string
	for _, x := range list["deliveries"].([]any) {
		if d := x.(map[string]any); d["kind"] == "routing" {
			dead = d["id"].(string)
		}
	}
	if out, errOut, code := weir(t, dir, "deliveries", "retry", dead); code != 0 {
		t.Fatal(out, errOut)
	}
	await(t, "the event to come through the mended plugin", func() bool {
		list := changed.list()
		return len(list) == 3 && list[2].Event == "bad.panic"
	})
	await(t, "it to be recorded", func() bool {
		out, _, _ := weir(t, dir, "explain", ids["bad.panic"])
		return strings.Contains(out, "→ changed  delivered") && strings.Contains(out, "@routing  cancelled")
	})
	if _, errOut, code := weir(t, dir, "deliveries", "retry", dead); code != 1 || !strings.Contains(errOut, "already_routed") {
		t.Errorf("a second retry would deliver it once more: code %d, %s", code, errOut)
	}
}

// What is no plugin is refused before the router starts.
func TestRefusedModules(t *testing.T) {
	dir := t.TempDir()
	if out, errOut, code := weir(t, dir, "plugin", "new", "good", "--lang", "go"); code != 0 {
		t.Fatal(out, errOut)
	}
	if out, errOut, code := weir(t, dir, "plugin", "build", "good"); code != 0 {
		t.Fatal(out, errOut)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "good/good.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "truncated.wasm", string(whole[:len(whole)/2]))
	writeFile(t, dir, "text.wasm", "this is no module")
	writeFile(t, dir, "empty.wasm", "\x00asm\x01\x00\x00\x00")
	// (import "env" "system" (func)) and nothing else.
	writeFile(t, dir, "imports.wasm", "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x02\x0e\x01\x03env\x06system\x00\x00")
	for file, want := range map[string]string{
		"good/good.wasm": "",
		"truncated.wasm": "truncated.wasm",
		"text.wasm":      "text.wasm",
		"empty.wasm":     "weir_abi_v1",
		"imports.wasm":   "env.system",
		"missing.wasm":   "missing.wasm",
	} {
		writeFile(t, dir, "router.hcl", fmt.Sprintf("plugin \"p\" {\n  wasm = %q\n}\n", file))
		out, errOut, code := weir(t, dir, "validate")
		if want == "" {
			if code != 0 {
				t.Errorf("%s is refused: %s%s", file, out, errOut)
			}
			continue
		}
		if text := out + errOut; code != 1 || !strings.Contains(text, want) || !strings.Contains(text, "router.hcl line 2") {
			t.Errorf("%s: code %d, want 1 and %q at its line:\n%s", file, code, want, text)
		}
		if _, errOut, code := weir(t, dir, "serve"); code != 1 || !strings.Contains(errOut, want) {
			t.Errorf("%s: serve ended with %d:\n%s", file, code, errOut)
		}
	}
}
