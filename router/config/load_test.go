package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/expr"
)

// folder writes files and returns their folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, path string) *Config {
	t.Helper()
	c, r := Load(path, Options{LookupEnv: environment})
	if c == nil {
		t.Fatal(reportText(t, r))
	}
	return c
}

func whole() map[string]string {
	return map[string]string{
		"a/10-server.hcl": `
server {
  listen   = "localhost:0"
  max_body = "2MiB"
}
store "badger" {
  path      = "../data"
  retention = "1d12h"
  min_free  = "0B"
}
log {
  level = "debug"
  json  = true
}
defaults {
  timeout     = "7s"
  concurrency = 3
  secret      = env("SET")
  headers     = { "X-B" = "2", "x-a" = upper("q") }
  retry {
    schedule = ["0s", "1.5s"]
  }
}
`,
		"a/20-rest.hcl": `
source "github" {
  verify "github" {
    secrets = [env("SET"), trimspace(file("../old.txt"))]
  }
  type   = "github.${header["x-github-event"]}"
  id     = header["x-github-delivery"]
  dedupe = "1h"
}
source "shop" {
  path    = "/hooks/shop"
  format  = "native"
  subject = body.customer
  verify "hmac" {
    secrets  = [env("SET")]
    header   = "X-Shop-Signature"
    encoding = "base64"
    prefix   = "v1="
  }
}
plugin "redact" {
  wasm     = "../m.wasm"
  config   = { fields = ["email"], n = 9007199254740993, none = null }
  memory   = "8MiB"
  deadline = "250ms"
  on_error = "skip"
}
plugin "plain" {
  wasm = "../m.wasm"
}
destination "crm" {
  url     = "https://user:s3cret-value@crm.example.com/hooks"
  format  = "raw"
  timeout = "1m"
  headers = {}
  retry {
    jitter = 0
  }
}
destination "log" {
  url = "file:///tmp/x.jsonl"
}
destination "out" {
  url = "stdout:"
}
route "orders" {
  from    = [source.github, source.events]
  events  = ["order.*", join(".", ["a", "b"])]
  when    = event.data.total > 100
  through = [plugin.redact, plugin.plain, plugin.redact]
  to      = [destination.crm, destination.log]
}
route "rest" {
  fallback = true
  through  = []
  to       = [destination.out]
}
`,
		"old.txt": "old\n",
		"m.wasm":  string(module),
	}
}

