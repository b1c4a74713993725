package plugins

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// pageSize is WebAssembly's unit of memory, in bytes.
const pageSize = 64 << 10

// maxMemory is all that 32 bits can address.
const maxMemory = 4 << 30

// Exports that the host looks for.
const (
	exportVersion   = "weir_abi_v1"
	exportFilter    = "weir_filter"
	exportTransform = "weir_transform"
	exportInit      = "weir_init"
	exportMemory    = "memory"
)

// wasiModule is the only other module that may be imported from.
const wasiModule = "wasi_snapshot_preview1"

// Kind is what a module does.
type Kind string

// The kinds.
const (
	KindFilter    Kind = "filter"
	KindTransform Kind = "transform"
	KindBoth      Kind = "filter and transform"
)

// Info is what can be said of a module without running it.
type Info struct {
	// ABI is the version of the plugin ABI that it speaks.
	ABI int `json:"abi"`
	// Kind says which of Filter and Transform hold.
	Kind      Kind `json:"kind"`
	Filter    bool `json:"filter"`
	Transform bool `json:"transform"`
	// Init says that it has weir_init.
	Init bool `json:"init"`
	// Exports are the names of what it exports, in its order.
	Exports []string `json:"exports"`
	// Imports are the functions that it imports, as module.name, in its order.
	Imports []string `json:"imports"`
	// MemoryMin is the memory that it starts with, in bytes. MemoryMax is the
	// most that it asks for itself, 0 where it says nothing.
	MemoryMin int64 `json:"memory_min"`
	MemoryMax int64 `json:"memory_max,omitempty"`
	// Size is that of the module in bytes, SHA256 its hash in hex.
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
}

// Errors that tell how a module can't be a plugin. Their texts say what to do.
var (
	// ErrNotWasm is a file that is no WebAssembly module, or a damaged one.
	ErrNotWasm = errors.New("not a usable WebAssembly module")
	// ErrImport is an import that no plugin may have.
	ErrImport = errors.New("import refused")
	// ErrExport is an export that is missing or has the wrong type.
	ErrExport = errors.New("export missing")
)

// Inspect reads a module's imports and exports and says whether it can be a
// plugin. Nothing of it runs, and its code is not checked: that is done by
// [Host.Load].
func Inspect(wasm []byte) (*Info, error) {
	m, err := parseModule(wasm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotWasm, err)
	}
	info := newInfo(wasm)
	if err := m.checkImports(info); err != nil {
		return nil, err
	}
	if err := m.checkExports(info); err != nil {
		return nil, err
	}
	return info, nil
}

func newInfo(wasm []byte) *Info {
	sum := sha256.Sum256(wasm)
	return &Info{Size: len(wasm), SHA256: hex.EncodeToString(sum[:])}
}

func (m *module) checkImports(info *Info) error {
	for _, i := range m.imports {
		name := i.module + "." + i.name
		info.Imports = append(info.Imports, name)
		switch {
		case i.module != importModule && i.module != wasiModule:
			return fmt.Errorf("%w: the module imports %q: a plugin may import from %q and %q only", ErrImport, name, importModule, wasiModule)
		case i.kind != externFunction:
			return fmt.Errorf("%w: the module imports %q, which is no function", ErrImport, name)
		case i.module == wasiModule:
			if !slices.Contains(wasiFunctions, i.name) {
				return fmt.Errorf("%w: the module imports %q, which WASI preview 1 does not have", ErrImport, name)
			}
			continue
		}
		n := slices.IndexFunc(hostFunctions, func(h hostFunction) bool { return h.name == i.name })
		if n < 0 {
			return fmt.Errorf("%w: the module imports %q, which ABI version 1 does not have", ErrImport, name)
		}
		h := hostFunctions[n]
		want := signature{strings.Repeat("i", h.params), strings.Repeat("i", h.results)}
		got, ok := m.typeOf(i.typ)
		if !ok || got != want {
			return fmt.Errorf("%w: the module imports %q as %v; ABI version 1 has it as %v", ErrImport, name, got, want)
		}
	}
	return nil
}

