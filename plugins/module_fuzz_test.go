package plugins_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/weirhq/weir/plugins"
)

// FuzzModule holds what Inspect says of a module against what wazero, which
// will run it, makes of it.
func FuzzModule(f *testing.F) {
	f.Add(fine().build())
	f.Add(guest{filter: constant(1), transform: constant(0), init: constant(0), initialize: []byte{}, pages: 2, maxPages: 9}.build())
	f.Add(guest{transform: constant(0), pages: 300, maxPages: 65536}.build())
	f.Add(guest{transform: constant(0), without: "memory"}.build())
	f.Add(guest{filter: constant(1), wrongType: "weir_filter"}.build())
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x00\x05\x04name"))
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Cleanup(func() {
		if err := r.Close(ctx); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, wasm []byte) {
		info, err := plugins.Inspect(wasm)
		if err != nil && !errors.Is(err, plugins.ErrNotWasm) && !errors.Is(err, plugins.ErrImport) && !errors.Is(err, plugins.ErrExport) {
			t.Fatalf("refused without a kind: %v", err)
		}
		compiled, compileErr := r.CompileModule(ctx, wasm)
		if compileErr != nil {
			return
		}
		defer func() {
			if err := compiled.Close(ctx); err != nil {
				t.Error(err)
			}
		}()
		if errors.Is(err, plugins.ErrNotWasm) {
			t.Fatalf("wazero takes it, and Inspect says %v", err)
		}
		if err != nil {
			return
		}
		functions, memories := compiled.ExportedFunctions(), compiled.ExportedMemories()
		for _, name := range info.Exports {
			delete(functions, name)
		}
		if len(functions) > 0 {
			t.Fatalf("Inspect does not see the exports %v", functions)
		}
		for name, has := range map[string]bool{"weir_filter": info.Filter, "weir_transform": info.Transform, "weir_init": info.Init} {
			if d, ok := compiled.ExportedFunctions()[name]; ok != has || ok && (len(d.ParamTypes()) != 0 || len(d.ResultTypes()) != 1) {
				t.Fatalf("%s: Inspect says %v, wazero %v", name, has, ok)
			}
		}
		memory := memories["memory"]
		if memory == nil || int64(memory.Min())<<16 != info.MemoryMin {
			t.Fatalf("Inspect says that it starts with %d bytes, wazero %v", info.MemoryMin, memory)
		}
		if len(compiled.ImportedFunctions()) != len(info.Imports) {
			t.Fatalf("Inspect says that it imports %v, wazero %v", info.Imports, compiled.ImportedFunctions())
		}
	})
}
