package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt/receiver"
	"github.com/weirhq/weir/router/config"
)

// With --watch a new build and a new configuration are taken over by themselves,
// and a bad one is not.
func TestServeWatch(t *testing.T) {
	dir := t.TempDir()
	build := func(name string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("..", "..", "plugins", "abi", "testdata", name+".wasm"))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, "p.wasm", string(b))
	}
	build("exit") // changes nothing
	seen := &arrivals{}
	rec := startReceiver(t, receiver.Options{Arrived: seen.add})
	address := freeAddress(t)
	writeFile(t, dir, "conf/a.hcl", fmt.Sprintf(`
server {
  listen = %q
}
plugin "p" {
  wasm = "../p.wasm"
}
destination "one" {
  url = %q
}
route "all" {
  through = [plugin.p]
  to      = [destination.one]
}
`, address, rec.URL()))
	r := launchArgs(t, []string{"serve", "--watch", "--config", filepath.Join(dir, "conf")}, address, isReady)
	// sent posts events until one has arrived as it should.
	sent := func(what, body string) {
		t.Helper()
		await(t, what, func() bool {
			post(t, r.base+"/events", `{"event":"a","data":{"n":1}}`)
			list := seen.list()
			return len(list) > 0 && strings.Contains(list[len(list)-1].Body, body)
		})
	}
	sent("the first build", `"data":{"n":1}`)
	build("set-all")
	sent("the second build", `"data":[null]`)

	// One that is only half there is refused, and the next is not.
	writeFile(t, dir, "p.wasm", "\x00asm\x01\x00\x00\x00\x01\xff")
	await(t, "the log to say so", func() bool { return strings.Contains(r.log.String(), "reload refused, the old configuration goes on") })
	sent("the second build to go on", `"data":[null]`)
	if err := os.Remove(filepath.Join(dir, "p.wasm")); err != nil {
		t.Fatal(err)
	}
	await(t, "the log to miss the module", func() bool { return strings.Contains(r.log.String(), "There is no file "+filepath.Join(dir, "p.wasm")) })
	build("exit")
	sent("the first build again", `"data":{"n":1}`)

	// Another file of the configuration's folder counts as well.
	writeFile(t, dir, "conf/b.hcl", "source \"late\" {}\n")
	await(t, "the new source", func() bool {
		status, _ := post(t, r.base+"/in/late", `{}`)
		return status == 202
	})
	if err := os.Remove(filepath.Join(dir, "conf/b.hcl")); err != nil {
		t.Fatal(err)
	}
	await(t, "the source to be gone", func() bool {
		status, _ := post(t, r.base+"/in/late", `{}`)
		return status == 404
	})
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	path := writeFile(t, dir, "router.hcl", "plugin \"p\" {\n  wasm = \"p.wasm\"\n}\nlog {\n  level = file(\"level\")\n}\n")
	writeFile(t, dir, "level", "info")
	read := func() config.Inputs {
		_, report := config.Load(path, config.Options{})
		return report.Inputs
	}
	var w watch
	w.reset(read())
	// due says at which of three looks something is due.
	due := func() string {
		s := ""
		for range 3 {
			s += fmt.Sprint(w.due(), " ")
		}
		return s
	}
	if got := due(); got != "false false false " {
		t.Errorf("without a change: %s", got)
	}
	for name, text := range map[string]string{"router.hcl": "log {}\n", "level": "debug", "p.wasm": "new"} {
		w.reset(read())
		old, _ := os.ReadFile(filepath.Join(dir, name)) // p.wasm is not there
		writeFile(t, dir, name, text)
		if got := due(); got != "false true true " || w.last.Changed(w.read) != name {
			t.Errorf("a change of %s: %s, %s", name, got, w.last.Changed(w.read))
		}
		// As long as it goes on changing, it is not due.
		writeFile(t, dir, name, text+" ")
		if w.due() {
			t.Errorf("%s is being written, and due", name)
		}
		writeFile(t, dir, name, string(old))
	}
	w.reset(read())
	// The same bytes written again are a change, too: nobody compares them.
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if got := due(); got != "false true true " {
		t.Errorf("after a touch: %s", got)
	}
}
