package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/plugintest"
	"github.com/weirhq/weir/router/event"
)

// Guests in Go are built once for all tests.
var (
	hostileGuest = builtOnce("testdata/hostile")
	sdkGuest     = builtOnce("testdata/sdk")
)

func builtOnce(dir string) func(testing.TB) []byte {
	var once sync.Once
	var wasm []byte
	return func(t testing.TB) []byte {
		once.Do(func() { wasm = plugintest.BuildGo(t, dir) })
		if wasm == nil {
			t.Fatalf("%s was not built", dir)
		}
		return wasm
	}
}

// compiled is a cache on disk for all tests: compiling a Go guest takes a second,
// and ten with the race detector.
var compiled string

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-plugins-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	compiled = dir
	return m.Run()
}

// load is plugintest.Load with the cache.
func load(t testing.TB, s plugins.Spec) *plugins.Plugin {
	t.Helper()
	if s.Deadline == 0 {
		s.Deadline = time.Minute
	}
	p, err := newHost(t).Load(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// message is a small event for a test.
func message(typ, data string) *event.Message {
	return &event.Message{
		ID: "evt_1", Type: typ, Source: "github", Subject: "s1", Tenant: "acme",
		Time: time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC), Received: time.Date(2024, 1, 1, 12, 0, 1, 500, time.UTC),
		ContentType: "application/json", Data: []byte(data),
		Header: []event.Field{{Name: "x-one", Value: "1"}, {Name: "x-two", Value: "a"}, {Name: "x-two", Value: "b"}},
	}
}

func TestHostileGoGuest(t *testing.T) {
	const much = plugins.MaxFuel // so that what comes after fuel is met
	p := load(t, plugins.Spec{Name: "hostile", Wasm: hostileGuest(t), Memory: 8 << 20, Fuel: much})
	hasty := load(t, plugins.Spec{Name: "hasty", Wasm: hostileGuest(t), Deadline: 100 * time.Millisecond, Fuel: much})
	cases := []struct {
		typ    string
		class  plugins.Class
		text   string
		stderr string
	}{
		{"panic", plugins.ClassTrap, "panic: bare panic", "goroutine"},
		{"nil", plugins.ClassTrap, "nil pointer dereference", "goroutine"},
		{"loop", plugins.ClassDeadline, "took longer than 100ms", ""},
		{"memory", plugins.ClassMemory, "out of memory", "out of memory"},
		{"recursion", plugins.ClassMemory, "", ""},
		{"exit", plugins.ClassExit, "exit with code 3", ""},
		{"stderr", plugins.ClassTrap, "panic: after the noise", "noise"},
		{"result", plugins.ClassBadResult, "weir_transform returned 7", ""},
		{"negative", plugins.ClassPlugin, "returned -5 and gave no reason", ""},
		{"pointer", plugins.ClassTrap, "outside of the memory", ""},
		{"sdk-panic", plugins.ClassPlugin, "panic: inside 1", ""},
		{"sdk-error", plugins.ClassPlugin, "no customer", ""},
		{"path", plugins.ClassPlugin, "malformed path", ""},
	}
	for _, c := range cases {
		guilty := p
		if c.class == plugins.ClassDeadline {
			guilty = hasty
		}
		r, err := guilty.Run(context.Background(), message(c.typ, "{}"), "r")
		var e *plugins.Error
		if !errors.As(err, &e) || r != nil {
			t.Errorf("%s: got %v, %v; want an error", c.typ, r, err)
			continue
		}
		if e.Class != c.class || !strings.Contains(e.Text, c.text) || !strings.Contains(e.Stderr, c.stderr) {
			t.Errorf("%s: got class %s, text %q, stderr %q; want %s, %q", c.typ, e.Class, e.Text, e.Stderr, c.class, c.text)
		}
		if len(e.Stderr) > 5<<10 {
			t.Errorf("%s: %d bytes of stderr were kept", c.typ, len(e.Stderr))
		}
		if e.Host() != (c.class == plugins.ClassDeadline) {
			t.Errorf("%s: Host() is %v", c.typ, e.Host())
		}
		// The next event meets a healthy plugin in its first state.
		r, err = p.Run(context.Background(), message("fine", "{}"), "r")
		if err != nil {
			t.Fatalf("after %s: %v", c.typ, err)
		}
		want := `{"seen":2,"time":"2024-01-01T12:00:01.0000005Z","random":`
		if got := string(r.Messages[0].Data); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `"args":0,"env":0,"file":false}`) {
			t.Errorf("after %s: got %s, want it to begin with %s", c.typ, got, want)
		}
	}
}

