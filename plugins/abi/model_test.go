package abi_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/abi"
	"github.com/weirhq/weir/plugins/golden"
	"github.com/weirhq/weir/plugins/meter"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// model is a second host, as simple as can be: an instance for each event. It
// can have one defect, by which the suite is tested: wherever the model asks
// m.is for a defect, it does the wrong thing where it has that one. It knows all
// names that it was asked for, so that a table can't name one that is nowhere.
type model struct {
	defect string
	asked  map[string]bool
	cache  wazero.CompilationCache
}

func (m *model) is(defect string) bool {
	m.asked[defect] = true
	return m.defect == defect
}

// imports of the ABI: their numbers of parameters and results, all i32.
var modelImports = map[string]struct {
	params, results int
	f               func(c *modelCall, a []uint32) int32
}{
	"read":          {3, 1, (*modelCall).read},
	"write":         {3, 1, (*modelCall).write},
	"get":           {4, 1, (*modelCall).get},
	"set":           {4, 1, (*modelCall).set},
	"remove":        {2, 1, (*modelCall).remove},
	"header":        {4, 1, (*modelCall).header},
	"set_header":    {4, 1, (*modelCall).setHeader},
	"remove_header": {2, 1, (*modelCall).removeHeader},
	"emit":          {0, 1, (*modelCall).emit},
	"log":           {3, 0, (*modelCall).log},
	"fail":          {2, 0, (*modelCall).fail},
}

const (
	modelFuel     = 20_000_000
	modelInitFuel = 200_000_000
	modelResults  = 64
	modelBytes    = 4 << 20
)

// ---- loading

type modelPlugin struct {
	*model
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	restored []string // exported globals
	config   []byte
	seed     string
	kept     *modelInstance // of a host that uses instances again
	trapped  bool
	stub     bool
}

func (m *model) Load(ctx context.Context, wasm, config []byte, memory int64) (abi.Plugin, error) {
	if memory == 0 {
		memory = 32 << 20
	}
	pages := uint32(memory / (64 << 10))
	if m.is("the cap of memory is a page too low") {
		pages--
	}
	if m.is("memory has no cap") {
		pages = 1024
	}
	p := &modelPlugin{model: m, config: config, seed: fmt.Sprintf("%x", sha256.Sum256(wasm))}
	if p.config == nil {
		p.config = []byte("null")
		if m.is("an unset config is empty") {
			p.config = nil
		}
	}
	p.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(m.cache).WithMemoryLimitPages(pages))
	original, err := p.runtime.CompileModule(ctx, wasm)
	if err != nil {
		return nil, errors.Join(err, p.runtime.Close(ctx))
	}
	if err := m.check(original); err != nil {
		if m.is("refusals give no names") {
			err = errors.New("the module can't be used")
		}
		return nil, errors.Join(err, p.runtime.Close(ctx))
	}
	if len(m.unchecked(original)) > 0 {
		p.stub = true // the defect let it in
		return p, nil
	}
	metered, err := meter.Rewrite(wasm, meter.Options{MaxPages: pages, Fuel: modelInitFuel})
	if err != nil {
		return nil, errors.Join(err, p.runtime.Close(ctx))
	}
	p.restored = metered.Globals
	if p.compiled, err = p.runtime.CompileModule(ctx, metered.Wasm); err != nil {
		return nil, errors.Join(err, p.runtime.Close(ctx))
	}
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, p.runtime); err != nil {
		return nil, err
	}
	if err := p.instantiateImports(ctx); err != nil {
		return nil, err
	}
	i, o := p.start(ctx)
	if o.Class != "" {
		return nil, errors.Join(&plugins.Error{Class: o.Class, Text: o.Text}, p.runtime.Close(ctx))
	}
	i.close()
	return p, nil
}

func (p *modelPlugin) Close(ctx context.Context) error { return p.runtime.Close(ctx) }

// check says why a module is refused.
func (m *model) check(c wazero.CompiledModule) error {
	problems := slices.DeleteFunc(problemsOf(c), func(s string) bool {
		what, _, _ := strings.Cut(s, ": ")
		return m.is("not checked at load: " + what)
	})
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "; "))
	}
	return nil
}

// unchecked is what is wrong with a module all the same.
func (m *model) unchecked(c wazero.CompiledModule) []string { return problemsOf(c) }

