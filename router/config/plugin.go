package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Defaults of a plugin.
const (
	DefaultPluginMemory   = 32 << 20
	DefaultPluginFuel     = 20_000_000
	DefaultPluginInitFuel = 200_000_000
	DefaultPluginDeadline = time.Second
)

func (l *loader) decodePlugin(b *hclsyntax.Block) {
	p := &Plugin{
		Name: b.Labels[0], Config: []byte("null"), Memory: DefaultPluginMemory,
		Fuel: DefaultPluginFuel, InitFuel: DefaultPluginInitFuel, Isolation: "pure", ABI: "weir",
		Deadline: DefaultPluginDeadline, OnError: OnErrorDead, Range: b.DefRange(),
	}
	l.check(b.Body, pluginSchema, "plugin")
	if a := attribute(b, "config"); a != nil {
		l.pluginConfig(a, p)
	}
	// A module is made of pages of 64 KiB; less than one MiB holds no useful guest.
	p.Memory = l.size(attribute(b, "memory"), p.Memory, 1<<20, 4<<30)
	p.Fuel = l.units(attribute(b, "fuel"), p.Fuel)
	p.InitFuel = l.units(attribute(b, "init_fuel"), p.InitFuel)
	p.Isolation = l.oneOf(attribute(b, "isolation"), p.Isolation, []string{"pure", "reuse"}, nil)
	p.ABI = l.oneOf(attribute(b, "abi"), p.ABI, []string{"weir", "stdio"}, nil)
	if a := attribute(b, "isolation"); a != nil && p.Isolation == "reuse" && p.ABI == "stdio" {
		l.fail(a.Expr.Range(), "No reuse of commands", `With abi = "stdio" the program begins anew for each event: leave "isolation" out.`)
	}
	p.Deadline = l.duration(attribute(b, "deadline"), p.Deadline, time.Millisecond, time.Minute)
	p.OnError = OnError(l.oneOf(attribute(b, "on_error"), string(p.OnError), []string{string(OnErrorDead), string(OnErrorSkip), string(OnErrorDrop)}, nil))
	if a := attribute(b, "wasm"); a != nil {
		p.Path, p.Wasm, p.SHA256 = l.module(a, p)
	} else {
		l.missing(b, "wasm", `wasm = "plugins/redact.wasm"`)
	}
	if a := attribute(b, "shadow"); a != nil {
		p.Shadow = &Shadow{}
		p.Shadow.Path, p.Shadow.Wasm, p.Shadow.SHA256 = l.module(a, p)
	}
	if l.pluginBlocks[p.Name] == nil {
		l.pluginBlocks[p.Name] = p
		l.config.Plugins = append(l.config.Plugins, p)
	}
}

func (l *loader) pluginConfig(a *hclsyntax.Attribute, p *Plugin) {
	v, ok := l.value(a)
	if !ok {
		return
	}
	if ty := v.Type(); ty.IsCapsuleType() {
		l.wrongType(a.Expr.Range(), a.Name, "what JSON can hold", v)
		return
	}
	if v.IsNull() {
		v = cty.NullVal(cty.DynamicPseudoType)
	}
	json, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		l.fail(a.Expr.Range(), "Not JSON", "The value of %q can't be written as JSON.", a.Name)
		return
	}
	p.Config = json
}

// maxFuel is the most fuel that a plugin may be given, in units: that of the host.
const maxFuel = 2_000_000_000

// units reads an amount of fuel.
func (l *loader) units(a *hclsyntax.Attribute, otherwise int64) int64 {
	return int64(l.integer(a, int(otherwise), 1, maxFuel))
}

// moduleFile is a file that blocks may share.
type moduleFile struct {
	wasm    []byte
	sha256  string
	checked map[string]error // what [Options.CheckPlugin] said, by ABI
}

// module reads a file of a plugin. Blocks that share a file share its bytes.
func (l *loader) module(a *hclsyntax.Attribute, p *Plugin) (path string, wasm []byte, digest string) {
	name, ok := l.text(a)
	if !ok {
		return "", nil, ""
	}
	r := a.Expr.Range()
	if name == "" {
		l.fail(r, "Empty path", "Write the file of the module.")
		return "", nil, ""
	}
	path = l.path(name, r)
	m := l.modules[path]
	if m == nil {
		wasm, err := l.read(path, maxModuleSize)
		if err != nil && l.opts.ToAsk {
			return path, nil, ""
		} else if err != nil {
			l.fail(r, "Module can't be read", "%s Build it first: weir plugin build.", sentence(err.Error()))
			return path, nil, ""
		}
		sum := sha256.Sum256(wasm)
		m = &moduleFile{wasm: wasm, sha256: hex.EncodeToString(sum[:]), checked: map[string]error{}}
		l.modules[path] = m
		l.digest(name, wasm)
	}
	wasm, digest = m.wasm, m.sha256
	if !bytes.HasPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00")) {
		l.fail(r, "Not a module", "%s is no WebAssembly module.", path)
		return path, wasm, digest
	}
	if l.opts.CheckPlugin != nil {
		err, known := m.checked[p.ABI]
		if !known {
			err = l.opts.CheckPlugin(wasm, p)
			m.checked[p.ABI] = err
		}
		if err != nil {
			l.fail(r, "Unusable module", "%s", sentence(err.Error()))
		}
	}
	return path, wasm, digest
}
