package weir

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

const doc = ` { "a" : { "b" : [ 1, "two", {"c": 1.5e1 } ] , "t":true}, "x.y": "\"q\"", "dup":1, "dup": 2,
 "e\u0073c": -7, "n": null, "back\\slash": "\ud83d\ude00\n\u00e9\/", "s": "br}ack]et\\", "num": "12", "l": [] } `

func TestValueGet(t *testing.T) {
	for path, want := range map[string]string{
		"":              doc,
		"a.b":           `[ 1, "two", {"c": 1.5e1 } ]`,
		"a.b.0":         "1",
		"a.b.1":         "two",
		"a.b.2.c":       "1.5e1",
		"a.b.3":         "",
		"a.b.x":         "",
		"a.b.-1":        "",
		"a.t":           "true",
		`x\.y`:          `"q"`,
		"x.y":           "",
		"dup":           "2",
		"esc":           "-7",
		"n":             "null",
		`back\\slash`:   "😀\né/",
		"s":             `br}ack]et\`,
		"l.0":           "",
		"a.b.2.c.d":     "",
		"s.0":           "",
		"missing.thing": "",
	} {
		v := Value(doc).Get(path)
		if got := v.String(); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
		if v.Exists() != (want != "") {
			t.Errorf("%q: exists is %v", path, v.Exists())
		}
	}
	for _, path := range []string{"a..b", ".a", "a.", `a\b`, `\`, "."} {
		if text := panicOf(func() { Value(doc).Get(path) }); !strings.Contains(text, "malformed path") {
			t.Errorf("%q: panicked with %q", path, text)
		}
	}
}

func panicOf(f func()) (text string) {
	defer func() { text = panicText(recover()) }()
	f()
	return ""
}

func TestValueNumbers(t *testing.T) {
	for in, want := range map[string]struct {
		i int64
		f float64
	}{
		"1": {1, 1}, "-7": {-7, -7}, "1.5": {1, 1.5}, "2e3": {2000, 2000}, `"12"`: {12, 12}, "9007199254740993": {9007199254740993, 9007199254740992},
		"": {0, 0}, "null": {0, 0}, `"x"`: {0, 0}, "[1]": {0, 0},
	} {
		if v := Value(in); v.Int() != want.i || v.Float() != want.f {
			t.Errorf("%q: got %d, %v; want %v", in, v.Int(), v.Float(), want)
		}
	}
	if !Value("true").Bool() || Value("false").Bool() || Value(`"true"`).Bool() || Value(nil).Bool() {
		t.Error("Bool is wrong")
	}
}

func TestEach(t *testing.T) {
	var got []string
	collect := func(k string, v Value) bool {
		got = append(got, k+"="+string(v))
		return len(got) < 3
	}
	Value(`{"a":1 , "b\n":[2,{}],"c":"x,y", "d":4}`).Each(collect)
	if s := strings.Join(got, ";"); s != "a=1;b\n=[2,{}];c=\"x,y\"" {
		t.Errorf("got %q", s)
	}
	got = nil
	Value(` [ 1,[2] ]`).Each(collect)
	if s := strings.Join(got, ";"); s != "=1;=[2]" {
		t.Errorf("got %q", s)
	}
	got = nil
	for _, v := range []string{"", "1", `"[1]"`, "null", "{", "[", `{"a"`, `{"a":`} {
		Value(v).Each(collect)
	}
	if len(got) != 0 {
		t.Errorf("got %q of values that have none", got)
	}
}

func TestEncode(t *testing.T) {
	for want, in := range map[string]any{
		"null": nil, "true": true, "1": 1, "-2": int64(-2), "3": int32(3), "4": uint64(4), "5": uint32(5), "1.5": 1.5, "1e+21": 1e21,
		`"a\"\\\n\r\t\u0001é😀"`: "a\"\\\n\r\t\x01é😀", `{"raw": 1.0}`: Value(`{"raw": 1.0}`),
	} {
		if got, ok := appendValue(nil, in); !ok || string(got) != want {
			t.Errorf("%v: got %s, %v; want %s", in, got, ok, want)
		}
	}
	for _, in := range []any{[]int{1}, map[string]any{}, struct{}{}, math.NaN(), math.Inf(1)} {
		if got, ok := appendValue(nil, in); ok {
			t.Errorf("%v was encoded as %s", in, got)
		}
	}
	if got := string(Text("\xff")); !utf8.ValidString(got) || !json.Valid([]byte(got)) {
		t.Errorf("invalid UTF-8 became %q", got)
	}
}

func TestOutcomes(t *testing.T) {
	for want, f := range map[int32]func() int32{
		0:  func() int32 { return Transform(func(*Message) error { return nil }) },
		1:  func() int32 { return Transform(func(*Message) error { return Drop }) },
		2:  func() int32 { return Transform(func(m *Message) error { m.emitted = 1; return Drop }) },
		-1: func() int32 { return Transform(func(*Message) error { panic("no") }) },
	} {
		if got := f(); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
	if Transform(func(*Message) error { return errors.New("x") }) != -1 || Init(func() error { return errors.New("x") }) != -1 || Init(func() error { return nil }) != 0 {
		t.Error("an error does not give a negative result")
	}
	keep := func(b bool, err error) int32 { return Filter(func(*Message) (bool, error) { return b, err }) }
	if keep(true, nil) != 1 || keep(false, nil) != 0 || keep(true, errors.New("x")) != -1 {
		t.Error("a filter's results are wrong")
	}
	for want, err := range map[string]any{"x": errors.New("x"), "text": "text", "a value that is neither error nor string": 7} {
		if got := panicText(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWithoutHost(t *testing.T) {
	m := &Message{}
	if m.Has("a") || m.ID() != "" || m.Header("x") != "" || m.Remove("a") || m.RemoveHeader("x") {
		t.Error("something was read without a host")
	}
	if err := m.Set("a", 1); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("got %v", err)
	}
	if err := m.Set("a", []int{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if err := m.Emit(); !errors.Is(err, ErrNotAllowed) || m.emitted != 0 {
		t.Errorf("got %v", err)
	}
}

// FuzzValue compares strings and members with what encoding/json makes of them.
func FuzzValue(f *testing.F) {
	for _, s := range []string{doc, `"\ud83d\ude00"`, `"\ud83d\u0041"`, `{"a":{"b":1},"a":2}`, `"\"`, `{"\\":"}"}`, `[[],{}]`, "\"\xff\""} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, s, key string) {
		v := Value(s)
		v.Each(func(string, Value) bool { return true })
		text, ok := unquote(v)
		if !utf8.ValidString(s) || !json.Valid([]byte(s)) {
			return // it was enough not to panic
		}
		var want string
		if err := json.Unmarshal([]byte(s), &want); err == nil && strings.TrimSpace(s)[0] == '"' {
			if !ok || text != want {
				t.Fatalf("%s: got %q, %v; want %q", s, text, ok, want)
			}
		} else if ok {
			t.Fatalf("%s is no string, got %q", s, text)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(s), &members); err != nil {
			return
		}
		if got, want := string(v.step(key)), string(members[key]); got != want {
			t.Fatalf("%s, %q: got %q, want %q", s, key, got, want)
		}
		if encoded := Text(key); utf8.ValidString(key) {
			var back string
			if err := json.Unmarshal(encoded, &back); err != nil || back != key {
				t.Fatalf("%q is encoded as %s", key, encoded)
			}
		}
	})
}
