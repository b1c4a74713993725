package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/router/attempt/receiver"
)

func rewrite(t *testing.T, path string, pairs ...string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i+1 < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s does not hold %q", path, pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// line reports whether a table has a row with a block and its result.
func line(table, block, result string) bool {
	for l := range strings.SplitSeq(table, "\n") {
		if strings.HasPrefix(l, block+" ") && strings.HasSuffix(l, " "+result) {
			return true
		}
	}
	return false
}

func TestReload(t *testing.T) {
	one, two := &arrivals{}, &arrivals{}
	oneRec := startReceiver(t, receiver.Options{Arrived: one.add})
	twoRec := startReceiver(t, receiver.Options{Arrived: two.add})
	r, config := configured(t, fmt.Sprintf(`
destination "one" {
  url = %q
}
route "all" {
  to = [destination.one]
}
`, oneRec.URL()))
	dir := filepath.Dir(config)
	post(t, r.base+"/events", `{"event":"a","data":1}`)
	await(t, "the first event", func() bool { return len(one.list()) == 1 })

	rewrite(t, config, "[destination.one]", "[destination.one, destination.two]", "route \"all\"",
		fmt.Sprintf("destination \"two\" {\n  url = %q\n}\nsource \"late\" {\n  verify \"none\" {}\n}\nroute \"all\"", twoRec.URL()))
	out, errOut, code := weir(t, dir, "reload")
	if code != 0 {
		t.Fatal(out, errOut)
	}
	for block, want := range map[string]string{
		"server": "unchanged", "destination.one": "unchanged", "destination.two": "applied", "route.all": "applied",
		"source.late": "applied", "source.events": "unchanged",
	} {
		if !line(out, block, want) {
			t.Errorf("%s should be %s:\n%s", block, want, out)
		}
	}
	if status, _ := post(t, r.base+"/in/late", `{}`); status != 202 {
		t.Errorf("the new source answers %d", status)
	}
	await(t, "both receivers to have it", func() bool { return len(one.list()) == 2 && len(two.list()) == 1 })

	// By signal, and back again; what can't change is told.
	rewrite(t, config, "[destination.one, destination.two]", "[destination.two]", "64KiB", "65KiB", "source \"late\"", "source \"later\"")
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "the signal to be obeyed", func() bool {
		status, _ := post(t, r.base+"/in/late", `{}`)
		return status == 404
	})
	out, _, _ = weir(t, dir, "reload", "-o", "json")
	if !strings.Contains(strings.Join(strings.Fields(out), ""), `{"block":"server","result":"needs_restart"}`) {
		t.Errorf("server should need a restart:\n%s", out)
	}
	before := len(one.list())
	post(t, r.base+"/events", `{"event":"b","data":1}`)
	await(t, "the second receiver", func() bool {
		list := two.list()
		return list[len(list)-1].Event == "b"
	})
	if len(one.list()) != before {
		t.Error("the first receiver still gets events")
	}
}

