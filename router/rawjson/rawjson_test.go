package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValid(t *testing.T) {
	good := []string{
		`{}`, `[]`, ` 1 `, `"a"`, `null`, `true`, `false`, `-0.5e+10`, `0`, "\t[\r\n]\t",
		`{"a":[1,{"b":null}],"a":2}`, `"\ud800"`, `"\u00e9\n\/"`, "\"\u00e9\"", `[[],{},[[]]]`,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
	}
	for _, s := range good {
		if err := Valid([]byte(s)); err != nil {
			t.Errorf("%.40q: %v", s, err)
		}
	}
	bad := []struct {
		in           string
		offset       int
		line, column int
		msg          string
	}{
		{``, 0, 1, 1, "unexpected end"},
		{`  `, 2, 1, 3, "unexpected end"},
		{`{`, 1, 1, 2, "unexpected end"},
		{`{"a"`, 4, 1, 5, "unexpected end"},
		{`{"a":`, 5, 1, 6, "unexpected end"},
		{`{"a":1`, 6, 1, 7, "unexpected end"},
		{`{"a" 1}`, 5, 1, 6, "colon"},
		{`{"a":1,}`, 7, 1, 8, "expected a key"},
		{`{a:1}`, 1, 1, 2, "expected a key"},
		{`{"a":1]`, 6, 1, 7, "comma or }"},
		{`[1}`, 2, 1, 3, "comma or ]"},
		{`[1,]`, 3, 1, 4, "expected a value"},
		{`[1 2]`, 3, 1, 4, "comma or ]"},
		{`1 2`, 2, 1, 3, "after the value"},
		{"{\n  \"é\": tru\n}", 10, 2, 8, "expected a value"},
		{`tr`, 2, 1, 3, "unexpected end"},
		{`nul1`, 0, 1, 1, "expected a value"},
		{`01`, 1, 1, 2, "begin with 0"},
		{`-`, 1, 1, 2, "unexpected end"},
		{`-a`, 1, 1, 2, "digit"},
		{`1.`, 2, 1, 3, "unexpected end"},
		{`1.e1`, 2, 1, 3, "digit"},
		{`1e`, 2, 1, 3, "unexpected end"},
		{`1e+x`, 3, 1, 4, "digit"},
		{`"a`, 2, 1, 3, "unexpected end"},
		{`"a\`, 3, 1, 4, "unexpected end"},
		{`"\x"`, 1, 1, 2, "escape"},
		{`"\u12g4"`, 1, 1, 2, "hexadecimal"},
		{`"\u12`, 5, 1, 6, "unexpected end"},
		{"\"a\nb\"", 2, 1, 3, "control"},
		{"\"a\xffb\"", 2, 1, 3, "UTF-8"},
		{`'a'`, 0, 1, 1, "expected a value"},
		{"\ufeff{}", 0, 1, 1, "expected a value"},
		{strings.Repeat("[", MaxDepth+1), MaxDepth, 1, MaxDepth + 1, "nested deeper"},
	}
	for _, c := range bad {
		err := Valid([]byte(c.in))
		var e *SyntaxError
		if !errors.As(err, &e) {
			t.Errorf("%.40q: got %v, want a syntax error", c.in, err)
			continue
		}
		if e.Offset != c.offset || e.Line != c.line || e.Column != c.column || !strings.Contains(e.Msg, c.msg) {
			t.Errorf("%.40q: got offset %d, %v; want offset %d, line %d, column %d, %s", c.in, e.Offset, e, c.offset, c.line, c.column, c.msg)
		}
	}
}

func TestParsePath(t *testing.T) {
	good := map[string][]string{
		``:        nil,
		`a`:       {"a"},
		`a.b.0`:   {"a", "b", "0"},
		`a\.b.c`:  {"a.b", "c"},
		`a\\.b`:   {`a\`, "b"},
		`\\\.`:    {`\.`},
		`é.ключ`:  {"é", "ключ"},
		`a b."c"`: {"a b", `"c"`},
	}
	for in, want := range good {
		p, err := ParsePath(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		var got []string
		for _, s := range p {
			got = append(got, s.Name())
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if p.String() != in {
			t.Errorf("%q is printed as %q", in, p.String())
		}
	}
	for _, in := range []string{`.`, `a.`, `.a`, `a..b`, `\`, `a\`, `a\b`, `a.\"`, "a\xff"} {
		if p, err := ParsePath(in); !errors.Is(err, ErrPath) || p != nil {
			t.Errorf("%q: got %v, %v; want ErrPath", in, p, err)
		}
	}
	for in, want := range map[string]int{"0": 0, "12": 12, "007": 7, "": -1, "-1": -1, "1a": -1, "+1": -1} {
		if got := Name(in).Index(); got != want {
			t.Errorf("index of %q is %d, want %d", in, got, want)
		}
	}
	if got := Name("99999999999999999999999").Index(); got < 1<<40 {
		t.Errorf("a huge index became %d", got)
	}
}

// place is a path of a table test.
func place(t testing.TB, s string) Path {
	t.Helper()
	p, err := ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGet(t *testing.T) {
	const doc = ` { "a" : { "b" : [ 1, "two", {"c": 1.0 } ] , "2fa":true}, "x.y": "\"q\"", "dup":1, "dup": 2,
	 "e\u0073c\/": 9007199254740993, "a\\b": null, "0": "zero", "": {"": 5}, "s": "br}ack]et\\", "o": {"k":1}, "o": {} } `
	cases := []struct {
		path, want string
		ok         bool
	}{
		{``, doc, true},
		{`a`, `{ "b" : [ 1, "two", {"c": 1.0 } ] , "2fa":true}`, true},
		{`a.b`, `[ 1, "two", {"c": 1.0 } ]`, true},
		{`a.b.0`, `1`, true},
		{`a.b.1`, `"two"`, true},
		{`a.b.2.c`, `1.0`, true},
		{`a.b.3`, ``, false},
		{`a.b.x`, ``, false},
		{`a.2fa`, `true`, true},
		{`a.b.0.z`, ``, false},
		{`x\.y`, `"\"q\""`, true},
		{`x.y`, ``, false},
		{`dup`, `2`, true},
		{`esc/`, `9007199254740993`, true},
		{`e\\u0073c/`, ``, false},
		{`a\\b`, `null`, true},
		{`0`, `"zero"`, true},
		{`s`, `"br}ack]et\\"`, true},
		{`o.k`, ``, false}, // the last o has none
		{`A`, ``, false},
	}
	for _, c := range cases {
		got, ok := Get([]byte(doc), place(t, c.path))
		if ok != c.ok || string(got) != c.want {
			t.Errorf("%q: got %q, %v; want %q, %v", c.path, got, ok, c.want, c.ok)
		}
	}
	if got, ok := Get([]byte(doc), Path{Name(""), Name("")}); !ok || string(got) != "5" {
		t.Errorf("the empty key: got %q, %v", got, ok)
	}
	if got, ok := Key([]byte(doc), "dup"); !ok || string(got) != "2" {
		t.Errorf("Key: got %q, %v", got, ok)
	}
	if _, ok := Key([]byte(`[1]`), "0"); ok {
		t.Error("Key found something in an array")
	}
	if got, ok := Index([]byte(` [1, [2]]`), 1); !ok || string(got) != "[2]" {
		t.Errorf("Index: got %q, %v", got, ok)
	}
	if _, ok := Index([]byte(`{"0":1}`), 0); ok {
		t.Error("Index found something in an object")
	}
	for _, broken := range []string{``, ` `, `{`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a" 1}`, `{"a":}`, `[`, `[,`, `x`, `{1:2}`, `{"a":{`} {
		if v, ok := Get([]byte(broken), place(t, "a")); ok {
			t.Errorf("%q: got %q", broken, v)
		}
	}
}

func TestEach(t *testing.T) {
	var got []string
	if !EachMember([]byte(`{"a":1, "b\n": [2] ,"a":3}`), func(k, v []byte) bool {
		got = append(got, string(k)+"="+string(v))
		return true
	}) {
		t.Error("an object was refused")
	}
	if want := []string{`"a"=1`, `"b\n"=[2]`, `"a"=3`}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = nil
	if !EachElement([]byte(`[1, "x" ,{}]`), func(v []byte) bool {
		got = append(got, string(v))
		return len(got) < 2
	}) {
		t.Error("an array was refused")
	}
	if want := []string{`1`, `"x"`}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q: it should stop when told", got, want)
	}
	if EachMember([]byte(`[1]`), func(k, v []byte) bool { return true }) || EachElement([]byte(`{"a":1}`), func(v []byte) bool { return true }) {
		t.Error("the wrong kind was walked over")
	}
	for in, want := range map[string]int{`[]`: 0, `{}`: 0, `[1,[2,3]]`: 2, `{"a":1,"a":2}`: 2} {
		if n, ok := Len([]byte(in)); !ok || n != want {
			t.Errorf("length of %s is %d, %v", in, n, ok)
		}
	}
	if _, ok := Len([]byte(`"ab"`)); ok {
		t.Error("a string has a length")
	}
}

// FuzzValidMembers holds the judgement against encoding/json, which is laxer about
// UTF-8 and as deep, and the members on the way against those that a second walk gives.
func FuzzValidMembers(f *testing.F) {
	for _, seed := range []string{
		`{"a":1, "b" : [ {"c":{}} ,[]] ,"a":"\u00e9\"" }`, ` {"event":"x","data":{"a":{"b":"}"}}} `, `{}`, `{"a":{}`, `[{"a":1}]`, `{"a":1}}`,
		`{"0123456789abcdef":"0123456","k":"01234567","l":"0123456é","m":"éèê日本語0123456789"}`, "\"0123456\x1f89\"", "\"0123456\xff\"", "\"\x80\x1f\"",
		`"01234567\`, `"01234567\u12`, `{"a" :tru`, `-0.5e+1`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want []string
		err := ValidMembers(data, func(key, value []byte) { got = append(got, string(key), string(value)) })
		plain := Valid(data)
		if !reflect.DeepEqual(err, plain) {
			t.Fatalf("%q: %v with members, %v without", data, err, plain)
		}
		if strings.Count(string(data), "{")+strings.Count(string(data), "[") > MaxDepth {
			return
		}
		if ok := json.Valid(data) && utf8.Valid(data); ok != (err == nil) {
			t.Fatalf("%q: %v", data, err)
		}
		if err != nil {
			return
		}
		EachMember(data, func(key, value []byte) bool {
			want = append(want, string(key), string(value))
			return true
		})
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: has the members %q, want %q", data, got, want)
		}
	})
}

