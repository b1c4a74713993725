// Package abi holds the conformance suite of the plugin ABI, version 1: guests in
// WebAssembly's text format, written from the ABI's description alone, each with
// a manifest of what it is given and what must come out. What a host in Go must do
// to be tested is [Host]; a host in any other language needs the files in testdata
// and what README.md says of them.
//
// Invariants:
//   - A guest has one subject, and its name says which. It notices what is wrong
//     itself where it can: a function of it then returns the negative number of
//     its first step that went wrong.
//   - A host passes a guest only where all cases give what they must, and give it
//     again, to the byte, in reverse order on a plugin that was loaded anew.
//   - For every guest there is a defect of a host that it notices: the tests hold
//     the suite against a model of a host that can be made defective.
package abi

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirhq/weir/plugins"
	"github.com/weirhq/weir/plugins/golden"
	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

//go:embed testdata/*.json testdata/*.wasm
var files embed.FS

// Host is what is tested.
type Host interface {
	// Load makes a plugin of a module. config is JSON, nil when unset; memory is
	// the most that an instance may use in bytes, 0 for the host's default. An
	// [*plugins.Error] says that the module's own code failed, any other error
	// that the module was refused.
	Load(ctx context.Context, wasm, config []byte, memory int64) (Plugin, error)
}

// Plugin is a loaded module.
type Plugin interface {
	// Run gives a message to the plugin. An error is that the host could not;
	// what the plugin did wrong is an outcome.
	Run(ctx context.Context, m *event.Message, route string) (golden.Outcome, error)
	// Close frees it.
	Close(ctx context.Context) error
}

// Guest is one module of the suite and what must come of it.
type Guest struct {
	// Name is that of its files.
	Name string `json:"-"`
	// About says what it shows.
	About string `json:"about"`
	// Memory is the most that an instance may use, in bytes; 0 for the default.
	Memory int64 `json:"memory"`
	// Refused are the names that the error must hold with which the host must
	// refuse to load it. Where there are none it must load.
	Refused []string `json:"refused"`

	wasm  []byte
	cases []guestCase
}

// guestCase is an event that the guest is given, after those before it.
type guestCase struct {
	*golden.Case
	// like and unlike are numbers of earlier cases, from 0, whose outcome must
	// be the same, or another; -1 for none.
	like, unlike int
}

// Guests returns all of the suite, by name.
func Guests() ([]*Guest, error) {
	entries, err := files.ReadDir("testdata")
	if err != nil {
		return nil, fmt.Errorf("conformance suite: %w", err)
	}
	var all []*Guest
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok {
			continue
		}
		g, err := readGuest(name)
		if err != nil {
			return nil, fmt.Errorf("conformance suite: %s: %w", name, err)
		}
		all = append(all, g)
	}
	return all, nil
}

func readGuest(name string) (*Guest, error) {
	manifest, err := files.ReadFile("testdata/" + name + ".json")
	if err != nil {
		return nil, err
	}
	var f struct {
		Guest
		Cases []json.RawMessage `json:"cases"`
	}
	d := json.NewDecoder(bytes.NewReader(manifest))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	g := &f.Guest
	g.Name = name
	if g.wasm, err = files.ReadFile("testdata/" + name + ".wasm"); err != nil {
		return nil, err
	}
	for i, text := range f.Cases {
		c, err := readCase(text, i)
		if err != nil {
			return nil, fmt.Errorf("case %d: %w", i, err)
		}
		c.Name = fmt.Sprintf("%s, case %d", name, i)
		g.cases = append(g.cases, c)
	}
	if (len(g.cases) == 0) != (len(g.Refused) > 0) {
		return nil, errors.New("it is either refused or has cases")
	}
	return g, nil
}

