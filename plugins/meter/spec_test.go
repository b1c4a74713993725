package meter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/weirhq/weir/plugins/meter"
)

// specDir is where wazero's Go module keeps the tests of the WebAssembly core
// specification, as wast2json writes them: v1 for version 1, v2 for version 2.
func specDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatalf("finding wazero's tests of the specification: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
}

type specCommand struct {
	Type       string      `json:"type"`
	Line       int         `json:"line"`
	Name       string      `json:"name"`
	Filename   string      `json:"filename"`
	As         string      `json:"as"`
	ModuleType string      `json:"module_type"`
	Text       string      `json:"text"`
	Expected   []specValue `json:"expected"`
	Action     struct {
		Type   string      `json:"type"`
		Module string      `json:"module"`
		Field  string      `json:"field"`
		Args   []specValue `json:"args"`
	} `json:"action"`
}

type specValue struct {
	Type  string          `json:"type"`
	Lane  string          `json:"lane_type"`
	Value json.RawMessage `json:"value"`
}

// words are the value as wazero takes it. ok is false where it stands for more
// than one value: any NaN, any reference.
func (v specValue) words(t testing.TB) (words []uint64, ok bool) {
	t.Helper()
	width := map[string]int{"i8": 8, "i16": 16, "i32": 32, "f32": 32, "i64": 64, "f64": 64, "externref": 64, "funcref": 64}
	number := func(text string, typ string) uint64 {
		switch {
		case strings.HasPrefix(text, "nan"):
			ok = false
			return 0
		case text == "null":
			return 0
		}
		n, err := strconv.ParseUint(text, 10, width[typ])
		if err != nil {
			t.Fatalf("a value that this test can't read: %s of %s", text, typ)
		}
		if typ == "externref" {
			n++ // 0 is null to wazero
		}
		return n
	}
	ok = true
	if len(v.Value) == 0 || bytes.Equal(v.Value, []byte("null")) {
		return nil, false
	}
	if v.Type != "v128" {
		var text string
		if err := json.Unmarshal(v.Value, &text); err != nil {
			t.Fatal(err)
		}
		return []uint64{number(text, v.Type)}, ok
	}
	var lanes []string
	if err := json.Unmarshal(v.Value, &lanes); err != nil {
		t.Fatal(err)
	}
	words = make([]uint64, 2)
	for n, text := range lanes {
		at := n * width[v.Lane]
		words[at/64] |= number(text, v.Lane) << (at % 64)
	}
	return words, ok
}

// specRun runs one file of tests in two runtimes: the modules as they are in one,
// metered in the other.
type specRun struct {
	t              *testing.T
	dir            string
	plain, metered specRuntime
	counts         map[string]int
}

type specRuntime struct {
	r     wazero.Runtime
	last  api.Module
	named map[string]api.Module
}

func newSpecRuntime(t testing.TB, c wazero.RuntimeConfig, spectest []byte) specRuntime {
	t.Helper()
	ctx := context.Background()
	s := specRuntime{r: wazero.NewRuntimeWithConfig(ctx, c), named: map[string]api.Module{}}
	if _, err := s.r.InstantiateWithConfig(ctx, spectest, wazero.NewModuleConfig().WithName("spectest")); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *specRuntime) instantiate(wasm []byte, name, as string) error {
	mod, err := s.r.InstantiateWithConfig(context.Background(), wasm, wazero.NewModuleConfig().WithName(as))
	if err == nil {
		s.last = mod
		if name != "" {
			s.named[name] = mod
		}
	}
	return err
}

func (s *specRuntime) module(name string) api.Module {
	if name == "" {
		return s.last
	}
	return s.named[name]
}

// rewritten instantiates what wasm is rewritten to.
func (s *specRun) rewritten(wasm []byte, name, as string) error {
	m, err := meter.RewriteForeign(wasm, meter.Options{Fuel: fuel})
	if err != nil {
		return err
	}
	return s.metered.instantiate(m.Wasm, name, as)
}

