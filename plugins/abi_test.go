package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/plugintest"
	"github.com/weirhq/weir/router/event"
)

// transform assembles a transform.
func transform(p *program, code int32) []byte {
	return guest{transform: p.returns(code), data: p.data}.build()
}

func runOnce(t *testing.T, wasm []byte, m *event.Message) (*plugins.Result, error) {
	t.Helper()
	return plugintest.Load(t, plugins.Spec{Name: "t", Wasm: wasm, Config: []byte(`{"k":1}`)}).Run(context.Background(), m, "big-orders")
}

func logged(r *plugins.Result) string {
	var b strings.Builder
	for _, l := range r.Logs {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}

func TestReads(t *testing.T) {
	m := message("order.paid", `{"a" : {"b":[1, "two"]},"dup":1,"dup":2}`)
	fields := []string{
		`{"a" : {"b":[1, "two"]},"dup":1,"dup":2}`, "order.paid", "evt_1", "github", "s1", "2024-01-01T12:00:00Z", "application/json",
		`{"id":"evt_1","type":"order.paid","source":"github","subject":"s1","time":"2024-01-01T12:00:00Z","header":{"x-one":"1","x-two":"a, b"},"data":{"a" : {"b":[1, "two"]},"dup":1,"dup":2}}`,
		`{"k":1}`, "big-orders", "acme",
	}
	p := &program{}
	var want strings.Builder
	for i, f := range fields {
		p.read(f, "read", i)
		want.WriteString(f + "\n")
	}
	for _, c := range []struct{ path, value string }{{"a.b.1", `"two"`}, {"dup", "2"}, {"", fields[0]}, {"a", `{"b":[1, "two"]}`}} {
		p.read(c.value, "get", c.path)
		want.WriteString(c.value + "\n")
	}
	for _, c := range []struct{ name, value string }{{"x-one", "1"}, {"X-TWO", "a, b"}} {
		p.read(c.value, "header", c.name)
		want.WriteString(c.value + "\n")
	}
	p.want(-2, "read", 11, buffer, 10).want(-2, "read", -1, buffer, 10)
	p.want(-1, "get", "nope", buffer, 10).want(-1, "get", "a.b.2", buffer, 10).want(-1, "get", "a.b.c", buffer, 10)
	p.want(-2, "get", "a..b", buffer, 10).want(-2, "get", `a\b`, buffer, 10).want(-2, "get", "\xff", buffer, 10)
	p.want(-1, "header", "absent", buffer, 10).want(-2, "header", "", buffer, 10).want(-2, "header", "a b", buffer, 10)
	// The full length, and nothing written, when it exceeds cap.
	p.want(5, "get", "a.b.1", 24<<10, 4).want(10, "read", 1, 0, 0)
	p.body = append(append(p.body, constant(24<<10)...), opLoad8, 0, 0, opIf, blockEmpty, opUnreachable, opEnd)
	r, err := runOnce(t, transform(p, 0), m)
	if err != nil {
		t.Fatal(err)
	}
	if got := logged(r); got != want.String() {
		t.Errorf("got\n%swant\n%s", got, want.String())
	}
	if r.Transform != plugins.Same || len(r.Messages) != 1 || r.Messages[0] != m {
		t.Errorf("got %+v", r)
	}
}

func TestAbsentFields(t *testing.T) {
	m := &event.Message{ID: "evt_1", Type: "t", Source: "s", ContentType: "image/png", Data: []byte{0xff, 0}}
	p := (&program{}).want(-1, "read", 4, buffer, 9).want(-1, "read", 10, buffer, 9).want(2, "read", 0, buffer, 9)
	p.want(-1, "get", "", buffer, 9).want(-1, "set", "a", "1").want(-1, "remove", "a")
	p.read(`{"id":"evt_1","type":"t","source":"s","time":"0001-01-01T00:00:00Z","header":{},"data_base64":"/wA="}`, "read", 7)
	if _, err := runOnce(t, transform(p, 0), m); err != nil {
		t.Error(err)
	}
	m.ContentType, m.Data = "", []byte("text")
	p = (&program{}).want(-1, "read", 6, buffer, 9).read(`"text"`, "get", "")
	if _, err := runOnce(t, transform(p, 0), m); err != nil {
		t.Error(err)
	}
	m.ContentType, m.Data = "application/x-www-form-urlencoded", []byte("a=1&b=x+y&a=2")
	p = (&program{}).read(`["1","2"]`, "get", "a").read(`"x y"`, "get", "b").want(-1, "set", "a", `"3"`)
	if _, err := runOnce(t, transform(p, 0), m); err != nil {
		t.Error(err)
	}
}

func TestChanges(t *testing.T) {
	p := &program{}
	p.want(0, "set", "a.b.0", `"x"`).want(0, "set", "new.deep", "true").want(0, "remove", "dup")
	p.read(`{"a" : {"b":["x", "two"]},"new":{"deep":true}}`, "read", 0)
	p.want(-1, "set", "a.b.9", "1").want(-1, "set", "a.b.0.z", "1").want(-1, "remove", "dup").want(-1, "remove", "")
	p.want(-2, "set", "a", "{").want(-2, "set", "a..b", "1").want(-2, "set", "a", "").want(-2, "remove", `\`)
	p.want(-2, "write", 0, "{]").want(-2, "write", 1, "").want(-2, "write", 1, "a\nb").want(-2, "write", 4, "\xff").want(-2, "write", 6, "a\r\nb: c")
	for _, field := range []int{2, 3, 5, 7, 8, 9, 10, 11, -1} {
		p.want(-2, "write", field, "x")
	}
	p.want(-3, "write", 1, "weir.forged")
	p.want(0, "write", 1, "t2").read("t2", "read", 1).want(0, "write", 4, "").want(-1, "read", 4, buffer, 9)
	p.want(0, "set_header", "X-New", "v").read("v", "header", "x-new").want(0, "set_header", "x-one", "hidden").read("hidden", "header", "X-One")
	p.want(0, "set_header", "x-new", "v2").want(0, "remove_header", "x-two").want(-1, "remove_header", "x-two").want(-1, "header", "x-two", buffer, 9)
	p.want(-2, "set_header", "a b", "v").want(-2, "set_header", "ok", "a\r\nb").want(-2, "remove_header", "")
	for _, h := range []string{
		"Host", "content-length", "Transfer-Encoding", "connection", "user-agent", "webhook-id", "Webhook-X", "X-Webhook-Signature", "authorization",
		"Content-Type", "te", "Trailer", "upgrade", "expect", "keep-alive", "proxy-connection", "Proxy-Authorization",
	} {
		p.want(-3, "set_header", h, "v").want(-3, "remove_header", h)
	}
	p.call("log", 9, "loud").call("log", -1, "quiet")
	m := message("t", `{"a" : {"b":[1, "two"]},"dup":1,"dup":2}`)
	r, err := runOnce(t, transform(p, 0), m)
	if err != nil {
		t.Fatal(err)
	}
	got := r.Messages[0]
	if r.Transform != plugins.Changed || string(got.Data) != `{"a" : {"b":["x", "two"]},"new":{"deep":true}}` || got.Type != "t2" || got.Subject != "" {
		t.Errorf("got %s, %+v", r.Transform, got)
	}
	if h := fmt.Sprint(got.SetHeader, got.Header); h != "[{x-one hidden} {x-new v2}] [{x-one 1}]" {
		t.Errorf("got headers %s", h)
	}
	if fmt.Sprint(*m) != fmt.Sprint(*message("t", `{"a" : {"b":[1, "two"]},"dup":1,"dup":2}`)) {
		t.Errorf("the message given was changed: %+v", m)
	}
	last := r.Logs[len(r.Logs)-2:]
	if last[0] != (plugins.Log{Level: 5, Text: "loud"}) || last[1] != (plugins.Log{Level: 1, Text: "quiet"}) {
		t.Errorf("got logs %v", last)
	}
}

// Data under a JSON content type is JSON, in whichever order the two change.
func TestContentTypeAndDataAgree(t *testing.T) {
	p := (&program{}).want(0, "write", 6, "text/plain").want(0, "write", 0, "no json").want(-2, "write", 6, "application/x+json").want(0, "write", 0, "[1]").want(0, "write", 6, "application/x+json")
	r, err := runOnce(t, transform(p, 0), message("t", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Messages[0]; m.ContentType != "application/x+json" || string(m.Data) != "[1]" {
		t.Errorf("got %+v", m)
	}
}

// A plugin can't make what a source would refuse from a producer, nor a header
// that can't be sent.
func TestWritesWhatIngestTakes(t *testing.T) {
	p := &program{}
	for _, s := range []string{"", "a b", "a\tb", "a\u00a0b", "\xff", strings.Repeat("t", event.MaxType+1)} {
		p.want(-2, "write", 1, s)
	}
	for _, s := range []string{"a\nb", "a\u0085b", "\xff", strings.Repeat("s", event.MaxSubject+1)} {
		p.want(-2, "write", 4, s)
	}
	for _, s := range []string{"text/\x01plain", "text/é", " text/plain", "text/pl\tain", strings.Repeat("c", event.MaxContentType+1)} {
		p.want(-2, "write", 6, s)
	}
	for _, s := range []string{"a\r\nb: c", "\x00", "\x1b", "\x7f", " a", "a\t", "\xff"} {
		p.want(-2, "set_header", "x-new", s)
	}
	if r, err := runOnce(t, transform(p, 0), message("t", "{}")); err != nil || r.Transform != plugins.Same {
		t.Errorf("got %+v, %v", r, err)
	}
	// And all that it would take.
	typ, subject, contentType := strings.Repeat("t", event.MaxType), strings.Repeat("ä", event.MaxSubject/2), "text/"+strings.Repeat("c", event.MaxContentType-5)
	p = (&program{}).want(0, "write", 1, typ).want(0, "write", 4, subject).want(0, "write", 6, contentType).want(0, "set_header", "x-new", "a\tb é")
	r, err := runOnce(t, transform(p, 0), message("t", "{}"))
	if err != nil {
		t.Fatal(err)
	}
	if m := r.Messages[0]; m.Type != typ || m.Subject != subject || m.ContentType != contentType || fmt.Sprint(m.SetHeader) != "[{x-new a\tb é}]" {
		t.Errorf("got %+v", m)
	}
}

func TestFilterChangesNothing(t *testing.T) {
	p := (&program{}).want(-3, "write", 1, "x").want(-3, "set", "a", "1").want(-3, "remove", "a").want(-3, "set_header", "x", "y").
		want(-3, "remove_header", "x-one").want(-3, "emit").read(`{"a":1}`, "read", 0).read("1", "header", "x-one")
	for code, want := range map[int32]plugins.Verdict{1: plugins.Keep, 0: plugins.Drop} {
		m := message("t", `{"a":1}`)
		r, err := runOnce(t, guest{filter: p.returns(code), data: p.data}.build(), m)
		if err != nil {
			t.Fatal(err)
		}
		if r.Filter != want || r.Transform != plugins.None || (want == plugins.Keep) != (len(r.Messages) == 1) {
			t.Errorf("%d: got %+v", code, r)
		}
	}
}

func TestEmit(t *testing.T) {
	p := (&program{}).want(0, "set", "a", "2").want(0, "write", 1, "t2").want(0, "set_header", "x-one", "9").want(0, "emit").
		read(`{"a":1}`, "read", 0).read("t", "read", 1).read("1", "header", "x-one").want(0, "set", "b", "3").want(0, "emit").want(0, "set", "lost", "1")
	r, err := runOnce(t, transform(p, 2), message("t", `{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.Transform != plugins.Emitted || len(r.Messages) != 2 {
		t.Fatalf("got %+v", r)
	}
	if a, b := r.Messages[0], r.Messages[1]; string(a.Data) != `{"a":2}` || a.Type != "t2" || len(a.SetHeader) != 1 || string(b.Data) != `{"a":1,"b":3}` || b.Type != "t" || len(b.SetHeader) != 0 {
		t.Errorf("got %+v and %+v", a, b)
	}
	if r, err = runOnce(t, transform(&program{}, 2), message("t", "{}")); err != nil || r.Transform != plugins.Emitted || len(r.Messages) != 0 {
		t.Errorf("nothing emitted: %+v, %v", r, err)
	}
	if r, err = runOnce(t, transform(&program{}, 1), message("t", "{}")); err != nil || r.Transform != plugins.Dropped || len(r.Messages) != 0 {
		t.Errorf("dropped: %+v, %v", r, err)
	}
}

func TestLimits(t *testing.T) {
	p := &program{}
	for range plugins.MaxResults {
		p.want(0, "emit")
	}
	p.want(-4, "emit")
	r, err := runOnce(t, transform(p, 2), message("t", "{}"))
	if err != nil || len(r.Messages) != plugins.MaxResults {
		t.Fatalf("got %v", err)
	}

	// Each result holds nearly 2 MiB: two fit.
	large := `"` + strings.Repeat("x", 2<<20-100) + `"`
	p = (&program{}).want(0, "emit").want(0, "emit").want(-4, "emit").read("t", "read", 1)
	if _, err := runOnce(t, transform(p, 2), message("t", large)); err != nil {
		t.Error(err)
	}
	// One message may not be made larger than 4 MiB; the data stays as it is.
	p = (&program{}).want(-4, "write", 4, strings.Repeat("s", 300)).want(0, "write", 4, "s").want(-4, "set", "1", `"`+strings.Repeat("s", 300)+`"`)
	near := `["` + strings.Repeat("x", 4<<20-100) + `"]`
	r, err = runOnce(t, transform(p, 0), message("t", near))
	if err != nil {
		t.Error(err)
	} else if m := r.Messages[0]; m.Subject != "s" || string(m.Data) != near {
		t.Errorf("subject %q, %d bytes", m.Subject, len(m.Data))
	}
	// One that came in larger goes on, and may shrink.
	over := `{"a":"` + strings.Repeat("x", 5<<20) + `","b":1}`
	if r, err = runOnce(t, transform((&program{}).want(0, "remove", "b"), 0), message("t", over)); err != nil || r.Transform != plugins.Changed {
		t.Errorf("larger than the limit: %v", err)
	}

	p = &program{}
	for i := range 150 {
		p.call("log", 3, fmt.Sprintf("%d %s", i, strings.Repeat("y", 100)))
	}
	if r, err = runOnce(t, transform(p, 0), message("t", "{}")); err != nil || len(r.Logs) != 100 {
		t.Errorf("%d lines logged, %v", len(r.Logs), err)
	}
	p = (&program{}).call("log", 3, strings.Repeat("y", 10000)).call("log", 3, "\xff")
	if r, err = runOnce(t, transform(p, 0), message("t", "{}")); err != nil || len(r.Logs[0].Text) != 4096 || r.Logs[1].Text != "\uFFFD" {
		t.Errorf("%v", err)
	}
}

func TestInitImports(t *testing.T) {
	p := (&program{}).read(`{"k":1}`, "read", 8).want(-1, "read", 0, buffer, 9).want(-1, "read", 2, buffer, 9).want(-1, "get", "a", buffer, 9).
		want(-1, "header", "a", buffer, 9).want(-3, "set", "a", "1").want(-3, "write", 1, "x").want(-3, "emit").want(-3, "set_header", "a", "b")
	g := guest{init: p.returns(0), transform: (&program{}).returns(0), data: p.data}
	if _, err := runOnce(t, g.build(), message("t", "{}")); err != nil {
		t.Error(err)
	}
}

// Every way in which a module made by hand can fail in a call.
func TestFaults(t *testing.T) {
	cases := []struct {
		name  string
		g     guest
		class plugins.Class
		text  string
	}{
		{"unreachable", guest{transform: []byte{opUnreachable}}, plugins.ClassTrap, "unreachable"},
		{"filter traps", guest{filter: []byte{opUnreachable}, transform: constant(0)}, plugins.ClassTrap, "unreachable"},
		{"loop", guest{transform: append([]byte{opLoop, blockEmpty, opBr, 0, opEnd}, constant(0)...)}, plugins.ClassFuel, "raise `fuel`"},
		{"slow loop", guest{transform: append([]byte{opLoop, blockEmpty, opBr, 0, opEnd}, constant(0)...)}, plugins.ClassDeadline, "took longer than 100ms"},
		// Grows until it gets no more, then gives up.
		{"memory", guest{transform: append(append([]byte{opLoop, blockEmpty}, constant(1)...), opMemoryGrow, 0, opConst, 0x7f, opNotEqual, 0x0d, 0, opEnd, opUnreachable)}, plugins.ClassMemory, "unreachable"},
		// weir_transform (function 12, behind weir_abi_v1) calls itself.
		{"recursion", guest{transform: append([]byte{opCall, 12, opDrop}, constant(0)...)}, plugins.ClassStack, "stack overflow"},
		{"result 3", guest{transform: constant(3)}, plugins.ClassBadResult, "returned 3"},
		{"filter result 2", guest{filter: constant(2)}, plugins.ClassBadResult, "returned 2"},
		{"negative", guest{transform: constant(-7)}, plugins.ClassPlugin, "weir_transform returned -7"},
		{"negative filter", guest{filter: constant(-1)}, plugins.ClassPlugin, "weir_filter returned -1"},
	}
	add := func(name string, p *program, code int32, class plugins.Class, text string) {
		cases = append(cases, struct {
			name  string
			g     guest
			class plugins.Class
			text  string
		}{name, guest{transform: p.returns(code), data: p.data}, class, text})
	}
	add("fail", (&program{}).call("fail", "first").call("fail", "last"), -1, plugins.ClassPlugin, "last")
	add("0 after emit", (&program{}).want(0, "emit"), 0, plugins.ClassBadResult, "after emit")
	add("1 after emit", (&program{}).want(0, "emit"), 1, plugins.ClassBadResult, "after emit")
	add("3 after emit", (&program{}).want(0, "emit"), 3, plugins.ClassBadResult, "returned 3")
	const page = 64 << 10
	for name, p := range map[string]*program{
		"read":          (&program{}).call("read", 0, page-4, 5),
		"read far":      (&program{}).call("read", 0, -16, 64),
		"read huge":     (&program{}).call("read", 0, 0, -1),
		"read field":    (&program{}).call("read", 99, page, 1),
		"write":         (&program{}).call("write", 0, page, 1),
		"get path":      (&program{}).call("get", page, 1, 0, 0),
		"get buffer":    (&program{}).call("get", "a", page, 1),
		"set value":     (&program{}).call("set", "a", page-1, 2),
		"remove":        (&program{}).call("remove", page, 1),
		"header":        (&program{}).call("header", "absent", page, 1),
		"set_header":    (&program{}).call("set_header", "a", page, 1),
		"remove_header": (&program{}).call("remove_header", page, 1),
	} {
		name, _, _ = strings.Cut(name, " ")
		p.body = append(p.body, opDrop)
		add("pointer of "+name, p, 0, plugins.ClassTrap, name+" was given")
	}
	add("pointer of log", (&program{}).call("log", 3, page, 1), 0, plugins.ClassTrap, "log was given")
	add("pointer of fail", (&program{}).call("fail", page, 1), 0, plugins.ClassTrap, "fail was given")
	for _, c := range cases {
		h := newHost(t)
		deadline, fuel := time.Minute, int64(0)
		if c.class == plugins.ClassDeadline {
			deadline, fuel = 100*time.Millisecond, plugins.MaxFuel
		}
		p, err := h.Load(context.Background(), plugins.Spec{Name: c.name, Wasm: c.g.build(), Deadline: deadline, Fuel: fuel, Memory: 4 << 20, Pool: 1})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for range 2 { // and again: nothing of the first fault is left
			_, err = p.Run(context.Background(), message("t", `{"a":1}`), "r")
			var e *plugins.Error
			if !errors.As(err, &e) || e.Class != c.class || !strings.Contains(e.Text, c.text) {
				t.Errorf("%s: got %v; want class %s, %q", c.name, err, c.class, c.text)
			} else if e.Plugin != c.name || e.Build != p.Build() || len(e.Build) != 64 || !strings.HasPrefix(e.Function, "weir_") {
				t.Errorf("%s: got %+v", c.name, e)
			}
		}
	}
}

func TestPointerAtTheEndIsFine(t *testing.T) {
	p := (&program{}).want(2, "read", 0, 64<<10-2, 2).want(2, "read", 0, 64<<10, 0).want(2, "read", 0, -1, 0)
	if _, err := runOnce(t, transform(p, 0), message("t", "{}")); err != nil {
		t.Error(err)
	}
}