// problemsOf returns "what: which" for each reason to refuse a module.
func problemsOf(c wazero.CompiledModule) (all []string) {
	i32s := func(types []api.ValueType, n int) bool {
		return len(types) == n && !slices.ContainsFunc(types, func(t api.ValueType) bool { return t != api.ValueTypeI32 })
	}
	for _, f := range c.ImportedFunctions() {
		module, name, _ := f.Import()
		known, ok := modelImports[name]
		switch {
		case module != "weir" && module != "wasi_snapshot_preview1":
			all = append(all, "import from another module: "+module+"."+name)
		case module == "wasi_snapshot_preview1" && name == "fetch":
			all = append(all, "import that WASI has not: "+module+"."+name)
		case module == "weir" && !ok:
			all = append(all, "import that weir has not: "+module+"."+name)
		case module == "weir" && !(i32s(f.ParamTypes(), known.params) && i32s(f.ResultTypes(), known.results)):
			all = append(all, "type of an import: "+module+"."+name)
		}
	}
	for _, memory := range c.ImportedMemories() {
		module, name, _ := memory.Import()
		all = append(all, "import of a memory: "+module+"."+name)
	}
	exports := c.ExportedFunctions()
	if exports["weir_abi_v1"] == nil {
		all = append(all, "export of the version: weir_abi_v1")
	}
	if c.ExportedMemories()["memory"] == nil {
		all = append(all, "export of the memory: memory")
	}
	if exports["weir_filter"] == nil && exports["weir_transform"] == nil {
		all = append(all, "a function to call: weir_filter or weir_transform")
	}
	for name, results := range map[string]int{"weir_abi_v1": 0, "weir_filter": 1, "weir_transform": 1, "weir_init": 1} {
		if f := exports[name]; f != nil && !(i32s(f.ParamTypes(), 0) && i32s(f.ResultTypes(), results)) {
			all = append(all, "type of "+name+": "+name)
		}
	}
	return all
}