func (s *specRun) read(name string) []byte {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// registered is the name under which the module of command n is imported by
// later ones.
func registered(commands []specCommand, n int) string {
	last := true // so far it is the last module, which register means without a name
	for _, c := range commands[n+1:] {
		switch {
		case c.Type == "module":
			last = false
		case c.Type == "register" && (c.Name == "" && last || c.Name != "" && c.Name == commands[n].Name):
			return c.As
		}
	}
	return ""
}

func (s *specRun) run(file string) {
	var suite struct {
		Commands []specCommand `json:"commands"`
	}
	if err := json.Unmarshal(s.read(file), &suite); err != nil {
		s.t.Fatal(err)
	}
	for n, c := range suite.Commands {
		at := fmt.Sprintf("%s:%d: %s", file, c.Line, c.Type)
		if c.ModuleType == "text" || c.Type == "register" {
			continue
		}
		switch c.Type {
		case "module":
			s.sameMemory(at)
			wasm, as := s.read(c.Filename), registered(suite.Commands, n)
			if err := s.plain.instantiate(wasm, c.Name, as); err != nil {
				s.t.Fatalf("%s: %v", at, err)
			}
			if err := s.rewritten(wasm, c.Name, as); err != nil {
				s.t.Fatalf("%s: rewritten: %v", at, err)
			}
		case "assert_malformed", "assert_invalid", "assert_unlinkable", "assert_uninstantiable":
			wasm := s.read(c.Filename)
			plain, metered := s.plain.instantiate(wasm, "", ""), s.rewritten(wasm, "", "")
			// The first version of the specification refuses what the second
			// allows.
			if (plain == nil) != (metered == nil) {
				s.t.Errorf("%s %q: got %v, rewritten %v", at, c.Text, plain, metered)
			}
			if plain == nil {
				continue
			}
			if errors.Is(metered, meter.ErrUnsupported) || errors.Is(metered, meter.ErrMalformed) {
				s.counts["refused by Rewrite"]++
			}
		case "assert_return", "action", "assert_trap", "assert_exhaustion":
			s.act(at, c)
		default:
			s.t.Fatalf("%s: unknown", at)
		}
		s.counts[c.Type]++
	}
	s.sameMemory(file)
}

// act does the same in both runtimes and compares.
func (s *specRun) act(at string, c specCommand) {
	at += " " + c.Action.Field
	plain, metered := s.plain.module(c.Action.Module), s.metered.module(c.Action.Module)
	var want, got []uint64
	if c.Action.Type == "get" {
		want = []uint64{plain.ExportedGlobal(c.Action.Field).Get()}
		got = []uint64{metered.ExportedGlobal(c.Action.Field).Get()}
	} else {
		var args []uint64
		for _, a := range c.Action.Args {
			words, ok := a.words(s.t)
			if !ok {
				words = []uint64{0}
			}
			args = append(args, words...)
		}
		ctx := context.Background()
		tank := tankOf(metered)
		tank.fill(fuel)
		var plainErr, meteredErr error
		want, plainErr = plain.ExportedFunction(c.Action.Field).Call(ctx, args...)
		got, meteredErr = metered.ExportedFunction(c.Action.Field).Call(ctx, args...)
		types := metered.ExportedFunction(c.Action.Field).Definition().ResultTypes()
		want, got = exact(want, types), exact(got, types)
		if fault(plainErr) != fault(meteredErr) {
			s.t.Errorf("%s: got %v, without meter %v", at, meteredErr, plainErr)
		}
		if fails := c.Type == "assert_trap" || c.Type == "assert_exhaustion"; fails != (plainErr != nil) {
			s.t.Errorf("%s: got %v", at, plainErr)
		}
		used := fuel - tank.left()
		if used < 0 || used > fuel {
			s.t.Errorf("%s: took %d units", at, used)
		}
		if used > 0 {
			s.counts["metered call"]++
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("%s: got %x, without meter %x", at, got, want)
	}
	if c.Type != "assert_return" {
		return
	}
	// Both could be wrong: what the test itself expects, where that is one value.
	next := 0
	for _, e := range c.Expected {
		size := 1
		if e.Type == "v128" {
			size = 2
		}
		if words, ok := e.words(s.t); ok && (next+size > len(got) || !slices.Equal(words, got[next:next+size])) {
			s.t.Errorf("%s: got %x, want %x", at, got, words)
		}
		next += size
	}
	if next != len(got) {
		s.t.Errorf("%s: got %x, want %d words", at, got, next)
	}
}

// exact clears what means nothing in the results of a function: the upper half
// of 32 bits, and which address stands for a function.
func exact(words []uint64, types []api.ValueType) []uint64 {
	next := 0
	for _, t := range types {
		if next == len(words) {
			break
		}
		switch t {
		case api.ValueTypeI32, api.ValueTypeF32:
			words[next] &= 0xffffffff
		case 0x70: // funcref
			words[next] = min(words[next], 1)
		case 0x7b: // v128
			next++
		}
		next++
	}
	return words
}

// sameMemory compares the memories of the modules that were used last.
func (s *specRun) sameMemory(at string) {
	if s.plain.last == nil || s.metered.last == nil {
		return
	}
	a, b := s.plain.last.Memory(), s.metered.last.Memory()
	if reflect.ValueOf(a).IsNil() { // what wazero returns for none is not nil
		return
	}
	if a.Size() != b.Size() {
		s.t.Errorf("before %s: the memory has %d bytes, without meter %d", at, b.Size(), a.Size())
		return
	}
	n := min(a.Size(), 1<<20)
	x, _ := a.Read(0, n)
	y, _ := b.Read(0, n)
	if !bytes.Equal(x, y) {
		s.t.Errorf("before %s: the memory differs from the one without meter", at)
	}
	s.counts["memory"]++
}

// fault is the kind of an error of the guest, without the names of functions.
func fault(err error) string {
	if err == nil {
		return ""
	}
	kind, _, _ := strings.Cut(err.Error(), "\n")
	return kind
}

// TestSpecification runs the tests of the core specification with and without
// the meter.
func TestSpecification(t *testing.T) {
	dir := specDir(t)
	spectest, err := os.ReadFile(filepath.Join(dir, "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	metered, err := meter.RewriteForeign(spectest, meter.Options{Fuel: fuel})
	if err != nil {
		t.Fatal(err)
	}
	for version, suite := range map[string]struct {
		features api.CoreFeatures
		floors   map[string]int
	}{
		"v1": {api.CoreFeaturesV1, map[string]int{
			"module": 780, "assert_return": 15788, "assert_trap": 458, "action": 42, "assert_exhaustion": 15, "metered call": 16200,
			"assert_invalid": 980, "assert_malformed": 660, "assert_unlinkable": 80, "memory": 140,
		}},
		"v2": {api.CoreFeaturesV2, map[string]int{
			"module": 1599, "assert_return": 45734, "assert_trap": 2408, "action": 155, "assert_exhaustion": 15, "metered call": 48200,
			"assert_invalid": 2146, "assert_malformed": 719, "assert_unlinkable": 83, "assert_uninstantiable": 19, "memory": 320,
		}},
	} {
		counts := map[string]int{}
		data := filepath.Join(dir, version, "testdata")
		files, err := filepath.Glob(filepath.Join(data, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", data, err)
		}
		for _, f := range files {
			name := filepath.Base(f)
			config := wazero.NewRuntimeConfig().WithCoreFeatures(suite.features)
			t.Run(version+"/"+strings.TrimSuffix(name, ".json"), func(t *testing.T) {
				s := &specRun{t: t, dir: data, counts: counts, plain: newSpecRuntime(t, config, spectest), metered: newSpecRuntime(t, config, metered.Wasm)}
				defer func() {
					for _, r := range []wazero.Runtime{s.plain.r, s.metered.r} {
						if err := r.Close(context.Background()); err != nil {
							t.Error(err)
						}
					}
				}()
				s.run(name)
			})
		}
		t.Logf("%s: %v", version, counts)
		for what, floor := range suite.floors {
			if counts[what] < floor {
				t.Errorf("%s: %d of %s, where there were %d", version, counts[what], what, floor)
			}
		}
	}
}