// readCase reads a golden event that may also refer to an earlier one.
func readCase(text []byte, number int) (guestCase, error) {
	c := guestCase{like: -1, unlike: -1}
	for name, to := range map[string]*int{"like": &c.like, "unlike": &c.unlike} {
		path := rawjson.Path{rawjson.Name(name)}
		value, ok := rawjson.Get(text, path)
		if !ok {
			continue
		}
		if err := json.Unmarshal(value, to); err != nil {
			return c, err
		}
		if *to < 0 || *to >= number {
			return c, fmt.Errorf("%s is the number of an earlier case", name)
		}
		var err error
		if text, err = rawjson.Remove(text, path); err != nil {
			return c, err
		}
	}
	var err error
	c.Case, err = golden.Parse(text, ".")
	return c, err
}

// Check runs the guest on a host and returns what is wrong with the host, nothing
// where it conforms. The error is that the guest could not be run.
func (g *Guest) Check(ctx context.Context, h Host) (wrong []string, err error) {
	if len(g.Refused) > 0 {
		return g.checkRefusal(ctx, h)
	}
	first, err := g.outcomes(ctx, h, false)
	if err != nil {
		return nil, err
	}
	for i, c := range g.cases {
		o := first[i]
		switch want, got := "", ""; {
		case c.Want != nil:
			if want, got = c.Compare(o); want != got {
				wrong = append(wrong, fmt.Sprintf("%s: want\n%sgot\n%s", c.Name, want, got))
			}
		case o.Class != "":
			wrong = append(wrong, fmt.Sprintf("%s: %s: %s", c.Name, o.Class, o.Text))
		}
		if c.like >= 0 && c.Describe(o) != g.cases[c.like].Describe(first[c.like]) {
			wrong = append(wrong, fmt.Sprintf("%s: another outcome than case %d:\n%s", c.Name, c.like, c.Describe(o)))
		}
		if c.unlike >= 0 && c.Describe(o) == g.cases[c.unlike].Describe(first[c.unlike]) {
			wrong = append(wrong, fmt.Sprintf("%s: the same outcome as case %d:\n%s", c.Name, c.unlike, c.Describe(o)))
		}
	}
	again, err := g.outcomes(ctx, h, true)
	if err != nil {
		return nil, err
	}
	for i, c := range g.cases {
		if a, b := first[i].Bytes(), again[i].Bytes(); !bytes.Equal(a, b) {
			wrong = append(wrong, fmt.Sprintf("%s: the same event again gave\n%s\nafter\n%s", c.Name, b, a))
		}
	}
	return wrong, nil
}

// outcomes runs all cases, those of the same config on one plugin.
func (g *Guest) outcomes(ctx context.Context, h Host, reversed bool) (all []golden.Outcome, err error) {
	order := make([]int, len(g.cases))
	for i := range order {
		order[i] = i
	}
	if reversed {
		slices.Reverse(order)
	}
	loaded := map[string]Plugin{}
	defer func() {
		for _, p := range loaded {
			err = errors.Join(err, p.Close(ctx))
		}
	}()
	all = make([]golden.Outcome, len(g.cases))
	for _, i := range order {
		c := g.cases[i]
		p := loaded[string(c.Config)]
		if p == nil {
			if p, err = h.Load(ctx, g.wasm, c.Config, g.Memory); err != nil {
				var failed *plugins.Error
				if errors.As(err, &failed) {
					all[i] = golden.Outcome{Class: failed.Class, Text: failed.Text}
				} else {
					all[i] = golden.Outcome{Class: "refused", Text: err.Error()}
				}
				err = nil
				continue
			}
			loaded[string(c.Config)] = p
		}
		if all[i], err = p.Run(ctx, c.Event, c.Route); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return all, nil
}

func (g *Guest) checkRefusal(ctx context.Context, h Host) ([]string, error) {
	p, err := h.Load(ctx, g.wasm, nil, g.Memory)
	if err == nil {
		return []string{g.Name + ": it was loaded, and must be refused"}, p.Close(ctx)
	}
	var failed *plugins.Error
	if errors.As(err, &failed) {
		return []string{fmt.Sprintf("%s: its code ran before it was refused: %v", g.Name, err)}, nil
	}
	var wrong []string
	for _, name := range g.Refused {
		if !strings.Contains(err.Error(), name) {
			wrong = append(wrong, fmt.Sprintf("%s: the refusal does not name %s: %v", g.Name, name, err))
		}
	}
	return wrong, nil
}
