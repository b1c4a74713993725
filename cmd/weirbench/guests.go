package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// guest is one transform in one language. All do the same: drop what is below
// 100, keep the domain of the customer's address and hide the rest of it, and
// take a note away. That is two reads and three changes by path.
type guest struct {
	lang, title string
	file        string // of a new plugin, which source replaces
	source      string
	most        float64 // times native Go
	// large says that an instance has 1 MiB and more, so that only what was
	// written is put back.
	large bool
	// pure is how much of a call putting the instance back may cost, where it is
	// not large; 0 where nothing is asked.
	pure float64
}

var guests = []guest{
	{lang: "c", title: "C", file: "bench.c", most: 2, pure: 1.5, source: `#include "weir.h"

WEIR_TRANSFORM {
	if (weir_get_number("total") < 100)
		return WEIR_DROP;
	const char *domain = weir_get_string("customer.email");
	for (const char *c = domain; *c; c++)
		if (*c == '@')
			domain = c + 1;
	weir_check(weir_set_string("customer.domain", domain));
	weir_check(weir_set_string("customer.email", "hidden"));
	weir_remove("note");
	return WEIR_SEND;
}
`},
	{lang: "rust", title: "Rust", file: "src/lib.rs", most: 2, large: true, source: `use weir::{Flow, Message, Result};

weir::transform!(transform);

fn transform(m: &mut Message) -> Result<Flow> {
    if m.float("total") < 100.0 {
        return Ok(Flow::Drop);
    }
    let email = m.string("customer.email");
    let domain = email.rsplit('@').next().unwrap_or("");
    m.set("customer.domain", domain)?;
    m.set("customer.email", "hidden")?;
    m.remove("note");
    Ok(Flow::Send)
}
`},
	{lang: "as", title: "AssemblyScript", file: "assembly/plugin.ts", most: 2, pure: 0.6, source: `import { Flow, Message } from "weir";

export function transform(m: Message): Flow {
  if (m.float("total") < 100) return Flow.Drop;
  const email = m.string("customer.email");
  m.set("customer.domain", email.substring(email.lastIndexOf("@") + 1));
  m.set("customer.email", "hidden");
  m.remove("note");
  return Flow.Send;
}
`},
	{lang: "go", title: "Go", file: "main.go", most: 3, large: true, source: `package main

import (
	"strings"

	weir "github.com/weirhq/weir/sdk/go"
)

func main() {}

//go:wasmexport weir_transform
func transform() int32 {
	return weir.Transform(func(m *weir.Message) error {
		if m.Float("total") < 100 {
			return weir.Drop
		}
		email := m.String("customer.email")
		if err := m.Set("customer.domain", email[strings.LastIndexByte(email, '@')+1:]); err != nil {
			return err
		}
		if err := m.Set("customer.email", "hidden"); err != nil {
			return err
		}
		m.Remove("note")
		return nil
	})
}
`},
	{lang: "js", title: "JavaScript", file: "plugin.js", most: 6, large: true, source: `/** @param {import("weir").Event} event */
export function transform(event) {
  if (event.get("total") < 100) return false;
  const email = event.get("customer.email");
  event.set("customer.domain", email.slice(email.lastIndexOf("@") + 1));
  event.set("customer.email", "hidden");
  event.remove("note");
}
`},
}

// build makes a guest's module, as a user would.
func (g *guest) build(ctx context.Context, b *bench) ([]byte, error) {
	dir, err := b.folder("guest-" + g.lang)
	if err != nil {
		return nil, err
	}
	weir := func(args ...string) error {
		cmd := exec.CommandContext(ctx, b.weir, args...)
		cmd.Dir = dir
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("weir %s: %w\n%s", strings.Join(args, " "), err, text)
		}
		return nil
	}
	if err := weir("plugin", "new", "bench", "--lang", g.lang); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "bench", g.file), []byte(g.source), 0o600); err != nil {
		return nil, err
	}
	if err := weir("plugin", "build", "bench"); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "bench", "bench.wasm"))
}

// order is what the guests are given: one KiB, with what they look for in its
// middle.
var order = func() []byte {
	var items strings.Builder
	for n := range 6 {
		fmt.Fprintf(&items, `{"sku":"sku-%04d","quantity":%d,"price":%d.50,"title":"A thing for the house"},`, 7*n, n%3+1, 10+n)
	}
	b := []byte(`{"id":"ord_1","items":[` + strings.TrimSuffix(items.String(), ",") +
		`],"customer":{"id":"cus_1","email":"ada@example.com"},"total":199.5,"currency":"USD","note":"please ring twice","text":"`)
	for len(b) < eventSize-2 {
		b = append(b, 'x')
	}
	return append(b, `"}`...)
}()

func mustPath(s string) rawjson.Path {
	p, err := rawjson.ParsePath(s)
	if err != nil {
		panic(err)
	}
	return p
}

var (
	totalPath  = mustPath("total")
	emailPath  = mustPath("customer.email")
	domainPath = mustPath("customer.domain")
	notePath   = mustPath("note")
)

// nativePaths is the guests' transform in native Go, by the same editing of bytes
// by path as the host's.
func nativePaths(m *event.Message) (*event.Message, error) {
	raw, _ := rawjson.Get(m.Data, totalPath)
	var total float64
	if err := json.Unmarshal(raw, &total); err != nil {
		return nil, err
	}
	if total < 100 {
		return nil, nil
	}
	raw, _ = rawjson.Get(m.Data, emailPath)
	email, _ := rawjson.Unquote(raw)
	data, err := rawjson.Set(m.Data, domainPath, rawjson.AppendString(nil, email[strings.LastIndexByte(email, '@')+1:]))
	if err != nil {
		return nil, err
	}
	if data, err = rawjson.Set(data, emailPath, []byte(`"hidden"`)); err != nil {
		return nil, err
	}
	if data, err = rawjson.Remove(data, notePath); err != nil {
		return nil, err
	}
	out := *m
	out.Data = data
	return &out, nil
}

// nativeJSON is the same as a program without such a library has it: encoding/json
// into maps and back.
func nativeJSON(m *event.Message) (*event.Message, error) {
	var data map[string]any
	d := json.NewDecoder(bytes.NewReader(m.Data))
	d.UseNumber()
	if err := d.Decode(&data); err != nil {
		return nil, err
	}
	number, _ := data["total"].(json.Number)
	if total, err := number.Float64(); err != nil || total < 100 {
		return nil, err
	}
	customer, _ := data["customer"].(map[string]any)
	email, _ := customer["email"].(string)
	customer["domain"] = email[strings.LastIndexByte(email, '@')+1:]
	customer["email"] = "hidden"
	delete(data, "note")
	b, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	out := *m
	out.Data = b
	return &out, nil
}
