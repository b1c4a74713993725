package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// upper is a plugin in C, since that is built in no time: it adds the length of a
// name, fails without one, and logs.
const upper = `#include "weir.h"

WEIR_FILTER { return !weir_get_bool("skip"); }

WEIR_TRANSFORM {
	const char *name = weir_get_string("name");
	if (!*name)
		return weir_fail("who is it?");
	weir_log(WEIR_INFO, weir_join("saw ", name));
	return weir_set_int("length", (int64_t)weir_length(name));
}
`

// goldenPlugin is a folder with that plugin, built, and its golden events.
func goldenPlugin(t *testing.T, cases map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "length")
	writeFile(t, dir, "plugin.c", upper)
	for name, text := range cases {
		writeFile(t, dir, "testdata/"+name, text)
	}
	if out, err := runPlugin("build", dir); err != nil {
		t.Fatal(err, out)
	}
	return dir
}

var goldenEvents = map[string]string{
	"changed.json": `{
  "event": {"type": "user.created", "data": {"name": "Ada", "id": 9007199254740993}},
  "want": {"messages": [{"data": {"name": "Ada", "id": 9007199254740993, "length": 3}}], "logs": ["info: saw Ada"]}
}`,
	"dropped.json": `{"event": {"data": {"skip": true}}, "want": {"filter": "drop"}}`,
	"failed.json":  `{"event": {"data": {}}, "want": {"error": {"class": "plugin", "text": "who is it?"}}}`,
}

func TestPluginTest(t *testing.T) {
	dir := goldenPlugin(t, goldenEvents)
	out, err := runPlugin("test", dir, "--repeat", "30")
	if err != nil || !strings.Contains(out, "ok    changed\n") || !strings.Contains(out, "3 passed, 0 failed, pure") {
		t.Fatalf("%v\n%s", err, out)
	}
	// What differs is shown, and nothing else.
	writeFile(t, dir, "testdata/changed.json", strings.Replace(goldenEvents["changed.json"], `"length": 3`, `"length": 4`, 1))
	out, err = runPlugin("test", dir)
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != 1 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"FAIL  changed\n", "--- want\n", "+++ got\n", "-        \"length\": 4,\n", "+        \"length\": 3,\n", "ok    failed\n", "2 passed, 1 failed"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	// The global flag is the root's.
	stdout, stderr, code := weir(t, dir, "plugin", "test", "-o", "json")
	var report goldenReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 1 {
		t.Fatalf("%v, code %d\n%s%s", err, code, stdout, stderr)
	}
	if report.Passed != 2 || report.Failed != 1 || len(report.Cases) != 3 || report.Cases[0].Diff == "" || report.Cases[0].Fuel <= 0 {
		t.Errorf("got %+v", report)
	}
}