// A bad configuration is refused whole, with its place, and the old one goes on.
func TestBadReloadIsRefused(t *testing.T) {
	seen := &arrivals{}
	rec := startReceiver(t, receiver.Options{Arrived: seen.add})
	r, config := configured(t, fmt.Sprintf("destination \"one\" {\n  url = %q\n}\nroute \"all\" {\n  to = [destination.one]\n}\n", rec.URL()))
	rewrite(t, config, "route \"all\"", "route \"other\" {\n  to = [destination.on]\n}\nroute \"all\"")
	status, answer := post(t, r.base+"/api/reload", `{}`)
	detail := fmt.Sprint(answer["detail"])
	if status != 422 || answer["code"] != "config_rejected" || !strings.Contains(detail, "router.hcl line") || !strings.Contains(detail, `Did you mean`) {
		t.Errorf("answered %d %v", status, answer)
	}
	// The commands find the router all the same, and it is the one that refuses.
	dir := filepath.Dir(config)
	_, errOut, code := weir(t, dir, "reload")
	if code != 1 || strings.Count(errOut, "router.hcl line") != 1 || !strings.Contains(errOut, "(config_rejected)") {
		t.Errorf("weir reload: %d %s", code, errOut)
	}
	if _, now := get(t, r.base+"/api/config"); now["last_reload"].(map[string]any)["result"] != "refused" {
		t.Errorf("the last reload is %v", now["last_reload"])
	}
	await(t, "the log to say so twice", func() bool { return strings.Count(r.log.String(), "a reload by the API was refused") == 2 })
	mustRun(t, dir, "events", "ls")
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "the log to say so", func() bool { return strings.Contains(r.log.String(), "reload refused") })
	// What the validator can't see is refused as well: a module that does not start.
	writeFile(t, filepath.Dir(config), "m.wasm", "\x00asm\x01\x00\x00\x00")
	rewrite(t, config, "[destination.on]", "[destination.one]\n  through = [plugin.p]\n}\nplugin \"p\" {\n  wasm = \"m.wasm\"")
	if status, answer := post(t, r.base+"/api/reload", `{}`); status != 422 {
		t.Errorf("answered %d %v", status, answer)
	}
	post(t, r.base+"/events", `{"event":"a","data":1}`)
	await(t, "the old configuration to go on", func() bool { return len(seen.list()) == 1 })
}

// Where something waits for a destination that would be gone, a reload asks
// first. It goes on when the name returns.
func TestReloadWithOrphans(t *testing.T) {
	seen := &arrivals{}
	rec := startReceiver(t, receiver.Options{Arrived: seen.add})
	gone := "http://127.0.0.1:1/"
	r, config := configured(t, fmt.Sprintf("destination \"one\" {\n  url = %q\n}\nroute \"all\" {\n  to = [destination.one]\n}\n", gone))
	dir := filepath.Dir(config)
	post(t, r.base+"/events", `{"event":"a","data":1}`)
	retrying := func() []any {
		_, list := get(t, r.base+"/api/deliveries?status=retrying")
		return list["deliveries"].([]any)
	}
	await(t, "it to wait", func() bool { return len(retrying()) == 1 })
	rewrite(t, config, "\"one\"", "\"uno\"", "destination.one", "destination.uno")
	if _, errOut, code := weir(t, dir, "reload"); code != 1 || !strings.Contains(errOut, "would_orphan") || !strings.Contains(errOut, "1 delivery waits for destination.one") {
		t.Errorf("code %d: %s", code, errOut)
	}
	out, errOut, code := weir(t, dir, "reload", "--orphan")
	if code != 0 || !line(out, "destination.one", "removed") {
		t.Errorf("code %d: %s%s", code, out, errOut)
	}
	id := retrying()[0].(map[string]any)["id"].(string)
	if status, answer := post(t, r.base+"/api/deliveries/"+id+"/retry", ""); status != 202 {
		t.Errorf("answered %d %v", status, answer)
	}
	rewrite(t, config, "\"uno\"", "\"one\"", "destination.uno", "destination.one", gone, rec.URL())
	if out, errOut, code := weir(t, dir, "reload"); code != 0 {
		t.Fatal(out, errOut)
	}
	await(t, "it to go on", func() bool { return len(seen.list()) == 1 })
}

