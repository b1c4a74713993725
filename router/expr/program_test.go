package expr

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/event"
)

const sample = `{"total": 80, "currency": "USD", "big": 9007199254740993, "huge": 123456789012345678901234567890,
 "price": 0.1, "text": "120", "yes": true, "no": false, "flag": "true", "none": null, "2fa": "on",
 "items": [{"sku": "a-1", "n": 2}, {"sku": "b\u0022x", "n": 3}], "tags": ["x", 1, null, [1]],
 "nested": {"z": 1, "a": {"deep": "v"}, "z": 2}, "empty": {}, "nfd": "e\u0301", "plain_nfd": "é", "exp": 1e3, "dots": {"a.b": 7}}`

func message() *event.Message {
	return &event.Message{
		ID: "evt_1", Source: "shop", Type: "order.created", Subject: "o-7",
		Time:        time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC),
		ContentType: "application/json", Data: []byte(sample),
		Header: []event.Field{{Name: "x-a", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "x-b", Value: "b"}},
	}
}

func parse(t testing.TB, text string) hclsyntax.Expression {
	t.Helper()
	e, diags := hclsyntax.ParseExpression([]byte(text), "test.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", text, diags)
	}
	return e
}

func compile(t testing.TB, text string, s Scope) *Program {
	t.Helper()
	p, diags := Compile(parse(t, text), s)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", text, diags)
	}
	return p.WithSource([]byte(text), parse(t, text).Range())
}