func TestGoGuestIsPure(t *testing.T) {
	p := load(t, plugins.Spec{Name: "pure", Wasm: hostileGuest(t)})
	run := func(id string) string {
		m := message("fine", "{}")
		m.ID = id
		r, err := p.Run(context.Background(), m, "r")
		if err != nil {
			t.Fatal(err)
		}
		return string(r.Messages[0].Data)
	}
	a, b := run("evt_a"), run("evt_b")
	if strings.Contains(a, `"random":0`) {
		t.Errorf("no randomness in %s", a)
	}
	for range 5 {
		if got := run("evt_a"); got != a {
			t.Errorf("the same event gave %s and %s", a, got)
		}
		if got := run("evt_b"); got != b {
			t.Errorf("the same event gave %s and %s", b, got)
		}
	}
	m := message("sleep", "{}")
	if _, err := p.Run(context.Background(), m, "r"); err != nil {
		t.Errorf("sleeping: %v", err)
	}
}

func TestSDK(t *testing.T) {
	p := load(t, plugins.Spec{Name: "sdk", Wasm: sdkGuest(t), Config: []byte(`"héllo"`)})
	ctx := context.Background()

	in := message("edit", `{"list":[41, 2.0],"gone":null, "big": 9007199254740993}`)
	r, err := p.Run(ctx, in, "r")
	if err != nil {
		t.Fatal(err)
	}
	if r.Filter != plugins.Keep || r.Transform != plugins.Changed || len(r.Messages) != 1 {
		t.Fatalf("got %+v", r)
	}
	out := r.Messages[0]
	if want := `{"list":[42, 2.0], "big": 9007199254740993,"a":{"b":"\"quoted\"\n"},"greeting":"héllo"}`; string(out.Data) != want {
		t.Errorf("got  %s\nwant %s", out.Data, want)
	}
	if out.Type != "changed" || out.Subject != "s2" || len(out.SetHeader) != 1 || out.SetHeader[0] != (event.Field{Name: "x-set", Value: "yes"}) || len(out.Header) != 1 {
		t.Errorf("got %+v", out)
	}
	if in.Type != "edit" || string(in.Data) != `{"list":[41, 2.0],"gone":null, "big": 9007199254740993}` || len(in.Header) != 3 || in.SetHeader != nil {
		t.Errorf("the message given was changed: %+v", in)
	}

	r, err = p.Run(ctx, message("split", `{"items":[{"n":1}, "two" ,3]}`), "r")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range r.Messages {
		got = append(got, string(m.Data))
	}
	if r.Transform != plugins.Emitted || strings.Join(got, ";") != `{"n":1};"two";3` {
		t.Errorf("split: %s, %q", r.Transform, got)
	}

	r, err = p.Run(ctx, message("drop", `{}`), "r")
	if err != nil || r.Transform != plugins.Dropped || len(r.Messages) != 0 {
		t.Errorf("drop: %+v, %v", r, err)
	}
	r, err = p.Run(ctx, message("any", `{"drop":true}`), "r")
	if err != nil || r.Filter != plugins.Drop || r.Transform != plugins.None || len(r.Messages) != 0 {
		t.Errorf("filtered: %+v, %v", r, err)
	}

	long := strings.Repeat("x", 3000) // larger than the SDK's first buffer
	r, err = p.Run(ctx, message("fields", `"`+long+`"`), "the-route")
	if err != nil {
		t.Fatal(err)
	}
	want := `evt_1|fields|github|s1|acme|2024-01-01T12:00:00Z|the-route|application/json|1|"` + long + `"|{"id":"evt_1","type":"fields"`
	if len(r.Logs) != 1 || r.Logs[0].Level != 3 || !strings.HasPrefix(r.Logs[0].Text, want) {
		t.Errorf("fields: got %.300s", fmt.Sprint(r.Logs))
	}
	if r.Transform != plugins.Same {
		t.Errorf("fields: got %s", r.Transform)
	}

	var e *plugins.Error
	if _, err = p.Run(ctx, message("limit", `{}`), "r"); !errors.As(err, &e) || e.Class != plugins.ClassPlugin || !strings.Contains(e.Text, "64 results") {
		t.Errorf("limit: %v", err)
	}
}

func TestInitCanRefuse(t *testing.T) {
	h := newHost(t)
	_, err := h.Load(context.Background(), plugins.Spec{Name: "picky", Wasm: sdkGuest(t), Config: []byte(`{"refuse":true}`)})
	var e *plugins.Error
	if !errors.As(err, &e) || e.Class != plugins.ClassInit || e.Text != "config refused" {
		t.Fatalf("got %v", err)
	}
}

func newHost(t testing.TB) *plugins.Host {
	t.Helper()
	h, err := plugins.NewHost(context.Background(), plugins.Options{CacheDir: compiled})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}
