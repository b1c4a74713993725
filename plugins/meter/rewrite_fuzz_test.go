package meter_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/weirhq/weir/plugins/meter"
)

// FuzzRewrite rewrites whatever bytes. What is refused has a kind, what comes out
// follows from the input alone and leaves it as it was, and a module that wazero
// takes is either refused or still taken when it is rewritten: a rewriter that
// breaks a module, or reads its bytes in another way than the engine does, would
// show there.
func FuzzRewrite(f *testing.F) {
	abi, err := filepath.Glob(filepath.Join("..", "abi", "testdata", "*.wasm"))
	if err != nil || len(abi) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	// A few small ones to begin with: each is run before the fuzzing begins, which
	// has seconds. All of the specification's are run by the test of them.
	var seeds []string
	for n := 0; n < len(abi); n += 5 {
		seeds = append(seeds, abi[n])
	}
	spec, err := filepath.Glob(filepath.Join(specDir(f), "v2", "testdata", "*.wasm"))
	if err != nil || len(spec) == 0 {
		f.Fatalf("no tests of the specification: %v", err)
	}
	for n := 0; n < len(spec); n += 401 {
		seeds = append(seeds, spec[n])
	}
	for _, name := range seeds {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) <= 4<<10 {
			f.Add(b, uint16(len(b)))
		}
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			f.Error(err)
		}
	})
	takes := func(t *testing.T, wasm []byte) error {
		compiled, err := r.CompileModule(ctx, wasm)
		if err == nil {
			if err := compiled.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
		return err
	}
	f.Fuzz(func(t *testing.T, wasm []byte, pages uint16) {
		before := bytes.Clone(wasm)
		options := meter.Options{MaxPages: uint32(pages), Fuel: 1000}
		out, err := meter.Rewrite(wasm, options)
		if !bytes.Equal(wasm, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if !errors.Is(err, meter.ErrMalformed) && !errors.Is(err, meter.ErrUnsupported) {
				t.Fatalf("refused without a kind: %v", err)
			}
			return // wazero takes some that the specification calls malformed
		}
		again, err := meter.Rewrite(wasm, options)
		if err != nil || !bytes.Equal(again.Wasm, out.Wasm) {
			t.Fatalf("a second time gives another module, or %v", err)
		}
		if takes(t, wasm) != nil {
			return
		}
		if err := takes(t, out.Wasm); err != nil {
			t.Fatalf("wazero takes the module, and not the rewritten one: %v", err)
		}
		// It has the fuel's name now, which no guest may have.
		if _, err := meter.Rewrite(out.Wasm, options); !errors.Is(err, meter.ErrUnsupported) {
			t.Fatalf("a rewritten module is rewritten again: %v", err)
		}
	})
}
