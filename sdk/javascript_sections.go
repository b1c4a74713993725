package sdk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// errWasm is a module that is not as the engine and the merge make it.
var errWasm = errors.New("the module is damaged")

// The sections that are read or changed here.
const (
	sectionCustom = 0
	sectionImport = 2
	sectionExport = 7
	sectionData   = 11
)

var wasmMagic = []byte("\x00asm\x01\x00\x00\x00")

// wasmSection is one section of a module: its number and what stands behind its
// size.
type wasmSection struct {
	id   byte
	body []byte
}

// readSections parts a module into its sections. They share its bytes.
func readSections(wasm []byte) ([]wasmSection, error) {
	rest, ok := bytes.CutPrefix(wasm, wasmMagic)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin as one", errWasm)
	}
	var sections []wasmSection
	for r := (wasmReader{rest: rest}); len(r.rest) > 0; {
		id := r.byte()
		body := r.bytes(r.uint())
		if r.failed {
			return nil, fmt.Errorf("%w: section %d is cut off", errWasm, len(sections))
		}
		sections = append(sections, wasmSection{id, body})
	}
	return sections, nil
}

func writeSections(sections []wasmSection) []byte {
	out := append([]byte(nil), wasmMagic...)
	for _, s := range sections {
		out = append(out, s.id)
		out = binary.AppendUvarint(out, uint64(len(s.body)))
		out = append(out, s.body...)
	}
	return out
}

// wasmReader reads a section's body. Past the end it reads zeros and has failed.
type wasmReader struct {
	rest   []byte
	failed bool
}

func (r *wasmReader) byte() byte {
	b := r.bytes(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (r *wasmReader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.failed = true
		r.rest = nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// uint reads a number of LEB128, which signed ones of code share in length.
func (r *wasmReader) uint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.failed = true
		r.rest = nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *wasmReader) name() string { return string(r.bytes(r.uint())) }

func appendName(b []byte, name string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(name))), name...)
}

// wasmItem is an import or an export: its name, and what stands behind it.
type wasmItem struct {
	module string // of an import
	name   string
	kind   byte
	rest   []byte
}

// The kinds of imports and exports.
const (
	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3
)

// readItems reads a section of imports or of exports.
func readItems(s wasmSection) ([]wasmItem, error) {
	r := wasmReader{rest: s.body}
	var items []wasmItem
	for n := r.uint(); n > 0 && !r.failed; n-- {
		var item wasmItem
		if s.id == sectionImport {
			item.module = r.name()
		}
		item.name, item.kind = r.name(), r.byte()
		start := r.rest
		if s.id == sectionImport && item.kind == kindMemory {
			if r.uint()&1 == 1 { // it has a maximum
				r.uint()
			}
		}
		r.uint()
		item.rest = start[:len(start)-len(r.rest)]
		if s.id == sectionImport && item.kind != kindFunction && item.kind != kindMemory {
			return nil, fmt.Errorf("%w: it imports a table or a global", errWasm)
		}
		items = append(items, item)
	}
	if r.failed || len(r.rest) > 0 {
		return nil, fmt.Errorf("%w: its imports or exports can't be read", errWasm)
	}
	return items, nil
}

func writeItems(id byte, items []wasmItem) wasmSection {
	body := binary.AppendUvarint(nil, uint64(len(items)))
	for _, item := range items {
		if id == sectionImport {
			body = appendName(body, item.module)
		}
		body = appendName(body, item.name)
		body = append(body, item.kind)
		body = append(body, item.rest...)
	}
	return wasmSection{id, body}
}

// editItems changes the imports or the exports of a module.
func editItems(sections []wasmSection, id byte, edit func([]wasmItem) []wasmItem) error {
	for i, s := range sections {
		if s.id != id {
			continue
		}
		items, err := readItems(s)
		if err != nil {
			return err
		}
		sections[i] = writeItems(id, edit(items))
		return nil
	}
	return fmt.Errorf("%w: it has no section %d", errWasm, id)
}

// replaceSegment puts data in the place of the passive segment that holds marker.
func replaceSegment(sections []wasmSection, marker string, data []byte) error {
	for i, s := range sections {
		if s.id != sectionData {
			continue
		}
		r := wasmReader{rest: s.body}
		for n := r.uint(); n > 0 && !r.failed; n-- {
			kind := r.uint()
			if kind == 0 { // an active one: skip the i32.const of its place, and the end
				r.byte()
				r.uint()
				r.byte()
			}
			before := len(s.body) - len(r.rest)
			if content := r.bytes(r.uint()); kind == 1 && string(content) == marker {
				body := append([]byte(nil), s.body[:before]...)
				body = binary.AppendUvarint(body, uint64(len(data)))
				body = append(body, data...)
				sections[i].body = append(body, r.rest...)
				return nil
			}
		}
	}
	return fmt.Errorf("%w: there is no place for the script", errWasm)
}

// producerField is one of the custom section "producers", which says what a
// module was made with: pairs of a name and a version.
type producerField struct {
	name   string
	values [][2]string
}

func producersSection(fields []producerField) wasmSection {
	body := appendName(nil, "producers")
	body = binary.AppendUvarint(body, uint64(len(fields)))
	for _, f := range fields {
		body = appendName(body, f.name)
		body = binary.AppendUvarint(body, uint64(len(f.values)))
		for _, v := range f.values {
			body = appendName(appendName(body, v[0]), v[1])
		}
	}
	return wasmSection{sectionCustom, body}
}