// Every place of a byte that ends plain text is found, wherever eight bytes at a time
// begin.
func TestStringsOfEachLength(t *testing.T) {
	for n := range 40 {
		plain := strings.Repeat("~", n)
		for _, c := range []struct {
			end string
			msg string
		}{
			{`"`, ""}, {`\n"`, ""}, {`\"7"`, ""}, {"é\"", ""}, {"\x7f\"", ""}, {" \"", ""},
			{"\x1f\"", "control"}, {"\x00\"", "control"}, {"\x80\"", "UTF-8"}, {"\xff\"", "UTF-8"}, {`\x"`, "escape"}, {"", "end"}, {`\`, "end"},
		} {
			err := Valid([]byte(`"` + plain + c.end))
			if c.msg == "" && err != nil || c.msg != "" && (err == nil || !strings.Contains(err.Error(), c.msg)) {
				t.Errorf("%d characters and %q: %v", n, c.end, err)
			}
		}
	}
}

func TestKindOf(t *testing.T) {
	for in, want := range map[string]Kind{` {}`: Object, `[]`: Array, `"`: String, `true`: Bool, `false`: Bool, `null`: Null, `-1`: Number, `0`: Number, ``: None, `x`: None} {
		if got := KindOf([]byte(in)); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		`"a"`: "a", ` "a\u0062" `: "ab", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"\ud83d\ude00"`: "😀",
		`"\ud83dx"`: "\ufffdx", `"\ude00\ud83d"`: "\ufffd\ufffd", `"\ud83d\u0041"`: "\ufffdA", `""`: "",
	} {
		got, ok := Unquote([]byte(in))
		if !ok || got != want {
			t.Errorf("%s: got %q, %v; want %q", in, got, ok, want)
		}
		if !EqualString([]byte(in), want) || EqualString([]byte(in), want+"x") || EqualString([]byte(in), "y"+want) {
			t.Errorf("%s is compared wrongly", in)
		}
	}
	for _, in := range []string{``, `1`, `null`, `"a`, `"\u12"`, `"\x"`} {
		if got, ok := Unquote([]byte(in)); ok {
			t.Errorf("%s: got %q", in, got)
		}
	}
}

func TestSet(t *testing.T) {
	cases := []struct {
		doc, path, value, want string
		err                    error
	}{
		{`{"a": 1.0, "b" :2}`, `a`, `"x"`, `{"a": "x", "b" :2}`, nil},
		{`{"a": 1.0, "b" :2 }`, `c`, `3`, `{"a": 1.0, "b" :2,"c":3 }`, nil},
		{`{ }`, `a`, `1`, `{"a":1 }`, nil},
		{`{}`, `a.b.c`, `1`, `{"a":{"b":{"c":1}}}`, nil},
		{`{"a":{"x":1}}`, `a.b.c`, `1`, `{"a":{"x":1,"b":{"c":1}}}`, nil},
		{`{"a":1,"a":2}`, `a`, `3`, `{"a":1,"a":3}`, nil},
		{`{"a":{},"a":{}}`, `a.b`, `3`, `{"a":{},"a":{"b":3}}`, nil},
		{`[1, 2 ]`, `1`, `9`, `[1, 9 ]`, nil},
		{`[1, 2 ]`, `2`, `9`, `[1, 2,9 ]`, nil},
		{`[ ]`, `0`, `9`, `[9 ]`, nil},
		{`[]`, `0.a`, `9`, `[{"a":9}]`, nil},
		{`{"l":[{"n":1},{"n":2}]}`, `l.1.n`, `{"x":[]}`, `{"l":[{"n":1},{"n":{"x":[]}}]}`, nil},
		{`{}`, `0`, `1`, `{"0":1}`, nil},
		{`{"a\u0062":1}`, `ab`, `2`, `{"a\u0062":2}`, nil},
		{`{}`, `q"\\`, `2`, `{"q\"\\":2}`, nil},
		{` {"a":1} `, ``, `[2]`, `[2]`, nil},
		{`[1]`, `2`, `9`, ``, ErrNoPlace},
		{`[1]`, `a`, `9`, ``, ErrNoPlace},
		{`{"a":1}`, `a.b`, `9`, ``, ErrNoPlace},
		{`{"a":null}`, `a.b`, `9`, ``, ErrNoPlace},
		{`"s"`, `a`, `9`, ``, ErrNoPlace},
		{`{"a":1}`, `a`, ``, ``, ErrValue},
		{`{"a":1}`, `a`, `1,2`, ``, ErrValue},
		{`{"a":1}`, `a`, `{`, ``, ErrValue},
		{`{"a":1}`, `a`, "\"\xff\"", ``, ErrValue},
		{`{"a":1}`, `a`, strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth), ``, ErrValue},
	}
	for _, c := range cases {
		in := []byte(c.doc)
		got, err := Set(in, place(t, c.path), []byte(c.value))
		if !errors.Is(err, c.err) || string(got) != c.want {
			t.Errorf("%s, %q: got %s, %v; want %s, %v", c.doc, c.path, got, err, c.want, c.err)
		}
		if string(in) != c.doc {
			t.Errorf("%s was written into: %s", c.doc, in)
		}
	}
}