func (m *module) checkExports(info *Info) error {
	for _, e := range m.exports {
		info.Exports = append(info.Exports, e.name)
	}
	if e, ok := m.export(exportVersion); !ok || e.kind != externFunction {
		if _, command := m.export("_start"); command {
			return fmt.Errorf("%w: this is a program with a main function, not a plugin: build it as a reactor (Go: -buildmode=c-shared) that exports %s", ErrExport, exportVersion)
		}
		return fmt.Errorf("%w: %s: a plugin exports it to say which ABI it speaks; the SDK does so, or export an empty function of that name", ErrExport, exportVersion)
	}
	info.ABI = 1
	if err := m.checkMemory(info); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		want signature
		has  *bool
	}{
		{exportVersion, signature{"", ""}, new(bool)},
		{exportFilter, signature{"", "i"}, &info.Filter},
		{exportTransform, signature{"", "i"}, &info.Transform},
		{exportInit, signature{"", "i"}, &info.Init},
		{"_initialize", signature{"", ""}, new(bool)},
	} {
		e, ok := m.export(f.name)
		if !ok {
			continue
		}
		got, known := m.functionType(e.index)
		if e.kind != externFunction || !known || got != f.want {
			return fmt.Errorf("%w: %s is exported as %v; it must be %v", ErrExport, f.name, got, f.want)
		}
		*f.has = true
	}
	switch {
	case info.Filter && info.Transform:
		info.Kind = KindBoth
	case info.Filter:
		info.Kind = KindFilter
	case info.Transform:
		info.Kind = KindTransform
	default:
		return fmt.Errorf("%w: %s or %s: the module has neither, so there is nothing to run; in Go put //go:wasmexport %s above the function, in Rust write weir::transform!(function), in C WEIR_TRANSFORM before a body", ErrExport, exportFilter, exportTransform, exportTransform)
	}
	return nil
}

func (m *module) checkMemory(info *Info) error {
	if e, ok := m.export(exportMemory); !ok || e.kind != externMemory {
		return fmt.Errorf("%w: %s: the host reads and writes there; export the module's memory under that name", ErrExport, exportMemory)
	}
	if len(m.memories) != 1 {
		return fmt.Errorf("%w: the module has %d memories, a plugin has one", ErrExport, len(m.memories))
	}
	info.MemoryMin = int64(m.memories[0].min) * pageSize
	if m.memories[0].limited {
		info.MemoryMax = int64(m.memories[0].max) * pageSize
	}
	return nil
}

// wasiFunctions is all of wasi_snapshot_preview1.
var wasiFunctions = strings.Fields(`args_get args_sizes_get environ_get environ_sizes_get
	clock_res_get clock_time_get fd_advise fd_allocate fd_close fd_datasync fd_fdstat_get
	fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_get fd_filestat_set_size
	fd_filestat_set_times fd_pread fd_prestat_get fd_prestat_dir_name fd_pwrite fd_read
	fd_readdir fd_renumber fd_seek fd_sync fd_tell fd_write path_create_directory
	path_filestat_get path_filestat_set_times path_link path_open path_readlink
	path_remove_directory path_rename path_symlink path_unlink_file poll_oneoff proc_exit
	proc_raise sched_yield random_get sock_accept sock_recv sock_send sock_shutdown`)

// Kinds of imports and exports in the binary format.
const (
	externFunction = iota
	externTable
	externMemory
	externGlobal
	externTag
)

// signature is a function's type, a letter a value: i for i32, I for i64, f, F
// for floats, ? for others.
type signature struct{ params, results string }

