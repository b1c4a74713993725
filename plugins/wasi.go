package plugins

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// Error numbers of WASI preview 1.
const (
	errnoSuccess = 0
	errnoBadFile = 8
)

// instantiateWASI gives a runtime WASI preview 1 with all that an instance would
// remember outside of its memory taken out: the standard streams can't be closed,
// renumbered or switched over, and exit ends the call without closing the
// instance.
func instantiateWASI(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(wasiModule)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	standard := func(_ context.Context, stack []uint64) {
		if uint32(stack[0]) <= 2 {
			stack[0] = errnoSuccess
		} else {
			stack[0] = errnoBadFile
		}
	}
	refused := func(_ context.Context, stack []uint64) { stack[0] = errnoBadFile }
	for _, f := range []struct {
		name   string
		params []api.ValueType
		f      api.GoFunc
	}{
		{"fd_close", []api.ValueType{i32}, standard},
		{"fd_fdstat_set_flags", []api.ValueType{i32, i32}, standard},
		{"fd_renumber", []api.ValueType{i32, i32}, refused},
	} {
		b.NewFunctionBuilder().WithGoFunction(f.f, f.params, []api.ValueType{i32}).Export(f.name)
	}
	b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
		panic(sys.NewExitError(uint32(stack[0])))
	}), []api.ValueType{i32}, nil).Export("proc_exit")
	_, err := b.Instantiate(ctx)
	return err
}