func TestPluginTestUpdate(t *testing.T) {
	dir := goldenPlugin(t, map[string]string{
		"wrong.json": `{
  "event": {"data": {"name": "Ada",   "id": 1.0}},
  "want": {"messages": []}
}
`,
		"new.json": `{
  "event": {"data": {}}
}
`,
		"right.json": `{"event": {"data": {"skip": true}}, "want": {"filter": "drop"}}`,
	})
	out, err := runPlugin("test", dir, "--update")
	if err != nil || !strings.Contains(out, "wrote wrong\n") || !strings.Contains(out, "3 passed, 2 of them rewritten") {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range map[string]string{
		"wrong.json": `{
  "event": {"data": {"name": "Ada",   "id": 1.0}},
  "want": {
    "messages": [
      {
        "data": {
          "name": "Ada",
          "id": 1.0,
          "length": 3
        }
      }
    ]
  }
}
`,
		"new.json": `{
  "event": {"data": {}},
  "want": {
    "error": {
      "class": "plugin",
      "text": "who is it?"
    }
  }
}
`,
		"right.json": `{"event": {"data": {"skip": true}}, "want": {"filter": "drop"}}`,
	} {
		if got, err := os.ReadFile(filepath.Join(dir, "testdata", name)); err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, want)
		}
	}
	if out, err := runPlugin("test", dir); err != nil || !strings.Contains(out, "3 passed, 0 failed") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPluginTestRefusals(t *testing.T) {
	dir := goldenPlugin(t, map[string]string{"first.json": goldenEvents["failed.json"]})
	test := func(want string, args ...string) {
		t.Helper()
		if out, err := runPlugin(append([]string{"test"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q\n%s", args, err, want, out)
		}
	}
	test("no such file", filepath.Join(dir, "absent"))
	test("run weir plugin build "+filepath.Dir(dir)+" first", filepath.Dir(dir))
	test("--repeat -1", dir, "--repeat", "-1")
	test("--fuel 0", dir, "--fuel", "0")
	test("--memory", dir, "--memory", "much")
	test("--abi takes weir or stdio", dir, "--abi", "x")
	test("no such file", dir, "--wasm", filepath.Join(dir, "absent.wasm"))

	writeFile(t, dir, "testdata/spelled.json", `{"evnt": {}}`)
	test(`spelled.json: json: unknown field "evnt"`, dir)
	writeFile(t, dir, "testdata/spelled.json", `{"event": {"data": {}}`)
	test("spelled.json: not one JSON value: line 1", dir)
	if err := os.Remove(filepath.Join(dir, "testdata/spelled.json")); err != nil {
		t.Fatal(err)
	}

	// Nobody tests what is not built any more.
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(dir, "plugin.c"), later, later); err != nil {
		t.Fatal(err)
	}
	test("is older than "+filepath.Join(dir, "plugin.c"), dir)
	if out, err := runPlugin("test", dir, "--wasm", filepath.Join(dir, "length.wasm")); err != nil {
		t.Errorf("with a module that was named: %v\n%s", err, out)
	}

	if err := os.RemoveAll(filepath.Join(dir, "testdata")); err != nil {
		t.Fatal(err)
	}
	test("no golden events", dir, "--wasm", filepath.Join(dir, "length.wasm"))
}

func TestPluginBench(t *testing.T) {
	dir := goldenPlugin(t, goldenEvents)
	module := filepath.Join(dir, "length.wasm")
	event := filepath.Join(dir, "testdata/changed.json")
	out, err := runPlugin("bench", module, "--event", event, "-n", "50")
	if err != nil || !strings.Contains(out, "50 calls with changed, 39 bytes of data → 1 message") || !strings.Contains(out, "\npure ") || !strings.Contains(out, "\nreuse ") {
		t.Fatalf("%v\n%s", err, out)
	}
	stdout, stderr, code := weir(t, dir, "plugin", "bench", module, "--event", event, "-n", "50", "--isolation", "pure", "-o", "json")
	var report benchReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 {
		t.Fatalf("%v, code %d\n%s%s", err, code, stdout, stderr)
	}
	if len(report.Rows) != 1 || report.Calls != 50 || len(report.Build) != 64 {
		t.Fatalf("got %+v", report)
	}
	if row := report.Rows[0]; row.Fuel <= 0 || row.Fuel != row.MaxFuel || row.P50 <= 0 || row.P99 < row.P50 {
		t.Errorf("got %+v", row)
	}
	for want, args := range map[string][]string{
		"who is it?":                      {module}, // the order of bench has no name
		"-n 0":                            {module, "-n", "0"},
		"--isolation takes pure or reuse": {module, "--isolation", "none"},
		"--config is not JSON":            {module, "--event", event, "--config", "{"},
		"no such file":                    {filepath.Join(dir, "absent.wasm")},
		"golden event: open":              {module, "--event", filepath.Join(dir, "absent.json")},
		"--isolation takes pure, not":     {module, "--abi", "stdio", "--isolation", "reuse"},
		"not there with abi = \"stdio\"":  {module, "--abi", "stdio"},
	} {
		if out, err := runPlugin(append([]string{"bench"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q\n%s", args, err, want, out)
		}
	}
}

func TestPluginInspect(t *testing.T) {
	dir := goldenPlugin(t, nil)
	stdout, stderr, code := weir(t, dir, "plugin", "inspect", "length.wasm", "-o", "json")
	var seen map[string]any
	if err := json.Unmarshal([]byte(stdout), &seen); err != nil || code != 0 {
		t.Fatalf("%v, code %d\n%s%s", err, code, stdout, stderr)
	}
	for name, want := range map[string]any{"abi": 1.0, "kind": "filter and transform", "metered": true, "restorable": true, "language": "C"} {
		if seen[name] != want {
			t.Errorf("%s is %v, want %v", name, seen[name], want)
		}
	}
	for _, name := range []string{"size", "sha256", "exports", "imports", "memory_min"} {
		if seen[name] == nil {
			t.Errorf("%s is missing in\n%s", name, stdout)
		}
	}
	out, err := runPlugin("inspect", filepath.Join(dir, "length.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"filter and transform", "weir.get", "weir_abi_v1", "clang"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}