func TestLoadFolder(t *testing.T) {
	dir := folder(t, whole())
	c := load(t, filepath.Join(dir, "a"))
	if !reflect.DeepEqual(c.Server, Server{Listen: "localhost:0", MaxBody: 2 << 20}) {
		t.Errorf("server %+v", c.Server)
	}
	wantStore := Store{Kind: "badger", Path: filepath.Join(dir, "data"), Retention: 36 * time.Hour, MinFree: 0, MaxAge: 30 * 24 * time.Hour}
	if c.Store != wantStore {
		t.Errorf("store %+v", c.Store)
	}
	if c.Log != (Log{Level: "debug", JSON: true}) {
		t.Errorf("log %+v", c.Log)
	}
	if names := []string{c.Sources[0].Name, c.Sources[1].Name, c.Sources[2].Name}; !reflect.DeepEqual(names, []string{"events", "github", "shop"}) {
		t.Errorf("sources %v", names)
	}
	events, github, shop := c.Source("events"), c.Source("github"), c.Source("shop")
	if events.Path != "/in/events" || events.Format != SourceNative || events.Verify.Kind != "none" || events.Dedupe != DefaultDedupe {
		t.Errorf("events %+v", events)
	}
	if github.Path != "/in/github" || github.Format != SourceRaw || github.Dedupe != time.Hour || github.Subject != nil {
		t.Errorf("github %+v", github)
	}
	if !reflect.DeepEqual(github.Verify, Verify{Kind: "github", Secrets: []Secret{"s3cret-value", "old"}}) {
		t.Error("verify of github")
	}
	if !reflect.DeepEqual(shop.Verify, Verify{Kind: "hmac", Secrets: []Secret{"s3cret-value"}, Header: "x-shop-signature", Algorithm: "sha256", Encoding: "base64", Prefix: "v1="}) || shop.Path != "/hooks/shop" || shop.Format != SourceNative {
		t.Errorf("shop %+v", shop)
	}
	if s, err := github.Type.String(&expr.Input{Header: []event.Field{{Name: "x-github-event", Value: "push"}}}); err != nil || s != "github.push" {
		t.Errorf("type %q, %v", s, err)
	}
	redact, plain := c.Plugin("redact"), c.Plugin("plain")
	if string(redact.Config) != `{"fields":["email"],"n":9007199254740993,"none":null}` || redact.Memory != 8<<20 || redact.Deadline != 250*time.Millisecond || redact.OnError != OnErrorSkip || redact.Path != filepath.Join(dir, "m.wasm") || len(redact.SHA256) != 64 {
		t.Errorf("redact %+v", redact)
	}
	if string(plain.Config) != "null" || plain.Memory != DefaultPluginMemory || plain.Deadline != DefaultPluginDeadline || plain.OnError != OnErrorDead || &plain.Wasm[0] != &redact.Wasm[0] {
		t.Errorf("plain %+v", plain)
	}
	crm, file, out := c.Destination("crm"), c.Destination("log"), c.Destination("out")
	if crm.Kind != "http" || crm.Format != FormatRaw || crm.Timeout != time.Minute || crm.Secret.Reveal() != "s3cret-value" || crm.Headers != nil || crm.Jitter != 0 || crm.Concurrency != 3 || len(crm.Schedule) != 2 {
		t.Errorf("crm %+v", crm)
	}
	if strings.Contains(crm.SafeURL(), "s3cret") || !strings.Contains(crm.URL, "s3cret") {
		t.Errorf("url %s", crm.SafeURL())
	}
	if file.Kind != "file" || file.Parsed.Path != "/tmp/x.jsonl" || out.Kind != "stdout" || out.Timeout != 7*time.Second || out.Format != FormatEnvelope || out.Jitter != DefaultJitter {
		t.Errorf("file %+v, out %+v", file, out)
	}
	if !reflect.DeepEqual(out.Headers, []event.Field{{Name: "x-a", Value: "Q"}, {Name: "x-b", Value: "2"}}) || !reflect.DeepEqual(out.Schedule, []time.Duration{0, 1500 * time.Millisecond}) {
		t.Errorf("out %+v", out)
	}
	orders, rest := c.Route("orders"), c.Route("rest")
	if !reflect.DeepEqual(orders.From, []string{"github", "events"}) || !reflect.DeepEqual(orders.Events, []string{"order.*", "a.b"}) || orders.Fallback ||
		!reflect.DeepEqual(orders.Through, []*Plugin{redact, plain, redact}) || !reflect.DeepEqual(orders.To, []*Destination{crm, file}) {
		t.Errorf("orders %+v", orders)
	}
	if orders.When.Source() != `event.data.total > 100` {
		t.Errorf("when %q", orders.When.Source())
	}
	if rest.From != nil || rest.Events != nil || rest.When != nil || rest.Through != nil || !rest.Fallback {
		t.Errorf("rest %+v", rest)
	}
}

func TestDefaults(t *testing.T) {
	dir := folder(t, map[string]string{"router.hcl": `
destination "d" {
  url = "stdout:"
}
`})
	c := load(t, filepath.Join(dir, "router.hcl"))
	if !reflect.DeepEqual(c.Server, Server{Listen: "127.0.0.1:8080", MaxBody: 1 << 20}) || c.Log != (Log{Level: "info"}) ||
		c.Store != (Store{Kind: "badger", Path: filepath.Join(dir, "data"), Retention: 7 * 24 * time.Hour, MinFree: 1 << 30, MaxAge: 30 * 24 * time.Hour}) {
		t.Errorf("%+v", c)
	}
	d := c.Destination("d")
	want := []time.Duration{0, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour}
	if d.Timeout != 5*time.Second || d.Jitter != 0.1 || d.Concurrency != 16 || d.Format != FormatEnvelope || !reflect.DeepEqual(d.Schedule, want) || d.Secret != "" || d.Headers != nil {
		t.Errorf("%+v", d)
	}
	if c.Destination("x") != nil || c.Plugin("x") != nil || c.Route("x") != nil || c.Source("x") != nil {
		t.Error("found what is not there")
	}
}