func TestBool(t *testing.T) {
	tests := []struct {
		text string
		want bool
		err  string // part of the error
	}{
		{text: `event.data.total > 50`, want: true},
		{text: `event.data.total > 100`},
		{text: `event.data.total > 100 && event.data.currency == "USD"`},
		{text: `event.data.total >= 80 && event.data.currency == "USD"`, want: true},
		{text: `event.data.text > 100`, want: true},
		{text: `event.data.text == 120`},
		{text: `event.data.text != 120`, want: true},
		{text: `"120" > 100`, want: true},
		{text: `"120" == 120`},

		{text: `event.data.missing > 3`, err: "event.data.missing: no such attribute"},
		{text: `event.data.missing == null`, err: "event.data.missing: no such attribute"},
		{text: `event.data.none > 3`, err: "event.data.none: the value is null"},
		{text: `event.data.none == null`, want: true},
		{text: `event.data.none.x == 1`, err: "no such attribute"},
		{text: `event.data.total.x == 1`, err: "no such attribute"},
		{text: `event.data.items[2].sku == "a"`, err: "no such attribute"},
		{text: `event.data.currency > 1`, err: "event.data.currency: a number is required"},
		{text: `event.data.yes > 0`, err: "event.data.yes: a number is required"},
		{text: `event.data.total`, err: "gives a number, not a bool"},
		{text: `event.data.flag`, err: "gives a string, not a bool"},
		{text: `event.data.flag && true`, want: true},
		{text: `event.data.none && true`, err: "event.data.none: the value is null"},
		{text: `event.data.currency && true`, err: "event.data.currency: a bool is required"},

		{text: `event.data.missing > 1 || event.data.yes`, want: true},
		{text: `event.data.missing > 1 || event.data.no`, err: "event.data.missing"},
		{text: `event.data.missing > 1 && event.data.no`},
		{text: `!(event.data.missing > 1 && event.data.yes)`, err: "event.data.missing"},
		{text: `event.data.no && event.data.missing`},
		{text: `event.data.yes || event.data.missing`, want: true},
		{text: `!event.data.no`, want: true},

		{text: `event.data.big == 9007199254740993`, want: true},
		{text: `event.data.big == 9007199254740992`},
		{text: `event.data.big > 9007199254740992`, want: true},
		{text: `event.data.huge == 123456789012345678901234567890`, want: true},
		{text: `event.data.huge == 123456789012345678901234567891`},
		{text: `event.data.price == 0.1`, want: true},
		{text: `event.data.price + 0.2 == 0.3`, want: true},
		{text: `event.data.exp == 1000`, want: true},
		{text: `event.data.total / 3 > 26.6 && event.data.total % 7 == 3`, want: true},
		{text: `-event.data.total < 0 && event.data.total - 1 == 79 && event.data.total * 2 == 160`, want: true},
		{text: `event.data.total / (event.data.total - 80) > 1`, err: "division by zero"},

		{text: `event.data["2fa"] == "on"`, want: true},
		{text: `event.data.dots["a.b"] == 7`, want: true},
		{text: `event.data.items[0].sku == "a-1"`, want: true},
		{text: `event.data.items[1].sku == "b\"x"`, want: true},
		{text: `event.data.items[event.data.total - 79].n == 3`, want: true},
		{text: `event.data.items[event.data.total].n == 3`, err: "event.data.items: the list has no element 80"},
		{text: `event.data.items[0 - 1].n == 3`, err: "no such attribute"},
		{text: `event.data.nested.z == 2`, want: true}, // the last of duplicate keys
		{text: `event.data.nested == {a = {deep = "v"}, z = 2}`, want: true},
		{text: `event.data.nested == {a = {deep = "v"}}`},
		{text: `event.data.tags == ["x", 1, null, [1]]`, want: true},
		{text: `event.data.tags == ["x", 1, null, [2]]`},
		{text: `event.data.empty == {}`, want: true},
		{text: `{created = 1, deleted = 2}[event.data.currency == "USD" ? "created" : "deleted"] == 1`, want: true},

		{text: `event.data.nfd == "é"`, want: true},
		{text: `event.data.plain_nfd == event.data.nfd`, want: true},
		{text: `lower("ÀB") == "àb" && upper(event.data.nfd) == "É"`, want: true},

		{text: `event.id == "evt_1" && event.source == "shop" && event.subject == "o-7"`, want: true},
		{text: `event.time == "2024-01-01T12:00:00Z"`, want: true},
		{text: `event.tenant == null`, want: true},
		{text: `event.header["x-a"] == "1, 2" && event.header.x-b == "b"`, want: true},
		{text: `event.header["x-c"] == "1"`, err: `event.header.x-c: no such attribute`},
		{text: `keys(event.header) == ["x-a", "x-b"]`, want: true},

		{text: `can(event.data.missing.deep)`},
		{text: `can(event.data.nested.a.deep)`, want: true},
		{text: `try(event.data.missing, event.data.none, 5) == null`, want: true},
		{text: `try(event.data.missing, 5) == 5`, want: true},
		{text: `try(event.data.missing, event.data.gone)`, err: "event.data.gone"},
		{text: `try(tonumber("x"), 5) == 5`, want: true},
		{text: `contains(["order.created", "b"], event.type)`, want: true},
		{text: `contains(event.data.tags, 1) && contains(event.data.tags, null)`, want: true},
		{text: `contains(event.data.tags, "1")`},
		{text: `contains(event.data.currency, "U")`, err: "strcontains"},
		{text: `length(event.data.items) == 2 && length(event.data.nested) == 2 && length("e\u0301x") == 2`, want: true},
		{text: `length(event.data.total) > 0`, err: "length: a list"},
		{text: `startswith(event.type, "order.") && endswith(event.type, "created") && strcontains(event.type, "r.c")`, want: true},
		{text: `startswith(event.data.items, "a")`, err: "event.data.items: a string is required, not a list"},
		{text: `can(regex("^order[.](created|paid)$", event.type))`, want: true},
		{text: `can(regex("^paid", event.type))`},
		{text: `regex("[a-z]+", event.type) == "order"`, want: true},
		{text: `regex("([a-z]+)[.]([a-z]+)", event.type)[1] == "created"`, want: true},
		{text: `regex("(?P<what>[a-z]+)[.]", event.type).what == "order"`, want: true},
		{text: `regex("^paid", event.type) == "paid"`, err: "regex: the pattern does not match"},
		{text: `tonumber(event.data.text) == 120 && tostring(event.data.total) == "80" && tostring(null) == null`, want: true},
		{text: `tonumber(event.data.currency) == 1`, err: "tonumber: a number is required"},
		{text: `coalesce(event.data.none, event.tenant, "d") == "d"`, want: true},
		{text: `coalesce(event.data.none, event.tenant)`, err: "coalesce: all arguments are null"},
		{text: `keys(event.data.nested) == ["a", "z"]`, want: true},
		{text: `keys(event.data.items)`, err: "keys: an object is required"},
		{text: `"${event.data.total}/${event.data.yes}" == "80/true"`, want: true},
		{text: `"x${event.data.none}" == "x"`, err: "event.data.none: the value is null"},
		{text: `"%{if event.data.yes}a%{else}b%{endif}" == "a"`, want: true},
		{text: `event.data.yes ? true : event.data.missing`, want: true},
		{text: `event.data.none ? true : false`, err: "event.data.none: the value is null"},
		{text: `event.data == event.data`, want: true},
		{text: `try(event.data.missing, {a = 1}).a == 1`, want: true},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := compile(t, tt.text, EventScope).Bool(NewInput(message()))
			switch {
			case tt.err == "" && err != nil:
				t.Fatalf("error %v", err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Fatalf("error %v, want %q", err, tt.err)
			case got != tt.want:
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestString(t *testing.T) {
	in := &Input{
		Body:   []byte(` {"action": "opened", "n": 12.50, "on": true, "o": {}, "u": "e\u0301"} `),
		Header: []event.Field{{Name: "x-github-event", Value: "push"}},
		Query:  url.Values{"a": {"1"}, "b": {"2", "3"}},
	}
	tests := []struct{ text, want, err string }{
		{text: `"github.${header["x-github-event"]}"`, want: "github.push"},
		{text: `header.x-github-event`, want: "push"},
		{text: `body.action`, want: "opened"},
		{text: `body.n`, want: "12.5"},
		{text: `body.on`, want: "true"},
		{text: `body.u`, want: "é"},
		{text: `query.a`, want: "1"},
		{text: `query.b[1]`, want: "3"},
		{text: `"${length(query.b)}"`, want: "2"},
		{text: `"%%{x}$${y}"`, want: "%{x}${y}"},
		{text: `1e21`, want: "1000000000000000000000"},
		{text: `1 / 4`, want: "0.25"},
		{text: `-0.001`, want: "-0.001"},
		{text: `body.o`, err: "a string is required, not an object"},
		{text: `body.none`, err: `body.none: it has no "none": no such attribute`},
		{text: `body.o.a.b`, err: `"o" has no "a"`},
		{text: `body.action.b`, err: `"action" is string and has no attributes`},
		{text: `query.c`, err: `query.c: it has no "c"`},
		{text: `null`, err: "null"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := compile(t, tt.text, SourceScope).String(in)
			switch {
			case tt.err == "" && err != nil:
				t.Fatalf("error %v", err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Fatalf("error %v, want %q", err, tt.err)
			case got != tt.want:
				t.Fatalf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNoView(t *testing.T) {
	m := message()
	m.ContentType, m.Data = "image/png", []byte{0xff, 0xfe}
	_, err := compile(t, `event.data.total`, EventScope).String(NewInput(m))
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "neither JSON nor text") {
		t.Fatalf("got %v", err)
	}
	m.ContentType, m.Data = "text/plain", []byte("hello")
	if ok, err := compile(t, `event.data == "hello"`, EventScope).Bool(NewInput(m)); err != nil || !ok {
		t.Fatalf("got %v, %v", ok, err)
	}
}

func TestStringOwnsItsBytes(t *testing.T) {
	body := []byte(`{"id": "abc"}`)
	s, err := compile(t, `body.id`, SourceScope).String(&Input{Body: body})
	if err != nil {
		t.Fatal(err)
	}
	copy(body, `{"id": "xyz"}`)
	if s != "abc" {
		t.Fatalf("the result changed with the input: %q", s)
	}
}

func TestNumberBounds(t *testing.T) {
	m := message()
	m.Data = []byte(`{"a": 1e999999999, "b": 1e5000, "c": ` + strings.Repeat("9", 2000) + `, "d": -1e-5000}`)
	in := NewInput(m)
	for _, text := range []string{`"${event.data.a}" == "1"`, `"x${event.data.b}" == "1"`, `event.data.c > 1`, `"x${event.data.d}" == "1"`, `event.data.b % 7 == 1`, `event.data.a + 1 > 1`, `event.data.b * event.data.b * event.data.b * event.data.b > 1`} {
		if _, err := compile(t, text, EventScope).Bool(in); !errors.Is(err, errNumberRange) {
			t.Errorf("%s: error %v, want %v", text, err, errNumberRange)
		}
	}
	if _, diags := Compile(parse(t, `event.data.a > 1e300000000`), EventScope); !diags.HasErrors() {
		t.Error("a literal out of bounds was taken")
	}
	if ok, err := compile(t, `event.data.b > 1`, EventScope).Bool(in); err != nil || !ok {
		t.Errorf("1e5000 > 1: %v, %v", ok, err)
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		text  string
		scope Scope
		want  string // part of summary and detail
		at    string // the text that the place covers
	}{
		{`evnt.data.x`, EventScope, `Did you mean "event"?`, "evnt"},
		{`data.x`, EventScope, `Did you mean "event.data"?`, "data"},
		{`body.x`, EventScope, `Write event.data`, "body"},
		{`header["x"]`, EventScope, `event.header`, "header"},
		{`event.x`, SourceScope, `does not exist yet here`, "event"},
		{`heder["x"]`, SourceScope, `Did you mean "header"?`, "heder"},
		{`local.x`, EventScope, `see nothing of the configuration`, "local"},
		{`event.typ == "x"`, EventScope, `Did you mean "type"?`, ".typ"},
		{`event.customer`, EventScope, `may be event.data.customer`, ".customer"},
		{`event == 1`, EventScope, `Write the member`, "event"},
		{`event[event.type]`, EventScope, `must be written out`, "event.type"},
		{`event.type.x`, EventScope, `text and has no attributes`, "event.type.x"},
		{`event.header["X-A"]`, EventScope, `write "x-a"`, `["X-A"]`},
		{`event.data.items[*].sku`, EventScope, `no splat`, "event.data.items[*].sku"},
		{`event.data.items.*.sku`, EventScope, `no splat`, "event.data.items.*.sku"},
		{`[for x in event.data.items : x]`, EventScope, `no for`, "[for x in event.data.items : x]"},
		{`"%{for x in event.data.items}a%{endfor}"`, EventScope, `no for`, ""},
		{`env("X") == "1"`, EventScope, `works only where a value is fixed`, "env"},
		{`file("X")`, EventScope, `works only`, "file"},
		{`lenght(event.data)`, EventScope, `Did you mean "length"?`, "lenght"},
		{`jsonencode(event.data)`, EventScope, `There are can, coalesce`, "jsonencode"},
		{`lower()`, EventScope, `Write lower(text); here it has 0`, "lower()"},
		{`lower("a", "b")`, EventScope, `here it has 2`, `lower("a", "b")`},
		{`contains(event.data...)`, EventScope, `can't expand`, "contains(event.data...)"},
		{`regex(event.type, "a")`, EventScope, `does not depend on the event`, "event.type"},
		{`can(regex("(", event.type))`, EventScope, `missing closing )`, `"("`},
		{`can(regex("(?P<a>x)(y)", event.type))`, EventScope, `all groups`, `"(?P<a>x)(y)"`},
		{`regex("a", event.type) && true`, EventScope, `Write can(regex(...))`, `regex("a", event.type)`},
		{`event.data.a > "abc"`, EventScope, `A number is required`, `"abc"`},
		{`event.data.a && 3`, EventScope, `A bool is required`, `3`},
		{`(event.data.a > 1) + 2 > 1`, EventScope, `this is a bool`, `(event.data.a > 1)`},
		{`1 / 0 > 2`, EventScope, `Division by zero`, `1 / 0`},
		{`event.data[null]`, EventScope, `whole number or a text`, `[null]`},
		{`{a = 1, a = 2}`, EventScope, `has "a" already`, `a`},
		{`{(event.type) = 1}`, EventScope, `must be constant`, `(event.type)`},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			p, diags := Compile(parse(t, tt.text), tt.scope)
			if p != nil || len(diags) == 0 {
				t.Fatalf("compiled, diagnostics %v", diags)
			}
			d := diags[0]
			if !strings.Contains(d.Summary+": "+d.Detail, tt.want) {
				t.Errorf("says %q: %q", d.Summary, d.Detail)
			}
			if at := string(d.Subject.SliceBytes([]byte(tt.text))); tt.at != "" && at != tt.at {
				t.Errorf("points at %q, want %q", at, tt.at)
			}
		})
	}
}

func TestAllMistakesAreFound(t *testing.T) {
	_, diags := Compile(parse(t, `evnt.a > 1 && foo(event.typ) == "x" && event.data.a > "q"`), EventScope)
	if len(diags) != 3 { // an unknown function's arguments are not looked at
		t.Fatalf("%d diagnostics: %v", len(diags), diags)
	}
}

func TestExplain(t *testing.T) {
	p := compile(t, `event.data.total > 100 && (event.data.currency == "USD" && event.data.gone.x == 1) && (event.data.no || event.type == "a") && "b" == event.type && contains(["x"], event.source)`, EventScope)
	terms := p.Explain(NewInput(message()))
	want := []Term{
		{Text: `event.data.total > 100`, Reason: `event.data.total is 80, not > 100`},
		{Text: `event.data.currency == "USD"`, OK: true},
		{Text: `event.data.gone.x == 1`, Reason: `event.data.gone.x: it has no "gone": no such attribute`},
		{Text: `event.data.no || event.type == "a"`, Reason: `false where event.data.no is false, event.type is "order.created"`},
		{Text: `"b" == event.type`, Reason: `event.type is "order.created", not "b"`},
		{Text: `contains(["x"], event.source)`, Reason: `false where event.source is "shop"`},
	}
	if len(terms) != len(want) {
		t.Fatalf("%d terms: %+v", len(terms), terms)
	}
	for i, w := range want {
		g := terms[i]
		if strings.Trim(g.Text, "()") != strings.Trim(w.Text, "()") || g.OK != w.OK || g.Reason != w.Reason {
			t.Errorf("term %d:\n got %q %v %q\nwant %q %v %q", i, g.Text, g.OK, g.Reason, w.Text, w.OK, w.Reason)
		}
	}
	if v := terms[0].Values; len(v) != 1 || v[0] != (PathValue{"event.data.total", "80"}) {
		t.Errorf("values %+v", v)
	}
	if terms[2].Err == "" || terms[0].Err != "" {
		t.Errorf("errors %q, %q", terms[2].Err, terms[0].Err)
	}
	if p.Source() == "" {
		t.Error("no source")
	}
}

func TestExplainAgreesWithBool(t *testing.T) {
	for _, text := range []string{`event.data.flag`, `event.data.yes`, `event.data.flag && event.data.yes`, `event.data.total`, `(event.data.yes && event.data.no)`} {
		p := compile(t, text, EventScope)
		ok, err := p.Bool(NewInput(message()))
		all := true
		for _, term := range p.Explain(NewInput(message())) {
			all = all && term.OK
		}
		if all != (ok && err == nil) {
			t.Errorf("%s: Bool gives %v, %v and Explain %v", text, ok, err, all)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"from", "to", "when"}
	for given, want := range map[string]string{"form": "from", "whn": "when", "too": "to", "zzzz": "", "x": ""} {
		got := DidYouMean(given, names)
		if want == "" && got != "" || want != "" && !strings.Contains(got, `"`+want+`"`) {
			t.Errorf("%s: %q, want %q", given, got, want)
		}
	}
}

// A pattern of a stranger does not look at a text that would keep it busy.
func TestBoundPatterns(t *testing.T) {
	p, err := Parse(`event.type == "a" && can(regex("^(.?){20}$", event.data.text))`, EventScope)
	if err != nil {
		t.Fatal(err)
	}
	size := p.PatternSize()
	if size < 40 || size > 200 {
		t.Fatalf("the pattern has %d instructions", size)
	}
	p.BoundPatterns(20 * size)
	for text, want := range map[string]bool{strings.Repeat("x", 20): true, strings.Repeat("x", 21): false} {
		in := &Input{Message: event.NewMessage(&event.Event{Type: "a", ContentType: "application/json", Data: []byte(`{"text":"` + text + `"}`)})}
		got, err := p.Bool(in)
		if err != nil || got != want {
			t.Errorf("a text of %d bytes: %v, %v, want %v", len(text), got, err, want)
		}
	}
	for _, m := range p.matches {
		if _, err := m.eval(&Input{Message: event.NewMessage(&event.Event{ContentType: "application/json", Data: []byte(`{"text":"` + strings.Repeat("x", 21) + `"}`)})}); err == nil || !strings.Contains(err.Error(), "21 bytes") {
			t.Errorf("a text that is too long: %v", err)
		}
	}
}