func (p *modelPlugin) instantiateImports(ctx context.Context) error {
	b := p.runtime.NewHostModuleBuilder("weir")
	for name, f := range modelImports {
		params := slices.Repeat([]api.ValueType{api.ValueTypeI32}, f.params)
		results := slices.Repeat([]api.ValueType{api.ValueTypeI32}, f.results)
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			i := ctx.Value(modelKey{}).(*modelInstance)
			i.call.memory, i.call.function = mod.Memory(), name
			args := make([]uint32, f.params)
			for n := range args {
				args[n] = uint32(stack[n])
			}
			code := f.f(i.call, args)
			if f.results > 0 {
				stack[0] = api.EncodeI32(code)
			}
		}), params, results).Export(name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// ---- instances

type modelKey struct{}

type modelInstance struct {
	p      *modelPlugin
	mod    api.Module
	ctx    context.Context
	call   *modelCall
	clock  time.Time
	ticks  int64
	random io.Reader
	memory []byte // to be put back, by a host that does
	global []uint64
}

func (i *modelInstance) close() {
	if i.mod != nil {
		_ = i.mod.Close(i.ctx)
	}
}

func (i *modelInstance) seed(s string) {
	i.random = rand.NewChaCha8(sha256.Sum256([]byte(s)))
	if i.p.is("random is the machine's") {
		i.random = crand.Reader
	}
}

// start makes an instance and warms it up. The outcome is that of a start that
// failed.
func (p *modelPlugin) start(ctx context.Context) (*modelInstance, golden.Outcome) {
	i := &modelInstance{p: p, clock: time.Unix(0, 0)}
	i.ctx = context.WithValue(ctx, modelKey{}, i)
	i.call = &modelCall{m: p.model, config: p.config, stage: "init"}
	if p.is("the clock runs in init") {
		i.clock = time.Now()
	}
	i.seed(p.seed)
	if p.is("random in init is another each time") {
		i.random = crand.Reader
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithWalltime(func() (int64, int32) {
			now := i.clock
			if p.is("the clock is the machine's") {
				now = time.Now()
			}
			if p.is("the clock moves by itself") {
				i.clock = i.clock.Add(time.Millisecond)
			}
			return now.Unix(), int32(now.Nanosecond())
		}, sys.ClockResolution(time.Microsecond)).
		WithNanotime(func() int64 { i.ticks++; return i.ticks }, sys.ClockResolution(time.Microsecond)).
		WithRandSource(readerFunc(func(b []byte) (int, error) { return i.random.Read(b) }))
	if p.is("there is an environment") {
		config = config.WithEnv("HOME", "/root")
	}
	if p.is("there are arguments") {
		config = config.WithArgs("plugin")
	}
	if p.is("a folder is open") {
		config = config.WithFSConfig(wazero.NewFSConfig().WithDirMount("/", "/"))
	}
	var err error
	if i.mod, err = p.runtime.InstantiateModule(i.ctx, p.compiled, config); err != nil {
		return nil, i.fault(err)
	}
	if f := i.mod.ExportedFunction("_initialize"); f != nil && !p.is("_initialize is not called") {
		if _, err := f.Call(i.ctx); err != nil {
			return nil, i.fault(err)
		}
		if p.is("_initialize is called twice") {
			_, _ = f.Call(i.ctx)
		}
	}
	if f := i.mod.ExportedFunction("weir_init"); f != nil && !p.is("weir_init is not called") {
		times := 1
		if p.is("weir_init is called twice") {
			times = 2
		}
		for range times {
			results, err := f.Call(i.ctx)
			switch {
			case err != nil && p.is("a trap in weir_init is forgotten"):
			case err != nil:
				o := i.fault(err)
				o.Class = plugins.ClassInit
				return nil, o
			case int32(results[0]) != 0 && !p.is("the result of weir_init does not count"):
				o := golden.Outcome{Class: plugins.ClassInit, Text: i.call.failed}
				if p.is("the text of fail in weir_init is lost") {
					o.Text = ""
				}
				return nil, o
			}
		}
	}
	warmUps := 1
	if p.is("there is no warm-up") {
		warmUps = 0
	}
	if p.is("there are two warm-ups") {
		warmUps = 2
	}
	for range warmUps {
		w := &event.Message{ID: "evt_warmup", Type: "weir.warmup", Source: "weir", Time: time.Unix(0, 0).UTC(), Received: time.Unix(0, 0).UTC(), ContentType: "application/json", Data: []byte("{}")}
		if p.is("the warm-up is any event") {
			w.ID, w.Type = "evt_0", "test"
		}
		if o := i.run(w, ""); o.Class == plugins.ClassTrap || o.Class == plugins.ClassExit || o.Class == plugins.ClassFuel {
			return nil, o
		}
	}
	if m := i.mod.Memory(); m != nil {
		all, _ := m.Read(0, m.Size())
		i.memory = bytes.Clone(all)
	}
	for _, name := range p.restored {
		i.global = append(i.global, i.mod.ExportedGlobal(name).Get())
	}
	return i, golden.Outcome{}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// left is the fuel that a call left.
func (i *modelInstance) left() int64 {
	return int64(i.mod.ExportedGlobal(meter.FuelGlobal).Get()) + int64(i.mod.ExportedGlobal(meter.ReserveGlobal).Get())
}

// fault is the outcome of a call that the engine ended.
func (i *modelInstance) fault(err error) golden.Outcome {
	var exit *sys.ExitError
	o := golden.Outcome{Class: plugins.ClassTrap, Text: "trap"}
	switch {
	case errors.As(err, &exit):
		o = golden.Outcome{Class: plugins.ClassExit, Text: "exit"}
		if i.p.is("an exit is a trap") {
			o.Class = plugins.ClassTrap
		}
		if exit.ExitCode() == 0 && i.p.is("exit with 0 is fine") {
			o = golden.Outcome{Messages: []*event.Message{i.call.input}}
		}
	case i.mod != nil && i.left() < 0:
		o = golden.Outcome{Class: plugins.ClassFuel, Text: "out of fuel"}
		if i.p.is("out of fuel is a trap") {
			o.Class = plugins.ClassTrap
		}
	}
	if i.p.is("a call that failed is a drop") {
		o = golden.Outcome{}
	}
	return o
}

func (p *modelPlugin) Run(ctx context.Context, m *event.Message, route string) (golden.Outcome, error) {
	if p.stub {
		return golden.Outcome{}, nil
	}
	if p.trapped && p.is("a trap is the end of the plugin") {
		return golden.Outcome{Class: plugins.ClassTrap}, nil
	}
	i := p.kept
	if i == nil {
		var o golden.Outcome
		if i, o = p.start(ctx); o.Class != "" {
			return o, nil
		}
	}
	again := p.is("an instance is used again as it is") || p.is("memory is put back, globals are not") ||
		p.is("globals are put back, memory is not") || p.is("tables are not put back") || p.is("memory keeps its size")
	o := i.run(m, route)
	p.trapped = p.trapped || o.Class == plugins.ClassTrap
	if !again || o.Class != "" {
		i.close()
		p.kept = nil
		return o, nil
	}
	p.kept = i
	i.putBack()
	return o, nil
}

// putBack puts back what a host with a defect puts back.
func (i *modelInstance) putBack() {
	p := i.p
	if !p.is("an instance is used again as it is") && !p.is("globals are put back, memory is not") {
		now, _ := i.mod.Memory().Read(0, i.mod.Memory().Size())
		clear(now[copy(now, i.memory):])
	}
	if !p.is("an instance is used again as it is") && !p.is("memory is put back, globals are not") {
		for n, name := range p.restored {
			i.mod.ExportedGlobal(name).(api.MutableGlobal).Set(i.global[n])
		}
	}
}

func (i *modelInstance) run(m *event.Message, route string) golden.Outcome {
	p := i.p
	i.clock = m.Received
	if p.is("the clock is the time of the event") {
		i.clock = m.Time
	}
	switch {
	case p.is("random is the same for all events"):
		i.seed("")
	case !p.is("random goes on from init"):
		i.seed(m.ID)
	}
	fuel := int64(modelFuel)
	if p.is("fuel is too scarce") {
		fuel = 10_000
	}
	slice, reserve := meter.Slice(fuel)
	i.mod.ExportedGlobal(meter.FuelGlobal).(api.MutableGlobal).Set(uint64(slice))
	i.mod.ExportedGlobal(meter.ReserveGlobal).(api.MutableGlobal).Set(uint64(reserve))
	c := &modelCall{m: p.model, config: p.config, input: m, route: route, stage: "filter"}
	c.restore()
	i.call = c
	o := golden.Outcome{Messages: []*event.Message{m}}
	if f := i.mod.ExportedFunction("weir_filter"); f != nil {
		results, err := f.Call(i.ctx)
		if err != nil {
			return i.fault(err)
		}
		switch code := int32(results[0]); {
		case code == 1, code > 1 && p.is("a filter keeps by any positive number"):
			o.Filter = plugins.Keep
		case code == 0 && p.is("a filter's drop is no drop"):
			o.Filter = plugins.Keep
		case code == 0:
			o.Filter = plugins.Drop
			o.Messages = nil
			if !p.is("the transform is called after a drop") {
				return o
			}
		case code < 0:
			return c.negative()
		default:
			return golden.Outcome{Class: plugins.ClassBadResult}
		}
		if p.is("filter and transform have an instance each") {
			other, o := p.start(i.ctx)
			if o.Class != "" {
				return o
			}
			other.call = c
			defer other.close()
			i = other
		}
	}
	c.stage = "transform"
	f := i.mod.ExportedFunction("weir_transform")
	if f == nil || p.is("the transform is not called where there is a filter") && o.Filter != "" {
		o.Logs = c.logs
		return o
	}
	results, err := f.Call(i.ctx)
	if err != nil {
		return i.fault(err)
	}
	o.Logs = c.logs
	code := int32(results[0])
	switch {
	case code < 0 && p.is("a negative result is a drop"):
		o.Messages = nil
	case code < 0:
		return c.negative()
	case c.failed != "" && p.is("fail is a failure by itself"):
		return c.negative()
	case code == 0 && len(c.results) > 0 && p.is("0 after an emit is fine"):
		o.Messages = append(c.results, c.copy())
	case code == 1 && len(c.results) > 0 && p.is("1 after an emit is fine"):
		o.Messages = nil
	case code > 2 && p.is("other numbers count as 0"):
	case code > 2, code < 2 && len(c.results) > 0:
		return golden.Outcome{Class: plugins.ClassBadResult}
	case code == 0:
		o.Messages = []*event.Message{c.copy()}
		if p.is("0 gives the event as it came") {
			o.Messages = []*event.Message{m}
		}
	case code == 1:
		o.Messages = nil
		if p.is("1 gives the message") {
			o.Messages = []*event.Message{c.copy()}
		}
	default:
		o.Messages = c.results
		if len(c.results) == 0 && p.is("2 without an emit gives the message") {
			o.Messages = []*event.Message{c.copy()}
		}
	}
	return o
}

// ---- calls

type modelCall struct {
	m        *model
	memory   api.Memory
	function string
	config   []byte
	route    string
	stage    string
	input    *event.Message // nil in init
	msg      event.Message
	results  []*event.Message
	bytes    int
	logs     []plugins.Log
	failed   string
}

func (c *modelCall) is(defect string) bool { return c.m.is(defect) }

func (c *modelCall) restore() {
	c.msg = *c.input
	c.msg.Header, c.msg.SetHeader = slices.Clone(c.input.Header), nil
}

func (c *modelCall) copy() *event.Message {
	m := c.msg
	m.Header, m.SetHeader = slices.Clone(m.Header), slices.Clone(m.SetHeader)
	return &m
}

func (c *modelCall) negative() golden.Outcome {
	return golden.Outcome{Class: plugins.ClassPlugin, Text: c.failed, Logs: c.logs}
}

// at returns a range of the guest's memory, or traps.
func (c *modelCall) at(ptr, size uint32) []byte {
	if size == 0 {
		return nil
	}
	b, ok := c.memory.Read(ptr, size)
	if ok {
		return b
	}
	if c.is("pointers are not checked: " + c.function) {
		return make([]byte, min(size, 1<<20))
	}
	if c.is("of a range, only the start is checked") && ptr < c.memory.Size() {
		b, _ = c.memory.Read(ptr, c.memory.Size()-ptr)
		return b
	}
	panic("a pointer outside of the memory")
}

func (c *modelCall) text(ptr, size uint32) string { return string(c.at(ptr, size)) }

// give is how every read ends.
func (c *modelCall) give(buffer, value []byte) int32 {
	switch {
	case len(value) <= len(buffer):
		copy(buffer, value)
	case c.is("a read that is too long is cut off"):
		copy(buffer, value)
	case c.is("a read gives what it has written"):
		return 0
	}
	if c.is("a read ends with a zero byte") && len(value) < len(buffer) {
		buffer[len(value)] = 0
	}
	return int32(len(value))
}

func (c *modelCall) read(a []uint32) int32 {
	buffer := c.at(a[1], a[2])
	source := &c.msg
	if c.is("reads see the event as it came") && c.input != nil {
		source = c.input
	}
	field := a[0]
	if field > 10 {
		if c.is("an unknown field is absent") {
			return -1
		}
		if int32(field) < 0 && c.is("negative fields are data") {
			return c.give(buffer, source.Data)
		}
		return -2
	}
	if field == 8 {
		return c.give(buffer, c.config)
	}
	if c.input == nil {
		if c.is("in init, fields are empty") {
			return c.give(buffer, nil)
		}
		return -1
	}
	if c.is("field " + strconv.Itoa(int(field)) + " is empty") {
		return c.give(buffer, nil)
	}
	switch field {
	case 0:
		return c.give(buffer, source.Data)
	case 5:
		text := source.Time.UTC().Format(time.RFC3339Nano)
		if c.is("the time has milliseconds") {
			text = source.Time.UTC().Format("2006-01-02T15:04:05.000Z")
		}
		return c.give(buffer, []byte(text))
	case 7:
		return c.give(buffer, c.message(source))
	}
	text := map[uint32]string{1: source.Type, 2: source.ID, 3: source.Source, 4: source.Subject, 6: source.ContentType, 9: c.route, 10: source.Tenant}[field]
	if text == "" && !c.is("what is absent is empty") {
		return -1
	}
	return c.give(buffer, []byte(text))
}

// message is field 7.
func (c *modelCall) message(m *event.Message) []byte {
	q := func(s string) string { return string(rawjson.AppendString(nil, s)) }
	members := []string{`"id":` + q(m.ID), `"type":` + q(m.Type), `"source":` + q(m.Source)}
	if c.is("the message has its type first") {
		members[0], members[1] = members[1], members[0]
	}
	if m.Subject != "" || c.is("the message has an empty subject") {
		members = append(members, `"subject":`+q(m.Subject))
	}
	members = append(members, `"time":`+q(m.Time.UTC().Format(time.RFC3339Nano)))
	var header []string
	for _, name := range headerNames(m) {
		v, _ := c.headerOf(m, name)
		header = append(header, q(name)+":"+q(v))
	}
	members = append(members, `"header":{`+strings.Join(header, ",")+"}")
	if view, ok := c.view(m); ok {
		members = append(members, `"data":`+string(view))
	} else if c.is("binary data is text in the message") {
		members = append(members, `"data":`+q(strings.ToValidUTF8(string(m.Data), "\uFFFD")))
	} else {
		text, _ := json.Marshal(m.Data)
		members = append(members, `"data_base64":`+string(text))
	}
	if c.is("the message has spaces") {
		return []byte("{" + strings.Join(members, ", ") + "}")
	}
	return []byte("{" + strings.Join(members, ",") + "}")
}

func headerNames(m *event.Message) (names []string) {
	for _, list := range [][]event.Field{m.Header, m.SetHeader} {
		for _, f := range list {
			if !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

func (c *modelCall) view(m *event.Message) ([]byte, bool) {
	if event.IsForm(m.ContentType) && c.is("a form is text") {
		return rawjson.AppendString(nil, string(m.Data)), true
	}
	if m.ContentType == "text/plain" && c.is("text has no JSON view") {
		return nil, false
	}
	return event.View(m.ContentType, m.Data)
}

// path reads a path; false where it is malformed.
func (c *modelCall) path(s string) (rawjson.Path, bool) {
	if c.is("paths have no escapes") {
		var p rawjson.Path
		for part := range strings.SplitSeq(s, ".") {
			p = append(p, rawjson.Name(part))
		}
		return p, true
	}
	if c.is("empty segments are skipped") {
		s = strings.Trim(s, ".")
	}
	p, err := rawjson.ParsePath(s)
	return p, err == nil
}

func (c *modelCall) get(a []uint32) int32 {
	path, buffer := c.text(a[0], a[1]), c.at(a[2], a[3])
	p, ok := c.path(path)
	if !ok {
		if c.is("a malformed path is an absent value") {
			return -1
		}
		return -2
	}
	if c.input == nil {
		return -1
	}
	source := &c.msg
	if c.is("reads see the event as it came") {
		source = c.input
	}
	view, ok := c.view(source)
	if !ok {
		return -1
	}
	if path == "" && c.is("the empty path is nothing") {
		return -1
	}
	if slices.ContainsFunc(p, func(s rawjson.Segment) bool { return s.Index() >= 0 }) && len(p) == 1 && rawjson.KindOf(view) == rawjson.Object && c.is("digits are always an index") {
		return -1
	}
	value, ok := rawjson.Get(view, p)
	if c.is("of duplicate keys the first counts") && len(p) > 0 {
		rawjson.EachMember(view, func(key, v []byte) bool {
			if k, _ := rawjson.Unquote(key); k == p[0].Name() {
				value, ok = rawjson.Get(v, p[1:])
				return false
			}
			return true
		})
	}
	switch {
	case !ok && c.is("an absent value is malformed"):
		return -2
	case !ok && c.is("an absent value is null"):
		return c.give(buffer, []byte("null"))
	case !ok:
		return -1
	case c.is("get prints values again"):
		var v any
		_ = json.Unmarshal(value, &v)
		value, _ = json.Marshal(v)
	case rawjson.KindOf(value) == rawjson.String && c.is("strings come without quotes"):
		text, _ := rawjson.Unquote(value)
		value = []byte(text)
	}
	return c.give(buffer, value)
}

// may is 0 where changes are allowed.
func (c *modelCall) may() int32 {
	switch {
	case c.stage == "transform":
		return 0
	case c.stage == "filter" && c.is("a filter may change the message"):
		return 0
	case c.stage == "init" && c.is("in init, changes are fine"):
		return 1
	case c.is("what is not allowed is malformed"):
		return -2
	}
	return -3
}

func size(m *event.Message) int {
	n := len(m.Type) + len(m.Subject) + len(m.ContentType) + len(m.Data)
	for _, f := range m.SetHeader {
		n += len(f.Name) + len(f.Value)
	}
	return n
}

// edit changes data by path.
func (c *modelCall) edit(path string, change func(data []byte, p rawjson.Path) ([]byte, error)) int32 {
	if code := c.may(); code != 0 {
		return min(code, 0)
	}
	p, ok := c.path(path)
	if !ok {
		return -2
	}
	if !event.IsJSON(c.msg.ContentType) {
		if c.is("a form can be edited as text") {
			return 0
		}
		return -1
	}
	data, err := change(c.msg.Data, p)
	switch {
	case errors.Is(err, rawjson.ErrValue):
		return -2
	case err != nil && c.is("no such place is malformed"):
		return -2
	case err != nil && c.is("no such place is fine"):
		return 0
	case err != nil:
		return -1
	}
	if len(data) > modelBytes && !c.is("set has no limit") {
		return -4
	}
	if c.is("edits print data again") {
		var v any
		_ = json.Unmarshal(data, &v)
		data, _ = json.Marshal(v)
	}
	c.msg.Data = data
	return 0
}

func (c *modelCall) set(a []uint32) int32 {
	path, value := c.text(a[0], a[1]), bytes.Clone(c.at(a[2], a[3]))
	return c.edit(path, func(data []byte, p rawjson.Path) ([]byte, error) {
		if len(p) > 0 {
			parent, ok := rawjson.Get(data, p[:len(p)-1])
			switch {
			case !ok && c.is("set makes no objects"):
				return nil, rawjson.ErrNoPlace
			case ok && rawjson.KindOf(parent) == rawjson.Array && c.is("set appends to no array"):
				if _, there := rawjson.Get(data, p); !there {
					return nil, rawjson.ErrNoPlace
				}
			case ok && rawjson.KindOf(parent) == rawjson.Array && c.is("set appends at any index"):
				if n, _ := rawjson.Len(parent); p[len(p)-1].Index() > n {
					p = append(slices.Clone(p[:len(p)-1]), rawjson.Name(strconv.Itoa(n)))
				}
			case ok && rawjson.KindOf(parent) == rawjson.String && c.is("set replaces a scalar on the way"):
				inner := slices.Concat([]byte(`{"`+p[len(p)-1].Name()+`":`), value, []byte("}"))
				return rawjson.Set(data, p[:len(p)-1], inner)
			}
			if _, there := rawjson.Get(data, p); !there && len(p) == 1 && rawjson.KindOf(data) == rawjson.Object && c.is("set puts a new key first") {
				if rawjson.Valid(value) == nil {
					return slices.Concat([]byte(`{"`+p[0].Name()+`":`), value, []byte(","), data[1:]), nil
				}
			}
		} else if c.is("set can't replace all of data") {
			return nil, rawjson.ErrNoPlace
		}
		if len(p) == 1 && c.is("set changes the first duplicate") && bytes.Count(data, []byte(`"a"`)) > 1 {
			return bytes.Replace(data, []byte(`"a":1`), slices.Concat([]byte(`"a":`), value), 1), nil
		}
		if rawjson.Valid(value) != nil && c.is("set takes any bytes") {
			return data, nil
		}
		return rawjson.Set(data, p, value)
	})
}

func (c *modelCall) remove(a []uint32) int32 {
	return c.edit(c.text(a[0], a[1]), func(data []byte, p rawjson.Path) ([]byte, error) {
		if len(p) == 1 && c.is("remove takes one duplicate away") && bytes.Contains(data, []byte(`"a":4`)) {
			return bytes.Replace(data, []byte(`,"a":4`), nil, 1), nil
		}
		if c.is("remove leaves null") {
			if _, ok := rawjson.Get(data, p); ok {
				return rawjson.Set(data, p, []byte("null"))
			}
		}
		return rawjson.Remove(data, p)
	})
}

func (c *modelCall) write(a []uint32) int32 {
	value := bytes.Clone(c.at(a[1], a[2]))
	if code := c.may(); code != 0 {
		return min(code, 0)
	}
	text := string(value)
	m := c.msg
	switch a[0] {
	case 0:
		m.Data = value
	case 1:
		if event.CheckType(text) != nil && !c.is("any text is a type") {
			return -2
		}
		m.Type = text
	case 2:
		if !c.is("the id can be written") {
			return -2
		}
		m.ID = text
	case 4:
		m.Subject = text
	case 6:
		m.ContentType = text
	default:
		switch {
		case c.is("writing what can't be written is fine"):
			return 0
		case c.is("writing what can't be written is not allowed"):
			return -3
		}
		return -2
	}
	if len(value) > modelBytes && !c.is("write has no limit") {
		return -4
	}
	if event.IsJSON(m.ContentType) && rawjson.Valid(m.Data) != nil {
		switch {
		case a[0] == 0 && c.is("data need not be JSON"):
		case a[0] == 6 && c.is("a content type need not be true"):
		case c.is("what was refused is written all the same"):
			c.msg = m
			return -2
		default:
			return -2
		}
	}
	if a[0] == 6 && c.is("the content type stays") {
		return 0
	}
	c.msg = m
	return 0
}

func (c *modelCall) headerOf(m *event.Message, name string) (string, bool) {
	for _, list := range [][]event.Field{m.SetHeader, m.Header} {
		var values []string
		for _, f := range list {
			if f.Name == name {
				values = append(values, f.Value)
			}
		}
		switch {
		case len(values) == 0:
		case c.is("repeated headers are joined by a semicolon"):
			return strings.Join(values, "; "), true
		case c.is("of repeated headers the first counts"):
			return values[0], true
		default:
			return strings.Join(values, ", "), true
		}
	}
	return "", false
}

func (c *modelCall) header(a []uint32) int32 {
	name, buffer := c.text(a[0], a[1]), c.at(a[2], a[3])
	if !event.ValidHeaderName(name) {
		if c.is("a malformed header is absent") {
			return -1
		}
		return -2
	}
	if c.input == nil {
		return -1
	}
	if !c.is("names of headers have a case") {
		name = strings.ToLower(name)
	}
	v, ok := c.headerOf(&c.msg, name)
	if !ok || v == "" && c.is("an empty header is absent") {
		return -1
	}
	return c.give(buffer, []byte(v))
}

func (c *modelCall) mayHeader(name string) int32 {
	if code := c.may(); code != 0 {
		return code
	}
	if !event.ValidHeaderName(name) && !c.is("any text is the name of a header") {
		return -2
	}
	check := name
	if c.is("reserved headers have a case") && name != strings.ToLower(name) {
		check = "x-other"
	}
	if !event.ReservedHeader(check) || c.is("no header is reserved") {
		return 0
	}
	if c.is("a reserved header is malformed") {
		return -2
	}
	return -3
}

func (c *modelCall) setHeader(a []uint32) int32 {
	name, value := c.text(a[0], a[1]), c.text(a[2], a[3])
	if code := c.mayHeader(name); code != 0 {
		return min(code, 0)
	}
	if !event.ValidHeaderValue(value) && !c.is("any text is the value of a header") {
		return -2
	}
	name = strings.ToLower(name)
	if !c.is("set_header adds") {
		c.msg.SetHeader = slices.DeleteFunc(slices.Clone(c.msg.SetHeader), func(f event.Field) bool { return f.Name == name })
	}
	if c.is("set headers are the event's") {
		c.msg.Header = append(slices.DeleteFunc(slices.Clone(c.msg.Header), func(f event.Field) bool { return f.Name == name }), event.Field{Name: name, Value: value})
		return 0
	}
	c.msg.SetHeader = append(c.msg.SetHeader, event.Field{Name: name, Value: value})
	return 0
}

func (c *modelCall) removeHeader(a []uint32) int32 {
	name := c.text(a[0], a[1])
	if code := c.mayHeader(name); code != 0 {
		return min(code, 0)
	}
	name = strings.ToLower(name)
	if _, ok := c.headerOf(&c.msg, name); !ok {
		if c.is("removing no header is fine") {
			return 0
		}
		return -1
	}
	gone := func(f event.Field) bool { return f.Name == name }
	c.msg.SetHeader = slices.DeleteFunc(slices.Clone(c.msg.SetHeader), gone)
	if !c.is("remove_header removes what was set") {
		c.msg.Header = slices.DeleteFunc(slices.Clone(c.msg.Header), gone)
	}
	return 0
}

func (c *modelCall) emit([]uint32) int32 {
	if code := c.may(); code != 0 {
		return min(code, 0)
	}
	limit, most := modelResults, modelBytes
	if c.is("there may be more than 64 results") {
		limit = math.MaxInt
	}
	if c.is("there may be 63 results") {
		limit--
	}
	if c.is("results may have any size") {
		most = math.MaxInt
	}
	n := size(&c.msg)
	if len(c.results) >= limit || c.bytes+n > most {
		if c.is("an emit that fails puts the message back") {
			c.restore()
		}
		if c.is("an emit that fails is not allowed") {
			return -3
		}
		return -4
	}
	c.results = append(c.results, c.copy())
	c.bytes += n
	switch {
	case c.is("emit puts nothing back"):
	case c.is("emit does not put headers back"):
		set, header := c.msg.SetHeader, c.msg.Header
		c.restore()
		c.msg.SetHeader, c.msg.Header = set, header
	case c.is("emit only puts data back"):
		c.msg.Data, c.msg.ContentType = c.input.Data, c.input.ContentType
	default:
		c.restore()
	}
	return 0
}

func (c *modelCall) log(a []uint32) int32 {
	level, text := int(int32(a[0])), c.text(a[1], a[2])
	switch {
	case c.is("levels count from 0"):
		level++
	case c.is("all lines are info"):
		level = 3
	case text == "" && c.is("empty lines are not logged"):
		return 0
	case c.is("logs are ASCII"):
		text = strings.Map(func(r rune) rune { return min(r, '?'+64) }, text)
	}
	c.logs = append(c.logs, plugins.Log{Level: level, Text: text})
	return 0
}

func (c *modelCall) fail(a []uint32) int32 {
	text := c.text(a[0], a[1])
	if c.failed == "" || !c.is("the first text of fail counts") {
		c.failed = text
	}
	return 0
}

// newModel makes a model with a defect, or with none.
func newModel(defect string) *model {
	return &model{defect: defect, asked: map[string]bool{}, cache: wazero.NewCompilationCache()}
}
