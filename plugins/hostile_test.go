package plugins_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/plugins"
)

// withSection puts a section into a module, in place of its own of that kind.
func withSection(t *testing.T, wasm []byte, id byte, section []byte) []byte {
	t.Helper()
	order := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11}
	out := slices.Clone(wasm[:8])
	done := false
	for at := 8; at < len(wasm); {
		size, n := binary.Uvarint(wasm[at+1:])
		end := at + 1 + n + int(size)
		if !done && slices.Index(order, wasm[at]) >= slices.Index(order, id) {
			out, done = append(out, section...), true
		}
		if wasm[at] != id {
			out = append(out, wasm[at:end]...)
		}
		at = end
	}
	if !done {
		t.Fatalf("no place for section %d", id)
	}
	return out
}

// Modules that attack the host before their first event are refused, with what is
// wrong, and the host goes on.
func TestHostileModules(t *testing.T) {
	h := newHost(t)
	endless := []byte{opLoop, blockEmpty, opBr, 0, opEnd}
	imported := uint64(len(abi))
	started := guest{transform: constant(0), initialize: endless}.build() // _initialize is the second function
	var many []byte
	for n := range 10_000 {
		many = append(append(append(many, vec(fmt.Appendf(nil, "f%d", n))...), 0), uleb(imported)...)
	}
	exports := append(append([]byte{}, vec([]byte("weir_abi_v1"))...), append([]byte{0}, uleb(imported)...)...)
	exports = append(append(append(exports, vec([]byte("weir_transform"))...), 0), uleb(imported+1)...)
	exports = append(append(exports, vec([]byte("memory"))...), 2, 0)
	table := func(limits ...byte) []byte { return section(4, 1, append([]byte{0x70}, limits...)) }
	outside := append(append([]byte{0, opConst}, sleb(1<<30)...), append([]byte{opEnd}, vec([]byte("x"))...)...)

	for _, c := range []struct {
		name, want string
		wasm       []byte
	}{
		{"a start section that loops", "out of fuel", withSection(t, started, 8, append([]byte{8}, vec(uleb(imported+1))...))},
		{"data outside of the memory", "out of bounds", withSection(t, fine().build(), 11, section(11, 1, outside))},
		{"a table of four billion", "tables that begin with", withSection(t, fine().build(), 4, table(append([]byte{0}, uleb(1<<32-1)...)...))},
		{"a memory of 4 GiB", "raise its `memory`", guest{transform: constant(0), pages: 65536}.build()},
		{"ten thousand exports", "", withSection(t, guest{transform: constant(0)}.build(), 7, section(7, 10_003, append(exports, many...)))},
	} {
		p, err := h.Load(context.Background(), plugins.Spec{Name: "x", Wasm: c.wasm, Deadline: time.Minute})
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if _, err := p.Run(context.Background(), message("t", "{}"), "r"); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