func TestHash(t *testing.T) {
	hash := func(change, text string) string {
		files := whole()
		if change != "" {
			files[change] += text
		}
		return load(t, filepath.Join(folder(t, files), "a")).Hash
	}
	first := hash("", "")
	if len(first) != 64 || hash("", "") != first {
		t.Fatalf("two loads of the same bytes: %s", first)
	}
	for _, name := range []string{"a/10-server.hcl", "old.txt", "m.wasm"} {
		if hash(name, "\n") == first {
			t.Errorf("%s does not count", name)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	c := load(t, filepath.Join(folder(t, whole()), "a"))
	s := c.Destination("crm").Secret
	j, err := json.Marshal(map[string]any{"s": s, "v": c.Source("github").Verify})
	if err != nil {
		t.Fatal(err)
	}
	all := string(j) + fmt.Sprintf("%s %v %+v %#v %q %x %d", s, s, s, s, s, s, s) + fmt.Sprintf("%+v %#v", c.Source("github").Verify, c.Source("github").Verify)
	if strings.Contains(all, "s3cret") || strings.Contains(all, "7333637265") {
		t.Fatalf("shown in %s", all)
	}
	if s.Reveal() != "s3cret-value" {
		t.Fatal("not revealed")
	}
}

func TestCheckPlugin(t *testing.T) {
	dir := folder(t, whole())
	var seen []string
	_, r := Load(filepath.Join(dir, "a"), Options{LookupEnv: environment, CheckPlugin: func(_ []byte, p *Plugin) error {
		seen = append(seen, p.Name)
		return errors.New("it has no export weir_filter")
	}})
	text := reportText(t, r)
	if !strings.Contains(text, "It has no export weir_filter.") || !strings.Contains(text, `in plugin "redact"`) || !strings.Contains(text, `in plugin "plain"`) {
		t.Fatal(text)
	}
	// Both have the same file, which is looked into once.
	if !reflect.DeepEqual(seen, []string{"redact"}) {
		t.Fatalf("looked into %v", seen)
	}
}

func TestUnreadable(t *testing.T) {
	dir := folder(t, map[string]string{"empty/x.txt": "", "big.hcl": strings.Repeat("#", maxFileSize+1), "deep.hcl": "x = " + strings.Repeat("[", 100000),
		"chain.hcl":  "x = " + strings.Repeat("!", maxOperators+1) + "true",
		"number.hcl": "plugin \"p\" {\n config = 1e300000000\n}\n", "f.hcl": "destination \"d\" {\n url = file(\"nope.txt\")\n}\n"})
	for name, want := range map[string]string{
		"gone.hcl": "there is no", "empty": "has no *.hcl", "big.hcl": "at most 16777216 are read",
		"deep.hcl": "Nested too deeply", "chain.hcl": "Too many operators", "number.hcl": "too many digits", "f.hcl": "There is no file",
	} {
		c, r := Load(filepath.Join(dir, name), Options{})
		if err := r.Err(); c != nil || err == nil || !strings.Contains(strings.ToLower(reportText(t, r)), strings.ToLower(want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBrokenFileHidesNames: what is defined in a file that does not parse is not
// called unknown.
func TestBrokenFileHidesNames(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.hcl": "destination \"d\" {\n  url = \n}\n",
		"b.hcl": "route \"r\" {\n  to   = [destination.d]\n  evnts = [\"a\"]\n}\n",
	})
	_, r := Load(dir, Options{})
	text := reportText(t, r)
	if strings.Contains(text, "Unknown destination") || !strings.Contains(text, `Did you mean "events"?`) || !strings.Contains(text, "a.hcl line 2") {
		t.Fatal(text)
	}
}

// TestManyBlocks: loading is not quadratic in the number of blocks. Where it is,
// this takes minutes.
func TestManyBlocks(t *testing.T) {
	var b strings.Builder
	const n = 10000
	for i := range n {
		fmt.Fprintf(&b, "destination \"d%d\" {\n  url = \"stdout:\"\n}\nroute \"r%d\" {\n  events = [\"t%d\"]\n  to = [destination.d%d]\n}\n", i, i, i, i)
	}
	c, r := Parse("x.hcl", []byte(b.String()), Options{})
	if c == nil || len(c.Routes) != n || c.Routes[n-1].To[0] != c.Destinations[n-1] {
		t.Fatal(r.Err())
	}
}

func TestJSONShape(t *testing.T) {
	_, r := Parse("x.hcl", []byte("route \"r\" {\n  tos = 1\n}\n"), Options{})
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"format_version":"1.0","valid":false,"error_count":2,"warning_count":0,"diagnostics":[` +
		`{"severity":"error","summary":"Missing attribute","detail":"The route \"r\" needs \"to\", such as to = [destination.name].",` +
		`"range":{"filename":"x.hcl","start":{"line":1,"column":1,"byte":0},"end":{"line":1,"column":10,"byte":9}},` +
		`"snippet":{"context":"route \"r\"","code":"route \"r\" {","start_line":1,"highlight_start_offset":0,"highlight_end_offset":9,"values":[]}},` +
		`{"severity":"error","summary":"Unknown attribute","detail":"A route has no attribute \"tos\". Did you mean \"to\"?",` +
		`"range":{"filename":"x.hcl","start":{"line":2,"column":3,"byte":14},"end":{"line":2,"column":6,"byte":17}},` +
		`"snippet":{"context":"route \"r\"","code":"  tos = 1","start_line":2,"highlight_start_offset":2,"highlight_end_offset":5,"values":[]}}]}`
	if string(b) != want {
		t.Fatalf("got %s", b)
	}
	_, r = Parse("x.hcl", nil, Options{})
	if b, err = json.Marshal(r); err != nil || string(b) != `{"format_version":"1.0","valid":true,"error_count":0,"warning_count":0,"diagnostics":[]}` {
		t.Fatalf("got %s, %v", b, err)
	}
}

func TestFunctions(t *testing.T) {
	dir := folder(t, map[string]string{"f.txt": "text"})
	for text, want := range map[string]string{
		`env("SET")`:                            `"s3cret-value"`,
		`env("UNSET", "d")`:                     `"d"`,
		`env("EMPTY", "d")`:                     `""`,
		`file("f.txt")`:                         `"text"`,
		`base64encode("a?")`:                    `"YT8="`,
		`base64decode("YT8=")`:                  `"a?"`,
		`length("aé") + length([1, 2])`:         `4`,
		`length({ a = 1 })`:                     `1`,
		`startswith("abc", "ab")`:               `true`,
		`strcontains("abc", "x")`:               `false`,
		`jsonencode({ b = 1, a = [1] })`:        `"{\"a\":[1],\"b\":1}"`,
		`jsondecode("[1]")[0]`:                  `1`,
		`lookup({ a = 1 }, "b", 2)`:             `2`,
		`merge({ a = 1 }, { b = 2 })`:           `{"a":1,"b":2}`,
		`coalesce(null, "x")`:                   `"x"`,
		`try(file("gone"), "x")`:                `"x"`,
		`[for x in ["a"] : upper(x)]`:           `["A"]`,
		`index(["a", "b"], "b")`:                `1`,
		`index(tolist([5, 7]), 7)`:              `1`,
		`try(index(["a"], "c"), "none")`:        `"none"`,
		`try(index([], "c"), "none")`:           `"none"`,
		`replace("a.b.c", ".", "-")`:            `"a-b-c"`,
		`replace("ab12", "/[0-9]+/", "")`:       `"ab"`,
		`replace("ab", "/(a)(b)/", "$2$1")`:     `"ba"`,
		`replace("a/b", "/", "-")`:              `"a-b"`,
		`try(replace("a", "/(/", ""), "none")`:  `"none"`,
		`[alltrue([true, 1 > 0]), alltrue([])]`: `[true,true]`,
		`alltrue([true, null])`:                 `false`,
		`[anytrue([false, true]), anytrue([])]`: `[true,false]`,
		`urlencode("a b&ü")`:                    `"a+b%26%C3%BC"`,
		`sha256("abc")`:                         `"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"`,
	} {
		src := "plugin \"p\" {\n  wasm = \"gone\"\n  config = " + text + "\n}\n"
		l := newLoader(Options{LookupEnv: environment})
		l.parse("x.hcl", []byte(src), dir)
		l.decode()
		if got := string(l.config.Plugins[0].Config); got != want {
			t.Errorf("%s: %s, want %s\n%s", text, got, want, reportText(t, l.report))
		}
	}
}

func TestUnits(t *testing.T) {
	for s, want := range map[string]time.Duration{"90s": 90 * time.Second, "7d": 168 * time.Hour, "1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond, "0s": 0, "1.5s": 1500 * time.Millisecond} {
		if d, err := ParseDuration(s); err != nil || d != want {
			t.Errorf("%s: %v, %v", s, d, err)
		}
	}
	for _, s := range []string{"", "5", "s", "5x", "-5s", "5 s", "1e9s", "99999999d", "1..5s", "5S"} {
		if d, err := ParseDuration(s); err == nil {
			t.Errorf("%q is read as %v", s, d)
		}
	}
	for s, want := range map[string]int64{"1MiB": 1 << 20, "512KiB": 512 << 10, "1.5GiB": 3 << 29, "10B": 10, "1 MB": 1e6} {
		if n, err := ParseSize(s); err != nil || n != want {
			t.Errorf("%s: %v, %v", s, n, err)
		}
	}
	for _, s := range []string{"", "5", "MiB", "5mib", "-1MiB", "99999999TiB", "1.2.3MiB"} {
		if n, err := ParseSize(s); err == nil {
			t.Errorf("%q is read as %v", s, n)
		}
	}
}

func TestLayout(t *testing.T) {
	out, r := Layout("x.hcl", []byte("route   \"r\" {\nto=[destination.a]\n  fallback   =  true\n}\n\n\n"))
	want := "route \"r\" {\n  to       = [destination.a]\n  fallback = true\n}\n"
	if r.HasErrors() || string(out) != want {
		t.Fatalf("got %q, %v", out, r.Err())
	}
	if again, _ := Layout("x.hcl", out); string(again) != want {
		t.Fatalf("not stable: %q", again)
	}
	if out, r := Layout("x.hcl", []byte("a {\n secret = \"hunter2\n")); out != nil || !r.HasErrors() || strings.Contains(reportText(t, r), "hunter2") {
		t.Fatalf("got %q, %v", out, r.Err())
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src []byte) {
		if strings.Contains(string(src), "file") || strings.Contains(string(src), "wasm") || len(src) > 20000 {
			return // nothing of the machine is read
		}
		c, r := Parse("x.hcl", src, Options{LookupEnv: environment, Dir: dir})
		if (c == nil) != r.HasErrors() {
			t.Fatalf("config %v, report %v", c, r.Err())
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
		reportText(t, r)
		if c != nil {
			for _, d := range c.Destinations {
				if d.Parsed == nil || d.Kind == "" || len(d.Schedule) == 0 || d.Concurrency < 1 || d.Timeout <= 0 {
					t.Fatalf("incomplete destination %+v", d)
				}
			}
			for _, x := range c.Routes {
				if len(x.To) == 0 {
					t.Fatalf("incomplete route %+v", x)
				}
			}
		}
		if out, r := Layout("x.hcl", src); !r.HasErrors() {
			if again, _ := Layout("x.hcl", out); string(again) != string(out) {
				t.Fatalf("layout is not stable:\n%q\n%q", out, again)
			}
		}
	})
}

// A program that only asks must work where the router's environment and modules
// are not.
func TestToAsk(t *testing.T) {
	src := []byte(`
store "badger" {
  path = env("WEIR_NO_SUCH_VARIABLE_DATA", "elsewhere")
}
plugin "p" {
  wasm = "missing.wasm"
}
destination "d" {
  url    = "http://127.0.0.1:1/"
  secret = env("WEIR_NO_SUCH_VARIABLE")
}
route "r" {
  through = [plugin.p]
  to      = [destination.d]
}
`)
	_, strict := Parse("x.hcl", src, Options{Dir: "."})
	if n, _ := strict.Count(); n != 2 {
		t.Errorf("%d errors, want 2: %v", n, strict.Err())
	}
	c, r := Parse("x.hcl", src, Options{Dir: ".", ToAsk: true})
	if r.HasErrors() {
		t.Fatal(r.Err())
	}
	if len(c.Routes) != 1 || len(c.Routes[0].Through) != 1 || filepath.Base(c.Store.Path) != "elsewhere" {
		t.Errorf("got %+v", c)
	}
}

// The server block is found whatever is wrong elsewhere, and not made up.
func TestLoadServer(t *testing.T) {
	const server = "server {\n  listen = var.at\n}\n"
	const at = "variable \"at\" {\n  default = \"127.0.0.1:1\"\n}\n"
	for name, c := range map[string]struct{ src, want string }{
		"all is right":           {server + at, "127.0.0.1:1"},
		"none is written":        {at, "127.0.0.1:8080"},
		"another block is wrong": {server + at + "junk {\n}\nroute \"r\" {\n  to = [destination.gone]\n}\n", "127.0.0.1:1"},
		"it ends in the middle":  {at + server + "route \"r\" {\n  to = [", "127.0.0.1:1"},
		"it may come after that": {at + "route \"r\" {\n  to = [", ""},
		"it is wrong itself":     {at + "server {\n  listen = 5\n}\n", ""},
		"what it names is gone":  {server, ""},
	} {
		path := filepath.Join(folder(t, map[string]string{"router.hcl": c.src}), "router.hcl")
		got := ""
		if s := LoadServer(path, Options{LookupEnv: environment}); s != nil {
			got = s.Listen
		}
		if got != c.want {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
	if LoadServer(filepath.Join(t.TempDir(), "gone.hcl"), Options{}) != nil {
		t.Error("found in no file")
	}
}

func TestDestinationSecretIsChecked(t *testing.T) {
	for secret, ok := range map[string]bool{
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": true,
		"any other text":                         true,
		"whsec_not base64!":                      false,
		"whsec_":                                 false,
	} {
		_, r := Parse("x.hcl", []byte("destination \"d\" {\n  url = \"http://127.0.0.1:1/\"\n  secret = \""+secret+"\"\n}\n"), Options{})
		if r.HasErrors() == ok {
			t.Errorf("%q: %v", secret, r.Err())
		}
		if !ok && strings.Contains(reportText(t, r), "not base64") {
			t.Errorf("the diagnostic shows the secret:\n%s", reportText(t, r))
		}
	}
}

// A condition that can never hold would be a route that never matches.
func TestConditionsMustBeConditions(t *testing.T) {
	for when, ok := range map[string]bool{
		`event.data.total > 5`:               true,
		`(event.data.a) && true`:             true,
		`event.data.flag`:                    true,
		`event.data.a ? true : event.data.b`: true,
		`!event.data.flag`:                   true,
		`can(event.data.a)`:                  true,
		`"event.data.total > 5"`:             false,
		`event.data.total + 5`:               false,
		`(-event.data.total)`:                false,
		`5`:                                  false,
		`[event.data.a]`:                     false,
		`"${event.data.a}-x"`:                false,
	} {
		_, r := Parse("x.hcl", []byte("destination \"d\" {\n  url = \"http://127.0.0.1:1/\"\n}\nroute \"r\" {\n  when = "+when+"\n  to = [destination.d]\n}\n"), Options{})
		if r.HasErrors() == ok {
			t.Errorf("when = %s: %v", when, r.Err())
		}
	}
}

// A token among the defaults is that of the pull destinations that have none.
func TestDefaultToken(t *testing.T) {
	c, r := Parse("x.hcl", []byte(`
defaults {
  token = "for-all-that-pull"
}
destination "a" {
  url = "pull:"
}
destination "b" {
  url   = "pull:"
  token = "for-b-alone"
}
destination "c" {
  url = "stdout:"
}
`), Options{LookupEnv: environment})
	if c == nil {
		t.Fatal(r.Err())
	}
	for i, want := range []string{"for-all-that-pull", "for-b-alone", ""} {
		if got := c.Destinations[i].Token; string(got) != want {
			t.Errorf("the token of %s is %q", c.Destinations[i].Name, string(got))
		}
	}
}
