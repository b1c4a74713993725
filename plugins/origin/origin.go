// Package origin tells what a WebAssembly module was built with, as far as it
// says so itself. What it says is for people: nothing is decided by it.
package origin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf16"
)

// Origin is what a module says of its making.
type Origin struct {
	// Language is the source's, empty where nothing tells it.
	Language string `json:"language,omitempty"`
	// Tools are those that worked on it, with their versions, in the module's
	// order.
	Tools []string `json:"tools,omitempty"`
	// Start says that it has a start section: code that runs before any export
	// is called.
	Start bool `json:"start"`
	// Names says that its functions have names, which a trap's trace shows.
	Names bool `json:"names"`
}

// ErrMalformed is a module whose sections can't be read.
var ErrMalformed = errors.New("malformed module")

// Sections that are looked into.
const (
	sectionCustom = 0
	sectionStart  = 8
	sectionData   = 11
)

// Of reads a module. Code is not looked at. A producers section that can't be
// read is one that says nothing.
func Of(wasm []byte) (*Origin, error) {
	rest, ok := bytes.CutPrefix(wasm, []byte("\x00asm\x01\x00\x00\x00"))
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrMalformed)
	}
	o := &Origin{}
	features := false
	var data []byte
	for r := (reader{rest: rest}); len(r.rest) > 0; {
		id := r.take(1)
		body := r.block()
		if r.failed {
			return nil, fmt.Errorf("%w: it ends in the middle of a section", ErrMalformed)
		}
		switch id[0] {
		case sectionStart:
			o.Start = true
		case sectionData:
			data = body
		case sectionCustom:
			s := reader{rest: body}
			switch name := string(s.block()); name {
			case "name":
				o.Names = true
			case "target_features":
				features = true
			case "go:buildid":
				o.Language = "Go"
			case "producers":
				o.producers(s.rest)
			}
		}
	}
	if o.Language == "" && len(o.Tools) == 0 {
		switch {
		case bytes.Contains(data, assemblyScript):
			o.Language = "AssemblyScript"
		case features:
			o.Tools = []string{"LLVM"}
		}
	}
	return o, nil
}

// assemblyScript is the beginning of the names of its library's files, in its
// texts' encoding. Its compiler leaves them where a message may need them.
var assemblyScript = wide("~lib/")

func wide(s string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}

// producers reads the section of that name, as the tool conventions of
// WebAssembly have it.
func (o *Origin) producers(body []byte) {
	var language string
	var tools []string
	r := reader{rest: body}
	for fields := r.number(); fields > 0 && !r.failed; fields-- {
		field := string(r.block())
		for values := r.number(); values > 0 && !r.failed; values-- {
			name, version := string(r.block()), string(r.block())
			switch {
			case field == "language" && language == "":
				language = name
			case field == "processed-by", field == "sdk":
				if version != "" {
					name += " " + version
				}
				if !slices.Contains(tools, name) {
					tools = append(tools, name)
				}
			}
		}
	}
	if r.failed {
		return
	}
	o.Tools = tools
	if language != "" {
		o.Language = language
	}
}

// reader reads a section. Past the end it reads nothing and has failed.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// number reads an unsigned LEB128 number.
func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// block reads bytes behind their number.
func (r *reader) block() []byte { return r.take(r.number()) }
