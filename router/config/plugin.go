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
	DefaultPluginDeadline = time.Second
)

func (l *loader) decodePlugin(b *hclsyntax.Block) {
	p := &Plugin{
		Name: b.Labels[0], Config: []byte("null"), Memory: DefaultPluginMemory,
		Deadline: DefaultPluginDeadline, OnError: OnErrorDead, Range: b.DefRange(),
	}
	l.check(b.Body, pluginSchema, "plugin")
	if a := attribute(b, "config"); a != nil {
		l.pluginConfig(a, p)
	}
	// A module is made of pages of 64 KiB; less than one MiB holds no useful guest.
	p.Memory = l.size(attribute(b, "memory"), p.Memory, 1<<20, 4<<30)
	p.Deadline = l.duration(attribute(b, "deadline"), p.Deadline, time.Millisecond, time.Minute)
	p.OnError = OnError(l.oneOf(attribute(b, "on_error"), string(p.OnError), []string{string(OnErrorDead), string(OnErrorSkip), string(OnErrorDrop)}, nil))
	if a := attribute(b, "wasm"); a != nil {
		l.module(a, p)
	} else {
		l.missing(b, "wasm", `wasm = "plugins/redact.wasm"`)
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

// module reads a plugin's file. Blocks that share a file share its bytes.
func (l *loader) module(a *hclsyntax.Attribute, p *Plugin) {
	name, ok := l.text(a)
	if !ok {
		return
	}
	r := a.Expr.Range()
	if name == "" {
		l.fail(r, "Empty path", "Write the file of the module.")
		return
	}
	p.Path = l.path(name, r)
	wasm, ok := l.modules[p.Path]
	if !ok {
		var err error
		if wasm, err = readFile(p.Path, maxModuleSize); err != nil && l.opts.ToAsk {
			return
		} else if err != nil {
			l.fail(r, "Module can't be read", "%s Build it first: weir plugin build.", sentence(err.Error()))
			return
		}
		l.modules[p.Path] = wasm
		l.digest(name, wasm)
	}
	sum := sha256.Sum256(wasm)
	p.Wasm, p.SHA256 = wasm, hex.EncodeToString(sum[:])
	if !bytes.HasPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00")) {
		l.fail(r, "Not a module", "%s is no WebAssembly module.", p.Path)
		return
	}
	if l.opts.CheckPlugin != nil {
		if err := l.opts.CheckPlugin(p); err != nil {
			l.fail(r, "Unusable module", "%s", sentence(err.Error()))
		}
	}
}
