package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/weirhq/weir/router/api"
)

// module is the path of a guest of the ABI's conformance suite.
func module(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "plugins", "abi", "testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// lookUp asks the router's API.
func lookUp(t *testing.T, r *Router, path string, into any) int {
	t.Helper()
	res, err := r.Handler().Test(httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// A plugin tells what it did, how its shadow differs, and that it is held; the
// events that come then wait where they are seen, and go on when it works again.
func TestPluginStatus(t *testing.T) {
	log := &safeBuffer{}
	hcl := fmt.Sprintf(`
plugin "p" {
  wasm   = %q # exits with data.exit
  shadow = %q # replaces all of data
}
destination "out" {
  url = "stdout:"
}
route "all" {
  through = [plugin.p]
  to      = [destination.out]
}
`, module(t, "exit"), module(t, "set-all"))
	dir := t.TempDir()
	r := start(t, dir, hcl, Options{Stdout: &safeBuffer{}, Logger: hclog.New(&hclog.LoggerOptions{Output: log})})
	send := func(id, data string) {
		t.Helper()
		if _, err := r.Publish(context.Background(), Event{Type: "x", ID: id, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	var p api.Plugin
	status := func(ok func() bool) func() bool {
		return func() bool {
			p = api.Plugin{}
			lookUp(t, r, "/api/plugins/p", &p)
			return ok()
		}
	}
	send("one", `{"n": 1}`)
	await(t, "the shadow", status(func() bool { return p.Shadow != nil && p.Shadow.Compared == 1 }))
	if p.Status != "active" || p.Kind != "transform" || p.Calls != 1 || p.Transforms["same"] != 1 || len(p.Errors) != 0 || p.Fuel == 0 ||
		p.MeanMS <= 0 || p.Instances < 1 || p.Memory < 64<<10 || p.Since == nil || len(p.Routes) != 1 || p.Routes[0] != "all" {
		t.Errorf("it says %+v", p)
	}
	if s := p.Shadow; s.Different != 1 || s.Kinds["data"] != 1 || len(s.Differences) != 1 || s.Differences[0].Event != "one" ||
		s.Differences[0].Plugin != `{"n": 1}` || s.Differences[0].Shadow != "[null]" {
		t.Errorf("the shadow says %+v", s)
	}
	var list api.PluginList
	if code := lookUp(t, r, "/api/plugins", &list); code != 200 || len(list.Plugins) != 1 || list.Plugins[0].Shadow.Different != 1 || list.Plugins[0].Shadow.Differences != nil {
		t.Errorf("%d: the list has %+v", code, list)
	}
	var e api.Explanation
	await(t, "the routing to be stored", func() bool {
		e = api.Explanation{}
		lookUp(t, r, "/api/events/one/explain", &e)
		return e.Routed
	})
	if len(e.Routes) != 1 || len(e.Routes[0].Plugins) != 1 || e.Routes[0].Plugins[0].Fuel != int64(p.Fuel) || len(e.Routes[0].Plugins[0].Shadow) != 1 {
		t.Errorf("it is explained as %+v", e.Routes)
	}
	var refused map[string]any
	if code := lookUp(t, r, "/api/plugins/q", &refused); code != 404 || refused["code"] != "plugin_not_found" {
		t.Errorf("%d: %v", code, refused)
	}

	// It exits again and again.
	for i := range 25 {
		send(fmt.Sprintf("bad-%d", i), `{"exit": 3}`)
	}
	await(t, "the hold", status(func() bool { return p.Status == "held" && p.Held.TurnedAway > 0 }))
	if p.Errors["exit"] != 20 || !strings.Contains(p.Held.Fault, "exit with code 3") || !p.Held.Until.After(p.Held.Since) {
		t.Errorf("it says %+v, %+v", p, p.Held)
	}
	if !strings.Contains(log.String(), "the plugin is held") {
		t.Errorf("the log does not say so:\n%s", log)
	}
	send("good", `{"n": 2}`)
	var waiting api.DeliveryList
	await(t, "the event to wait", func() bool {
		lookUp(t, r, "/api/deliveries?destination=@routing&status=retrying", &waiting)
		for _, d := range waiting.Deliveries {
			if d.EventID == "good" {
				return strings.Contains(d.Note, "held") && d.Due != nil
			}
		}
		return false
	})

	// A build that works takes over from it; what waits goes on when it is due, or
	// when it is told to.
	mended := strings.Replace(hcl, "exit.wasm", "set-all.wasm", 1)
	if _, err := r.Reload(context.Background(), parse(t, dir, mended), false); err != nil {
		t.Fatal(err)
	}
	for _, d := range waiting.Deliveries {
		if d.EventID != "good" {
			continue
		}
		res, err := r.Handler().Test(httptest.NewRequest(http.MethodPost, "http://localhost/api/deliveries/"+d.ID+"/retry", nil), -1)
		if err != nil || res.StatusCode != 202 {
			t.Fatal(res, err)
		}
	}
	await(t, "it to be delivered", func() bool {
		var list api.DeliveryList
		lookUp(t, r, "/api/events/good/deliveries", &list)
		for _, d := range list.Deliveries {
			if d.Destination == "out" && d.Status == "delivered" {
				return true
			}
		}
		return false
	})
	if !status(func() bool { return p.Status == "active" && p.Calls >= 1 && p.Held == nil })() {
		t.Errorf("the new build says %+v", p)
	}
}

// While no router runs, the plugins of the configuration are told all the same.
// A build that traps on the empty event is refused where the one that runs does not
// trap, and else taken.
func TestWorseBuildIsRefused(t *testing.T) {
	hcl := func(build, memory string) string {
		return fmt.Sprintf(`
plugin "p" {
  wasm   = %q
  memory = %q
}
destination "out" {
  url = "stdout:"
}
route "all" {
  through = [plugin.p]
  to      = [destination.out]
}
`, module(t, build), memory)
	}
	dir := t.TempDir()
	r := start(t, dir, hcl("set-all", "1MiB"), Options{Stdout: &safeBuffer{}})
	build := func() string {
		var p api.Plugin
		lookUp(t, r, "/api/plugins/p", &p)
		return filepath.Base(p.Wasm) + " " + p.Build[:8]
	}
	was := build()
	_, err := r.Reload(context.Background(), parse(t, dir, hcl("trap-filter", "1MiB")), false)
	if err == nil || !strings.Contains(err.Error(), "warm-up") || !strings.Contains(err.Error(), "unreachable") || build() != was {
		t.Errorf("%s went on: %v", build(), err)
	}
	bad := t.TempDir()
	r = start(t, bad, hcl("trap-filter", "1MiB"), Options{Stdout: &safeBuffer{}})
	if _, err := r.Reload(context.Background(), parse(t, bad, hcl("trap-filter", "2MiB")), false); err != nil {
		t.Errorf("one that is no worse: %v", err)
	}
}

func TestPluginStatusOffline(t *testing.T) {
	dir := t.TempDir()
	hcl := fmt.Sprintf("plugin \"p\" {\n  wasm = %q\n}\n", module(t, "exit"))
	start(t, dir, hcl, Options{}).Close(context.Background())
	r := start(t, dir, hcl, Options{Inspect: true})
	var p api.Plugin
	if code := lookUp(t, r, "/api/plugins/p", &p); code != 200 || p.Status != "not_loaded" || len(p.Build) != 64 || p.Calls != 0 {
		t.Errorf("%d: %+v", code, p)
	}
}