func (s signature) String() string {
	list := func(letters string) string {
		names := make([]string, len(letters))
		for n, c := range letters {
			names[n] = map[rune]string{'i': "i32", 'I': "i64", 'f': "f32", 'F': "f64"}[c]
			if names[n] == "" {
				names[n] = "another type"
			}
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return "func" + list(s.params) + " " + list(s.results)
}

type moduleImport struct {
	module, name string
	kind         byte
	typ          uint32
}

type moduleExport struct {
	name  string
	kind  byte
	index uint32
}

type memoryType struct {
	min, max uint32
	limited  bool
}

// module is what Inspect needs of a module.
type module struct {
	types     []signature
	imports   []moduleImport
	functions []uint32 // types of the imported and the own
	memories  []memoryType
	exports   []moduleExport
}

func (m *module) typeOf(i uint32) (signature, bool) {
	if uint64(i) >= uint64(len(m.types)) {
		return signature{}, false
	}
	return m.types[i], true
}

func (m *module) functionType(i uint32) (signature, bool) {
	if uint64(i) >= uint64(len(m.functions)) {
		return signature{}, false
	}
	return m.typeOf(m.functions[i])
}

func (m *module) export(name string) (moduleExport, bool) {
	for _, e := range m.exports {
		if e.name == name {
			return e, true
		}
	}
	return moduleExport{}, false
}

var errTruncated = errors.New("the file ends in the middle: it is truncated or damaged")

// parseModule reads the sections before the code. Sections that are not needed
// are skipped.
func parseModule(wasm []byte) (*module, error) {
	if len(wasm) < 4 || !bytes.Equal(wasm[:4], []byte("\x00asm")) {
		return nil, errors.New("it does not begin as one does")
	}
	if len(wasm) < 8 {
		return nil, errTruncated
	}
	switch v := wasm[4:8]; {
	case bytes.Equal(v, []byte{1, 0, 0, 0}):
	case v[2] == 1:
		return nil, errors.New("it is a component; a plugin is a core module (target wasm32-wasip1, not wasip2)")
	default:
		return nil, fmt.Errorf("its format has the unknown version %x", v)
	}
	m := &module{}
	r := &reader{data: wasm[8:]}
	for len(r.data) > 0 && r.err == nil {
		id := r.byte()
		section := &reader{data: r.take(r.u32())}
		if r.err != nil {
			break
		}
		switch id {
		case 1:
			section.each(func() { m.types = append(m.types, section.signature()) })
		case 2:
			section.each(func() { m.importFrom(section) })
		case 3:
			section.each(func() { m.functions = append(m.functions, section.u32()) })
		case 5:
			section.each(func() { m.memories = append(m.memories, section.limits()) })
		case 7:
			section.each(func() {
				m.exports = append(m.exports, moduleExport{section.name(), section.byte(), section.u32()})
			})
		}
		if section.err != nil {
			return nil, section.err
		}
	}
	return m, r.err
}

func (m *module) importFrom(r *reader) {
	i := moduleImport{module: r.name(), name: r.name(), kind: r.byte()}
	switch i.kind {
	case externFunction:
		i.typ = r.u32()
		m.functions = append(m.functions, i.typ)
	case externTable:
		r.byte()
		r.limits()
	case externMemory:
		r.limits()
	case externGlobal:
		r.byte()
		r.byte()
	case externTag:
		r.byte()
		r.u32()
	default:
		r.fail(fmt.Errorf("it has an import of the unknown kind %d", i.kind))
	}
	m.imports = append(m.imports, i)
}

// reader reads the binary format. After an error everything it returns is zero.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.data)) {
		r.fail(errTruncated)
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) byte() byte {
	b := r.take(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// u32 reads an unsigned LEB128 number.
func (r *reader) u32() uint32 { return uint32(r.leb(math.MaxUint32)) }

func (r *reader) leb(limit uint64) uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > limit {
				break
			}
			return v
		}
	}
	r.fail(errors.New("it has a number that is too large"))
	return 0
}

func (r *reader) name() string { return string(r.take(r.u32())) }

// each calls f as often as the section says, or until it ends.
func (r *reader) each(f func()) {
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		f()
	}
}

func (r *reader) signature() signature {
	if form := r.byte(); form != 0x60 {
		r.fail(fmt.Errorf("it has a type of the unknown form %#x", form))
	}
	values := func() string {
		b := slices.Clone(r.take(r.u32()))
		for i, t := range b {
			switch t {
			case 0x7f:
				b[i] = 'i'
			case 0x7e:
				b[i] = 'I'
			case 0x7d:
				b[i] = 'f'
			case 0x7c:
				b[i] = 'F'
			default:
				b[i] = '?'
			}
		}
		return string(b)
	}
	return signature{params: values(), results: values()}
}

func (r *reader) limits() memoryType {
	flags := r.byte()
	if flags > 1 {
		r.fail(errors.New("it has a shared or 64 bit memory, which is not supported"))
	}
	m := memoryType{min: r.u32()}
	if flags == 1 {
		m.max, m.limited = r.u32(), true
	}
	return m
}