func TestRemove(t *testing.T) {
	cases := []struct {
		doc, path, want string
		err             error
	}{
		{`{"a":1, "b":2,` + "\n" + `"c":3 }`, `a`, `{"b":2,` + "\n" + `"c":3 }`, nil},
		{`{"a":1, "b":2,` + "\n" + `"c":3 }`, `b`, `{"a":1,` + "\n" + `"c":3 }`, nil},
		{`{"a":1, "b":2,` + "\n" + `"c":3 }`, `c`, `{"a":1, "b":2 }`, nil},
		{`{ "a" : 1 }`, `a`, `{  }`, nil},
		{`{"a":1,"b":2,"a":3,"a":4}`, `a`, `{"b":2}`, nil},
		{`{"a":1,"\u0061":3}`, `a`, `{}`, nil},
		{`{"a":1,"b":2}`, `b`, `{"a":1}`, nil},
		{`[1, 2, 3]`, `0`, `[2, 3]`, nil},
		{`[1, 2, 3]`, `1`, `[1, 3]`, nil},
		{`[1, 2, 3]`, `2`, `[1, 2]`, nil},
		{`[1]`, `0`, `[]`, nil},
		{`{"x":{"y":[{"z":1,"w":2}]},"v":1}`, `x.y.0.z`, `{"x":{"y":[{"w":2}]},"v":1}`, nil},
		{`{"x":{"y":1},"x":{"z":1}}`, `x.z`, `{"x":{"y":1},"x":{}}`, nil},
		{`{"x":{"y":1},"x":{"z":1}}`, `x.y`, ``, ErrNoPlace},
		{`{"a":1}`, `b`, ``, ErrNoPlace},
		{`{"a":1}`, `b.c`, ``, ErrNoPlace},
		{`[1]`, `1`, ``, ErrNoPlace},
		{`[1]`, `a`, ``, ErrNoPlace},
		{`1`, `a`, ``, ErrNoPlace},
		{`{"a":1}`, ``, ``, ErrNoPlace},
	}
	for _, c := range cases {
		in := []byte(c.doc)
		got, err := Remove(in, place(t, c.path))
		if !errors.Is(err, c.err) || string(got) != c.want {
			t.Errorf("%s, %q: got %s, %v; want %s, %v", c.doc, c.path, got, err, c.want, c.err)
		}
		if string(in) != c.doc {
			t.Errorf("%s was written into: %s", c.doc, in)
		}
	}
}

