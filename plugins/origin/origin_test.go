package origin

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

const magic = "\x00asm\x01\x00\x00\x00"

func block(s string) string { return string(rune(len(s))) + s }

func custom(name, body string) string { return "\x00" + block(block(name)+body) }

func TestOf(t *testing.T) {
	producers := "\x02" + block("language") + "\x01" + block("Rust") + block("") +
		block("processed-by") + "\x02" + block("rustc") + block("1.63.0") + block("wasm-opt") + block("")
	for _, c := range []struct {
		name, sections, want string
	}{
		{"nothing", "", "{ [] false false}"},
		{"rust", custom("producers", producers) + custom("name", ""), "{Rust [rustc 1.63.0 wasm-opt] false true}"},
		{"go", custom("go:buildid", "x") + custom("producers", "\x01"+block("processed-by")+"\x01"+block("Go cmd/compile")+block("go1.26")), "{Go [Go cmd/compile go1.26] false false}"},
		{"go, no producers", custom("go:buildid", "x"), "{Go [] false false}"},
		{"start", "\x08\x01\x00", "{ [] true false}"},
		{"llvm", custom("target_features", ""), "{ [LLVM] false false}"},
		{"assemblyscript", "\x0b" + block("\x01\x00~\x00l\x00i\x00b\x00/\x00"), "{AssemblyScript [] false false}"},
		{"cut off producers", custom("producers", producers[:len(producers)-3]), "{ [] false false}"},
		{"endless producers", custom("producers", "\xff\xff\xff\xff\x0f"), "{ [] false false}"},
	} {
		o, err := Of([]byte(magic + c.sections))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := fmt.Sprint(*o); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	for _, s := range []string{"", "MZ", magic + "\x00", magic + "\x00\x05\x01", magic + "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if _, err := Of([]byte(s)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %v", s, err)
		}
	}
}

// A module may say anything of itself; no memory is spent on it.
func FuzzOf(f *testing.F) {
	f.Add([]byte(magic))
	f.Add([]byte(magic + custom("producers", "\x01"+block("language")+"\x01"+block("C")+block("11"))))
	f.Add([]byte(magic + "\x08\x01\x00"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		o, err := Of(wasm)
		if (o == nil) == (err == nil) {
			t.Fatalf("got %v, %v", o, err)
		}
		if o != nil && slices.ContainsFunc(o.Tools, func(s string) bool { return len(s) > len(wasm) }) {
			t.Fatalf("%v is more than the module holds", o.Tools)
		}
	})
}