func TestReloadWithNewBuild(t *testing.T) {
	dir := t.TempDir()
	build := func(word string) {
		t.Helper()
		writeFile(t, dir, "p/main.go", fmt.Sprintf("package main\n\nimport weir \"github.com/weirhq/weir/sdk/go\"\n\nfunc main() {}\n\n//go:wasmexport weir_transform\nfunc transform() int32 {\n\treturn weir.Transform(func(m *weir.Message) error { return m.Set(\"by\", %q) })\n}\n", word))
		if out, errOut, code := weir(t, dir, "plugin", "build", "p"); code != 0 {
			t.Fatal(out, errOut)
		}
	}
	if out, errOut, code := weir(t, dir, "plugin", "new", "p", "--lang", "go"); code != 0 {
		t.Fatal(out, errOut)
	}
	build("first")
	seen := &arrivals{}
	rec := startReceiver(t, receiver.Options{Arrived: seen.add})
	address := freeAddress(t)
	config := writeFile(t, dir, "router.hcl", fmt.Sprintf("server {\n  listen = %q\n}\nplugin \"p\" {\n  wasm = \"p/p.wasm\"\n}\ndestination \"one\" {\n  url = %q\n}\nroute \"all\" {\n  through = [plugin.p]\n  to = [destination.one]\n}\n", address, rec.URL()))
	r := serveFile(t, config, address)
	last := func() string {
		list := seen.list()
		if len(list) == 0 {
			return ""
		}
		return list[len(list)-1].Body
	}
	post(t, r.base+"/events", `{"event":"a","data":{}}`)
	await(t, "the first build", func() bool { return strings.Contains(last(), `{"by":"first"}`) })
	build("second")
	if out, _, code := weir(t, dir, "reload"); code != 0 || !line(out, "plugin.p", "applied") || !line(out, "route.all", "unchanged") {
		t.Errorf("code %d\n%s", code, out)
	}
	post(t, r.base+"/events", `{"event":"a","data":{}}`)
	await(t, "the second build", func() bool { return strings.Contains(last(), `{"by":"second"}`) })
	if out, _, code := weir(t, dir, "reload"); code != 0 || !line(out, "plugin.p", "unchanged") {
		t.Errorf("code %d\n%s", code, out)
	}
}

// Reloads under load lose nothing, double nothing, and leave nothing waiting.
func TestReloadUnderLoad(t *testing.T) {
	seen := &arrivals{}
	rec := startReceiver(t, receiver.Options{Arrived: seen.add})
	r, config := configured(t, fmt.Sprintf("destination \"one\" {\n  url = %q\n  timeout = \"5s\"\n}\nroute \"all\" {\n  to = [destination.one]\n}\n", rec.URL()))
	var stop atomic.Bool
	var mu sync.Mutex
	accepted := map[string]bool{}
	var producers sync.WaitGroup
	for range 4 {
		producers.Go(func() {
			for !stop.Load() {
				if id := tryPost(r.base+"/events", `{"event":"a","data":1}`); id != "" {
					mu.Lock()
					accepted[id] = true
					mu.Unlock()
				}
			}
		})
	}
	for i := range 20 {
		rewrite(t, config, fmt.Sprintf("timeout = \"%ds\"", 5+i), fmt.Sprintf("timeout = \"%ds\"", 6+i))
		if status, answer := post(t, r.base+"/api/reload", `{}`); status != 200 {
			t.Fatalf("answered %d %v", status, answer)
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop.Store(true)
	producers.Wait()
	if len(accepted) < 100 {
		t.Fatalf("only %d events were accepted: this proves little", len(accepted))
	}
	got := func() map[string]int {
		m := map[string]int{}
		for _, a := range seen.list() {
			m[eventID(a.Body)]++
		}
		return m
	}
	await(t, "all events", func() bool { return len(got()) >= len(accepted) })
	for id, n := range got() {
		if !accepted[id] || n != 1 {
			t.Errorf("%s came %d times, accepted %v", id, n, accepted[id])
		}
	}
	r.stop(t)
}

// Without a router there is nothing to reload: the store is not even opened.
func TestReloadWithoutRouter(t *testing.T) {
	dir := t.TempDir()
	config := fmt.Sprintf("server {\n  listen = %q\n}\ndestination \"out\" {\n  url = \"stdout:\"\n}\nroute \"all\" {\n  to = [destination.out]\n}\n", freeAddress(t))
	if err := os.WriteFile(filepath.Join(dir, "router.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := weir(t, dir, "reload")
	if code != 1 || !strings.Contains(stderr, "no router answers at") || !strings.Contains(stderr, "--server") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !os.IsNotExist(err) {
		t.Errorf("there is a store now: %v", err)
	}
}