// A plugin chooses data and path: the work must not grow with their product. The
// product here is 10,000 levels times 4 MiB; a walk of each level's whole value
// would not end within the test's time.
func TestDeepPathIsOnePass(t *testing.T) {
	for _, unit := range []string{`{"0":`, `[`} {
		closing := map[string]string{`{"0":`: "}", `[`: "]"}[unit]
		doc := []byte(strings.Repeat(unit, MaxDepth) + `"` + strings.Repeat("{", 4<<20) + `"` + strings.Repeat(closing, MaxDepth))
		if err := Valid(doc); err != nil {
			t.Fatal(err)
		}
		p := make(Path, MaxDepth)
		for i := range p {
			p[i] = Name("0")
		}
		if v, ok := Get(doc, p); !ok || len(v) != 4<<20+2 {
			t.Fatalf("got %d bytes, %v", len(v), ok)
		}
		if _, ok := Get(doc, append(p[:MaxDepth-1:MaxDepth-1], Name("1"))); ok {
			t.Fatal("found what is not there")
		}
		if b, err := Set(doc, p, []byte("1")); err != nil || len(b) != len(doc)-(4<<20)-1 {
			t.Fatalf("set: %d bytes, %v", len(b), err)
		}
		if b, err := Remove(doc, p); err != nil || len(b) >= len(doc)-(4<<20) {
			t.Fatalf("remove: %d bytes, %v", len(b), err)
		}
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	doc := []byte(`{"a":{"b":[1,{"c":"x"}]},"n":12}`)
	p := place(t, "a.b.1.c")
	if n := testing.AllocsPerRun(100, func() {
		v, ok := Get(doc, p)
		if !ok || !EqualString(v, "x") {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
	sum := 0
	if n := testing.AllocsPerRun(100, func() {
		EachMember(doc, func(k, v []byte) bool { sum += len(k) + len(v); return true })
	}); n != 0 {
		t.Errorf("EachMember allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if ValidMembers(doc, func(k, v []byte) { sum += len(k) + len(v) }) != nil {
			t.Fatal("not valid")
		}
	}); n != 0 {
		t.Errorf("ValidMembers allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if Valid(doc) != nil {
			t.Fatal("not valid")
		}
	}); n != 0 {
		t.Errorf("Valid allocates %v times", n)
	}
}

// fuzzDocs are the seeds of both fuzz targets.
var fuzzDocs = []string{
	`{"a":{"b":[1,"two",{"c":1.0}]},"dup":1,"dup":2}`, `[[],{},null,true,-1e5]`, `"\ud83d\ude00"`, `{"a\u0062":1}`,
	"{\"a\":\"\xff\"}", `{"a":1,}`, `[1 2]`, ` { } `, `{"":0}`, `[{"a":1},{"a":2}]`, `{"a":"}"}`, `{"k\\":"\\"}`,
}

func FuzzValid(f *testing.F) {
	for _, s := range fuzzDocs {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := Valid(data)
		// encoding/json lets invalid UTF-8 through; we do not.
		want := json.Valid(data) && utf8.Valid(data)
		if (err == nil) != want {
			t.Fatalf("%q: %v, want valid %v", data, err, want)
		}
		var e *SyntaxError
		if errors.As(err, &e) && (e.Offset < 0 || e.Offset > len(data) || e.Line < 1 || e.Column < 1) {
			t.Fatalf("%q: no such place: %+v", data, e)
		}
	})
}

// FuzzPath compares reading and editing with what encoding/json makes of the
// same document.
func FuzzPath(f *testing.F) {
	for _, s := range fuzzDocs {
		for _, p := range []string{"", "a", "a.b.2.c", "dup", "0", "1.a", "new.x", `k\\`} {
			f.Add([]byte(s), p, []byte(`{"v":[1]}`))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, path string, value []byte) {
		p, err := ParsePath(path)
		if err != nil {
			return
		}
		if p.String() != path {
			t.Fatalf("path %q is printed as %q", path, p.String())
		}
		got, ok := Get(data, p)
		set, setErr := Set(data, p, value)
		removed, removeErr := Remove(data, p)
		if Valid(data) != nil {
			return // it was enough not to panic
		}
		want, there := reference(decode(t, data), p)
		if ok != there {
			t.Fatalf("%q at %q: found %v, want %v", data, path, ok, there)
		}
		if ok && !reflect.DeepEqual(decode(t, got), want) {
			t.Fatalf("%q at %q: got %q, want %v", data, path, got, want)
		}
		if setErr == nil {
			if err := Valid(set); err != nil {
				t.Fatalf("set made %q: %v", set, err)
			}
			v, ok := Get(set, p)
			if !ok || !bytes.Equal(bytes.TrimSpace(v), bytes.TrimSpace(value)) {
				t.Fatalf("set %q at %q, got %q", value, path, v)
			}
		} else if ok && Valid(value) == nil && !errors.Is(setErr, ErrValue) {
			t.Fatalf("%q at %q is there, but: %v", data, path, setErr)
		}
		if removeErr == nil {
			if err := Valid(removed); err != nil {
				t.Fatalf("remove made %q: %v", removed, err)
			}
			if _, still := Get(removed, p); still && p[len(p)-1].Index() < 0 {
				t.Fatalf("%q at %q: still there in %q", data, path, removed)
			}
		}
		if removable := ok && len(p) > 0; (removeErr == nil) != removable {
			t.Fatalf("%q at %q: %v", data, path, removeErr)
		}
	})
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return v
}

func reference(v any, p Path) (any, bool) {
	for _, s := range p {
		switch x := v.(type) {
		case map[string]any:
			member, ok := x[s.Name()]
			if !ok {
				return nil, false
			}
			v = member
		case []any:
			if s.Index() < 0 || s.Index() >= len(x) {
				return nil, false
			}
			v = x[s.Index()]
		default:
			return nil, false
		}
	}
	return v, true
}

var benchDoc = []byte(`{"action":"opened","number":7,"pull_request":{"title":"` + strings.Repeat("lorem ipsum ", 60) +
	`","user":{"login":"octocat","id":1},"labels":[{"name":"bug"},{"name":"urgent"}]},"repository":{"default_branch":"main"}}`)

func BenchmarkGet(b *testing.B) {
	p := place(b, "pull_request.labels.1.name")
	b.ReportAllocs()
	b.SetBytes(int64(len(benchDoc)))
	for b.Loop() {
		if _, ok := Get(benchDoc, p); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkSet(b *testing.B) {
	p := place(b, "pull_request.labels.1.name")
	b.ReportAllocs()
	b.SetBytes(int64(len(benchDoc)))
	for b.Loop() {
		if _, err := Set(benchDoc, p, []byte(`"x"`)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValid(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchDoc)))
	for b.Loop() {
		if err := Valid(benchDoc); err != nil {
			b.Fatal(err)
		}
	}
}

// benchMembers is an envelope whose data has many short members.
var benchMembers = []byte(`{"event":"order.paid","data":{"seq":1000000000` + strings.Repeat(`,"field_00":"0123456789abcdef"`, 30) + `}}`)

func BenchmarkValidMembers(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchMembers)))
	for b.Loop() {
		n := 0
		if err := ValidMembers(benchMembers, func(key, value []byte) { n += len(value) }); err != nil || n == 0 {
			b.Fatal(err)
		}
	}
}
